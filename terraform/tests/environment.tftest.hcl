# What holds in every environment, and what each one differs in. Run for each of them with its own variables:
#
#   terraform test -var-file=environments/dev.tfvars
#
# AWS is mocked, so no account is needed; `make test-infrastructure` runs it without the provider, too.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"] }
  }
}

run "network" {
  command = plan

  assert {
    condition     = length(aws_subnet.public) == 3 && length(aws_subnet.private) == 3
    error_message = "Three public and three private subnets."
  }

  assert {
    condition     = length(distinct(aws_subnet.private[*].availability_zone)) == 3
    error_message = "A private subnet in each of three zones."
  }

  assert {
    condition     = length(aws_nat_gateway.main) == (var.environment == "dev" ? 1 : 3)
    error_message = "A NAT gateway in each zone; in dev a single one."
  }
}

run "names_follow_from_service_and_environment" {
  command = plan

  assert {
    condition = alltrue([
      aws_eks_cluster.main.name == "detection-api-${var.environment}",
      aws_db_instance.main.identifier == "detection-api-${var.environment}",
      aws_elasticache_replication_group.main.replication_group_id == "detection-api-${var.environment}",
      aws_lb.main.name == "detection-api-${var.environment}",
      aws_s3_bucket.main["backups"].bucket == "detection-api-${var.environment}-backups-123456789012",
    ])
    error_message = "Policies of the automation stack go by these names."
  }
}

run "data_is_encrypted_and_backed_up" {
  command = plan

  assert {
    condition     = aws_db_instance.main.storage_encrypted && aws_elasticache_replication_group.main.transit_encryption_enabled
    error_message = "Database and cache are encrypted."
  }

  assert {
    condition     = aws_db_instance.main.backup_retention_period == { dev = 7, staging = 14, prod = 30 }[var.environment]
    error_message = "7, 14 and 30 days of backups."
  }

  assert {
    condition     = aws_db_instance.main.multi_az == (var.environment != "dev")
    error_message = "A standby, but in dev."
  }

  assert {
    condition     = length(aws_db_instance.replica) == (var.environment == "prod" ? 1 : 0)
    error_message = "A read replica in production, and nowhere else."
  }
}

run "production_is_protected" {
  command = plan

  assert {
    condition = alltrue([
      for protected in [aws_db_instance.main.deletion_protection, aws_lb.main.enable_deletion_protection, aws_eks_cluster.main.deletion_protection] :
      protected == (var.environment == "prod")
    ])
    error_message = "Production's database, load balancer and cluster cannot be deleted."
  }
}

run "the_contract_is_complete" {
  command = plan

  assert {
    condition     = length(aws_ssm_parameter.contract) == length(local.contract)
    error_message = "Every parameter of the contract is written."
  }

  assert {
    condition     = aws_ssm_parameter.contract["terraform_state_key"].value == "${var.environment}/platform.tfstate"
    error_message = "The state is where environments/*.tfbackend puts it."
  }
}
