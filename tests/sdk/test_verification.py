"""The verification of an export, which needs no server (billfold.chain.verify_export)."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import chain
from billfold.chain import Damage, Finding, Head, Verification, Verifier, verify_export
from billfold.chain.lines import name_of
from billfold.chain.linking import Chained
from billfold.chain.records import (
    AccountRecord,
    AccountTermsRecord,
    AliasRecord,
    EraRecord,
    HeadRecord,
    HoldRecord,
    HoldTermsRecord,
    IdempotencyKeyRecord,
    JournalEntryRecord,
    LinkRecord,
    MovementRecord,
    PartyRecord,
    PostingRecord,
    Record,
    ReversalRecord,
    TransferRecord,
    WalletRecord,
    WalletTermsRecord,
    encode_record,
    read_record,
)
from tests.sdk.ledgers import CASH, FIRST, SECOND, START, WALLETS, Ledger, detached_books, some_books

ROOT = Path(__file__).parents[2]
NOBODY = UUID(int=99)
SMALLEST = 100
"""Bytes that the smallest record would take at least, if it was kept."""


def verify(lines: list[Record], trusted: Head | None = None) -> Verification:
    """Verify records as their lines."""
    return verify_export([encode_record(line) for line in lines], trusted=trusted)


def places(lines: list[Record], kind: type[Record] | Any) -> list[int]:
    """Return where the records of a kind stand."""
    return [place for place, line in enumerate(lines) if isinstance(line, kind)]


def edited(lines: list[Record], place: int, **facts: Any) -> list[Record]:
    """Change facts of one record."""
    return [*lines[:place], msgspec.structs.replace(lines[place], **facts), *lines[place + 1 :]]


def with_posting(entry: Record, line: int, /, **facts: Any) -> dict[str, Any]:
    """Return an entry's postings with one of them changed."""
    assert isinstance(entry, JournalEntryRecord)
    postings = list(entry.postings)
    postings[line] = msgspec.structs.replace(postings[line], **facts)
    return {"postings": postings}


def first(lines: list[Record], trusted: Head | None = None) -> Finding:
    """Return the first finding."""
    verification = verify(lines, trusted)
    assert not verification.ok
    return verification.findings[0]


class TestWholeBooks:
    def test_are_found_whole(self):
        """Transfers, holds, captures, reversals and backdated entries verify, and lead to the ledger's head."""
        ledger = some_books()
        verification = verify(ledger.export(), trusted=ledger.head)
        assert verification.findings == []
        assert verification.ok
        assert verification.head == ledger.head
        assert (verification.sequence, verification.further) == (ledger.sequence, 0)
        assert verification.counts["journal_entry"] == ledger.sequence

    def test_are_found_whole_without_what_was_detached(self):
        """So is what hangs on entries that a checkpoint stands for, which is left behind without them."""
        ledger = detached_books()
        verification = verify(ledger.export(), trusted=ledger.head)
        assert verification.findings == []
        assert verification.counts["journal_entry"] == 3

    def test_are_read_from_a_file(self, tmp_path: Path):
        """A path does as well as lines, with line ends or without."""
        path = tmp_path / "books.jsonl"
        path.write_bytes(b"".join(encode_record(line) + b"\n" for line in some_books().export()))
        assert verify_export(path).ok
        assert verify_export(str(path)).ok

    def test_survive_the_erasure_of_text(self):
        """Where text and salt are erased the chain stays whole, because it only holds the commitment."""
        lines = some_books().export()
        (place,) = [at for at in places(lines, JournalEntryRecord) if getattr(lines[at], "text_salt", None)]
        erased = edited(lines, place, description=None, metadata={}, text_salt=None)
        erased = edited(erased, place + 1, description=None, metadata={})
        # Text goes when somebody is forgotten whose account it was, and not otherwise.
        assert first(erased).record == "journal_entry"
        erased = edited(erased, places(lines, PartyRecord)[0], forgotten_at=START)
        assert verify(erased).ok
        # What is left of the text elsewhere is no longer what anybody committed to.
        for left in ({"description": "lunch"}, {"metadata": {"table": "7"}}):
            assert first(edited(erased, place + 1, **left)).record == "transfer"

    def test_hold_the_metadata_of_transfers(self):
        """The journal entry has it as well, and the chain commits to that; entries of the first era may not."""
        lines = some_books().export()
        (place,) = [at for at in places(lines, TransferRecord) if getattr(lines[at], "metadata", {})]
        for other in ({}, {"table": "8"}, {"table": "7", "more": "1"}):
            assert first(edited(lines, place, metadata=other)).record == "transfer"
            assert first(edited(lines, place - 1, metadata=other)).record == "journal_entry"
        for era in (1, chain.ERA):
            ledger = Ledger(era)
            ledger.move("top_up", CASH, FIRST, 100, text="fund")
            ledger.commit()
            ledger.move("top_up", CASH, FIRST, 100)
            ledger.commit()
            lines = ledger.export()
            for place in places(lines, TransferRecord):
                verification = verify(edited(lines, place, metadata={"table": "7"}))
                assert verification.ok == (era == 1)
                assert all(
                    (one.damage, one.record) == (Damage.INCONSISTENT, "transfer") for one in verification.findings
                )

    def test_are_the_same_lines_once_read(self):
        """What is written is read, to the letter."""
        lines = some_books().export()
        assert [read_record(encode_record(line)) for line in lines] == lines

    def test_need_little_memory(self):
        """Not one of ten times as many journal entries is kept while they are looked at."""
        # Servers of other tests are up in this process, and take memory of their own; the first time fills caches.
        script = (
            "from tests.sdk.test_verification import peak_of; print(*(peak_of(number) for number in (300, 300, 3000)))"
        )
        run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        _, few, many_more = map(int, run.stdout.split())
        assert (many_more - few) / (3000 - 300) < SMALLEST


def peak_of(number: int) -> int:
    """Return how many bytes were in use at once while so many entries were verified."""
    tracemalloc.start()
    try:
        assert verify_lines(many(number)).ok
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def many(number: int) -> Iterator[Record]:
    """Yield an export whose records are made while they are read."""
    ledger = Ledger()
    ledger.move("top_up", CASH, FIRST, number)
    ledger.commit()
    for at in range(number):
        ledger.move("transfer", FIRST, SECOND, 1)
        if at % 10 == 9:
            ledger.commit()
    lines = ledger.export()
    encoded = b"\n".join(encode_record(line) for line in lines)
    del lines, ledger
    tracemalloc.clear_traces()
    start = 0
    while start < len(encoded):
        end = encoded.find(b"\n", start)
        end = len(encoded) if end < 0 else end
        yield read_record(encoded[start:end])
        start = end + 1


def verify_lines(lines: Iterator[Record]) -> Verification:
    """Verify records one by one."""
    verifier = Verifier()
    for line in lines:
        verifier.take(line)
    return verifier.finish()


class TestTheFirstDamagedRecord:
    @given(st.data())
    def test_is_named_when_edited(self, data: st.DataObject):
        """An amount that is changed anywhere names its entry or movement, and its line; so do terms and eras."""
        lines = some_books().export()
        place = data.draw(st.sampled_from(places(lines, Chained)))
        record = lines[place]
        if isinstance(record, JournalEntryRecord):
            which = data.draw(st.integers(0, 1))
            facts = with_posting(record, which, amount_minor=record.postings[which].amount_minor + 1)
            name = str(record.id)
        elif isinstance(record, MovementRecord):
            facts, name = {"delta_minor": record.delta_minor + 1}, f"{record.hold_id}/{record.step}"
        elif isinstance(record, HoldTermsRecord):
            facts, name = {"amount_minor": record.amount_minor + 1}, str(record.hold_id)
        elif isinstance(record, EraRecord):
            facts, name = {"number": record.number + 1}, str(record.number + 1)
        else:
            assert isinstance(record, WalletTermsRecord | AccountTermsRecord)
            facts = {"status": "frozen"}
            name = str(record.wallet_id if isinstance(record, WalletTermsRecord) else record.account_id)
        found = first(edited(lines, place, **facts))
        assert (found.damage, found.record, found.id) == (Damage.EDITED, name_of(record), name)
        assert found.line == place + 1

    @given(st.data())
    def test_is_named_when_dropped(self, data: st.DataObject):
        """A record that is taken out, with all that goes with it, is missed at its place; an entry by its sequence."""
        lines = some_books().export()
        place = data.draw(st.sampled_from(places(lines, JournalEntryRecord)))
        record = lines[place]
        assert isinstance(record, JournalEntryRecord)
        end = place + 1
        while isinstance(lines[end], TransferRecord | ReversalRecord):
            end += 1
        found = first(Ledger.ended([*lines[:place], *lines[end:-1]]))
        assert (found.damage, found.link) == (Damage.DROPPED, link_of(lines, place))
        later = any(isinstance(line, JournalEntryRecord) for line in lines[end:])
        assert (found.record, found.sequence) == (("journal_entry", record.sequence) if later else ("record", None))

    @given(st.data())
    def test_is_named_when_a_movement_is_dropped(self, data: st.DataObject):
        """A movement that is taken out is missed in its link, and so is its hold's step."""
        lines = some_books().export()
        place = data.draw(st.sampled_from(places(lines, MovementRecord)))
        findings = verify(Ledger.ended([*lines[:place], *lines[place + 1 : -1]])).findings
        assert (findings[0].damage, findings[0].link) == (Damage.DROPPED, link_of(lines, place))
        assert getattr(lines[place], "hold_id", None) in {UUID(one.id) for one in findings if one.record == "hold"}

    @given(st.data())
    def test_is_named_when_inserted(self, data: st.DataObject):
        """A record that was never committed is named, wherever it is put."""
        lines = some_books().export()
        place = data.draw(st.sampled_from(places(lines, JournalEntryRecord)))
        where = data.draw(st.sampled_from(places(lines, LinkRecord)))
        fake = msgspec.structs.replace(lines[place], id=NOBODY, kind="journal_entry")
        found = first(Ledger.ended([*lines[: where + 1], fake, *lines[where + 1 : -1]]))
        assert (found.damage, found.record, found.id, found.line) == (
            Damage.INSERTED,
            "journal_entry",
            str(NOBODY),
            where + 2,
        )

    def test_is_named_when_it_stands_twice(self):
        """A copy of a record is one that was never committed."""
        lines = some_books().export()
        place = places(lines, JournalEntryRecord)[2]
        found = first(Ledger.ended([*lines[: place + 1], lines[place], *lines[place + 1 : -1]]))
        assert (found.damage, found.record, found.line) == (Damage.INSERTED, "journal_entry", place + 2)

    def test_is_named_when_reordered(self):
        """Of two records of a batch that have changed places, the one that comes first now is named."""
        lines = some_books().export()
        one, other = places(lines, JournalEntryRecord)[1:3]
        assert link_of(lines, one) == link_of(lines, other)
        swapped = [*lines[:one], *lines[other : other + 2], *lines[one:other], *lines[other + 2 :]]
        found = first(swapped)
        named = lines[other]
        assert isinstance(named, JournalEntryRecord)
        assert (found.damage, found.id) == (Damage.REORDERED, str(named.id))

    @given(st.data())
    def test_is_a_link_whose_leaves_or_hash_were_edited(self, data: st.DataObject):
        """A link that doesn't follow from the ones before is named, whichever of its facts was changed."""
        lines = some_books().export()
        place = data.draw(st.sampled_from(places(lines, LinkRecord)))
        link = lines[place]
        assert isinstance(link, LinkRecord)
        facts: dict[str, Any] = data.draw(
            st.sampled_from(
                [
                    {"hash": bytes(32)},
                    {"leaves": bytes(len(link.leaves))},
                    {"leaves": link.leaves[:-1]},
                    {"recorded_at": link.recorded_at.replace(year=2027)},
                ]
            )
        )
        found = first(edited(lines, place, **facts))
        assert (found.damage, found.record, found.link) == (Damage.EDITED, "link", link.number)

    @pytest.mark.parametrize("back", [1, 3])
    def test_is_a_link_that_is_missing_alone(self, back: int):
        """Where a link was taken out and its records were left, it is missed rather than they called inserted."""
        lines = some_books().export()
        place = places(lines, LinkRecord)[-back]
        link = lines[place]
        assert isinstance(link, LinkRecord)
        found = first(Ledger.ended([*lines[:place], *lines[place + 1 : -1]]))
        assert (found.damage, found.record, found.link) == (Damage.DROPPED, "link", link.number)

    def test_is_a_link_that_is_missing(self):
        """A link that was taken out with its records is missed by its number."""
        lines = some_books().export()
        one, other = places(lines, LinkRecord)[6:8]
        found = first(Ledger.ended([*lines[:one], *lines[other:-1]]))
        assert (found.damage, found.record, found.link) == (Damage.DROPPED, "link", 7)

    @pytest.mark.parametrize("name", ["sequence", "link", "hash", "skips", "recorded_at", "effective_high"])
    def test_is_the_head_where_it_says_something_else(self, name: str):
        """Each fact of the head must be what the records lead to."""
        lines = some_books().export()
        value = getattr(lines[0], name)
        changes: dict[type, Callable[[Any], Any]] = {int: lambda old: old + 1, bytes: lambda old: bytes(len(old) + 32)}
        change = changes.get(type(value), lambda old: old.replace(year=2027))
        found = first(edited(lines, 0, **{name: change(value)}))
        assert (found.damage, found.record) == (Damage.EDITED, "head")
        assert name in found.fact


class TestAHoldThatHasEnded:
    @pytest.mark.parametrize("captured", [False, True])
    @pytest.mark.parametrize(
        ("status", "late"), [("released", None), ("released", 1), ("expired", 0), ("expired", -1), ("captured", 1)]
    )
    def test_has_the_status_that_its_records_make(self, status: str, late: int | None, captured: bool):  # noqa: FBT001 - pytest's own
        """A last capture, and whether its time was over then, leave one status only."""
        ledger = Ledger()
        ledger.move("top_up", CASH, FIRST, 1_000)
        # It ends with the next record but one, or but three, and each takes a microsecond.
        ends_at = ledger.now + timedelta(microseconds=5 if captured else 3)
        hold = ledger.hold(500, expires_at=None if late is None else ends_at + timedelta(microseconds=late))
        if captured:
            ledger.capture(hold, 200, final=False)
        if status == "captured":
            ledger.capture(hold, 100, final=True)
        else:
            ledger.end(hold, status=status)
        ledger.commit()
        lines = ledger.export()
        assert verify(lines).findings == []
        (place,) = places(lines, HoldRecord)
        for other in {"open", "captured", "released", "expired", "else"} - {status}:
            found = first(edited(lines, place, status=other))
            assert (found.damage, found.record) == (Damage.INCONSISTENT, "hold")

    def test_was_not_changed_after_it_had_expired(self):
        """No step was taken on it then, so such a time is a wrong one, whether or not the chain has another."""
        lines = some_books(1).export()
        for place in places(lines, HoldRecord):
            found = first(edited(lines, place, expires_at=START))
            assert (found.damage, found.record) == (Damage.INCONSISTENT, "hold")


def link_of(lines: list[Record], place: int) -> int:
    """Return the number of the link that a record stands under."""
    for line in reversed(lines[:place]):
        if isinstance(line, LinkRecord):
            return line.number
    raise AssertionError(place)


class TestAChainThatWasMadeAnew:
    def test_contradicts_the_head_that_was_kept(self):
        """Books that were written anew, links and all, are whole by themselves but not to who kept an old head."""
        kept = some_books().head
        other = some_books()
        lines = other.export()
        assert kept.hash != other.head.hash
        assert verify(lines).ok
        found = first(lines, trusted=kept)
        assert (found.damage, found.record, found.link) == (Damage.EDITED, "link", kept.number)

    @pytest.mark.parametrize(("number", "digest"), [(0, bytes([1] * 32)), (-5, bytes(32))])
    def test_contradicts_a_head_that_no_ledger_has(self, number: int, digest: bytes):
        """A trusted head that can't be compared with any link isn't passed over."""
        lines = some_books().export()
        found = first(lines, trusted=Head(number=number, hash=digest))
        assert (found.damage, found.record, found.id) == (Damage.EDITED, "link", str(number))
        assert verify(lines, trusted=chain.START).ok

    def test_that_ends_before_the_head_that_was_kept_is_noticed(self):
        """Books from which the newest batches were taken away are whole by themselves, too."""
        ledger = some_books()
        kept = Head(number=ledger.head.number + 1, hash=bytes(32))
        found = first(ledger.export(), trusted=kept)
        assert (found.damage, found.record, found.link) == (Damage.DROPPED, "link", kept.number)


def entries(lines: list[Record]) -> list[int]:
    """Return where the entries stand."""
    return places(lines, JournalEntryRecord)


def rechained(lines: list[Record]) -> list[Record]:
    """Make the chain anew over changed records, so that only what the records say can betray them."""
    head, out, group = chain.START, list[Record](), list[Record]()
    stated = lines[0]
    assert isinstance(stated, HeadRecord)

    def close() -> None:
        nonlocal head
        if not group:
            return
        link = group[0]
        assert isinstance(link, LinkRecord)
        leaves = [record.leaf() for record in group if isinstance(record, Chained)]
        head, made = head.extend(leaves, link.recorded_at)
        out.append(msgspec.structs.replace(link, leaves=b"".join(leaves), hash=made.hash))
        out.extend(group[1:])

    for line in lines:
        if isinstance(line, LinkRecord):
            close()
            group = [line]
        elif group:
            group.append(line)
        else:
            out.append(line)
    close()
    out[0] = msgspec.structs.replace(stated, link=head.number, hash=head.hash, skips=head.skips)
    return out


class TestBooksThatContradictThemselves:
    """Even where the chain was made anew over them."""

    @pytest.mark.parametrize(
        ("kind", "facts", "damage", "record"),
        [
            (WalletRecord, {"party_id": NOBODY}, Damage.DANGLING, "wallet"),
            (WalletRecord, {"currencies": []}, Damage.DANGLING, "account"),
            (AccountRecord, {"id": UUID(int=20)}, Damage.DANGLING, "account_terms"),
            (AccountRecord, {"currency": "JPY"}, Damage.EDITED, "account"),
            (AccountRecord, {"code": "till"}, Damage.EDITED, "account"),
            (AccountRecord, {"created_at": START + timedelta(1)}, Damage.EDITED, "account"),
            (AccountRecord, {"overdraft_limit_minor": 5}, Damage.EDITED, "account"),
            (AccountRecord, {"status": "frozen"}, Damage.EDITED, "account"),
            (WalletRecord, {"created_at": START + timedelta(1)}, Damage.EDITED, "wallet"),
            (WalletTermsRecord, {"party_id": NOBODY}, Damage.EDITED, "wallet"),
            (WalletTermsRecord, {"wallet_id": NOBODY}, Damage.DANGLING, "wallet_terms"),
            (WalletTermsRecord, {"kind": "changed"}, Damage.INCONSISTENT, "wallet_terms"),
            (WalletTermsRecord, {"kind": "found"}, Damage.INSERTED, "wallet_terms"),
            (WalletTermsRecord, {"status": "closed"}, Damage.EDITED, "wallet"),
            (AccountTermsRecord, {"wallet_id": WALLETS[0]}, Damage.EDITED, "account"),
            (AccountTermsRecord, {"overdraft_limit_minor": 7}, Damage.EDITED, "account"),
            (EraRecord, {"number": 3}, Damage.INCONSISTENT, "era"),
            (AccountRecord, {"normal_side": "credit"}, Damage.INCONSISTENT, "account"),
            (AccountRecord, {"normal_side": "up"}, Damage.INCONSISTENT, "account"),
            (AccountRecord, {"type": "income"}, Damage.INCONSISTENT, "account"),
            (AccountRecord, {"type": "pile"}, Damage.INCONSISTENT, "account"),
            (AccountRecord, {"code": None}, Damage.INCONSISTENT, "account"),
            (AccountRecord, {"wallet_id": WALLETS[0]}, Damage.INCONSISTENT, "account"),
            (AccountRecord, {"overdraft_limit_minor": -20_000}, Damage.INCONSISTENT, "account"),
            (WalletRecord, {"status": "frozen"}, Damage.INCONSISTENT, "account"),
            (WalletRecord, {"currencies": ["EUR", "USD"]}, Damage.DANGLING, "wallet"),
            (PartyRecord, {"forgotten_at": START, "external_id": "x"}, Damage.INCONSISTENT, "party"),
            (AliasRecord, {"wallet_id": NOBODY}, Damage.DANGLING, "alias"),
            (AccountRecord, {"posted_minor": 1}, Damage.WRONG_BALANCE, "account"),
            (AccountRecord, {"held_minor": 1}, Damage.WRONG_BALANCE, "account"),
            (AccountRecord, {"pending_minor": 1}, Damage.WRONG_BALANCE, "account"),
            (JournalEntryRecord, {"description": "other"}, Damage.EDITED, "journal_entry"),
            (JournalEntryRecord, {"metadata": {"a": "b"}}, Damage.EDITED, "journal_entry"),
            (JournalEntryRecord, {"postings": []}, Damage.UNBALANCED, "journal_entry"),
            (JournalEntryRecord, {"sequence": 7}, Damage.INCONSISTENT, "journal_entry"),
            (JournalEntryRecord, {"id": NOBODY}, Damage.INCONSISTENT, "journal_entry"),
            (JournalEntryRecord, {"id": UUID(int=2**128 - 1)}, Damage.INCONSISTENT, "journal_entry"),
            (JournalEntryRecord, {"reverses": NOBODY}, Damage.DANGLING, "journal_entry"),
            (JournalEntryRecord, {"hold_id": NOBODY}, Damage.DANGLING, "journal_entry"),
            (JournalEntryRecord, {"kind": "journal_entry"}, Damage.DANGLING, "transfer"),
            (TransferRecord, {"id": NOBODY}, Damage.DANGLING, "transfer"),
            (TransferRecord, {"description": "other"}, Damage.INCONSISTENT, "transfer"),
            (TransferRecord, {"amount_minor": 1}, Damage.INCONSISTENT, "transfer"),
            (TransferRecord, {"to_wallet_id": NOBODY}, Damage.INCONSISTENT, "transfer"),
            (TransferRecord, {"to_balance_after_minor": 1}, Damage.INCONSISTENT, "transfer"),
            (TransferRecord, {"from_balance_after_minor": 1}, Damage.INCONSISTENT, "transfer"),
            (TransferRecord, {"cash_account_id": NOBODY}, Damage.INCONSISTENT, "transfer"),
            (ReversalRecord, {"journal_entry_id": NOBODY}, Damage.DANGLING, "reversal"),
            (ReversalRecord, {"amount_minor": 1}, Damage.INCONSISTENT, "reversal"),
            (ReversalRecord, {"reversed_minor": 200}, Damage.INCONSISTENT, "reversal"),
            (HoldRecord, {"id": NOBODY}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"to_account_id": NOBODY}, Damage.DANGLING, "hold"),
            (HoldRecord, {"account_id": CASH}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"wallet_id": NOBODY}, Damage.DANGLING, "hold"),
            (HoldRecord, {"wallet_id": WALLETS[1]}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"to_wallet_id": NOBODY}, Damage.DANGLING, "hold"),
            (HoldRecord, {"to_wallet_id": WALLETS[0]}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"to_wallet_id": None}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"to_account_id": None}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"currency": "JPY"}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"description": "other"}, Damage.EDITED, "hold"),
            (HoldRecord, {"metadata": {"a": "b"}}, Damage.EDITED, "hold"),
            (HoldRecord, {"expires_at": START + timedelta(1)}, Damage.EDITED, "hold"),
            (HoldRecord, {"status": "released"}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"status": "expired"}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"status": "open"}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"amount_minor": 501, "released_minor": 201}, Damage.INCONSISTENT, "hold_movement"),
            (HoldRecord, {"created_at": START}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"updated_at": START}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"captured_minor": 1}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"journal_entry_ids": []}, Damage.INCONSISTENT, "hold"),
            (HoldRecord, {"steps": 4}, Damage.INCONSISTENT, "hold"),
            (MovementRecord, {"delta_minor": 1}, Damage.WRONG_BALANCE, "hold_movement"),
            (MovementRecord, {"account_id": NOBODY}, Damage.DANGLING, "hold_movement"),
            (MovementRecord, {"step": 1}, Damage.INCONSISTENT, "hold_movement"),
            (HoldTermsRecord, {"hold_id": NOBODY}, Damage.DANGLING, "hold_terms"),
            (HoldTermsRecord, {"wallet_id": WALLETS[1]}, Damage.EDITED, "hold"),
            (HoldTermsRecord, {"to_account_id": None}, Damage.EDITED, "hold"),
            (HoldTermsRecord, {"amount_minor": 501}, Damage.EDITED, "hold"),
            (HoldTermsRecord, {"text_commitment": bytes(32)}, Damage.EDITED, "hold"),
            (IdempotencyKeyRecord, {"fingerprint": b"x"}, Damage.MALFORMED, "idempotency_key"),
            (IdempotencyKeyRecord, {"status": 199}, Damage.MALFORMED, "idempotency_key"),
            (IdempotencyKeyRecord, {"body": None}, Damage.MALFORMED, "idempotency_key"),
            (IdempotencyKeyRecord, {"body": b"{"}, Damage.MALFORMED, "idempotency_key"),
            (IdempotencyKeyRecord, {"key": "c"}, Damage.REORDERED, "idempotency_key"),
        ],
    )
    def test_are_named_by_what_contradicts(
        self, kind: type[Record], facts: dict[str, Any], damage: Damage, record: str
    ):
        """Each reference, sum and running balance that is wrong names the record that it is wrong on."""
        lines = some_books().export()
        changed = rechained(edited(lines, places(lines, kind)[0], **facts))
        found = first(changed)
        assert (found.damage, found.record) == (damage, record)

    @pytest.mark.parametrize("kind", [HoldRecord, AccountRecord])
    def test_are_told_by_what_differs(self, kind: type[Record]):
        """A currency that only begins like the right one isn't told as the same."""
        lines = some_books().export()
        place = next(at for at in places(lines, kind) if getattr(lines[at], "wallet_id", None) is not None)
        assert " in EURx" in first(edited(lines, place, currency="EURx")).fact

    def test_are_named_by_an_entry_that_does_not_balance(self):
        """An entry that doesn't balance is named, and so is the running balance that doesn't follow."""
        lines = some_books().export()
        place = entries(lines)[4]
        changed = rechained(edited(lines, place, **with_posting(lines[place], 0, amount_minor=7)))
        damages = {finding.damage for finding in verify(changed).findings}
        assert {Damage.UNBALANCED, Damage.WRONG_BALANCE} <= damages
        assert first(changed).line == place + 1

    def test_are_named_by_a_time_that_was_moved(self):
        """What takes effect late is kept apart from the rest, and a wrong place there is found."""
        lines = some_books().export()
        (late,) = [at for at in entries(lines) if getattr(lines[at], "postings", [])[0].late_class is not None]
        for facts in (
            with_posting(lines[late], 0, late_class=None),
            with_posting(lines[late], 1, late_class=3),
            {"effective_high": lines[late].effective_at},  # type: ignore[union-attr]  # entries have one
        ):
            found = first(rechained(edited(lines, late, **facts)))
            assert (found.damage, found.line) == (Damage.INCONSISTENT, late + 1)

    def test_are_named_by_a_posting_of_no_entry(self):
        """A posting whose entry is gone is named."""
        lines = some_books().export()
        stray = PostingRecord(entry_id=NOBODY, line=0, account_id=CASH, amount_minor=1, currency="EUR")
        place = entries(lines)[3]
        found = first(Ledger.ended([*lines[:place], stray, *lines[place:-1]]))
        assert (found.damage, found.record, found.id) == (Damage.DANGLING, "posting", f"{NOBODY}/0")

    def test_are_named_by_a_transfer_that_is_missing(self):
        """An entry of a transfer without the transfer is named."""
        lines = some_books().export()
        place = places(lines, TransferRecord)[1]
        found = first(Ledger.ended([*lines[:place], *lines[place + 1 : -1]]))
        entry = lines[place - 1]
        assert isinstance(entry, JournalEntryRecord)
        assert (found.damage, found.record, found.id) == (Damage.DANGLING, "journal_entry", str(entry.id))
