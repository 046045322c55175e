output "state_bucket" {
  description = "For `terraform init -backend-config=bucket=…` of the environments."
  value       = aws_s3_bucket.state.bucket
}

output "repository_url" {
  description = "Where images are pushed to."
  value       = aws_ecr_repository.main.repository_url
}

output "github_variables" {
  description = "Variables to set in each environment of the repository (docs/pipeline.md)."
  value = {
    for job in distinct([for role in local.pipeline_roles : role.job]) : job => {
      for key, role in local.pipeline_roles :
      startswith(key, "release-") ? "AWS_RELEASE_ROLE_ARN" : "AWS_ROLE_ARN" => aws_iam_role.pipeline[key].arn
      if role.job == job
    }
  }
}
