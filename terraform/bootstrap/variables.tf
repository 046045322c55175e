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
