"""The site that the tests of the server serve: tasks that go on until a test lets them end."""
