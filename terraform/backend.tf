# The state: encrypted, versioned, and locked by a file beside it. The bucket is of terraform/bootstrap; which one it
# is, and the environment's key in it, is said at init, because a backend knows no variables (SERVICE: var.service):
#
#   terraform init -backend-config=environments/dev.tfbackend \
#     -backend-config="bucket=$SERVICE-terraform-state-$(aws sts get-caller-identity --query Account --output text)"
terraform {
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
