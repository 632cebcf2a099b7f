"""What stands around the data of an answer: ``Links`` and ``Meta``, and the dates of query parameters."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import urlencode

from msgspec import UNSET, Meta

from billfold.clock import ensure_utc
from billfold.contract.open_banking import common
from billfold_server.http.reading import validation_failed
from billfold_server.http.routing import Call

__all__ = ["QueryInstant", "address_of", "links_of", "meta_of", "read_instant"]

QueryInstant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""An instant in a query, to be read by ``read_instant``."""

_INSTANT: Final = re.compile(
    r"(?P<date>[0-9]{4}-?(?:[0-9]{2}-?[0-9]{2}|W[0-9]{2}-?[1-7]))"
    r"(?:[Tt ](?P<time>[0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]{1,9})?)?)?))?"
    r"(?:[Zz]|[+ -][0-9]{2}(?::?[0-9]{2})?)?"
)
"""Dates and times of ISO 8601, as people write them and in its basic form, with or without minutes and seconds."""

_END_OF_DAY: Final = re.compile(r"24(?::?00(?::?00(?:[.,]0{1,9})?)?)?")
_MIDNIGHT: Final = "00:00"


def address_of(call: Call, query: Mapping[str, str | None] | None = None, *, below: str = "") -> str:
    """Return an absolute address: of the request, or of what lies below it.

    Args:
        call: The request.
        query: Parameters; those that are None are left out.
        below: What is added to the path, such as ``/con_…``.
    """
    asked = {name: value for name, value in query.items() if value is not None} if query else None
    text = f"?{urlencode(asked)}" if asked else ""
    return f"{call.reached_at}{call.path}{below}{text}"


def links_of(call: Call, *, below: str = "") -> common.Links:
    """Return the links of an answer that has no pages.

    Args:
        call: The request.
        below: What is added to its path where it has made something: ``/con_…``.
    """
    return common.Links(self_=address_of(call, below=below))


def meta_of(
    *, total_pages: int | None = 1, first_at: datetime | None = None, last_at: datetime | None = None
) -> common.Meta:
    """Return the facts about an answer; ``first_at`` and ``last_at`` say between which instants there is data."""
    return common.Meta(
        total_pages=UNSET if total_pages is None else total_pages,
        first_available_date_time=UNSET if first_at is None else first_at,
        last_available_date_time=UNSET if last_at is None else last_at,
    )


def read_instant(name: str, text: str | None) -> datetime | None:
    """Return the instant that a query names; a time zone is passed over, and a date alone is its beginning.

    A day ends at 24:00, which is the beginning of the next (ISO 8601, which the documents name; RFC 3339 has no such
    hour).

    Args:
        name: The parameter, for the refusal.
        text: What came, if it did.

    Raises:
        errors.ValidationFailed: It is no date of ISO 8601.
    """
    if text is None:
        return None
    match = _INSTANT.fullmatch(text)
    if match is not None:
        time = match["time"] or _MIDNIGHT
        ends = _END_OF_DAY.fullmatch(time) is not None
        with suppress(ValueError, OverflowError):
            instant = datetime.fromisoformat(f"{match['date']}T{_MIDNIGHT if ends else time}").replace(tzinfo=UTC)
            return ensure_utc(instant + timedelta(days=1) if ends else instant)
    raise validation_failed(name, "is no date and time of ISO 8601")
