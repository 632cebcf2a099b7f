"""The sandbox: what only a tenant for trying things out has, beginning with its test clock."""
