"""How a tenant's schema and roles are named, and which states follow which."""

import re
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.platform import TenantState
from billfold.ids import Prefix

__all__ = [
    "DEPLOYMENT_LENGTH",
    "OLDEST_POSTGRES",
    "PLATFORM_SCHEMA",
    "TRANSITIONS",
    "Deployment",
    "TenantNames",
    "create_index",
    "indexed_table",
    "new_deployment_id",
    "objection",
    "quoted",
    "tenant_names",
]

PLATFORM_SCHEMA = "billfold_platform"
"""The schema of what belongs to no single tenant."""

OLDEST_POSTGRES = 16
"""Before this version a grant couldn't say ``INHERIT FALSE, SET TRUE``, on which the isolation of tenants rests."""

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
DEPLOYMENT_LENGTH = 8

TRANSITIONS: dict[tuple[TenantState, str], TenantState] = {
    (TenantState.PROVISIONING, "finish"): TenantState.ACTIVE,
    (TenantState.ACTIVE, "finish"): TenantState.ACTIVE,
    (TenantState.SUSPENDED, "finish"): TenantState.SUSPENDED,
    (TenantState.PROVISIONING, "delete"): TenantState.DELETING,
    (TenantState.ACTIVE, "suspend"): TenantState.SUSPENDED,
    (TenantState.SUSPENDED, "suspend"): TenantState.SUSPENDED,
    (TenantState.SUSPENDED, "resume"): TenantState.ACTIVE,
    (TenantState.ACTIVE, "resume"): TenantState.ACTIVE,
    (TenantState.SUSPENDED, "delete"): TenantState.DELETING,
    (TenantState.DELETING, "delete"): TenantState.DELETING,
}
"""(from, event) → to. What is done twice changes nothing the second time; an active tenant is never deleted at once."""


class Deployment(msgspec.Struct, frozen=True):
    """One installation of Billfold in a PostgreSQL cluster.

    Roles are shared by all databases of a cluster, so each name holds the deployment's id: two deployments, or a
    production and a staging database side by side, never meet in a role.
    """

    id: str

    @classmethod
    def of_platform_owner(cls, role: str) -> "Deployment":
        """Return the deployment whose platform schema has this owner.

        Raises:
            ValueError: The role isn't such an owner.
        """
        match = re.fullmatch(r"bf_([0-9a-z]{8})_platform_own", role)
        if match is None:
            msg = f"the schema {PLATFORM_SCHEMA} belongs to {role}, so it isn't Billfold's"
            raise ValueError(msg)
        return cls(match[1])

    @property
    def app_login(self) -> str:
        """The login that the server's shared pool uses. It inherits nothing, and becomes one role per transaction."""
        return f"bf_{self.id}_app"

    @property
    def creator_role(self) -> str:
        """The role that may create schemas in the database; owner roles are in it while they are provisioned."""
        return f"bf_{self.id}_creator"

    @property
    def guest_role(self) -> str:
        """The role that may connect to the database, which is all that logins inherit; nobody else may, by default."""
        return f"bf_{self.id}_guest"

    @property
    def platform_owner(self) -> str:
        """The owner of the platform's tables."""
        return f"bf_{self.id}_platform_own"

    @property
    def platform_role(self) -> str:
        """The role that reads and writes the platform's rows."""
        return f"bf_{self.id}_platform_run"


class TenantNames(msgspec.Struct, frozen=True):
    """A tenant's names in PostgreSQL. They hold its id, never its slug, so that a slug can be given to another."""

    schema: str
    owner_role: str
    runtime_role: str


def objection(*, version: int, role: str, database: str, creates_roles: bool, owns_database: bool) -> str | None:
    """Return why a database can't be set up by a role, in one sentence that says what to do; None if it can."""
    if version < OLDEST_POSTGRES:
        return f"PostgreSQL {version} is too old for Billfold: upgrade it to {OLDEST_POSTGRES} or later."
    if not creates_roles:
        return f"The role {role} may not create roles: give it CREATEROLE, or use another administrator's URL."
    if not owns_database:
        return f"The role {role} doesn't own the database {database}: make it the owner."
    return None


def new_deployment_id(entropy: bytes) -> str:
    """Return a deployment's id made of random bytes, of which it takes one for each of its characters.

    The alphabet has 32 characters, so each is as likely as the others.
    """
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in entropy[:DEPLOYMENT_LENGTH])


def tenant_names(deployment: Deployment, tenant_id: UUID) -> TenantNames:
    """Return the names of a tenant's schema and roles. The longest has 42 characters; PostgreSQL takes 63."""
    key = ids.encode(Prefix.TENANT, tenant_id).partition("_")[2]
    return TenantNames(
        schema=f"t_{key}",
        owner_role=f"bf_{deployment.id}_{key}_own",
        runtime_role=f"bf_{deployment.id}_{key}_run",
    )


def quoted(identifier: str) -> str:
    """Return an identifier ready for SQL.

    Only names that were made here get this far; anything else is a defect, and is refused rather than escaped.

    Raises:
        ValueError: The name isn't a plain lower-case identifier.
    """
    if not _IDENTIFIER.fullmatch(identifier):
        msg = f"{identifier!r} is no identifier of Billfold's"
        raise ValueError(msg)
    return f'"{identifier}"'


_UNIQUE = "UNIQUE "


def indexed_table(definition: str) -> str:
    """Return the table of an index that a migration asks for: ``notes`` of ``"UNIQUE notes (day, id)"``."""
    return definition.removeprefix(_UNIQUE).split()[0]


def create_index(name: str, definition: str, *, beside_writers_of: str | None = None) -> str:
    """Return the SQL that creates an index which a migration asks for.

    Args:
        name: The index's name.
        definition: On what, with ``UNIQUE`` before it where it is.
        beside_writers_of: The schema, where it is built beside whoever writes; else the search path tells.
    """
    on = definition.removeprefix(_UNIQUE).strip()
    how = "UNIQUE INDEX" if definition.startswith(_UNIQUE) else "INDEX"
    if beside_writers_of is None:
        return f"CREATE {how} {quoted(name)} ON {on}"
    return f"CREATE {how} CONCURRENTLY {quoted(name)} ON {quoted(beside_writers_of)}.{on}"
