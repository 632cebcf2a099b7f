"""Grants: what users have allowed, and the ways in which a client asks for tokens."""
