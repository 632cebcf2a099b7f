# Generated from billfold/client/_async/platform.py by tests/sdk/generate_sync.py. Change that one instead.

"""What the operators of a platform see: its tenants, and what was done with them."""

from collections.abc import Mapping
from typing import Any, Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._sync.resource import Pages, Resource
from billfold.contract.operators import EnrolmentHalf, Operator
from billfold.contract.platform import AuditHead, AuditRecord, DeadJob, Tenant
from billfold.contract.users import SignedOut, UserState

__all__ = ["DeadJobs", "Operators", "PlatformAuditRecords", "Tenants"]

_State = UserState | Literal["invited", "active", "disabled"]


class Tenants(Resource):
    """Tenants of a platform: ``platform.tenants``."""

    __slots__ = ()

    def apply(self, *, slug: str, manifest: Mapping[str, Any]) -> Tenant:
        """Create a tenant, or change it to what its manifest says.

        Args:
            slug: Its name in addresses.
            manifest: As in ``tenant.toml``.

        Raises:
            errors.ManifestInvalid: ``key`` and ``reason`` say what is wrong with the manifest.
        """
        body = encoding.fields(slug=slug, manifest=manifest)
        return self._change(operations.APPLY_TENANT, body=body, repeatable=True)

    def get(self, slug: str) -> Tenant:
        """Return a tenant.

        Raises:
            errors.UnknownTenant: There is none of this name.
        """
        return self._ask(operations.GET_TENANT, slug)

    def suspend(self, slug: str, *, reason: str) -> Tenant:
        """Stop serving a tenant; nothing of it is lost.

        Args:
            slug: Which one.
            reason: Why; it is kept in the audit.
        """
        body = encoding.fields(reason=reason)
        return self._change(operations.SUSPEND_TENANT, slug, body=body)

    def resume(self, slug: str, *, reason: str) -> Tenant:
        """Serve a suspended tenant again.

        Args:
            slug: Which one.
            reason: Why; it is kept in the audit.
        """
        body = encoding.fields(reason=reason)
        return self._change(operations.RESUME_TENANT, slug, body=body)

    def migrate(self, slug: str) -> Tenant:
        """Bring a tenant's schema up to the server's version.

        Args:
            slug: Which one.
        """
        return self._change(operations.MIGRATE_TENANT, slug, repeatable=True)

    def delete(self, slug: str, *, confirm: str) -> None:
        """Delete a tenant with everything in it. It must be suspended before.

        That is done in the moments after; until then its state is ``deleting``, and then it isn't there any more.

        Args:
            slug: Which one.
            confirm: The same name again, so that no slip deletes a bank.

        Raises:
            errors.UnknownTenant: There is none of this name.
        """
        self._change(operations.DELETE_TENANT, slug, query=encoding.query(confirm=confirm))

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Pages[Tenant]:
        """List tenants.

        Args:
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_TENANTS, query=encoding.query(limit=limit, cursor=cursor))


class DeadJobs(Resource):
    """What was to be done for tenants and has failed for good: ``platform.dead_jobs``."""

    __slots__ = ()

    def list(self, slug: str, *, limit: int | None = None, cursor: str | None = None) -> Pages[DeadJob]:
        """List a tenant's jobs that failed as often as they may, the oldest first.

        Args:
            slug: Which tenant's.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        return self._list(operations.LIST_DEAD_JOBS, slug, query=encoding.query(limit=limit, cursor=cursor))

    def retry(self, slug: str, job_id: str) -> None:
        """Have a dead job tried again at once, with all its attempts.

        Args:
            slug: Which tenant's.
            job_id: Which one.

        Raises:
            errors.NotFound: There is none with this id; it may have been done meanwhile.
            errors.JobStateRefuses: It isn't dead any more, or a newer one waits that does the same.
        """
        self._change(operations.RETRY_DEAD_JOB, slug, job_id)


class Operators(Resource):
    """Who runs the deployment: ``platform.users``. What lets one of them in, two others ask for, in person."""

    __slots__ = ()

    def create(self, *, login_name: str, display_name: str, language: str | None = None) -> Operator:
        """Create an operator; you and another one then get half each of what they enrol by (``invite``).

        Args:
            login_name: What they type to sign in.
            display_name: How pages address them.
            language: What they like to read, such as ``de``.

        Raises:
            errors.LoginNameTaken: Another operator has the name.
            errors.PersonRequired: A program asks.
        """
        body = encoding.fields(login_name=login_name, display_name=display_name, language=language)
        return self._change(operations.CREATE_OPERATOR, body=body)

    def invite(self, user_id: str) -> EnrolmentHalf:
        """Get half of the one-time code by which an operator enrols, or enrols anew; another operator gets the other.

        Raises:
            errors.NotFound: There is none with this id.
            errors.UserStateRefuses: They are disabled.
            errors.PersonRequired: A program asks.
        """
        return self._change(operations.CREATE_OPERATOR_ENROLMENT_CODE, user_id)

    def get(self, user_id: str) -> Operator:
        """Return an operator.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_OPERATOR, user_id)

    def list(
        self,
        *,
        login_name: str | None = None,
        state: _State | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[Operator]:
        """List operators, the newest first.

        Args:
            login_name: Only whoever signs in by this name.
            state: Only those who are ``invited``, ``active`` or ``disabled``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(login_name=login_name, state=state, limit=limit, cursor=cursor)
        return self._list(operations.LIST_OPERATORS, query=query)

    def disable(self, user_id: str) -> Operator:
        """Disable an operator, who is signed out everywhere. Nobody disables themselves.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._change(operations.DISABLE_OPERATOR, user_id, repeatable=True)

    def enable(self, user_id: str) -> Operator:
        """Let an operator in again.

        Raises:
            errors.NotFound: There is none with this id.
            errors.SecondOperatorRequired: You are the first to ask; another operator must ask for the same.
            errors.PersonRequired: A program asks.
        """
        return self._change(operations.ENABLE_OPERATOR, user_id)

    def unlock(self, user_id: str) -> Operator:
        """Take an operator's attempts again, where too many have failed.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._change(operations.UNLOCK_OPERATOR, user_id, repeatable=True)

    def sign_out(self, user_id: str) -> SignedOut:
        """Sign an operator out everywhere, and tell how many sessions that were.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._change(operations.SIGN_OPERATOR_OUT, user_id, repeatable=True)


class PlatformAuditRecords(Resource):
    """What operators did with tenants and clients, and why: ``platform.audit_records``."""

    __slots__ = ()

    def head(self) -> AuditHead:
        """Return the signed head of the trail's hash chain, which stands for everything that is sealed so far.

        Whoever keeps it notices a trail that is changed later; ``billfold.proofs.verify_audit_head`` verifies it.
        """
        return self._ask(operations.GET_PLATFORM_AUDIT_HEAD)

    def list(
        self,
        *,
        object_id: str | None = None,
        action: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[AuditRecord]:
        """List audit records.

        Args:
            object_id: Only those about this tenant or client.
            action: Only those of this action, such as ``tenant.suspended``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(object_id=object_id, action=action, limit=limit, cursor=cursor)
        return self._list(operations.LIST_PLATFORM_AUDIT_RECORDS, query=query)
