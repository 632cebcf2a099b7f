"""Brings every key of a tenant to its newest epoch, and lets go of the epochs and versions that nothing needs then.

What is left to do is told by the rows themselves: those that lie under an epoch which isn't the newest. So a rewrap
that was cut short is taken up by any other, several may go on at once, and nothing has to be noted on the way. A row is
moved by one statement from one epoch to another, and read together with its epoch by one statement, so whoever reads
meanwhile sees the one or the other, and never a key without its epoch.

Each batch locks its rows, and passes over those that somebody else has locked; it comes back for them.
"""

import asyncio
import functools
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold_server.db.engine import ENGINE
from billfold_server.keys import rules, upkeep_queries
from billfold_server.keys.backends import BackendName, TenantKey, Wrapped
from billfold_server.keys.backends.registry import Backends
from billfold_server.keys.rules import NONCE_BYTES, Domain
from billfold_server.keys.store import KeyStore

__all__ = ["GRACE_S", "Outcome", "Rewrap"]

GRACE_S: Final = 10.0
"""How long after the last epoch was wrapped anew an old version of the tenant's key stays.

Whoever has read an epoch's row before asks the backend for what that row says within the time that either may take.
"""
_BATCH: Final = 250
_AGAIN_S: Final = 0.05
_NIL: Final = UUID(int=0)


class _Epoch(msgspec.Struct, frozen=True):
    id: UUID
    number: int
    backend: BackendName
    wrapped: Wrapped


class Outcome(msgspec.Struct, kw_only=True):
    """What a rewrap has done.

    Attributes:
        domain: Whose keys.
        epoch: The number of the epoch to which they were brought; None where the domain has no keys yet.
        moved: How many keys were moved.
        left: How many still wait, because the time was over.
        retired_epochs: The numbers of those that are gone.
        retired_below: Below which version the tenant's key is gone, by backend.
    """

    domain: Domain
    epoch: int | None = None
    moved: int = 0
    left: int = 0
    retired_epochs: list[int] = []
    retired_below: dict[str, int] = {}


Progress = Callable[[int, int], None]
"""Is told how many keys were moved, and how many wait."""


class Rewrap:
    """The rewrap of one tenant and domain.

    Args:
        store: Where the keys lie.
        backends: What keeps tenants' keys.
        tenant_id: Whose.
        domain: Which ones.
        batch: How many rows one transaction moves.
        idle: How long to rest after each batch, as a part of the time that it took.
        progress: Is told after each batch.
    """

    def __init__(
        self,
        store: KeyStore,
        backends: Backends,
        tenant_id: UUID,
        domain: Domain,
        *,
        batch: int = _BATCH,
        idle: float = 0.0,
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._backends = backends
        self._tenant_id = tenant_id
        self._domain: Domain = domain
        self._key = TenantKey(tenant_id, domain)
        self._batch = batch
        self._idle = idle
        self._progress = progress
        self._outcome = Outcome(domain=domain)

    async def run(self, *, for_s: float | None = None) -> Outcome:
        """Work until nothing is left, or for so long.

        Raises:
            errors.KeysUnavailable: The key store or a backend is away; what was done stays done.
            SealBroken: An epoch or a key doesn't open, which is a defect or somebody's tampering.
        """
        ENGINE.refuse_nesting()
        deadline = None if for_s is None else time.monotonic() + for_s
        while True:
            epochs = await self._epochs()
            if not epochs:
                return self._outcome
            newest = epochs[-1]
            self._outcome.epoch = newest.number
            await self._wrap_anew(epochs)
            self._outcome.left = await self._waiting(epochs[:-1])
            if not await self._move(epochs, deadline):
                return self._outcome
            # Also where others have moved what was counted before.
            self._outcome.left = 0
            # A newer epoch may have come meanwhile.
            if [each.id for each in (await self._epochs())[-1:]] == [newest.id]:
                break
        async with self._store.tx() as connection:
            await connection.execute(upkeep_queries.LOCK_HIERARCHY, str(self._tenant_id), self._domain)
            gone = await connection.fetch(
                upkeep_queries.DELETE_EMPTY_EPOCHS, self._tenant_id, self._domain, newest.number
            )
        self._outcome.retired_epochs = sorted(row["number"] for row in gone)
        return self._outcome

    async def has_to_let_go(self) -> bool:
        """Tell whether there are versions of the tenant's key that no epoch needs, whoever has seen to that.

        Raises:
            errors.KeysUnavailable: The key store or a backend is away.
        """
        return bool(await self._unneeded())

    async def let_go(self) -> Outcome:
        """Destroy the versions of the tenant's key that no epoch needs, ``GRACE_S`` after ``run`` has ended.

        Raises:
            errors.KeysUnavailable: The key store or a backend is away; trying again later does it.
        """
        for name, least in (await self._unneeded()).items():
            await self._backends.named(name).retire(self._key, least)
            self._outcome.retired_below[name] = least
        return self._outcome

    async def _unneeded(self) -> dict[BackendName, int]:
        """Return the backends that have versions which no epoch needs, with the least that one does."""
        async with self._store.tx() as connection:
            # Epochs that come from now on are wrapped by a version no older than these.
            await connection.execute(upkeep_queries.LOCK_HIERARCHY, str(self._tenant_id), self._domain)
            rows = await connection.fetch(upkeep_queries.LEAST_VERSIONS, self._tenant_id, self._domain)
        named = {msgspec.convert(row["backend"], BackendName): int(row["least"]) for row in rows}
        return {
            name: least
            for name, least in named.items()
            if (await self._backends.named(name).versions(self._key)).least < least
        }

    async def _epochs(self) -> list[_Epoch]:
        rows = await self._store.fetch(upkeep_queries.EPOCHS, self._tenant_id, self._domain)
        return [
            _Epoch(
                row["id"],
                row["number"],
                msgspec.convert(row["backend"], BackendName),
                Wrapped(row["key_version"], row["wrapped"]),
            )
            for row in rows
        ]

    async def _waiting(self, former: Sequence[_Epoch]) -> int:
        rows = await self._store.fetch(upkeep_queries.WAITING, self._tenant_id, [each.id for each in former])
        return int(rows[0]["waiting"])

    def _bound(self, epoch_id: UUID) -> bytes:
        return rules.bound_epoch(self._tenant_id, self._domain, epoch_id)

    async def _wrap_anew(self, epochs: Sequence[_Epoch]) -> None:
        """Have every epoch wrapped by the newest version of the tenant's key, each in its backend."""
        for name in dict.fromkeys(each.backend for each in epochs):
            backend = self._backends.named(name)
            latest = (await backend.versions(self._key)).latest
            old = [each for each in epochs if each.backend == name and each.wrapped.version < latest]
            anew = await backend.rewrap(self._key, [(each.wrapped, self._bound(each.id)) for each in old])
            for epoch, wrapped in zip(old, anew, strict=True):
                await self._store.execute(
                    upkeep_queries.REWRAP_EPOCH,
                    self._tenant_id, epoch.id, epoch.wrapped.version, wrapped.version, wrapped.data,
                )  # fmt: skip

    async def _unwrapped(self, epoch: _Epoch) -> bytes | None:
        """Return an epoch's key; None where another process that does the same has meanwhile retired it, empty."""
        # What was wrapped anew a moment ago may have been by another process, so the row says what holds.
        now = next((each for each in await self._epochs() if each.id == epoch.id), None)
        if now is None:
            return None
        return await self._backends.named(now.backend).unwrap(self._key, now.wrapped, self._bound(now.id))

    async def _move(self, epochs: Sequence[_Epoch], deadline: float | None) -> bool:
        """Move all keys to the newest epoch, and tell whether none is left."""
        former = epochs[:-1]
        if not self._outcome.left:
            return True
        newest = epochs[-1]
        if (to := await self._unwrapped(newest)) is None:
            return True
        for epoch in former:
            if (key := await self._unwrapped(epoch)) is None:
                continue
            opened = _Pair(epoch.id, newest.id, key, to)
            for kind in (_SUBJECTS, _PURPOSES):
                if not await self._drain(kind, opened, deadline):
                    return False
        return True

    async def _drain(self, kind: "_Kind", pair: "_Pair", deadline: float | None) -> bool:
        """Move batch after batch, from the first key to the last, and again for those that others had locked."""
        after = _NIL
        while True:
            if deadline is not None and time.monotonic() > deadline:
                return False
            began = time.monotonic()
            moved = await self._move_batch(kind, pair, after)
            if moved:
                after = moved[-1]
                await asyncio.sleep(self._idle * (time.monotonic() - began))
                self._outcome.moved += len(moved)
                self._outcome.left = max(0, self._outcome.left - len(moved))
                if self._progress is not None:
                    self._progress(self._outcome.moved, self._outcome.left)
            elif after != _NIL:
                after = _NIL
            elif (await self._store.fetch(kind.remain, self._tenant_id, pair.former))[0]["remain"]:
                await asyncio.sleep(_AGAIN_S)
            else:
                return True

    async def _move_batch(self, kind: "_Kind", pair: "_Pair", after: UUID) -> list[UUID]:
        """Move some keys, and return their ids in order."""
        async with self._store.tx() as connection:
            rows = await connection.fetch(kind.select, self._tenant_id, pair.former, after, self._batch)
            if not rows:
                return []
            bind = functools.partial(kind.bound, self._tenant_id, self._domain)
            wrapped = [pair.rewrapped(row["wrapped"], *(bind(each, row) for each in pair.epochs)) for row in rows]
            moved = [row["id"] for row in rows]
            await connection.execute(kind.move, self._tenant_id, pair.newest, moved, wrapped)
            return moved


class _Pair(msgspec.Struct, frozen=True):
    """Two epochs with their keys: from which and to which keys are moved."""

    former: UUID
    newest: UUID
    former_key: bytes
    newest_key: bytes

    @property
    def epochs(self) -> tuple[UUID, UUID]:
        """Return their ids."""
        return self.former, self.newest

    def rewrapped(self, wrapped: bytes, bound_to: bytes, bind_to: bytes) -> bytes:
        """Return a key as it lies under the newest epoch, which lay under the former one."""
        plain = rules.unseal(self.former_key, wrapped, bound_to)
        return rules.seal(self.newest_key, plain, bind_to, nonce=secrets.token_bytes(NONCE_BYTES))


class _Kind(msgspec.Struct, frozen=True):
    """A kind of keys that lie under epochs.

    Attributes:
        select: Locks some of them.
        move: Moves these.
        remain: Tells whether there are any.
        bound: To what one of them is bound.
    """

    select: str
    move: str
    remain: str
    bound: Callable[[UUID, Domain, UUID, Any], bytes]


def _bound_subject(tenant_id: UUID, domain: Domain, epoch_id: UUID, row: asyncpg.Record) -> bytes:
    return rules.bound_subject_key(tenant_id, domain, epoch_id, row["subject_id"], row["id"])


def _bound_purpose(tenant_id: UUID, domain: Domain, epoch_id: UUID, row: asyncpg.Record) -> bytes:
    return rules.bound_purpose_key(
        tenant_id, domain, epoch_id, purpose=row["purpose"], version=row["version"], key_id=row["id"]
    )


_SUBJECTS: Final = _Kind(upkeep_queries.BATCH, upkeep_queries.MOVE, upkeep_queries.SUBJECTS_REMAIN, _bound_subject)
_PURPOSES: Final = _Kind(
    upkeep_queries.PURPOSE_BATCH, upkeep_queries.PURPOSE_MOVE, upkeep_queries.PURPOSES_REMAIN, _bound_purpose
)
