"""The scanner finds what was planted, in whatever form and wherever it lies, and nothing else."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.canaries.scanner import Canaries, memory_of


def encoded_after(before: int, number: str) -> bytes:
    """Return a number in base64 with some other bytes before it."""
    return base64.b64encode(b"." * before + number.encode())


FORMS: dict[str, Callable[[str], bytes]] = {
    "raw": lambda number: number.encode(),
    "in fours": lambda number: " ".join(number[each : each + 4] for each in range(0, len(number), 4)).encode(),
    "with dashes": lambda number: "-".join(number[each : each + 4] for each in range(0, len(number), 4)).encode(),
    "as on an American Express": lambda number: f"{number[:4]} {number[4:10]} {number[10:]}".encode(),
    "hex": lambda number: number.encode().hex().encode(),
    "upper hex": lambda number: number.encode().hex().upper().encode(),
    "hex in fours": lambda number: "-".join([number[:4], number[4:8], number[8:]]).encode().hex().upper().encode(),
    "UTF-16": lambda number: number.encode("utf-16-le"),
    "packed": lambda number: bytes.fromhex(number.ljust(16, "0")),
    "packed, halves changed": lambda number: bytes.fromhex(
        "".join(f"{b}{a}" for a, b in zip(*[iter(number.ljust(16, "f"))] * 2, strict=True))
    ),
    "hex of base64": lambda number: base64.b64encode(number.encode()).hex().encode(),
    **{f"base64 after {before} bytes": partial(encoded_after, before) for before in range(4)},
    "base64 in fours": lambda number: base64.urlsafe_b64encode(f"a {number[:4]} {number[4:8]} {number[8:]}".encode()),
}


class TestTheScanner:
    @pytest.mark.parametrize("form", FORMS)
    def test_finds_a_planted_leak(self, form: str) -> None:
        """Of each brand, in each form, among other bytes, and which of many numbers it is."""
        canaries = Canaries()
        numbers = [canaries.make() for _ in range(500)]
        assert len({(number[:2], len(number)) for number in numbers}) == 3
        for number in numbers[:50]:
            planted = os.urandom(100) + b"\0" + FORMS[form](number) + b"\0" + os.urandom(100)
            assert {each.number for each in canaries.found_in(planted)} == {number}

    def test_finds_nothing_else(self) -> None:
        """Numbers that nobody has given out aren't found, though they begin like those that were."""
        canaries, others = Canaries(), Canaries()
        # Chance would give it out once more, else.
        others._known.add(canaries.make())
        haystack = b" ".join(plant(others.make()) for plant in FORMS.values() for _ in range(20))
        assert canaries.found_in(haystack) == set()

    def test_finds_one_on_an_edge(self, tmp_path: Path) -> None:
        """A number that lies in two pieces of a file, or of a stream."""
        canaries = Canaries()
        number = canaries.make()
        text = number.encode().hex().encode()
        for cut in range(len(text) + 1):
            found = canaries.found_in_pieces([b"." * 700 + text[:cut], text[cut:] + b"." * 700])
            assert {each.number for each in found} == {number}
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "file").write_bytes(b"\n" * 16 * 1024 * 1024 + text)
        assert canaries.found_in_folder(tmp_path).keys() == {"deep/file"}

    def test_finds_one_on_an_edge_of_what_comes_again(self) -> None:
        """A number that lies in two pieces of which either has been looked at before, and one that comes twice."""
        canaries = Canaries()
        number, whole = canaries.make(), canaries.make()
        begin, end = b"." * 700 + number[:7].encode(), number[7:].encode() + b"." * 700
        assert canaries.found_in_pieces([end, begin, begin]) == set()
        assert not canaries.any_in_pieces([end, begin, begin])
        for pieces in ([begin, b".", begin, end], [end, b".", begin, end], [end, begin, b".", begin, end]):
            assert {each.number for each in canaries.found_in_pieces(pieces)} == {number}
            assert canaries.any_in_pieces(pieces)
        assert {each.number for each in canaries.found_in_pieces([whole.encode()] * 2)} == {whole}

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/<pid>/mem")
    def test_finds_one_in_a_process(self) -> None:
        """A process that was told a number holds it, and what was told nothing doesn't."""
        canaries = Canaries()
        number = canaries.make()
        program = "import sys; kept = sys.stdin.readline().strip(); print('ready', flush=True); sys.stdin.readline()"
        for said, held in ((number.encode().hex(), {number}), ("nothing", set())):
            with subprocess.Popen(
                [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(f"{said}\n")
                process.stdin.flush()
                assert process.stdout.readline() == "ready\n"
                assert {each.number for each in canaries.found_in_pieces(memory_of(process.pid))} == held
                process.stdin.close()

    def test_is_quick(self) -> None:
        """However many numbers there are, it looks through more than twenty megabytes in a second of processor time."""
        canaries = Canaries()
        for _ in range(20_000):
            canaries.make()
        data = os.urandom(20_000_000)
        began = time.process_time()
        assert canaries.found_in(data) == set()
        assert time.process_time() - began < 1
