"""A provider for tests, which Terraform takes for the AWS provider: its schema, and nothing behind it."""
