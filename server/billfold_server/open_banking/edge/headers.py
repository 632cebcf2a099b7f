"""Headers of the interface: what requests may say in them, and what every answer has.

Source: Open Banking Read/Write API Profile 4.0, request headers and response headers.
"""

import ipaddress
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Final

from billfold import errors
from billfold_server.http import card_numbers
from billfold_server.http.reading import validation_failed

__all__ = [
    "AUTH_DATE",
    "IDEMPOTENCY_KEY",
    "INTERACTION_ID",
    "JSON_MEDIA",
    "OLD_PAYLOAD",
    "PAYLOAD_VERSION",
    "accepted",
    "check_accept",
    "check_headers",
    "interaction_id",
    "payload_version",
    "read_idempotency_key",
]

INTERACTION_ID: Final = "x-fapi-interaction-id"
IDEMPOTENCY_KEY: Final = "x-idempotency-key"
AUTH_DATE: Final = "x-fapi-auth-date"
PAYLOAD_VERSION: Final = "payload-version"
JSON_MEDIA: Final = "application/json; charset=utf-8"

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# A minute may have a leap second (RFC 9110, section 5.6.7).
_AUTH_DATE: Final = re.compile(
    rf"({'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) "
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60) (?:GMT|UTC)"
)
_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_KEY: Final = re.compile(r"(?!\s).*\S")
_LONGEST_KEY: Final = 40
_LONGEST_AGENT: Final = 1024
# The standard has a text without a pattern: its example is "3.1.11", while links and addresses say "v4.0".
_VERSION: Final = re.compile(r"v?([34])(?:\.[0-9]{1,3}){1,2}")
_PRESENT: Final = "4"
OLD_PAYLOAD: Final = "3"
"""The major version by whose names those are answered who migrate."""


def interaction_id(headers: Mapping[str, str]) -> str:
    """Return the id under which both sides know this exchange: the one that came, or a new one."""
    given = headers.get(INTERACTION_ID)
    # Whatever came is said again only if it is an id; else it could be made to say anything.
    return given if given is not None and _UUID.fullmatch(given) else str(uuid.uuid4())


def _is_id(given: str) -> bool:
    return _UUID.fullmatch(given) is not None


def _is_instant(given: str) -> bool:
    """Tell whether a header names a time that there has been or will be, by the right day of the week."""
    match = _AUTH_DATE.fullmatch(given)
    if match is None:
        return False
    day, month, year = int(match.group(2)), _MONTHS.index(match.group(3)) + 1, int(match.group(4))
    try:
        return date(year, month, day).weekday() == _DAYS.index(match.group(1))
    except ValueError:
        return False


def _is_address(given: str) -> bool:
    """Tell whether a header is an IPv4 or IPv6 address, without a zone, which means something on one machine alone."""
    try:
        ipaddress.ip_address(given)
    except ValueError:
        return False
    return _ADDRESS.fullmatch(given) is not None


_FORMS: Final[Mapping[str, Callable[[str], bool]]] = {
    INTERACTION_ID: _is_id,
    AUTH_DATE: _is_instant,
    "x-fapi-customer-ip-address": _is_address,
}


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that aren't of their form, or say what can't be.

    Raises:
        errors.ValidationFailed: One isn't.
    """
    for name, is_of_form in _FORMS.items():
        given = headers.get(name)
        if given is not None and not is_of_form(given):
            raise validation_failed(name, "isn't of its documented form")
    if len(headers.get("x-customer-user-agent", "")) > _LONGEST_AGENT:
        raise validation_failed("x-customer-user-agent", f"has more than {_LONGEST_AGENT} characters")


_RANGE: Final = re.compile(r"\s*([\w!#$&^.+*-]+/[\w!#$&^.+*-]+)\s*((?:;[^,]*)?)")
_NONE: Final = re.compile(r";\s*q\s*=\s*0(?:\.0{0,3})?\s*(?:;|$)")
_ACCEPTED: Final = frozenset({"application/json", "application/*", "*/*"})


def check_accept(accept: str | None) -> None:
    """Refuse a request that takes no JSON (RFC 9110, section 12.5.1).

    Raises:
        errors.NotAcceptable: It takes none.
    """
    if accept is None or accept in _ACCEPTED:
        return
    for each in accept.split(","):
        match = _RANGE.fullmatch(each)
        if match is not None and match.group(1).lower() in _ACCEPTED and not _NONE.search(match.group(2)):
            charset = re.search(r"(?i);\s*charset\s*=\s*\"?([\w-]+)", match.group(2))
            if charset is None or charset.group(1).lower() in {"utf-8", "utf8"}:
                return
    raise errors.NotAcceptable


def accepted(accept: str | None, offered: Iterable[str]) -> str:
    """Return which of the media types that are offered the client prefers, the first where it is all the same.

    Args:
        accept: The header, if it came (RFC 9110, section 12.5.1).
        offered: Media types.

    Raises:
        errors.NotAcceptable: It takes none of them.
    """
    offers = tuple(offered)
    if accept is None:
        return offers[0]
    ranges = [match for each in accept.split(",") if (match := _RANGE.fullmatch(each))]
    wanted = {match.group(1).lower(): match.group(2) for match in ranges}
    quality, _, chosen = max((_quality(offer, wanted), -place, offer) for place, offer in enumerate(offers))
    if not quality:
        raise errors.NotAcceptable
    return chosen


_QUALITY: Final = re.compile(r"(?i);\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)")


def _quality(offer: str, wanted: Mapping[str, str]) -> float:
    """Return how much a media type is wanted, as the narrowest range says that it falls under."""
    kind = offer.partition("/")[0]
    said = next((wanted[each] for each in (offer, f"{kind}/*", "*/*") if each in wanted), None)
    if said is None:
        return 0.0
    match = _QUALITY.search(said)
    return 1.0 if match is None else float(match.group(1))


def read_idempotency_key(headers: Mapping[str, str]) -> str:
    """Return the key under which a request may be sent again.

    Raises:
        errors.IdempotencyKeyMissing: There is none.
        errors.ValidationFailed: It has more than 40 characters, begins or ends with a space, or looks like a card's
            number.
    """
    key = headers.get(IDEMPOTENCY_KEY)
    if key is None:
        raise errors.IdempotencyKeyMissing(f"{IDEMPOTENCY_KEY} is required", param=IDEMPOTENCY_KEY)
    if len(key) > _LONGEST_KEY or not _KEY.fullmatch(key):
        raise validation_failed(IDEMPOTENCY_KEY, f"must be 1 to {_LONGEST_KEY} characters without spaces around them")
    if card_numbers.place_in_texts({IDEMPOTENCY_KEY: key}) is not None:
        raise validation_failed(IDEMPOTENCY_KEY, card_numbers.REASON)
    return key


def payload_version(headers: Mapping[str, str]) -> str:
    """Return the major version, ``3`` or ``4``, by whose names the client wants to be answered.

    Raises:
        errors.ValidationFailed: It is no version that is known here.
    """
    given = headers.get(PAYLOAD_VERSION)
    if given is None:
        return _PRESENT
    match = _VERSION.fullmatch(given)
    if match is None:
        raise validation_failed(PAYLOAD_VERSION, "names no version that is known here")
    return match.group(1)
