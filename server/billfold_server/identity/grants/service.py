"""What users have allowed clients: opened at an authorization, read with each token, ended once.

Everything that is issued by a grant ends with it: its refresh tokens at once, its access tokens within a second on
every worker, and in a transaction of the tenant's (``Call.tx()``) at once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db.personal import counted
from billfold_server.people import service as people
from billfold_server.tenancy.context import SYSTEM, Caller
from billfold_server.tenancy.transaction import Tx

__all__ = ["Grant", "find_grant", "list_grants", "open_grant", "revoke_grant", "revoke_grants", "sweep", "usable_grant"]


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a user has allowed a client at one authorization.

    Attributes:
        id: The row's id; ``grt_…`` on the wire.
        client_id: The client.
        user_id: The user.
        scopes: What was allowed; tokens may have less.
        resources: For which of the tenant's resources (RFC 8707); all of them where empty.
        details: What was allowed in particular (RFC 9396), as it was shown to the user.
        acr: How strongly the user had signed in.
        amr: By which means (RFC 8176).
        factor_ids: With which passkeys and apps; the grant ends with any of them.
        auth_time: When.
        created_at: When it was allowed.
        consent_id: The consent of open banking by which it was allowed, with which it ends; None where there is none.
        revoked_at: When it ended.
        reason: Why it ended.
    """

    id: UUID
    client_id: UUID
    user_id: UUID
    scopes: list[str]
    resources: list[str]
    details: list[dict[str, Any]]
    acr: str | None
    amr: list[str]
    factor_ids: list[UUID]
    auth_time: datetime
    created_at: datetime
    consent_id: UUID | None = None
    revoked_at: datetime | None = None
    reason: str | None = None


_COLUMNS: Final = (
    "id, client_id, user_id, scopes, resources, details::text, acr, amr, factor_ids, auth_time, created_at,"
    " consent_id, revoked_at, reason"
)


def _read(row: Any) -> Grant:
    return Grant(**{**dict(row), "details": msgspec.json.decode(row["details"])})


async def open_grant(
    tx: Tx,
    *,
    client_id: UUID,
    user_id: UUID,
    scopes: Sequence[str],
    auth_time: datetime,
    now: datetime,
    resources: Sequence[str] = (),
    details: Sequence[Mapping[str, Any]] = (),
    acr: str | None = None,
    amr: Sequence[str] = (),
    factor_ids: Sequence[UUID] = (),
    consent_id: UUID | None = None,
    caller: Caller = SYSTEM,
) -> UUID:
    """Write down what a user allows a client, and return the grant's id. Arguments are ``Grant``'s.

    Args:
        tx: The transaction of the realm in which the user's decision is written.
        client_id: The client.
        user_id: The user.
        scopes: What is allowed.
        auth_time: When the user signed in.
        now: The real time.
        resources: For which resources.
        details: What is allowed in particular.
        acr: How strongly the user had signed in.
        amr: By which means.
        factor_ids: With which of the user's factors.
        consent_id: By which consent of open banking.
        caller: Who acts, for the audit.
    """
    grant_id = ids.uuid7()
    await tx.execute(
        "INSERT INTO grants (id, client_id, user_id, scopes, resources, details, acr, amr, factor_ids, auth_time, "
        "created_at, consent_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        grant_id, client_id, user_id, list(scopes), list(resources), msgspec.json.encode(list(details)).decode(),
        acr, list(amr), list(factor_ids), auth_time, now, consent_id,
    )  # fmt: skip
    facts = {"client_id": ids.encode(Prefix.CLIENT, client_id), "scopes": sorted(scopes)}
    await audit.record(tx, audit.new_record(caller, "grant.opened", ids.encode(Prefix.GRANT, grant_id), facts=facts))
    return grant_id


async def find_grant(tx: Tx, grant_id: UUID) -> Grant | None:
    """Return a grant, also one that has ended, or None."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM grants WHERE id = $1", grant_id)  # noqa: S608 - a constant
    return None if row is None else _read(row)


async def usable_grant(tx: Tx, grant_id: UUID) -> Grant | None:
    """Return a grant by which something may be issued, or None: it stands, and so does who has allowed it.

    Of one that was given by a consent, ``consented.usable`` knows whether that still stands, too.
    """
    grant = await find_grant(tx, grant_id)
    if grant is None or grant.revoked_at is not None:
        return None
    user = await people.standing_of(tx, grant.user_id)
    return grant if user is not None and user.active else None


async def list_grants(tx: Tx, *, user_id: UUID, before: UUID | None = None, limit: int) -> list[Grant]:
    """Return what a user has allowed and not taken back, the newest first.

    Args:
        tx: The transaction of the realm.
        user_id: Whose grants.
        before: The grant after which to go on.
        limit: How many at most.
    """
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM grants WHERE user_id = $1 AND revoked_at IS NULL"  # noqa: S608 - a constant
        " AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        user_id, before, limit,
    )  # fmt: skip
    return [_read(row) for row in rows]


async def revoke_grant(tx: Tx, grant_id: UUID, reason: str, *, now: datetime, caller: Caller = SYSTEM) -> bool:
    """End a grant, and tell whether it had stood until now.

    Args:
        tx: The transaction of the realm.
        grant_id: Which.
        reason: Why, in a few words for the audit.
        now: The real time.
        caller: Who ends it.
    """
    return await _revoke(tx, {"id": grant_id}, reason, now, caller) > 0


async def revoke_grants(
    tx: Tx,
    reason: str,
    *,
    now: datetime,
    user_id: UUID | None = None,
    factor_id: UUID | None = None,
    consent_id: UUID | None = None,
    caller: Caller = SYSTEM,
) -> int:
    """End all grants of a user, those that rest on one factor, or those by a consent; return how many stood until now.

    Args:
        tx: The transaction of the realm.
        reason: Why.
        now: The real time.
        user_id: Whose grants.
        factor_id: With which factor they were given.
        consent_id: By which consent.
        caller: Who ends them.
    """
    if user_id is None and consent_id is None:
        msg = "whose grants?"
        raise TypeError(msg)
    asked = {"user_id": user_id, "ANY(factor_ids)": factor_id, "consent_id": consent_id}
    return await _revoke(tx, {name: key for name, key in asked.items() if key is not None}, reason, now, caller)


async def _revoke(tx: Tx, keys: Mapping[str, UUID], reason: str, now: datetime, caller: Caller) -> int:
    condition = " AND ".join(f"${at} = {name}" for at, name in enumerate(keys, start=3))
    ended = await tx.fetch(
        "UPDATE grants SET revoked_at = $1, reason = $2 "  # noqa: S608 - the columns are those above
        f"WHERE {condition} AND revoked_at IS NULL RETURNING id",
        now, reason, *keys.values(),
    )  # fmt: skip
    await audit.record(
        tx,
        *(
            audit.new_record(caller, "grant.revoked", ids.encode(Prefix.GRANT, row["id"]), reason=reason)
            for row in ended
        ),
    )
    return len(ended)


async def sweep(tx: Tx, before: datetime, limit: int) -> int:
    """Delete grants that ended before an instant, with what is left of their refresh tokens, and return how many."""
    return counted(
        await tx.execute(
            "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE revoked_at < $1 ORDER BY revoked_at LIMIT $2)",
            before,
            limit,
        )
    )
