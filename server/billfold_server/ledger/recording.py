"""Whose wallets and accounts are that were opened before the chain said so, recorded as they are found (ADR 61).

It is done once for a tenant that is older than these records, by an operator. What is recorded so says ``found`` rather
than ``opened``: the chain vouches for it from that day on, and for nothing before.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import chain
from billfold_server.invariants.service import check
from billfold_server.ledger.books import Books, Draft
from billfold_server.ledger.engine import Engine
from billfold_server.ledger.export import verify_ledger
from billfold_server.ledger.protocol import Keys, Kind, Reply
from billfold_server.ledger.rows import AccountRow
from billfold_server.ledger.terms import EraRow, OwnerRow, ToldRow
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database

__all__ = ["BEGIN_ERA", "RECORD_FOUND", "Found", "NewEra", "NotRecordedError", "Recorded", "record_terms"]

_OK: Final = 200
_BATCH: Final = 500
_FIRST: Final = UUID(int=0)


class Found(msgspec.Struct, frozen=True):
    """Wallets and accounts that seem to have no terms."""

    wallet_ids: tuple[UUID, ...]
    account_ids: tuple[UUID, ...]


class NewEra(msgspec.Struct, frozen=True):
    """An order to begin the era in which everything has terms.

    Attributes:
        reason: Why, for the audit.
        recorded: How many wallets and accounts were recorded for it.
    """

    reason: str
    recorded: int


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded."""

    wallets: int
    accounts: int


class NotRecordedError(Exception):
    """Nothing was recorded, since the books aren't whole.

    Attributes:
        fact: What was found, as half a sentence.
    """

    def __init__(self, fact: str) -> None:
        super().__init__(fact)
        self.fact = fact


def _found_keys(_books: Books, body: Found) -> Keys:
    return {
        OwnerRow: body.wallet_ids,
        AccountRow: body.account_ids,
        ToldRow: (*body.wallet_ids, *body.account_ids),
    }


def _record_found(draft: Draft, body: Found) -> Reply:
    """Record what has no terms yet; what has got some meanwhile is let be, so it may be asked for twice."""
    for wallet_id in body.wallet_ids:
        owner = draft.find(OwnerRow, wallet_id)
        if owner is not None and draft.find(ToldRow, wallet_id) is None:
            draft.record_wallet(
                "found", wallet_id, party_id=owner.party_id, status=owner.status, opened_at=owner.created_at
            )
    for account_id in body.account_ids:
        account = draft.find(AccountRow, account_id)
        if account is not None and draft.find(ToldRow, account_id) is None:
            draft.record_account("found", account)
    return Reply(_OK, None)


def _begin_era(draft: Draft, body: NewEra) -> Reply:
    if draft.find(EraRow, chain.ERA) is None:
        draft.put(EraRow(number=chain.ERA, recorded_at=draft.record()))
        draft.audit("ledger.terms_recorded", "ledger", reason=body.reason, facts={"recorded": body.recorded})
    return Reply(_OK, None)


RECORD_FOUND: Final[Kind[Found]] = Kind("ledger.record_found", _found_keys, _record_found)
BEGIN_ERA: Final[Kind[NewEra]] = Kind("ledger.begin_era", lambda _books, _body: {EraRow: [chain.ERA]}, _begin_era)

_UNTOLD: Final = {
    "wallets": """
        SELECT w.id FROM wallets AS w
        WHERE w.id > $1 AND NOT EXISTS (SELECT FROM wallet_terms AS t WHERE t.wallet_id = w.id)
        ORDER BY w.id LIMIT $2
    """,
    "accounts": """
        SELECT a.id FROM accounts AS a
        WHERE a.id > $1 AND NOT EXISTS (SELECT FROM account_terms AS t WHERE t.account_id = a.id)
        ORDER BY a.id LIMIT $2
    """,
}


async def record_terms(
    database: Database, engine: Engine, tenant: TenantRef, *, reason: str, caller: Caller
) -> Recorded:
    """Record all wallets and accounts of a tenant that have no terms, and begin the era in which all have.

    Others go on meanwhile: what they open or change gets its terms by itself. An interrupted one is done again.

    Args:
        database: Where the tenant is.
        engine: The ledger's engine.
        tenant: Whose ledger it is.
        reason: Why, for the audit.
        caller: Who does it.

    Raises:
        NotRecordedError: The books aren't whole, so that what is found in them may not be vouched for.
        ProblemError: The engine couldn't take or keep it.
    """
    verification = await verify_ledger(database, tenant)
    if not verification.ok:
        finding = verification.findings[0]
        raise NotRecordedError(f"{finding.record.replace('_', ' ')} {finding.id or ''} is damaged: {finding.fact}")
    if breaches := await check(database, tenant):
        raise NotRecordedError(f"{breaches[0].invariant} doesn't hold of {breaches[0].object}")
    counted = {"wallets": 0, "accounts": 0}
    for table in _UNTOLD:
        last = _FIRST
        while page := await _untold(database, tenant, table, last):
            last = page[-1]
            found = Found(tuple(page), ()) if table == "wallets" else Found((), tuple(page))
            await engine.submit(tenant, caller, RECORD_FOUND, found)
            counted[table] += len(page)
    async with database.tx(tenant) as tx:
        is_new = not await tx.fetchval("SELECT era = $1 AND link = 0 FROM ledger_head WHERE id = 1", chain.ERA)
    if is_new:
        await engine.submit(tenant, caller, BEGIN_ERA, NewEra(reason, sum(counted.values())))
    return Recorded(**counted)


async def _untold(database: Database, tenant: TenantRef, table: str, after: UUID) -> Sequence[UUID]:
    async with database.tx(tenant) as tx:
        return [row["id"] for row in await tx.fetch(_UNTOLD[table], after, _BATCH)]
