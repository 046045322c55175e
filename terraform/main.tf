# The platform of one service in one environment. Names follow from the two: <service>-<environment>.

terraform {
  # 1.11: the S3 backend locks the state by itself (use_lockfile), without a DynamoDB table.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.62"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_availability_zones" "available" {
  state = "available"

  # Local Zones have no NAT gateways and no RDS.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  name      = "${var.service}-${var.environment}"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  zones     = slice(data.aws_availability_zones.available.names, 0, 3)

  # The service's role in the database, which scripts/database-roles.sql makes.
  database_user = replace(var.service, "-", "_")

  tags = merge(var.tags, {
    Service     = var.service
    Environment = var.environment
    ManagedBy   = "terraform"
  })
}
