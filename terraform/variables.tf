# Variables; what the environments set differently is in environments/*.tfvars.

variable "service" {
  description = "Name of the service; everything is named after it."
  type        = string
  default     = "detection-api"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.service)) && !endswith(var.service, "-")
    error_message = "2 to 20 lower-case letters, digits and hyphens, beginning with a letter: load balancers take names of 32 characters."
  }
}

variable "environment" {
  description = "Which environment this is."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "One of dev, staging and prod."
  }
}

variable "region" {
  description = "AWS region. The authorities of its databases' certificates must be in files/ (scripts/extract_database_authorities.py)."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region's name, such as us-east-1."
  }
}

variable "tags" {
  description = "Tags that every resource carries beside Service, Environment and ManagedBy."
  type        = map(string)
  default     = {}
}

# -- network -----------------------------------------------------------------------------------------------------------

variable "vpc_cidr" {
  description = "Addresses of the VPC. Private subnets are its 2nd to 4th /24, public ones its 102nd to 104th."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && endswith(var.vpc_cidr, "/16")
    error_message = "A network with a prefix of /16, such as 10.0.0.0/16."
  }
}

variable "nat_gateway_per_zone" {
  description = "One NAT gateway in each zone; otherwise a single one, without which two zones lose the internet should its zone fail."
  type        = bool
  default     = true
}

variable "client_cidrs" {
  description = "Who may reach the load balancer."
  type        = set(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.client_cidrs) > 0 && alltrue([for cidr in var.client_cidrs : can(cidrhost(cidr, 0))])
    error_message = "At least one network in CIDR notation."
  }
}

# -- cluster -----------------------------------------------------------------------------------------------------------

variable "kubernetes_version" {
  description = "Kubernetes of the cluster: a version in standard support. See docs/decisions.md."
  type        = string
  default     = "1.36"

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version)) && try(tonumber(split(".", var.kubernetes_version)[1]) >= 35, false)
    error_message = "1.35 or newer: older versions leave standard support in 2026, then cost six times as much and are upgraded by AWS."
  }
}

variable "cluster_public_access_cidrs" {
  description = "Who may reach the cluster's public endpoint. Empty: nobody, and there is only the private one."
  type        = set(string)

  validation {
    condition     = alltrue([for cidr in var.cluster_public_access_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Networks in CIDR notation, and not the whole internet."
  }
}

variable "cluster_administrator_arns" {
  description = "Roles that administer the cluster: who applies manifests, and who is on call."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.cluster_administrator_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "ARNs of IAM roles or users."
  }
}

variable "node_instance_types" {
  description = "Instance types of the on-demand nodes, the preferred one first."
  type        = list(string)
  default     = ["t3.medium", "t3a.medium"]

  validation {
    condition     = length(var.node_instance_types) > 0
    error_message = "At least one instance type."
  }
}

variable "node_count" {
  description = "How many on-demand nodes there are at least and at most."
  type        = object({ min = number, max = number })

  validation {
    condition     = var.node_count.min >= 2 && var.node_count.max >= var.node_count.min
    error_message = "At least two, so that a node can be replaced, and no more at least than at most."
  }
}

variable "spot_node_count" {
  description = "How many spot nodes there are at least and at most; null: no spot nodes. They carry the taint lifecycle=spot:NoSchedule."
  type        = object({ min = number, max = number })
  default     = null

  validation {
    condition     = var.spot_node_count == null ? true : var.spot_node_count.min >= 0 && var.spot_node_count.max >= max(1, var.spot_node_count.min)
    error_message = "At most one or more, and no more at least than at most."
  }
}

variable "spot_instance_types" {
  description = "Instance types of the spot nodes: the more there are, the rarer are interruptions."
  type        = list(string)
  default     = ["t3.large", "t3a.large", "m5.large", "m5a.large"]
}

variable "node_disk_gb" {
  description = "Size of a node's volume in GB."
  type        = number
  default     = 50

  validation {
    condition     = var.node_disk_gb >= 20
    error_message = "At least 20 GB: the system and its images take about half of that."
  }
}

variable "addon_versions" {
  description = "Versions of the cluster's add-ons by name; for one that is not named, the default of the Kubernetes version."
  type        = map(string)
  default     = {}
}

# -- database ----------------------------------------------------------------------------------------------------------

variable "database_version" {
  description = "PostgreSQL 15 with its minor version: one that AWS still creates."
  type        = string
  default     = "15.19"

  validation {
    condition     = can(regex("^15\\.(1[3-9]|[2-9][0-9])$", var.database_version))
    error_message = "15.13 or newer: RDS creates no older 15, and upgrades those there are."
  }
}

variable "database_identifier" {
  description = "Name of the live database; null: <service>-<environment>. After a restore has replaced it: the name of the one that is live now, once that is imported."
  type        = string
  default     = null

  validation {
    condition     = var.database_identifier == null ? true : startswith(var.database_identifier, "${var.service}-${var.environment}")
    error_message = "Begins with <service>-<environment>: policies go by it."
  }
}

variable "database_name" {
  description = "Name of the database within the instance."
  type        = string
  default     = "detections"
}

variable "database_instance_class" {
  description = "Instance class of the database."
  type        = string

  validation {
    condition     = startswith(var.database_instance_class, "db.")
    error_message = "A DB instance class, such as db.t4g.medium."
  }
}

variable "database_storage_gb" {
  description = "Storage of the database in GB; it grows by itself to twice that."
  type        = number

  validation {
    condition     = var.database_storage_gb >= 20 && var.database_storage_gb <= 32768
    error_message = "20 to 32768 GB."
  }
}

variable "database_multi_az" {
  description = "A standby in another zone."
  type        = bool
}

variable "database_replica" {
  description = "A read replica in another zone."
  type        = bool
  default     = false
}

variable "database_backup_days" {
  description = "Days for which RDS keeps automated backups, and so for which any moment can be restored."
  type        = number

  validation {
    condition     = var.database_backup_days >= 1 && var.database_backup_days <= 35
    error_message = "1 to 35 days; with 0 there would be no recovery to a point in time."
  }
}

variable "database_log_statement" {
  description = "Which statements PostgreSQL logs."
  type        = string
  default     = "all"

  validation {
    condition     = contains(["none", "ddl", "mod", "all"], var.database_log_statement)
    error_message = "One of none, ddl, mod and all."
  }
}

# -- cache -------------------------------------------------------------------------------------------------------------

variable "cache_version" {
  description = "Redis of the cache: 7.0 or 7.1, the last versions of Redis that ElastiCache has."
  type        = string
  default     = "7.1"

  validation {
    condition     = contains(["7.0", "7.1"], var.cache_version)
    error_message = "7.0 or 7.1."
  }
}

variable "cache_identifier" {
  description = "Name of the live cache; null: <service>-<environment>. After a restore has replaced it: as for database_identifier."
  type        = string
  default     = null

  validation {
    condition     = var.cache_identifier == null ? true : startswith(var.cache_identifier, "${var.service}-${var.environment}") && length(var.cache_identifier) <= 40
    error_message = "Begins with <service>-<environment>, and has at most 40 characters."
  }
}

variable "cache_node_type" {
  description = "Node type of the cache."
  type        = string

  validation {
    condition     = startswith(var.cache_node_type, "cache.")
    error_message = "A cache node type, such as cache.t4g.medium."
  }
}

variable "cache_nodes" {
  description = "How many nodes the cache has: one primary, the others replicas, each in a zone of its own. With two or more it fails over by itself."
  type        = number

  validation {
    condition     = var.cache_nodes >= 1 && var.cache_nodes <= 6
    error_message = "1 to 6."
  }
}

variable "cache_encryption" {
  description = "Encrypt the cache at rest and in transit. It costs nothing, and it cannot be turned on later for a cache that is there: the default is on, also in dev, where the specification leaves it off."
  type        = bool
  default     = true

  validation {
    condition     = var.cache_encryption || var.environment == "dev"
    error_message = "Only dev may go without encryption."
  }
}

variable "cache_login" {
  description = "Ask for a login (IAM) at the cache. Off, security groups say who may use it: the service's manifests know no login."
  type        = bool
  default     = false

  validation {
    condition     = !var.cache_login || var.cache_encryption
    error_message = "A login needs encryption in transit."
  }
}

variable "cache_snapshot_days" {
  description = "Days for which ElastiCache keeps its own daily snapshots."
  type        = number
  default     = 30

  validation {
    condition     = var.cache_snapshot_days >= 1 && var.cache_snapshot_days <= 35
    error_message = "1 to 35 days."
  }
}

# -- load balancer -----------------------------------------------------------------------------------------------------

variable "https" {
  description = "Serve HTTPS and redirect HTTP to it. It needs domain_name, and certificate_arn or hosted_zone_id."
  type        = bool
  default     = true

  validation {
    condition     = var.https || var.environment == "dev"
    error_message = "Only dev may go without HTTPS."
  }

  validation {
    condition     = !var.https || (var.domain_name != null && (var.certificate_arn != null || var.hosted_zone_id != null))
    error_message = "HTTPS needs domain_name, and either certificate_arn (a certificate that is there) or hosted_zone_id (to have one made)."
  }
}

variable "domain_name" {
  description = "Name under which clients reach the service."
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "ACM certificate for domain_name, in this region; null: one is made, if hosted_zone_id is given."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null ? true : can(regex("^arn:aws[a-z-]*:acm:", var.certificate_arn))
    error_message = "ARN of an ACM certificate."
  }
}

variable "hosted_zone_id" {
  description = "Route 53 zone of domain_name, for the certificate's proof and the service's address record; null: both are made elsewhere."
  type        = string
  default     = null
}

variable "tls_policy" {
  description = "TLS versions and ciphers that the load balancer offers."
  type        = string
  default     = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"

  validation {
    condition     = startswith(var.tls_policy, "ELBSecurityPolicy-TLS13-")
    error_message = "A policy with TLS 1.3."
  }
}

variable "health_check_seconds" {
  description = "Seconds between the load balancer's health checks of a target."
  type        = number
  default     = 30

  validation {
    condition     = var.health_check_seconds > 5 && var.health_check_seconds <= 300
    error_message = "6 to 300 seconds: more than a check may take."
  }
}

variable "deregistration_seconds" {
  description = "Seconds for which the load balancer lets requests to a leaving target finish; at most the automation stack's DrainSeconds."
  type        = number
  default     = 30

  validation {
    condition     = var.deregistration_seconds >= 0 && var.deregistration_seconds <= 3600
    error_message = "0 to 3600 seconds."
  }
}

variable "test_header" {
  description = "Header that reaches the colour that is its value, blue or green, whatever the weights are."
  type        = string
  default     = "X-Release-Colour"
}

# -- protection and monitoring -----------------------------------------------------------------------------------------

variable "deletion_protection" {
  description = "Refuse to delete the cluster, the database and the load balancer."
  type        = bool
}

variable "backup_lock_days" {
  description = "Days for which no version of an object in the backup bucket can be deleted without a special permission (Object Lock, governance); 0: none."
  type        = number

  validation {
    condition     = var.backup_lock_days >= 0 && var.backup_lock_days < 90
    error_message = "0 to 89 days: backups are deleted at 90."
  }
}

variable "log_retention_days" {
  description = "Days for which CloudWatch keeps logs."
  type        = number

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "A retention that CloudWatch offers: 7, 14, 30, …"
  }
}

variable "detailed_monitoring" {
  description = "Metrics of each node once a minute, of the database's processes, and of its queries."
  type        = bool
}

variable "trail" {
  description = "Record the account's API calls with CloudTrail; false where a trail of the organization does."
  type        = bool
  default     = true
}
