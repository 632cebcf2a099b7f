"""The verification of holds: what they were placed as, and what their movements and captures have made of them."""

from datetime import datetime
from typing import Final
from uuid import UUID

from billfold import ids
from billfold.chain.findings import Damage, Findings
from billfold.chain.links import commitment
from billfold.chain.people import People
from billfold.chain.records import HoldRecord, HoldTermsRecord, JournalEntryRecord, MovementRecord

__all__ = ["Holding", "instant_of"]

_OPEN: Final = "open"
_CAPTURE: Final = "capture"
_EXPIRED: Final = "expired"
_PLACED: Final = (
    "wallet_id",
    "account_id",
    "to_wallet_id",
    "to_account_id",
    "currency",
    "amount_minor",
    "expires_at",
)
"""What a hold repeats of the record of what it was placed as."""


class _Hold:
    """A hold, and what its records have made of it so far."""

    __slots__ = ("captured", "entries", "first_at", "moved", "moved_at", "record", "recorded_at", "steps", "told")

    def __init__(self, record: HoldRecord) -> None:
        self.record = record
        self.steps = self.moved = self.captured = 0
        self.entries: list[UUID] = []
        self.first_at: datetime | None = None
        self.moved_at: datetime | None = None
        self.recorded_at: datetime | None = None
        self.told = False


class Holding:
    """Follows the holds that are open, and compares each with its records once it has ended.

    Args:
        findings: Where to say what is wrong.
        people: Whose accounts there are.
    """

    def __init__(self, findings: Findings, people: People) -> None:
        self._findings = findings
        self._people = people
        self._holds: dict[UUID, _Hold] = {}
        # In order, and each once.
        self._closing: dict[UUID, None] = {}
        # A hold stands right before its first movement.
        self._awaiting: UUID | None = None

    def end_link(self, detached_to: UUID) -> None:
        """Look at the holds that ended in a link: what captures one last comes after its last movement."""
        self.expect_movement()
        for hold_id in self._closing:
            self._check_whole(self._holds.pop(hold_id), detached_to)
        self._closing = {}

    def finish(self, detached_to: UUID) -> None:
        """Look at the holds that are open in the end."""
        for hold in self._holds.values():
            self._check_whole(hold, detached_to)

    def expect_movement(self) -> None:
        """Say that a hold isn't followed by its first movement, where that is so."""
        if self._awaiting is not None:
            self._blame(self._awaiting, "its first movement doesn't follow")
            self._awaiting = None

    def _blame(self, hold_id: UUID, fact: str, damage: Damage = Damage.INCONSISTENT) -> None:
        self._findings.add(damage, "hold", str(hold_id), fact)

    # As the records come.

    def take(self, record: HoldRecord) -> None:
        """Keep a hold, to which movements come."""
        if record.id in self._holds:
            self._blame(record.id, "there is one with this id already", Damage.INSERTED)
            return
        self._check_side(record, record.account_id, record.wallet_id)
        if record.to_account_id is not None:
            self._check_side(record, record.to_account_id, record.to_wallet_id)
        elif record.to_wallet_id is not None:
            self._blame(record.id, f"it is for wallet {record.to_wallet_id}, and for no account")
        if record.account_id == record.to_account_id:
            self._blame(record.id, "it is for the account that it reserves on")
        self._holds[record.id] = _Hold(record)
        self._awaiting = record.id

    def _check_side(self, record: HoldRecord, account_id: UUID, wallet_id: UUID | None) -> None:
        account = self._people.accounts.get(account_id)
        if account is None:
            self._blame(record.id, f"there is no account {account_id}", Damage.DANGLING)
        elif wallet_id is not None and not self._people.has_wallet(wallet_id):
            self._blame(record.id, f"there is no wallet {wallet_id}", Damage.DANGLING)
        elif account.wallet_id != wallet_id:
            self._blame(record.id, f"account {account_id} isn't one of wallet {wallet_id}")
        elif account.currency != record.currency:
            fact = f"it is in {record.currency[:20]}, and account {account_id} in {account.currency[:20]}"
            self._blame(record.id, fact)

    def move(self, name: str, record: MovementRecord) -> None:
        """Follow a movement, which ``name`` stands for."""
        if self._awaiting != record.hold_id:
            self.expect_movement()
        self._awaiting = None
        self._move_accounts(name, record)
        hold = self._holds.get(record.hold_id)
        if hold is None:
            fact = f"there is no hold {record.hold_id} that moves then"
            self._findings.add(Damage.DANGLING, "hold_movement", name, fact)
            return
        self._check_step(name, record, hold)
        hold.steps = record.step + 1
        hold.moved += record.delta_minor
        hold.first_at = hold.first_at or record.effective_at
        hold.moved_at, hold.recorded_at = record.effective_at, record.recorded_at
        if hold.steps >= hold.record.steps and hold.record.status != _OPEN:
            self._closing[record.hold_id] = None

    def _check_step(self, name: str, record: MovementRecord, hold: _Hold) -> None:
        facts = []
        if (record.account_id, record.to_account_id) != (hold.record.account_id, hold.record.to_account_id):
            facts.append("it moves other accounts than its hold's")
        if record.step != hold.steps:
            facts.append(f"it comes after {hold.steps} steps")
        elif record.step == 0 and record.delta_minor != hold.record.amount_minor:
            facts.append(f"it reserves {record.delta_minor} for a hold of {hold.record.amount_minor}")
        elif record.step > 0 and record.delta_minor >= 0:
            facts.append("it reserves more than was held at first")
        for fact in facts:
            self._findings.add(Damage.INCONSISTENT, "hold_movement", name, fact)

    def _move_accounts(self, name: str, record: MovementRecord) -> None:
        account = self._people.accounts.get(record.account_id)
        if account is None:
            self._findings.add(Damage.DANGLING, "hold_movement", name, f"there is no account {record.account_id}")
        else:
            if account.held + record.delta_minor != record.held_after_minor:
                fact = f"{account.held + record.delta_minor} are held after it rather than {record.held_after_minor}"
                self._findings.add(Damage.WRONG_BALANCE, "hold_movement", name, fact)
            account.held = record.held_after_minor
        after = record.pending_after_minor
        if record.to_account_id is None:
            if after is not None:
                self._findings.add(Damage.INCONSISTENT, "hold_movement", name, "it is pending on no account")
            return
        other = self._people.accounts.get(record.to_account_id)
        if other is None or after is None:
            self._findings.add(Damage.DANGLING, "hold_movement", name, f"there is no account {record.to_account_id}")
            return
        if other.pending + record.delta_minor != after:
            fact = f"{other.pending + record.delta_minor} are pending after it rather than {after}"
            self._findings.add(Damage.WRONG_BALANCE, "hold_movement", name, fact)
        other.pending = after

    def take_terms(self, record: HoldTermsRecord) -> None:
        """Compare a hold, which has had its first movement, with what it was placed as."""
        hold, id_ = self._holds.get(record.hold_id), str(record.hold_id)
        if hold is None:
            self._findings.add(Damage.DANGLING, "hold_terms", id_, "there is no hold with this id that is placed then")
            return
        if hold.told or hold.steps != 1:
            fact = f"it comes after {hold.steps} movements{' and others' if hold.told else ''}"
            self._findings.add(Damage.INCONSISTENT, "hold_terms", id_, fact)
        hold.told = True
        facts = [
            f"its {name.replace('_', ' ')} is {str(now)[:40]}, and it was placed with {str(told)[:40]}"
            for name in _PLACED
            for now, told in [(getattr(hold.record, name), getattr(record, name))]
            if now != told
        ]
        text = self._judge_text(hold.record, record)
        facts += [] if text is None else [text]
        for fact in facts:
            self._blame(record.hold_id, fact, Damage.EDITED)

    def _judge_text(self, hold: HoldRecord, placed: HoldTermsRecord) -> str | None:
        """Return what is wrong with a hold's text; None where it is as it was, or was erased with good reason."""
        if placed.text_salt is not None:
            committed = commitment(placed.text_salt, hold.description, hold.metadata)
            return None if committed == placed.text_commitment else "its text isn't the one that was committed to"
        if hold.description is not None or hold.metadata:
            return "its text isn't the one that was committed to"
        forgotten = self._people.is_forgotten(hold.wallet_id) or self._people.is_forgotten(hold.to_wallet_id)
        if placed.text_commitment is not None and not forgotten:
            return "its text was erased, and nobody whose wallet it concerns was forgotten"
        return None

    def capture(self, hold_id: UUID, entry: JournalEntryRecord, amount: int) -> str | None:
        """Count what an entry captures of a hold.

        Returns:
            What is wrong with that, as half a sentence; None where nothing is.
        """
        hold = self._holds.get(hold_id)
        if hold is None:
            return f"there is no hold {hold_id} to capture then"
        hold.captured += amount
        hold.entries.append(entry.id)
        if entry.kind != _CAPTURE or not entry.postings or entry.postings[0].account_id != hold.record.account_id:
            return f"it captures hold {hold_id}, and isn't a capture from its account"
        record = hold.record
        blanked = record.description is None and (
            self._people.is_forgotten(record.wallet_id) or self._people.is_forgotten(record.to_wallet_id)
        )
        if not entry.is_erased and not blanked and record.description != entry.description:
            self._blame(hold_id, "what captures it has another description")
        return None

    # Once all have come.

    def _check_whole(self, hold: _Hold, detached_to: UUID) -> None:
        record = hold.record
        rest = record.amount_minor - record.captured_minor - record.released_minor
        facts = []
        if hold.steps != record.steps or not hold.steps:
            facts.append(f"it has {hold.steps} movements rather than {record.steps}")
        if hold.moved != rest:
            facts.append(f"its movements leave {hold.moved} reserved rather than {rest}")
        kept = [entry_id for entry_id in record.journal_entry_ids if entry_id > detached_to]
        whole = len(kept) == len(record.journal_entry_ids)
        right = hold.captured == record.captured_minor if whole else hold.captured <= record.captured_minor
        if not right or hold.entries != kept:
            facts.append(f"its journal entries capture {hold.captured} rather than {record.captured_minor}")
        if (record.status == _OPEN) != (rest > 0):
            facts.append(f"it is {record.status[:20]} and reserves {rest}")
        elif hold.steps and record.status != (status := _status_of(hold, rest)):
            facts.append(f"it is {record.status[:20]}, and what has become of it is {status}")
        made_at, moved_at = hold.first_at or record.created_at, hold.moved_at or record.updated_at
        if (made_at, moved_at) != (record.created_at, record.updated_at):
            facts.append("it was made or changed at another time than its movements say")
        if record.status != _EXPIRED and record.expires_at is not None and record.expires_at <= moved_at:
            facts.append("it was changed after it had expired")
        for fact in facts:
            self._blame(record.id, fact)


def _status_of(hold: _Hold, rest: int) -> str:
    """Return the status that movements, captures and the time of its end make of a hold."""
    record = hold.record
    if rest > 0:
        return _OPEN
    # A capture is recorded after the movement that makes way for it, and its id says when; so this is known also of
    # captures whose month was detached.
    captured_at = instant_of(record.journal_entry_ids[-1]) if record.journal_entry_ids else None
    if captured_at is not None and hold.recorded_at is not None and captured_at > hold.recorded_at:
        return "captured"
    expired = record.expires_at is not None and hold.moved_at is not None and hold.moved_at >= record.expires_at
    return _EXPIRED if expired else "released"


def instant_of(entry_id: UUID) -> datetime | None:
    """Return when an id was made; None where it is made of no time that a calendar has."""
    try:
        return ids.instant_of(entry_id)
    except OverflowError:
        return None
