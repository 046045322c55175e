# Who may talk to whom. Each rule names the two sides; only the load balancer is open to clients.
#
# Nodes are in two groups: the cluster's own, which EKS makes (nodes and control plane among themselves, and the way
# out), and `nodes` here, by which others refer to them.

resource "aws_security_group" "alb" {
  name        = "${local.name}-alb"
  description = "Clients of the service"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-alb" }
}

resource "aws_vpc_security_group_ingress_rule" "alb" {
  for_each = { for pair in setproduct(var.https ? [80, 443] : [80], var.client_cidrs) : "${pair[0]} ${pair[1]}" => pair }

  security_group_id = aws_security_group.alb.id
  description       = each.value[0] == 443 ? "Clients, HTTPS" : var.https ? "Clients, redirected to HTTPS" : "Clients, HTTP"
  ip_protocol       = "tcp"
  from_port         = each.value[0]
  to_port           = each.value[0]
  cidr_ipv4         = each.value[1]
}

resource "aws_vpc_security_group_egress_rule" "alb_to_nodes" {
  security_group_id            = aws_security_group.alb.id
  description                  = "Pods of the service"
  ip_protocol                  = "tcp"
  from_port                    = local.application_port
  to_port                      = local.application_port
  referenced_security_group_id = aws_security_group.nodes.id
}

resource "aws_security_group" "nodes" {
  name        = "${local.name}-nodes"
  description = "Nodes of the cluster, and their pods"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-nodes" }
}

resource "aws_vpc_security_group_ingress_rule" "nodes_from_alb" {
  security_group_id            = aws_security_group.nodes.id
  description                  = "Requests and health checks of the load balancer"
  ip_protocol                  = "tcp"
  from_port                    = local.application_port
  to_port                      = local.application_port
  referenced_security_group_id = aws_security_group.alb.id
}

# -- functions ---------------------------------------------------------------------------------------------------------

resource "aws_security_group" "functions" {
  name        = "${local.name}-functions"
  description = "Steps of the workflows that reach the cluster, the database or the cache"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-functions" }
}

resource "aws_vpc_security_group_egress_rule" "functions_to_aws" {
  security_group_id = aws_security_group.functions.id
  description       = "AWS APIs (no fixed addresses), the API of the cluster, the service through its load balancer"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = local.anywhere
}

resource "aws_vpc_security_group_egress_rule" "functions_to_service" {
  count = var.https ? 0 : 1

  security_group_id = aws_security_group.functions.id
  description       = "The service through its load balancer"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  cidr_ipv4         = local.anywhere
}

resource "aws_vpc_security_group_ingress_rule" "cluster_from_functions" {
  security_group_id            = aws_eks_cluster.main.vpc_config[0].cluster_security_group_id
  description                  = "Steps of the workflows, at the API"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.functions.id
}

# -- stores ------------------------------------------------------------------------------------------------------------

resource "aws_security_group" "database" {
  name        = "${local.name}-database"
  description = "The database"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-database" }
}

resource "aws_security_group" "redis" {
  name        = "${local.name}-redis"
  description = "The cache"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-redis" }
}

resource "aws_security_group" "queue" {
  name        = "${local.name}-queue"
  description = "The file system of the write queue"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-queue" }
}

# Where drills restore to: the functions reach it, and nothing else; it reaches nothing.
resource "aws_security_group" "drill" {
  name        = "${local.name}-drill"
  description = "What drills restore"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-drill" }
}

locals {
  application_port = 8000
  database_port    = 5432
  cache_port       = 6379
  nfs_port         = 2049

  # Client and store → the port. Each pair has a rule on either side.
  store_clients = {
    "nodes database"     = { port = local.database_port, from = aws_security_group.nodes.id, to = aws_security_group.database.id }
    "nodes redis"        = { port = local.cache_port, from = aws_security_group.nodes.id, to = aws_security_group.redis.id }
    "nodes queue"        = { port = local.nfs_port, from = aws_security_group.nodes.id, to = aws_security_group.queue.id }
    "functions database" = { port = local.database_port, from = aws_security_group.functions.id, to = aws_security_group.database.id }
    "functions redis"    = { port = local.cache_port, from = aws_security_group.functions.id, to = aws_security_group.redis.id }
    "functions drill"    = { port = local.database_port, from = aws_security_group.functions.id, to = aws_security_group.drill.id }
    "functions copies"   = { port = local.cache_port, from = aws_security_group.functions.id, to = aws_security_group.drill.id }
  }
}

resource "aws_vpc_security_group_ingress_rule" "store" {
  for_each = local.store_clients

  security_group_id            = each.value.to
  description                  = "From ${split(" ", each.key)[0]}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = each.value.from
}

resource "aws_vpc_security_group_egress_rule" "store" {
  for_each = local.store_clients

  security_group_id            = each.value.from
  description                  = "To ${split(" ", each.key)[1]}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = each.value.to
}
