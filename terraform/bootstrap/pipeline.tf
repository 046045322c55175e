# How GitHub's workflows log in: its identity provider, and a role for each job that .github/workflows/ has
# (docs/pipeline.md). Nothing of it unless github_repository is set.
#
# A role's trust names the repository and one environment of it, so what GitHub asks for that environment (reviewers, the
# branch) stands before the role, and no other job gets it:
# https://docs.github.com/en/actions/security-for-github-actions/security-hardening-your-deployments/configuring-openid-connect-in-amazon-web-services

locals {
  github       = "token.actions.githubusercontent.com"
  github_arn   = "arn:${local.partition}:iam::${local.account}:oidc-provider/${local.github}"
  environments = var.github_repository == null ? toset([]) : var.environments

  # The environment of the platform, the environment in GitHub, and what the role may (pipeline_policies.tf).
  pipeline_roles = merge(
    { for name in local.environments : "plan-${name}" => { environment = name, job = "${name}-plan" } },
    { for name in local.environments : "apply-${name}" => { environment = name, job = name } },
    { for name in local.environments : "release-${name}" => { environment = name, job = name } },
    # Staging is where the pipelines rehearse a disaster.
    { for name in setintersection(local.environments, ["staging"]) : "verify-${name}" => { environment = name, job = "${name}-verify" } },
  )
}

# Without a thumbprint: GitHub's certificate is of a public authority, which IAM knows.
resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository != null && var.create_github_provider ? 1 : 0

  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "pipeline" {
  for_each = local.pipeline_roles

  # None of them is of an environment's own (<service>-<environment>-…), which the role that applies may change.
  name        = "${var.service}-pipeline-${each.key}"
  description = "GitHub's environment ${each.value.job} of ${var.github_repository}"

  # As long as the longest job: role-duration-seconds of the workflows.
  max_session_duration = 7200

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "GitHub"
      Effect    = "Allow"
      Principal = { Federated = local.github_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.github}:aud" = "sts.amazonaws.com"
          "${local.github}:sub" = "repo:${var.github_repository}:environment:${each.value.job}"
        }
      }
    }]
  })

  depends_on = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_role_policy" "pipeline" {
  for_each = local.pipeline_roles

  name   = "pipeline"
  role   = aws_iam_role.pipeline[each.key].name
  policy = local.pipeline_policies[each.key]
}
