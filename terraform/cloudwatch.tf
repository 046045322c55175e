# Log groups of the service, alarms, dashboard.

resource "aws_cloudwatch_log_group" "application" {
  name              = "/aws/application/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main["logs"].arn
}

# -- alarms ------------------------------------------------------------------------------------------------------------

locals {
  # The automation stack's topic. It need not be there yet: an alarm whose topic is missing fires all the same.
  operations_topic = "arn:${local.partition}:sns:${var.region}:${local.account}:${local.name}-operations"

  load_balancer = { LoadBalancer = aws_lb.main.arn_suffix }

  # Each over five minutes. `about` is the resource that a repair would touch.
  alarms = {
    "eks-cpu" = {
      description = "The nodes use more than 80 % of their CPU"
      about       = aws_eks_cluster.main.arn
      namespace   = "ContainerInsights", metric = "node_cpu_utilization"
      dimensions  = { ClusterName = aws_eks_cluster.main.name }
      statistic   = "Average", comparison = "GreaterThanThreshold", threshold = 80
    }
    "eks-memory" = {
      description = "The nodes use more than 85 % of their memory"
      about       = aws_eks_cluster.main.arn
      namespace   = "ContainerInsights", metric = "node_memory_utilization"
      dimensions  = { ClusterName = aws_eks_cluster.main.name }
      statistic   = "Average", comparison = "GreaterThanThreshold", threshold = 85
    }
    "database-cpu" = {
      description = "The database uses more than 70 % of its CPU"
      about       = aws_db_instance.main.arn
      namespace   = "AWS/RDS", metric = "CPUUtilization"
      dimensions  = { DBInstanceIdentifier = local.database }
      statistic   = "Average", comparison = "GreaterThanThreshold", threshold = 70
    }
    "database-connections" = {
      description = "More than 150 of the database's 200 connections are in use"
      about       = aws_db_instance.main.arn
      namespace   = "AWS/RDS", metric = "DatabaseConnections"
      dimensions  = { DBInstanceIdentifier = local.database }
      statistic   = "Average", comparison = "GreaterThanThreshold", threshold = 150
    }
    "alb-response-time" = {
      description = "Responses take more than a second on average"
      about       = aws_lb.main.arn
      namespace   = "AWS/ApplicationELB", metric = "TargetResponseTime"
      dimensions  = local.load_balancer
      statistic   = "Average", comparison = "GreaterThanThreshold", threshold = 1
    }
    # During a release the idle colour's new pods count as unhealthy until they pass their checks. These two inform, but
    # stop no release.
    "alb-unhealthy-hosts-blue" = {
      description = "A target of the blue colour is unhealthy"
      about       = aws_lb_target_group.main["blue"].arn
      namespace   = "AWS/ApplicationELB", metric = "UnHealthyHostCount"
      dimensions  = merge(local.load_balancer, { TargetGroup = aws_lb_target_group.main["blue"].arn_suffix })
      statistic   = "Average", comparison = "GreaterThanOrEqualToThreshold", threshold = 1
    }
    "alb-unhealthy-hosts-green" = {
      description = "A target of the green colour is unhealthy"
      about       = aws_lb_target_group.main["green"].arn
      namespace   = "AWS/ApplicationELB", metric = "UnHealthyHostCount"
      dimensions  = merge(local.load_balancer, { TargetGroup = aws_lb_target_group.main["green"].arn_suffix })
      statistic   = "Average", comparison = "GreaterThanOrEqualToThreshold", threshold = 1
    }
  }

  # ElastiCache has metrics for each node: an alarm over all of them.
  cache_alarms = {
    "cache-evictions" = {
      description = "The cache evicted more than 100 keys in five minutes"
      metric      = "Evictions", statistic = "Sum", over_nodes = "SUM", threshold = 100
    }
    "cache-cpu" = {
      description = "A node of the cache uses more than 75 % of its CPU"
      metric      = "CPUUtilization", statistic = "Average", over_nodes = "MAX", threshold = 75
    }
  }

  # Over a minute, to be in time for a release that is under way. A bake watches latency by itself.
  release_alarms = {
    "alb-5xx" = {
      description = "Targets answered ten requests or more with 5xx in a minute"
      metric      = "HTTPCode_Target_5XX_Count"
    }
    "alb-elb-5xx" = {
      description = "The load balancer answered ten requests or more with 5xx in a minute: no target did"
      metric      = "HTTPCode_ELB_5XX_Count"
    }
  }

  # These stop a release, and roll back one that is under way.
  stops_releases = concat(
    [for alarm in aws_cloudwatch_metric_alarm.release : alarm.alarm_name],
    [aws_cloudwatch_metric_alarm.main["alb-response-time"].alarm_name],
  )

  # By an alarm's full name, the ARN of what it is about.
  alarm_resources = merge(
    { for name, alarm in local.alarms : aws_cloudwatch_metric_alarm.main[name].alarm_name => alarm.about },
    { for name, alarm in aws_cloudwatch_metric_alarm.cache : alarm.alarm_name => aws_elasticache_replication_group.main.arn },
    { for name, alarm in aws_cloudwatch_metric_alarm.release : alarm.alarm_name => aws_lb.main.arn },
  )
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 1
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  # No traffic, no counts; and a metric that is not there says nothing about a resource that is.
  treat_missing_data = startswith(each.key, "alb-") ? "notBreaching" : "missing"
  alarm_actions      = [local.operations_topic]
  ok_actions         = [local.operations_topic]
}

resource "aws_cloudwatch_metric_alarm" "cache" {
  for_each = local.cache_alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "missing"
  alarm_actions       = [local.operations_topic]
  ok_actions          = [local.operations_topic]

  metric_query {
    id          = "all"
    expression  = "${each.value.over_nodes}(METRICS())"
    label       = each.value.description
    return_data = true
  }

  dynamic "metric_query" {
    for_each = local.cache_nodes

    content {
      id = "node${metric_query.key + 1}"

      metric {
        namespace   = "AWS/ElastiCache"
        metric_name = each.value.metric
        dimensions  = { CacheClusterId = metric_query.value }
        stat        = each.value.statistic
        period      = 300
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "release" {
  for_each = local.release_alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/ApplicationELB"
  metric_name         = each.value.metric
  dimensions          = local.load_balancer
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 10
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.operations_topic]
  ok_actions          = [local.operations_topic]
}

# -- dashboard ---------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = local.name

  dashboard_body = jsonencode({
    widgets = [
      {
        type = "metric", x = 0, y = 0, width = 12, height = 6
        properties = {
          title = "Cluster", region = var.region, view = "timeSeries", stat = "Average", period = 300
          metrics = [
            for metric in ["node_cpu_utilization", "node_memory_utilization", "pod_cpu_utilization", "pod_memory_utilization"] :
            ["ContainerInsights", metric, "ClusterName", aws_eks_cluster.main.name]
          ]
        }
      },
      {
        type = "metric", x = 12, y = 0, width = 12, height = 6
        properties = {
          title = "Load balancer", region = var.region, view = "timeSeries", period = 60
          metrics = [
            ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", aws_lb.main.arn_suffix, { stat = "p95", yAxis = "right" }],
            ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", aws_lb.main.arn_suffix, { stat = "Sum" }],
            ["AWS/ApplicationELB", "HTTPCode_Target_4XX_Count", "LoadBalancer", aws_lb.main.arn_suffix, { stat = "Sum" }],
            ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "LoadBalancer", aws_lb.main.arn_suffix, { stat = "Sum" }],
            ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "LoadBalancer", aws_lb.main.arn_suffix, { stat = "Sum" }],
          ]
        }
      },
      {
        type = "metric", x = 0, y = 6, width = 12, height = 6
        properties = {
          title = "Database", region = var.region, view = "timeSeries", stat = "Average", period = 60
          metrics = [
            ["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", local.database],
            ["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", local.database],
            ["AWS/RDS", "ReadLatency", "DBInstanceIdentifier", local.database, { yAxis = "right" }],
            ["AWS/RDS", "WriteLatency", "DBInstanceIdentifier", local.database, { yAxis = "right" }],
          ]
        }
      },
      {
        type = "metric", x = 12, y = 6, width = 12, height = 6
        properties = {
          title = "Cache", region = var.region, view = "timeSeries", period = 60
          metrics = concat(
            [for node in local.cache_nodes : ["AWS/ElastiCache", "CPUUtilization", "CacheClusterId", node, { stat = "Average" }]],
            [for node in local.cache_nodes : ["AWS/ElastiCache", "NetworkBytesOut", "CacheClusterId", node, { stat = "Sum", yAxis = "right" }]],
            [for node in local.cache_nodes : ["AWS/ElastiCache", "Evictions", "CacheClusterId", node, { stat = "Sum" }]],
          )
        }
      },
      {
        type = "log", x = 0, y = 12, width = 24, height = 6
        properties = {
          title = "Errors", region = var.region, view = "table"
          query = "SOURCE '${aws_cloudwatch_log_group.application.name}' | fields @timestamp, @message | filter @message like /(?i)error/ | sort @timestamp desc | limit 50"
        }
      },
    ]
  })
}
