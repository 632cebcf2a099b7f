"""Consents to read accounts (3 operations)."""
