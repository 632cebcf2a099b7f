"""Exports whose lines were cut, doubled, moved or changed at will (billfold.chain.verify_export)."""

import contextlib
import gc
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billfold import chain
from billfold.chain import Damage, Verifier, verify_export
from billfold.chain.records import (
    AccountRecord,
    AliasRecord,
    CheckpointRecord,
    IdempotencyKeyRecord,
    JournalEntryRecord,
    LinkRecord,
    PostingOfEntry,
    PostingRecord,
    Record,
    ReversalRecord,
    RowRecord,
    TransferRecord,
    encode_record,
    read_record,
)
from tests.sdk.ledgers import CASH, FIRST, SECOND, START, Ledger, detached_books, some_books
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
        deep = b'{"record":"row","table":"x","columns":{"x":%s}}' % (b"[" * 100_000 + b"]" * 100_000)
        for broken in (b"{", b'{"record":"unheard"}', lines[5][:-1] + b',"more":1}', b"\xff", deep):
            found = verify_export([*lines[:5], broken, *lines[6:]]).findings[0]
            assert (found.damage, found.line) == (Damage.MALFORMED, 6)

    @pytest.mark.parametrize("books", [some_books, detached_books])
    def test_names_a_line_that_has_a_member_twice(self, books: Callable[[], Ledger]):
        """Of which a reader of JSON may take either, however it is spelt; lines in another's spelling are let be."""
        lines = [encode_record(line) for line in books().export()]
        for place, line in enumerate(lines):
            twice = line.replace(b"{", b'{"record":"posting",', 1)
            escaped = line.replace(b"{", b'{"\\u0072ecord":"posting",', 1)
            for broken in (twice, escaped):
                found = verify_export([*lines[:place], broken, *lines[place + 1 :]]).findings[0]
                assert (found.damage, found.line) == (Damage.MALFORMED, place + 1), broken
        amount = next(line for line in lines if b'"amount_minor":250,' in line and b'"transfer"' in line)
        other = amount.replace(b'"amount_minor"', b'"amount_minor":9,"amount_minor"')
        assert not verify_export([other if line == amount else line for line in lines]).ok
        spaced = [msgspec.json.format(line, indent=-1).replace(b",", b" , ") + b"\r\n" for line in lines]
        assert verify_export(spaced).ok == verify_export(line.decode() for line in lines).ok is True

    def test_is_looked_at_in_little_memory_though_all_links_are_gone(self):
        """What was recorded after a link that is missing isn't kept until the next one comes."""
        verifier = Verifier()
        lines = [encode_record(line) for line in some_books().export()]
        links = [line for line in lines if isinstance(read_record(line), LinkRecord)]
        timeline = range(lines.index(links[0]), lines.index(links[-1]))
        for line in lines[: timeline.start]:
            verifier.take(read_record(line))
        for _ in range(15_000 // len(timeline)):
            for line in lines[timeline.start : timeline.stop]:
                if line not in links:
                    verifier.take(read_record(line))
        # Those that tests before have left are garbage, which nobody has collected.
        gc.collect()
        kept = sum(type(each) is JournalEntryRecord for each in gc.get_objects())
        assert kept < 5_000
        assert (verifier.findings[0].damage, verifier.findings[0].id) == (Damage.DROPPED, "1")

    def test_names_a_link_that_is_missing_however_many_records_it_had(self):
        """The links behind it are there, and none of them is taken for missing."""
        ledger = Ledger()
        ledger.move("top_up", CASH, FIRST, 100_000)
        ledger.commit()
        for _ in range(3):
            for _ in range(4_000):
                ledger.move("transfer", FIRST, SECOND, 1)
            ledger.commit()
        for _ in range(2):
            ledger.move("transfer", FIRST, SECOND, 1)
            ledger.commit()
        assert verify(ledger.export()).ok
        lines = [line for line in ledger.export() if not isinstance(line, LinkRecord) or line.number not in {2, 3, 4}]
        found = [one.id for one in verify(lines).findings if (one.damage, one.record) == (Damage.DROPPED, "link")]
        # Last comes what the last line counts.
        assert found == ["2", "3", "4", None]

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

    @pytest.mark.parametrize("kind", chain.UNHELD_BEFORE)
    def test_holds_each_member_or_says_why_not_of_the_first_era(self, kind: type[Record]):
        """So it does with books in which wallets, accounts and holds have no terms; how many the former are is told."""
        unheld = {*chain.UNHELD.get(kind, {}), *chain.UNHELD_BEFORE[kind]}
        lines = some_books(1).export()
        assert (verify(lines).ok, verify(lines).unrecorded, verify(lines).era) == (True, 5, 1)
        assert verify(edited(lines, 0, format="billfold.ledger/2")).ok
        assert not verify(edited(lines, 0, format="billfold.ledger/1")).ok
        for place in places(lines, kind):
            for name in set(kind.__struct_fields__) - unheld:
                for other in others(name, getattr(lines[place], name)):
                    assert not verify(edited(lines, place, **{name: other})).ok, (place, name, other)

    def test_holds_each_member_of_an_account_without_postings_or_says_why_not(self):
        """One that nothing refers to, from before accounts had terms, is held by its own members alone."""
        lines = some_books(1).export()
        last = places(lines, AccountRecord)[-1]
        lone = msgspec.structs.replace(
            lines[last], id=UUID(int=98), code="lone", wallet_id=None, posted_minor=0, held_minor=0, pending_minor=0
        )
        lines = Ledger.ended([*lines[: last + 1], lone, *lines[last + 1 : -1]])
        assert verify(lines).ok
        # Nothing refers to it, so it may have another id.
        unheld = chain.UNHELD[AccountRecord].keys() | chain.UNHELD_BEFORE[AccountRecord].keys()
        for name in set(AccountRecord.__struct_fields__) - unheld - {"id"}:
            for other in others(name, getattr(lone, name)):
                assert not verify(edited(lines, last + 1, **{name: other})).ok, (name, other)

    @pytest.mark.parametrize("books", [some_books, detached_books])
    def test_names_what_is_missing_unless_nothing_refers_to_it(self, books: Callable[[], Ledger]):
        """Though the last line counts it out: only lines that `billfold.chain.unheld` speaks of may go."""
        lines = books().export()
        for place, line in enumerate(lines[:-1]):
            verification = verify(Ledger.ended([*lines[:place], *lines[place + 1 : -1]]))
            # Of what hangs on detached entries, a transfer or a sum may be gone as well.
            hanging = isinstance(line, TransferRecord | ReversalRecord) and books is detached_books
            assert not verification.ok or hanging or isinstance(line, AliasRecord | RowRecord | IdempotencyKeyRecord)

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
