"""Seals and opens for tenants: finds the keys, makes those that aren't there, and keeps them for a while.

What is cached was read from the key store within ``Limits.keep_s``, and none of it has been evicted since: what is read
while an eviction comes in is read again. A key that two processes want to make at once is made once, for the key store
takes only one current key per subject.
"""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Final, Protocol, cast
from uuid import UUID

import asyncpg
import msgspec
import structlog

from billfold import errors, ids
from billfold_server.db.engine import ENGINE
from billfold_server.keys import queries, rules
from billfold_server.keys.backends import Health, Reason, TenantKey, Wrapped
from billfold_server.keys.backends.registry import Backends
from billfold_server.keys.cache import Bounded, Limits, OpenKey
from billfold_server.keys.evictions import Evictions
from billfold_server.keys.rules import MOST_SEALS, TENANT_SUBJECT, Domain, SealBroken, key_id_of
from billfold_server.keys.sealing import Fingerprinter, Opener, Sealer
from billfold_server.keys.store import KeyStore

__all__ = ["PLATFORM_KEYS", "KeyOwner", "Keys"]

_log = structlog.stdlib.get_logger("billfold.keys")

_LOOK_S: Final = 5.0
_ROUNDS: Final = 8
"""How often keys are looked for anew before we give up. Each round needs somebody else in the way of the one before."""
_TOLD_S: Final = 900.0
"""For how long it is told that a tenant's keys didn't open. Whoever needs them tries again by then."""


class _Epoch(msgspec.Struct, frozen=True):
    """An epoch's key, opened."""

    id: UUID
    tenant_id: UUID
    key: bytes

    def __repr__(self) -> str:
        return f"_Epoch({self.id})"


class KeyOwner(Protocol):
    """Whose keys: a tenant, or the platform."""

    @property
    def id(self) -> UUID:
        """The tenant's id."""


class _Platform(msgspec.Struct, frozen=True):
    id: UUID


PLATFORM_KEYS: Final[KeyOwner] = _Platform(UUID("b111f01d-0000-7000-8000-000000000000"))
"""As whom the platform has keys, which belongs to no tenant."""


class _Purpose(msgspec.Struct, frozen=True):
    """What makes a tenant's fingerprints for a purpose."""

    tenant_id: UUID
    fingerprinter: Fingerprinter


class Keys:
    """Seals and opens for every tenant, in one process and one domain.

    Args:
        store: Where wrapped keys lie.
        backends: What wraps the keys of epochs.
        domain: Whose keys.
        limits: What bounds the caches.
        monotonic: A clock that doesn't jump.
    """

    def __init__(
        self,
        store: KeyStore,
        backends: Backends,
        *,
        domain: Domain = "data",
        limits: Limits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.backends = backends
        self.domain: Domain = domain
        self.limits = limits = limits or Limits()
        self.counts: Counter[str] = Counter()
        self.awaiting_rewrap = 0
        self.failures: Counter[str] = Counter()
        self.standing = Health(ok=True)
        self._monotonic = monotonic
        self._unopened: dict[UUID, tuple[UUID, float]] = {}
        self.evictions = Evictions(store, self, stale_s=limits.stale_s, monotonic=monotonic)
        self._keys: Bounded[UUID, OpenKey] = Bounded(limits.keys, limits.keep_s, monotonic)
        self._current: Bounded[tuple[UUID, UUID], OpenKey] = Bounded(limits.keys, limits.keep_s, monotonic)
        self._forgotten: Bounded[tuple[UUID, UUID], UUID] = Bounded(limits.keys, limits.keep_s, monotonic)
        self._epochs: Bounded[UUID, _Epoch] = Bounded(limits.epochs, limits.keep_s, monotonic)
        self._newest: Bounded[UUID, _Epoch] = Bounded(limits.epochs, limits.keep_s, monotonic)
        self._purposes: Bounded[tuple[UUID, str], _Purpose] = Bounded(limits.epochs, limits.keep_s, monotonic)
        self._caches: tuple[Bounded[Any, Any], ...] = (
            self._keys,
            self._current,
            self._epochs,
            self._newest,
            self._purposes,
        )
        self._under_way: dict[Any, asyncio.Task[Any]] = {}
        self._evicted = 0

    async def sealer(self, tenant: KeyOwner, subject: UUID = TENANT_SUBJECT, *, seals: int = 1) -> Sealer:
        """Return what seals under a subject's key, which is made where there is none.

        Args:
            tenant: Whose data.
            subject: A party's id, or the tenant's own.
            seals: How many values it will seal at most.

        Raises:
            errors.SubjectForgotten: The subject was forgotten, and has no key any more.
            errors.KeysUnavailable: The key store or the backend is away.
        """
        return (await self.sealers(tenant, (subject,), seals=seals))[subject]

    async def sealers(self, tenant: KeyOwner, subjects: Collection[UUID], *, seals: int = 1) -> dict[UUID, Sealer]:
        """Return what seals for each of some subjects, by one query for all that aren't cached.

        Args:
            tenant: Whose data.
            subjects: Parties' ids.
            seals: How many values each will seal at most.

        Raises:
            errors.SubjectForgotten: One of them was forgotten; ``subject_id`` is which.
            errors.KeysUnavailable: The key store or the backend is away.
        """
        await self._begin()
        found: dict[UUID, Sealer] = {}
        missing = list(dict.fromkeys(subjects))
        for _ in range(_ROUNDS):
            missing = [subject for subject in missing if not self._take(tenant.id, subject, seals, found)]
            if not missing:
                return found
            await self._once(tenant.id, missing, lambda some: self._reserve(tenant.id, some, seals))
        raise _busy()

    async def opener(self, tenant: KeyOwner, sealed: Iterable[bytes]) -> Opener:
        """Return what opens some values, by one query for all keys that aren't cached.

        Args:
            tenant: Whose data.
            sealed: The values; what is none at all fails when it is opened, and doesn't hold up the others.

        Raises:
            errors.KeysUnavailable: The key store or the backend is away.
        """
        await self._begin()
        wanted = _ids_in(sealed)
        known: dict[UUID, OpenKey | None] = {}
        for _ in range(_ROUNDS):
            missing = [each for each in wanted if each not in known and not self._find(tenant.id, each, known)]
            if not missing:
                return Opener(tenant.id, self.domain, known)
            before = self._evicted
            rows = await self._asked(queries.KEYS_BY_ID, tenant.id, self.domain, missing)
            loaded = await self._open_all(tenant.id, rows)
            if before == self._evicted:
                known |= loaded
                # What the key store doesn't have is no key of this tenant and domain.
                wanted = list(known)
        raise _busy()

    async def opener_of(self, tenant: KeyOwner) -> Opener:
        """Return what opens whatever is sealed for nobody in particular, before it is known what that will be.

        It is for values that are read and used in one transaction. Each call costs a query.

        Raises:
            errors.KeysUnavailable: The key store or the backend is away.
        """
        await self._begin()
        for _ in range(_ROUNDS):
            before = self._evicted
            rows = await self._asked(queries.KEYS_OF_SUBJECT, tenant.id, self.domain, TENANT_SUBJECT)
            loaded = await self._open_all(tenant.id, rows)
            if before == self._evicted:
                return Opener(tenant.id, self.domain, loaded)
        raise _busy()

    async def fingerprinter(self, tenant: KeyOwner, purpose: str) -> Fingerprinter:
        """Return what makes fingerprints for a purpose, whose key is made where there is none.

        Raises:
            errors.KeysUnavailable: The key store or the backend is away.
        """
        await self._begin()
        for _ in range(_ROUNDS):
            if (found := self._purposes.get((tenant.id, purpose))) is not None:
                self.counts["hits"] += 1
                return found.fingerprinter
            await self._once(tenant.id, [purpose], lambda _: self._read_purpose(tenant.id, purpose))
        raise _busy()

    async def rotate_purpose(self, tenant: KeyOwner, purpose: str) -> int:
        """Give a purpose a new key, and return its version. Older ones are for looking up from now on."""
        await self._begin()
        newest = (await self.fingerprinter(tenant, purpose)).digests(b"")[0].version
        await self._make_purpose(tenant.id, purpose, newest + 1)
        await self.store.tell(tenant.id)
        self.evict(tenant.id, None)
        return newest + 1

    async def forget(self, tenant: KeyOwner, subjects: Collection[UUID], *, reason: str) -> None:
        """Destroy all keys of some subjects in every domain, for good; every process drops them within seconds.

        Raises:
            errors.KeysUnavailable: The key store is away, and nothing was done.
        """
        assert TENANT_SUBJECT not in subjects, "a tenant is forgotten as a whole"
        ENGINE.refuse_nesting()
        await self.store.forget(tenant.id, subjects, reason)
        for subject in subjects:
            self.evict(tenant.id, subject)

    async def forget_tenant(self, tenant: KeyOwner) -> None:
        """Destroy all keys of a tenant, for good."""
        ENGINE.refuse_nesting()
        await self.store.forget_tenant(tenant.id)
        self.evict(tenant.id, None)

    async def run(self) -> None:
        """Follow what is forgotten elsewhere, and whether keys are in reach, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.evictions.run())
            while True:
                await self.look()
                await asyncio.sleep(_LOOK_S)

    async def look(self) -> Health:
        """See whether the key store and the backend that wraps what is new answer, and note it as ``standing``."""
        try:
            await self.store.fetch(queries.HEAD)
        except errors.KeysUnavailable as error:
            self.standing = Health(ok=False, reason=cast("Reason", error.reason))
        else:
            self.standing = await self.backends.current.health()
        return self.standing

    def warnings(self) -> list[str]:
        """Return what monitoring should know, in a sentence: that keys don't open by what is to have wrapped them.

        A keyring or Vault may answer as ever, and be another one, or be from before the newest of its keys.
        """
        since = self._monotonic() - _TOLD_S
        self._unopened = {epoch: told for epoch, told in self._unopened.items() if told[1] > since}
        if not self._unopened:
            return []
        # Of one tenant, some may open, as those of before, and others not.
        number = len({owner for owner, _ in self._unopened.values()})
        return [f"the keys of {number} tenant(s) don't open by what wraps them; billfold doctor says what is lacking"]

    async def close(self) -> None:
        """Give back what it holds."""
        for task in list(self._under_way.values()):
            task.cancel()
        await self.backends.close()
        await self.store.close()

    def evict(self, tenant_id: UUID, subject_id: UUID | None) -> None:
        """Drop a subject's keys, or (None) all of a tenant's."""
        self._evicted += 1
        self.counts["evictions"] += 1
        if subject_id is not None:
            self._current.drop([(tenant_id, subject_id)])
            self._keys.drop_where(lambda key: key.subject_id == subject_id and key.tenant_id == tenant_id)
            return
        for each in self._caches:
            each.drop_where(lambda entry: entry.tenant_id == tenant_id)

    def evict_all(self) -> None:
        """Drop every key."""
        self._evicted += 1
        for each in self._caches:
            each.clear()

    async def _begin(self) -> None:
        """See that no transaction waits for what we may have to ask, and that what is cached still counts."""
        ENGINE.refuse_nesting()
        if not self.evictions.fresh:
            await self.evictions.catch_up()

    def _take(self, tenant_id: UUID, subject_id: UUID, seals: int, found: dict[UUID, Sealer]) -> bool:
        """Make a sealer of what is cached, if that has enough seals left."""
        at = (tenant_id, subject_id)
        key = self._current.get(at)
        if key is None:
            if self._forgotten.get(at) is not None:
                raise errors.SubjectForgotten(subject_id=str(subject_id))
            return False
        if key.bytes_left <= 0:
            # A copy that has sealed so many bytes is read anew.
            self._current.drop([at])
            self._keys.drop([key.id])
            return False
        if key.seals < seals:
            return False
        key.seals -= seals
        self.counts["hits"] += 1
        self.counts["seals"] += seals
        found[subject_id] = Sealer(key, self.domain, seals)
        return True

    def _find(self, tenant_id: UUID, key_id: UUID, known: dict[UUID, OpenKey | None]) -> bool:
        """Take a key out of the cache."""
        key = self._keys.get(key_id)
        if key is None or key.tenant_id != tenant_id:
            return False
        self.counts["hits"] += 1
        known[key_id] = key
        return True

    async def _once(
        self, tenant_id: UUID, wanted: Sequence[Any], work: Callable[[list[Any]], Coroutine[Any, Any, None]]
    ) -> None:
        """Do work for what nobody works for yet, and wait for it and for what others do."""
        waited = {task for each in wanted if (task := self._under_way.get((tenant_id, each))) is not None}
        mine = [each for each in wanted if (tenant_id, each) not in self._under_way]
        if mine:
            task = asyncio.create_task(work(mine))
            for each in mine:
                self._under_way[tenant_id, each] = task
            task.add_done_callback(lambda done: self._done(tenant_id, mine, done))
            waited.add(task)
        for task in waited:
            # Whoever asked first may go away; the others still wait for it.
            await asyncio.shield(task)

    def _done(self, tenant_id: UUID, wanted: Sequence[Any], task: asyncio.Task[None]) -> None:
        for each in wanted:
            del self._under_way[tenant_id, each]
        # All who waited may have gone, and an error that nobody looks at would be logged.
        error = None if task.cancelled() else task.exception()
        if isinstance(error, errors.KeysUnavailable):
            self.failures[str(error.reason)] += 1

    async def _reserve(self, tenant_id: UUID, subjects: Sequence[UUID], seals: int) -> None:
        """Cache the current keys of subjects with seals that are ours, and make those that are missing or spent."""
        before = self._evicted
        cached = {subject: self._current.get((tenant_id, subject)) for subject in subjects}
        amount = max(seals, *(self._next_amount(key) for key in cached.values()))
        self.counts["loads"] += 1
        rows = await self.store.fetch(queries.RESERVE, tenant_id, self.domain, subjects, amount, MOST_SEALS)
        opened = {
            row["id"]: await self._opened(tenant_id, row) for row in rows if not (row["forgotten"] or row["spent"])
        }
        if before != self._evicted:
            return
        for row in rows:
            at = (tenant_id, row["subject_id"])
            if row["forgotten"]:
                self._forgotten.put(at, row["id"])
            elif not row["spent"]:
                self._put_current(opened[row["id"]], amount)
        for row in rows:
            if row["spent"] and not row["forgotten"]:
                await self._make_next(tenant_id, row["subject_id"], row["id"])
        if absent := sorted(set(subjects) - {row["subject_id"] for row in rows}):
            await self._make_first(tenant_id, absent, amount)

    def _next_amount(self, key: OpenKey | None) -> int:
        """Return how many seals to reserve: the more often, the more at once."""
        if key is None:
            return self.limits.first_seals
        return min(8 * key.reserved, self.limits.most_seals)

    def _put_current(self, key: OpenKey, amount: int) -> None:
        at = (key.tenant_id, key.subject_id)
        known = self._current.get(at)
        if known is not None and known.id == key.id and known.bytes_left > 0:
            known.seals += amount
            known.reserved = amount
            return
        key.seals = key.reserved = amount
        self._current.put(at, key)
        self._keys.put(key.id, key)

    async def _make_first(self, tenant_id: UUID, subjects: Sequence[UUID], amount: int) -> None:
        """Make the first keys of subjects; where somebody else has made one meanwhile, that is it."""
        before = self._evicted
        epoch = await self._newest_epoch(tenant_id)
        made = [self._new_key(tenant_id, subject) for subject in subjects]
        wrapped = [self._wrapped(epoch, key_id, subject, plain) for key_id, subject, plain in made]
        key_ids = [key_id for key_id, _, _ in made]
        try:
            rows = await self.store.fetch(
                queries.INSERT_SUBJECT_KEYS, tenant_id, self.domain, epoch.id, key_ids, subjects, wrapped, amount
            )
        except asyncpg.ForeignKeyViolationError:
            # The epoch has been retired since we have read it; the next round takes the one that is there now.
            self._newest.drop([tenant_id])
            return
        if before == self._evicted:
            ours = {row["id"] for row in rows}
            for key_id, subject, plain in made:
                if key_id in ours:
                    self._put_current(self._open_key(key_id, tenant_id, subject, plain), amount)

    async def _make_next(self, tenant_id: UUID, subject_id: UUID, spent_id: UUID) -> None:
        """Make the next generation of a key that has sealed as much as it may."""
        epoch = await self._newest_epoch(tenant_id)
        key_id, _, plain = self._new_key(tenant_id, subject_id)
        wrapped = self._wrapped(epoch, key_id, subject_id, plain)
        self._current.drop([(tenant_id, subject_id)])
        try:
            await self.store.execute(
                queries.INSERT_NEXT_GENERATION, tenant_id, self.domain, spent_id, key_id, epoch.id, wrapped
            )
        except asyncpg.ForeignKeyViolationError:
            self._newest.drop([tenant_id])

    def _new_key(self, tenant_id: UUID, subject_id: UUID) -> tuple[UUID, UUID, bytes]:
        del tenant_id
        return ids.uuid7(), subject_id, secrets.token_bytes(rules.KEY_BYTES)

    def _wrapped(self, epoch: _Epoch, key_id: UUID, subject_id: UUID, plain: bytes) -> bytes:
        bound_to = rules.bound_subject_key(epoch.tenant_id, self.domain, epoch.id, subject_id, key_id)
        return rules.seal(epoch.key, plain, bound_to, nonce=secrets.token_bytes(rules.NONCE_BYTES))

    def _open_key(self, key_id: UUID, tenant_id: UUID, subject_id: UUID, plain: bytes) -> OpenKey:
        return OpenKey(key_id, tenant_id, subject_id, plain, bytes_left=self.limits.key_bytes)

    async def _asked(self, sql: str, *arguments: object) -> list[Any]:
        """Return rows of the key store, and count that they were asked for."""
        self.counts["loads"] += 1
        return await self.store.fetch(sql, *arguments)

    async def _open_all(self, tenant_id: UUID, rows: Sequence[Any]) -> dict[UUID, OpenKey | None]:
        """Open and cache keys as the key store has them; None stands for the key of a forgotten subject."""
        before = self._evicted
        try:
            loaded = {row["id"]: None if row["wrapped"] is None else await self._opened(tenant_id, row) for row in rows}
        except errors.KeysUnavailable as error:
            self.failures[str(error.reason)] += 1
            raise
        if before == self._evicted:
            for key in loaded.values():
                if key is not None:
                    self._keys.put(key.id, key)
        return loaded

    async def _opened(self, tenant_id: UUID, row: Any) -> OpenKey:
        """Open a subject's key as the key store has it."""
        if (cached := self._keys.get(row["id"])) is not None and cached.tenant_id == tenant_id:
            return cached
        epoch = await self._epoch(tenant_id, row)
        bound_to = rules.bound_subject_key(tenant_id, self.domain, epoch.id, row["subject_id"], row["id"])
        try:
            plain = rules.unseal(epoch.key, row["wrapped"], bound_to)
        except SealBroken:
            raise _unopenable("a subject's key", row["id"]) from None
        return self._open_key(row["id"], tenant_id, row["subject_id"], plain)

    async def _epoch(self, tenant_id: UUID, row: Any) -> _Epoch:
        """Return the epoch that a row names, opened by its backend where it isn't cached."""
        for _ in range(_ROUNDS):
            known = self._epochs.get(row["epoch_id"])
            if known is not None and known.tenant_id == tenant_id:
                return known
            await self._once(tenant_id, [row["epoch_id"]], lambda _: self._open_epoch(tenant_id, row))
        raise _busy()

    async def _open_epoch(self, tenant_id: UUID, row: Any) -> None:
        epoch_id = row["epoch_id"]
        wrapped = Wrapped(row["key_version"], row["epoch_wrapped"])
        bound_to = rules.bound_epoch(tenant_id, self.domain, epoch_id)
        self.counts["backend_calls"] += 1
        try:
            key = await self.backends.named(row["backend"]).unwrap(TenantKey(tenant_id, self.domain), wrapped, bound_to)
        except SealBroken:
            self._unopened[epoch_id] = tenant_id, self._monotonic()
            self.failures["unopened"] += 1
            raise _unopenable("an epoch's key", epoch_id) from None
        self._unopened.pop(epoch_id, None)
        self._epochs.put(epoch_id, _Epoch(epoch_id, tenant_id, key))

    async def _newest_epoch(self, tenant_id: UUID) -> _Epoch:
        """Return the epoch under which new keys are wrapped, and make a tenant's first."""
        if (known := self._newest.get(tenant_id)) is not None:
            return known
        for _ in range(2):
            before = self._evicted
            rows = await self.store.fetch(queries.CURRENT_EPOCH, tenant_id, self.domain)
            if rows:
                epoch = await self._epoch(tenant_id, rows[0])
                if before == self._evicted:
                    self._newest.put(tenant_id, epoch)
                return epoch
            await self._make_epoch(tenant_id)
        raise _busy()

    async def _make_epoch(self, tenant_id: UUID) -> None:
        """Make a tenant's next epoch, unless somebody else makes it at the same time."""
        backend, key, epoch_id = self.backends.current, TenantKey(tenant_id, self.domain), ids.uuid7()
        self.counts["backend_calls"] += 2
        await backend.ensure(key)
        plain = secrets.token_bytes(rules.KEY_BYTES)
        wrapped = await backend.wrap(key, plain, rules.bound_epoch(tenant_id, self.domain, epoch_id))
        await self.store.execute(
            queries.INSERT_EPOCH, tenant_id, epoch_id, self.domain, backend.name, wrapped.version, wrapped.data
        )

    async def _read_purpose(self, tenant_id: UUID, purpose: str) -> None:
        before = self._evicted
        self.counts["loads"] += 1
        rows = await self.store.fetch(queries.PURPOSE_KEYS, tenant_id, self.domain, purpose)
        if not rows or rows[0]["lost"]:
            await self._make_purpose(tenant_id, purpose, 1 + max((row["version"] for row in rows), default=0))
            return
        opened = []
        for row in (row for row in rows if not row["lost"]):
            epoch = await self._epoch(tenant_id, row)
            bound_to = _bound_purpose(epoch, self.domain, purpose, row["version"], row["id"])
            try:
                opened.append((row["version"], rules.unseal(epoch.key, row["wrapped"], bound_to)))
            except SealBroken:
                raise _unopenable("a purpose's key", row["id"]) from None
        if before == self._evicted:
            self._purposes.put((tenant_id, purpose), _Purpose(tenant_id, Fingerprinter(opened)))

    async def _make_purpose(self, tenant_id: UUID, purpose: str, version: int) -> None:
        plain = secrets.token_bytes(rules.KEY_BYTES)
        for _ in range(_ROUNDS):
            epoch, key_id = await self._newest_epoch(tenant_id), ids.uuid7()
            bound_to = _bound_purpose(epoch, self.domain, purpose, version, key_id)
            wrapped = rules.seal(epoch.key, plain, bound_to, nonce=secrets.token_bytes(rules.NONCE_BYTES))
            try:
                await self.store.execute(
                    queries.INSERT_PURPOSE_KEY, tenant_id, key_id, self.domain, purpose, version, epoch.id, wrapped
                )
            except asyncpg.ForeignKeyViolationError:
                # The epoch has been retired since we have read it; the next round takes the one that is there now.
                self._newest.drop([tenant_id])
            else:
                return
        raise _busy()


def _bound_purpose(epoch: _Epoch, domain: Domain, purpose: str, version: int, key_id: UUID) -> bytes:
    return rules.bound_purpose_key(epoch.tenant_id, domain, epoch.id, purpose=purpose, version=version, key_id=key_id)


def _ids_in(sealed: Iterable[bytes]) -> list[UUID]:
    """Return which keys values name, each once; what isn't sealed at all names none."""
    found: dict[UUID, None] = {}
    for each in sealed:
        with contextlib.suppress(SealBroken):
            found[key_id_of(each)] = None
    return list(found)


def _busy() -> errors.KeysUnavailable:
    msg = "the keys are not available at the moment"
    return errors.KeysUnavailable(msg, reason="failing", retry_after_s=1)


def _unopenable(what: str, key_id: UUID) -> errors.KeysUnavailable:
    """Note what was made by another keyring or Vault, or was changed; bringing that back is all that helps."""
    _log.error("a key doesn't open by what wraps it", what=what, key=str(key_id))
    return _busy()
