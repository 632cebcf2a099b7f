"""Tenants: what they are, how they come to be, and the one door to their tables."""
