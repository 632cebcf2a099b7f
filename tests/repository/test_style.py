"""Style that no linter holds: sizes, names, docstrings of tests, and words that don't belong in the project."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.tracked import ROOT, python_files, tracked_files

ONE_SCREEN = 60
LONGEST_FILE = 600

# Written in halves, so that this file holds none of them.
REGISTRY_HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "crates" + ".io",
    "docker" + ".io",
    "gh" + "cr.io",
    "qu" + "ay.io",
    "proxy.go" + "lang.org",
    "deb.deb" + "ian.org",
]
FOREIGN_WORDS = [
    "/wo" + "rk/",
    "DESIGN" + ".md",
    "STACK" + ".md",
    "BRIEF" + ".md",
    "clau" + "de",
    "chat" + "gpt",
    "anthro" + "pic",
]

MAYBE_A_CARD = re.compile(r"token_hex\([789]\)")
"""One in sixty thousand of these has digits alone, or but for one, that may be a card's number."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")
"""Where a statement has further statements."""


def functions(source: str) -> Iterator[Function]:
    """Yield every function and method, however deep. They are statements, so nothing looks into expressions."""
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, Function):
            yield node
        for name in BLOCKS:
            todo.extend(getattr(node, name, ()))


def too_long(source: str) -> list[str]:
    """Name the functions that don't fit on a screen, counted from ``def`` to the last line."""
    return [
        f"{node.name} has {length} lines"
        for node in functions(source)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > ONE_SCREEN
    ]


def without_a_fact(source: str) -> list[str]:
    """Name the tests whose docstring is absent or longer than a line."""
    tests = (node for node in functions(source) if node.name.startswith("test_"))
    return [node.name for node in tests if len((ast.get_docstring(node) or "").splitlines()) != 1]


def foreign(text: str) -> list[str]:
    """Name the words in a text that don't belong here."""
    lowered = text.lower()
    return [word for word in [*REGISTRY_HOSTS, *FOREIGN_WORDS] if word.lower() in lowered]


def read(path: Path) -> str:
    """Read a file as text; what isn't text has no words."""
    return path.read_bytes().decode("utf-8", errors="ignore")


class TestEveryFileOfTheProject:
    def test_has_functions_of_one_screen(self):
        """No function is longer than sixty lines."""
        found = {str(path.relative_to(ROOT)): names for path in python_files() if (names := too_long(read(path)))}
        assert found == {}

    def test_has_at_most_600_lines(self):
        """A Python file that grows beyond 600 lines is two files."""
        lengths = {str(path.relative_to(ROOT)): len(read(path).splitlines()) for path in python_files()}
        assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}

    def test_says_in_its_name_what_it_holds(self):
        """Nothing is called utils, helpers, misc or common functions."""
        vague = {"utils", "util", "helpers", "helper", "misc"}
        assert [str(path.relative_to(ROOT)) for path in python_files() if path.stem in vague] == []

    def test_states_the_fact_of_each_test(self):
        """Every test has a docstring of one line."""
        tests = [path for path in python_files() if path.name.startswith("test_")]
        assert {str(path.relative_to(ROOT)): names for path in tests if (names := without_a_fact(read(path)))} == {}

    def test_makes_up_nothing_that_a_server_may_take_for_a_card(self):
        """Six random bytes or fewer have too few digits for a card's number, ten or more have too many."""
        tests = [path for path in python_files() if path.is_relative_to(ROOT / "tests")]
        assert [str(path.relative_to(ROOT)) for path in tests if MAYBE_A_CARD.search(read(path))] == []

    def test_speaks_of_the_product_alone(self):
        """No tracked file names the host of a package registry, or how and where the project was written."""
        assert {str(path.relative_to(ROOT)): words for path in tracked_files() if (words := foreign(read(path)))} == {}


class TestTheChecksThemselves:
    def test_find_a_function_that_is_too_long(self):
        """Sixty-one lines are one too many."""
        body = "    pass\n"
        assert too_long("def f():\n" + body * (ONE_SCREEN - 1)) == []
        assert too_long("async def f():\n" + body * ONE_SCREEN) == ["f has 61 lines"]

    @pytest.mark.parametrize("docstring", ["", '"""One\n\n    Two."""'])
    def test_find_a_test_without_a_fact(self, docstring: str):
        """A docstring that is absent or of several lines is found."""
        assert without_a_fact(f"def test_x():\n    {docstring}\n    pass") == ["test_x"]
        assert without_a_fact('def test_x():\n    """It is so."""') == []

    def test_find_bytes_that_may_be_a_card(self):
        """Between six and ten, all are."""
        found = [count for count in range(1, 20) if MAYBE_A_CARD.search(f"secrets.token_hex({count})")]
        assert found == [7, 8, 9]

    def test_find_a_foreign_word(self):
        """Case makes no difference."""
        assert foreign("see https://Py" + "Pi.org/simple") == [REGISTRY_HOSTS[0]]
