"""Cookies: how they are read, and with what they are set (RFC 6265bis).

A tenant's cookies are bound to its part of the address, or to the host where that is the tenant's own. Where the world
comes by TLS their names begin with ``__Host-`` or ``__Secure-``, which browsers let nobody set without it.
"""

import re
from typing import Final

__all__ = ["named", "read", "written"]

_PAIR: Final = re.compile(r"\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=([\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*)\s*")


def read(header: str | None) -> dict[str, str]:
    """Return the cookies of a ``Cookie`` header; of two with one name the first, whose path is the longer one."""
    found: dict[str, str] = {}
    for part in (header or "").split(";"):
        if (match := _PAIR.fullmatch(part)) is not None:
            found.setdefault(match.group(1), match.group(2))
    return found


def named(name: str, *, mount: str, secure: bool) -> str:
    """Return a cookie's whole name.

    Args:
        name: What it is for.
        mount: The part of the address to which it is bound; empty is the whole host.
        secure: Whether the world comes by TLS.
    """
    if not secure:
        return f"billfold-{name}"
    return f"{'__Secure-' if mount else '__Host-'}billfold-{name}"


def written(
    name: str, value: str, *, mount: str, secure: bool, max_age_s: int | None = None, http_only: bool = True
) -> str:
    """Return a ``Set-Cookie`` header.

    ``Lax``, because people come back from other sites by links; what changes anything is a form with a token of ours.

    Args:
        name: What it is for.
        value: What it says; an empty one with no age left removes the cookie.
        mount: The part of the address to which it is bound.
        secure: Whether the world comes by TLS.
        max_age_s: How long the browser keeps it; until it closes where absent.
        http_only: Whether scripts are kept from it.
    """
    parts = [f"{named(name, mount=mount, secure=secure)}={value}", f"Path={mount or '/'}", "SameSite=Lax"]
    if max_age_s is not None:
        parts.append(f"Max-Age={max_age_s}")
    if http_only:
        parts.append("HttpOnly")
    if secure:
        parts.append("Secure")
    return "; ".join(parts)
