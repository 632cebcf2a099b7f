"""The SQL of what has been paid under consents, on the engine's side."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from billfold_server.db.sets import Columns, Write
from billfold_server.payments.control_parameters import Slot
from billfold_server.payments.spending import SpentKey, SpentRow
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["SPENDING_STORE"]

_LOAD: Final = """
    SELECT s.consent_id, s.period_type, s.period_alignment, s.starts_on, s.currency, s.ends_before, s.limit_minor,
        s.spent_minor, s.payments, s.updated_at
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::date[], $5::text[])
        AS wanted (consent_id, period_type, period_alignment, starts_on, currency)
    JOIN vrp_periods AS s ON s.consent_id = wanted.consent_id AND s.period_type = wanted.period_type
        AND s.period_alignment = wanted.period_alignment AND s.starts_on = wanted.starts_on
        AND s.currency = wanted.currency
"""
_ROW: Final = Columns(
    consent_id="uuid",
    period_type="text",
    period_alignment="text",
    starts_on="text",
    currency="text",
    ends_before="text",
    limit_minor="bigint",
    spent_minor="bigint",
    payments="bigint",
    updated_at="timestamptz",
)
_DATES: Final = frozenset({"starts_on", "ends_before"})
_VALUES: Final = ", ".join(f"({value})::date" if name in _DATES else value for name, value in _ROW.value.items())
_UPSERT: Final = f"""
    INSERT INTO vrp_periods AS s ({_ROW.names}) SELECT {_VALUES} FROM {_ROW.rows}
    ON CONFLICT (consent_id, period_type, period_alignment, starts_on, currency) DO UPDATE SET
        spent_minor = excluded.spent_minor, payments = excluded.payments, updated_at = excluded.updated_at
"""  # noqa: S608 - constants


class _Spending:
    # Commands alone change it.
    row_type = SpentRow
    cached = True

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return what has been paid within these periods; nothing of those in which nothing was."""
        wanted = [key for key in keys if isinstance(key, SpentKey)]
        slots = [key.slot for key in wanted]
        rows = await tx.fetch(
            _LOAD,
            [key.consent_id for key in wanted],
            [slot.period_type for slot in slots],
            [slot.period_alignment for slot in slots],
            [slot.starts_on for slot in slots],
            [slot.currency for slot in slots],
        )
        return {row.key: row for row in map(_to_row, rows)}

    def writes(self, rows: Sequence[SpentRow], _before: Mapping[Hashable, SpentRow | None]) -> list[Write]:
        """Write how much has been paid within the periods."""
        arguments = _ROW.arguments(
            [row.consent_id for row in rows],
            [row.slot.period_type for row in rows],
            [row.slot.period_alignment for row in rows],
            [row.slot.starts_on.isoformat() for row in rows],
            [row.slot.currency for row in rows],
            [row.ends_before.isoformat() for row in rows],
            [row.limit_minor for row in rows],
            [row.spent_minor for row in rows],
            [row.payments for row in rows],
            [row.updated_at for row in rows],
        )
        return [Write(_UPSERT, arguments)]


def _to_row(row: Any) -> SpentRow:
    facts = dict(row)
    slot = Slot(**{name: facts.pop(name) for name in Slot._fields})
    return SpentRow(slot=slot, **facts)


SPENDING_STORE: Final = _Spending()
"""What has been paid under consents, as the engine loads and writes it."""
