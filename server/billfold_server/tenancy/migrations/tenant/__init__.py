"""The steps of each tenant's schema: one file per room."""
