"""The SQL of partners' sandboxes."""

from typing import Final
from uuid import UUID

from billfold.contract.partner_sandboxes import PartnerSandboxState, PartnerSandboxStep
from billfold_server.sandbox.owned_rows import COLUMNS, OwnedSandbox, to_owned
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = [
    "change",
    "count",
    "delete",
    "find",
    "insert",
    "list_page",
    "lock",
    "owning_partners",
    "set_step",
    "unfinished",
]

# S608 below: the texts are made of this module's constants and numbered parameters only.

_NAMES: Final = OwnedSandbox.__struct_fields__
_BY_ID: Final = f"SELECT {COLUMNS} FROM partner_sandboxes WHERE id = $1"  # noqa: S608
_INSERT: Final = f"""
INSERT INTO partner_sandboxes ({COLUMNS}) VALUES ({", ".join(f"${n}" for n in range(1, len(_NAMES) + 1))})
"""  # noqa: S608
_PAGE: Final = f"""
SELECT {COLUMNS} FROM partner_sandboxes WHERE partner_id = $1 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3
"""  # noqa: S608
_UNFINISHED: Final = f"SELECT {COLUMNS} FROM partner_sandboxes WHERE state <> $1 ORDER BY id LIMIT $2"  # noqa: S608
_CHANGE: Final = """
UPDATE partner_sandboxes SET state = $2, step = $3, seeded = $4, seed = $5, version = $6, updated_at = $7 WHERE id = $1
"""
_MOST: Final = 10_000


async def find(tx: TenantTx, sandbox_id: UUID) -> OwnedSandbox | None:
    """Return a sandbox, or None."""
    row = await tx.fetchrow(_BY_ID, sandbox_id)
    return None if row is None else to_owned(row)


async def lock(tx: TenantTx, sandbox_id: UUID) -> OwnedSandbox | None:
    """Return a sandbox and keep others from it until the transaction ends, or None."""
    row = await tx.fetchrow(f"{_BY_ID} FOR UPDATE", sandbox_id)
    return None if row is None else to_owned(row)


async def list_page(tx: TenantTx, partner_id: UUID, *, limit: int, before: UUID | None) -> list[OwnedSandbox]:
    """Return a partner's sandboxes, the newest first."""
    return [to_owned(row) for row in await tx.fetch(_PAGE, partner_id, before, limit)]


async def count(tx: TenantTx, partner_id: UUID) -> int:
    """Return how many sandboxes a partner has."""
    found: int = await tx.fetchval("SELECT count(*) FROM partner_sandboxes WHERE partner_id = $1", partner_id)
    return found


async def unfinished(tx: Tx) -> list[OwnedSandbox]:
    """Return the sandboxes of which something is asked that isn't done."""
    return [to_owned(row) for row in await tx.fetch(_UNFINISHED, PartnerSandboxState.READY.value, _MOST)]


async def owning_partners(tx: Tx) -> list[UUID]:
    """Return the partners that have a sandbox."""
    rows = await tx.fetch("SELECT DISTINCT partner_id FROM partner_sandboxes ORDER BY partner_id")
    return [row["partner_id"] for row in rows]


async def insert(tx: TenantTx, new: OwnedSandbox) -> None:
    """Write a new sandbox.

    Raises:
        asyncpg.UniqueViolationError: Another one of the partner has the name.
    """
    values = {name: getattr(new, name) for name in _NAMES}
    await tx.execute(_INSERT, *{**values, "state": new.state.value, "step": new.step.value}.values())


async def change(tx: TenantTx, changed: OwnedSandbox) -> None:
    """Write what may change of a sandbox."""
    await tx.execute(
        _CHANGE,
        changed.id,
        changed.state.value,
        changed.step.value,
        changed.seeded,
        changed.seed,
        changed.version,
        changed.updated_at,
    )


async def set_step(tx: TenantTx, sandbox_id: UUID, step: PartnerSandboxStep) -> None:
    """Write down how far it is."""
    await tx.execute("UPDATE partner_sandboxes SET step = $2 WHERE id = $1", sandbox_id, step.value)


async def delete(tx: TenantTx, sandbox_id: UUID) -> None:
    """Forget a sandbox."""
    await tx.execute("DELETE FROM partner_sandboxes WHERE id = $1", sandbox_id)
