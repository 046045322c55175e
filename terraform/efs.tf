# The write queue: a file system that all pods of both colours mount, so that whichever pod is left drains the queue.

resource "aws_efs_file_system" "queue" {
  creation_token  = "${local.name}-queue"
  encrypted       = true
  kms_key_id      = aws_kms_key.main["cluster"].arn
  throughput_mode = "elastic"

  tags = { Name = "${local.name}-queue" }
}

resource "aws_efs_mount_target" "queue" {
  count = 3

  file_system_id  = aws_efs_file_system.queue.id
  subnet_id       = aws_subnet.private[count.index].id
  security_groups = [aws_security_group.queue.id]
}

resource "aws_efs_access_point" "queue" {
  file_system_id = aws_efs_file_system.queue.id

  # The user and group that the pods run as.
  posix_user {
    uid = 10001
    gid = 10001
  }

  root_directory {
    path = "/queue"

    creation_info {
      owner_uid   = 10001
      owner_gid   = 10001
      permissions = "750"
    }
  }

  tags = { Name = "${local.name}-queue" }
}

# Only through the access point, and only encrypted.
resource "aws_efs_file_system_policy" "queue" {
  file_system_id = aws_efs_file_system.queue.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "MountThroughAccessPoint"
        Effect    = "Allow"
        Principal = { AWS = "*" }
        Action    = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource  = aws_efs_file_system.queue.arn
        Condition = {
          Bool         = { "elasticfilesystem:AccessedViaMountTarget" = "true" }
          StringEquals = { "elasticfilesystem:AccessPointArn" = aws_efs_access_point.queue.arn }
        }
      },
      {
        Sid       = "TLS"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "*"
        Resource  = aws_efs_file_system.queue.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
