"""The variables that say where each service of AWS is reached, which `ops` talks to."""

# Each service's own: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
ENDPOINT_VARIABLES = {
    "acm": "AWS_ENDPOINT_URL_ACM",
    "cloudformation": "AWS_ENDPOINT_URL_CLOUDFORMATION",
    "cloudwatch": "AWS_ENDPOINT_URL_CLOUDWATCH",
    "dynamodb": "AWS_ENDPOINT_URL_DYNAMODB",
    "eks": "AWS_ENDPOINT_URL_EKS",
    "elasticache": "AWS_ENDPOINT_URL_ELASTICACHE",
    "elbv2": "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
    "iam": "AWS_ENDPOINT_URL_IAM",
    "lambda": "AWS_ENDPOINT_URL_LAMBDA",
    "rds": "AWS_ENDPOINT_URL_RDS",
    "resourcegroupstaggingapi": "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API",
    "s3": "AWS_ENDPOINT_URL_S3",
    "service-quotas": "AWS_ENDPOINT_URL_SERVICE_QUOTAS",
    "sns": "AWS_ENDPOINT_URL_SNS",
    "ssm": "AWS_ENDPOINT_URL_SSM",
    "stepfunctions": "AWS_ENDPOINT_URL_SFN",
    "sts": "AWS_ENDPOINT_URL_STS",
}
