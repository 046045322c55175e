"""What the platform and the automation cost a month: docs/cost.md."""
