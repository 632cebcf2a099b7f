"""The SQL of the payments room on the engine's side: what a batch loads, and what it writes as sets."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import asyncpg
import msgspec

from billfold.contract.payments import PaymentBreak, PaymentStatus
from billfold_server.db.sets import Columns, Write
from billfold_server.payments.rows import OfEntryRow, PaymentRow, ReturnRow, StepRow, TextsRow
from billfold_server.payments.spending_store import SPENDING_STORE
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["PAYMENT_COLUMNS", "STEP_COLUMNS", "STORES", "to_payment", "to_step"]

PAYMENT_COLUMNS: Final = ", ".join(f"p.{name}" for name in PaymentRow.__struct_fields__)
STEP_COLUMNS: Final = ", ".join(f"s.{name}" for name in StepRow.__struct_fields__)


def to_payment(row: asyncpg.Record) -> PaymentRow:
    """Return the payment that a row of ``PAYMENT_COLUMNS`` holds."""
    facts = dict(row)
    facts["status"] = PaymentStatus(facts["status"])
    facts["needs"] = None if facts["needs"] is None else PaymentBreak(facts["needs"])
    facts["notices"] = tuple(facts["notices"])
    return PaymentRow(**facts)


def to_step(row: asyncpg.Record) -> StepRow:
    """Return the step that a row of ``STEP_COLUMNS`` holds."""
    facts = dict(row)
    facts["status"] = PaymentStatus(facts["status"])
    return StepRow(**facts)


_TYPES: Final = {
    "id": "uuid",
    "kind": "text",
    "consent_id": "uuid",
    "client_id": "uuid",
    "party_id": "uuid",
    "wallet_id": "uuid",
    "to_wallet_id": "uuid",
    "rail": "text",
    "rail_reference": "text",
    "amount_minor": "bigint",
    "currency": "text",
    "status": "text",
    "reason": "text",
    "needs": "text",
    "money": "text",
    "journal_entry_id": "uuid",
    "closing_entry_id": "uuid",
    "returned_minor": "bigint",
    "steps": "integer",
    "turn": "integer",
    "silences": "integer",
    # As JSON, because an array of arrays can't be unnested row by row.
    "notices": "text",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
}
_CHANGING: Final = (
    "rail_reference",
    "status",
    "reason",
    "needs",
    "money",
    "closing_entry_id",
    "returned_minor",
    "steps",
    "turn",
    "silences",
    "notices",
    "updated_at",
)
_PAYMENTS: Final = Columns(**_TYPES)


def _value(name: str) -> str:
    value = _PAYMENTS.value[name]
    return f"ARRAY(SELECT jsonb_array_elements_text(({value})::jsonb))" if name == "notices" else value


_UPSERT_PAYMENTS: Final = (
    f"INSERT INTO payments AS p ({_PAYMENTS.names}) "  # noqa: S608 - constants
    f"SELECT {', '.join(map(_value, _TYPES))} FROM {_PAYMENTS.rows} "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _CHANGING)}"
)


_LATER: Final = frozenset(
    {"rail_reference", "reason", "needs", "closing_entry_id", "returned_minor", "turn", "silences", "notices"}
)
"""What a payment doesn't have before something was heard of it."""
_FRESH: Final = tuple(name for name in _TYPES if name not in _LATER)
_NEW: Final = Columns(**{name: _TYPES[name] for name in _FRESH})
_INSERT_PAYMENTS: Final = (
    f"INSERT INTO payments ({_NEW.names}, turn, silences, notices) "  # noqa: S608 - constants
    f"SELECT {_NEW.values}, 0, 0, '{{}}' FROM {_NEW.rows}"
)


def _is_fresh(row: PaymentRow) -> bool:
    heard = row.turn or row.silences or row.notices or row.reason or row.rail_reference
    return not (heard or row.needs or row.closing_entry_id)


class _Payments:
    row_type = PaymentRow
    cached = True

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return payments by id."""
        rows = await tx.fetch(
            f"SELECT {PAYMENT_COLUMNS} FROM payments AS p WHERE p.id = ANY($1::uuid[])",  # noqa: S608 - constant
            list(keys),
        )
        return {payment.id: payment for payment in map(to_payment, rows)}

    def writes(self, rows: Sequence[PaymentRow], before: Mapping[Hashable, PaymentRow | None]) -> list[Write]:
        """Insert the new payments, and set what has become of the others."""
        fresh: list[PaymentRow] = []
        others: list[PaymentRow] = []
        for row in rows:
            (fresh if before[row.id] is None and _is_fresh(row) else others).append(row)
        writes = []
        if fresh:
            writes.append(Write(_INSERT_PAYMENTS, _NEW.arguments(*_values(fresh, _FRESH))))
        if others:
            writes.append(Write(_UPSERT_PAYMENTS, _PAYMENTS.arguments(*_values(others, _TYPES))))
        return writes


def _values(rows: Sequence[PaymentRow] | Sequence[ReturnRow], names: Iterable[str]) -> list[list[Any]]:
    return [[_plain(value) for value in map(attrgetter(name), rows)] for name in names]


def _plain(value: Any) -> Any:
    """Return a value as a column of a set has it."""
    kind = type(value)
    if kind is PaymentStatus or kind is PaymentBreak:
        return value.value
    return msgspec.json.encode(value).decode() if kind is tuple else value


_STEPS: Final = Columns(
    payment_id="uuid",
    number="integer",
    notice_id="text",
    word="text",
    effect="text",
    status="text",
    reason="text",
    said_at="timestamptz",
    recorded_at="timestamptz",
)
_INSERT_STEPS: Final = f"INSERT INTO payment_steps ({_STEPS.names}) SELECT {_STEPS.values} FROM {_STEPS.rows}"  # noqa: S608 - constants


class _Steps:
    row_type = StepRow

    def writes(self, rows: Sequence[StepRow], _before: Mapping[Hashable, StepRow | None]) -> list[Write]:
        """Add the new ones; none is ever changed."""
        columns = [[_plain(getattr(row, name)) for row in rows] for name in StepRow.__struct_fields__]
        return [Write(_INSERT_STEPS, _STEPS.arguments(*columns))]


_TEXTS: Final = Columns(payment_id="uuid", sealed="bytea")
_INSERT_TEXTS: Final = f"INSERT INTO payment_texts ({_TEXTS.names}) SELECT {_TEXTS.values} FROM {_TEXTS.rows}"  # noqa: S608 - constants


class _Texts:
    row_type = TextsRow

    def writes(self, rows: Sequence[TextsRow], _before: Mapping[Hashable, TextsRow | None]) -> list[Write]:
        """Add the new ones; none is ever changed."""
        columns: list[list[Any]] = [[row.payment_id for row in rows], [row.sealed for row in rows]]
        return [Write(_INSERT_TEXTS, _TEXTS.arguments(*columns))]


_RETURNS: Final = Columns(journal_entry_id="uuid", payment_id="uuid", amount_minor="bigint")
_INSERT_RETURNS: Final = f"INSERT INTO payment_returns ({_RETURNS.names}) SELECT {_RETURNS.values} FROM {_RETURNS.rows}"  # noqa: S608 - constants


class _Returns:
    row_type = ReturnRow
    # It is seldom asked for.
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return of which payments these journal entries have brought money back."""
        rows = await tx.fetch(
            "SELECT r.journal_entry_id, r.payment_id, r.amount_minor FROM payment_returns AS r "
            "WHERE r.journal_entry_id = ANY($1::uuid[])",
            list(keys),
        )
        return {row["journal_entry_id"]: ReturnRow(*row) for row in rows}

    def writes(self, rows: Sequence[ReturnRow], _before: Mapping[Hashable, ReturnRow | None]) -> list[Write]:
        """Add the new ones; none is ever changed."""
        return [Write(_INSERT_RETURNS, _RETURNS.arguments(*_values(rows, ReturnRow.__struct_fields__)))]


class _OfEntries:
    row_type = OfEntryRow
    # It is seldom asked for.
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return which payments were begun by these journal entries."""
        rows = await tx.fetch(
            "SELECT p.journal_entry_id, p.id FROM payments AS p WHERE p.journal_entry_id = ANY($1::uuid[])", list(keys)
        )
        return {row["journal_entry_id"]: OfEntryRow(*row) for row in rows}


STORES: Final = (_Payments(), _OfEntries(), _Steps(), _Texts(), _Returns(), SPENDING_STORE)
"""The rows of this room, as the engine loads and writes them."""
