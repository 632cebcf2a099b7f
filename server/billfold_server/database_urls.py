"""What the address of a PostgreSQL says: where it is, and whether what goes there can be read on the way."""

import ipaddress
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

__all__ = ["parts", "password", "place", "stays_private"]

_ENCRYPTED: Final = frozenset({"require", "verify-ca", "verify-full"})
"""What libpq's ``sslmode`` must be. With ``prefer``, the default, whoever is in between can turn TLS off."""


def parts(url: str) -> SplitResult:
    """Return the parts of a URL; no parts, where it can't be read, as several hosts with an IPv6 address among them."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def password(url: str) -> str | None:
    """Return the password in it."""
    return parts(url).password


def place(url: str) -> tuple[str, str, str]:
    """Return host, port and database, by which two addresses can be told apart."""
    said = parts(url)
    host, _, port = said.netloc.rpartition("@")[2].lower().partition(":")
    return host, port or "5432", said.path


def stays_private(url: str) -> bool:
    """Tell whether nobody on a network can read what goes to a database: it is on this machine, or TLS is a must."""
    said = parts(url)
    query = parse_qs(said.query)
    hosts = query.get("host") or [host for each in said.netloc.rpartition("@")[2].split(",") if (host := _host(each))]
    return query.get("sslmode", ["prefer"])[-1] in _ENCRYPTED or all(map(_is_here, hosts))


def _host(address: str) -> str:
    """Return the host of ``host:port`` or ``[host]:port``."""
    return address[1:].partition("]")[0] if address.startswith("[") else address.partition(":")[0]


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine: a socket's folder, its name for itself, or a loopback address."""
    host = unquote(host)
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
