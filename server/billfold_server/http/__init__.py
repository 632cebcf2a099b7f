"""The HTTP edge: problems, idempotency, pagination, tenant routing and the finished OpenAPI document."""
