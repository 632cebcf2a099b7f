"""A room of the tests' own, as a room of the product would be: payments with a state, which move money by commands.

A payment is created, authorised (its amount goes from the payer to a clearing account), captured (from there to the
payee, less a fee) and refunded, in parts; until it is captured it can be cancelled. Its callers choose its id, so a
batch may hold its whole life.
"""

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors
from billfold.contract.common import Response
from billfold.contract.events import EventType
from billfold_server.db.sets import Write
from billfold_server.ledger.books import Books, Draft
from billfold_server.ledger.protocol import Keys, Kind, Reply
from billfold_server.ledger.rows import AccountRow, CodeKey, Line, WalletKey
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["CLEARING", "CURRENCY", "FEES", "KINDS", "STORE", "TABLE", "TOO_MUCH_MINOR", "Payment", "PaymentRow", "fee"]

CURRENCY: Final = "EUR"
CLEARING, FEES = CodeKey("clearing", CURRENCY), CodeKey("fees", CURRENCY)
TOO_MUCH_MINOR: Final = 4_000
"""A payment of this much or more is a mistake that only the database notices."""
EXPIRE: Final = "payment.expire"
LASTS: Final = timedelta(hours=1)

TABLE: Final = (
    f"""
    CREATE TABLE orders_paid (
        id uuid PRIMARY KEY,
        status text NOT NULL CHECK (status IN ('created', 'authorised', 'captured', 'cancelled', 'refunded')),
        payer_id uuid NOT NULL,
        payee_id uuid NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor < {TOO_MUCH_MINOR}),
        refunded_minor bigint NOT NULL CHECK (refunded_minor BETWEEN 0 AND amount_minor),
        updated_at timestamptz NOT NULL,
        CHECK (refunded_minor = 0 OR status IN ('captured', 'refunded'))
    )
    """,
    "GRANT SELECT, INSERT, UPDATE ON orders_paid TO {runtime}",
)

STEPS: Final = {
    ("created", "authorise"): "authorised",
    ("created", "cancel"): "cancelled",
    ("authorised", "capture"): "captured",
    ("authorised", "cancel"): "cancelled",
    ("captured", "refund"): "captured",
}
"""What may happen to a payment in which state, and which state follows. Refunded in full, it is ``refunded``."""


class Payment(msgspec.Struct, frozen=True):
    """An order about a payment. Whoever gives one knows all that the payment is about."""

    id: UUID
    payer_id: UUID
    payee_id: UUID
    amount_minor: int


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A payment."""

    id: UUID
    status: str
    payer_id: UUID
    payee_id: UUID
    amount_minor: int
    refunded_minor: int = 0
    updated_at: datetime

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id


class Shown(Response, frozen=True, kw_only=True):
    """A payment as it is answered."""

    id: str
    status: str
    refunded_minor: int


def fee(amount_minor: int) -> int:
    """Return what is kept of a payment."""
    return amount_minor // 10


def _keys(_books: Books, order: Payment) -> Keys:
    wallets = [WalletKey(order.payer_id, CURRENCY), WalletKey(order.payee_id, CURRENCY)]
    return {PaymentRow: [order.id], AccountRow: [*wallets, CLEARING, FEES]}


def _create(draft: Draft, order: Payment) -> Reply:
    if draft.find(PaymentRow, order.id) is not None:
        detail = "There is such a payment already."
        raise errors.Conflict(detail)
    row = PaymentRow(
        id=order.id,
        status="created",
        payer_id=order.payer_id,
        payee_id=order.payee_id,
        amount_minor=order.amount_minor,
        updated_at=draft.now,
    )
    draft.job(EXPIRE, draft.now + LASTS, {"payment_id": str(row.id)}, dedup_key=str(row.id))
    return _answer(draft, row, "created", 201)


def _step(draft: Draft, order: Payment, step: str) -> PaymentRow:
    """Return the payment in the state that a step leads to, or refuse the step."""
    row = draft.find(PaymentRow, order.id)
    if row is None:
        detail = "There is no such payment."
        raise errors.NotFound(detail)
    status = STEPS.get((row.status, step))
    if status is None:
        detail = "The payment is in another state."
        raise errors.Conflict(detail)
    return msgspec.structs.replace(row, status=status, updated_at=draft.now)


def _authorise(draft: Draft, order: Payment) -> Reply:
    row = _step(draft, order, "authorise")
    _post(draft, "payment.authorise", {_wallet(row.payer_id): row.amount_minor, CLEARING: -row.amount_minor})
    return _answer(draft, row, "authorised")


def _capture(draft: Draft, order: Payment) -> Reply:
    row = _step(draft, order, "capture")
    kept = fee(row.amount_minor)
    signed = {CLEARING: row.amount_minor, _wallet(row.payee_id): kept - row.amount_minor, FEES: -kept}
    _post(draft, "payment.capture", signed)
    return _answer(draft, row, "captured")


def _cancel(draft: Draft, order: Payment) -> Reply:
    before = draft.find(PaymentRow, order.id)
    row = _step(draft, order, "cancel")
    if before is not None and before.status == "authorised":
        _post(draft, "payment.cancel", {CLEARING: row.amount_minor, _wallet(row.payer_id): -row.amount_minor})
    return _answer(draft, row, "cancelled")


def _refund(draft: Draft, order: Payment) -> Reply:
    row = _step(draft, order, "refund")
    refunded = row.refunded_minor + order.amount_minor
    if refunded > row.amount_minor:
        remaining = row.amount_minor - row.refunded_minor
        raise errors.ReversalExceedsEntry(journal_entry_id=str(row.id), remaining_minor=remaining)
    _post(
        draft,
        "payment.refund",
        {_wallet(row.payee_id): order.amount_minor, _wallet(row.payer_id): -order.amount_minor},
    )
    status = "refunded" if refunded == row.amount_minor else row.status
    return _answer(draft, msgspec.structs.replace(row, refunded_minor=refunded, status=status), "refunded")


def _wallet(wallet_id: UUID) -> WalletKey:
    return WalletKey(wallet_id, CURRENCY)


def _post(draft: Draft, kind: Any, signed: dict[Any, int]) -> None:
    lines = [Line(draft.get_account(key).id, amount, CURRENCY) for key, amount in signed.items() if amount]
    draft.post(kind, lines)


def _answer(draft: Draft, row: PaymentRow, what: str, status: int = 200) -> Reply:
    draft.put(row)
    shown = Shown(id=str(row.id), status=row.status, refunded_minor=row.refunded_minor)
    draft.event(EventType(f"payment.{what}", Shown, "A payment."), str(row.id), shown)
    draft.audit(f"payment.{what}", str(row.id))
    return Reply(status, shown)


KINDS: Final = {
    name: Kind(f"payment.{name}", _keys, decide)
    for name, decide in (
        ("create", _create),
        ("authorise", _authorise),
        ("capture", _capture),
        ("cancel", _cancel),
        ("refund", _refund),
    )
}
"""The commands, by name; each takes a ``Payment``, of which a refund's amount is what is given back."""


_WRITE: Final = """
    INSERT INTO orders_paid AS p (id, status, payer_id, payee_id, amount_minor, refunded_minor, updated_at)
    SELECT n.id, n.status, n.payer_id, n.payee_id, n.amount_minor, n.refunded_minor, n.updated_at
    FROM unnest(
        $1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::timestamptz[]
    ) AS n (id, status, payer_id, payee_id, amount_minor, refunded_minor, updated_at)
    ON CONFLICT (id) DO UPDATE SET
        status = excluded.status, refunded_minor = excluded.refunded_minor, updated_at = excluded.updated_at
"""


class _Payments:
    row_type = PaymentRow
    cached = True

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return payments by id."""
        rows = await tx.fetch(
            """
            SELECT p.id, p.status, p.payer_id, p.payee_id, p.amount_minor, p.refunded_minor, p.updated_at
            FROM orders_paid AS p WHERE p.id = ANY($1::uuid[])
            """,
            list(keys),
        )
        return {row["id"]: PaymentRow(**dict(row)) for row in rows}

    def writes(self, rows: Sequence[PaymentRow], _before: Mapping[Hashable, Any]) -> list[Write]:
        """Return what inserts the new payments, and sets what has become of the others."""
        return [Write(_WRITE, _columns(rows))]


def _columns(rows: Sequence[PaymentRow]) -> tuple[list[Any], ...]:
    return (
        [row.id for row in rows],
        [row.status for row in rows],
        [row.payer_id for row in rows],
        [row.payee_id for row in rows],
        [row.amount_minor for row in rows],
        [row.refunded_minor for row in rows],
        [row.updated_at for row in rows],
    )


STORE: Final = _Payments()
"""How the engine loads and writes payments."""
