"""Which version of the contract a request is answered by, and how it is told that an operation will end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from billfold import errors
from billfold.contract.versions import HEADER, VERSIONS
from billfold_server.http.answers import Header

__all__ = ["Deprecation", "version_header", "version_of"]

_NAME: Final = HEADER.lower()
_ANSWERED: Final = {each: (_NAME.encode(), each.encode()) for each in VERSIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """That programs should no longer use an operation.

    Attributes:
        since: From when on; it may lie in the future.
        sunset: From when on it may no longer be there; None is that nobody has decided.
        link: Where it is said what to use in its place.
    """

    since: datetime
    sunset: datetime | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        """Refuse an end before the warning (RFC 9745, section 4), and times that depend on where they are read."""
        if self.since.tzinfo is None or (self.sunset is not None and self.sunset.tzinfo is None):
            msg = "a deprecation's times are aware"
            raise TypeError(msg)
        if self.sunset is not None and self.sunset < self.since:
            msg = "an operation is deprecated before it ends"
            raise TypeError(msg)

    @property
    def headers(self) -> dict[str, str]:
        """Return ``Deprecation`` (RFC 9745), and ``Sunset`` (RFC 8594) and ``Link`` where there is something to say."""
        headers = {"Deprecation": f"@{int(self.since.timestamp())}"}
        if self.sunset is not None:
            headers["Sunset"] = format_datetime(self.sunset, usegmt=True)
        if self.link is not None:
            headers["Link"] = f'<{self.link}>; rel="deprecation"; type="text/html"'
        return headers


def version_of(headers: Mapping[str, str], pinned: str) -> str:
    """Return the version that a request is answered by: the one that it asks for, or else its client's.

    Args:
        headers: The request's headers by lower-case name.
        pinned: The client's version.

    Raises:
        errors.ApiVersionUnknown: It asks for one that isn't there.
    """
    version = headers.get(_NAME, pinned)
    if version not in _ANSWERED:
        msg = f"the versions are {', '.join(VERSIONS)}"
        raise errors.ApiVersionUnknown(msg, param=HEADER, latest=VERSIONS[-1])
    return version


def version_header(version: str) -> Header:
    """Return the header that says which version an answer is of."""
    return _ANSWERED[version]
