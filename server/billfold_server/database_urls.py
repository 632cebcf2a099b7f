"""What the address of a PostgreSQL says: where it is, and whether what goes there can be read on the way."""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

__all__ = ["parameter", "parts", "password", "place", "ports_are_right", "stays_private", "where"]

_ENCRYPTED: Final = frozenset({"require", "verify-ca", "verify-full"})
"""What libpq's ``sslmode`` must be. With ``prefer``, the default, whoever is in between can turn TLS off."""
_LAST_PORT: Final = 65_535


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


def parameter(url: str, name: str) -> str | None:
    """Return what is said of a parameter behind the question mark."""
    return parse_qs(parts(url).query).get(name, [None])[-1]


def where(url: str) -> str:
    """Return each host with its port, as people are told them."""
    named = [(_host(each), _port(each)) for each in _addresses(url)]
    default = parameter(url, "host") or "localhost"
    return ", ".join(f"{host or default}:{port or parameter(url, 'port') or 5432}" for host, port in named)


def ports_are_right(url: str) -> bool:
    """Tell whether each port in it can be one; several hosts may have one each."""
    ports = [*map(_port, _addresses(url)), *(parameter(url, "port") or "").split(",")]
    return all(re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) <= _LAST_PORT for port in ports if port)


def stays_private(url: str) -> bool:
    """Tell whether nobody on a network can read what goes to a database: it is on this machine, or TLS is a must."""
    query = parse_qs(parts(url).query)
    # The driver looks at the parameter only where the address names no host. PostgreSQL's own programs do the opposite,
    # so each has to be here.
    asked = [host for hosts in query.get("host", []) for host in hosts.split(",")]
    hosts = [host for host in [*map(_host, _addresses(url)), *asked] if host]
    return query.get("sslmode", ["prefer"])[-1] in _ENCRYPTED or all(map(_is_here, hosts))


def _addresses(url: str) -> list[str]:
    return parts(url).netloc.rpartition("@")[2].split(",")


def _port(address: str) -> str:
    """Return the port of ``host:port`` or ``[host]:port``."""
    return address.rpartition("]")[2].partition(":")[2]


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
