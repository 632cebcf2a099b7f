"""The verification of the books: what every entry, balance, hold and reference must be."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billfold import ids
from billfold.chain.checkpoints import balances_digest
from billfold.chain.findings import Damage, Findings
from billfold.chain.links import commitment
from billfold.chain.records import (
    AccountRecord,
    AliasRecord,
    CheckpointRecord,
    HoldRecord,
    JournalEntryRecord,
    MovementRecord,
    PartyRecord,
    PostingRecord,
    Record,
    ReversalRecord,
    TransferRecord,
    WalletRecord,
    name_of,
)

__all__ = ["Bookkeeping"]

_MOVES: Final = frozenset({"transfer", "top_up", "withdrawal"})
_DEBIT: Final = "debit"


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


class Bookkeeping:
    """Keeps the books anew from the records, and compares.

    Attributes:
        sequence: How many journal entries there were.
        recorded_at: When the newest record was written.
        effective_high: The latest time at which any entry took effect.

    Args:
        findings: Where to say what is wrong.
    """

    def __init__(self, findings: Findings) -> None:
        self.sequence = 0
        self.recorded_at: datetime | None = None
        self.effective_high: datetime | None = None
        self._findings = findings
        self._link: int | None = None
        self._parties: set[UUID] = set()
        self._wallets: dict[UUID, frozenset[str]] = {}
        self._accounts: dict[UUID, _Account] = {}
        self._entry: JournalEntryRecord | None = None
        self._entry_moved = True
        self._reversals: dict[UUID, int] = {}
        self._holds: dict[UUID, _Hold] = {}
        self._closing: list[UUID] = []
        self._detached_to = UUID(int=0)
        self.handlers: dict[type, Callable[[Any], None]] = {
            PartyRecord: self._take_party,
            WalletRecord: self._take_wallet,
            AliasRecord: self._take_alias,
            AccountRecord: self._take_account,
        }
        self.timeline: dict[type, Callable[[Any], None]] = {
            JournalEntryRecord: self._check_entry,
            PostingRecord: self._check_stray_posting,
            TransferRecord: self._check_transfer,
            ReversalRecord: self._check_reversal,
            HoldRecord: self._check_hold,
            MovementRecord: self._check_movement,
            CheckpointRecord: self._check_sealing,
        }

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

    def check(self, record: Record, link: int | None) -> None:
        """Keep a record of the timeline, which belongs to a link."""
        self._link = link
        self.timeline[type(record)](record)

    def end_link(self) -> None:
        """Look at what must be whole once all records of a link have come."""
        self._expect_transfer()
        for hold_id in self._closing:
            self._check_whole_hold(self._holds.pop(hold_id))
        self._closing = []

    def finish(self) -> None:
        """Look at what must be whole in the end."""
        self._check_balances()
        for entry_id, missing in self._reversals.items():
            if entry_id <= self._detached_to and missing > 0:
                # The reversing entries that are missing may be detached as well.
                continue
            fact = f"its reversing entries make {missing} less than it says"
            self._findings.add(Damage.INCONSISTENT, "reversal", str(entry_id), fact)
        for hold in self._holds.values():
            self._check_whole_hold(hold)

    # Whom the books are about.

    def _take_party(self, record: PartyRecord) -> None:
        if record.id in self._parties:
            self._findings.add(Damage.INSERTED, "party", str(record.id), "there is one with this id already")
        self._parties.add(record.id)

    def _take_wallet(self, record: WalletRecord) -> None:
        if record.id in self._wallets:
            self._findings.add(Damage.INSERTED, "wallet", str(record.id), "there is one with this id already")
        if record.party_id not in self._parties:
            self._findings.add(Damage.DANGLING, "wallet", str(record.id), f"there is no party {record.party_id}")
        self._wallets[record.id] = frozenset(record.currencies)

    def _take_alias(self, record: AliasRecord) -> None:
        if record.wallet_id not in self._wallets:
            self._findings.add(Damage.DANGLING, "alias", str(record.id), f"there is no wallet {record.wallet_id}")

    def _take_account(self, record: AccountRecord) -> None:
        if record.id in self._accounts:
            self._findings.add(Damage.INSERTED, "account", str(record.id), "there is one with this id already")
        if record.wallet_id is not None and record.currency not in self._wallets.get(record.wallet_id, ()):
            fact = f"there is no wallet {record.wallet_id} with {record.currency}"
            self._findings.add(Damage.DANGLING, "account", str(record.id), fact)
        self._accounts[record.id] = _Account(record)

    # The timeline.

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
        self._findings.add(damage, "journal_entry", str(entry.id), fact, sequence=entry.sequence, link=self._link)

    def _check_order(self, entry: JournalEntryRecord) -> None:
        if entry.sequence != self.sequence + 1:
            self._blame(entry, Damage.INCONSISTENT, f"it is number {entry.sequence} and comes after {self.sequence}")
        self.sequence = entry.sequence
        self._check_recorded(name_of(entry), str(entry.id), entry.recorded_at)
        if _instant_of(entry.id) != entry.recorded_at:
            self._blame(entry, Damage.INCONSISTENT, "its id doesn't say when it was recorded")

    def _check_recorded(self, name: str, id_: str, recorded_at: datetime) -> None:
        if self.recorded_at is not None and recorded_at <= self.recorded_at:
            self._findings.add(Damage.INCONSISTENT, name, id_, "it was recorded before the record that it follows")
        self.recorded_at = recorded_at

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
            hold = self._holds.get(entry.hold_id)
            if hold is None:
                self._blame(entry, Damage.DANGLING, f"there is no hold {entry.hold_id} to capture then")
            else:
                hold.captured += amount
                hold.entries.append(entry.id)

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
            # What it would be compared with is detached.
            return
        if entry is None or entry.id != record.id or entry.kind != record.kind or self._entry_moved:
            fact = f"there is no journal entry of a {record.kind} with its id"
            self._findings.add(Damage.DANGLING, "transfer", str(record.id), fact)
            return
        self._entry_moved = True
        if self._as_posted(record, entry) != [
            (posting.account_id, posting.amount_minor, posting.currency) for posting in entry.postings
        ] or not _says_the_same(record, entry):
            self._findings.add(Damage.INCONSISTENT, "transfer", str(record.id), "its journal entry says something else")

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
        if record.journal_entry_id <= self._detached_to:
            self._reversals[record.journal_entry_id] = record.reversed_minor
            return
        if entry is None or entry.id != record.journal_entry_id:
            fact = f"there is no journal entry {record.journal_entry_id}"
            self._findings.add(Damage.DANGLING, "reversal", str(record.journal_entry_id), fact)
            return
        amount = sum(posting.amount_minor for posting in entry.postings if posting.amount_minor > 0)
        if record.amount_minor != amount or not 0 < record.reversed_minor <= amount:
            fact = f"of {amount}, it says that {record.reversed_minor} of {record.amount_minor} were reversed"
            self._findings.add(Damage.INCONSISTENT, "reversal", str(record.journal_entry_id), fact)
        self._reversals[record.journal_entry_id] = record.reversed_minor

    def _check_sealing(self, record: CheckpointRecord) -> None:
        self._expect_transfer()
        self._check_recorded("checkpoint", str(record.number), record.recorded_at)

    # Holds.

    def _check_hold(self, record: HoldRecord) -> None:
        if record.id in self._holds:
            self._findings.add(Damage.INSERTED, "hold", str(record.id), "there is one with this id already")
            return
        for account_id in (record.account_id, record.to_account_id):
            if account_id is not None and account_id not in self._accounts:
                self._findings.add(Damage.DANGLING, "hold", str(record.id), f"there is no account {account_id}")
        self._holds[record.id] = _Hold(record)

    def _check_movement(self, record: MovementRecord) -> None:
        name = f"{record.hold_id}/{record.step}"
        self._check_recorded("hold_movement", name, record.recorded_at)
        before = self.effective_high
        self.effective_high = record.effective_at if before is None else max(before, record.effective_at)
        self._move(name, record)
        hold = self._holds.get(record.hold_id)
        if hold is None:
            self._findings.add(
                Damage.DANGLING, "hold_movement", name, f"there is no hold {record.hold_id} that moves then"
            )
            return
        if (record.account_id, record.to_account_id) != (hold.record.account_id, hold.record.to_account_id):
            self._findings.add(Damage.INCONSISTENT, "hold_movement", name, "it moves other accounts than its hold's")
        if record.step != hold.steps:
            self._findings.add(Damage.INCONSISTENT, "hold_movement", name, f"it comes after {hold.steps} steps")
        hold.steps = record.step + 1
        hold.moved += record.delta_minor
        # What captures a hold last comes after its last movement, in the same link.
        if hold.steps >= hold.record.steps and hold.record.status != "open" and record.hold_id not in self._closing:
            self._closing.append(record.hold_id)

    def _move(self, name: str, record: MovementRecord) -> None:
        account = self._accounts.get(record.account_id)
        if account is None:
            self._findings.add(Damage.DANGLING, "hold_movement", name, f"there is no account {record.account_id}")
        else:
            if account.held + record.delta_minor != record.held_after_minor:
                fact = f"{account.held + record.delta_minor} are held after it rather than {record.held_after_minor}"
                self._findings.add(Damage.WRONG_BALANCE, "hold_movement", name, fact)
            account.held = record.held_after_minor
        if record.to_account_id is None:
            return
        other, after = self._accounts.get(record.to_account_id), record.pending_after_minor
        if other is None or after is None:
            self._findings.add(Damage.DANGLING, "hold_movement", name, f"there is no account {record.to_account_id}")
            return
        if other.pending + record.delta_minor != after:
            fact = f"{other.pending + record.delta_minor} are pending after it rather than {after}"
            self._findings.add(Damage.WRONG_BALANCE, "hold_movement", name, fact)
        other.pending = after

    def _check_whole_hold(self, hold: _Hold) -> None:
        record = hold.record
        rest = record.amount_minor - record.captured_minor - record.released_minor
        facts = []
        if hold.steps != record.steps:
            facts.append(f"it has {hold.steps} movements rather than {record.steps}")
        if hold.moved != rest:
            facts.append(f"its movements leave {hold.moved} reserved rather than {rest}")
        kept = [entry_id for entry_id in record.journal_entry_ids if entry_id > self._detached_to]
        whole = len(kept) == len(record.journal_entry_ids)
        right = hold.captured == record.captured_minor if whole else hold.captured <= record.captured_minor
        if not right or hold.entries != kept:
            facts.append(f"its journal entries capture {hold.captured} rather than {record.captured_minor}")
        if (record.status == "open") != (rest > 0):
            facts.append(f"it is {record.status} and reserves {rest}")
        for fact in facts:
            self._findings.add(Damage.INCONSISTENT, "hold", str(record.id), fact)

    def _check_balances(self) -> None:
        for account_id, account in self._accounts.items():
            posted = (account.posted, account.held, account.pending)
            for name, computed, stated in zip(("posted", "held", "pending"), posted, account.expected, strict=True):
                if computed != stated:
                    fact = f"its {name} balance is {stated}, but its records make {computed}"
                    self._findings.add(Damage.WRONG_BALANCE, "account", str(account_id), fact)


def _instant_of(entry_id: UUID) -> datetime | None:
    """Return when an id was made; None where it is made of no time that a calendar has."""
    try:
        return ids.instant_of(entry_id)
    except OverflowError:
        return None


def _says_the_same(record: TransferRecord, entry: JournalEntryRecord) -> bool:
    """Compare times and description; of an entry whose text was erased nobody can say what it was."""
    erased = entry.text_salt is None and entry.text_commitment is not None
    times = (record.effective_at, record.recorded_at) == (entry.effective_at, entry.recorded_at)
    return times and (erased or record.description == entry.description)


_LATEST: Final = 35
"""The last class of late entries."""


def _late_class(effective_at: datetime, before: datetime) -> int:
    """Return the binary logarithm of by how many seconds something is late, rounded down; at least a second counts."""
    return min(_LATEST, max(1, int((before - effective_at).total_seconds())).bit_length() - 1)
