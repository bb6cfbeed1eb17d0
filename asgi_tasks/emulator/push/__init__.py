"""Push delivery: the requests, their bodies and their signed tokens."""
