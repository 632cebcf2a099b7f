"""The table of conformance modules: each has its line, and each test that a line names is there."""

import re
from pathlib import Path

from tests.shared_files import shared_path

HERE = Path(__file__).parent
README = HERE / "README.md"
LINE = re.compile(r"^\| (?:SP|MS) \| ([A-Za-z0-9_-]+) \| (.+?) \| (.*?) \|$", re.MULTILINE)
NAMED = re.compile(r"`([a-z_/]+\.py)::(\w+)(?:::(\w+))?`")
DEFINED = re.compile(r"^(|    )(class|def|async def) (\w+)", re.MULTILINE)
"""Definitions of a module and of its classes. Python 3.11 can't parse code while another thread shows a traceback."""
PREFIX = "fapi2-security-profile-final-"


def lines() -> dict[str, tuple[str, str]]:
    """Return, by module, how it stands and what shows it."""
    return {name: (state, shown) for name, state, shown in LINE.findall(README.read_text(encoding="utf-8"))}


def names_in(path: Path) -> set[tuple[str, str | None]]:
    """Return the classes and tests of a file, as they are named."""
    found: set[tuple[str, str | None]] = set()
    owner = ""
    for indent, kind, name in DEFINED.findall(path.read_text(encoding="utf-8")):
        if not indent:
            owner = name if kind == "class" else ""
            found.add((name, None))
        elif owner:
            found.add((owner, name))
    return found


class TestTheTable:
    """The table."""

    def test_has_a_line_for_every_module(self) -> None:
        """No module of the plans is forgotten, and none is made up."""
        listed = shared_path("fapi", "modules.tsv").read_text(encoding="utf-8").split("\n")[1:]
        modules = {line.split("\t")[1].removeprefix(PREFIX) for line in listed if line}
        assert len(modules) > 50
        assert lines().keys() == modules

    def test_names_tests_that_are_there(self) -> None:
        """Each name leads to a test that runs."""
        missing = []
        for module, (_, shown) in lines().items():
            for file, first, second in NAMED.findall(shown):
                if not (HERE / file).exists() or (first, second or None) not in names_in(HERE / file):
                    missing.append((module, file, first, second))
        assert missing == []

    def test_shows_something_or_says_why_not(self) -> None:
        """A line that is shown names a test; any other one says why there is none."""
        for module, (state, shown) in lines().items():
            assert state in {"shown", "doesn't apply", "not yet"}, module
            assert bool(NAMED.search(shown)) is (state == "shown"), module
            assert len(shown) > 20, module
