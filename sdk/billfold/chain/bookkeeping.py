"""The verification of the books: what every entry, balance, hold and reference must be."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billfold.chain.checkpoints import balances_digest
from billfold.chain.findings import Damage, Findings
from billfold.chain.holding import Holding, instant_of
from billfold.chain.lines import name_of
from billfold.chain.owning import Owning
from billfold.chain.people import DEBIT, People
from billfold.chain.records import (
    AccountTermsRecord,
    CheckpointRecord,
    EraRecord,
    HoldRecord,
    HoldTermsRecord,
    JournalEntryRecord,
    MovementRecord,
    PostingRecord,
    Record,
    ReversalRecord,
    TransferRecord,
    WalletTermsRecord,
)

__all__ = ["Bookkeeping"]

_MOVES: Final = {"transfer": (True, True), "top_up": (False, True), "withdrawal": (True, False)}
"""Whether each kind of movement is from a wallet and to one."""


class Bookkeeping:
    """Keeps the books anew from the records, and compares.

    Attributes:
        sequence: How many journal entries there were.
        recorded_at: When the newest record was written.
        effective_high: The latest time at which any entry took effect.

    Args:
        findings: Where to say what is wrong.
        people: Whose books they are.
    """

    def __init__(self, findings: Findings, people: People) -> None:
        self.sequence = 0
        self.recorded_at: datetime | None = None
        self.effective_high: datetime | None = None
        self._findings = findings
        self._people = people
        self._accounts = people.accounts
        self._holding = Holding(findings, people)
        self._owning = Owning(findings, people)
        self._link: int | None = None
        self._link_from: datetime | None = None
        self._link_to: datetime | None = None
        self._entry: JournalEntryRecord | None = None
        self._entry_moved = True
        self._reversals: dict[UUID, int] = {}
        self._last_reversal: UUID | None = None
        self._detached_to = UUID(int=0)
        # What hangs on detached entries stands alone, and has to be in order by itself.
        self._newest: datetime | None = None
        self._lone_transfer: TransferRecord | None = None
        self.timeline: dict[type, Callable[[Any], None]] = {
            JournalEntryRecord: self._check_entry,
            PostingRecord: self._check_stray_posting,
            TransferRecord: self._check_transfer,
            ReversalRecord: self._check_reversal,
            HoldRecord: self._take_hold,
            MovementRecord: self._check_movement,
            HoldTermsRecord: self._check_hold_terms,
            CheckpointRecord: self._check_sealing,
            **dict.fromkeys(self._owning.timeline, self._check_terms),
        }

    @property
    def era(self) -> int:
        """The era that the records have come to."""
        return self._owning.era

    @property
    def unrecorded(self) -> int:
        """How many wallets and accounts have no terms because they were opened before there were any."""
        return self._owning.unrecorded

    def begin(self, checkpoint: CheckpointRecord) -> None:
        """Go on from a checkpoint, as though the entries before it had been read."""
        number = str(checkpoint.number)
        if balances_digest(checkpoint.balances) != checkpoint.balances_digest:
            self._findings.add(Damage.EDITED, "checkpoint", number, "its balances aren't those that were sealed")
        for account_id, posted in checkpoint.balances:
            account = self._accounts.get(account_id)
            if account is None:
                self._findings.add(Damage.DANGLING, "checkpoint", number, f"there is no account {account_id}")
            else:
                account.posted = posted
        self.sequence, self.effective_high = checkpoint.sequence, checkpoint.effective_high
        self._detached_to = checkpoint.entry_id

    def begin_link(self, recorded_at: datetime) -> None:
        """Go on with the records of another link."""
        self._link_from, self._link_to = self._link_to, recorded_at

    def check(self, record: Record, link: int | None) -> None:
        """Keep a record of the timeline, which belongs to a link."""
        self._link = link
        self.timeline[type(record)](record)

    def end_link(self) -> None:
        """Look at what must be whole once all records of a link have come."""
        self._expect_transfer()
        self._entry = None
        self._holding.end_link(self._detached_to)

    def finish(self) -> None:
        """Look at what must be whole in the end."""
        self._people.finish()
        self._owning.finish()
        for entry_id, missing in self._reversals.items():
            if entry_id <= self._detached_to and missing > 0:
                # The reversing entries that are missing may be detached as well.
                continue
            fact = f"its reversing entries make {missing} less than it says"
            self._findings.add(Damage.INCONSISTENT, "reversal", str(entry_id), fact)
        self._holding.finish(self._detached_to)

    # The timeline.

    def _check_entry(self, entry: JournalEntryRecord) -> None:
        self._expect_transfer()
        self._holding.expect_movement()
        self._entry, self._entry_moved = entry, entry.kind not in _MOVES
        self._check_order(entry)
        if not entry.says_what_was_committed:
            self._blame(entry, Damage.EDITED, "its text isn't the one that was committed to")
        elif entry.is_erased and not self._concerns_somebody_forgotten(entry):
            self._blame(entry, Damage.EDITED, "its text was erased, and nobody whose account it is on was forgotten")
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

    def _concerns_somebody_forgotten(self, entry: JournalEntryRecord) -> bool:
        accounts = (self._accounts.get(posting.account_id) for posting in entry.postings)
        return any(account is not None and self._people.is_forgotten(account.wallet_id) for account in accounts)

    def _blame(self, entry: JournalEntryRecord, damage: Damage, fact: str) -> None:
        self._findings.add(damage, "journal_entry", str(entry.id), fact, sequence=entry.sequence, link=self._link)

    def _check_order(self, entry: JournalEntryRecord) -> None:
        if entry.sequence != self.sequence + 1:
            self._blame(entry, Damage.INCONSISTENT, f"it is number {entry.sequence} and comes after {self.sequence}")
        self.sequence = entry.sequence
        self._check_recorded(name_of(entry), str(entry.id), entry.recorded_at)
        if instant_of(entry.id) != entry.recorded_at:
            self._blame(entry, Damage.INCONSISTENT, "its id doesn't say when it was recorded")

    def _check_recorded(self, name: str, id_: str, recorded_at: datetime) -> None:
        if self._newest is not None and recorded_at <= self._newest:
            self._findings.add(Damage.INCONSISTENT, name, id_, "it was recorded before the record that it follows")
        self.recorded_at = self._newest = recorded_at

    def _check_time(self, entry: JournalEntryRecord) -> None:
        before = self.effective_high
        high = entry.effective_at if before is None else max(before, entry.effective_at)
        if entry.effective_high != high:
            self._blame(entry, Damage.INCONSISTENT, "its effective_high isn't the latest effective time so far")
        late = None if before is None or entry.effective_at >= before else _late_class(entry.effective_at, before)
        for posting in entry.postings:
            if posting.effective_at not in {None, entry.effective_at} or posting.late_class != late:
                fact = f"line {posting.line} takes effect at another time than the entry"
                self._blame(entry, Damage.INCONSISTENT, fact)
        self.effective_high = high

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
            fact = self._holding.capture(entry.hold_id, entry, amount)
            if fact is not None:
                self._blame(entry, Damage.DANGLING, fact)

    def _check_stray_posting(self, record: PostingRecord) -> None:
        fact = f"there is no journal entry {record.entry_id}"
        self._findings.add(Damage.DANGLING, "posting", f"{record.entry_id}/{record.line}", fact)

    def _expect_transfer(self) -> None:
        if self._entry is not None and not self._entry_moved:
            self._blame(self._entry, Damage.DANGLING, f"the {self._entry.kind} that it belongs to isn't there")
        self._entry_moved = True

    def _check_transfer(self, record: TransferRecord) -> None:
        entry = self._entry
        if record.id <= self._detached_to:
            self._check_lone_transfer(record)
            return
        if entry is None or entry.id != record.id or entry.kind != record.kind or self._entry_moved:
            fact = f"there is no journal entry of a {record.kind} with its id"
            self._findings.add(Damage.DANGLING, "transfer", str(record.id), fact)
            return
        self._entry_moved = True
        if (
            not _has_its_sides(record)
            or self._as_posted(record, entry)
            != [(posting.account_id, posting.amount_minor, posting.currency) for posting in entry.postings]
            or not self._says_the_same(record, entry)
        ):
            self._findings.add(Damage.INCONSISTENT, "transfer", str(record.id), "its journal entry says something else")

    def _check_lone_transfer(self, record: TransferRecord) -> None:
        """Look at a transfer whose entry is detached: what it says of itself, and what it refers to."""
        self._end_entry()
        name, id_, at = "transfer", str(record.id), instant_of(record.id)
        self._lone_transfer = record
        if not self._in_place(at) or (self._newest is not None and at is not None and at <= self._newest):
            self._findings.add(Damage.REORDERED, name, id_, "it stands elsewhere than its id says")
        self._newest = at or self._newest
        if at != record.recorded_at or not _has_its_sides(record) or record.amount_minor <= 0:
            self._findings.add(Damage.INCONSISTENT, name, id_, "it contradicts itself")
        for wallet_id in (record.from_wallet_id, record.to_wallet_id):
            if wallet_id is not None and not self._people.has_wallet(wallet_id):
                self._findings.add(Damage.DANGLING, name, id_, f"there is no wallet {wallet_id}")
        cash = record.cash_account_id
        if cash is not None and cash not in self._accounts:
            self._findings.add(Damage.DANGLING, name, id_, f"there is no account {cash}")

    def _in_place(self, at: datetime | None) -> bool:
        """Tell whether what was recorded then belongs to this link."""
        if at is None or (self._link_from is not None and at <= self._link_from):
            return False
        return self._link_to is None or at <= self._link_to

    def _end_entry(self) -> None:
        """Take note that nothing more hangs on the entry that came last."""
        self._expect_transfer()
        self._holding.expect_movement()
        self._entry = None

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
            if after != (posting.posted_after_minor if account.normal_side == DEBIT else -posting.posted_after_minor):
                return None
        return [(debited, record.amount_minor, record.currency), (credited, -record.amount_minor, record.currency)]

    def _says_the_same(self, record: TransferRecord, entry: JournalEntryRecord) -> bool:
        """Compare times and text. Entries of the first era may lack the metadata of their transfers.

        Where the text was erased nobody can say what it was, and the transfer has none either. Who ordered it and in
        which request (``actor``, ``request_id``) only the transfer says.
        """
        times = (record.effective_at, record.recorded_at) == (entry.effective_at, entry.recorded_at)
        if entry.is_erased:
            return times and record.description is None and not record.metadata
        free = not self._owning.holds_texts and not entry.metadata
        return times and (free or record.metadata == entry.metadata) and record.description == entry.description

    def _check_reversal(self, record: ReversalRecord) -> None:
        name, id_, entry_id = "reversal", str(record.journal_entry_id), record.journal_entry_id
        self._expect_transfer()
        if entry_id == self._last_reversal:
            self._findings.add(Damage.INSERTED, name, id_, "there is one of this entry already")
            return
        self._last_reversal = entry_id
        if entry_id <= self._detached_to:
            amount = self._check_lone_reversal(record)
        elif self._entry is None or self._entry.id != entry_id:
            self._findings.add(Damage.DANGLING, name, id_, f"there is no journal entry {entry_id}")
            return
        else:
            amount = sum(posting.amount_minor for posting in self._entry.postings if posting.amount_minor > 0)
        if record.amount_minor != amount or not 0 < record.reversed_minor <= amount:
            fact = f"of {amount}, it says that {record.reversed_minor} of {record.amount_minor} were reversed"
            self._findings.add(Damage.INCONSISTENT, name, id_, fact)
        self._reversals[entry_id] = record.reversed_minor

    def _check_lone_reversal(self, record: ReversalRecord) -> int:
        """Look at where the sum of a detached entry stands, and return the entry's amount as far as it is known."""
        self._end_entry()
        at, moved = instant_of(record.journal_entry_id), self._lone_transfer
        if moved is not None and moved.id == record.journal_entry_id and at == self._newest:
            return moved.amount_minor
        if not self._in_place(at) or (self._newest is not None and at is not None and at <= self._newest):
            fact = "it stands elsewhere than its id says"
            self._findings.add(Damage.REORDERED, "reversal", str(record.journal_entry_id), fact)
        self._newest = at or self._newest
        return record.amount_minor

    def _check_sealing(self, record: CheckpointRecord) -> None:
        self._end_entry()
        self._check_recorded("checkpoint", str(record.number), record.recorded_at)

    def _check_terms(self, record: EraRecord | WalletTermsRecord | AccountTermsRecord) -> None:
        self._end_entry()
        name = name_of(record)
        if isinstance(record, EraRecord):
            id_ = str(record.number)
        else:
            id_ = str(record.wallet_id if isinstance(record, WalletTermsRecord) else record.account_id)
        self._check_recorded(name, id_, record.recorded_at)
        self._owning.timeline[type(record)](record)

    # Holds.

    def _take_hold(self, record: HoldRecord) -> None:
        self._end_entry()
        self._holding.take(record)

    def _check_movement(self, record: MovementRecord) -> None:
        self._expect_transfer()
        self._entry = None
        name = f"{record.hold_id}/{record.step}"
        self._check_recorded("hold_movement", name, record.recorded_at)
        before = self.effective_high
        self.effective_high = record.effective_at if before is None else max(before, record.effective_at)
        self._holding.move(name, record)

    def _check_hold_terms(self, record: HoldTermsRecord) -> None:
        self._end_entry()
        self._check_recorded(name_of(record), str(record.hold_id), record.recorded_at)
        self._holding.take_terms(record)


def _has_its_sides(record: TransferRecord) -> bool:
    """Tell whether a movement has the wallets, balances and cash account that its kind has."""
    sides = (record.from_wallet_id is not None, record.to_wallet_id is not None)
    after = (record.from_balance_after_minor is not None, record.to_balance_after_minor is not None)
    return sides == after == _MOVES.get(record.kind) and (record.cash_account_id is None) == all(sides)


_LATEST: Final = 35
"""The last class of late entries."""


def _late_class(effective_at: datetime, before: datetime) -> int:
    """Return the binary logarithm of by how many seconds something is late, rounded down; at least a second counts."""
    return min(_LATEST, max(1, int((before - effective_at).total_seconds())).bit_length() - 1)
