"""The developer portal: what partners read, and what they do with their programs, on pages of the tenant's own."""
