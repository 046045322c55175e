# The cluster, its nodes and add-ons, and who gets in.

resource "aws_eks_cluster" "main" {
  name     = local.name
  version  = var.kubernetes_version
  role_arn = aws_iam_role.cluster.arn

  enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  deletion_protection       = var.deletion_protection

  vpc_config {
    subnet_ids              = aws_subnet.private[*].id
    endpoint_private_access = true
    endpoint_public_access  = length(var.cluster_public_access_cidrs) > 0
    public_access_cidrs     = length(var.cluster_public_access_cidrs) > 0 ? var.cluster_public_access_cidrs : null
  }

  access_config {
    authentication_mode = "API"
    # Whoever applies this is no administrator for ever: administrators are named below.
    bootstrap_cluster_creator_admin_permissions = false
  }

  encryption_config {
    resources = ["secrets"]

    provider {
      key_arn = aws_kms_key.main["cluster"].arn
    }
  }

  # An upgrade in time, rather than one by AWS, or the price of extended support.
  upgrade_policy {
    support_type = "STANDARD"
  }

  depends_on = [
    aws_cloudwatch_log_group.cluster,
    aws_iam_role_policy_attachment.cluster,
  ]
}

# EKS writes to this name; were the group not there first, EKS would make it, without retention and key.
resource "aws_cloudwatch_log_group" "cluster" {
  name              = "/aws/eks/${local.name}/cluster"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main["logs"].arn
}

# -- nodes -------------------------------------------------------------------------------------------------------------

resource "aws_launch_template" "nodes" {
  name        = "${local.name}-nodes"
  description = "Volumes, metadata and security groups of the nodes"

  update_default_version = true
  vpc_security_group_ids = [
    aws_eks_cluster.main.vpc_config[0].cluster_security_group_id,
    aws_security_group.nodes.id,
  ]

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = var.node_disk_gb
      volume_type           = "gp3"
      encrypted             = true
      kms_key_id            = aws_kms_key.main["cluster"].arn
      delete_on_termination = true
    }
  }

  # Sessions only, and out of the pods' reach: they have roles of their own.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = var.detailed_monitoring
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = "${local.name}-node" })
    }
  }
}

resource "aws_eks_node_group" "on_demand" {
  cluster_name           = aws_eks_cluster.main.name
  node_group_name_prefix = "on-demand-"
  node_role_arn          = aws_iam_role.nodes.arn
  subnet_ids             = aws_subnet.private[*].id
  version                = var.kubernetes_version
  ami_type               = "AL2023_x86_64_STANDARD"
  capacity_type          = "ON_DEMAND"
  instance_types         = var.node_instance_types
  labels                 = { lifecycle = "on-demand" }

  launch_template {
    id      = aws_launch_template.nodes.id
    version = aws_launch_template.nodes.latest_version
  }

  scaling_config {
    min_size     = var.node_count.min
    max_size     = var.node_count.max
    desired_size = var.node_count.min
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    create_before_destroy = true
    # The cluster autoscaler's.
    ignore_changes = [scaling_config[0].desired_size]
  }

  depends_on = [aws_iam_role_policy_attachment.nodes]
}

resource "aws_eks_node_group" "spot" {
  count = var.spot_node_count == null ? 0 : 1

  cluster_name           = aws_eks_cluster.main.name
  node_group_name_prefix = "spot-"
  node_role_arn          = aws_iam_role.nodes.arn
  subnet_ids             = aws_subnet.private[*].id
  version                = var.kubernetes_version
  ami_type               = "AL2023_x86_64_STANDARD"
  capacity_type          = "SPOT"
  instance_types         = var.spot_instance_types
  labels                 = { lifecycle = "spot" }

  # Only what says that it can be interrupted runs here.
  taint {
    key    = "lifecycle"
    value  = "spot"
    effect = "NO_SCHEDULE"
  }

  launch_template {
    id      = aws_launch_template.nodes.id
    version = aws_launch_template.nodes.latest_version
  }

  scaling_config {
    min_size     = var.spot_node_count.min
    max_size     = var.spot_node_count.max
    desired_size = max(1, var.spot_node_count.min)
  }

  update_config {
    max_unavailable_percentage = 33
  }

  lifecycle {
    create_before_destroy = true
    ignore_changes        = [scaling_config[0].desired_size]
  }

  depends_on = [aws_iam_role_policy_attachment.nodes]
}

# -- add-ons -----------------------------------------------------------------------------------------------------------

locals {
  # What the cluster runs beside the service: each with its role, where it calls AWS, and its settings.
  addons = {
    "vpc-cni" = {
      role     = "vpc-cni"
      settings = { enableNetworkPolicy = "true" }
    }
    "kube-proxy"     = { role = null, settings = {} }
    "coredns"        = { role = null, settings = {} }
    "metrics-server" = { role = null, settings = {} }
    "aws-efs-csi-driver" = {
      role     = "efs-csi"
      settings = {}
    }
    "amazon-cloudwatch-observability" = {
      role     = "cloudwatch-agent"
      settings = {}
    }
  }
  # Without these two a node never becomes ready, so they come before the nodes; the others need nodes.
  early_addons = ["vpc-cni", "kube-proxy"]
}

resource "aws_eks_addon" "early" {
  for_each = { for name, addon in local.addons : name => addon if contains(local.early_addons, name) }

  cluster_name                = aws_eks_cluster.main.name
  addon_name                  = each.key
  addon_version               = lookup(var.addon_versions, each.key, null)
  service_account_role_arn    = each.value.role == null ? null : aws_iam_role.addon[each.value.role].arn
  configuration_values        = length(each.value.settings) == 0 ? null : jsonencode(each.value.settings)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
}

resource "aws_eks_addon" "late" {
  for_each = { for name, addon in local.addons : name => addon if !contains(local.early_addons, name) }

  cluster_name                = aws_eks_cluster.main.name
  addon_name                  = each.key
  addon_version               = lookup(var.addon_versions, each.key, null)
  service_account_role_arn    = each.value.role == null ? null : aws_iam_role.addon[each.value.role].arn
  configuration_values        = length(each.value.settings) == 0 ? null : jsonencode(each.value.settings)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  depends_on = [
    aws_cloudwatch_log_group.insights,
    aws_eks_node_group.on_demand,
  ]
}

# The observability add-on's agents write to these; were they not there first, they would make them, without retention
# and key. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-setup-logs-FluentBit.html
resource "aws_cloudwatch_log_group" "insights" {
  for_each = toset(["application", "dataplane", "host", "performance"])

  name              = "/aws/containerinsights/${local.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main["logs"].arn
}

# -- access ------------------------------------------------------------------------------------------------------------

resource "aws_eks_access_entry" "administrator" {
  for_each = var.cluster_administrator_arns

  cluster_name  = aws_eks_cluster.main.name
  principal_arn = each.value
  type          = "STANDARD"
}

resource "aws_eks_access_policy_association" "administrator" {
  for_each = var.cluster_administrator_arns

  cluster_name  = aws_eks_cluster.main.name
  principal_arn = each.value
  policy_arn    = "arn:${local.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

  access_scope {
    type = "cluster"
  }

  depends_on = [aws_eks_access_entry.administrator]
}

# The workflows' way in. What the groups may do is said by the service's manifests (kubernetes/).
resource "aws_eks_access_entry" "operator" {
  cluster_name      = aws_eks_cluster.main.name
  principal_arn     = aws_iam_role.operator.arn
  kubernetes_groups = ["detection-ops:release", "detection-ops:backup", "detection-ops:remediate"]
  type              = "STANDARD"
}
