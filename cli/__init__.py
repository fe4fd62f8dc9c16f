"""The `detector` command."""
