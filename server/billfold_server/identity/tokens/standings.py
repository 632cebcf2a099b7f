"""What has changed since tokens were issued: clients that were disabled, grants that ended, tokens that were revoked.

Each worker reads the standing of a client when one of its tokens is shown and what it knows is older than seven tenths
of a second; so whatever is changed anywhere holds everywhere within a second. With the client come the tokens of it
that were revoked since the last reading, and beside it the grant of a user's token. (ADR 0013.)
"""

import functools
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract import versions
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.identity.clients import service as clients
from billfold_server.identity.rules import OPEN_BANKING_SCOPES
from billfold_server.people import service as people
from billfold_server.tenancy.context import Agreed, Own
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = ["STANDING_S", "GrantKey", "GrantStanding", "Standing", "narrowed", "read_grants", "read_standing"]

STANDING_S: Final = 0.7
"""How long a standing is believed. With the query itself, what is revoked is out within a second."""

_OVERLAP: Final = timedelta(seconds=30)
"""Longer than any transaction takes: what was revoked at an earlier instant may have been committed later."""

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

_STANDING: Final = """
SELECT client.*, ARRAY(
    SELECT ROW(digest, revoked_at, expires_at) FROM revoked_tokens
    WHERE client_id = $1 AND revoked_at > $2 AND expires_at > $3
) AS revoked_tokens
FROM ({}) AS client
"""


@functools.cache
def _grants_sql(users: str, consented: str) -> str:
    """Return the query of grants, with the columns of the users who gave them and of the consents by which they did."""
    # The condition stands inside: a subquery that is joined by its result reads the whole table for that.
    joined = f"LEFT JOIN LATERAL ({consented} WHERE consents.id = g.consent_id) AS c ON TRUE" if consented else ""
    return f"""
    SELECT g.id AS grant_id, g.client_id AS grant_client_id, g.revoked_at IS NULL AS grant_stands,
        g.details::text AS grant_details, g.consent_id AS grant_consent_id, u.*{", c.*" if consented else ""}
    FROM grants AS g LEFT JOIN LATERAL ({users} WHERE users.id = g.user_id) AS u ON TRUE {joined}
    WHERE g.id = ANY($1::uuid[])
    """  # noqa: S608 - made of constants


GrantKey = tuple[UUID, UUID]
"""A grant, and the client to which it must be."""


class Standing(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a client may do, as it was read at a moment.

    Attributes:
        active: Whether it is let in.
        scopes: What it may still have.
        api_version: Which version of the contract it keeps to.
        revoked: Digests of its tokens that were revoked, with when each would have ended anyway.
        revoked_until: The latest instant at which one of them was revoked.
        read_at: When it was read, on the monotonic clock.
        partner_id: The partner to which it belongs.
    """

    active: bool
    scopes: frozenset[str]
    api_version: str
    revoked: dict[bytes, datetime]
    revoked_until: datetime
    read_at: float
    partner_id: UUID | None = None


class GrantStanding(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a grant allowed at a moment of the monotonic clock.

    Attributes:
        stands: Whether it had not ended, and its user was let in.
        scopes: What its user could allow; None is everything.
        own: What is a customer's own.
        consent_id: By which consent of open banking it was given.
        agreed: What that says for good.
        consent_stands: Whether that still stands, or there is none.
        read_at: When.
        partner_id: The partner whose member the user is.
    """

    stands: bool
    scopes: frozenset[str] | None = None
    own: Own | None = None
    consent_id: UUID | None = None
    agreed: Agreed | None = None
    consent_stands: bool = True
    read_at: float
    partner_id: UUID | None = None


async def read_standing(tx: Tx, client_id: UUID, former: Standing | None, now: datetime) -> Standing:
    """Return a client's standing.

    Args:
        tx: An open transaction of the realm.
        client_id: Whose.
        former: What was read last time; only what was revoked since then is read.
        now: The real time.
    """
    read_at = time.monotonic()
    until = _BEGINNING + _OVERLAP if former is None else former.revoked_until
    row = await tx.fetchrow(_STANDING.format(clients.client_sql(tx)), client_id, until - _OVERLAP, now)
    if row is None:
        return Standing(
            active=False,
            scopes=frozenset(),
            api_version=versions.LATEST,
            revoked={},
            revoked_until=_BEGINNING + _OVERLAP,
            read_at=read_at,
        )
    client, lately = clients.client_in(row, "revoked_tokens"), row["revoked_tokens"]
    revoked = {} if former is None else {digest: ends for digest, ends in former.revoked.items() if ends > now}
    revoked |= {digest: ends for digest, _, ends in lately}
    return Standing(
        active=client.is_let_in,
        scopes=frozenset(client.scopes),
        api_version=versions.pinned(client.created_at.date()),
        revoked=revoked,
        revoked_until=max((at for _, at, _ in lately), default=until),
        read_at=read_at,
        partner_id=client.partner_id,
    )


async def read_grants(tx: Tx, wanted: Sequence[GrantKey]) -> dict[GrantKey, GrantStanding]:
    """Return what grants to clients allow, as their users and consents stand, by one query for all of it."""
    read_at = time.monotonic()
    # The platform has no consents.
    sql = _grants_sql(people.standings_sql(tx), consents.LOOKED_SQL if isinstance(tx, TenantTx) else "")
    rows = {row["grant_id"]: row for row in await tx.fetch(sql, [grant_id for grant_id, _ in wanted])}
    return {(grant_id, client_id): _standing(rows.get(grant_id), client_id, read_at) for grant_id, client_id in wanted}


def _standing(row: Any, client_id: UUID, read_at: float) -> GrantStanding:
    is_there = row is not None and row["grant_client_id"] == client_id and row["grant_stands"]
    user = people.standing_in(row) if is_there else None
    if user is None or not user.active:
        return GrantStanding(stands=False, read_at=read_at)
    if row["grant_consent_id"] is not None:
        return _consented(row, client_id, user, read_at)
    own = None
    if user.party_id is not None:
        own = _own(user.party_id, msgspec.json.decode(row["grant_details"]))
    return GrantStanding(stands=True, scopes=user.scopes, own=own, read_at=read_at, partner_id=user.partner_id)


def _consented(row: Any, client_id: UUID, user: people.UserStanding, read_at: float) -> GrantStanding:
    """Return what a grant by a consent allows: what a customer could allow nobody by a word, of the chosen wallets."""
    found = consents.looked_in(row)
    if found is None or user.party_id is None:
        return GrantStanding(stands=False, read_at=read_at)
    consent = found.consent
    chosen = frozenset(consent.wallet_ids)
    return GrantStanding(
        stands=True,
        scopes=frozenset(OPEN_BANKING_SCOPES),
        own=Own(party_id=user.party_id, balances_of=chosen, entries_of=chosen),
        consent_id=consent.id,
        agreed=_agreed(found, client_id),
        consent_stands=found.stands,
        read_at=read_at,
    )


def _agreed(found: consents.Looked, client_id: UUID) -> Agreed | None:
    """Return what a client's own consent says for good, once somebody has given it."""
    consent = found.consent
    if consent.party_id is None or consent.client_id != client_id:
        return None
    seen = consent if found.stands else None
    return Agreed(kind=consent.kind, party_id=consent.party_id, terms=consent.terms, seen=seen)


def _own(party_id: UUID, details: Sequence[Mapping[str, Any]]) -> Own:
    """Return what is a customer's own, narrowed to the wallets that details choose, if they do."""
    chosen = [
        (ids.decode(Prefix.WALLET, wallet_id), each["actions"])
        for each in details
        if each["type"] == "wallet_access"
        for wallet_id in each["wallet_ids"]
    ]
    if not chosen:
        return Own(party_id=party_id)
    return Own(
        party_id=party_id,
        balances_of=frozenset(wallet_id for wallet_id, actions in chosen if "balances" in actions),
        entries_of=frozenset(wallet_id for wallet_id, actions in chosen if "entries" in actions),
    )


def narrowed(own: Own | None, details: Sequence[Mapping[str, Any]]) -> Own | None:
    """Return what of a customer's own a token opens, whose details may be fewer than its grant's (RFC 9396, 6)."""
    if own is None or not details:
        return own
    of_token = _own(own.party_id, details)
    return Own(
        party_id=own.party_id,
        balances_of=_both(own.balances_of, of_token.balances_of),
        entries_of=_both(own.entries_of, of_token.entries_of),
    )


def _both(one: frozenset[UUID] | None, other: frozenset[UUID] | None) -> frozenset[UUID] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
