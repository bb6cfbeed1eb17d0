"""Daphne with limits to what a client may send, and with a graceful end.

``python -m asgi_tasks.server gyrinx.asgi:application`` takes Daphne's own options and three more.
What it leans on in Daphne and Twisted is held by tests/unit/test_server_contract.py.
"""
