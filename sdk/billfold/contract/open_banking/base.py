"""What all Structs of this contract are made of: their bases, their names on the wire, and their patterns."""

from typing import Final

import msgspec

__all__ = ["Closed", "Open", "ecma", "wire_name"]

_ACRONYMS: Final = frozenset({"aer", "apr", "bca", "ear", "lei", "pca", "psu", "sca", "url", "vrp"})


def wire_name(attribute: str) -> str:
    """Return the official name of an attribute: ``DomesticVRPId`` of ``domestic_vrp_id``."""
    words = attribute.rstrip("_").split("_")
    return "".join(word.upper() if word in _ACRONYMS else word[:1].upper() + word[1:] for word in words)


def ecma(pattern: str) -> str:
    r"""Return a pattern of the official documents as Python must be given it to read it as ECMA-262 does.

    There ``\d`` and ``\w`` are ASCII, and ``$`` is the very end. The OpenAPI document shows it as it was published.
    """
    return "(?a)" + pattern.replace("$", r"$(?!\n)")


class Open(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=wire_name):
    """The base of what may have further members, which are passed over."""


class Closed(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename=wire_name
):
    """The base of what has no members but those that are named."""
