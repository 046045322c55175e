# Development: cheap, and nothing that cannot be lost.
environment = "dev"

# One way out: when its zone fails, dev waits.
nat_gateway_per_zone = false

# Documentation addresses (RFC 5737), which nobody has: put in those from where you administer.
cluster_public_access_cidrs = ["203.0.113.0/24"]
node_instance_types         = ["t3.medium"]
node_count                  = { min = 2, max = 5 }

database_instance_class = "db.t4g.small"
database_storage_gb     = 50
database_multi_az       = false
database_backup_days    = 7

cache_node_type = "cache.t4g.micro"
cache_nodes     = 1

# No domain, and so no certificate. Encryption of the cache stays on, though the specification turns it off: see
# docs/decisions.md.
https = false

deletion_protection = false
backup_lock_days    = 0
log_retention_days  = 7
detailed_monitoring = false
