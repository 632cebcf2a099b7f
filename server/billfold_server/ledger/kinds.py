"""The ledger's own commands: accounts, journal entries, reversing entries and holds. All decisions here are pure."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.events import EventType
from billfold.contract.ledger import (
    AccountType,
    CaptureHold,
    CreateAccount,
    CreateHold,
    CreateJournalEntry,
    Hold,
    HoldStatus,
    ReverseJournalEntry,
    UpdateAccount,
)
from billfold.ids import Prefix
from billfold_server.http.etags import check_if_match
from billfold_server.ledger import rules
from billfold_server.ledger.books import Books, Draft
from billfold_server.ledger.checkpoints import NEWEST, CheckpointRow
from billfold_server.ledger.protocol import Keys, Kind, Reply
from billfold_server.ledger.rows import (
    AccountRow,
    CodeKey,
    EntryRow,
    HoldMovementRow,
    HoldRow,
    JournalKind,
    Line,
    ReversalRow,
    WalletKey,
)

__all__ = [
    "CREATE_ACCOUNT",
    "EXPIRE_HOLD",
    "EXPIRE_HOLD_JOB",
    "POST_JOURNAL_ENTRY",
    "RELEASE_HOLD",
    "REVERSE_JOURNAL_ENTRY",
    "UPDATE_ACCOUNT",
    "Capture",
    "Expiry",
    "HoldOrder",
    "Release",
    "Reversal",
    "Update",
    "capture_hold",
    "capture_keys",
    "entry_keys",
    "open_hold",
    "opened_as",
    "reversal_keys",
    "reverse",
    "reverse_by_hand",
    "undone_by_hand",
]

EXPIRE_HOLD_JOB = "holds.expire"

_OK, _CREATED = 200, 201


# Accounts.


class Update(msgspec.Struct, frozen=True):
    """A change to an account, and the ``If-Match`` header that it is bound to, where there is one."""

    account_id: UUID
    change: UpdateAccount
    if_match: str | None


def _create_account_keys(_books: Books, body: CreateAccount) -> Keys:
    return {AccountRow: [CodeKey(body.code, body.currency)]}


_OPENED_AS: Final[dict[str, AccountType]] = {}


def opened_as(types: Mapping[str, AccountType]) -> None:
    """Say which accounts of the chart a room opens by itself, so that nobody opens one as what the room can't use.

    Args:
        types: What they are, by code; one that ends in a colon stands for all that begin with it.
    """
    _OPENED_AS.update(types)


def _create_account(draft: Draft, body: CreateAccount) -> Reply:
    draft.require_currency(body.currency)
    needed = _OPENED_AS.get(body.code) or _OPENED_AS.get(f"{body.code.partition(':')[0]}:")
    if needed not in {None, body.type}:
        # No account is ever taken away, so this one would be in the way for good.
        detail = f"The bank's own account with this code is of the type {needed}."
        raise errors.AccountCodeTaken(detail, param="type")
    if draft.find_account(CodeKey(body.code, body.currency)) is not None:
        raise errors.AccountCodeTaken(param="code")
    row = draft.open_account(
        type=body.type,
        currency=body.currency,
        code=body.code,
        name=body.name,
        overdraft_limit_minor=body.overdraft_limit_minor,
        metadata=body.metadata,
    )
    response = row.to_response()
    draft.event(events.ACCOUNT_CREATED, row.wire_id, response)
    draft.audit("account.created", row.wire_id)
    return Reply(_CREATED, response)


def _update_account(draft: Draft, body: Update) -> Reply:
    row = draft.get_account(body.account_id)
    check_if_match(body.if_match, row.version)
    if row.wallet_id is not None and row.status == "closed" and (body.change.name or body.change.metadata):
        # Its owner may have been forgotten, and nobody is forgotten twice. What stands there can still be taken away.
        raise errors.WalletClosed(wallet_id=ids.encode(Prefix.WALLET, row.wallet_id))
    given = {
        field: value
        for field in ("name", "overdraft_limit_minor", "metadata")
        if (value := getattr(body.change, field)) is not msgspec.UNSET
    }
    if all(getattr(row, field) == value for field, value in given.items()):
        # What changes nothing leaves no trace.
        return Reply(_OK, row.to_response())
    changed = msgspec.structs.replace(row, **given, version=row.version + 1, updated_at=draft.now)
    limit = changed.overdraft_limit_minor
    if limit is not None and changed.available_minor < -limit:
        detail = "The balance is further below zero than the new limit allows."
        raise errors.InsufficientFunds(
            detail,
            param="overdraft_limit_minor",
            account_id=row.wire_id,
            currency=row.currency,
            available_minor=row.available_minor,
            required_minor=-limit,
        )
    draft.change_account(changed)
    response = changed.to_response()
    draft.event(events.ACCOUNT_UPDATED, row.wire_id, response)
    draft.audit("account.updated", row.wire_id, facts={"fields": sorted(given)})
    return Reply(_OK, response)


CREATE_ACCOUNT: Kind[CreateAccount] = Kind("account.create", _create_account_keys, _create_account)
UPDATE_ACCOUNT: Kind[Update] = Kind("account.update", lambda _, body: {AccountRow: [body.account_id]}, _update_account)


# Journal entries and their reversals.


def _journal_keys(_books: Books, body: CreateJournalEntry) -> Keys:
    return {AccountRow: [ids.decode(Prefix.ACCOUNT, posting.account_id) for posting in body.postings]}


def _post_journal_entry(draft: Draft, body: CreateJournalEntry) -> Reply:
    lines = [
        Line(ids.decode(Prefix.ACCOUNT, posting.account_id), posting.amount_minor, posting.currency)
        for posting in body.postings
    ]
    entry = draft.post(
        "journal_entry",
        lines,
        effective_at=body.effective_at,
        description=body.description,
        metadata=body.metadata,
    )
    response = entry.to_response()
    draft.event(events.JOURNAL_ENTRY_POSTED, entry.wire_id, response)
    draft.audit("journal_entry.posted", entry.wire_id)
    return Reply(_CREATED, response)


class Reversal(msgspec.Struct, frozen=True):
    """An order to undo a journal entry.

    Attributes:
        alone_below_minor: Below how much in all nobody else had to agree to it; None where that doesn't count.
    """

    journal_entry_id: UUID
    order: ReverseJournalEntry
    alone_below_minor: int | None = None


def entry_keys(books: Books, journal_entry_id: UUID) -> dict[type, Sequence[Hashable]]:
    """Name the rows that reversing an entry needs: the entry, what was reversed of it, and then its accounts."""
    wanted: dict[type, Sequence[Hashable]] = {
        EntryRow: [journal_entry_id],
        ReversalRow: [journal_entry_id],
        CheckpointRow: [NEWEST],
    }
    entry: EntryRow | None = books.rows.get(EntryRow, {}).get(journal_entry_id)
    if entry is not None:
        wanted[AccountRow] = [posting.account_id for posting in entry.postings]
    return wanted


def reverse(
    draft: Draft,
    journal_entry_id: UUID,
    *,
    amount_minor: int | None,
    reason: str | None,
    metadata: dict[str, str] | None = None,
    alone_below_minor: int | None = None,
) -> EntryRow:
    """Undo a journal entry, whole or in part; never more than the original.

    Raises:
        NotFound: There is no such entry.
        HistoryDetached: It is no longer in the ledger.
        Busy: So much was given back meanwhile that somebody else must agree.
        Conflict: The narrower class says what refuses it.
    """
    entry = draft.find(EntryRow, journal_entry_id)
    checkpoint = draft.find(CheckpointRow, NEWEST)
    if entry is None and checkpoint is not None and checkpoint.covers(journal_entry_id):
        raise checkpoint.refusal("The journal entry can't be reversed")
    if entry is None:
        detail = "There is no such journal entry."
        raise errors.NotFound(detail)
    before = draft.find(ReversalRow, journal_entry_id)
    reversed_minor = 0 if before is None else before.reversed_minor
    amount, undone = rules.reversal_lines(entry, amount_minor, reversed_minor)
    if alone_below_minor is not None and reversed_minor + amount >= alone_below_minor:
        # Who sends it again is told that it needs approval.
        raise errors.Busy("other parts of it were given back at the same moment", retry_after_s=1)
    reversing = draft.post(
        "reversal",
        [Line(posting.account_id, signed, posting.currency) for posting, signed in undone],
        description=entry.description,
        metadata=metadata,
        reverses=entry.id,
    )
    draft.put(
        ReversalRow(
            journal_entry_id=entry.id,
            amount_minor=rules.entry_amount(entry),
            reversed_minor=reversed_minor + amount,
        )
    )
    draft.event(events.JOURNAL_ENTRY_REVERSED, entry.wire_id, reversing.to_response())
    draft.audit("journal_entry.reversed", entry.wire_id, reason=reason, facts={"reversing": reversing.wire_id})
    return reversing


def _nothing(*_: object) -> None:
    """Ask nothing, and note nothing."""


class _ByHand(NamedTuple):
    keys: Callable[[Books, UUID], Keys]
    check: Callable[[Draft, UUID], None]
    note: Callable[[Draft, UUID, int], None]


_BY_HAND: Final[dict[str, _ByHand]] = {}


def undone_by_hand(
    *kinds: JournalKind,
    keys: Callable[[Books, UUID], Keys],
    check: Callable[[Draft, UUID], None] = _nothing,
    note: Callable[[Draft, UUID, int], None] = _nothing,
) -> None:
    """Say what a room asks before an entry that it has posted is undone by hand, and what it notes of it after.

    Args:
        kinds: Of which kinds the room's entries are.
        keys: Names what these need, by the entry's id.
        check: Raises the ``ProblemError`` that refuses it. Pure.
        note: Changes rows of the room, once the reversing entry is posted, by how much of it is undone now. Pure.
    """
    _BY_HAND.update({kind: _ByHand(keys, check, note) for kind in kinds})


def reversal_keys(books: Books, body: Reversal) -> dict[type, Sequence[Hashable]]:
    """Name the rows that undoing an entry by hand needs: also those of the room that has posted it."""
    wanted = entry_keys(books, body.journal_entry_id)
    entry: EntryRow | None = books.rows.get(EntryRow, {}).get(body.journal_entry_id)
    asked = None if entry is None else _BY_HAND.get(entry.kind)
    return wanted if asked is None else {**wanted, **asked.keys(books, body.journal_entry_id)}


def reverse_by_hand(draft: Draft, body: Reversal) -> EntryRow:
    """Undo a journal entry as somebody has ordered it, with the say of the room that has posted it.

    Every operation by which people undo something ends here, so none of them leaves out what another one notes.

    Raises:
        NotFound: There is no such entry.
        HistoryDetached: It is no longer in the ledger.
        Busy: So much was given back meanwhile that somebody else must agree.
        Conflict: The narrower class says what refuses it.
    """
    known = draft.find(EntryRow, body.journal_entry_id)
    asked = None if known is None else _BY_HAND.get(known.kind)
    if asked is not None:
        asked.check(draft, body.journal_entry_id)
    entry = reverse(
        draft,
        body.journal_entry_id,
        amount_minor=body.order.amount_minor,
        reason=body.order.reason,
        metadata=body.order.metadata,
        alone_below_minor=body.alone_below_minor,
    )
    if asked is not None:
        asked.note(draft, body.journal_entry_id, rules.entry_amount(entry))
    return entry


def _reverse_journal_entry(draft: Draft, body: Reversal) -> Reply:
    return Reply(_CREATED, reverse_by_hand(draft, body).to_response())


POST_JOURNAL_ENTRY: Kind[CreateJournalEntry] = Kind("journal_entry.post", _journal_keys, _post_journal_entry)
REVERSE_JOURNAL_ENTRY: Kind[Reversal] = Kind("journal_entry.reverse", reversal_keys, _reverse_journal_entry)


# Holds. Who owns a wallet's account is the wallets room's business; here a hold concerns two accounts.


class HoldOrder(msgspec.Struct, frozen=True):
    """A new hold on an account, for an account that may take it later."""

    account: AccountRow
    wallet_id: UUID
    to_account: AccountRow | None
    order: CreateHold


class Capture(msgspec.Struct, frozen=True):
    """An order to settle a hold; ``alone_below_minor`` is as of ``Reversal``."""

    hold_id: UUID
    order: CaptureHold
    alone_below_minor: int | None = None


class Release(msgspec.Struct, frozen=True):
    """An order to give back what a hold still reserves."""

    hold_id: UUID


class Expiry(msgspec.Struct, frozen=True):
    """Word that a hold's time may have run out."""

    hold_id: UUID


def open_hold(draft: Draft, request: HoldOrder) -> Reply:
    """Reserve part of an account's balance.

    Raises:
        Conflict: The narrower class says what refuses it.
    """
    amount, order = request.order.amount, request.order
    if order.expires_at is not None and order.expires_at <= draft.now:
        detail = "The hold would have expired already."
        raise errors.EffectiveDateNotAllowed(detail, param="expires_at")
    hold = HoldRow(
        id=draft.new_id(),
        wallet_id=request.wallet_id,
        account_id=request.account.id,
        to_wallet_id=None if request.to_account is None else request.to_account.wallet_id,
        to_account_id=None if request.to_account is None else request.to_account.id,
        currency=amount.currency,
        amount_minor=amount.amount_minor,
        expires_at=order.expires_at,
        description=order.description,
        metadata=order.metadata,
        created_at=draft.now,
        updated_at=draft.now,
    )
    accounts = [request.account] if request.to_account is None else [request.account, request.to_account]
    rules.check_usable(accounts)
    hold = _move_hold(draft, hold, amount.amount_minor)
    draft.record_hold(hold)
    if hold.expires_at is not None:
        draft.job(EXPIRE_HOLD_JOB, hold.expires_at, {"hold_id": ids.encode(Prefix.HOLD, hold.id)})
    return _answer_hold(draft, hold, events.HOLD_CREATED, _CREATED)


def _hold_keys(books: Books, hold_id: UUID) -> dict[type, Sequence[Hashable]]:
    wanted: dict[type, Sequence[Hashable]] = {HoldRow: [hold_id]}
    hold: HoldRow | None = books.rows.get(HoldRow, {}).get(hold_id)
    if hold is not None:
        wanted[AccountRow] = [hold.account_id] if hold.to_account_id is None else [hold.account_id, hold.to_account_id]
    return wanted


def capture_keys(books: Books, body: Capture) -> dict[type, Sequence[Hashable]]:
    """Name the rows that capturing a hold needs."""
    wanted = _hold_keys(books, body.hold_id)
    hold: HoldRow | None = books.rows.get(HoldRow, {}).get(body.hold_id)
    if hold is None:
        return wanted
    further: list[Hashable] = list(wanted[AccountRow])
    if body.order.to_account_id is not None:
        further.append(ids.decode(Prefix.ACCOUNT, body.order.to_account_id))
    if body.order.to_wallet_id is not None:
        further.append(WalletKey(ids.decode(Prefix.WALLET, body.order.to_wallet_id), hold.currency))
    return {**wanted, AccountRow: further}


def _get_hold(draft: Draft, hold_id: UUID) -> HoldRow:
    hold = draft.find(HoldRow, hold_id)
    if hold is None:
        detail = "There is no such hold."
        raise errors.NotFound(detail)
    return hold


def _move_hold(draft: Draft, hold: HoldRow, delta_minor: int) -> HoldRow:
    """Reserve more or less on the hold's account, expect as much on the other, and keep the movement."""
    account = draft.get_account(hold.account_id)
    held = msgspec.structs.replace(account, held_minor=account.held_minor + delta_minor, updated_at=draft.now)
    rules.check_funds(held, before=account)
    draft.put(held)
    pending_after_minor = None
    if hold.to_account_id is not None:
        other = draft.get_account(hold.to_account_id)
        pending_after_minor = other.pending_minor + delta_minor
        expecting = msgspec.structs.replace(other, pending_minor=pending_after_minor, updated_at=draft.now)
        rules.check_funds(expecting, before=other)
        draft.put(expecting)
    draft.put(
        HoldMovementRow(
            hold_id=hold.id,
            step=hold.steps,
            account_id=hold.account_id,
            to_account_id=hold.to_account_id,
            delta_minor=delta_minor,
            held_after_minor=held.held_minor,
            pending_after_minor=pending_after_minor,
            effective_at=draft.now,
            recorded_at=draft.record(),
        )
    )
    draft.effective_high = draft.now
    return msgspec.structs.replace(hold, steps=hold.steps + 1, updated_at=draft.now)


def _answer_hold(draft: Draft, hold: HoldRow, what: EventType[Hold], status: int) -> Reply:
    draft.put(hold)
    response = hold.to_response()
    draft.event(what, response.id, response)
    draft.audit(what.name, response.id)
    return Reply(status, response)


def _destination(draft: Draft, hold: HoldRow, order: CaptureHold) -> UUID:
    if order.to_account_id is not None:
        return draft.get_account(ids.decode(Prefix.ACCOUNT, order.to_account_id), "to_account_id").id
    if order.to_wallet_id is not None:
        wallet_id = ids.decode(Prefix.WALLET, order.to_wallet_id)
        return draft.get_account(WalletKey(wallet_id, hold.currency), "to_wallet_id").id
    if hold.to_account_id is None:
        raise errors.HoldHasNoDestination(hold_id=ids.encode(Prefix.HOLD, hold.id))
    return hold.to_account_id


def capture_hold(draft: Draft, body: Capture) -> Reply:
    """Settle a hold, whole or in part; a wallet that it goes to must have its account by now.

    Raises:
        NotFound: There is no such hold, or no such destination.
        Busy: So much was captured meanwhile that somebody else must agree.
        Conflict: The narrower class says what refuses it.
    """
    hold = _get_hold(draft, body.hold_id)
    rules.check_hold_open(hold.id, hold.status, hold.expires_at, draft.now)
    amount = hold.remaining_minor if body.order.amount_minor is None else body.order.amount_minor
    if amount > hold.remaining_minor:
        raise errors.CaptureExceedsHold(hold_id=ids.encode(Prefix.HOLD, hold.id), remaining_minor=hold.remaining_minor)
    if body.alone_below_minor is not None and hold.captured_minor + amount >= body.alone_below_minor:
        # Who sends it again is told that it needs approval.
        raise errors.Busy("other parts of it were captured at the same moment", retry_after_s=1)
    destination = _destination(draft, hold, body.order)
    rest = hold.remaining_minor - amount
    ends = body.order.final or rest == 0
    captures = len(hold.journal_entry_ids)
    if not ends and captures + 1 >= rules.MOST_CAPTURES:
        raise errors.HoldCapturesExhausted(hold_id=ids.encode(Prefix.HOLD, hold.id), captures=captures)
    hold = _move_hold(draft, hold, -(hold.remaining_minor if ends else amount))
    entry = draft.post(
        "capture",
        [Line(hold.account_id, amount, hold.currency), Line(destination, -amount, hold.currency)],
        description=hold.description,
        hold_id=hold.id,
    )
    hold = msgspec.structs.replace(
        hold,
        captured_minor=hold.captured_minor + amount,
        released_minor=hold.released_minor + (rest if ends else 0),
        status=rules.HOLD_STATES[hold.status, "capture" if ends else "capture_part"],
        journal_entry_ids=(*hold.journal_entry_ids, entry.id),
    )
    return _answer_hold(draft, hold, events.HOLD_CAPTURED, _OK)


def _end_hold(draft: Draft, hold: HoldRow, event: str) -> HoldRow:
    status = rules.HOLD_STATES[hold.status, event]
    rest = hold.remaining_minor
    hold = _move_hold(draft, hold, -rest)
    return msgspec.structs.replace(hold, released_minor=hold.released_minor + rest, status=status)


def _release_hold(draft: Draft, body: Release) -> Reply:
    hold = _get_hold(draft, body.hold_id)
    rules.check_hold_open(hold.id, hold.status, hold.expires_at, draft.now)
    return _answer_hold(draft, _end_hold(draft, hold, "release"), events.HOLD_RELEASED, _OK)


def _expire_hold(draft: Draft, body: Expiry) -> Reply:
    """Expire a hold whose time has run out; one that has ended before is left as it is, so the job may run twice."""
    hold = _get_hold(draft, body.hold_id)
    if hold.status is not HoldStatus.OPEN or hold.expires_at is None or hold.expires_at > draft.now:
        return Reply(_OK, hold.to_response())
    return _answer_hold(draft, _end_hold(draft, hold, "expire"), events.HOLD_EXPIRED, _OK)


RELEASE_HOLD: Kind[Release] = Kind("hold.release", lambda books, body: _hold_keys(books, body.hold_id), _release_hold)
EXPIRE_HOLD: Kind[Expiry] = Kind("hold.expire", lambda books, body: _hold_keys(books, body.hold_id), _expire_hold)
