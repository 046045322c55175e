# PostgreSQL: the instance, its replica where there is one, and where drills restore it to.

locals {
  database = coalesce(var.database_identifier, local.name)
}

resource "aws_db_subnet_group" "main" {
  name        = local.name
  description = "Private subnets"
  subnet_ids  = aws_subnet.private[*].id
}

resource "aws_db_subnet_group" "drill" {
  name        = "${local.name}-drill"
  description = "Private subnets, for drills"
  subnet_ids  = aws_subnet.private[*].id
}

resource "aws_db_parameter_group" "main" {
  name_prefix = "${local.name}-"
  family      = "postgres15"
  description = "PostgreSQL of ${local.name}"

  parameter {
    name         = "max_connections"
    value        = "200"
    apply_method = "pending-reboot"
  }

  parameter {
    name         = "shared_preload_libraries"
    value        = "pg_stat_statements"
    apply_method = "pending-reboot"
  }

  parameter {
    name  = "log_statement"
    value = var.database_log_statement
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000" # ms
  }

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "main" {
  identifier     = local.database
  engine         = "postgres"
  engine_version = var.database_version
  instance_class = var.database_instance_class
  db_name        = var.database_name

  allocated_storage     = var.database_storage_gb
  max_allocated_storage = 2 * var.database_storage_gb
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.main["database"].arn

  # The administrator's password is made, kept and rotated by Secrets Manager; nobody else signs in with one.
  username                            = "postgres"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = aws_kms_key.main["database"].key_id
  iam_database_authentication_enabled = true
  ca_cert_identifier                  = "rds-ca-rsa2048-g1"

  multi_az               = var.database_multi_az
  db_subnet_group_name   = aws_db_subnet_group.main.name
  parameter_group_name   = aws_db_parameter_group.main.name
  vpc_security_group_ids = [aws_security_group.database.id]
  publicly_accessible    = false
  port                   = local.database_port

  backup_retention_period   = var.database_backup_days
  backup_window             = "03:00-04:00"
  maintenance_window        = "sun:05:30-sun:06:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  skip_final_snapshot       = false
  final_snapshot_identifier = "${local.database}-final"
  deletion_protection       = var.deletion_protection

  # A new minor version is a change like any other: tried in dev, then in staging.
  auto_minor_version_upgrade = false
  apply_immediately          = var.environment == "dev"

  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
  performance_insights_enabled          = var.detailed_monitoring
  performance_insights_kms_key_id       = var.detailed_monitoring ? aws_kms_key.main["database"].arn : null
  performance_insights_retention_period = var.detailed_monitoring ? 7 : null
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]

  # What the hourly snapshots go by.
  tags = { backup = "true" }

  depends_on = [
    aws_cloudwatch_log_group.database,
    aws_iam_role_policy_attachment.monitoring,
  ]
}

resource "aws_db_instance" "replica" {
  count = var.database_replica ? 1 : 0

  identifier          = "${local.database}-replica"
  replicate_source_db = aws_db_instance.main.identifier
  instance_class      = var.database_instance_class

  max_allocated_storage = 2 * var.database_storage_gb
  storage_type          = "gp3"
  storage_encrypted     = true # with the instance's key, as every replica in the same region

  iam_database_authentication_enabled = true
  ca_cert_identifier                  = "rds-ca-rsa2048-g1"

  # Another zone than the instance's.
  availability_zone      = [for zone in local.zones : zone if zone != aws_db_instance.main.availability_zone][0]
  parameter_group_name   = aws_db_parameter_group.main.name
  vpc_security_group_ids = [aws_security_group.database.id]
  publicly_accessible    = false
  port                   = local.database_port

  maintenance_window         = "sun:05:30-sun:06:30"
  copy_tags_to_snapshot      = true
  skip_final_snapshot        = true # it holds nothing that the instance does not
  deletion_protection        = var.deletion_protection
  auto_minor_version_upgrade = false

  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
  performance_insights_enabled          = var.detailed_monitoring
  performance_insights_kms_key_id       = var.detailed_monitoring ? aws_kms_key.main["database"].arn : null
  performance_insights_retention_period = var.detailed_monitoring ? 7 : null
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]

  lifecycle {
    # After a failover the instance is elsewhere; the replica need not move.
    ignore_changes = [availability_zone]
  }
}

# RDS writes to these names; were the groups not there first, it would make them, without retention and key.
resource "aws_cloudwatch_log_group" "database" {
  for_each = toset(concat(
    [for log in ["postgresql", "upgrade"] : "${local.database}/${log}"],
    var.database_replica ? [for log in ["postgresql", "upgrade"] : "${local.database}-replica/${log}"] : [],
  ))

  name              = "/aws/rds/instance/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main["logs"].arn
}

resource "aws_iam_role" "monitoring" {
  name        = "${local.name}-database-monitoring"
  description = "RDS enhanced monitoring writes its metrics"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EnhancedMonitoring"
      Effect    = "Allow"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}
