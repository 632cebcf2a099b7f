"""Where a client finds out whom to talk to: its arguments, and the environment where they are absent."""

import logging
import os
import platform
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

import billfold
from billfold.client._flow import Timeouts
from billfold.client._retry import RetryPolicy

__all__ = ["address", "further_headers", "headers", "policy", "required", "timeouts"]

_log = logging.getLogger("billfold")

# RFC 9110, sections 5.1 and 5.5, without the bytes beyond ASCII that are obsolete.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE: Final = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?", re.ASCII)

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
    """Return what goes with every request.

    Raises:
        ValueError: A header of the caller's isn't one, such as a value with the line's end of the file it comes from.
    """
    return {
        "accept": "application/json",
        "user-agent": f"billfold-python/{billfold.__version__} python/{platform.python_version()}",
        **further_headers(extra),
    }


def further_headers(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers of the caller's by name in lower case.

    Raises:
        ValueError: A name or value isn't one. The value isn't told, since it may be a secret.
    """
    # Whoever checks no types may give None, as where a variable isn't set.
    given: dict[str, Any] = dict(extra or {})
    for name, value in given.items():
        if not isinstance(value, str) or not _VALUE.fullmatch(value) or not _NAME.fullmatch(name):
            raise ValueError(
                f"the header {name!r} needs a value of visible ASCII characters, with spaces inside at most"
            )
    return {name.lower(): value for name, value in given.items()}
