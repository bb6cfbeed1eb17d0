"""A site with django-tasks-pubsub, set up as its README says."""
