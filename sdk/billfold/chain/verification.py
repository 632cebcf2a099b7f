"""The verification of a whole ledger, record by record and without a server.

A verifier is given the records of an export (``billfold.chain.records``) one after the other and says in the end what
it has found. What it keeps in memory doesn't grow with the number of journal entries: parties, wallets and accounts,
the holds that are open at that point of time, the entries that are still to be reversed, and the records of one link.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from billfold import ids
from billfold.chain.links import NOTHING, START, BrokenLinkError, Head, StoredLink, commitment
from billfold.chain.records import (
    FORMAT,
    AccountRecord,
    AliasRecord,
    EndRecord,
    HeadRecord,
    HoldRecord,
    IdempotencyKeyRecord,
    JournalEntryRecord,
    LinkRecord,
    MovementRecord,
    PartyRecord,
    PostingRecord,
    Record,
    ReversalRecord,
    RowRecord,
    TransferRecord,
    WalletRecord,
    name_of,
    read_record,
)

__all__ = ["Damage", "Finding", "Verification", "Verifier", "verify_export"]

_MOST_FINDINGS: Final = 100
_MOVES: Final = frozenset({"transfer", "top_up", "withdrawal"})
_DEBIT: Final = "debit"
Source: TypeAlias = Iterable[bytes | str] | str | os.PathLike[str]
_Chained: TypeAlias = JournalEntryRecord | MovementRecord
_FIRST_STATUS, _LAST_STATUS, _LONGEST_KEY, _FINGERPRINT_BYTES = 200, 499, 255, 32


class Damage(StrEnum):
    """What can be wrong with a record. The first four are what the chain shows."""

    EDITED = "edited"
    DROPPED = "dropped"
    INSERTED = "inserted"
    REORDERED = "reordered"
    DANGLING = "dangling"
    UNBALANCED = "unbalanced"
    WRONG_BALANCE = "wrong_balance"
    INCONSISTENT = "inconsistent"
    MALFORMED = "malformed"
    INCOMPLETE = "incomplete"


_FACTS: Final = {
    Damage.EDITED: "its hash isn't the one that was committed",
    Damage.INSERTED: "no such record was committed there",
    Damage.REORDERED: "it was committed at another place",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong.

    Attributes:
        damage: What is wrong with it.
        record: What kind of record it is: ``journal_entry``, ``hold_movement``, ``link``, ``account``, …
        id: Its id, or the key that stands for one (``<hold>/<step>``, a link's number); absent where that is lost.
        sequence: A journal entry's place in the ledger, where it is known.
        link: The number of the link that it belongs to, where it belongs to one.
        line: The line of the export, from 1 on, at which this showed; absent for what didn't come from an export.
        fact: What was found, as half a sentence.
    """

    damage: Damage
    record: str
    id: str | None = None
    sequence: int | None = None
    link: int | None = None
    line: int | None = None
    fact: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification has found.

    Attributes:
        ok: Whether everything holds.
        findings: What doesn't, in the order of the ledger; the first is the first damaged record. At most 100.
        further: How many more there are than ``findings`` holds.
        head: The head that the links lead to.
        sequence: How many journal entries there are.
        counts: How many records there are of each kind.
    """

    ok: bool
    findings: list[Finding]
    further: int
    head: Head
    sequence: int
    counts: dict[str, int]


def verify_export(source: Source, *, trusted: Head | None = None) -> Verification:
    """Verify an export of a ledger, with no server and nobody's word but the export's own.

    Every record is hashed and compared with the chain, every link with the links before; every entry must balance,
    every running balance follow from the one before, every account's balance from its records, and every reference
    lead to something. The first record that was edited, dropped, inserted or put elsewhere is the first finding.

    A chain that was made anew as a whole contradicts nothing but what was kept elsewhere: a head that was published, or
    written down, is given as ``trusted``.

    Args:
        source: The lines, or the path of the file that holds them.
        trusted: A head that is known from elsewhere; the ledger must contain it. Its number and hash are looked at.

    Raises:
        OSError: The file can't be read.
    """
    verifier = Verifier(trusted=trusted)
    with _opened(source) as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = read_record(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                verifier.malformed(number)
            else:
                verifier.take(record, line=number)
    return verifier.finish()


def _opened(source: Source) -> AbstractContextManager[Iterable[bytes | str]]:
    if isinstance(source, str | os.PathLike):
        return Path(source).open("rb")
    return nullcontext(source)


class _Account:
    """An account's balances as its records make them, and as they should come out."""

    __slots__ = ("currency", "expected", "held", "normal_side", "pending", "posted", "wallet_id")

    def __init__(self, record: AccountRecord) -> None:
        self.currency = record.currency
        self.wallet_id = record.wallet_id
        self.normal_side = record.normal_side
        self.expected = (record.posted_minor, record.held_minor, record.pending_minor)
        self.posted = self.held = self.pending = 0


class _Hold:
    """A hold, and what its records have made of it so far."""

    __slots__ = ("captured", "entries", "moved", "record", "steps")

    def __init__(self, record: HoldRecord) -> None:
        self.record = record
        self.steps = self.moved = self.captured = 0
        self.entries: list[UUID] = []


class Verifier:
    """Verifies the records of a ledger as they come, in the order of an export.

    Args:
        trusted: A head that is known from elsewhere; the ledger must contain it.
    """

    def __init__(self, *, trusted: Head | None = None) -> None:
        self._findings: list[Finding] = []
        self._found = 0
        self._counts: Counter[str] = Counter()
        self._stated: HeadRecord | None = None
        self._ended = False
        self._line: int | None = None
        # The chain.
        self._trusted = trusted
        self._head: Head = START
        self._link: StoredLink | None = None
        self._group: list[tuple[int | None, Record]] = []
        self._link_number: int | None = None
        self._linked_at: datetime | None = None
        self._last_title: str | None = None
        self._last_sequence = 0
        self._unnamed: list[int] = []
        # The books.
        self._parties: set[UUID] = set()
        self._wallets: dict[UUID, frozenset[str]] = {}
        self._accounts: dict[UUID, _Account] = {}
        self._sequence = 0
        self._recorded_at: datetime | None = None
        self._effective_high: datetime | None = None
        self._entry: JournalEntryRecord | None = None
        self._entry_moved = True
        self._reversals: dict[UUID, int] = {}
        self._holds: dict[UUID, _Hold] = {}
        self._closing: list[UUID] = []
        self._last_key: tuple[bytes, bytes] | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            HeadRecord: self._take_head,
            PartyRecord: self._take_party,
            WalletRecord: self._take_wallet,
            AliasRecord: self._take_alias,
            AccountRecord: self._take_account,
            LinkRecord: self._take_link,
            RowRecord: self._take_beside,
            IdempotencyKeyRecord: self._take_key,
            EndRecord: self._take_end,
        }
        # The records of one link are looked at together, once all of them have come.
        self._timeline: dict[type, Callable[[Any], None]] = {
            JournalEntryRecord: self._check_entry,
            PostingRecord: self._check_stray_posting,
            TransferRecord: self._check_transfer,
            ReversalRecord: self._check_reversal,
            HoldRecord: self._check_hold,
            MovementRecord: self._check_movement,
        }

    @property
    def sound(self) -> bool:
        """Whether nothing wrong has been found so far; the records of the newest link aren't looked at yet."""
        return not self._found

    @property
    def findings(self) -> list[Finding]:
        """What has been found so far."""
        return list(self._findings)

    def take(self, record: Record, *, line: int | None = None) -> None:
        """Look at the next record.

        Args:
            record: The record.
            line: Its line in the export, for the findings.
        """
        self._line = line
        kind = type(record)
        if not self._counts and kind is not HeadRecord:
            self._find(Damage.INCOMPLETE, "head", None, "an export begins with its head")
        if self._ended:
            self._find(Damage.INSERTED, name_of(record), None, "it comes after the end")
            return
        self._counts[name_of(record)] += 1
        if kind in self._timeline:
            self._group.append((line, record))
        else:
            self._handlers[kind](record)

    def malformed(self, line: int) -> None:
        """Take note of a line that is no record."""
        self._line = line
        self._find(Damage.MALFORMED, "line", None, "the line isn't a record of this format")

    def finish(self) -> Verification:
        """Say what was found, once all records have come."""
        self._close_group()
        self._line = None
        if not self._ended:
            self._find(Damage.INCOMPLETE, "end", None, "the export was cut short")
        self._check_stated_head()
        self._check_trusted_head()
        self._check_balances()
        for entry_id, missing in self._reversals.items():
            fact = f"its reversing entries make {missing} less than it says"
            self._find(Damage.INCONSISTENT, "reversal", str(entry_id), fact)
        for hold in list(self._holds.values()):
            self._check_whole_hold(hold)
        return Verification(
            ok=not self._found,
            findings=self._findings,
            further=self._found - len(self._findings),
            head=self._head,
            sequence=self._sequence,
            counts=dict(self._counts),
        )

    def _find(
        self,
        damage: Damage,
        record: str,
        id_: str | None,
        fact: str,
        *,
        sequence: int | None = None,
        link: int | None = None,
        line: int | None = None,
    ) -> None:
        self._found += 1
        if len(self._findings) < _MOST_FINDINGS:
            finding = Finding(
                damage=damage,
                record=record,
                id=id_,
                sequence=sequence,
                link=link,
                line=self._line if line is None else line,
                fact=fact,
            )
            self._findings.append(finding)

    # Whom the books are about.

    def _take_head(self, record: HeadRecord) -> None:
        if self._stated is not None:
            self._find(Damage.INSERTED, "head", None, "there is a second one")
            return
        self._stated = record
        if record.format != FORMAT:
            self._find(Damage.MALFORMED, "head", None, f"the format isn't {FORMAT}")

    def _take_party(self, record: PartyRecord) -> None:
        if record.id in self._parties:
            self._find(Damage.INSERTED, "party", str(record.id), "there is one with this id already")
        self._parties.add(record.id)

    def _take_wallet(self, record: WalletRecord) -> None:
        if record.id in self._wallets:
            self._find(Damage.INSERTED, "wallet", str(record.id), "there is one with this id already")
        if record.party_id not in self._parties:
            self._find(Damage.DANGLING, "wallet", str(record.id), f"there is no party {record.party_id}")
        self._wallets[record.id] = frozenset(record.currencies)

    def _take_alias(self, record: AliasRecord) -> None:
        if record.wallet_id not in self._wallets:
            self._find(Damage.DANGLING, "alias", str(record.id), f"there is no wallet {record.wallet_id}")

    def _take_account(self, record: AccountRecord) -> None:
        if record.id in self._accounts:
            self._find(Damage.INSERTED, "account", str(record.id), "there is one with this id already")
        if record.wallet_id is not None and record.currency not in self._wallets.get(record.wallet_id, ()):
            fact = f"there is no wallet {record.wallet_id} with {record.currency}"
            self._find(Damage.DANGLING, "account", str(record.id), fact)
        self._accounts[record.id] = _Account(record)

    # The chain.

    def _take_link(self, record: LinkRecord) -> None:
        self._close_group()
        stored, expected = record.stored(), self._head.number + 1
        if stored.number > expected:
            for number in range(expected, min(stored.number, expected + _MOST_FINDINGS)):
                self._find(Damage.DROPPED, "link", str(number), "it is missing", link=number)
            self._go_on_after(stored)
        elif stored.number < expected:
            fact = f"it stands after link {self._head.number}"
            self._find(Damage.REORDERED, "link", str(stored.number), fact, link=stored.number)
        else:
            self._follow(stored)
        self._link, self._link_number, self._linked_at = stored, stored.number, stored.recorded_at
        if self._trusted is not None and self._trusted.number == stored.number and self._trusted.hash != stored.hash:
            fact = "its hash isn't that of the head which is trusted"
            self._find(Damage.EDITED, "link", str(stored.number), fact, link=stored.number)

    def _follow(self, stored: StoredLink) -> None:
        if self._linked_at is not None and stored.recorded_at <= self._linked_at:
            fact = "it was recorded before the link that it follows"
            self._find(Damage.INCONSISTENT, "link", str(stored.number), fact, link=stored.number)
        try:
            self._head = self._head.follow(stored)
        except BrokenLinkError as error:
            fact = f"its {error.fact} doesn't follow from the links before"
            self._find(Damage.EDITED, "link", str(stored.number), fact, link=stored.number)
            self._go_on_after(stored)

    def _go_on_after(self, stored: StoredLink) -> None:
        """Take a broken link's hash as it is stored, so that later links are judged by themselves."""
        follower, _ = Head(number=stored.number - 1, hash=NOTHING, skips=self._head.skips).extend(
            [NOTHING], stored.recorded_at
        )
        self._head = Head(number=stored.number, hash=stored.hash, skips=follower.skips)

    def _close_group(self) -> None:
        """Look at the records of the newest link, all of which have come."""
        group, self._group = self._group, []
        line = self._line
        self._compare([(at, record) for at, record in group if isinstance(record, JournalEntryRecord | MovementRecord)])
        for self._line, record in group:
            self._timeline[type(record)](record)
        self._expect_transfer()
        for hold_id in self._closing:
            self._check_whole_hold(self._holds.pop(hold_id))
        self._closing = []
        self._line = line
        # What still came before the next link would belong to none.
        self._link = None

    def _compare(self, group: Sequence[tuple[int | None, _Chained]]) -> None:
        """Compare the records of a link with its leaves, and name what was edited, dropped, inserted or moved."""
        expected, found = self._leaves(), [record.leaf() for _, record in group]
        wanted, there = Counter(expected), Counter(found)
        if _whole_but_for_edits(expected, found):
            # As many are strange as are lost, and the others stand in order: nothing but edits.
            for (line, record), each in zip(group, found, strict=True):
                if not wanted[each]:
                    self._name(Damage.EDITED, line, record)
                self._note(record, strange=False)
            return
        index = place = 0
        while index < len(expected) or place < len(found):
            lost = index < len(expected) and not there[expected[index]]
            strange = place < len(found) and wanted[found[place]] <= 0
            if place < len(found) and not (lost and not strange):
                line, record = group[place]
                damage = self._judge(found[place], expected[index : index + 1], lost=lost, strange=strange)
                if damage is not None:
                    self._name(damage, line, record)
                self._note(record, strange=strange and not lost)
                wanted[found[place]] -= 1
                place += 1
                index += damage is not Damage.INSERTED and index < len(expected)
            else:
                if lost:
                    self._name_missing(index)
                index += 1

    @staticmethod
    def _judge(found: bytes, expected: Sequence[bytes], *, lost: bool, strange: bool) -> Damage | None:
        if [found] == expected:
            return None
        if strange:
            return Damage.EDITED if lost else Damage.INSERTED
        return Damage.REORDERED

    def _leaves(self) -> list[bytes]:
        try:
            return [] if self._link is None else self._link.split()
        except BrokenLinkError:
            # It has been named already, when it didn't follow.
            return []

    def _name(self, damage: Damage, line: int | None, record: _Chained) -> None:
        sequence = record.sequence if isinstance(record, JournalEntryRecord) else None
        fact = _FACTS[damage]
        self._find(damage, name_of(record), _key(record), fact, sequence=sequence, link=self._link_number, line=line)

    def _name_missing(self, index: int) -> None:
        """Name a record of which only the leaf is left: by its place, until a later record tells which one it was."""
        number, after = self._link_number, self._last_title
        fact = f"record {index + 1} of link {number} is missing" + (f" after {after}" if after else "")
        if self._found < _MOST_FINDINGS:
            self._unnamed.append(len(self._findings))
        self._find(Damage.DROPPED, "record", f"{number}/{index}", fact, link=number)

    def _note(self, record: _Chained, *, strange: bool) -> None:
        """Remember a record as the newest one, and name those that are missing before it by their sequence."""
        self._last_title = _title(record)
        if not isinstance(record, JournalEntryRecord) or strange:
            return
        gap, unnamed = record.sequence - self._last_sequence - 1, self._unnamed
        if gap == len(unnamed) or gap == 0:
            for number, place in enumerate(unnamed, self._last_sequence + 1):
                name = {"record": "journal_entry", "sequence": number} if gap else {"record": "hold_movement"}
                self._findings[place] = msgspec.structs.replace(self._findings[place], **name)
        self._last_sequence, self._unnamed = record.sequence, []

    def _check_stated_head(self) -> None:
        stated = self._stated
        if stated is None:
            return
        computed = {
            "sequence": self._sequence,
            "link": self._head.number,
            "hash": self._head.hash,
            "skips": self._head.skips,
        }
        if self._recorded_at is not None:
            computed["recorded_at"] = self._recorded_at
        if self._effective_high is not None:
            computed["effective_high"] = self._effective_high
        for name, value in computed.items():
            if getattr(stated, name) != value:
                shown = value.hex() if isinstance(value, bytes) else value
                self._find(Damage.EDITED, "head", None, f"its {name} isn't {shown}, which the records lead to")

    def _check_trusted_head(self) -> None:
        if self._trusted is not None and self._trusted.number > self._head.number:
            fact = f"the ledger ends before link {self._trusted.number}, whose head is trusted"
            self._find(Damage.DROPPED, "link", str(self._head.number + 1), fact, link=self._head.number + 1)

    # The books.

    def _check_entry(self, entry: JournalEntryRecord) -> None:
        self._expect_transfer()
        self._entry, self._entry_moved = entry, entry.kind not in _MOVES
        self._check_order(entry)
        self._check_text(entry)
        self._check_time(entry)
        sums: Counter[str] = Counter()
        for place, posting in enumerate(entry.postings):
            if posting.line != place:
                self._blame(entry, Damage.INCONSISTENT, f"line {place} isn't where it should be")
            sums[posting.currency] += posting.amount_minor
            self._post(entry, posting.account_id, posting.amount_minor, posting.currency, posting.posted_after_minor)
        for currency, total in sums.items():
            if total:
                self._blame(entry, Damage.UNBALANCED, f"its postings in {currency} are off by {total}")
        if not entry.postings:
            self._blame(entry, Damage.UNBALANCED, "it has no postings")
        self._check_references(entry)

    def _blame(self, entry: JournalEntryRecord, damage: Damage, fact: str) -> None:
        self._find(damage, "journal_entry", str(entry.id), fact, sequence=entry.sequence, link=self._link_number)

    def _check_order(self, entry: JournalEntryRecord) -> None:
        if entry.sequence != self._sequence + 1:
            self._blame(entry, Damage.INCONSISTENT, f"it is number {entry.sequence} and comes after {self._sequence}")
        self._sequence = entry.sequence
        self._check_recorded(name_of(entry), str(entry.id), entry.recorded_at)
        if ids.instant_of(entry.id) != entry.recorded_at:
            self._blame(entry, Damage.INCONSISTENT, "its id doesn't say when it was recorded")

    def _check_recorded(self, name: str, id_: str, recorded_at: datetime) -> None:
        if self._recorded_at is not None and recorded_at <= self._recorded_at:
            self._find(Damage.INCONSISTENT, name, id_, "it was recorded before the record that it follows")
        self._recorded_at = recorded_at

    def _check_text(self, entry: JournalEntryRecord) -> None:
        text = entry.description is not None or bool(entry.metadata)
        if entry.text_salt is None:
            # Where text and salt were erased together, the commitment stays and says nothing.
            right = not text
        else:
            right = entry.text_commitment == commitment(entry.text_salt, entry.description, entry.metadata)
        if not right:
            self._blame(entry, Damage.EDITED, "its text isn't the one that was committed to")

    def _check_time(self, entry: JournalEntryRecord) -> None:
        before = self._effective_high
        high = entry.effective_at if before is None else max(before, entry.effective_at)
        if entry.effective_high != high:
            self._blame(entry, Damage.INCONSISTENT, "its effective_high isn't the latest effective time so far")
        late = None if before is None or entry.effective_at >= before else _late_class(entry.effective_at, before)
        for posting in entry.postings:
            if posting.effective_at not in {None, entry.effective_at} or posting.late_class != late:
                fact = f"line {posting.line} takes effect at another time than the entry"
                self._blame(entry, Damage.INCONSISTENT, fact)
        self._effective_high = high

    def _post(self, entry: JournalEntryRecord, account_id: UUID, amount: int, currency: str, after: int) -> None:
        account = self._accounts.get(account_id)
        if account is None:
            self._blame(entry, Damage.DANGLING, f"there is no account {account_id}")
            return
        if currency != account.currency:
            self._blame(entry, Damage.INCONSISTENT, f"it posts {currency} on account {account_id}")
        if amount == 0:
            self._blame(entry, Damage.INCONSISTENT, f"it posts nothing on account {account_id}")
        if account.posted + amount != after:
            fact = f"account {account_id} holds {account.posted + amount} after it rather than {after}"
            self._blame(entry, Damage.WRONG_BALANCE, fact)
        # What is stated is where the next posting goes on from, so that one wrong balance is one finding.
        account.posted = after

    def _check_references(self, entry: JournalEntryRecord) -> None:
        amount = sum(posting.amount_minor for posting in entry.postings if posting.amount_minor > 0)
        if entry.reverses is not None:
            if entry.reverses not in self._reversals:
                self._blame(entry, Damage.DANGLING, f"there is no entry {entry.reverses} of which so much was reversed")
            else:
                self._reversals[entry.reverses] -= amount
                if self._reversals[entry.reverses] == 0:
                    del self._reversals[entry.reverses]
        if entry.hold_id is not None:
            hold = self._holds.get(entry.hold_id)
            if hold is None:
                self._blame(entry, Damage.DANGLING, f"there is no hold {entry.hold_id} to capture then")
            else:
                hold.captured += amount
                hold.entries.append(entry.id)

    def _check_stray_posting(self, record: PostingRecord) -> None:
        fact = f"there is no journal entry {record.entry_id}"
        self._find(Damage.DANGLING, "posting", f"{record.entry_id}/{record.line}", fact)

    def _expect_transfer(self) -> None:
        if self._entry is not None and not self._entry_moved:
            self._blame(self._entry, Damage.DANGLING, f"the {self._entry.kind} that it belongs to isn't there")
        self._entry_moved = True

    def _check_transfer(self, record: TransferRecord) -> None:
        entry = self._entry
        if entry is None or entry.id != record.id or entry.kind != record.kind or self._entry_moved:
            fact = f"there is no journal entry of a {record.kind} with its id"
            self._find(Damage.DANGLING, "transfer", str(record.id), fact)
            return
        self._entry_moved = True
        if self._as_posted(record, entry) != [
            (posting.account_id, posting.amount_minor, posting.currency) for posting in entry.postings
        ] or not _says_the_same(record, entry):
            self._find(Damage.INCONSISTENT, "transfer", str(record.id), "its journal entry says something else")

    def _as_posted(self, record: TransferRecord, entry: JournalEntryRecord) -> list[tuple[UUID, int, str]] | None:
        """Return the postings that a transfer should have; None where the accounts aren't the wallets'."""
        if len(entry.postings) != 2:  # noqa: PLR2004 - a debit and a credit
            return None
        debited, credited = (posting.account_id for posting in entry.postings)
        sides = [(debited, record.from_wallet_id, record.from_balance_after_minor, entry.postings[0])]
        sides.append((credited, record.to_wallet_id, record.to_balance_after_minor, entry.postings[1]))
        for account_id, wallet_id, after, posting in sides:
            account = self._accounts.get(account_id)
            if wallet_id is None:
                if account_id != record.cash_account_id:
                    return None
                continue
            if account is None or account.wallet_id != wallet_id:
                return None
            if after != (posting.posted_after_minor if account.normal_side == _DEBIT else -posting.posted_after_minor):
                return None
        return [(debited, record.amount_minor, record.currency), (credited, -record.amount_minor, record.currency)]

    def _check_reversal(self, record: ReversalRecord) -> None:
        entry = self._entry
        if entry is None or entry.id != record.journal_entry_id:
            fact = f"there is no journal entry {record.journal_entry_id}"
            self._find(Damage.DANGLING, "reversal", str(record.journal_entry_id), fact)
            return
        amount = sum(posting.amount_minor for posting in entry.postings if posting.amount_minor > 0)
        if record.amount_minor != amount or not 0 < record.reversed_minor <= amount:
            fact = f"of {amount}, it says that {record.reversed_minor} of {record.amount_minor} were reversed"
            self._find(Damage.INCONSISTENT, "reversal", str(record.journal_entry_id), fact)
        self._reversals[record.journal_entry_id] = record.reversed_minor

    # Holds.

    def _check_hold(self, record: HoldRecord) -> None:
        if record.id in self._holds:
            self._find(Damage.INSERTED, "hold", str(record.id), "there is one with this id already")
            return
        for account_id in (record.account_id, record.to_account_id):
            if account_id is not None and account_id not in self._accounts:
                self._find(Damage.DANGLING, "hold", str(record.id), f"there is no account {account_id}")
        self._holds[record.id] = _Hold(record)

    def _check_movement(self, record: MovementRecord) -> None:
        name = f"{record.hold_id}/{record.step}"
        self._check_recorded("hold_movement", name, record.recorded_at)
        self._move(name, record)
        hold = self._holds.get(record.hold_id)
        if hold is None:
            self._find(Damage.DANGLING, "hold_movement", name, f"there is no hold {record.hold_id} that moves then")
            return
        if (record.account_id, record.to_account_id) != (hold.record.account_id, hold.record.to_account_id):
            self._find(Damage.INCONSISTENT, "hold_movement", name, "it moves other accounts than its hold's")
        if record.step != hold.steps:
            self._find(Damage.INCONSISTENT, "hold_movement", name, f"it comes after {hold.steps} steps")
        hold.steps = record.step + 1
        hold.moved += record.delta_minor
        # What captures a hold last comes after its last movement, in the same link.
        if hold.steps >= hold.record.steps and hold.record.status != "open" and record.hold_id not in self._closing:
            self._closing.append(record.hold_id)

    def _move(self, name: str, record: MovementRecord) -> None:
        account = self._accounts.get(record.account_id)
        if account is None:
            self._find(Damage.DANGLING, "hold_movement", name, f"there is no account {record.account_id}")
        else:
            if account.held + record.delta_minor != record.held_after_minor:
                fact = f"{account.held + record.delta_minor} are held after it rather than {record.held_after_minor}"
                self._find(Damage.WRONG_BALANCE, "hold_movement", name, fact)
            account.held = record.held_after_minor
        if record.to_account_id is None:
            return
        other, after = self._accounts.get(record.to_account_id), record.pending_after_minor
        if other is None or after is None:
            self._find(Damage.DANGLING, "hold_movement", name, f"there is no account {record.to_account_id}")
            return
        if other.pending + record.delta_minor != after:
            fact = f"{other.pending + record.delta_minor} are pending after it rather than {after}"
            self._find(Damage.WRONG_BALANCE, "hold_movement", name, fact)
        other.pending = after

    def _check_whole_hold(self, hold: _Hold) -> None:
        record = hold.record
        rest = record.amount_minor - record.captured_minor - record.released_minor
        facts = []
        if hold.steps != record.steps:
            facts.append(f"it has {hold.steps} movements rather than {record.steps}")
        if hold.moved != rest:
            facts.append(f"its movements leave {hold.moved} reserved rather than {rest}")
        if hold.captured != record.captured_minor or hold.entries != record.journal_entry_ids:
            facts.append(f"its journal entries capture {hold.captured} rather than {record.captured_minor}")
        if (record.status == "open") != (rest > 0):
            facts.append(f"it is {record.status} and reserves {rest}")
        for fact in facts:
            self._find(Damage.INCONSISTENT, "hold", str(record.id), fact)

    # What comes last.

    def _check_balances(self) -> None:
        for account_id, account in self._accounts.items():
            posted = (account.posted, account.held, account.pending)
            for name, computed, stated in zip(("posted", "held", "pending"), posted, account.expected, strict=True):
                if computed != stated:
                    fact = f"its {name} balance is {stated}, but its records make {computed}"
                    self._find(Damage.WRONG_BALANCE, "account", str(account_id), fact)

    def _take_beside(self, record: RowRecord) -> None:
        del record
        self._close_timeline()

    def _take_key(self, record: IdempotencyKeyRecord) -> None:
        self._close_timeline()
        key = (record.client_id.bytes, record.key.encode())
        name = f"{record.client_id}/{record.key}"
        if self._last_key is not None and key <= self._last_key:
            self._find(Damage.REORDERED, "idempotency_key", name, "keys come in order and once each")
        self._last_key = key
        whole = (record.status is None) == (record.body is None)
        in_range = record.status is None or _FIRST_STATUS <= record.status <= _LAST_STATUS
        if not whole or not in_range or not 0 < len(record.key) <= _LONGEST_KEY:
            self._find(Damage.MALFORMED, "idempotency_key", name, "it isn't an answer that is kept under a key")
        if len(record.fingerprint) != _FINGERPRINT_BYTES or not _is_json(record.body):
            self._find(Damage.MALFORMED, "idempotency_key", name, "its fingerprint or body is damaged")

    def _close_timeline(self) -> None:
        """Look at the last link's records, after which other lines come."""
        if self._group or self._link is not None:
            self._close_group()

    def _take_end(self, record: EndRecord) -> None:
        self._close_timeline()
        self._ended = True
        counted = {name: number for name, number in self._counts.items() if name != "end"}
        if record.counts != counted:
            for name in sorted(record.counts.keys() | counted.keys()):
                stated, found = record.counts.get(name, 0), counted.get(name, 0)
                if stated != found:
                    damage = Damage.INSERTED if found > stated else Damage.DROPPED
                    self._find(damage, name, None, f"there are {found} of them rather than {stated}")


def _whole_but_for_edits(expected: Sequence[bytes], found: Sequence[bytes]) -> bool:
    wanted, there = set(expected), set(found)
    kept = [each for each in expected if each in there]
    return len(expected) == len(found) and kept == [each for each in found if each in wanted]


def _key(record: _Chained) -> str:
    return str(record.id) if isinstance(record, JournalEntryRecord) else f"{record.hold_id}/{record.step}"


def _title(record: _Chained) -> str:
    if isinstance(record, JournalEntryRecord):
        return f"journal entry {record.sequence}"
    return f"hold movement {_key(record)}"


def _says_the_same(record: TransferRecord, entry: JournalEntryRecord) -> bool:
    """Compare times and description; of an entry whose text was erased nobody can say what it was."""
    erased = entry.text_salt is None and entry.text_commitment is not None
    times = (record.effective_at, record.recorded_at) == (entry.effective_at, entry.recorded_at)
    return times and (erased or record.description == entry.description)


def _late_class(effective_at: datetime, before: datetime) -> int:
    """Return the binary logarithm of by how many seconds something is late, rounded down; at least a second counts."""
    return max(1, int((before - effective_at).total_seconds())).bit_length() - 1


def _is_json(body: bytes | None) -> bool:
    if not body:
        return True
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
