"""Tokens: what is issued, how it is bound to a key, how it is checked, and how it ends."""
