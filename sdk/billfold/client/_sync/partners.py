# Generated from billfold/client/_async/partners.py by tests/sdk/generate_sync.py. Change that one instead.

"""Partner organisations: who embeds the platform, with members and API clients of their own."""

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, UnsetType

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._sync.resource import Pages, Resource
from billfold.client._sync.session import Session
from billfold.contract.partner_sandboxes import PartnerSandbox, PartnerSandboxCredentials
from billfold.contract.partners import Partner, PartnerState
from billfold.contract.roles import PartnerRole
from billfold.contract.users import EnrolmentCode, User

__all__ = ["PartnerMembers", "PartnerSandboxes", "Partners"]

_State = PartnerState | Literal["active", "suspended"]
_Role = PartnerRole | Literal["admin", "developer", "viewer"]


class PartnerMembers(Resource):
    """People who work for a partner organisation: ``billfold.partners.members``."""

    __slots__ = ()

    def create(
        self,
        partner_id: str,
        *,
        login_name: str,
        display_name: str,
        role: _Role,
        language: str | None = None,
        idempotency_key: str | None = None,
    ) -> User:
        """Create a member, who can sign in once they have enrolled; ``invite`` makes what they enrol by.

        Args:
            partner_id: For which partner they work.
            login_name: What they type to sign in, such as their mail address.
            display_name: How pages address them.
            role: What they do there: ``admin``, ``developer`` or ``viewer``.
            language: What they like to read, such as ``de``.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is no such partner.
            errors.LoginNameTaken: A member of this or another partner has the name.
            errors.ApprovalRequired: A second person must agree first.
        """
        body = encoding.fields(login_name=login_name, display_name=display_name, role=role, language=language)
        return self._order(operations.CREATE_PARTNER_MEMBER, partner_id, body=body, idempotency_key=idempotency_key)

    def get(self, partner_id: str, user_id: str) -> User:
        """Return a member.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_PARTNER_MEMBER, partner_id, user_id)

    def list(self, partner_id: str, *, limit: int | None = None, cursor: str | None = None) -> Pages[User]:
        """List members, the newest first.

        Args:
            partner_id: Of which partner.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(limit=limit, cursor=cursor)
        return self._list(operations.LIST_PARTNER_MEMBERS, partner_id, query=query)

    def invite(self, partner_id: str, user_id: str) -> EnrolmentCode:
        """Make the one-time code by which a member enrols, or enrols anew. Earlier ones end.

        Args:
            partner_id: Of which partner.
            user_id: Whom.

        Raises:
            errors.NotFound: There is none with this id.
            errors.UserStateRefuses: They are disabled.
        """
        return self._change(operations.CREATE_PARTNER_MEMBER_ENROLMENT_CODE, partner_id, user_id, repeatable=True)

    def set_role(self, partner_id: str, user_id: str, role: _Role, *, idempotency_key: str | None = None) -> User:
        """Change what a member does, from the next request on. Nobody changes roles of their own.

        Args:
            partner_id: Of which partner.
            user_id: Whose.
            role: What they do, in place of what they did.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is none with this id.
            errors.ApprovalRequired: A second person must agree first.
        """
        body = encoding.fields(role=role)
        return self._order(
            operations.SET_PARTNER_MEMBER_ROLE, partner_id, user_id, body=body, idempotency_key=idempotency_key
        )

    def remove(self, partner_id: str, user_id: str) -> None:
        """Remove a member, who is signed out for good and forgotten.

        Args:
            partner_id: Of which partner.
            user_id: Whom.

        Raises:
            errors.NotFound: There is none with this id.
        """
        self._change(operations.REMOVE_PARTNER_MEMBER, partner_id, user_id)


class PartnerSandboxes(Resource):
    """Sandboxes of a partner organisation's own: ``billfold.partners.sandboxes``."""

    __slots__ = ()

    def create(
        self,
        partner_id: str,
        *,
        name: str,
        seeded: bool | None = None,
        seed: int | None = None,
        idempotency_key: str | None = None,
    ) -> PartnerSandbox:
        """Create a sandbox. It is made in the moments after: ``get`` it until its ``state`` is ``ready``.

        Args:
            partner_id: For which partner.
            name: What people call it; the partner has each name once.
            seeded: Whether there are customers in it, with months behind them; with them where it isn't said.
            seed: From what these follow: the same seed makes the same ones. The usual one where it isn't said.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is no such partner.
            errors.FeatureDisabled: The bank gives partners no sandboxes here.
            errors.PartnerSandboxLimitReached: The partner has as many as it may have.
            errors.PartnerSandboxNameTaken: It has one of this name.
        """
        body = encoding.fields(name=name, seeded=seeded, seed=seed)
        return self._order(operations.CREATE_PARTNER_SANDBOX, partner_id, body=body, idempotency_key=idempotency_key)

    def get(self, partner_id: str, sandbox_id: str) -> PartnerSandbox:
        """Return a sandbox, with how far it is.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_PARTNER_SANDBOX, partner_id, sandbox_id)

    def list(self, partner_id: str, *, limit: int | None = None, cursor: str | None = None) -> Pages[PartnerSandbox]:
        """List sandboxes, the newest first.

        Args:
            partner_id: Of which partner.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(limit=limit, cursor=cursor)
        return self._list(operations.LIST_PARTNER_SANDBOXES, partner_id, query=query)

    def reset(
        self,
        partner_id: str,
        sandbox_id: str,
        *,
        seeded: bool | None = None,
        seed: int | None = None,
        idempotency_key: str | None = None,
    ) -> PartnerSandbox:
        """Bring a sandbox back to its beginning, in the moments after. Its API clients and webhook endpoints stay.

        Args:
            partner_id: Of which partner.
            sandbox_id: Which one.
            seeded: Whether there are customers in it then; as before where it isn't said.
            seed: From what these follow; as before where it isn't said.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is none with this id.
            errors.PartnerSandboxStateRefuses: It isn't ready.
        """
        body = encoding.fields(seeded=seeded, seed=seed)
        return self._order(
            operations.RESET_PARTNER_SANDBOX, partner_id, sandbox_id, body=body, idempotency_key=idempotency_key
        )

    def create_credentials(self, partner_id: str, sandbox_id: str) -> PartnerSandboxCredentials:
        """Make an API client that may do everything in a sandbox. The secret is shown this once.

        Of those that were made here 20 are active at most; with the next one the oldest is disabled.

        Args:
            partner_id: Of which partner.
            sandbox_id: Of which sandbox.

        Raises:
            errors.NotFound: There is none with this id.
            errors.PartnerSandboxStateRefuses: It isn't ready.
        """
        return self._change(operations.CREATE_PARTNER_SANDBOX_CREDENTIALS, partner_id, sandbox_id)

    def remove(self, partner_id: str, sandbox_id: str) -> None:
        """Remove a sandbox with everything in it, for good, in the moments after.

        Args:
            partner_id: Of which partner.
            sandbox_id: Which one.

        Raises:
            errors.NotFound: There is none with this id.
        """
        self._change(operations.REMOVE_PARTNER_SANDBOX, partner_id, sandbox_id)


class Partners(Resource):
    """Partner organisations: ``billfold.partners``.

    Attributes:
        members: The people who work for them.
        sandboxes: The sandboxes that they have.
    """

    __slots__ = ("members", "sandboxes")

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.members = PartnerMembers(session)
        self.sandboxes = PartnerSandboxes(session)

    def create(
        self,
        *,
        name: str,
        external_id: str | None = None,
        client_scopes: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Partner:
        """Create a partner organisation.

        Args:
            name: Of the organisation.
            external_id: The caller's own id, unique in the tenant.
            client_scopes: What its API clients may be allowed at most; nothing where absent.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.PartnerExternalIdTaken: Another partner has the external id.
            errors.PartnerInvalid: There is a scope that no partner is given.
            errors.InsufficientScope: Its clients would be allowed what the caller isn't.
        """
        body = encoding.fields(name=name, external_id=external_id, client_scopes=client_scopes)
        return self._order(operations.CREATE_PARTNER, body=body, idempotency_key=idempotency_key)

    def get(self, partner_id: str) -> Partner:
        """Return a partner.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_PARTNER, partner_id)

    def list(
        self,
        *,
        state: _State | None = None,
        external_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[Partner]:
        """List partners, the newest first.

        Args:
            state: Only those that are ``active``, or ``suspended``.
            external_id: Only the one with this external id.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(state=state, external_id=external_id, limit=limit, cursor=cursor)
        return self._list(operations.LIST_PARTNERS, query=query)

    def update(
        self,
        partner_id: str,
        *,
        name: str | UnsetType = UNSET,
        external_id: str | UnsetType | None = UNSET,
        client_scopes: Sequence[str] | UnsetType = UNSET,
        if_match: int | str | None = None,
    ) -> Partner:
        """Change a partner. What isn't given stays; what its clients may have no more they lose within a second.

        Args:
            partner_id: Which one.
            name: Of the organisation.
            external_id: The caller's own id; None clears it.
            client_scopes: What its API clients may be allowed at most.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.NotFound: There is none with this id.
            errors.PreconditionFailed: It has changed since that version.
            errors.PartnerExternalIdTaken: Another partner has the external id.
            errors.PartnerInvalid: There is a scope that no partner is given.
        """
        body = encoding.changes(name=name, external_id=external_id, client_scopes=client_scopes)
        return self._change(operations.UPDATE_PARTNER, partner_id, body=body, if_match=if_match)

    def suspend(self, partner_id: str) -> Partner:
        """Keep a partner out: within a second its members' sessions and its clients' tokens open nothing any more.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._change(operations.SUSPEND_PARTNER, partner_id, repeatable=True)

    def resume(self, partner_id: str) -> Partner:
        """Let a suspended partner in again.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._change(operations.RESUME_PARTNER, partner_id, repeatable=True)

    def remove(self, partner_id: str, *, if_match: int | str | None = None) -> None:
        """Remove a suspended partner of which nothing is left, for good. The audit still tells of it.

        Its API clients must be disabled, and go with it; its members, webhook endpoints and sandboxes are removed
        before.

        Args:
            partner_id: Which one.
            if_match: The ``version`` that the caller has read; without it, the partner is removed whatever was changed
                since.

        Raises:
            errors.NotFound: There is none with this id.
            errors.PreconditionFailed: It has changed since that version.
            errors.PartnerStateRefuses: It isn't suspended.
            errors.PartnerInUse: Something is left of it; the error counts what.
        """
        self._change(operations.REMOVE_PARTNER, partner_id, if_match=if_match)
