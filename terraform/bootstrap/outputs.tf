output "state_bucket" {
  description = "For `terraform init -backend-config=bucket=…` of the environments."
  value       = aws_s3_bucket.state.bucket
}

output "repository_url" {
  description = "Where images are pushed to."
  value       = aws_ecr_repository.main.repository_url
}
