"""Connectors: how this platform speaks with those who move money outside of it."""
