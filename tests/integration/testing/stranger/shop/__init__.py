"""A site whose tests are like those of any site; tests/integration/testing/test_strangers.py."""
