"""Measurements, side by side with a baseline or a peer. docs/benchmarks.md shows them."""
