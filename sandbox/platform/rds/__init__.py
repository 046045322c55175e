"""RDS: its API over real PostgreSQL servers.

Instances and snapshots are kept here, since moto's have no lives of their own; subnet groups, parameter groups,
option groups and engine versions are moto's. What a restore takes from its source and what it does not follows
the API reference, AWS's dangerous defaults included, so that a workflow that relies on them is found out.
"""
