"""A module that messages name and nothing imports."""

raise AssertionError("a message had this module imported")
