"""What somebody may do at this moment, or let an app do in their name, and how they are called."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold_server.people import queries
from billfold_server.people.queries import UserRow
from billfold_server.people.roles import CUSTOMER_SCOPES, allowed_scopes, allowed_to_member
from billfold_server.tenancy.transaction import Tx

__all__ = [
    "Named",
    "UserStanding",
    "find_named",
    "lock_users",
    "scopes_of",
    "standing_in",
    "standing_of",
    "standings_sql",
]


class UserStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody may do.

    Attributes:
        active: Whether they are let in.
        party_id: The party that a payment service user is.
        scopes: What they may allow; None is everything, which is an operator's.
        roles: What a member of staff does.
        partner_id: The partner organisation whose member it is.
    """

    active: bool
    party_id: UUID | None
    scopes: frozenset[str] | None
    roles: tuple[str, ...] = ()
    partner_id: UUID | None = None


def scopes_of(login_realm: str, roles: list[str], partner_scopes: Sequence[str] = ()) -> frozenset[str] | None:
    """Return what somebody may allow an app, by whose sign-in they have; None is everything of their realm.

    Args:
        login_realm: Whose sign-in it is.
        roles: What they do.
        partner_scopes: What the partner organisation may, whose member they are.
    """
    if login_realm == "operator":
        return None
    if login_realm == "partner":
        return allowed_to_member(roles, partner_scopes)
    return CUSTOMER_SCOPES if login_realm == "psu" else allowed_scopes(roles)


class Named(msgspec.Struct, frozen=True):
    """How somebody is called, of whatever realm, and since when."""

    display_name: str
    updated_at: datetime


async def find_named(tx: Tx, user_id: UUID) -> Named | None:
    """Return how somebody is called who may sign in at this moment, or None."""
    user = await queries.find_user(tx, user_id)
    return Named(user.display_name, user.updated_at) if user is not None and user.is_let_in else None


async def standing_of(tx: Tx, user_id: UUID) -> UserStanding | None:
    """Return what somebody may do at this moment, or None where there is nobody of that id."""
    user = await queries.find_user(tx, user_id)
    return None if user is None else _standing(user)


async def lock_users(tx: Tx, user_ids: Collection[UUID], *, staying: Collection[UUID]) -> dict[UUID, UserStanding]:
    """Return what users may do whose rows nobody else changes until the transaction ends; ``queries.lock_users``."""
    return {user.id: _standing(user) for user in await queries.lock_users(tx, user_ids, staying=staying)}


def standings_sql(tx: Tx) -> str:
    """Return the query of what users may do at this moment, to which a condition is added."""
    return queries.standings_sql(tx)


def standing_in(row: Any) -> UserStanding | None:
    """Return what somebody may do from a row that has the columns of ``standings_sql``; None where they are empty."""
    if row["person_id"] is None:
        return None
    # The platform has no partners.
    in_partner = row.get("person_partner_id")
    scopes = row["person_partner_scopes"] if in_partner is not None else None
    suspended = in_partner is not None and row["person_suspended"]
    return _of(
        active=row["person_state"] == "active" and not suspended,
        party_id=row["person_party_id"],
        login_realm=row["person_login_realm"],
        roles=row["person_roles"],
        partner_id=in_partner,
        partner_scopes=scopes,
    )


def _standing(user: UserRow) -> UserStanding:
    return _of(
        active=user.is_let_in,
        party_id=user.party_id,
        login_realm=user.login_realm,
        roles=user.roles,
        partner_id=user.partner_id,
        partner_scopes=user.partner_scopes,
    )


def _of(
    *,
    active: bool,
    party_id: UUID | None,
    login_realm: str,
    roles: list[str],
    partner_id: UUID | None,
    partner_scopes: Sequence[str] | None,
) -> UserStanding:
    return UserStanding(
        active=active,
        party_id=party_id,
        scopes=scopes_of(login_realm, roles, partner_scopes or ()),
        roles=tuple(roles) if login_realm == "staff" else (),
        partner_id=partner_id,
    )
