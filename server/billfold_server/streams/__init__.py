"""Publishes tenants' events to a stream, for those who outgrow webhooks."""
