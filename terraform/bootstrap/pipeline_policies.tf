# What each role of the pipelines may do. `plan` reads descriptions and no data; `release` and `verify` start workflows
# and follow them; `apply` changes one environment: whole services where AWS has no names to go by, else what begins
# with the environment's name. It makes roles, so it can do whatever a role can: its reviewers are what bounds it.

locals {
  pipeline_policies = {
    for key, role in local.pipeline_roles : key => jsonencode({
      Version   = "2012-10-17"
      Statement = local.pipeline_statements[split("-", key)[0]][role.environment]
    })
  }
  pipeline_statements = {
    plan    = { for name in local.environments : name => concat(local.reading[name], local.state_reading[name]) }
    apply   = { for name in local.environments : name => concat(local.applying[name], local.looking[name]) }
    release = { for name in local.environments : name => concat(local.starting[name].release, local.following[name]) }
    verify  = { for name in local.environments : name => concat(local.starting[name].verify, local.following[name], local.proving[name]) }
  }

  # Of resources of an environment: arn:partition:service:region:account:<what>
  own = { for service in ["dynamodb", "events", "lambda", "scheduler", "sns", "sqs", "ssm", "states", "cloudformation", "ecr", "kms"] :
    service => "arn:${local.partition}:${service}:${var.region}:${local.account}"
  }
  iam       = "arn:${local.partition}:iam::${local.account}"
  s3        = "arn:${local.partition}:s3:::"
  state_arn = "arn:${local.partition}:s3:::${var.service}-terraform-state-${local.account}"
  names     = { for name in local.environments : name => "${var.service}-${name}" }

  # -- plan ------------------------------------------------------------------------------------------------------------

  reading = { for name in local.environments : name => [
    {
      # These services know no resources for Describe and List, or Terraform asks for all of them.
      Sid    = "Descriptions"
      Effect = "Allow"
      Action = [
        "acm:DescribeCertificate", "acm:ListTagsForCertificate",
        "autoscaling:Describe*",
        "cloudtrail:DescribeTrails", "cloudtrail:GetEventSelectors", "cloudtrail:GetInsightSelectors",
        "cloudtrail:GetTrail", "cloudtrail:GetTrailStatus", "cloudtrail:ListTags",
        "cloudwatch:DescribeAlarms", "cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource",
        "ec2:Describe*",
        "ecr:DescribeRepositories", "ecr:ListTagsForResource",
        "eks:Describe*", "eks:List*",
        "elasticache:Describe*", "elasticache:ListTagsForResource",
        "elasticfilesystem:Describe*", "elasticfilesystem:ListTagsForResource",
        "elasticloadbalancing:Describe*",
        "iam:ListOpenIDConnectProviders",
        "kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListResourceTags",
        "logs:DescribeLogGroups", "logs:ListTagsForResource", "logs:ListTagsLogGroup",
        "rds:Describe*", "rds:ListTagsForResource",
        "route53:GetChange", "route53:GetHostedZone", "route53:ListHostedZones", "route53:ListResourceRecordSets",
        "ssm:DescribeParameters",
      ]
      Resource = "*"
    },
    {
      Sid      = "Roles"
      Effect   = "Allow"
      Action   = ["iam:Get*", "iam:List*"]
      Resource = ["${local.iam}:role/${local.names[name]}-*", "${local.iam}:oidc-provider/oidc.eks.${var.region}.amazonaws.com/*"]
    },
    {
      Sid      = "Parameters"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter", "ssm:GetParameters", "ssm:ListTagsForResource"]
      Resource = "${local.own.ssm}:parameter/${var.service}/${name}/*"
    },
    {
      Sid    = "Buckets"
      Effect = "Allow"
      Action = [
        "s3:GetAccelerateConfiguration", "s3:GetBucket*", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
        "s3:GetReplicationConfiguration", "s3:ListBucket", "s3:ListTagsForResource",
      ]
      Resource = "${local.s3}${local.names[name]}-*"
    },
    {
      # The one object that Terraform writes; HEAD asks for the right to read.
      Sid      = "Authorities"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectTagging"]
      Resource = "${local.s3}${local.names[name]}-backups-${local.account}/trust/database.pem"
    },
  ] }

  state_reading = { for name in local.environments : name => [
    {
      Sid      = "State"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "${local.state_arn}/${name}/*"
    },
    {
      Sid      = "StateBucket"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = local.state_arn
    },
  ] }

  # -- apply -----------------------------------------------------------------------------------------------------------

  applying = { for name in local.environments : name => [
    {
      # What these make is known by an id that AWS chooses, or named in calls that know no resource.
      Sid    = "Platform"
      Effect = "Allow"
      Action = [
        "acm:*", "autoscaling:*", "cloudtrail:*", "cloudwatch:*", "ec2:*", "eks:*", "elasticache:*", "elasticfilesystem:*",
        "elasticloadbalancing:*", "kms:*", "logs:*", "rds:*",
      ]
      Resource  = "*"
      Condition = { StringEquals = { "aws:RequestedRegion" = var.region } }
    },
    {
      Sid    = "Named"
      Effect = "Allow"
      Action = ["dynamodb:*", "events:*", "lambda:*", "s3:*", "scheduler:*", "sns:*", "sqs:*", "ssm:*", "states:*"]
      Resource = [
        "${local.own.dynamodb}:table/${local.names[name]}-*",
        "${local.own.events}:rule/${local.names[name]}-*",
        "${local.own.lambda}:function:${local.names[name]}-*",
        "${local.own.lambda}:layer:${local.names[name]}-*",
        "${local.s3}${local.names[name]}-*",
        "${local.own.scheduler}:schedule/default/${local.names[name]}-*",
        "${local.own.sns}:${local.names[name]}-*",
        "${local.own.sqs}:${local.names[name]}-*",
        "${local.own.ssm}:parameter/${var.service}/${name}/*",
        "${local.own.states}:stateMachine:${local.names[name]}-*",
        "${local.own.states}:execution:${local.names[name]}-*",
      ]
    },
    {
      Sid      = "State"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      Resource = "${local.state_arn}/${name}/*"
    },
    {
      # What SAM builds goes into a bucket of its own stack; both are made by the first deployment.
      Sid    = "Stack"
      Effect = "Allow"
      Action = ["cloudformation:*", "s3:*"]
      Resource = [
        "${local.own.cloudformation}:stack/${local.names[name]}-automation/*",
        "${local.own.cloudformation}:stack/aws-sam-cli-managed-default/*",
        "arn:${local.partition}:cloudformation:${var.region}:aws:transform/Serverless-2016-10-31",
        "${local.s3}aws-sam-cli-managed-default-*",
      ]
    },
    {
      Sid    = "Roles"
      Effect = "Allow"
      Action = [
        "iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy",
        "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole",
        "iam:ListRolePolicies", "iam:ListRoleTags", "iam:PutRolePolicy", "iam:TagRole", "iam:UntagRole",
        "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
      ]
      Resource = "${local.iam}:role/${local.names[name]}-*"
    },
    {
      Sid      = "PassRoles"
      Effect   = "Allow"
      Action   = "iam:PassRole"
      Resource = "${local.iam}:role/${local.names[name]}-*"
      Condition = { StringEquals = { "iam:PassedToService" = [
        "cloudtrail.amazonaws.com", "ec2.amazonaws.com", "eks.amazonaws.com", "events.amazonaws.com", "lambda.amazonaws.com",
        "monitoring.rds.amazonaws.com", "scheduler.amazonaws.com", "states.amazonaws.com", "vpc-flow-logs.amazonaws.com",
      ] } }
    },
    {
      Sid      = "ServiceLinkedRoles"
      Effect   = "Allow"
      Action   = "iam:CreateServiceLinkedRole"
      Resource = "${local.iam}:role/aws-service-role/*"
      Condition = { StringEquals = { "iam:AWSServiceName" = [
        "autoscaling.amazonaws.com", "eks-nodegroup.amazonaws.com", "eks.amazonaws.com", "elasticache.amazonaws.com",
        "elasticfilesystem.amazonaws.com", "elasticloadbalancing.amazonaws.com", "rds.amazonaws.com", "spot.amazonaws.com",
      ] } }
    },
    {
      Sid    = "PodsProvider"
      Effect = "Allow"
      Action = [
        "iam:CreateOpenIDConnectProvider", "iam:DeleteOpenIDConnectProvider", "iam:GetOpenIDConnectProvider",
        "iam:TagOpenIDConnectProvider", "iam:UntagOpenIDConnectProvider", "iam:UpdateOpenIDConnectProviderThumbprint",
      ]
      Resource = "${local.iam}:oidc-provider/oidc.eks.${var.region}.amazonaws.com/*"
    },
    {
      Sid      = "Records"
      Effect   = "Allow"
      Action   = "route53:ChangeResourceRecordSets"
      Resource = "arn:${local.partition}:route53:::hostedzone/*"
    },
    {
      # The password that RDS makes and keeps by itself.
      Sid      = "DatabaseSecret"
      Effect   = "Allow"
      Action   = ["secretsmanager:CreateSecret", "secretsmanager:TagResource"]
      Resource = "arn:${local.partition}:secretsmanager:${var.region}:${local.account}:secret:rds!*"
    },
  ] }

  # Before and after: `ops preflight`, and what SAM and Terraform ask without a resource to ask it of.
  looking = { for name in local.environments : name => [
    {
      Sid    = "Look"
      Effect = "Allow"
      Action = [
        "cloudformation:GetTemplateSummary", "cloudformation:ValidateTemplate",
        "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:ListTagsForResource",
        "events:ListRules", "iam:ListOpenIDConnectProviders", "lambda:GetAccountSettings", "lambda:ListFunctions",
        "route53:GetChange", "route53:GetHostedZone", "route53:ListHostedZones", "route53:ListResourceRecordSets",
        "servicequotas:ListServiceQuotas", "sns:ListTopics", "ssm:DescribeParameters", "states:ListStateMachines",
        "states:ValidateStateMachineDefinition", "tag:GetResources",
      ]
      Resource = "*"
    },
    {
      Sid      = "StateBucket"
      Effect   = "Allow"
      Action   = ["s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:ListBucket"]
      Resource = local.state_arn
    },
    {
      Sid      = "Cluster"
      Effect   = "Allow"
      Action   = "sts:AssumeRole"
      Resource = "${local.iam}:role/${local.names[name]}-cluster-operator"
    },
  ] }

  # -- release and verify ----------------------------------------------------------------------------------------------

  starting = { for name in local.environments : name => {
    for role, workflows in { release = ["release"], verify = ["snapshot", "drill", "objectives"] } : role => [{
      Sid      = "Start"
      Effect   = "Allow"
      Action   = "states:StartExecution"
      Resource = [for workflow in workflows : "${local.own.states}:stateMachine:${local.names[name]}-${workflow}"]
    }]
  } }

  following = { for name in local.environments : name => [
    {
      Sid      = "Follow"
      Effect   = "Allow"
      Action   = ["states:DescribeExecution", "states:GetExecutionHistory"]
      Resource = "${local.own.states}:execution:${local.names[name]}-*"
    },
    {
      Sid      = "Ledger"
      Effect   = "Allow"
      Action   = ["dynamodb:GetItem", "dynamodb:Query"]
      Resource = "${local.own.dynamodb}:table/${local.names[name]}-ledger"
    },
    {
      Sid      = "Contract"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter", "ssm:GetParametersByPath"]
      Resource = "${local.own.ssm}:parameter/${var.service}/${name}/*"
    },
  ] }

  proving = { for name in local.environments : name => [
    {
      Sid      = "Evidence"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions"]
      Resource = flatten([for kind in ["backups", "evidence"] : [for end in ["", "/*"] : "${local.s3}${local.names[name]}-${kind}-${local.account}${end}"]])
    },
    {
      Sid       = "BackupKey"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = "${local.own.kms}:key/*"
      Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/${local.names[name]}-backup" } }
    },
    {
      # Where the log of the database ends, as `ops backups` says; these two know no resource worth naming.
      Sid      = "Moments"
      Effect   = "Allow"
      Action   = ["rds:DescribeDBInstances", "rds:DescribeDBSnapshots", "rds:DescribeDBInstanceAutomatedBackups"]
      Resource = "*"
    },
  ] }
}
