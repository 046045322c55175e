# Roles of the cluster, its nodes, and of the workflows that operate it.

resource "aws_iam_role" "cluster" {
  name        = "${local.name}-cluster"
  description = "The control plane of the cluster"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ControlPlane"
      Effect    = "Allow"
      Principal = { Service = "eks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
}

resource "aws_iam_role_policy" "cluster" {
  name = "use-key"
  role = aws_iam_role.cluster.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "EncryptSecrets"
      Effect   = "Allow"
      Action   = ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"]
      Resource = aws_kms_key.main["cluster"].arn
    }]
  })
}

resource "aws_iam_role" "nodes" {
  name        = "${local.name}-nodes"
  description = "Nodes: join the cluster, pull images, be reached by Session Manager"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Nodes"
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

# The network plugin and the CloudWatch agent have roles of their own (irsa.tf): a pod that gets at the node's role gets
# at neither.
resource "aws_iam_role_policy_attachment" "nodes" {
  for_each = toset([
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
  ])

  role       = aws_iam_role.nodes.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.key}"
}

# -- the workflows' way into the cluster -------------------------------------------------------------------------------

# It has no permissions in AWS: its token is a signed sts:GetCallerIdentity, which needs none.
resource "aws_iam_role" "operator" {
  name        = "${local.name}-cluster-operator"
  description = "Steps of the workflows assume it to reach the cluster"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Functions"
      Effect    = "Allow"
      Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
      Action    = "sts:AssumeRole"
      # Roles of the automation stack: CloudFormation names them after it. Which of them, their own policies say.
      # And whoever administers the cluster anyway, for `ops preflight` looks at it as the functions do.
      Condition = {
        ArnLike = { "aws:PrincipalArn" = concat(
          ["arn:${local.partition}:iam::${local.account}:role/${local.name}-automation-*"],
          sort(var.cluster_administrator_arns),
        ) }
      }
    }]
  })
}
