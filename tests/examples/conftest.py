"""The fixtures of the examples' tests."""

from tests.sandbox import live

__all__ = ["live"]
