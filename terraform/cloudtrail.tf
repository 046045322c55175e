# Who called which API; and, of the buckets that hold evidence and backups, who touched which object.

locals {
  trail_arn = "arn:${local.partition}:cloudtrail:${var.region}:${local.account}:trail/${local.name}"
}

resource "aws_cloudtrail" "main" {
  count = var.trail ? 1 : 0

  name                          = local.name
  s3_bucket_name                = aws_s3_bucket.main["trail"].id
  kms_key_id                    = aws_kms_key.main["logs"].arn
  is_multi_region_trail         = true
  include_global_service_events = true
  enable_log_file_validation    = true
  cloud_watch_logs_group_arn    = "${aws_cloudwatch_log_group.trail[0].arn}:*"
  cloud_watch_logs_role_arn     = aws_iam_role.trail[0].arn

  advanced_event_selector {
    name = "Management"

    field_selector {
      field  = "eventCategory"
      equals = ["Management"]
    }
  }

  advanced_event_selector {
    name = "Objects of backups and evidence"

    field_selector {
      field  = "eventCategory"
      equals = ["Data"]
    }

    field_selector {
      field  = "resources.type"
      equals = ["AWS::S3::Object"]
    }

    # The evidence bucket is the automation stack's.
    field_selector {
      field = "resources.ARN"
      starts_with = [
        "${aws_s3_bucket.main["backups"].arn}/",
        "arn:${local.partition}:s3:::${local.name}-evidence-${local.account}/",
      ]
    }
  }

  depends_on = [aws_s3_bucket_policy.main]
}

resource "aws_cloudwatch_log_group" "trail" {
  count = var.trail ? 1 : 0

  name              = "/aws/cloudtrail/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main["logs"].arn
}

resource "aws_iam_role" "trail" {
  count = var.trail ? 1 : 0

  name        = "${local.name}-trail"
  description = "CloudTrail writes to its log group"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Trail"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
    }]
  })
}

resource "aws_iam_role_policy" "trail" {
  count = var.trail ? 1 : 0

  name = "write-trail"
  role = aws_iam_role.trail[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "WriteTrail"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.trail[0].arn}:log-stream:${local.account}_CloudTrail_*"
    }]
  })
}
