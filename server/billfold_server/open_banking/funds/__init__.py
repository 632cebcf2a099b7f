"""Confirmation of funds (4 operations)."""
