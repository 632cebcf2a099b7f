"""What ``build_app`` puts together and handlers are given."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from billfold.clock import Clock
from billfold_server.http.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from billfold_server.http.limits import ClientLimits
    from billfold_server.identity.service import Identity
    from billfold_server.keys.service import Keyring, Keys
    from billfold_server.settings import Settings
    from billfold_server.tenancy.context import TenantRef
    from billfold_server.tenancy.service import Registry, Tenants
    from billfold_server.tenancy.transaction import Database

__all__ = ["REQUEST_LOG", "Services"]

REQUEST_LOG: Final = "request log"
"""Under which name ``build_app`` keeps what sees answers in ``Services.rooms``."""


@dataclass(slots=True, kw_only=True)
class Services:
    """The process's parts, each made once by ``build_app``.

    Attributes:
        settings: As validated at the start.
        clock: The real clock; the tenant's own is ``tenancy.clock``.
        database: The pools; ``database.tx(tenant)`` is the only door to tenant tables.
        registry: Which tenants there are.
        tenants: What operators do with them.
        identity: Who is asking.
        limits: How often it may.
        keyring: The deployment's secret.
        keys: What seals and opens personal data; their run is the background's.
        cursor_key: Authenticates the cursors of lists.
        idempotency_key: Keys the fingerprints of requests.
        metrics: What is counted.
        engine: The ledger's engine, to which commands are submitted.
        approvals: Where requests wait for a second person.
        decryptor: What takes card numbers in and gives them out, which this process never sees (``Decryptor``).
        slow_down: Waits for as long as answers to a tenant are to be late, where that is simulated.
        rooms: What else a room keeps for the life of the process, by the room's name.
    """

    settings: "Settings"
    clock: Clock
    database: "Database"
    registry: "Registry"
    tenants: "Tenants"
    identity: "Identity"
    limits: "ClientLimits"
    keyring: "Keyring"
    keys: "Keys"
    cursor_key: bytes
    idempotency_key: bytes
    metrics: Metrics
    engine: Any = None
    approvals: Any = None
    decryptor: Any = None
    slow_down: "Callable[[TenantRef], Awaitable[None]] | None" = None
    rooms: dict[str, Any] = field(default_factory=dict)
