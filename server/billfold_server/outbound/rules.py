"""Where a stranger's endpoint may be, and when it is tried again.

Whoever may register an address may have the server send a request there. So an address is read strictly, in one form
alone: what one reader takes for a host and another for a password is refused and not interpreted. And what a name leads
to is judged by numbers, just before they are connected to: only what is reachable by everybody is ours to call.

Sources: RFC 3986, section 3; the IANA registries of special-purpose addresses for IPv4 and IPv6; RFC 6052 (NAT64), 3056
(6to4) and 4380 (Teredo), which carry an IPv4 address inside of one that looks public.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

import msgspec

__all__ = [
    "AT_ONCE",
    "LONGEST_URL",
    "WAITS_S",
    "Address",
    "Policy",
    "Reason",
    "Target",
    "UrlRefused",
    "is_public",
    "judge",
    "next_attempt_at",
    "read_retry_after",
    "read_url",
]

Address = IPv4Address | IPv6Address

Reason = Literal["form", "scheme", "userinfo", "host", "port", "policy", "address"]
"""What is wrong with an address: it is no URL of the form that is read here, not https, names a user, its host is no
proper name or number, its port isn't one, the tenant's policy doesn't name it, or it leads to where nobody may look."""

LONGEST_URL: Final = 2_000
AT_ONCE: Final = 4
"""How many requests go to one endpoint at once; the others wait for one of these to end."""


_WORDS: Final[Mapping[Reason, str]] = {
    "form": "it isn't of the form https://host/path",
    "scheme": "it must begin with https://",
    "userinfo": "it must name no user and no password",
    "host": "its host is no proper name, and no number in its usual form",
    "port": "its port isn't one from 1 to 65535",
    "policy": "the tenant's policy doesn't name its host",
    "address": "it leads to a machine that isn't reached by everybody",
}


class UrlRefused(Exception):
    """An endpoint isn't one that may be called.

    Attributes:
        reason: Why, without the address, which may be somebody's secret.
        words: The same for people.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def words(self) -> str:
        """Why, in words of our own."""
        return _WORDS[self.reason]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tenant's requests may go.

    Attributes:
        hosts: Names, or ``*.`` and a name for all below it; none means every public host.
        loopback: Whether this machine itself may be called, by plain HTTP too: in sandboxes, by who develops there.
    """

    hosts: tuple[str, ...] = ()
    loopback: bool = False

    def names(self, host: str) -> bool:
        """Tell whether a host is one of those that are named."""
        return not self.hosts or any(
            host == each or (each.startswith("*.") and host.endswith(each[1:])) for each in self.hosts
        )


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An address that has been read.

    Attributes:
        scheme: ``https``, or ``http``.
        host: A name in lower case, or a number as it is usually written, IPv6 without brackets.
        port: The port.
        path: Path and query as they are sent.
        literal: The number, where the host is one.
    """

    scheme: Literal["https", "http"]
    host: str
    port: int
    path: str
    literal: Address | None

    @property
    def authority(self) -> str:
        """Return host and port as the ``Host`` header has them."""
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS: Final = {"https": 443, "http": 80}
_URL: Final = re.compile(r"([a-z]{1,10})://([^/?#]*)((?:/[^?#]*)?(?:\?[^#]*)?)", re.IGNORECASE)
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LONGEST_NAME: Final = 253
_LAST_PORT: Final = 65_535


def read_url(url: str, policy: Policy) -> Target:
    """Return an address in its parts, if it has the one form that is read here and the policy allows it.

    Raises:
        UrlRefused: It isn't so.
    """
    match = _URL.fullmatch(url) if len(url) <= LONGEST_URL and _CHARACTERS.fullmatch(url) else None
    if match is None:
        raise UrlRefused("form")
    scheme, authority, path = match[1].lower(), match[2], match[3]
    if scheme not in _PORTS:
        raise UrlRefused("scheme")
    if "@" in authority:
        raise UrlRefused("userinfo")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise UrlRefused("host")
    host, literal = _host(parts[1])
    port = int(parts[2] or _PORTS[scheme])
    if not 1 <= port <= _LAST_PORT:
        raise UrlRefused("port")
    if not policy.names(host):
        raise UrlRefused("policy")
    if literal is not None:
        judge([literal], policy)
    if scheme == "http" and not (policy.loopback and _is_here(host, literal)):
        raise UrlRefused("scheme")
    target = path if path.startswith("/") else f"/{path}"
    return Target(scheme="https" if scheme == "https" else "http", host=host, port=port, path=target, literal=literal)


def _host(text: str) -> tuple[str, Address | None]:
    """Return a host as it is compared and connected to, and its number where it is one.

    Raises:
        UrlRefused: It is neither a name nor a number in its usual form.
    """
    bare = text[1:-1] if text.startswith("[") else text.lower()
    try:
        literal: Address = ip_address(bare)
    except ValueError:
        labels = bare.split(".")
        # Resolvers read `2130706433`, `0x7f.1` and `0177.0.0.1` as numbers. No name ends in what could be one.
        if text.startswith("[") or len(bare) > _LONGEST_NAME or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
            raise UrlRefused("host") from None
        if not all(_LABEL.fullmatch(label) for label in labels):
            raise UrlRefused("host") from None
        return bare, None
    if isinstance(literal, IPv6Address) is not text.startswith("["):
        raise UrlRefused("host")
    return str(literal), literal


def _is_here(host: str, literal: Address | None) -> bool:
    return host == "localhost" if literal is None else literal.is_loopback


_IPV4_RESERVED: Final = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_IPV6_GLOBAL: Final = IPv6Network("2000::/3")
"""What has been given out to networks. Outside of it lie loopback, mapped IPv4, NAT64, unique local, link-local,
multicast and segment routing, and what nobody has been given yet."""

_IPV6_RESERVED: Final = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # Protocols' own: Teredo, ORCHID, benchmarks.
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address, perhaps a private one, in the next 32 bits.
        "3fff::/20",
    )
)


def is_public(address: Address) -> bool:
    """Tell whether an address is one that everybody reaches, by the registries and not by the version of Python."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _IPV4_RESERVED)
    if address.scope_id is not None or address not in _IPV6_GLOBAL:
        return False
    return not any(address in network for network in _IPV6_RESERVED)


def judge(addresses: Sequence[Address], policy: Policy) -> None:
    """Let pass what a name leads to, if all of it may be called.

    One address among them that may not is enough to refuse all: who owns the name decides in which order they come.

    Raises:
        UrlRefused: There is none, or one may not.
    """
    if not addresses or not all(is_public(each) or (policy.loopback and each.is_loopback) for each in addresses):
        raise UrlRefused("address")


WAITS_S: Final = (10, 60, 300, 1_800, 7_200, 21_600, 43_200, 86_400, 97_200)
"""How long to wait after each failed attempt but the last: ten attempts in three days, less half an hour."""

_SPAN: Final = timedelta(days=3, hours=12)
"""Three days, and something over for chance and for what endpoints ask for."""

_LONGEST_WAIT: Final = timedelta(days=1)
_SPREAD: Final = 0.2


def next_attempt_at(
    *, attempt: int, begun_at: datetime, now: datetime, jitter: float, retry_after: timedelta | None = None
) -> datetime | None:
    """Return when to try again after a failed attempt, or None where it was the last.

    Args:
        attempt: Which attempt failed; the first is 1.
        begun_at: Since when there is something to deliver. Three and a half days later nothing is begun any more.
        now: The tenant's time.
        jitter: Chance, from 0 to 1, by which a wait is up to a tenth shorter or longer.
        retry_after: How long the endpoint asks to be left alone. A day of that is heeded.
    """
    if attempt > len(WAITS_S):
        return None
    wait = timedelta(seconds=WAITS_S[attempt - 1] * (1 - _SPREAD / 2 + _SPREAD * jitter))
    at = now + max(wait, min(retry_after or timedelta(), _LONGEST_WAIT))
    return at if at <= begun_at + _SPAN else None


def read_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return for how long a ``Retry-After`` header asks (RFC 9110, section 10.2.3); None where it asks for nothing.

    Args:
        value: The header.
        now: The real time, of which a date in it is meant.
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value):
        return timedelta(seconds=int(value))
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(timedelta(), (at if at.tzinfo else at.replace(tzinfo=UTC)) - now)
