"""Canaries: card numbers that are given to the server in every way, and that may be found nowhere afterwards."""
