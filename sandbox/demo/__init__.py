"""The demo: the life of the service, told by running it."""
