"""The whole of it under faults: servers killed, the broker and the database misbehaving.

`python -m tests.chaos` runs it; `judge` decides from outside what was lost. docs/reliability.md
has the figures.
"""
