"""The SQL of the payments room on the readers' side. Lists are keyset pages, newest first."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from billfold_server.db.filters import Filter
from billfold_server.db.personal import counted
from billfold_server.payments.rows import PaymentRow, StepRow, all_steps
from billfold_server.payments.stores import PAYMENT_COLUMNS, STEP_COLUMNS, to_payment, to_step
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "count_open",
    "delete_texts",
    "find_answer",
    "find_consuming",
    "find_payment",
    "find_payments",
    "find_payments_of",
    "list_of",
    "list_payments",
    "list_steps",
    "list_texts",
    "list_waiting",
]

# S608 below: the texts are made of constants and numbered parameters only.


async def find_payment(tx: TenantTx, payment_id: UUID) -> PaymentRow | None:
    """Return a payment, or None."""
    row = await tx.fetchrow(f"SELECT {PAYMENT_COLUMNS} FROM payments AS p WHERE p.id = $1", payment_id)  # noqa: S608
    return None if row is None else to_payment(row)


async def find_payments(tx: TenantTx, payment_ids: Sequence[UUID]) -> list[PaymentRow]:
    """Return which of these ids are payments, in no order."""
    rows = await tx.fetch(
        f"SELECT {PAYMENT_COLUMNS} FROM payments AS p WHERE p.id = ANY($1::uuid[])",  # noqa: S608
        list(payment_ids),
    )
    return [to_payment(row) for row in rows]


async def find_consuming(tx: TenantTx, consent_ids: Sequence[UUID]) -> list[PaymentRow]:
    """Return the payments that have used consents up, one for each, in no order."""
    rows = await tx.fetch(
        f"SELECT {PAYMENT_COLUMNS} FROM payments AS p "  # noqa: S608
        "WHERE p.kind = 'domestic_payment' AND p.consent_id = ANY($1::uuid[])",
        list(consent_ids),
    )
    return [to_payment(row) for row in rows]


async def find_answer(tx: TenantTx, client_id: UUID, key: str) -> tuple[int, bytes] | None:
    """Return what a command under a key was answered, or None where there was none."""
    row = await tx.fetchrow(
        "SELECT status, body FROM idempotency_keys WHERE client_id = $1 AND key = $2", client_id, key
    )
    return None if row is None else (row["status"], row["body"])


_BY_ENTRIES: Final = f"""
SELECT {PAYMENT_COLUMNS} FROM payments AS p
WHERE p.journal_entry_id = ANY($1::uuid[]) OR (p.closing_entry_id = ANY($1::uuid[]) AND p.money = 'returned')
"""  # noqa: S608


async def find_payments_of(tx: TenantTx, entry_ids: Sequence[UUID]) -> dict[UUID, PaymentRow]:
    """Return payments by the journal entries that took their money out of wallets, or brought it back."""
    rows = [to_payment(row) for row in await tx.fetch(_BY_ENTRIES, list(entry_ids))]
    found = {row.journal_entry_id: row for row in rows}
    found |= {row.closing_entry_id: row for row in rows if row.closing_entry_id is not None and row.money == "returned"}
    return {entry_id: found[entry_id] for entry_id in entry_ids if entry_id in found}


async def list_payments(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None = None,
    wallet_id: UUID | None = None,
    consent_id: UUID | None = None,
    client_id: UUID | None = None,
    status: str | None = None,
    needs_attention: bool | None = None,
) -> list[PaymentRow]:
    """Return payments, newest first."""
    where = Filter()
    where.add("p.id < $", before)
    where.add("p.wallet_id = $", wallet_id)
    where.add("p.consent_id = $", consent_id)
    where.add("p.client_id = $", client_id)
    where.add_word("p.status", status)
    if needs_attention is not None:
        where.add("p.needs IS NOT NULL" if needs_attention else "p.needs IS NULL")
    rows = await tx.fetch(
        f"SELECT {PAYMENT_COLUMNS} FROM payments AS p WHERE {where} ORDER BY p.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [to_payment(row) for row in rows]


_BEGINNINGS: Final = (
    "SELECT id, to_wallet_id IS NOT NULL AS inside, created_at FROM payments WHERE id = ANY($1::uuid[])"
)
_STEPS: Final = f"""
SELECT {STEP_COLUMNS} FROM payment_steps AS s
WHERE s.payment_id = ANY($1::uuid[]) ORDER BY s.payment_id, s.number
"""  # noqa: S608


async def list_steps(tx: TenantTx, payment_ids: Sequence[UUID]) -> dict[UUID, list[StepRow]]:
    """Return what was heard of payments and done with them, by payment, each list in order."""
    payments = await tx.fetch(_BEGINNINGS, list(payment_ids))
    written: dict[UUID, list[StepRow]] = {payment_id: [] for payment_id in payment_ids}
    for row in map(to_step, await tx.fetch(_STEPS, list(payment_ids))):
        written[row.payment_id].append(row)
    return {
        row["id"]: all_steps(row["id"], inside=row["inside"], created_at=row["created_at"], written=written[row["id"]])
        for row in payments
    }


async def list_texts(tx: TenantTx, payment_ids: Sequence[UUID]) -> dict[UUID, bytes]:
    """Return what orders say of people, sealed, by payment; nothing where the payer was forgotten."""
    rows = await tx.fetch(
        "SELECT payment_id, sealed FROM payment_texts WHERE payment_id = ANY($1::uuid[])", list(payment_ids)
    )
    return {row["payment_id"]: row["sealed"] for row in rows}


async def list_waiting(tx: TenantTx, *, after: UUID | None, limit: int) -> list[tuple[UUID, int]]:
    """Return payments whose rail is still to be heard, each with its turn, the oldest first."""
    rows = await tx.fetch(
        "SELECT id, turn FROM payments WHERE money = 'under_way' AND (needs IS NULL OR needs = 'silence') "
        "AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2",
        after,
        limit,
    )
    return [(row["id"], row["turn"]) for row in rows]


async def count_open(tx: TenantTx, wallet_ids: Sequence[UUID]) -> int:
    """Return of how many payments out of wallets the money is under way, or waits for somebody to say where it goes."""
    sql = "SELECT count(*) FROM payments WHERE wallet_id = ANY($1::uuid[]) AND money IN ('under_way', 'suspense')"
    return int(await tx.fetchval(sql, list(wallet_ids)))


_OF: Final = f"""
SELECT {PAYMENT_COLUMNS} FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN LATERAL (
    SELECT {PAYMENT_COLUMNS} FROM payments AS p
    WHERE p.wallet_id = w.id AND p.id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
    ORDER BY p.id LIMIT $3
) AS p
ORDER BY p.id LIMIT $3
"""  # noqa: S608
_DELETE_TEXTS: Final = """
DELETE FROM payment_texts WHERE payment_id IN (SELECT id FROM payments WHERE wallet_id = ANY($1::uuid[]))
"""


async def list_of(tx: TenantTx, wallet_ids: Sequence[UUID], *, after: UUID | None, limit: int) -> list[PaymentRow]:
    """Return the payments out of wallets, the oldest first."""
    return [to_payment(row) for row in await tx.fetch(_OF, list(wallet_ids), after, limit)]


async def delete_texts(tx: TenantTx, wallet_ids: Sequence[UUID]) -> int:
    """Delete what the orders of payments out of wallets say of people, and return how many there were."""
    return counted(await tx.execute(_DELETE_TEXTS, list(wallet_ids)))
