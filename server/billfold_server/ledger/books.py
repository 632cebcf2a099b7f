"""The books as one batch of commands sees them: rows as loaded, and as the items before have left them.

Everything here is pure. The engine loads rows into ``Books``; each command is decided on a ``Draft`` over them. A draft
that is accepted is merged, so the next command sees its effects; one that is refused is dropped without a trace.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import msgspec

from billfold import chain, errors
from billfold.contract.common import Response
from billfold.contract.events import EventType
from billfold.contract.ledger import AccountType
from billfold.ids import Prefix
from billfold_server.audit.service import NewAuditRecord, with_program
from billfold_server.db.jobs import NewJob
from billfold_server.db.outbox import NewEvent, ToldEvent, without_free_text
from billfold_server.ledger import rules
from billfold_server.ledger.memory import Key, Known, Memory, Place, StoredAnswer
from billfold_server.ledger.rows import (
    AccountRow,
    CodeKey,
    EntryRow,
    HoldRow,
    JournalKind,
    Line,
    PostingRow,
    Row,
    WalletKey,
)
from billfold_server.ledger.terms import TermsKind, ToldRow, WalletTermsRow, account_terms, hold_terms
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.manifest import Manifest

__all__ = [
    "Books",
    "Chance",
    "Changes",
    "Draft",
    "Happening",
    "Key",
    "Known",
    "Memory",
    "Place",
    "StoredAnswer",
    "TimeUnclearError",
]

R = TypeVar("R", bound=Row)

_TICK: Final = timedelta(microseconds=1)
_NAMES: Final[frozenset[type]] = frozenset({WalletKey, CodeKey})
"""By what an account is known besides its id."""
_NO_ROWS: Final[dict[Hashable, Any]] = {}


class Changes:
    """What a part of a batch has changed, and is to be written.

    Attributes:
        rows: The changed rows, by type and key.
        before: The same as they were when the part began; None where there was none.
    """

    def __init__(self) -> None:
        self.rows: dict[type, dict[Hashable, Any]] = {}
        self.before: dict[type, dict[Hashable, Any]] = {}
        self.entries: list[EntryRow] = []
        self.events: list[NewEvent | ToldEvent] = []
        self.audit_records: list[NewAuditRecord] = []
        self.jobs: list[NewJob] = []

    def __bool__(self) -> bool:
        return bool(self.rows or self.entries)


class TimeUnclearError(Exception):
    """A command can't be decided before the clock has been looked at again."""


class Books:
    """What is known to a batch, and what its accepted items have changed since it was written last.

    Attributes:
        now: The tenant's time at which the batch is decided, for kinds whose keys depend on the day.
    """

    def __init__(self, known: Known, place: Place, now: datetime) -> None:
        self.now = max(now, place.effective_high)
        self.rows = known.rows
        self.account_keys = known.account_keys
        self.sequence = place.sequence
        # Before the first record of all there is room for the one that an era begins with.
        self.recorded_at = place.recorded_at + _TICK if place.begins_era else place.recorded_at
        self.effective_high = place.effective_high
        self._changes = Changes()

    def take_changes(self) -> Changes:
        """Return what has been changed since the last time."""
        changes, self._changes = self._changes, Changes()
        return changes

    def lacks(self, row_type: type, keys: Sequence[Hashable]) -> list[Hashable]:
        """Return which of the keys haven't been looked up yet."""
        known = self.rows.get(row_type, _NO_ROWS)
        names = self.account_keys
        return [key for key in keys if key not in (names if type(key) in _NAMES else known)]

    def loaded(self, row_type: type, found: dict[Any, Any], keys: Sequence[Hashable]) -> None:
        """Take in what a look-up of ``keys`` has found; the others are known to be absent."""
        known = self.rows.setdefault(row_type, {})
        for key in keys:
            row = found.get(key)
            if isinstance(key, WalletKey | CodeKey):
                self.account_keys.setdefault(key, row.id if row is not None else None)
                if row is not None:
                    known.setdefault(row.id, row)
            else:
                known.setdefault(key, row)

    def presume(self, rows: Mapping[type, dict[Hashable, Any]]) -> None:
        """Take in rows, by type and key, of types of which none are known."""
        self.rows.update({row_type: dict(presumed) for row_type, presumed in rows.items()})

    def forget(self, row_types: Iterable[type]) -> None:
        """Forget the rows of some types."""
        for row_type in row_types:
            self.rows.pop(row_type, None)

    def merge(self, draft: "Draft") -> None:
        """Make an accepted draft's changes visible to the items after it."""
        changes = self._changes
        for row_type, rows in draft.changed.items():
            known = self.rows.get(row_type)
            if known is None:
                known = self.rows[row_type] = {}
            before = changes.before.get(row_type)
            if before is None:
                before, changes.rows[row_type] = {}, {}
                changes.before[row_type] = before
            for key in rows:
                if key not in before:
                    before[key] = known.get(key)
            known.update(rows)
            changes.rows[row_type].update(rows)
        if draft.account_keys:
            self.account_keys.update(draft.account_keys)
        changes.entries += draft.entries
        changes.events += draft.events
        if draft.audit_records:
            changes.audit_records += draft.audit_records
        if draft.jobs:
            changes.jobs += draft.jobs
        self.sequence, self.recorded_at = draft.sequence, draft.recorded_at
        self.effective_high = draft.effective_high


D = TypeVar("D", bound=Response)
_replace = msgspec.structs.replace


class Happening(msgspec.Struct, frozen=True):
    """An event before it is encoded; ``data`` is the object that it tells of, without its free text.

    There is none where the object's own row will tell it.
    """

    id: UUID
    type: str
    object_id: str
    data: msgspec.Struct | None


class Chance(Protocol):
    """Where a decision, which is pure, gets what is random."""

    def new_id(self) -> UUID:
        """Return a new id."""
        ...

    def id_at(self, instant: datetime) -> UUID:
        """Return a new id that holds an instant."""
        ...

    def salt(self) -> bytes:
        """Return 16 random bytes."""
        ...


class Draft:
    """One command's view of the books, and all that it would change.

    Attributes:
        clock_now: The real time.
        now: The tenant's time, which ``effective_at`` and expiries follow; it never goes back.
        latest: By when at the latest that is, where it was looked up before.
        recorded_at: When the newest record of this command, or of all before, is written: the real time, and later
            than every record before it.
        caller: Who gave the command.
        manifest: The tenant as data: currencies and limits.
    """

    __slots__ = (
        "_books",
        "_chance",
        "_happenings",
        "account_keys",
        "audit_records",
        "caller",
        "changed",
        "clock_now",
        "effective_high",
        "entries",
        "events",
        "jobs",
        "latest",
        "manifest",
        "now",
        "recorded_at",
        "sequence",
    )

    def __init__(
        self,
        books: Books,
        *,
        now: datetime,
        latest: datetime,
        clock_now: datetime,
        caller: Caller,
        manifest: Manifest,
        chance: Chance,
    ) -> None:
        self._books = books
        self._chance = chance
        self.clock_now = clock_now
        self.effective_high = books.effective_high
        self.now = max(now, books.effective_high)
        self.latest = latest
        self.recorded_at = books.recorded_at
        self.caller = caller
        self.manifest = manifest
        self.sequence = books.sequence
        self.account_keys: dict[WalletKey | CodeKey, UUID | None] = {}
        self.changed: dict[type, dict[Hashable, Any]] = {}
        self.entries: list[EntryRow] = []
        self.events: list[NewEvent | ToldEvent] = []
        self._happenings: list[Happening | ToldEvent] = []
        self.audit_records: list[NewAuditRecord] = []
        self.jobs: list[NewJob] = []

    def new_id(self) -> UUID:
        """Return a new id."""
        return self._chance.new_id()

    def id_in_order(self) -> UUID:
        """Return a new id that is greater than all such before in this ledger, whatever other servers' clocks say."""
        return self._chance.id_at(self.record())

    def record(self) -> datetime:
        """Return the instant at which the next record is written; no two records of a ledger share one."""
        self.recorded_at = recorded_at = max(self.clock_now, self.recorded_at + _TICK)
        return recorded_at

    # Rows.

    def find(self, row_type: type[R], key: Hashable) -> R | None:
        """Return a row as it stands after the items before, or None where there is none."""
        changed = self.changed.get(row_type)
        row: R | None = self._books.rows[row_type][key] if changed is None or key not in changed else changed[key]
        return row

    def put(self, row: Row) -> None:
        """Insert or replace a row."""
        row_type = type(row)
        changed = self.changed.get(row_type)
        if changed is None:
            changed = self.changed[row_type] = {}
        changed[row.key] = row

    def find_account(self, key: UUID | WalletKey | CodeKey) -> AccountRow | None:
        """Return an account by its id, by wallet and currency, or by code and currency."""
        if type(key) not in _NAMES:
            return self.find(AccountRow, key)
        names: Any = self.account_keys if key in self.account_keys else self._books.account_keys
        account_id = names[key]
        return None if account_id is None else self.find(AccountRow, account_id)

    def get_account(self, key: UUID | WalletKey | CodeKey, param: str | None = None) -> AccountRow:
        """Return an account.

        Raises:
            NotFound: There is none.
        """
        account = self.find_account(key)
        if account is None:
            detail = "There is no such account."
            raise errors.NotFound(detail, param=param)
        return account

    def require_currency(self, currency: str) -> None:
        """Refuse a currency that the tenant doesn't use.

        Raises:
            CurrencyNotEnabled: The tenant's manifest doesn't list it.
        """
        if currency not in self.manifest.currencies:
            raise errors.CurrencyNotEnabled(f"This tenant keeps no accounts in {currency}.", currency=currency)

    def open_account(
        self,
        *,
        type: AccountType,
        currency: str,
        code: str | None = None,
        wallet_id: UUID | None = None,
        name: str | None = None,
        overdraft_limit_minor: int | None = None,
        metadata: dict[str, str] | None = None,
    ) -> AccountRow:
        """Open an account, either of a wallet or under a code of the chart of accounts, and record its terms.

        Raises:
            CurrencyNotEnabled: The tenant doesn't use the currency.
        """
        self.require_currency(currency)
        row = AccountRow(
            id=self.new_id(),
            code=code,
            type=type,
            normal_side=rules.NORMAL_SIDES[type],
            currency=currency,
            wallet_id=wallet_id,
            name=name,
            overdraft_limit_minor=overdraft_limit_minor,
            metadata=metadata or {},
            created_at=self.now,
            updated_at=self.now,
        )
        self.put(row)
        self.record_account("opened", row)
        if wallet_id is not None:
            self.account_keys[WalletKey(wallet_id, currency)] = row.id
        if code is not None:
            self.account_keys[CodeKey(code, currency)] = row.id
        return row

    def change_account(self, row: AccountRow) -> None:
        """Replace an account of which more than the balances changes, and record its terms where they do."""
        before = self.get_account(row.id)
        self.put(row)
        if (row.status, row.overdraft_limit_minor) != (before.status, before.overdraft_limit_minor):
            self.record_account("changed", row)

    def record_account(self, kind: TermsKind, row: AccountRow) -> None:
        """Record an account's terms as they are from now on."""
        self.put(account_terms(row, kind, self.record()))
        self.put(ToldRow(row.id))

    def record_wallet(
        self, kind: TermsKind, wallet_id: UUID, *, party_id: UUID, status: str, opened_at: datetime
    ) -> None:
        """Record whose a wallet is, and how it stands from now on."""
        terms = WalletTermsRow(
            wallet_id=wallet_id,
            kind=kind,
            party_id=party_id,
            status=status,
            opened_at=opened_at,
            recorded_at=self.record(),
        )
        self.put(terms)
        self.put(ToldRow(wallet_id))

    def record_hold(self, row: HoldRow) -> None:
        """Record what a hold is placed as, right after its first movement."""
        salt = self._chance.salt() if row.description is not None or row.metadata else None
        self.put(hold_terms(row, salt, self.record()))

    # What moves money.

    def post(
        self,
        kind: JournalKind,
        lines: Sequence[Line],
        *,
        effective_at: datetime | None = None,
        description: str | None = None,
        metadata: dict[str, str] | None = None,
        reverses: UUID | None = None,
        hold_id: UUID | None = None,
        backdate: bool = False,
    ) -> EntryRow:
        """Post a journal entry on the accounts of the draft; a refusal leaves the draft as it was.

        The checks come in this order, and the first that fails is the answer: effective time, account exists, closed,
        frozen, currency, balance of the entry, range, funds.

        Args:
            kind: What kind of command makes it.
            lines: The postings; each account must have been loaded.
            effective_at: When it happened; the tenant's present where absent.
            description: Free text for people.
            metadata: The caller's own keys and values.
            reverses: The journal entry that this one undoes.
            hold_id: The hold that this one captures.
            backdate: Whether any past time is allowed, as for a bank's own statement.

        Raises:
            Conflict: The narrower class says what refuses it.
        """
        effective = self.now if effective_at is None else effective_at
        if effective_at is not None:
            self.check_effective(effective, backdate=backdate)
        before, accounts, postings = self._apply(lines, rules.late_class(effective, self.effective_high))
        for account_id, account in accounts.items():
            rules.check_funds(account, before=before[account_id])
        changed = self.changed.setdefault(AccountRow, {})
        for account_id, account in accounts.items():
            changed[account_id] = account
        self.sequence += 1
        self.effective_high = max(self.effective_high, effective)
        recorded_at = self.record()
        salt = self._chance.salt() if description is not None or metadata else None
        entry = EntryRow(
            id=self._chance.id_at(recorded_at),
            sequence=self.sequence,
            kind=kind,
            description=description,
            reverses=reverses,
            hold_id=hold_id,
            effective_at=effective,
            effective_high=self.effective_high,
            recorded_at=recorded_at,
            metadata=metadata or {},
            text_salt=salt,
            text_commitment=None if salt is None else chain.commitment(salt, description, metadata or {}),
            postings=tuple(postings),
        )
        self.entries.append(entry)
        return entry

    def _apply(
        self, lines: Sequence[Line], late_class: int | None
    ) -> tuple[dict[UUID, AccountRow], dict[UUID, AccountRow], list[PostingRow]]:
        """Return the accounts as they are, as the lines would leave them, and the postings with the balances after."""
        before: dict[UUID, AccountRow] = {}
        for line in lines:
            account_id = line.account_id
            before[account_id] = self.find(AccountRow, account_id) or self.get_account(account_id)
        accounts = dict(before)
        rules.check_usable(accounts.values())
        rules.check_currencies(lines, accounts)
        rules.check_balanced(lines)
        postings: list[PostingRow] = []
        for number, line in enumerate(lines):
            account_id, amount_minor = line.account_id, line.amount_minor
            assert amount_minor, "every line posts something"
            account = accounts[account_id]
            posted = account.posted_minor + amount_minor
            accounts[account_id] = _replace(account, posted_minor=posted, updated_at=self.now)
            postings.append(
                PostingRow(
                    line=number,
                    account_id=account_id,
                    normal_side=account.normal_side,
                    amount_minor=amount_minor,
                    currency=line.currency,
                    posted_after_minor=posted,
                    late_class=late_class,
                )
            )
        return before, accounts, postings

    # What is said about it.

    def event(self, kind: EventType[D], object_id: str, data: D) -> None:
        """Emit an event about an object, by its wire id, with the change itself; its free text is left out."""
        assert type(data) is kind.data, "an event says what its type says"
        self._happenings.append(Happening(self.new_id(), kind.name, object_id, without_free_text(data)))

    def told_event(self, kind: EventType[Any], object_id: str) -> None:
        """Emit an event of which rows that are there anyway tell what it says (``outbox.told_by``)."""
        self._happenings.append(Happening(self.new_id(), kind.name, object_id, None))

    def told_once(self, kind: EventType[Any], prefix: Prefix, object_id: UUID) -> None:
        """Do so of an object that the present entry has made, and of which nothing else is told in this way."""
        told = ToldEvent(type=kind.name, prefix=prefix, object_id=object_id, occurred_at=self.now)
        self._happenings.append(told)

    def encode(self, encode: Callable[[msgspec.Struct], bytes]) -> None:
        """Encode the events that were emitted since the last time."""
        if not self._happenings:
            return
        self.events += [
            one
            if isinstance(one, ToldEvent)
            else NewEvent(
                id=one.id,
                type=one.type,
                object_id=one.object_id,
                data=None if one.data is None else encode(one.data),
                occurred_at=self.now,
            )
            for one in self._happenings
        ]
        self._happenings = []

    def check_effective(self, at: datetime, *, backdate: bool = False) -> None:
        """See that something may be said to have happened at a time, where that isn't the present.

        Args:
            at: When.
            backdate: Whether any past time is allowed.

        Raises:
            EffectiveDateNotAllowed: It is in the future, or further back than the tenant allows.
            TimeUnclearError: It is in the future unless the present is a little later than thought.
        """
        if self.now < at <= self.latest:
            raise TimeUnclearError
        rules.check_effective(at, self.now, None if backdate else self.manifest.limits.backdate_days)

    def audit(
        self, action: str, object_id: str, *, reason: str | None = None, facts: dict[str, Any] | None = None
    ) -> None:
        """Record who did what, in the same transaction as the change."""
        self.audit_records.append(
            NewAuditRecord(
                id=self.new_id(),
                actor=self.caller.actor,
                action=action,
                object_id=object_id,
                reason=reason,
                request_id=self.caller.request_id,
                facts=msgspec.json.encode(with_program(self.caller, facts)),
                recorded_at=self.clock_now,
            )
        )

    def job(self, kind: str, due_at: datetime, payload: dict[str, Any], *, dedup_key: str | None = None) -> None:
        """Put a job into the same transaction as the change."""
        self.jobs.append(
            NewJob(
                id=self.new_id(),
                kind=kind,
                due_at=due_at,
                payload=msgspec.json.encode(payload),
                dedup_key=dedup_key,
            )
        )
