"""Who looks at the portal: a partner's member or the tenant's staff, with what they may at this moment, or nobody."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.people.pages.kit import LoginRealm, is_known
from billfold_server.people.service import (
    Session,
    UserStanding,
    current_session,
    hold_session,
    is_session_open,
    standing_of,
)
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["REALMS", "Viewer", "guest", "viewer"]

REALMS: Final[tuple[LoginRealm, ...]] = ("partner", "staff")
"""Whose sign-ins the portal has; who is signed in at both looks as a partner's member, who sees less."""


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is signed in.

    Attributes:
        user_id: Who.
        session_id: In which session.
        name: How pages address them.
        language: What they like to read.
        scopes: What their roles allow now, whatever they allowed when they signed in.
        partner_id: For which partner they work; None is the bank itself, whose programs all are to see.
        is_recovered: Whether they came by a recovery code, and do nothing but to restore access.
        login_realm: Whose sign-in it was.
    """

    user_id: UUID
    session_id: UUID
    name: str
    language: str | None = None
    scopes: frozenset[str] = frozenset()
    partner_id: UUID | None = None
    is_recovered: bool = False
    login_realm: LoginRealm = "staff"

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
            partner_id=self.partner_id,
        )

    def acting(self, call: Call) -> Call:
        """Return the request as one of theirs, for services that are given requests.

        Each of its transactions sees that they are signed in and may still do all that they could when the page looked,
        and where they ask for something, that they may until it is done. What only reads waits for nobody.
        """
        if call.method == "GET":
            return msgspec.structs.replace(call, caller=self.caller(call), stands=self._looks)
        return msgspec.structs.replace(call, caller=self.caller(call), stands=self._acts, about=())

    async def ask(
        self, call: Call, operation_id: str, path: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> Any:
        """Ask for an operation of the API in their name, which waits for a second person where the tenant wants that.

        Raises:
            errors.ApprovalRequired: It waits.
        """
        return await call.services.approvals.ask(self.acting(call), operation_id, path, body or {})

    async def _looks(self, tx: TenantTx) -> None:
        self._check(await standing_of(tx, self.user_id), is_open=await is_session_open(tx, self.session_id))

    async def _acts(self, tx: TenantTx) -> None:
        self._check(await standing_of(tx, self.user_id), is_open=await hold_session(tx, self.session_id))

    def _check(self, standing: UserStanding | None, *, is_open: bool) -> None:
        may = standing is not None and standing.active and self.scopes <= (standing.scopes or frozenset())
        if not may or not is_open:
            raise errors.PermissionDenied("what you may do has changed; look at the page again")


async def viewer(call: Call, tx: TenantTx) -> Viewer | None:
    """Return who is signed in with the browser that asks, at this very moment, or None.

    Args:
        call: The request.
        tx: The tenant's transaction.
    """
    for realm in REALMS:
        if is_known(call, realm) and (session := await current_session(call, realm, tx=tx)) is not None:
            return await _seen(tx, session)
    return None


async def _seen(tx: TenantTx, session: Session) -> Viewer | None:
    standing = await standing_of(tx, session.user_id)
    if standing is None or not standing.active:
        return None
    return Viewer(
        user_id=session.user_id,
        session_id=session.id,
        name=session.display_name,
        language=session.language,
        scopes=frozenset() if session.is_recovered else standing.scopes or frozenset(),
        partner_id=standing.partner_id,
        is_recovered=session.is_recovered,
        login_realm=session.login_realm,
    )


async def guest(call: Call) -> Viewer | None:
    """Return who looks at a page that is for everybody; where nobody has a session, no database is asked."""
    if not any(is_known(call, realm) for realm in REALMS):
        return None
    async with call.tx() as tx:
        return await viewer(call, tx)
