# Production: available, and protected from being deleted.
environment = "prod"

cluster_public_access_cidrs = ["203.0.113.0/24"]
node_instance_types         = ["t3.large", "t3a.large"]
node_count                  = { min = 3, max = 10 }
spot_node_count             = { min = 1, max = 10 }

database_instance_class = "db.t4g.large"
database_storage_gb     = 500
database_multi_az       = true
database_replica        = true
database_backup_days    = 30

cache_node_type = "cache.t4g.medium"
cache_nodes     = 3

# Put in your own name; with hosted_zone_id, certificate and address record are made.
domain_name    = "detection.example.com"
hosted_zone_id = "Z0EXAMPLE"

deletion_protection = true
backup_lock_days    = 30
log_retention_days  = 30
detailed_monitoring = true
