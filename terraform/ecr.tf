# The repository that images come from. It outlives environments and serves all of an account's, so that what was tried
# in one is, byte for byte, what goes to the next: terraform/bootstrap makes it.

data "aws_ecr_repository" "main" {
  name = var.service
}
