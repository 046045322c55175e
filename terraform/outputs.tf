# What people and scripts need; the automation reads the contract (contract.tf) instead.

output "service_url" {
  description = "Where the service answers."
  value       = local.service_url
}

output "load_balancer_dns_name" {
  description = "Address of the load balancer, for a DNS record that is made elsewhere."
  value       = aws_lb.main.dns_name
}

output "cluster_name" {
  description = "For `aws eks update-kubeconfig --name`."
  value       = aws_eks_cluster.main.name
}

output "database_secret_arn" {
  description = "Secret with the administrator's password, for scripts/database-roles.sql."
  value       = aws_db_instance.main.master_user_secret[0].secret_arn
}

output "database_endpoint" {
  description = "Where the instance that Terraform made answers; where the live one is says the parameter endpoints/database."
  value       = local.endpoints.database
}

output "alarms" {
  description = "Alarms by name, and the resource that each is about."
  value       = local.alarm_resources
}

output "manifest_values" {
  description = "What kubernetes/ leaves open (see kubernetes/base/kustomization.yaml)."
  value = merge(
    {
      SERVICE                = var.service
      ENVIRONMENT            = var.environment
      TARGET_GROUP_BLUE_ARN  = aws_lb_target_group.main["blue"].arn
      TARGET_GROUP_GREEN_ARN = aws_lb_target_group.main["green"].arn
      DATABASE_USER          = local.database_user
      SERVICE_ROLE_ARN       = aws_iam_role.service.arn
      BACKUP_BUCKET          = aws_s3_bucket.main["backups"].bucket
      QUEUE_VOLUME           = "${aws_efs_file_system.queue.id}::${aws_efs_access_point.queue.id}"
      CACHE_TLS              = tostring(var.cache_encryption)
    },
    # For the network policies: where the load balancer's nodes are, and where database and cache are.
    { for index, subnet in aws_subnet.public : "BALANCER_SUBNET_${index + 1}" => subnet.cidr_block },
    { for index, subnet in aws_subnet.private : "STORE_SUBNET_${index + 1}" => subnet.cidr_block },
  )
}

output "controller_role_arns" {
  description = "Roles of what is installed with Helm, for the annotations of its service accounts."
  value = {
    "aws-load-balancer-controller" = aws_iam_role.load_balancer_controller.arn
    "cluster-autoscaler"           = aws_iam_role.cluster_autoscaler.arn
  }
}
