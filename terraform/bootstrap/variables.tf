variable "service" {
  description = "Name of the service; as in the environments."
  type        = string
  default     = "detection-api"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.service)) && !endswith(var.service, "-")
    error_message = "2 to 20 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "region" {
  description = "AWS region of the state and the images."
  type        = string
  default     = "us-east-1"
}

# -- the pipelines -----------------------------------------------------------------------------------------------------

variable "github_repository" {
  description = "Repository whose workflows may log in, OWNER/NAME as GitHub spells it. Null: none may."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "OWNER/NAME, without wildcards."
  }
}

variable "create_github_provider" {
  description = "False where the account has GitHub's identity provider already: there is one for all repositories."
  type        = bool
  default     = true
}

variable "environments" {
  description = "Environments that are in this account; each gets roles of its own."
  type        = set(string)
  default     = ["dev", "staging", "prod"]

  validation {
    condition     = length(var.environments) > 0 && length(setsubtract(var.environments, ["dev", "staging", "prod"])) == 0
    error_message = "One or more of dev, staging, prod."
  }
}
