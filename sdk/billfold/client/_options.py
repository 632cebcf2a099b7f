"""Where a client finds out whom to talk to: its arguments, and the environment where they are absent."""

import logging
import os
import platform
import urllib.parse
from collections.abc import Mapping
from typing import Final

import billfold
from billfold.client._flow import Timeouts
from billfold.client._retry import RetryPolicy

__all__ = ["address", "headers", "policy", "required", "timeouts"]

_log = logging.getLogger("billfold")

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def required(value: str | None, variable: str, argument: str) -> str:
    """Return an argument, or the environment variable that stands in for it.

    Raises:
        ValueError: Neither is there.
    """
    found = value or os.environ.get(variable)
    if not found:
        raise ValueError(f"no {argument}: pass {argument}=… or set {variable}")
    return found


def address(base_url: str | None, variable: str) -> str:
    """Return where the server is, without a slash at the end.

    Raises:
        ValueError: No address is given, or it isn't one of HTTP.
    """
    text = required(base_url, variable, "base_url").rstrip("/")
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("base_url must be like https://wallet.example.com/t/sandbox")
    if parts.username or parts.password:
        raise ValueError("base_url must not hold a password")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        _log.warning("the client secret goes to %s unencrypted; use https outside of development", parts.hostname)
    return text


def timeouts(timeout_s: float | Timeouts | None, present: Timeouts | None = None) -> Timeouts:
    """Return time-outs for what the caller gave: all of them, the total alone, or nothing.

    Raises:
        ValueError: A time-out isn't positive.
    """
    if timeout_s is None:
        return present or Timeouts()
    chosen = timeout_s if isinstance(timeout_s, Timeouts) else Timeouts(total_s=timeout_s)
    # Each for itself: the smallest of several says nothing where one of them is no number (NaN).
    if not all(each > 0 for each in (chosen.connect_s, chosen.read_s, chosen.total_s)):
        raise ValueError("a time-out must be positive")
    return chosen


def policy(max_retries: int | None, present: RetryPolicy | None = None) -> RetryPolicy:
    """Return the retry policy for what the caller gave.

    Raises:
        ValueError: The number is negative.
    """
    if max_retries is None:
        return present or RetryPolicy()
    if max_retries < 0:
        raise ValueError("max_retries must not be negative")
    return RetryPolicy(max_retries=max_retries)


def headers(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Return what goes with every request."""
    return {
        "accept": "application/json",
        "user-agent": f"billfold-python/{billfold.__version__} python/{platform.python_version()}",
        **{name.lower(): value for name, value in (extra or {}).items()},
    }
