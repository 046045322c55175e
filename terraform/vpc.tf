# VPC: three public subnets (load balancer, NAT), three private ones (nodes, database, cache, functions), over three zones.

resource "aws_vpc" "main" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = local.name }
}

# Nothing uses the default security group; without rules, whatever is put into it by mistake reaches nothing.
resource "aws_default_security_group" "unused" {
  vpc_id = aws_vpc.main.id

  tags = { Name = "${local.name}-unused" }
}

resource "aws_subnet" "public" {
  count = 3

  vpc_id            = aws_vpc.main.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 8, 101 + count.index)

  tags = {
    Name = "${local.name}-public-${substr(local.zones[count.index], -1, 1)}"
    # By these the load balancer controller finds subnets.
    "kubernetes.io/role/elb" = "1"
  }
}

resource "aws_subnet" "private" {
  count = 3

  vpc_id            = aws_vpc.main.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 8, 1 + count.index)

  tags = {
    Name                              = "${local.name}-private-${substr(local.zones[count.index], -1, 1)}"
    "kubernetes.io/role/internal-elb" = "1"
  }
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id

  tags = { Name = local.name }
}

# -- ways out ----------------------------------------------------------------------------------------------------------

resource "aws_eip" "nat" {
  count = var.nat_gateway_per_zone ? 3 : 1

  domain = "vpc"

  tags = { Name = "${local.name}-nat-${substr(local.zones[count.index], -1, 1)}" }
}

resource "aws_nat_gateway" "main" {
  count = var.nat_gateway_per_zone ? 3 : 1

  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.public[count.index].id

  tags = { Name = "${local.name}-${substr(local.zones[count.index], -1, 1)}" }

  depends_on = [aws_internet_gateway.main]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id

  tags = { Name = "${local.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main.id
}

resource "aws_route_table_association" "public" {
  count = 3

  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  count = 3

  vpc_id = aws_vpc.main.id

  tags = { Name = "${local.name}-private-${substr(local.zones[count.index], -1, 1)}" }
}

resource "aws_route" "nat" {
  count = 3

  route_table_id         = aws_route_table.private[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.main[var.nat_gateway_per_zone ? count.index : 0].id
}

resource "aws_route_table_association" "private" {
  count = 3

  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[count.index].id
}

# Backups, images' layers and the ledger do not pay for NAT: gateway endpoints cost nothing.
resource "aws_vpc_endpoint" "gateway" {
  for_each = toset(["s3", "dynamodb"])

  vpc_id            = aws_vpc.main.id
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${var.region}.${each.key}"
  route_table_ids   = aws_route_table.private[*].id

  tags = { Name = "${local.name}-${each.key}" }
}

# -- network ACLs ------------------------------------------------------------------------------------------------------
# The second line behind the security groups. An ACL knows no connections, so that answers need the ephemeral ports.

locals {
  anywhere = "0.0.0.0/0"

  # Rule number → what comes in from where, or goes out to where.
  public_acl = {
    inbound = {
      100 = { protocol = "-1", cidr = var.vpc_cidr, from = 0, to = 0 }
      110 = { protocol = "tcp", cidr = local.anywhere, from = 443, to = 443 }
      120 = { protocol = "tcp", cidr = local.anywhere, from = 80, to = 80 }
      130 = { protocol = "tcp", cidr = local.anywhere, from = 1024, to = 65535 }
    }
    outbound = {
      100 = { protocol = "-1", cidr = var.vpc_cidr, from = 0, to = 0 }
      110 = { protocol = "tcp", cidr = local.anywhere, from = 443, to = 443 }
      120 = { protocol = "tcp", cidr = local.anywhere, from = 80, to = 80 }
      130 = { protocol = "tcp", cidr = local.anywhere, from = 1024, to = 65535 }
    }
  }
  private_acl = {
    inbound = {
      100 = { protocol = "-1", cidr = var.vpc_cidr, from = 0, to = 0 }
      110 = { protocol = "tcp", cidr = local.anywhere, from = 1024, to = 65535 }
    }
    outbound = {
      100 = { protocol = "-1", cidr = var.vpc_cidr, from = 0, to = 0 }
      110 = { protocol = "tcp", cidr = local.anywhere, from = 443, to = 443 }
      120 = { protocol = "tcp", cidr = local.anywhere, from = 80, to = 80 }
    }
  }
}

resource "aws_network_acl" "public" {
  vpc_id     = aws_vpc.main.id
  subnet_ids = aws_subnet.public[*].id

  tags = { Name = "${local.name}-public" }
}

resource "aws_network_acl_rule" "public_inbound" {
  for_each = local.public_acl.inbound

  network_acl_id = aws_network_acl.public.id
  rule_number    = each.key
  egress         = false
  rule_action    = "allow"
  protocol       = each.value.protocol
  cidr_block     = each.value.cidr
  from_port      = each.value.from
  to_port        = each.value.to
}

resource "aws_network_acl_rule" "public_outbound" {
  for_each = local.public_acl.outbound

  network_acl_id = aws_network_acl.public.id
  rule_number    = each.key
  egress         = true
  rule_action    = "allow"
  protocol       = each.value.protocol
  cidr_block     = each.value.cidr
  from_port      = each.value.from
  to_port        = each.value.to
}

resource "aws_network_acl" "private" {
  vpc_id     = aws_vpc.main.id
  subnet_ids = aws_subnet.private[*].id

  tags = { Name = "${local.name}-private" }
}

resource "aws_network_acl_rule" "private_inbound" {
  for_each = local.private_acl.inbound

  network_acl_id = aws_network_acl.private.id
  rule_number    = each.key
  egress         = false
  rule_action    = "allow"
  protocol       = each.value.protocol
  cidr_block     = each.value.cidr
  from_port      = each.value.from
  to_port        = each.value.to
}

resource "aws_network_acl_rule" "private_outbound" {
  for_each = local.private_acl.outbound

  network_acl_id = aws_network_acl.private.id
  rule_number    = each.key
  egress         = true
  rule_action    = "allow"
  protocol       = each.value.protocol
  cidr_block     = each.value.cidr
  from_port      = each.value.from
  to_port        = each.value.to
}

# -- flow logs ---------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/aws/vpc/${local.name}/flow"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main["logs"].arn
}

resource "aws_flow_log" "main" {
  vpc_id                   = aws_vpc.main.id
  traffic_type             = "ALL"
  log_destination_type     = "cloud-watch-logs"
  log_destination          = aws_cloudwatch_log_group.flow.arn
  iam_role_arn             = aws_iam_role.flow.arn
  max_aggregation_interval = var.detailed_monitoring ? 60 : 600

  tags = { Name = local.name }
}

resource "aws_iam_role" "flow" {
  name        = "${local.name}-flow-logs"
  description = "VPC flow logs write to their log group"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "FlowLogs"
      Effect    = "Allow"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "flow" {
  name = "write-flow-logs"
  role = aws_iam_role.flow.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "WriteFlowLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.flow.arn}:*"
    }]
  })
}
