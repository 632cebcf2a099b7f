"""The synchronous client is generated from the asynchronous one (tests/sdk/generate_sync.py)."""

from pathlib import Path

import pytest

from tests.sdk.generate_sync import BY_HAND, CLIENT, generate, sources, target


class TestTheSynchronousClient:
    @pytest.mark.parametrize("source", sources(), ids=lambda source: source.stem)
    def test_is_what_the_asynchronous_one_gives(self, source: Path):
        """The committed module is the generated one; ``python -m tests.sdk.generate_sync`` makes it so."""
        assert target(source).read_text(encoding="utf-8") == generate(source)

    def test_has_nothing_of_its_own(self):
        """No module lies beside the generated ones but those that are written by hand."""
        names = {path.name for path in (CLIENT / "_sync").glob("*.py")}
        assert names == {source.name for source in sources()} | BY_HAND

    @pytest.mark.parametrize("source", sources(), ids=lambda source: source.stem)
    def test_speaks_of_nothing_asynchronous(self, source: Path):
        """No word of the other mode is left, in code or in docstrings."""
        text = target(source).read_text(encoding="utf-8").partition("\n")[2]
        assert not any(word in text for word in ("async", "Async", "await", "aclose", "__aenter__"))
