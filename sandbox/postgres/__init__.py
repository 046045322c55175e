"""Drives real PostgreSQL servers: create, start, back up, archive their WAL, recover, and stand in front of them."""
