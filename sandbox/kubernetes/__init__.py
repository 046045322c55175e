"""A small Kubernetes: the API that clients need, controllers, and pods that are processes on this machine."""
