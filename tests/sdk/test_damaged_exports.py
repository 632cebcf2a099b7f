"""Exports whose lines were cut, doubled, moved or changed at will (billfold.chain.verify_export)."""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billfold import chain
from billfold.chain import Damage, verify_export
from billfold.chain.records import (
    CheckpointRecord,
    JournalEntryRecord,
    PostingOfEntry,
    PostingRecord,
    Record,
    ReversalRecord,
    RowRecord,
    TransferRecord,
    encode_record,
    read_record,
)
from tests.sdk.ledgers import START, Ledger, detached_books, some_books
from tests.sdk.test_verification import NOBODY, edited, first, places, verify, with_posting


class TestAnExportThatIsDamaged:
    @given(st.data())
    def test_is_incomplete_when_cut_short(self, data: st.DataObject):
        """Wherever it ends too early, that is found."""
        lines = some_books().export()
        end = data.draw(st.integers(0, len(lines) - 1))
        damages = {finding.damage for finding in verify(lines[:end]).findings}
        assert Damage.INCOMPLETE in damages

    def test_names_a_line_that_is_no_record(self):
        """A line that is no JSON, has a strange member or is of an unknown kind is named by its number."""
        lines = [encode_record(line) for line in some_books().export()]
        for broken in (b"{", b'{"record":"unheard"}', lines[5][:-1] + b',"more":1}', b"\xff"):
            found = verify_export([*lines[:5], broken, *lines[6:]]).findings[0]
            assert (found.damage, found.line) == (Damage.MALFORMED, 6)

    @given(st.data())
    def test_never_breaks_the_verification(self, data: st.DataObject):
        """Lines that are dropped, doubled and shuffled at will are found out, and nothing else is raised."""
        lines = some_books().export()
        order = data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=2 * len(lines)))
        assume(order != list(range(len(lines))))
        verification = verify([lines[place] for place in order])
        assert not verification.ok
        assert len(verification.findings) <= 100

    @pytest.mark.parametrize("books", [some_books, detached_books])
    def test_names_a_line_that_stands_twice(self, books: Callable[[], Ledger]):
        """Whatever kind it is of, and though the last line counts it."""
        lines = books().export()
        for place in range(len(lines) - 1):
            doubled = Ledger.ended([*lines[: place + 1], lines[place], *lines[place + 1 : -1]])
            assert not verify(doubled).ok, lines[place]

    @pytest.mark.parametrize("books", [some_books, detached_books])
    def test_names_a_line_that_stands_elsewhere(self, books: Callable[[], Ledger]):
        """Any two neighbours that have changed places are noticed, whatever they are."""
        lines = books().export()
        for place in range(len(lines) - 1):
            swapped = [*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]]
            assert not verify(swapped).ok, lines[place]

    @pytest.mark.parametrize(
        ("table", "columns"),
        [
            ("statements", {"id": "y", "cash_account_id": str(NOBODY)}),
            ("payments", {"id": "p", "party_id": str(NOBODY)}),
            ("payments", {"id": "p", "wallet_id": str(NOBODY)}),
            ("payments", {"id": "p", "to_wallet_id": "nonsense"}),
        ],
    )
    def test_names_a_row_that_refers_to_nobody(self, table: str, columns: dict[str, Any]):
        """Wallets, parties and accounts that rows of other rooms name have to be there."""
        lines = some_books().export()
        place = next(at for at in places(lines, RowRecord) if getattr(lines[at], "columns", {})["id"] == columns["id"])
        found = first(edited(lines, place, table=table, columns=columns))
        assert (found.damage, found.record, found.id) == (Damage.DANGLING, "row", f"{table}/{columns['id']}")

    @pytest.mark.parametrize("kind", get_args(Record))
    def test_holds_each_member_or_says_why_not(self, kind: type[Record]):
        """Change any member that isn't listed as unheld on any line, and the verification isn't the same."""
        unheld = chain.UNHELD.get(kind, {})
        assert unheld.keys() <= set(kind.__struct_fields__)
        lines = (detached_books if kind is CheckpointRecord else some_books)().export()
        # A posting without its entry is damage by itself.
        assert places(lines, kind) or kind is PostingRecord
        for place in places(lines, kind):
            for name in kind.__struct_fields__:
                for other in [] if name in unheld else others(name, getattr(lines[place], name)):
                    assert not verify(edited(lines, place, **{name: other})).ok, (place, name, other)

    @pytest.mark.parametrize("name", PostingOfEntry.__struct_fields__)
    def test_holds_each_member_of_a_posting(self, name: str):
        """So it does with the lines of an entry, of which none is left out."""
        lines = some_books().export()
        for place in places(lines, JournalEntryRecord):
            for other in others(name, getattr(getattr(lines[place], "postings", [])[0], name)):
                assert not verify(edited(lines, place, **with_posting(lines[place], 0, **{name: other}))).ok

    @given(st.data())
    def test_does_not_hide_a_byte(self, data: st.DataObject):
        """Change any one byte of any line to another, and the verification isn't the same, but for what is unheld."""
        lines = data.draw(st.sampled_from([some_books, detached_books]))().export()
        place = data.draw(st.integers(0, len(lines) - 1))
        line = encode_record(lines[place])
        at = data.draw(st.integers(0, len(line) - 1))
        byte = data.draw(st.integers(32, 126))
        changed = line[:at] + bytes([byte]) + line[at + 1 :]
        with contextlib.suppress(msgspec.DecodeError):
            assume(is_held(lines[place], read_record(changed), lines))
        encoded = [encode_record(one) for one in lines]
        verification = verify_export([*encoded[:place], changed, *encoded[place + 1 :]])
        assert not verification.ok


def others(name: str, value: Any) -> list[Any]:
    """Return values of a member's type that aren't its own."""
    if value is None:
        by_end = {"id": NOBODY, "reverses": NOBODY, "minor": 1, "at": START, "class": 3, "salt": bytes(16)}
        return [by_end.get(name.rsplit("_", 1)[-1], bytes(32) if name == "text_commitment" else "other")]
    made: list[tuple[type, Callable[[Any], list[Any]]]] = [
        (int, lambda old: [old + 1, old - 1]),
        (str, lambda old: [old + "x", "other"]),
        (bytes, lambda old: [old[:-1], bytes(len(old) - 1) + b"x"]),
        (UUID, lambda _: [NOBODY]),
        (datetime, lambda old: [old + timedelta(microseconds=1), old - timedelta(days=1)]),
        (list, lambda old: [[*old, *(old[:1] or [NOBODY])], old[:-1]] if old else [[NOBODY]]),
        (dict, lambda old: [{**old, "x": 1 if name == "counts" else "1"}]),
    ]
    return next(change(value) for kind, change in made if isinstance(value, kind))


def is_held(line: Record, other: Record, lines: list[Record]) -> bool:
    """Tell whether a line differs from another in what a verification holds."""
    if type(line) is not type(other):
        return True
    (detached,) = [one.sequence for one in lines if isinstance(one, CheckpointRecord)] or [0]
    if detached and isinstance(line, TransferRecord | ReversalRecord):
        # Of what hangs on a detached entry little more is known than its place.
        return False
    unheld = {*chain.UNHELD.get(type(line), {}), *(["journal_entry_ids"] if detached else [])}
    held = [name for name in line.__struct_fields__ if name not in unheld]
    return any(getattr(line, name) != getattr(other, name) for name in held)
