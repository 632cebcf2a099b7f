"""The synchronous client is generated from the asynchronous one (tests/sdk/generate_sync.py)."""

from pathlib import Path

import pytest

from tests.sdk.generate_sync import BY_HAND, PACKAGES, generate, sources, target


def named(source: Path) -> str:
    """Return by what a test tells modules apart."""
    return f"{source.parents[1].name}-{source.stem}"


class TestTheSynchronousClient:
    @pytest.mark.parametrize("source", sources(), ids=named)
    def test_is_what_the_asynchronous_one_gives(self, source: Path):
        """The committed module is the generated one; ``python -m tests.sdk.generate_sync`` makes it so."""
        assert target(source).read_text(encoding="utf-8") == generate(source)

    def test_has_nothing_of_its_own(self):
        """No module lies beside the generated ones but those that are written by hand."""
        made = {target(source) for source in sources()}
        found = {path for package in PACKAGES for path in (package / "_sync").glob("*.py")}
        assert {path for path in found if path.name not in BY_HAND} == made

    @pytest.mark.parametrize("source", sources(), ids=named)
    def test_speaks_of_nothing_asynchronous(self, source: Path):
        """No word of the other mode is left, in code or in docstrings."""
        text = target(source).read_text(encoding="utf-8").partition("\n")[2]
        assert not any(word in text for word in ("async", "Async", "await", "aclose", "__aenter__"))
