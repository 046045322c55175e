# Staging: what production has, smaller.
environment = "staging"

cluster_public_access_cidrs = ["203.0.113.0/24"]
node_instance_types         = ["t3.medium", "t3a.medium"]
node_count                  = { min = 2, max = 10 }

database_instance_class = "db.t4g.medium"
database_storage_gb     = 100
database_multi_az       = true
database_backup_days    = 14

cache_node_type = "cache.t4g.small"
cache_nodes     = 2

# Put in your own name; with hosted_zone_id, certificate and address record are made.
domain_name    = "staging.detection.example.com"
hosted_zone_id = "Z0EXAMPLE"

deletion_protection = false
backup_lock_days    = 14
log_retention_days  = 14
detailed_monitoring = true
