"""People who sign in, as those who look after them see them; and where somebody is made and shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.roles import PartnerRole, StaffRole
from billfold.contract.users import LoginRealm, User, UserState
from billfold.ids import Prefix
from billfold_server.people import attempt_queries, queries
from billfold_server.people.desk import People, user_id_of
from billfold_server.people.queries import UserRow
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Tx

__all__ = ["Realm", "kinds_and_locks", "view_of", "views_of"]


class Realm(msgspec.Struct, frozen=True):
    """Where somebody is made.

    Attributes:
        people: What the room keeps.
        tenant: The tenant; None is the platform.
        base_url: Its canonical base URL.
        now: The real time.
    """

    people: People
    tenant: TenantRef | None
    base_url: str
    now: datetime

    @classmethod
    def of(cls, services: Any, tenant: TenantRef | None) -> "Realm":
        """Return the realm of a tenant or (None) of the platform."""
        base = services.settings.base_url
        base_url = f"{base}/platform" if tenant is None else f"{base}/t/{tenant.slug}"
        return cls(services.rooms["people"], tenant, base_url, services.clock.now())

    def accounts(self, user: UserRow) -> list[bytes]:
        """Return under which names attempts at somebody's account are counted."""
        owner = "platform" if self.tenant is None else ids.encode(Prefix.TENANT, self.tenant.id)
        names = (("password", user.login_name), ("second factor", str(user.id)))
        return [self.people.digest("attempts", owner, user.login_realm, *name) for name in names]


async def view_of(realm: Realm, tx: Tx, user: UserRow) -> User:
    """Return somebody as staff sees them."""
    return (await views_of(realm, tx, [user]))[0]


async def kinds_and_locks(
    realm: Realm, tx: Tx, users: Sequence[UserRow]
) -> tuple[dict[UUID, list[str]], dict[UUID, datetime]]:
    """Return which kinds of factor users have, and until when guesses at them are being refused."""
    kinds = await queries.kinds_of_factors(tx, [user.id for user in users], realm.now)
    accounts = {account: user.id for user in users for account in realm.accounts(user)}
    locked: dict[UUID, datetime] = {}
    for account, until in (await attempt_queries.blocked_until(tx, list(accounts), realm.now)).items():
        owner = accounts[account]
        locked[owner] = max(until, locked.get(owner, until))
    return kinds, locked


async def views_of(realm: Realm, tx: Tx, users: Sequence[UserRow]) -> list[User]:
    """Return people as staff sees them, for two queries in all."""
    kinds, locked = await kinds_and_locks(realm, tx, users)
    return [
        User(
            id=user_id_of(user.id),
            login_realm=LoginRealm(user.login_realm),
            login_name=user.login_name,
            display_name=user.display_name,
            party_id=None if user.party_id is None else ids.encode(Prefix.PARTY, user.party_id),
            roles=[StaffRole(role) for role in user.roles] if user.partner_id is None else [],
            language=user.language,
            state=UserState(user.state),
            factors=[*(["password"] if user.password_hash else []), *kinds.get(user.id, [])],
            locked_until=locked.get(user.id),
            last_sign_in_at=user.last_sign_in_at,
            version=user.version,
            created_at=user.created_at,
            updated_at=user.updated_at,
            partner_id=None if user.partner_id is None else ids.encode(Prefix.PARTNER, user.partner_id),
            partner_role=None if user.partner_id is None else PartnerRole(user.roles[0]),
        )
        for user in users
    ]
