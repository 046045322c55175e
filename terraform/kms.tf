# Customer-managed keys, one for each kind of data, so that access to one opens no other. Rotated every year.

locals {
  keys = {
    database = "The database's storage, snapshots and administrator's password"
    cache    = "The cache and its snapshots"
    backup   = "The backup bucket"
    cluster  = "The cluster's secrets, its nodes' volumes, and the write queue"
    logs     = "Log groups and the trail"
  }

  # Who may use a key beside those whom IAM policies of this account allow.
  key_statements = {
    database = []
    cache    = []
    backup   = []
    cluster = [{
      # As AWS's own key for EBS has it: whoever may use EC2 here may attach an encrypted volume, which Auto Scaling
      # does for the nodes. https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
      Sid       = "VolumesThroughEC2"
      Effect    = "Allow"
      Principal = { AWS = "*" }
      Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"]
      Resource  = "*"
      Condition = {
        StringEquals = {
          "kms:CallerAccount" = local.account
          "kms:ViaService"    = "ec2.${var.region}.amazonaws.com"
        }
      }
    }]
    logs = [
      {
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        Sid       = "LogGroups"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
        Resource  = "*"
        Condition = {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:*" }
        }
      },
      {
        # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html
        Sid       = "Trail"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = ["kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
      },
    ]
  }
}

resource "aws_kms_key" "main" {
  for_each = local.keys

  description             = "${each.value} of ${local.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      # Gives nobody access by itself: it lets this account's IAM policies decide.
      Sid       = "IAM"
      Effect    = "Allow"
      Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }], local.key_statements[each.key])
  })

  tags = { Name = "${local.name}-${each.key}" }
}

resource "aws_kms_alias" "main" {
  for_each = local.keys

  name          = "alias/${local.name}-${each.key}"
  target_key_id = aws_kms_key.main[each.key].key_id
}
