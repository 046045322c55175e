# The load balancer: a target group for each colour, the live listener, whose weights are the releases', and a fixed way
# to either colour by a header.

locals {
  colours = ["blue", "green"]
  # Until the first release.
  first_weights = { blue = 100, green = 0 }

  certificate  = !var.https ? null : var.certificate_arn != null ? var.certificate_arn : one(aws_acm_certificate_validation.main[*].certificate_arn)
  service_url  = var.https ? "https://${var.domain_name}" : "http://${var.domain_name != null ? var.domain_name : aws_lb.main.dns_name}"
  listener_arn = var.https ? aws_lb_listener.https[0].arn : aws_lb_listener.http[0].arn
}

resource "aws_lb" "main" {
  name               = local.name
  load_balancer_type = "application"
  internal           = false
  subnets            = aws_subnet.public[*].id
  security_groups    = [aws_security_group.alb.id]

  idle_timeout               = 60
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "defensive"
  enable_deletion_protection = var.deletion_protection

  access_logs {
    bucket  = aws_s3_bucket.main["access-logs"].bucket
    enabled = true
  }

  # The balancer tests at once whether it may write there.
  depends_on = [aws_s3_bucket_policy.main]
}

resource "aws_lb_target_group" "main" {
  for_each = toset(local.colours)

  name        = "${local.name}-${each.key}"
  vpc_id      = aws_vpc.main.id
  target_type = "ip"
  protocol    = "HTTP"
  port        = local.application_port

  deregistration_delay = var.deregistration_seconds

  health_check {
    path                = "/health"
    protocol            = "HTTP"
    matcher             = "200"
    interval            = var.health_check_seconds
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  # Clients that stick to a colour would not follow the weights.
  stickiness {
    type    = "lb_cookie"
    enabled = false
  }

  tags = { Colour = each.key }

  lifecycle {
    precondition {
      condition     = length("${local.name}-green") <= 32
      error_message = "A target group's name has at most 32 characters: ${local.name}-green is longer."
    }
  }
}

# -- listeners ---------------------------------------------------------------------------------------------------------

# The live one, where there is HTTPS.
resource "aws_lb_listener" "https" {
  count = var.https ? 1 : 0

  load_balancer_arn = aws_lb.main.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = var.tls_policy
  certificate_arn   = local.certificate

  default_action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = local.first_weights

        content {
          arn    = aws_lb_target_group.main[target_group.key].arn
          weight = target_group.value
        }
      }

      stickiness {
        enabled  = false
        duration = 1
      }
    }
  }

  lifecycle {
    # Weights are the releases'.
    ignore_changes = [default_action]
  }
}

resource "aws_lb_listener" "redirect" {
  count = var.https ? 1 : 0

  load_balancer_arn = aws_lb.main.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

# The live one, where there is no HTTPS.
resource "aws_lb_listener" "http" {
  count = var.https ? 0 : 1

  load_balancer_arn = aws_lb.main.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = local.first_weights

        content {
          arn    = aws_lb_target_group.main[target_group.key].arn
          weight = target_group.value
        }
      }

      stickiness {
        enabled  = false
        duration = 1
      }
    }
  }

  lifecycle {
    # Weights are the releases'.
    ignore_changes = [default_action]
  }
}

# Smoke tests reach the idle colour through the balancer that clients use.
resource "aws_lb_listener_rule" "test" {
  for_each = toset(local.colours)

  listener_arn = local.listener_arn
  priority     = index(local.colours, each.key) + 1

  condition {
    http_header {
      http_header_name = var.test_header
      values           = [each.key]
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.main[each.key].arn
  }

  tags = { Colour = each.key }
}

# -- name and certificate ----------------------------------------------------------------------------------------------

resource "aws_acm_certificate" "main" {
  count = var.https && var.certificate_arn == null ? 1 : 0

  domain_name       = var.domain_name
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "certificate" {
  count = length(aws_acm_certificate.main)

  zone_id         = var.hosted_zone_id
  name            = one(aws_acm_certificate.main[0].domain_validation_options).resource_record_name
  type            = one(aws_acm_certificate.main[0].domain_validation_options).resource_record_type
  records         = [one(aws_acm_certificate.main[0].domain_validation_options).resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "main" {
  count = length(aws_acm_certificate.main)

  certificate_arn         = aws_acm_certificate.main[0].arn
  validation_record_fqdns = [aws_route53_record.certificate[0].fqdn]
}

resource "aws_route53_record" "service" {
  count = var.hosted_zone_id != null && var.domain_name != null ? 1 : 0

  zone_id = var.hosted_zone_id
  name    = var.domain_name
  type    = "A"

  alias {
    name                   = aws_lb.main.dns_name
    zone_id                = aws_lb.main.zone_id
    evaluate_target_health = false
  }
}
