"""The `ops` command."""
