"""Billfold: the SDK of a white-label wallet platform."""

__version__ = "0.1.0.dev0"
