"""The platform's control plane: a moto server behind IAM enforcement, with what moto leaves out."""
