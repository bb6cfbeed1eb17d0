"""
The broker as a pure state machine: its clock is injected, and it knows no sockets, no event loop
and no protobuf. core.py is the whole of it; the rest are its parts.
"""
