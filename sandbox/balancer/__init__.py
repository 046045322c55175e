"""The load balancer's data plane: a reverse proxy that behaves as an Application Load Balancer does."""
