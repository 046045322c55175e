"""The whole system on one machine: an automation plane, a platform plane, and what runs on it."""
