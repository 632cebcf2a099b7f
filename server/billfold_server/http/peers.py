"""Addresses of those who ask: one text for one address, however it was written, and who counts as one asker."""

import functools
import ipaddress
import re
from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["Address", "origin_of", "read_address", "share_of", "within"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# Some proxies append the port: 192.0.2.7:4711, or [2001:db8::7]:4711.
_WITH_PORT = re.compile(r"\[(?P<six>[^\]]+)\](?::\d{1,5})?|(?P<four>[0-9.]+):\d{1,5}")
_ONE_CUSTOMER_BITS = 64


def read_address(text: str) -> Address | None:
    """Return the address that a text names, or None.

    An IPv4 peer of a socket that listens on both protocols looks like ``::ffff:192.0.2.7`` (RFC 4291, section 2.5.5.2);
    it is the same peer, and the settings' networks mean it, too.
    """
    text = text.strip()
    if (match := _WITH_PORT.fullmatch(text)) is not None:
        text = match["six"] or match["four"]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def within(address: Address, networks: Sequence[Network]) -> bool:
    """Tell whether one of the networks has the address."""
    return any(address in network for network in networks)


def origin_of(peer: Address, forwarded_for: str, proxies: Sequence[Network]) -> Address:
    """Return who asked the outermost proxy that is trusted: the last address that isn't one of them.

    What stands before that address was written by a stranger. So was what no address can be read from; then the proxy
    itself is all that is known.

    Args:
        peer: Who has connected.
        forwarded_for: All ``X-Forwarded-For`` headers, joined by commas.
        proxies: Networks whose word counts.
    """
    for hop in reversed([each for each in forwarded_for.split(",") if each.strip()]):
        if not within(peer, proxies):
            break
        address = read_address(hop)
        if address is None:
            break
        peer = address
    return peer


@functools.lru_cache(maxsize=10_000)
def share_of(peer: str) -> str:
    """Return under which name an address is counted.

    Whoever has IPv6 has a network of 2^64 addresses (RFC 6177), and so is counted by network.
    """
    address = read_address(peer)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _ONE_CUSTOMER_BITS), strict=False))
    return peer if address is None else str(address)
