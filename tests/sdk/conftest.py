"""The fixtures of the SDK's tests."""

from tests.sandbox import live

__all__ = ["live"]
