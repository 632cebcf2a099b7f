"""The SQL of consents on the engine's side: what a batch of commands loads, locked, and what it writes as sets."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from billfold_server.consents.queries import BLOCKED, hour_of
from billfold_server.consents.rows import COLUMNS, Consent, Step, read
from billfold_server.consents.standing import ConsentRow, UseRow
from billfold_server.db.sets import Columns, Write, integers, uuids
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["STORES", "step_writes", "update_writes"]

# In the order of their ids, as everybody locks them who locks more than one.
_LOAD: Final = f"""
SELECT {COLUMNS},
    {BLOCKED.format(client="consents.client_id")} AS blocked
FROM consents WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE OF consents
"""  # noqa: S608 - constants

# Waiting here for whoever is just ending one, a batch holds nothing else that they may want. They are found by their
# ids alone and in that order, whatever the planner makes of what it is joined with.
_SAME: Final = f"""
$3::bigint = (
    SELECT count(*) FROM (
        SELECT k.id, k.version FROM consents AS k
        WHERE k.id = ANY($1::text::uuid[])
            AND NOT {BLOCKED.format(client="k.client_id")}
        ORDER BY k.id FOR UPDATE OF k
    ) AS held
    JOIN unnest($1::text::uuid[], $2::text::integer[]) AS n (id, version)
        ON n.id = held.id AND n.version = held.version
)
"""  # noqa: S608 - constants

_CONSENTS: Final = Columns(
    id="uuid",
    status="text",
    status_reason="text",
    ended_by="text",
    status_updated_at="timestamptz",
    ended_at="timestamptz",
    version="integer",
)
_UPDATE: Final = f"""
UPDATE consents AS c SET {", ".join(f"{name} = {_CONSENTS.value[name]}" for name in list(_CONSENTS.value)[1:])}
FROM {_CONSENTS.rows} WHERE c.id = n.id
"""  # noqa: S608 - constants

_STEPS: Final = Columns(
    consent_id="uuid",
    id="uuid",
    event="text",
    from_status="text",
    to_status="text",
    done_by="text",
    actor="text",
    reason="text",
    request_id="text",
    happened_at="timestamptz",
    last_at="timestamptz",
    times="bigint",
)
_INSERT_STEPS: Final = f"INSERT INTO consent_history ({_STEPS.names}) SELECT {_STEPS.values} FROM {_STEPS.rows}"  # noqa: S608 - constants


class _Consents:
    # Customers end them by transactions of their own, so what was read before says nothing of now.
    row_type = ConsentRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return consents by id, and keep others from changing them until the batch has ended."""
        rows = await tx.fetch(_LOAD, list(keys))
        return {row["id"]: ConsentRow(consent=read(row), blocked=row["blocked"]) for row in rows}

    def guard(self, rows: Sequence[ConsentRow]) -> Write:
        """Return a condition that holds where none has changed and nobody is blocked.

        It keeps others from changing them until the batch has ended. Who is blocked meanwhile is so from the next on.
        """
        consents = sorted((row.consent for row in rows), key=attrgetter("id"))
        versions = integers([each.version for each in consents])
        return Write(_SAME, (uuids([each.id for each in consents]), versions, len(consents)))

    def writes(self, rows: Sequence[ConsentRow], _before: Mapping[Hashable, ConsentRow | None]) -> list[Write]:
        """Set what may change of consents by commands, and add to their history."""
        steps = [(row.consent.id, row.step) for row in rows if row.step is not None]
        return update_writes([row.consent for row in rows]) + (step_writes(steps) if steps else [])


def update_writes(consents: Sequence[Consent]) -> list[Write]:
    """Return what sets of consents how they stand and have ended."""
    columns: list[list[Any]] = [[getattr(each, name) for each in consents] for name in _CONSENTS.value]
    return [Write(_UPDATE, _CONSENTS.arguments(*columns))]


def step_writes(steps: Sequence[tuple[UUID, Step]]) -> list[Write]:
    """Return what adds steps to the histories of consents."""
    columns: list[list[Any]] = [[consent_id for consent_id, _ in steps]]
    columns += [[getattr(step, name) for _, step in steps] for name in Step.__struct_fields__]
    return [Write(_INSERT_STEPS, _STEPS.arguments(*columns))]


_USES: Final = Columns(consent_id="uuid", hour="timestamptz", operation="text", times="bigint", last_at="timestamptz")
_COUNT: Final = f"""
INSERT INTO consent_uses AS u ({_USES.names}) SELECT {_USES.values} FROM {_USES.rows}
ON CONFLICT (consent_id, hour, operation)
DO UPDATE SET times = u.times + excluded.times, last_at = greatest(u.last_at, excluded.last_at)
"""  # noqa: S608 - constants


class _Uses:
    row_type = UseRow

    def writes(self, rows: Sequence[UseRow], _before: Mapping[Hashable, UseRow | None]) -> list[Write]:
        """Add to what consents were used for: one row for all of a consent's hour."""
        counts: dict[tuple[UUID, datetime, str], tuple[int, datetime]] = {}
        for row in rows:
            key = (row.consent_id, hour_of(row.at), row.operation)
            times, last_at = counts.get(key, (0, row.at))
            counts[key] = (times + 1, max(last_at, row.at))
        keys = sorted(counts)
        columns: list[list[Any]] = [list(each) for each in zip(*keys, strict=True)]
        columns += [list(each) for each in zip(*(counts[key] for key in keys), strict=True)]
        return [Write(_COUNT, _USES.arguments(*columns))]


STORES: Final = (_Consents(), _Uses())
"""Consents and what they are used for, as the engine loads and writes them."""
