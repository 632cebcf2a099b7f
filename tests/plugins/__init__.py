"""Plugins for pytest that every run loads."""
