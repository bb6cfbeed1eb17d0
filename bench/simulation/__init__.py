"""Pub/Sub, Cloud Run and a database on paper: what binds first as the rate of tasks grows."""
