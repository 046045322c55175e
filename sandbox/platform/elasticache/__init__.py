"""ElastiCache: replication groups of real Redis servers (cluster mode disabled), and their snapshots.

Shapes, limits and errors: API reference of Amazon ElastiCache. Not served, and refused rather than pretended:
cluster mode, Memcached, stand-alone cache clusters, global datastores, serverless caches, data tiering,
snapshots by a daily window. Subnet groups and users are moto's.
"""
