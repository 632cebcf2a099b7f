"""Who asks for something that gives or takes authority, held beside those whom it is about until it is done.

After "disable X" was answered, nothing that X has asked for may come to give anybody authority, and of two who shut
each other out one must be left. A look at who asks isn't enough for that, for they may be shut out between the look and
the commit. So whoever gives or takes authority first locks the rows on which their own rests, so that these stay as
they are, and those that may change, so that nobody else has them. Whoever comes second waits, and finds what the first
has left (ADR 71).

All do so in one order, before they lock anything else but a key of idempotency: parties, partner organisations,
clients, users, a session, a grant, and of each kind by id. So nobody waits for somebody who waits for them. What ends
with a client or a user (sessions, consents and then grants) is locked after them.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.http.entering import GRANT_STANDS
from billfold_server.identity.clients import rows
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.rules import OPENID_SCOPES
from billfold_server.parties import service as parties
from billfold_server.partners import service as partners
from billfold_server.people import service as people
from billfold_server.tenancy.context import COMMAND_LINE, Caller
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = ["hold"]

_STANDS: Final = f"{GRANT_STANDS.format(grant='$1', digest='$2')} FOR SHARE OF g"
_NO_CLIENT: Final = COMMAND_LINE.client_id


async def hold(tx: Tx, caller: Caller, *, about: Collection[str] = (), session_id: UUID | None = None) -> None:
    """Keep who asks as they are, and others from those whom it is about, until the transaction ends.

    It is the first thing that a transaction does.

    Args:
        tx: A transaction of the realm.
        caller: Who asks: a client, a person, or a person by way of a client.
        about: Ids on the wire of what may change. Those of partners, clients and users count; one that there isn't is
            left to whoever looks for it.
        session_id: The session in which a person asks, where it is by a page.

    Raises:
        errors.PermissionDenied: Who asks isn't let in any more, or has lost something of what they could do when that
            was looked at.
        errors.InvalidToken: What a person has allowed the client has ended, or the token was revoked.
    """
    client_ids, user_ids = _of(about, Prefix.CLIENT), _of(about, Prefix.USER)
    client_asks = () if caller.client_id == _NO_CLIENT else (caller.client_id,)
    user_asks = () if caller.user_id is None else (caller.user_id,)
    if isinstance(tx, TenantTx):
        owned = {*client_ids, *client_asks}, {*user_ids, *user_asks}
        await _hold_owners(tx, *owned, alone=_of(about, Prefix.PARTNER))
    clients = await rows.lock_clients(tx, client_ids, staying=client_asks)
    users = await people.lock_users(tx, user_ids, staying=user_asks)
    # Of which of the two it is told first: a token that is worth nothing is to be thrown away.
    if caller.grant_id is not None and not await tx.fetchval(_STANDS, caller.grant_id, caller.token_digest):
        raise errors.InvalidToken("the access token isn't valid here and now")
    if not (
        all(_client_may(caller, clients.get(each)) for each in client_asks)
        and all(_user_may(caller, users.get(each)) for each in user_asks)
        and (session_id is None or await people.hold_session(tx, session_id))
    ):
        raise errors.PermissionDenied("who has asked for it may no longer do it")


async def _hold_owners(
    tx: TenantTx, client_ids: Collection[UUID], user_ids: Collection[UUID], *, alone: Collection[UUID]
) -> None:
    """Hold whose clients and users these are, which never changes: parties that are users, and partners."""
    clients = [each.client for each in await rows.find_clients(tx, list(client_ids))]
    users = [each for user_id in user_ids if (each := await people.standing_of(tx, user_id)) is not None]
    if party_ids := {each.party_id for each in users if each.party_id is not None}:
        await parties.hold_parties(tx, sorted(party_ids))
    owners = {each.partner_id for each in clients} | {each.partner_id for each in users}
    await partners.lock_partners(tx, alone, staying=[each for each in owners if each is not None])


def _of(about: Collection[str], prefix: Prefix) -> set[UUID]:
    return {ids.decode(prefix, each) for each in about if each.startswith(f"{prefix.value}_")}


def _client_may(caller: Caller, client: Client | None) -> bool:
    return client is not None and client.is_let_in and caller.scopes <= {*client.scopes}


def _user_may(caller: Caller, user: people.UserStanding | None) -> bool:
    if user is None or not user.active:
        return False
    return user.scopes is None or caller.scopes <= user.scopes | OPENID_SCOPES.keys()
