# Roles of service accounts: a pod gets credentials of its own, and no more than it needs.

resource "aws_iam_openid_connect_provider" "cluster" {
  url            = aws_eks_cluster.main.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]

  tags = { Name = local.name }
}

locals {
  issuer = trimprefix(aws_eks_cluster.main.identity[0].oidc[0].issuer, "https://")

  # Service account (namespace:name) by role. A * matches the two accounts that one add-on uses.
  service_accounts = {
    "vpc-cni"                  = "kube-system:aws-node"
    "efs-csi"                  = "kube-system:efs-csi-*"
    "cloudwatch-agent"         = "amazon-cloudwatch:cloudwatch-agent"
    "load-balancer-controller" = "kube-system:aws-load-balancer-controller"
    "cluster-autoscaler"       = "kube-system:cluster-autoscaler"
    "service"                  = "${local.namespace}:${var.service}"
  }

  namespace = var.service

  trust = {
    for role, account in local.service_accounts : role => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Sid       = "ServiceAccount"
        Effect    = "Allow"
        Principal = { Federated = aws_iam_openid_connect_provider.cluster.arn }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = {
          StringEquals = { "${local.issuer}:aud" = "sts.amazonaws.com" }
          StringLike   = { "${local.issuer}:sub" = "system:serviceaccount:${account}" }
        }
      }]
    })
  }
}

# -- add-ons -----------------------------------------------------------------------------------------------------------

locals {
  addon_policies = {
    "vpc-cni"          = "AmazonEKS_CNI_Policy"
    "efs-csi"          = "service-role/AmazonEFSCSIDriverPolicy"
    "cloudwatch-agent" = "CloudWatchAgentServerPolicy"
  }
}

resource "aws_iam_role" "addon" {
  for_each = local.addon_policies

  name               = "${local.name}-${each.key}"
  description        = "The add-on ${each.key}"
  assume_role_policy = local.trust[each.key]
}

resource "aws_iam_role_policy_attachment" "addon" {
  for_each = local.addon_policies

  role       = aws_iam_role.addon[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.value}"
}

# -- the load balancer controller --------------------------------------------------------------------------------------

# Balancer, listener, rules and target groups are Terraform's; all that is left to the controller is to register pods in
# the two target groups (TargetGroupBinding). Its usual policy, with certificates, security groups and DNS, is not needed.
resource "aws_iam_role" "load_balancer_controller" {
  name               = "${local.name}-load-balancer-controller"
  description        = "Registers pods in the target groups"
  assume_role_policy = local.trust["load-balancer-controller"]
}

resource "aws_iam_role_policy" "load_balancer_controller" {
  name = "register-targets"
  role = aws_iam_role.load_balancer_controller.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "RegisterTargets"
        Effect   = "Allow"
        Action   = ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"]
        Resource = [for group in aws_lb_target_group.main : group.arn]
      },
      {
        Sid    = "Look" # no resource-level permissions exist for these actions
        Effect = "Allow"
        Action = [
          "ec2:DescribeAvailabilityZones",
          "ec2:DescribeInstances",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSecurityGroups",
          "ec2:DescribeSubnets",
          "ec2:DescribeVpcs",
          "elasticloadbalancing:DescribeListeners",
          "elasticloadbalancing:DescribeLoadBalancers",
          "elasticloadbalancing:DescribeRules",
          "elasticloadbalancing:DescribeTags",
          "elasticloadbalancing:DescribeTargetGroups",
          "elasticloadbalancing:DescribeTargetHealth",
        ]
        Resource = "*"
      },
    ]
  })
}

# -- the cluster autoscaler --------------------------------------------------------------------------------------------

resource "aws_iam_role" "cluster_autoscaler" {
  name               = "${local.name}-cluster-autoscaler"
  description        = "Adds and removes nodes"
  assume_role_policy = local.trust["cluster-autoscaler"]
}

resource "aws_iam_role_policy" "cluster_autoscaler" {
  name = "scale-node-groups"
  role = aws_iam_role.cluster_autoscaler.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Scale"
        Effect   = "Allow"
        Action   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
        Resource = "arn:${local.partition}:autoscaling:${var.region}:${local.account}:autoScalingGroup:*"
        # EKS tags the groups of its node groups so.
        Condition = { StringEquals = { "aws:ResourceTag/eks:cluster-name" = local.name } }
      },
      {
        Sid    = "Look" # no resource-level permissions exist for these actions
        Effect = "Allow"
        Action = [
          "autoscaling:DescribeAutoScalingGroups",
          "autoscaling:DescribeAutoScalingInstances",
          "autoscaling:DescribeLaunchConfigurations",
          "autoscaling:DescribeScalingActivities",
          "autoscaling:DescribeTags",
          "ec2:DescribeImages",
          "ec2:DescribeInstanceTypes",
          "ec2:DescribeLaunchTemplateVersions",
          "ec2:GetInstanceTypesFromInstanceRequirements",
        ]
        Resource = "*"
      },
      {
        Sid      = "LookAtNodeGroups"
        Effect   = "Allow"
        Action   = "eks:DescribeNodegroup"
        Resource = "arn:${local.partition}:eks:${var.region}:${local.account}:nodegroup/${local.name}/*"
      },
    ]
  })
}

# -- the service -------------------------------------------------------------------------------------------------------

resource "aws_iam_role" "service" {
  name               = "${local.name}-service"
  description        = "Pods of the service, and the job that dumps its write queue"
  assume_role_policy = local.trust["service"]
}

resource "aws_iam_role_policy" "service" {
  name = "use-stores"
  role = aws_iam_role.service.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "ReadEndpoints"
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = "arn:${local.partition}:ssm:${var.region}:${local.account}:parameter/${var.service}/${var.environment}/endpoints/*"
      },
      {
        # A restored instance's id is not known beforehand; who may sign in as whom, each database says itself.
        Sid      = "SignInToDatabase"
        Effect   = "Allow"
        Action   = "rds-db:connect"
        Resource = "arn:${local.partition}:rds-db:${var.region}:${local.account}:dbuser:*/${local.database_user}"
      },
      {
        Sid      = "DumpQueue"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${aws_s3_bucket.main["backups"].arn}/application-data/incoming/*"
      },
      {
        Sid       = "EncryptDump"
        Effect    = "Allow"
        Action    = ["kms:GenerateDataKey", "kms:Decrypt"] # Decrypt: a dump in several parts
        Resource  = aws_kms_key.main["backup"].arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }
      },
      ], var.cache_login ? [{
        Sid    = "SignInToCache"
        Effect = "Allow"
        Action = "elasticache:Connect"
        Resource = [
          "arn:${local.partition}:elasticache:${var.region}:${local.account}:replicationgroup:${local.name}*",
          aws_elasticache_user.main["app"].arn,
        ]
    }] : [])
  })
}
