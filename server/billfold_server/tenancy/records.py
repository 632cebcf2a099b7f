"""A tenant as the registry has it, and whose sandbox it is, if it is a partner's."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.platform import SandboxOf, Tenant, TenantState
from billfold.ids import Prefix
from billfold_server.tenancy import migrations
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.manifest import Manifest
from billfold_server.tenancy.partitions import Partition
from billfold_server.tenancy.roles import Isolation
from billfold_server.tenancy.rules import Deployment, TenantNames, tenant_names
from billfold_server.tenancy.stored import read_stored

__all__ = [
    "Applied",
    "Change",
    "Migrated",
    "Owner",
    "Partitioned",
    "Record",
    "read_record",
    "unreadable",
    "without_schema",
]


_WHY_LENGTH = 300


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sandbox a tenant is.

    Attributes:
        tenant_id: The tenant at which the partner is.
        partner_id: The partner organisation there.
        sandbox_id: Under which id that tenant knows the sandbox.
    """

    tenant_id: UUID
    partner_id: UUID
    sandbox_id: UUID


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the registry.

    Attributes:
        id: The tenant's id.
        slug: Its name in addresses.
        state: Whether it is served. One whose state this version doesn't know counts as suspended, and is unreadable.
        known: What it is; None where this version can't read that. ``manifest`` then says so.
        unreadable: Where and why it can't be read.
        schema_version: The newest migration that its schema has.
        revision: The registry's, of its last change.
        created_at: When it was made.
        updated_at: When it was changed last.
        owner: Whose sandbox it is, where it is a partner's.
        owner_slug: The name of the tenant whose partner that is.
        closed: Whether it is suspended because that partner is, or because it is about to be removed.
    """

    id: UUID
    slug: str
    state: TenantState
    known: Manifest | None
    unreadable: str | None = None
    schema_version: str | None
    revision: int
    created_at: datetime
    updated_at: datetime
    owner: Owner | None = None
    owner_slug: str | None = None
    closed: bool = False

    @property
    def manifest(self) -> Manifest:
        """What it is.

        Raises:
            errors.TenantUnreadable: This version can't read it.
        """
        if self.known is None:
            raise unreadable()
        return self.known

    @property
    def isolation(self) -> Isolation:
        """Return how the tenant is kept apart in the database."""
        assert self.manifest.isolation is not None, "apply has settled it"
        return self.manifest.isolation

    @property
    def is_held(self) -> bool:
        """Tell whether operators have suspended it themselves."""
        return self.state is TenantState.SUSPENDED and not self.closed

    def names(self, deployment: Deployment) -> TenantNames:
        """Return the tenant's names in PostgreSQL."""
        return tenant_names(deployment, self.id)

    def ref(self, deployment: Deployment) -> TenantRef:
        """Return what services are told of the tenant."""
        names = self.names(deployment)
        return TenantRef(
            id=self.id,
            slug=self.slug,
            schema=names.schema,
            runtime_role=names.runtime_role,
            owner_role=names.owner_role,
            state=self.state.value,
            manifest=self.manifest,
            revision=self.revision,
            owner_id=None if self.owner is None else self.owner.tenant_id,
            is_behind=migrations.is_behind("tenant", self.schema_version),
        )

    def view(self) -> Tenant:
        """Return the tenant as operators see it."""
        return Tenant(
            id=ids.encode(Prefix.TENANT, self.id),
            slug=self.slug,
            name=self.slug if self.known is None else self.known.name,
            state=self.state,
            isolation="unknown" if self.known is None else self.isolation,
            hosts=[] if self.known is None else list(self.known.hosts),
            currencies=[] if self.known is None else list(self.known.currencies),
            schema_version=self.schema_version,
            created_at=self.created_at,
            updated_at=self.updated_at,
            sandbox_of=self._whose(),
            unreadable=self.unreadable,
        )

    def _whose(self) -> SandboxOf | None:
        if self.owner is None or self.owner_slug is None:
            return None
        return SandboxOf(tenant=self.owner_slug, partner_id=ids.encode(Prefix.PARTNER, self.owner.partner_id))


def unreadable() -> errors.TenantUnreadable:
    """Make the error that says that this version can't read what is stored of a tenant."""
    msg = "what is stored of the tenant isn't of a form that this version knows; its operators are told why"
    return errors.TenantUnreadable(msg, retry_after_s=60)


def without_schema(state: TenantState) -> errors.TenantStateRefuses:
    """Make the error that says why there is nothing to work with, and what goes on with the tenant."""
    helps = {
        TenantState.PROVISIONING: "apply its manifest, which goes on from where that was cut short",
        TenantState.DELETING: "billfold tenants delete goes on with its deletion",
    }
    msg = f"a tenant that is {state} has no schema to work with; {helps[state]}"
    return errors.TenantStateRefuses(msg, state=state.value)


def read_record(row: Any) -> Record:
    """Return a tenant that was read, also one of which this version can't read what it is."""
    # Of a state that a newer version has brought, all that is certain is that this one shouldn't serve it.
    state, known, why = TenantState.SUSPENDED, None, None
    try:
        state = TenantState(row["state"])
        known = read_stored(row["manifest"])
    except (msgspec.MsgspecError, ValueError) as error:
        why = str(error)[:_WHY_LENGTH] or type(error).__name__
    owner = None
    if row["owner_id"] is not None:
        owner = Owner(tenant_id=row["owner_id"], partner_id=row["partner_id"], sandbox_id=row["sandbox_id"])
    return Record(
        id=row["id"],
        slug=row["slug"],
        state=state,
        known=known,
        unreadable=why,
        schema_version=row["schema_version"],
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        owner=owner,
        owner_slug=row["owner_slug"],
        closed=bool(row["closed"]),
    )


Change = Literal["created", "changed", "unchanged"]


class Applied(msgspec.Struct, frozen=True):
    """What ``apply`` did."""

    tenant: Record
    change: Change


class Migrated(msgspec.Struct, frozen=True):
    """What became of one tenant's migration: its version, or why it has none."""

    slug: str
    schema_version: str | None
    error: str | None = None


class Partitioned(msgspec.Struct, frozen=True):
    """The months of one tenant's ledger: those that were made now, and what there is of each."""

    slug: str
    made: list[str]
    months: list[Partition]
