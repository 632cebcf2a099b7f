"""Card sessions: a partner asks for a page, somebody enters a card there, and the partner gets its token.

The page encrypts in the browser, so what comes here is a JWE, as from any other client. A session takes one card: it is
locked while that is written, and whoever comes second finds it completed.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import errors, ids
from billfold.contract.card_sessions import CardSession, CardSessionStatus, CreateCardSession
from billfold.contract.events import CARD_SESSION_COMPLETED, CARD_SESSION_CREATED, CardSessionEventData, EventType
from billfold.contract.tokens import CreateVaultToken, VaultTokenCreated, VaultTokenKind
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.outbox import NewEvent, new_event
from billfold_server.db.personal import counted
from billfold_server.http import idempotency
from billfold_server.http.routing import Call, Reply
from billfold_server.parties import service as parties
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import rules, taking, telling, vault

__all__ = ["complete", "create", "find", "forget", "get", "list_of_party", "sweep"]

_KEPT: Final = timedelta(days=30)
"""How long it can still be looked up after its end."""

_COLUMNS: Final = """id, client_id, party_id, return_url, embed_origins, single_use, metadata::text AS metadata,
    vault_token_id, created_at, expires_at, completed_at"""
_INSERT: Final = """
INSERT INTO card_sessions (id, client_id, party_id, return_url, embed_origins, single_use, metadata, created_at,
    expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9)
"""
_FIND: Final = f"SELECT {_COLUMNS} FROM card_sessions WHERE id = $1"  # noqa: S608 - No value is in it.
_LOCK: Final = f"{_FIND} FOR UPDATE"
_OF_PARTY: Final = f"""
SELECT {_COLUMNS} FROM card_sessions
WHERE party_id = $1 AND id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT $3
"""  # noqa: S608 - No value is in it.
_FORGET: Final = "DELETE FROM card_sessions WHERE party_id = $1"
_COMPLETE: Final = "UPDATE card_sessions SET vault_token_id = $2, completed_at = $3 WHERE id = $1"
_SWEEP: Final = """
DELETE FROM card_sessions WHERE id = ANY (ARRAY (
    SELECT id FROM card_sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
"""


def _url(call: Call, session_id: str, *, frame: bool = False) -> str:
    return f"{call.base_url}/cards/{session_id}{'/frame' if frame else ''}"


def _response(call: Call, row: asyncpg.Record, now: datetime) -> CardSession:
    wire_id = ids.encode(Prefix.CARD_SESSION, row["id"])
    status = CardSessionStatus.OPEN if row["expires_at"] > now else CardSessionStatus.EXPIRED
    if row["completed_at"] is not None:
        status = CardSessionStatus.COMPLETED
    token_id = row["vault_token_id"]
    return CardSession(
        id=wire_id,
        status=status,
        url=_url(call, wire_id),
        frame_url=_url(call, wire_id, frame=True) if row["embed_origins"] else None,
        party_id=None if row["party_id"] is None else ids.encode(Prefix.PARTY, row["party_id"]),
        return_url=row["return_url"],
        embed_origins=row["embed_origins"],
        single_use=row["single_use"],
        metadata=msgspec.json.decode(row["metadata"], type=dict[str, str]),
        vault_token_id=None if token_id is None else ids.encode(Prefix.VAULT_TOKEN, token_id),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        completed_at=row["completed_at"],
    )


async def create(call: Call, body: CreateCardSession) -> Reply[CardSession]:
    """Open a session.

    Raises:
        errors.NotFound: There is no such party.
        errors.CardDataNotAllowed: The metadata or the address holds what looks like a card's number.
    """
    rules.refuse_card_numbers(
        {"metadata": " \n ".join([*body.metadata, *body.metadata.values()]), "return_url": body.return_url}
    )
    party_id = None if body.party_id is None else ids.decode(Prefix.PARTY, body.party_id)

    async def work(tx: TenantTx) -> CardSession:
        if party_id is not None and not await parties.hold_party(tx, party_id):
            raise errors.NotFound("there is no such party", param="party_id")
        # Somebody sits before a browser, so it is the real time that runs out.
        now = call.services.clock.now()
        session_id = vault.random_id()
        await tx.execute(
            _INSERT,
            session_id,
            call.caller.client_id,
            party_id,
            body.return_url,
            list(dict.fromkeys(body.embed_origins)),
            body.single_use,
            msgspec.json.encode(body.metadata).decode(),
            now,
            now + timedelta(seconds=body.expires_in_s),
        )
        row = await tx.fetchrow(_FIND, session_id)
        assert row is not None
        made = _response(call, row, now)
        record = audit.new_record(
            call.caller, CARD_SESSION_CREATED.name, made.id, facts={"embed_origins": made.embed_origins}
        )
        await telling.tell(tx, records=[record], events=[_event(CARD_SESSION_CREATED, made, now)])
        return made

    return await idempotency.once(call, work, status=201)


async def get(call: Call, tx: TenantTx, session_id: UUID) -> CardSession:
    """Return a session.

    Raises:
        errors.NotFound: The tenant has none with this id.
    """
    found = await find(call, tx, session_id)
    if found is None:
        raise errors.NotFound("there is no such card session", param="card_session_id")
    return found


async def find(call: Call, tx: TenantTx, session_id: UUID) -> CardSession | None:
    """Return a session, or None."""
    row = await tx.fetchrow(_FIND, session_id)
    return None if row is None else _response(call, row, call.services.clock.now())


async def complete(call: Call, session_id: UUID, jwe: str) -> CardSession | None:
    """Take the card of a session in, and return the session; None where there is none that is open.

    Raises:
        errors.ProblemError: The card can't be taken; the session stays open.
        errors.KeysUnavailable: The decryptor or the keys can't be reached.
    """
    async with call.tx() as tx:
        session = await find(call, tx, session_id)
    if session is None or session.status is not CardSessionStatus.OPEN:
        return None
    item = CreateVaultToken(
        kind=VaultTokenKind.CARD,
        jwe=jwe,
        party_id=session.party_id,
        single_use=session.single_use,
        metadata=session.metadata,
    )
    (verdict,) = await taking.seal(call, [item])
    if isinstance(verdict, errors.ProblemError):
        raise verdict
    async with call.tx() as tx:
        if session.party_id is not None:
            # Before the session, for who erases the party has it before they delete the session.
            await parties.hold_party(tx, ids.decode(Prefix.PARTY, session.party_id))
        row = await tx.fetchrow(_LOCK, session_id)
        now = call.services.clock.now()
        if row is None or row["completed_at"] is not None or row["expires_at"] <= now:
            return None
        caller = Caller(actor=session.id, client_id=row["client_id"], request_id=call.request_id)
        (kept,) = await taking.keep(tx, caller, [verdict], fingerprint=False)
        if not isinstance(kept, VaultTokenCreated):
            raise kept
        await tx.execute(_COMPLETE, session_id, ids.decode(Prefix.VAULT_TOKEN, kept.id), now)
        done = await find(call, tx, session_id)
        assert done is not None
        record = audit.new_record(caller, CARD_SESSION_COMPLETED.name, done.id, facts={"vault_token_id": kept.id})
        await telling.tell(tx, records=[record], events=[_event(CARD_SESSION_COMPLETED, done, now)])
        return done


def _event(kind: EventType[CardSessionEventData], session: CardSession, now: datetime) -> NewEvent:
    data = CardSessionEventData(id=session.id, vault_token_id=session.vault_token_id, party_id=session.party_id)
    return new_event(kind, session.id, data, now)


async def list_of_party(
    call: Call, party_id: UUID, *, after: UUID | None, limit: int
) -> list[tuple[UUID, CardSession]]:
    """Return a party's sessions behind an id, in the order of their ids."""
    async with call.tx() as tx:
        rows = await tx.fetch(_OF_PARTY, party_id, after, limit)
    now = call.services.clock.now()
    return [(row["id"], _response(call, row, now)) for row in rows]


async def forget(tx: TenantTx, party_id: UUID) -> int:
    """Delete a party's sessions, and return how many there were."""
    return counted(await tx.execute(_FORGET, party_id))


async def sweep(tx: TenantTx, now: datetime, limit: int) -> int:
    """Delete sessions that ended long ago, and return how many."""
    return counted(await tx.execute(_SWEEP, now - _KEPT, limit))
