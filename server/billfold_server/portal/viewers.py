"""Who looks at the portal: a member of the tenant's staff, with what their roles allow at this moment, or nobody."""

from urllib.parse import urlencode
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.people.pages.kit import LoginRealm, is_known, root_of
from billfold_server.people.service import current_session, standing_of
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["REALM", "Viewer", "guest", "sign_in_address", "viewer"]

REALM: LoginRealm = "staff"
"""Whose sign-in the portal has: who connects programs to a tenant is of its staff."""


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in.

    Attributes:
        user_id: Who.
        name: How pages address them.
        language: What they like to read.
        scopes: What their roles allow now, whatever they allowed when they signed in.
        partner_id: For which partner they work; None is the bank itself, whose programs all are to see.
        is_recovered: Whether they came by a recovery code, and do nothing but to restore access.
    """

    user_id: UUID
    name: str
    language: str | None = None
    scopes: frozenset[str] = frozenset()
    partner_id: UUID | None = None
    is_recovered: bool = False

    @property
    def login_realm(self) -> LoginRealm:
        """Return whose sign-in it was."""
        return REALM

    @property
    def actor(self) -> str:
        """Return how the audit names them."""
        return ids.encode(Prefix.USER, self.user_id)

    def caller(self, call: Call) -> Caller:
        """Return them as who acts, for the services of rooms: what they may is what their roles allow."""
        return Caller(
            actor=self.actor,
            client_id=UUID(int=0),
            request_id=call.request_id,
            scopes=self.scopes,
            user_id=self.user_id,
        )

    def acting(self, call: Call) -> Call:
        """Return the request as one of theirs, for services that are given requests."""
        return msgspec.structs.replace(call, caller=self.caller(call))


async def viewer(call: Call, tx: TenantTx) -> Viewer | None:
    """Return who is signed in with the browser that asks, at this very moment, or None.

    Args:
        call: The request.
        tx: The tenant's transaction.
    """
    session = await current_session(call, REALM, tx=tx)
    if session is None:
        return None
    standing = await standing_of(tx, session.user_id)
    if standing is None or not standing.active:
        return None
    return Viewer(
        user_id=session.user_id,
        name=session.display_name,
        language=session.language,
        scopes=frozenset() if session.is_recovered else standing.scopes or frozenset(),
        is_recovered=session.is_recovered,
    )


async def guest(call: Call) -> Viewer | None:
    """Return who looks at a page that is for everybody; where nobody has a session, no database is asked."""
    if not is_known(call, REALM):
        return None
    async with call.tx() as tx:
        return await viewer(call, tx)


def sign_in_address(call: Call, back: str) -> str:
    """Return where somebody signs in to come back to a page.

    Args:
        call: The request.
        back: The page, as an address below the tenant's: ``/portal/…``.
    """
    return f"{root_of(call, REALM)}/sign-in?{urlencode({'to': back})}"
