"""The emulator's own pages: what happens in it, and the levers to disturb it."""
