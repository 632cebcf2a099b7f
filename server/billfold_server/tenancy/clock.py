"""The tenant's clock: what time it is for holds, schedules, retries and effective times.

An ordinary tenant's clock is the database's own, so that servers whose clocks differ agree on what is due. A sandbox
has a test clock: it runs beside the real one at some distance, or stands still, and can be moved forward. On the way
it stops at everything that falls due, which whoever drives it then does (``db.runner``).
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import Record

from billfold import errors
from billfold.contract.platform import TenantClock
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "READING",
    "ClockReading",
    "ClockState",
    "arrive",
    "drive",
    "is_controllable",
    "lock_clock",
    "read_clock",
    "request_advance",
    "step",
    "tenant_now",
]

_NOW = "coalesce(frozen_at, clock_timestamp() + offset_us * interval '1 microsecond')"

TENANT_NOW = f"SELECT {_NOW} FROM tenant_clock WHERE id = 1"  # noqa: S608 - made of constants
"""One row by its primary key: to be read in every transaction that asks what time it is."""

READING = "(SELECT ROW(offset_us, frozen_at, clock_timestamp()) FROM tenant_clock WHERE id = 1)"
"""What ``ClockReading`` is made of, as one column of a query."""

_READ = f"""
SELECT {_NOW} AS now, frozen_at IS NOT NULL AS frozen, offset_us, advancing_to, advancing_freeze, driver,
       coalesce(driver_until > now(), false) AS driven
FROM tenant_clock WHERE id = 1
"""  # noqa: S608 - made of constants

_LOCK = _READ + " FOR UPDATE"

_REQUEST = """
UPDATE tenant_clock SET frozen_at = $1, advancing_to = $2, advancing_freeze = $3 WHERE id = 1
"""

_DRIVE = """
UPDATE tenant_clock SET driver = $1, driver_until = now() + $2::int * interval '1 second' WHERE id = 1
"""

_STEP = "UPDATE tenant_clock SET frozen_at = greatest(frozen_at, $1) WHERE id = 1"

_ARRIVE_FROZEN = """
UPDATE tenant_clock
SET frozen_at = advancing_to, advancing_to = NULL, advancing_freeze = NULL, driver = NULL, driver_until = NULL
WHERE id = 1
"""

# The distance to the real clock is measured here and now; the transaction's own start would be a little too early.
_ARRIVE_RUNNING = """
UPDATE tenant_clock
SET frozen_at = NULL, offset_us = $1, advancing_to = NULL, advancing_freeze = NULL, driver = NULL, driver_until = NULL
WHERE id = 1
"""


class ClockReading(msgspec.Struct, frozen=True):
    """What a tenant's clock has shown, from which can be told for a while what it shows.

    Attributes:
        offset_us: How far a running clock is from the real one, in microseconds.
        frozen_at: Where it stands, if it does.
        real_at: The database's time when it was read.
        read_s: The process's own monotonic clock just after that, in seconds. So what is told is never too late.
        within_s: By how much it was too early at most, in seconds: the time the answer took. What the two clocks drift
            apart afterwards comes to that.
    """

    offset_us: int
    frozen_at: datetime | None
    real_at: datetime
    read_s: float
    within_s: float

    def now(self, monotonic_s: float) -> datetime:
        """Return the tenant's time, unless the clock has been moved since.

        Args:
            monotonic_s: The process's monotonic clock now, in seconds.
        """
        if self.frozen_at is not None:
            return self.frozen_at
        return self.real_at + timedelta(microseconds=self.offset_us, seconds=monotonic_s - self.read_s)

    def latest(self, now: datetime) -> datetime:
        """Return by when at the latest it is, where ``now`` is told."""
        return now if self.frozen_at is not None else now + timedelta(seconds=self.within_s)

    def renewed(self, other: "ClockReading | None") -> "ClockReading":
        """Return this reading by the database's time of another one, if that is newer; it may be another tenant's.

        How far a tenant's clock is from the real one only its own reading tells; what time it really is, each does.
        """
        if other is None or other.read_s <= self.read_s:
            return self
        return msgspec.structs.replace(self, real_at=other.real_at, read_s=other.read_s, within_s=other.within_s)


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's clock.

    Attributes:
        now: The tenant's present time.
        frozen: Whether it stands.
        offset_us: How far a running clock is from the real one, in microseconds.
        advancing_to: Where it is on its way to; None where it isn't moved.
        advancing_freeze: Whether it will stand when it gets there.
        driver: Who moves it.
        driven: Whether the one who moves it is still alive, as far as the lease tells.
    """

    now: datetime
    frozen: bool
    offset_us: int
    advancing_to: datetime | None
    advancing_freeze: bool | None
    driver: UUID | None
    driven: bool

    @property
    def is_real(self) -> bool:
        """Whether it shows the real time, so that others in the world share it."""
        return not self.frozen and self.offset_us == 0


def is_controllable(tenant: TenantRef) -> bool:
    """Tell whether a tenant has a test clock."""
    return tenant.manifest.sandbox


async def tenant_now(tx: TenantTx) -> datetime:
    """Return the tenant's present time, aware and in UTC."""
    now: datetime = await tx.fetchval(TENANT_NOW)
    return now


async def read_clock(tx: TenantTx) -> ClockState:
    """Return the tenant's clock."""
    return _state(await tx.fetchrow(_READ))


async def lock_clock(tx: TenantTx) -> ClockState:
    """Return the tenant's clock and keep others from moving it until the transaction ends."""
    return _state(await tx.fetchrow(_LOCK))


async def request_advance(tx: TenantTx, to: datetime | timedelta, *, freeze: bool) -> TenantClock:
    """Write down that a test clock is to be moved forward, and stop it where it stands.

    The order is durable: whoever drives the clock, in this process or after a crash in another one, brings it there.

    Args:
        tx: The tenant's transaction.
        to: Where to; or how far from where it is, or is going already, which is told with the clock in hand: a
            caller who has read a running clock is late. Nothing is allowed, so that a clock can be frozen or let go.
        freeze: Whether it stands there, or runs on.

    Returns:
        The clock as it will be on arrival.

    Raises:
        errors.ClockNotControllable: The tenant is no sandbox.
        errors.ClockMovesForward: ``to`` is past, or earlier than where the clock is going already.
    """
    if not is_controllable(tx.tenant):
        raise errors.ClockNotControllable("only a sandbox has a clock that can be moved")
    state = await lock_clock(tx)
    reached = max(state.now, state.advancing_to or state.now)
    to = reached + to if isinstance(to, timedelta) else to
    if to < reached:
        raise errors.ClockMovesForward("the clock has passed that instant or is on its way past it", param="to")
    await tx.execute(_REQUEST, state.now, to, freeze)
    return TenantClock(now=to, controllable=True, frozen=freeze)


async def drive(tx: TenantTx, driver: UUID, lease_s: int) -> None:
    """Keep the clock's advance for one driver, for some seconds of real time."""
    await tx.execute(_DRIVE, driver, lease_s)


async def step(tx: TenantTx, to: datetime) -> None:
    """Move a clock that is being advanced to an instant on the way; it never goes back."""
    await tx.execute(_STEP, to)


async def arrive(tx: TenantTx, state: ClockState) -> None:
    """Bring a clock that is being advanced to where it was sent, standing or running."""
    assert state.advancing_to is not None
    if state.advancing_freeze:
        await tx.execute(_ARRIVE_FROZEN)
        return
    real_now: datetime = await tx.fetchval("SELECT clock_timestamp()")
    distance = state.advancing_to - real_now
    await tx.execute(_ARRIVE_RUNNING, (distance.days * 86_400 + distance.seconds) * 1_000_000 + distance.microseconds)


def _state(row: Record | None) -> ClockState:
    assert row is not None, "provisioning makes the clock's one row"
    return ClockState(**dict(row))
