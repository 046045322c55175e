# What the automation stack is told: docs/platform-contract.md, layers/common/opskit/platform.py.

locals {
  contract = {
    listener_arn               = local.listener_arn
    load_balancer_arn          = aws_lb.main.arn
    target_group_blue_arn      = aws_lb_target_group.main["blue"].arn
    target_group_green_arn     = aws_lb_target_group.main["green"].arn
    service_url                = local.service_url
    test_header                = var.test_header
    cluster_name               = aws_eks_cluster.main.name
    cluster_arn                = aws_eks_cluster.main.arn
    cluster_operator_role_arn  = aws_iam_role.operator.arn
    namespace                  = local.namespace
    image_repository           = data.aws_ecr_repository.main.name
    image_repository_arn       = data.aws_ecr_repository.main.arn
    release_alarms             = join(",", local.stops_releases)
    function_subnet_ids        = join(",", aws_subnet.private[*].id)
    function_security_group_id = aws_security_group.functions.id
    database_name              = var.database_name
    database_key_arn           = aws_kms_key.main["database"].arn
    cache_user                 = var.cache_login ? aws_elasticache_user.main["ops"].user_name : "none"
    cache_key_arn              = aws_kms_key.main["cache"].arn
    backup_bucket              = aws_s3_bucket.main["backups"].bucket
    backup_key_arn             = aws_kms_key.main["backup"].arn
    cache_export_bucket        = aws_s3_bucket.main["cache-exports"].bucket
    terraform_state_bucket     = "${var.service}-terraform-state-${local.account}"
    terraform_state_key        = "${var.environment}/platform.tfstate"
    drill_subnet_group         = aws_db_subnet_group.drill.name
    drill_cache_subnet_group   = aws_elasticache_subnet_group.drill.name
    drill_security_group_id    = aws_security_group.drill.id
    # A standard parameter holds 4,096 characters.
    alarm_resources = join(",", [for name, arn in local.alarm_resources : "${name}=${arn}"])
    node_group      = aws_eks_node_group.on_demand.node_group_name
  }

  # Where the stores are now. From the first restore on, restores say so.
  endpoints = {
    database = "${aws_db_instance.main.address}:${local.database_port}"
    cache    = "${aws_elasticache_replication_group.main.primary_endpoint_address}:${local.cache_port}"
  }
}

resource "aws_ssm_parameter" "contract" {
  for_each = local.contract

  name        = "/${var.service}/${var.environment}/platform/${each.key}"
  description = "Platform contract of ${local.name}"
  type        = "String"
  value       = each.value
}

resource "aws_ssm_parameter" "endpoint" {
  for_each = local.endpoints

  name        = "/${var.service}/${var.environment}/endpoints/${each.key}"
  description = "Where the ${each.key} of ${local.name} is; restores change it"
  type        = "String"
  value       = each.value

  lifecycle {
    ignore_changes = [value]
  }
}
