# Buckets: backups, cache exports, the load balancer's access logs, the trail. All private, versioned, encrypted, TLS only.

locals {
  # key: what it is encrypted with; without one with S3's own (SSE-S3), the only one that these writers can use.
  # locked: versions cannot be deleted for backup_lock_days. delete_after_days: of a bucket that is all of one kind.
  buckets = {
    "backups"       = { key = "backup", locked = true, delete_after_days = null }
    "cache-exports" = { key = null, locked = false, delete_after_days = local.backups_after_days.delete }
    "access-logs"   = { key = null, locked = false, delete_after_days = 90 }
    "trail"         = { key = "logs", locked = false, delete_after_days = 400 }
  }

  # To an archive that still answers at once, since a restore must not wait for it; and then away.
  backups_after_days = { archive = 30, delete = 90 }

  # Prefixes of the backup bucket and when they are deleted. Manifests are kept as long as the longest-lived snapshots
  # that they list (12 months). trust/ and objectives/ hold what is current.
  backups = {
    "application-data/"      = local.backups_after_days.delete
    "cluster-configuration/" = local.backups_after_days.delete
    "runs/"                  = local.backups_after_days.delete
    "terraform-state/"       = local.backups_after_days.delete
    "manifests/"             = 400
  }

  # Of what was overwritten or deleted.
  noncurrent_days = max(30, var.backup_lock_days)
}

resource "aws_s3_bucket" "main" {
  for_each = local.buckets

  bucket              = "${local.name}-${each.key}-${local.account}"
  object_lock_enabled = each.value.locked
  # A bucket that still holds something is not deleted with the environment.
  force_destroy = false
}

resource "aws_s3_bucket_versioning" "main" {
  for_each = local.buckets

  bucket = aws_s3_bucket.main[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "main" {
  for_each = local.buckets

  bucket = aws_s3_bucket.main[each.key].id

  rule {
    bucket_key_enabled = each.value.key != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = each.value.key == null ? "AES256" : "aws:kms"
      kms_master_key_id = each.value.key == null ? null : aws_kms_key.main[each.value.key].arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "main" {
  for_each = local.buckets

  bucket = aws_s3_bucket.main[each.key].id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "main" {
  # Exports arrive with an ACL; in every other bucket there are none.
  for_each = local.buckets

  bucket = aws_s3_bucket.main[each.key].id

  rule {
    object_ownership = each.key == "cache-exports" ? "BucketOwnerPreferred" : "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "main" {
  for_each = { for name, bucket in local.buckets : name => bucket if bucket.locked && var.backup_lock_days > 0 }

  bucket = aws_s3_bucket.main[each.key].id

  rule {
    default_retention {
      mode = "GOVERNANCE"
      days = var.backup_lock_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.main]
}

# -- how long ----------------------------------------------------------------------------------------------------------

resource "aws_s3_bucket_lifecycle_configuration" "backups" {
  bucket = aws_s3_bucket.main["backups"].id

  dynamic "rule" {
    for_each = local.backups

    content {
      id     = trimsuffix(rule.key, "/")
      status = "Enabled"

      filter {
        prefix = rule.key
      }

      transition {
        days          = local.backups_after_days.archive
        storage_class = "GLACIER_IR"
      }

      expiration {
        days = rule.value
      }
    }
  }

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = local.noncurrent_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.main]
}

resource "aws_s3_bucket_lifecycle_configuration" "main" {
  for_each = { for name, bucket in local.buckets : name => bucket if bucket.delete_after_days != null }

  bucket = aws_s3_bucket.main[each.key].id

  rule {
    id     = "everything"
    status = "Enabled"

    filter {}

    transition {
      days          = local.backups_after_days.archive
      storage_class = "GLACIER_IR"
    }

    expiration {
      days = each.value.delete_after_days
    }

    noncurrent_version_expiration {
      noncurrent_days = local.noncurrent_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.main]
}

# -- who may write -----------------------------------------------------------------------------------------------------

locals {
  bucket_writers = {
    "backups" = []

    "cache-exports" = [{
      # https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/backups-exporting.html
      Sid       = "ElastiCacheExports"
      Effect    = "Allow"
      Principal = { Service = "${var.region}.elasticache-snapshot.amazonaws.com" }
      Action = [
        "s3:PutObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:GetBucketAcl",
        "s3:ListMultipartUploadParts",
        "s3:ListBucketMultipartUploads",
      ]
      Resource  = [aws_s3_bucket.main["cache-exports"].arn, "${aws_s3_bucket.main["cache-exports"].arn}/*"]
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]

    "access-logs" = [{
      # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
      Sid       = "AccessLogs"
      Effect    = "Allow"
      Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "${aws_s3_bucket.main["access-logs"].arn}/AWSLogs/${local.account}/*"
    }]

    "trail" = [
      {
        # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
        Sid       = "TrailChecks"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = aws_s3_bucket.main["trail"].arn
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
      },
      {
        Sid       = "TrailWrites"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.main["trail"].arn}/AWSLogs/${local.account}/*"
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
      },
    ]
  }
}

resource "aws_s3_bucket_policy" "main" {
  for_each = local.buckets

  bucket = aws_s3_bucket.main[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Sid       = "TLS"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.main[each.key].arn, "${aws_s3_bucket.main[each.key].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }], local.bucket_writers[each.key])
  })

  depends_on = [aws_s3_bucket_public_access_block.main]
}

# -- what the backup bucket holds from the start -----------------------------------------------------------------------

# The authorities of the databases' certificates, which the functions trust and nothing else.
resource "aws_s3_object" "database_authorities" {
  bucket       = aws_s3_bucket.main["backups"].id
  key          = "trust/database.pem"
  content      = file("${path.module}/files/database-authorities-${var.region}.pem")
  content_type = "application/x-pem-file"
  kms_key_id   = aws_kms_key.main["backup"].arn

  depends_on = [aws_s3_bucket_server_side_encryption_configuration.main, aws_s3_bucket_versioning.main]
}
