"""Entity tags of resources that change: a strong tag made of the version, and the ``If-Match`` check against it."""

import re
from typing import Final

from billfold import errors

__all__ = ["IF_MATCH_PATTERN", "check_if_match", "etag"]

IF_MATCH_PATTERN: Final = r'^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*)$'
"""The form of ``If-Match`` (RFC 9110, section 13.1.1), in ASCII, as it has to be sent."""

_IF_MATCH = re.compile(r'\*|(?:[ \t]*,)*[ \t]*(?:W/)?"[!#-~]*"(?:[ \t]*,(?:[ \t]*(?:W/)?"[!#-~]*")?)*[ \t]*')
"""As it is taken: empty elements of a list don't count (RFC 9110, section 5.6.1.2)."""
_TAG = re.compile(r'(W/)?"([!#-~]*)"')


def etag(version: int) -> str:
    """Return the strong entity tag of a version (RFC 9110, section 8.8.3)."""
    return f'"{version}"'


def check_if_match(header: str | None, version: int) -> None:
    """Refuse a change to something that is no longer what the caller read.

    Without the header, the change goes ahead. A weak tag never matches (RFC 9110, section 13.1.1).

    Raises:
        errors.ValidationFailed: The header isn't ``*`` or a list of entity tags.
        errors.PreconditionFailed: None of the tags is the present one.
    """
    if header is None:
        return
    header = header.strip(" \t")
    if not _IF_MATCH.fullmatch(header):
        raise errors.ValidationFailed("If-Match must be * or a list of entity tags", param="If-Match")
    if header == "*":
        return
    present = str(version)
    if not any(not weak and tag == present for weak, tag in _TAG.findall(header)):
        raise errors.PreconditionFailed(param="If-Match")
