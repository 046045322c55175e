# What a variable refuses, each for its own reason. Run with environments/dev.tfvars.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }
}

run "an_environment_that_is_none" {
  command = plan
  variables { environment = "test" }
  expect_failures = [var.environment]
}

run "a_service_whose_name_is_too_long" {
  command = plan
  variables { service = "a-service-with-a-long-name" }
  expect_failures = [var.service]
}

run "a_network_of_another_size" {
  command = plan
  variables { vpc_cidr = "10.0.0.0/20" }
  expect_failures = [var.vpc_cidr]
}

run "kubernetes_out_of_support" {
  command = plan
  variables { kubernetes_version = "1.28" }
  expect_failures = [var.kubernetes_version]
}

run "an_api_server_open_to_the_world" {
  command = plan
  variables { cluster_public_access_cidrs = ["0.0.0.0/0"] }
  expect_failures = [var.cluster_public_access_cidrs]
}

run "postgresql_that_is_no_longer_created" {
  command = plan
  variables { database_version = "15.4" }
  expect_failures = [var.database_version]
}

run "a_database_without_backups" {
  command = plan
  variables { database_backup_days = 0 }
  expect_failures = [var.database_backup_days]
}

run "a_single_node" {
  command = plan
  variables { node_count = { min = 1, max = 5 } }
  expect_failures = [var.node_count]
}

run "a_login_without_encryption" {
  command = plan
  variables {
    cache_encryption = false
    cache_login      = true
  }
  expect_failures = [var.cache_login]
}

run "https_without_a_certificate" {
  command = plan
  variables {
    https       = true
    domain_name = "detection.example.com"
  }
  expect_failures = [var.https]
}

run "production_without_https" {
  command = plan
  variables { environment = "prod" }
  expect_failures = [var.https]
}

run "old_tls" {
  command = plan
  variables { tls_policy = "ELBSecurityPolicy-TLS-1-2-2017-01" }
  expect_failures = [var.tls_policy]
}

run "logs_for_a_time_that_cloudwatch_does_not_offer" {
  command = plan
  variables { log_retention_days = 10 }
  expect_failures = [var.log_retention_days]
}

# Not refused: what the specification wants in dev, and what a restore leaves behind.
run "a_cache_in_dev_without_encryption" {
  command = plan
  variables { cache_encryption = false }

  assert {
    condition     = !aws_elasticache_replication_group.main.transit_encryption_enabled
    error_message = "Encryption can be turned off in dev."
  }
}

run "a_login_at_the_cache" {
  command = plan
  variables { cache_login = true }

  assert {
    condition     = aws_ssm_parameter.contract["cache_user"].value == "detection-api-dev-ops" && aws_elasticache_user.main["default"].access_string == "off ~* -@all"
    error_message = "Functions sign in as a user of their own, and nobody without a login."
  }
}

run "a_database_that_a_restore_has_put_in_its_place" {
  command = plan
  variables { database_identifier = "detection-api-dev-r2611230942-ab12" }

  assert {
    condition     = aws_cloudwatch_metric_alarm.main["database-cpu"].dimensions["DBInstanceIdentifier"] == "detection-api-dev-r2611230942-ab12"
    error_message = "Alarms follow the live database."
  }
}
