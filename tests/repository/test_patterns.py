"""Patterns of the contract mean the same to Python, which checks, and to ECMA 262, by which the document is read."""

import functools
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from billfold_server.http.openapi import _types
from billfold_server.http.schemas import Schemas
from billfold_server.rooms import operations
from billfold_server.tenancy.manifest import Manifest

ROOT = Path(__file__).parents[2]


def patterns(value: Any) -> set[str]:
    """Return every pattern of a schema."""
    if isinstance(value, list):
        return {each for part in value for each in patterns(part)}
    if not isinstance(value, dict):
        return set()
    own = {value["pattern"]} if isinstance(value.get("pattern"), str) else set()
    return own | {each for part in value.values() for each in patterns(part)}


@functools.cache
def every_pattern() -> set[str]:
    """Return every pattern that the server checks."""
    types = _types(operations())
    schemas = Schemas(types, tidy=False)
    return patterns(schemas.components) | {each for kind in types for each in patterns(schemas.of(kind))}


class TestEveryPattern:
    @pytest.mark.parametrize("pattern", sorted(each for each in every_pattern() if "[^\\s" in each))
    def test_names_the_blanks_that_python_alone_knows(self, pattern: str) -> None:
        """Python's white space has U+001C to U+001F and U+0085, too; what excludes blanks excludes these for both."""
        assert not any(re.search(pattern.replace("(?!\\n)", ""), f"a{blank}b@c{blank}d") for blank in "\x1c\x1f\x85")
        assert "\\u001f" in pattern
        assert "\\u0085" in pattern

    @pytest.mark.parametrize("pattern", sorted(every_pattern() | patterns(msgspec.json.schema(Manifest))))
    def test_does_not_overlook_a_newline_at_the_end(self, pattern: str) -> None:
        """Python's ``$`` also matches before a last newline; the pattern takes one anywhere, or refuses it there."""
        # Some of open banking's own patterns have no end at all.
        anywhere = "$" not in pattern or re.search(pattern, "\n\n") is not None
        assert anywhere or pattern.endswith("$(?!\\n)"), pattern
        assert re.compile(pattern)
