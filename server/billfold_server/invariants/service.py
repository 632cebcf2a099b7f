"""Checks a tenant's books against what must always hold."""

from collections.abc import Sequence

import msgspec
import structlog

from billfold_server.findings import named
from billfold_server.invariants.objects import OBJECTS
from billfold_server.invariants.queries import INVARIANTS
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, Tx

__all__ = ["STATEMENT_TIMEOUT_MS", "Breach", "breaches_in", "check", "with_wire_ids"]

log = structlog.get_logger(__name__)

STATEMENT_TIMEOUT_MS = 600_000
"""How long one of the queries may take, on the largest books."""
_LOCK_TIMEOUT_MS = 30_000
"""Whoever detaches a month holds its tables for some seconds at most."""


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold and doesn't.

    Attributes:
        invariant: The name of what must hold.
        object: What breaks it: an account, a place in the journal, a currency.
        fact: What was found.
    """

    invariant: str
    object: str
    fact: str


async def check(database: Database, tenant: TenantRef) -> list[Breach]:
    """Return every breach of the tenant's invariants, at most a hundred of each; nothing where all hold.

    Objects are named as the API names them, where they can be looked up. All queries see the books as of one moment, so
    commands that go on meanwhile make no false alarm.
    """
    async with database.tx(
        tenant, snapshot=True, lock_timeout_ms=_LOCK_TIMEOUT_MS, statement_timeout_ms=STATEMENT_TIMEOUT_MS
    ) as tx:
        # Before the transaction's snapshot is taken, so that no month is detached between what it shows and what is
        # there: its postings would be gone, and the balances that stand for them not yet seen. In the order in which
        # it is detached, or the two would wait for each other.
        await tx.execute("LOCK TABLE postings, journal_entries IN ACCESS SHARE MODE")
        breaches = await with_wire_ids(tx, await breaches_in(tx))
    for breach in breaches:
        log.error("invariant_broken", tenant=tenant.slug, invariant=breach.invariant, object=breach.object)
    return breaches


async def breaches_in(tx: Tx) -> list[Breach]:
    """Return every breach as an open transaction sees the books, what it has written itself included.

    Objects are named by the ids of the tables, which are those of an export.
    """
    # SQL tells nothing of what a value is missing from, such as a row without its key.
    return [
        Breach(invariant=name, object=row["object"] or "-", fact=row["fact"] or "a value is missing")
        for name, query in INVARIANTS.items()
        for row in await tx.fetch(query)
    ]


async def with_wire_ids(tx: Tx, breaches: Sequence[Breach]) -> list[Breach]:
    """Return breaches that name objects as the API does; one of which it has none keeps its id.

    Args:
        tx: A transaction of the tenant.
        breaches: What was found in its books.
    """
    shown = await named(tx, [(OBJECTS[each.invariant], each.object, each.fact) for each in breaches])
    return [
        Breach(invariant=breach.invariant, object=object_.lstrip(), fact=fact)
        for breach, (object_, fact) in zip(breaches, shown, strict=True)
    ]
