"""What ``build_app`` puts together and handlers are given."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from billfold.clock import Clock

if TYPE_CHECKING:
    from billfold_server.settings import Settings
    from billfold_server.tenancy.context import Caller, TenantRef
    from billfold_server.tenancy.service import Registry
    from billfold_server.tenancy.transaction import Database

__all__ = ["Authenticator", "Limits", "Services"]


class Authenticator(Protocol):
    """Establishes who is asking."""

    async def authenticate(self, tenant: "TenantRef | None", header: str | None, request_id: str) -> "Caller":
        """Return the caller that an ``Authorization`` header names, at a tenant or (None) at the platform.

        Raises:
            billfold.errors.InvalidToken: There is no token, or none that is valid there and now.
        """
        ...


class Limits(Protocol):
    """Keeps callers from asking too much at once."""

    def take(self, tenant: "TenantRef | None", client_id: UUID) -> dict[str, str]:
        """Count one request, and return the headers that say how much is left.

        Raises:
            billfold.errors.RateLimited: It was one too many.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Services:
    """The process's parts, each made once by ``build_app``.

    Attributes:
        settings: As validated at the start.
        clock: The real clock; the tenant's own is ``tenancy.clock``.
        database: The pools; ``database.tx(tenant)`` is the only door to tenant tables.
        registry: Which tenants there are.
        identity: Who is asking.
        limits: How often it may.
        cursor_key: Authenticates the cursors of lists.
        idempotency_key: Keys the fingerprints of requests.
        engine: The ledger's engine, to which commands are submitted.
        rooms: What else a room keeps for the life of the process, by the room's name.
    """

    settings: "Settings"
    clock: Clock
    database: "Database"
    registry: "Registry"
    identity: Authenticator
    limits: Limits
    cursor_key: bytes
    idempotency_key: bytes
    engine: Any = None
    rooms: dict[str, Any] = field(default_factory=dict)
