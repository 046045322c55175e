# Redis: the replication group, who may sign in where a login is asked for, and where drills restore it to.

locals {
  cache = coalesce(var.cache_identifier, local.name)
  # ElastiCache names a group's nodes so.
  cache_nodes = [for number in range(1, var.cache_nodes + 1) : format("%s-%03d", local.cache, number)]
}

resource "aws_elasticache_subnet_group" "main" {
  name        = local.name
  description = "Private subnets of ${local.name}"
  subnet_ids  = aws_subnet.private[*].id
}

resource "aws_elasticache_subnet_group" "drill" {
  name        = "${local.name}-drill"
  description = "Private subnets of ${local.name}, for drills"
  subnet_ids  = aws_subnet.private[*].id
}

resource "aws_elasticache_parameter_group" "main" {
  name        = local.name
  family      = "redis7"
  description = "Read cache of ${local.name}"

  parameter {
    name  = "maxmemory-policy"
    value = "allkeys-lru"
  }

  parameter {
    name  = "tcp-keepalive"
    value = "300"
  }

  # Events of keys that expire.
  parameter {
    name  = "notify-keyspace-events"
    value = "Ex"
  }

  parameter {
    name  = "slowlog-log-slower-than"
    value = "1000" # µs
  }
}

resource "aws_elasticache_replication_group" "main" {
  replication_group_id = local.cache
  description          = "Read cache of ${local.name}"
  engine               = "redis"
  engine_version       = var.cache_version
  node_type            = var.cache_node_type
  port                 = local.cache_port
  parameter_group_name = aws_elasticache_parameter_group.main.name

  num_cache_clusters         = var.cache_nodes
  automatic_failover_enabled = var.cache_nodes > 1
  multi_az_enabled           = var.cache_nodes > 1
  subnet_group_name          = aws_elasticache_subnet_group.main.name
  security_group_ids         = [aws_security_group.redis.id]

  at_rest_encryption_enabled = var.cache_encryption
  kms_key_id                 = var.cache_encryption ? aws_kms_key.main["cache"].arn : null
  transit_encryption_enabled = var.cache_encryption
  transit_encryption_mode    = var.cache_encryption ? "required" : null
  user_group_ids             = var.cache_login ? [aws_elasticache_user_group.main[0].user_group_id] : null

  snapshot_retention_limit  = var.cache_snapshot_days
  snapshot_window           = "03:00-05:00"
  final_snapshot_identifier = "${local.cache}-final"
  maintenance_window        = "sun:05:30-sun:06:30"

  auto_minor_version_upgrade = false
  apply_immediately          = var.environment == "dev"

  dynamic "log_delivery_configuration" {
    for_each = aws_cloudwatch_log_group.cache

    content {
      log_type         = log_delivery_configuration.key
      log_format       = "json"
      destination_type = "cloudwatch-logs"
      destination      = log_delivery_configuration.value.name
    }
  }

  # What the hourly snapshots go by.
  tags = { backup = "true" }
}

resource "aws_cloudwatch_log_group" "cache" {
  for_each = toset(["slow-log", "engine-log"])

  name              = "/aws/elasticache/${local.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main["logs"].arn
}

# -- login -------------------------------------------------------------------------------------------------------------

locals {
  cache_users = var.cache_login ? {
    # Every group has a user called default; this one can do nothing.
    default = { name = "default", access = "off ~* -@all", type = "no-password-required" }
    app     = { name = "${local.name}-app", access = "on ~* +@all -@admin -@dangerous +info", type = "iam" }
    # The workflows: look, and write what they read back.
    ops = { name = "${local.name}-ops", access = "on ~* +@read +@connection +info +dbsize +time +set +del", type = "iam" }
  } : {}
}

resource "aws_elasticache_user" "main" {
  for_each = local.cache_users

  # With IAM, the id must be the name.
  user_id       = "${local.name}-${each.key}"
  user_name     = each.value.name
  engine        = "redis"
  access_string = each.value.access

  authentication_mode {
    type = each.value.type
  }
}

resource "aws_elasticache_user_group" "main" {
  count = var.cache_login ? 1 : 0

  user_group_id = local.name
  engine        = "redis"
  user_ids      = [for user in aws_elasticache_user.main : user.user_id]
}
