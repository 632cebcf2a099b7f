"""The database: pools, the embedded PostgreSQL, jobs, outbox and relay."""
