"""`detector status`: the cluster at a glance."""
