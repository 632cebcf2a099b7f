"""Users: the people who sign in at the tenant's pages."""

from collections.abc import Sequence
from typing import Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.contract.roles import StaffRole
from billfold.contract.users import EnrolmentCode, LoginRealm, SignedOut, User, UserState

__all__ = ["AsyncUsers"]

_Realm = LoginRealm | Literal["psu", "staff", "partner"]
_Role = StaffRole | Literal["owner", "operator", "approver", "support", "auditor", "developer", "custodian"]
_State = UserState | Literal["invited", "active", "disabled"]


class AsyncUsers(AsyncResource):
    """Who signs in: customers and staff. Members of partners are made by ``partners.members``: ``billfold.users``."""

    __slots__ = ()

    async def create(
        self,
        *,
        login_realm: _Realm,
        login_name: str,
        display_name: str,
        party_id: str | None = None,
        roles: Sequence[_Role] | None = None,
        language: str | None = None,
        idempotency_key: str | None = None,
    ) -> User:
        """Create somebody who can sign in once they have enrolled; ``invite`` makes what they enrol by.

        Args:
            login_realm: ``psu`` for a customer, ``staff`` for somebody who works at the bank.
            login_name: What they type to sign in.
            display_name: How pages address them.
            party_id: The party that a customer is.
            roles: What a member of staff does.
            language: What they like to read, such as ``de``.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.LoginNameTaken: Another user of the realm has the name.
            errors.NotFound: There is no such party.
        """
        body = encoding.fields(
            login_realm=login_realm,
            login_name=login_name,
            display_name=display_name,
            party_id=party_id,
            roles=roles,
            language=language,
        )
        return await self._order(operations.CREATE_USER, body=body, idempotency_key=idempotency_key)

    async def invite(self, user_id: str) -> EnrolmentCode:
        """Make the one-time code by which somebody enrols, or enrols anew. Earlier ones end.

        Raises:
            errors.NotFound: There is none with this id.
            errors.UserStateRefuses: They are disabled.
        """
        return await self._change(operations.CREATE_ENROLMENT_CODE, user_id, repeatable=True)

    async def set_roles(self, user_id: str, roles: Sequence[_Role], *, idempotency_key: str | None = None) -> User:
        """Change what a member of staff does, from the next request on. Nobody changes roles of their own.

        Args:
            user_id: Whose.
            roles: What they do, in place of what they did.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is none with this id.
            errors.UserInvalid: They are no member of staff.
            errors.ApprovalRequired: A second person must agree first.
        """
        body = encoding.fields(roles=roles)
        return await self._order(operations.SET_USER_ROLES, user_id, body=body, idempotency_key=idempotency_key)

    async def get(self, user_id: str) -> User:
        """Return a user.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_USER, user_id)

    def list(
        self,
        *,
        login_realm: _Realm | None = None,
        login_name: str | None = None,
        party_id: str | None = None,
        state: _State | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[User]:
        """List users, the newest first.

        Args:
            login_realm: Only customers, only staff, or only members of partners.
            login_name: Only whoever signs in by this name.
            party_id: Only those who are this party.
            state: Only those who are ``invited``, ``active`` or ``disabled``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(
            login_realm=login_realm,
            login_name=login_name,
            party_id=party_id,
            state=state,
            limit=limit,
            cursor=cursor,
        )
        return self._list(operations.LIST_USERS, query=query)

    async def disable(self, user_id: str) -> User:
        """Disable somebody, who is signed out everywhere.

        Raises:
            errors.NotFound: There is none with this id.
            errors.PermissionDenied: They are whoever asks, or have shut out whoever asks meanwhile.
        """
        return await self._change(operations.DISABLE_USER, user_id, repeatable=True)

    async def enable(self, user_id: str) -> User:
        """Let somebody in again.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._change(operations.ENABLE_USER, user_id, repeatable=True)

    async def unlock(self, user_id: str) -> User:
        """Take somebody's attempts again, where too many have failed.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._change(operations.UNLOCK_USER, user_id, repeatable=True)

    async def sign_out(self, user_id: str) -> SignedOut:
        """Sign somebody out everywhere, and tell how many sessions that were.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._change(operations.SIGN_USER_OUT, user_id, repeatable=True)
