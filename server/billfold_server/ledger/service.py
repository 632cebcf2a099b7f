"""The ledger as other rooms and the HTTP edge know it.

Whoever moves money gives the engine a command, built from the pure parts that are named here; reading has functions of
its own, each of which takes an open transaction.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID, uuid4

from msgspec import Meta

from billfold import chain, errors
from billfold.contract.ledger import (
    Balance,
    JournalEntry,
    JournalEntryProof,
    LedgerHead,
    LedgerHeadClaims,
    NormalSide,
    ProofLink,
    StatementLine,
)
from billfold.errors import ProblemError
from billfold.ids import Prefix, decode, encode
from billfold_server.http import idempotency, problems
from billfold_server.http.routing import Call, IdempotencyRef
from billfold_server.http.routing import Reply as HttpReply
from billfold_server.ledger import queries, rules
from billfold_server.ledger.approving import (
    alone_below,
    is_large_entry,
    is_large_in_parts,
    is_large_refund,
    is_large_withdrawal,
    refund,
)
from billfold_server.ledger.bookings import (
    Booking,
    Place,
    Span,
    Turnover,
    first_booked_at,
    list_bookings,
    list_reversed_kinds,
    list_turnovers,
    place_before,
)
from billfold_server.ledger.books import Books, Draft
from billfold_server.ledger.checkpoints import STORES, find_checkpoint
from billfold_server.ledger.engine import Engine
from billfold_server.ledger.kinds import (
    EXPIRE_HOLD,
    EXPIRE_HOLD_JOB,
    Capture,
    Expiry,
    HoldOrder,
    Release,
    Reversal,
    capture_hold,
    capture_keys,
    entry_keys,
    open_hold,
    opened_as,
    reversal_keys,
    reverse,
    reverse_by_hand,
    undone_by_hand,
)
from billfold_server.ledger.protocol import Answer, Foresee, Keys, Kind, Loader, Presumed, Reply, Store, Writer
from billfold_server.ledger.rows import (
    AccountRow,
    CodeKey,
    EntryRow,
    HoldRow,
    JournalKind,
    Line,
    ReversalRow,
    Row,
    WalletKey,
)
from billfold_server.ledger.rules import check_funds
from billfold_server.tenancy.transaction import TenantTx

if TYPE_CHECKING:
    import asyncpg

__all__ = [
    "EXPIRE_HOLD",
    "EXPIRE_HOLD_JOB",
    "MOVES_MONEY",
    "STORES",
    "AccountRow",
    "Answer",
    "Booking",
    "Books",
    "Capture",
    "CodeKey",
    "Draft",
    "Engine",
    "EntryKind",
    "EntryRow",
    "Expiry",
    "HoldOrder",
    "HoldRow",
    "JournalKind",
    "Keys",
    "Kind",
    "Line",
    "Loader",
    "Place",
    "Presumed",
    "Release",
    "Reply",
    "Reversal",
    "ReversalRow",
    "Row",
    "Span",
    "Store",
    "Turnover",
    "WalletKey",
    "Writer",
    "alone_below",
    "balances_as_of",
    "capture_hold",
    "capture_keys",
    "check_funds",
    "command",
    "commands",
    "entry_keys",
    "first_booked_at",
    "get_account",
    "get_entry",
    "get_hold",
    "head_claims",
    "is_large_entry",
    "is_large_in_parts",
    "is_large_refund",
    "is_large_withdrawal",
    "list_bookings",
    "list_reversed_kinds",
    "list_turnovers",
    "list_wallet_accounts",
    "open_hold",
    "opened_as",
    "place",
    "place_before",
    "position",
    "prove",
    "refund",
    "reversal_keys",
    "reverse",
    "reverse_by_hand",
    "signed_head",
    "statement",
    "take_books",
    "tell_entries",
    "to_proof",
    "undone_by_hand",
]

B = TypeVar("B")

EntryKind = Annotated[
    str, Meta(min_length=1, max_length=40, pattern=r"^[a-z][a-z_.]*$(?!\n)", description="Kind of journal entry.")
]

MOVES_MONEY = (
    errors.WalletClosed,
    errors.WalletFrozen,
    errors.InsufficientFunds,
    errors.BalanceOutOfRange,
    errors.NotFound,
)
"""What may refuse any command that moves money."""


async def command(call: Call, kind: Kind[B], body: B, *, foresee: Foresee | None = None) -> HttpReply[Any]:
    """Give the engine a command on behalf of a request, and return its answer as HTTP has it.

    Args:
        call: The request.
        kind: The kind of command.
        body: What it says.
        foresee: Is told what will be answered, while that is being written.

    Raises:
        ProblemError: It was refused, or its outcome can't be told now.
    """
    engine: Engine = call.services.engine
    if not kind.sees_grant:
        # The engine's transaction is shared with others; so what a user allows is looked at just before it.
        await _see_grant(call)
    try:
        answer = await engine.submit(call.tenant, call.caller, kind, body, call.idempotency, foresee=foresee)
    except errors.IdempotencyKeyReused:
        if kind.sees_grant:
            await _see_grant(call)
        raise
    if answer.replayed and kind.sees_grant:
        # Then nothing was decided.
        await _see_grant(call)
    if answer.error is not None:
        # It looks just as the body that was kept, and logs and metrics learn its code.
        raise answer.error
    return HttpReply(body=answer.body or None, status=answer.status, replayed=answer.replayed)


async def _see_grant(call: Call) -> None:
    """See that what a user has allowed still stands, where somebody acts in a user's name.

    Raises:
        errors.InvalidToken: It doesn't.
    """
    if call.caller.grant_id is not None:
        async with call.tx():
            pass


async def commands(
    call: Call, orders: Sequence[tuple[Kind[B], B, IdempotencyRef | None]], *, together: bool
) -> list[Answer]:
    """Give the engine commands on behalf of one request, and return the answer of each.

    Refusals are answers too, also those that are kept under no key, and a defect that one of them meets. Only where it
    can't be told what became of a command is the request as a whole refused: sent again with the same keys, it is
    answered exactly.

    Raises:
        ProblemError: Nothing was begun, or the outcome can't be told now.
    """
    engine: Engine = call.services.engine
    answers = await engine.submit_many(call.tenant, call.caller, orders, together=together)
    unknown = next((each for each in answers if isinstance(each, errors.Unavailable)), None)
    if unknown is not None:
        raise unknown
    if all(isinstance(each, errors.InternalError) for each in answers):
        raise errors.InternalError
    rendered = _Refusals(call.request_id)
    given = [answer if isinstance(answer, Answer) else rendered[answer] for answer in answers]
    for code, times in Counter(answer.error.code for answer in given if answer.error is not None).items():
        call.services.metrics.refuse(code, times)
    return given


class _Refusals(dict[ProblemError, Answer]):
    """Refusals that are kept nowhere, each rendered once: an atomic request has one for a thousand items."""

    def __init__(self, request_id: str) -> None:
        super().__init__()
        self._request_id = request_id

    def __missing__(self, error: ProblemError) -> Answer:
        if error.param == idempotency.HEADER:
            # Among many, the key isn't a header's but the item's own.
            error.param = "idempotency_key"
        body = problems.encode_problem(error, self._request_id)
        self[error] = answer = Answer(status=problems.status_of(type(error)), body=body, error=error)
        return answer


async def take_books(tx: TenantTx) -> None:
    """Take the tenant's ledger until the transaction ends, and let every process forget what it remembers of rows.

    It is for what changes rows of the books beside the engine: texts that are erased.
    """
    # The fence tells every process that what it remembers may no longer hold.
    await tx.execute("UPDATE ledger_head SET fence = $1 WHERE id = 1", uuid4())


async def get_account(tx: TenantTx, account_id: UUID) -> AccountRow:
    """Return an account.

    Raises:
        NotFound: There is none.
    """
    account = await queries.find_account(tx, account_id)
    if account is None:
        detail = "There is no such account."
        raise errors.NotFound(detail)
    return account


async def get_entry(tx: TenantTx, entry_id: UUID) -> EntryRow:
    """Return a journal entry with its postings.

    Raises:
        NotFound: There is none.
        HistoryDetached: It is no longer in the ledger.
    """
    entry = await queries.find_entry(tx, entry_id)
    if entry is None:
        checkpoint = await find_checkpoint(tx)
        if checkpoint is not None and checkpoint.covers(entry_id):
            raise checkpoint.refusal("The journal entry isn't in the ledger any more")
        detail = "There is no such journal entry."
        raise errors.NotFound(detail)
    return entry


async def tell_entries(call: Call, entry_ids: Sequence[UUID]) -> dict[UUID, JournalEntry]:
    """Return which of these ids are journal entries that are in the ledger, with the entries as the API shows them."""
    async with call.tx() as tx:
        return {row.id: row.to_response() for row in await queries.find_entries(tx, entry_ids)}


async def get_hold(tx: TenantTx, hold_id: UUID) -> HoldRow:
    """Return a hold.

    Raises:
        NotFound: There is none.
    """
    hold = await queries.find_hold(tx, hold_id)
    if hold is None:
        detail = "There is no such hold."
        raise errors.NotFound(detail)
    return hold


async def list_wallet_accounts(tx: TenantTx, wallet_ids: Sequence[UUID]) -> dict[UUID, list[AccountRow]]:
    """Return the accounts of wallets, by wallet, each list by currency."""
    accounts: dict[UUID, list[AccountRow]] = {wallet_id: [] for wallet_id in wallet_ids}
    for account in await queries.list_wallet_accounts(tx, wallet_ids):
        if account.wallet_id is not None:
            accounts[account.wallet_id].append(account)
    return accounts


async def balances_as_of(
    tx: TenantTx,
    accounts: Sequence[AccountRow],
    *,
    effective_at: datetime | None,
    recorded_at: datetime | None,
) -> list[Balance]:
    """Return balances as of two instants; the present where both are absent.

    What is counted took effect by ``effective_at`` and was recorded by ``recorded_at``.

    Raises:
        HistoryDetached: One of them lies before the last checkpoint, so that nobody can tell from what is here.
    """
    if effective_at is None and recorded_at is None:
        return [account.to_balance() for account in accounts]
    found = await queries.balances_as_of(
        tx,
        [account.id for account in accounts],
        effective_at=effective_at or _END_OF_TIME,
        recorded_at=recorded_at or _END_OF_TIME,
    )
    if found is None:
        checkpoint = await find_checkpoint(tx)
        assert checkpoint is not None, "there is one before which nothing can be told"
        raise checkpoint.refusal("Balances can't be told as of that time")
    balances = []
    for account in accounts:
        posted, pending, held = found[account.id]
        shown = rules.on_normal_side(posted, account.normal_side)
        balances.append(
            Balance(
                account_id=account.wire_id,
                currency=account.currency,
                posted_minor=shown,
                pending_minor=pending,
                held_minor=held,
                available_minor=shown - held,
                overdraft_limit_minor=account.overdraft_limit_minor,
            )
        )
    return balances


_END_OF_TIME = datetime.fromisoformat("9999-12-31T00:00:00+00:00")


async def statement(
    tx: TenantTx,
    account_ids: Sequence[UUID],
    *,
    limit: int,
    before: tuple[UUID, int] | None,
    kind: str | None,
    from_: datetime | None,
    to: datetime | None,
) -> tuple[list[StatementLine], tuple[str, int] | None]:
    """Return an account's postings, newest first, each with the balance after it, and where to look for more.

    The latter is there where fewer of a kind were found, but enough was looked at for one page.
    """
    rows, further = await queries.list_statement(
        tx, account_ids, limit=limit, before=before, kind=kind, from_=from_, to=to
    )
    return [_line(row) for row in rows], None if further is None else (str(further[0]), further[1])


def _line(row: "asyncpg.Record") -> StatementLine:
    side = NormalSide(row["normal_side"])
    return StatementLine(
        sequence=row["sequence"],
        line=row["line"],
        journal_entry_id=encode(Prefix.JOURNAL_ENTRY, row["id"]),
        account_id=encode(Prefix.ACCOUNT, row["account_id"]),
        kind=row["kind"],
        description=row["description"],
        amount_minor=rules.on_normal_side(row["amount_minor"], side),
        currency=row["currency"],
        balance_after_minor=rules.on_normal_side(row["posted_after_minor"], side),
        effective_at=row["effective_at"],
        recorded_at=row["recorded_at"],
    )


def position(cursor: Sequence[str | int | None] | None) -> tuple[UUID, int] | None:
    """Return the entry's id and the line that a statement's cursor holds."""
    return None if cursor is None else (UUID(str(cursor[0])), int(cursor[1] or 0))


def place(line: StatementLine) -> tuple[str, int]:
    """Return what a statement's cursor holds to go on after a line."""
    return str(decode(Prefix.JOURNAL_ENTRY, line.journal_entry_id)), line.line


# The chain.


def head_claims(head: queries.HeadRow, issuer: str) -> LedgerHeadClaims:
    """Return what is signed of a head.

    Args:
        head: The head.
        issuer: The tenant's base URL.
    """
    return LedgerHeadClaims(
        iss=issuer, number=head.number, hash=head.hash.hex(), sequence=head.sequence, recorded_at=head.recorded_at
    )


def signed_head(claims: LedgerHeadClaims, jws: str) -> LedgerHead:
    """Return a head as the API shows it.

    Args:
        claims: What was signed.
        jws: The signature over it.
    """
    return LedgerHead(
        number=claims.number, hash=claims.hash, sequence=claims.sequence, recorded_at=claims.recorded_at, jws=jws
    )


async def prove(tx: TenantTx, entry: EntryRow) -> tuple[queries.HeadRow, chain.InclusionProof]:
    """Return the ledger's head, and what leads from an entry's record to it.

    Raises:
        InternalError: The entry isn't in the chain, so the books have been changed behind the engine's back.
    """
    # The entry was found, so a head that is read now stands for it; links are never changed.
    head = await queries.get_head(tx)
    link = await queries.find_link_of(tx, entry.recorded_at)
    leaf = entry.leaf()
    leaves = [] if link is None else link.split()
    if link is None or leaf not in leaves:
        detail = "The journal entry isn't in the ledger's chain."
        raise errors.InternalError(detail)
    links = await queries.get_links(tx, chain.links_for_proof(head.number, link.number))
    return head, chain.inclusion_proof(head.number, link.number, leaves.index(leaf), links)


def to_proof(entry: EntryRow, proof: chain.InclusionProof, head: LedgerHead) -> JournalEntryProof:
    """Return a proof as the API shows it."""
    return JournalEntryProof(
        journal_entry_id=entry.wire_id,
        head=head,
        record=entry.text(),
        text_salt=None if entry.text_salt is None else entry.text_salt.hex(),
        index=proof.index,
        path=[each.hex() for each in proof.path],
        links=[
            ProofLink(
                number=link.number,
                previous=link.previous.hex(),
                skip=link.skip.hex(),
                recorded_at=link.recorded_at,
                count=link.count,
                root=link.root.hex(),
            )
            for link in proof.links
        ],
    )
