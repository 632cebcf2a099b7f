"""What the decryptor does with an order: opens, checks, seals, and makes masks and fingerprints.

Nothing of it is kept but the codes of cards (``cvcs``) and opened keys, and no answer says what was in an item.
"""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from billfold import errors
from billfold.clock import Clock
from billfold_server.decryptor import jwe, pairs, values, wire
from billfold_server.decryptor.cvcs import Cvcs, uptime
from billfold_server.decryptor.jwe import Recipient
from billfold_server.decryptor.pairs import Opened
from billfold_server.decryptor.rules import KeyTimes
from billfold_server.decryptor.values import Asked, No, Read
from billfold_server.decryptor.wire import (
    EncryptionKey,
    FingerprintsMade,
    Given,
    GivenOut,
    Incoming,
    Kind,
    Outgoing,
    PublicKeysShown,
    Refused,
    SealedKey,
    StatusTold,
    Taken,
    TakenIn,
)
from billfold_server.keys.service import Fingerprint, Fingerprinter, Keys, Opener, Place, SealBroken, Sealer

__all__ = ["Handling"]

T = TypeVar("T")

_AT_A_TIME: Final = 16
"""After how many items others get their turn, which is after about two milliseconds."""
_OPENED_S: Final = 300.0
_MOST_OPENED: Final = 4_000


class _Tenant(msgspec.Struct, frozen=True):
    """Whose keys."""

    id: UUID


class Handling:
    """Carries out orders.

    Args:
        keys: The key service, for the domain ``cards``.
        clock: The real clock.
        cvcs: Where codes are kept.
        memory_locked: Whether the process stays out of the swap.
        vault_calls: Where calls to Vault are counted, by what was asked and how it went, until somebody is told.
    """

    def __init__(
        self,
        keys: Keys,
        clock: Clock,
        cvcs: Cvcs,
        *,
        memory_locked: bool = False,
        vault_calls: Counter[tuple[str, str]] | None = None,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._cvcs = cvcs
        self._memory_locked = memory_locked
        self._opened: dict[tuple[UUID, SealedKey], Opened] = {}
        self._items: Counter[str] = Counter()
        self._seconds: dict[str, float] = {}
        self._vault_calls: Counter[tuple[str, str]] = Counter() if vault_calls is None else vault_calls

    async def do(self, order: wire.Order, *, waiting: int = 0) -> wire.Answer:  # noqa: PLR0911 - One for each kind.
        """Carry out an order.

        Raises:
            errors.KeysUnavailable: Keys can't be had for now.
        """
        match order:
            case wire.TakeIn():
                return TakenIn(await self._take_in(order))
            case wire.GiveOut():
                return GivenOut(await self._give_out(order))
            case wire.Fingerprints():
                return FingerprintsMade(await self._fingerprints(order))
            case wire.Refingerprint():
                return FingerprintsMade(await self._refingerprint(order))
            case wire.PublicKeys():
                return await self._public_keys(order)
            case wire.MakeKey():
                return await self._make_key(order)
            case wire.Status():
                return self._status(waiting)

    async def _make_key(self, order: wire.MakeKey) -> EncryptionKey:
        sealer = await self._keys.sealer(_Tenant(order.tenant_id))
        with self._spending("make_key", 1):
            return pairs.make(sealer, order.generation, self._clock.now())

    async def _public_keys(self, order: wire.PublicKeys) -> PublicKeysShown:
        opened = await self._open_keys(order.tenant_id, order.keys)
        now = self._clock.now()
        found = sorted(opened.values(), key=lambda each: each.generation, reverse=True)
        return PublicKeysShown(
            [pairs.public_key(each) for each in found if now < each.not_after],
            [
                KeyTimes(generation=each.generation, created_at=each.created_at, not_after=each.not_after)
                for each in found
            ],
        )

    async def _open_keys(self, tenant_id: UUID, sealed: Sequence[SealedKey]) -> dict[str, Opened]:
        """Return those pairs that are a tenant's own, by ``kid``; what others have written opens nothing."""
        now = uptime()
        found: dict[str, Opened] = {}
        unknown: list[SealedKey] = []
        for each in sealed:
            opened = self._opened.get((tenant_id, each))
            if opened is not None and now - opened.opened_at < _OPENED_S:
                found[opened.kid] = opened
            elif each.sealed_private is not None:
                unknown.append(each)
        if not unknown:
            return found
        opener = await self._keys.opener(_Tenant(tenant_id), [each.sealed_private or b"" for each in unknown])
        if len(self._opened) > _MOST_OPENED:
            self._opened.clear()
        for each in unknown:
            with contextlib.suppress(SealBroken, errors.SubjectForgotten, ValueError, msgspec.MsgspecError):
                opened = pairs.open_pair(opener, each, now)
                self._opened[tenant_id, each] = found[opened.kid] = opened
        return found

    async def _asked(self, order: wire.TakeIn | wire.Fingerprints, *, with_keys: bool) -> Asked:
        return Asked(
            issuer=order.issuer,
            kids=frozenset(pairs.kid_of(each.id) for each in order.keys),
            opened=await self._open_keys(order.tenant_id, order.keys) if with_keys else {},
            now=self._clock.now(),
        )

    # In.

    async def _take_in(self, order: wire.TakeIn) -> list[Taken | Refused]:
        tenant = _Tenant(order.tenant_id)
        asked = await self._asked(order, with_keys=any(each.jwe is not None for each in order.items))
        reads: list[Read | Refused] = []
        for some in _parts(order.items):
            with self._spending("open", len(some)):
                reads += [_read_or_refuse(each, asked) for each in some]
            await _give_way(order.items)
        good = [(item, read) for item, read in zip(order.items, reads, strict=True) if isinstance(read, Read)]
        sealers = await self._sealers(tenant, Counter(item.subject for item, _ in good))
        purposes = {read.purpose for _, read in good}
        makers = {purpose: await self._keys.fingerprinter(tenant, purpose) for purpose in purposes}
        results: list[Taken | Refused] = []
        for part in _parts(list(zip(order.items, reads, strict=True))):
            with self._spending("seal", len(part)):
                results += [self._seal(tenant, item, read, sealers, makers) for item, read in part]
            await _give_way(order.items)
        return results

    async def _sealers(self, tenant: _Tenant, subjects: Mapping[UUID, int]) -> dict[UUID, Sealer]:
        """Return what seals for each subject; none for one that was forgotten."""
        if not subjects:
            return {}
        try:
            return await self._keys.sealers(tenant, list(subjects), seals=max(subjects.values()))
        except errors.SubjectForgotten:
            found: dict[UUID, Sealer] = {}
            for subject, seals in subjects.items():
                with contextlib.suppress(errors.SubjectForgotten):
                    found[subject] = await self._keys.sealer(tenant, subject, seals=seals)
            return found

    def _seal(
        self,
        tenant: _Tenant,
        item: Incoming,
        read: Read | Refused,
        sealers: Mapping[UUID, Sealer],
        makers: Mapping[str, Fingerprinter],
    ) -> Taken | Refused:
        if isinstance(read, Refused):
            return read
        sealer = sealers.get(item.subject)
        if sealer is None:
            return Refused("token_forgotten")
        sealed = sealer.seal(_place(item.token_id), values.encode(read.value))
        if read.cvc is not None:
            self._cvcs.keep(tenant.id, item.token_id, read.cvc)
        return Taken(
            sealed=sealed,
            masked=read.masked,
            fingerprints=makers[read.purpose].digests(read.normal.encode()),
            has_cvc=read.cvc is not None,
        )

    # Out.

    async def _give_out(self, order: wire.GiveOut) -> list[Given | Refused]:
        opener = await self._keys.opener(_Tenant(order.tenant_id), [each.sealed for each in order.items])
        known: dict[bytes, Recipient] = {}
        results: list[Given | Refused] = []
        for some in _parts(order.items):
            with self._spending("give_out", len(some)):
                results += [self._give(order.tenant_id, each, opener, known) for each in some]
            await _give_way(order.items)
        return results

    def _give(self, tenant_id: UUID, item: Outgoing, opener: Opener, known: dict[bytes, Recipient]) -> Given | Refused:
        try:
            key = values.response_key(item, known)
            value = _open(item, opener)
            if key is None:
                return Given(plain=values.plain(value))
        except No as no:
            return Refused(no.code)
        # The last that could be refused has passed, so no code is lost to a refusal.
        cvc = self._cvcs.take(tenant_id, item.token_id) if item.with_cvc and item.kind == "card" else None
        return Given(jwe=jwe.seal_payload(values.given(item, value, cvc), key))

    # Looking for values.

    async def _fingerprints(self, order: wire.Fingerprints) -> list[list[Fingerprint] | Refused]:
        asked = await self._asked(order, with_keys=order.kind == "card")
        maker = await self._keys.fingerprinter(
            _Tenant(order.tenant_id), values.purpose_of(order.kind, order.personal_type)
        )
        results: list[list[Fingerprint] | Refused] = []
        for some in _parts(order.values):
            with self._spending("fingerprints", len(some)):
                results += [_digests_or_refuse(order.kind, each, asked, maker) for each in some]
            await _give_way(order.values)
        return results

    async def _refingerprint(self, order: wire.Refingerprint) -> list[list[Fingerprint] | Refused]:
        tenant = _Tenant(order.tenant_id)
        opener = await self._keys.opener(tenant, [each.sealed for each in order.items])
        found: list[tuple[str, str] | Refused] = []
        for some in _parts(order.items):
            with self._spending("fingerprints", len(some)):
                found += [_normal_or_refuse(each, opener) for each in some]
            await _give_way(order.items)
        purposes = {each[0] for each in found if not isinstance(each, Refused)}
        makers = {purpose: await self._keys.fingerprinter(tenant, purpose) for purpose in purposes}
        return [each if isinstance(each, Refused) else makers[each[0]].digests(each[1].encode()) for each in found]

    # How things are.

    def _status(self, waiting: int) -> StatusTold:
        calls = [(operation, outcome, times) for (operation, outcome), times in self._vault_calls.items()]
        self._vault_calls.clear()
        return StatusTold(
            pid=os.getpid(),
            cvcs=len(self._cvcs),
            cvcs_locked=self._cvcs.locked,
            memory_locked=self._memory_locked,
            waiting=waiting,
            spent={name: (items, self._seconds.get(name, 0.0)) for name, items in self._items.items()},
            keys=self._keys.standing.reason,
            vault_calls=calls,
        )

    @contextlib.contextmanager
    def _spending(self, name: str, items: int) -> Iterator[None]:
        """Count what a stretch of arithmetic costs; nothing else runs in it."""
        began = time.thread_time()
        try:
            yield
        finally:
            self._items[name] += items
            self._seconds[name] = self._seconds.get(name, 0.0) + time.thread_time() - began


def _place(token_id: UUID) -> Place:
    return Place("vault_tokens", str(token_id), "value")


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[begin : begin + _AT_A_TIME] for begin in range(0, len(items), _AT_A_TIME))


async def _give_way(items: Sequence[object]) -> None:
    """Let others have their turn, unless this is done at once."""
    if len(items) > _AT_A_TIME:
        await asyncio.sleep(0)


def _read_or_refuse(item: Incoming, asked: Asked) -> Read | Refused:
    try:
        return values.read(item, asked)
    except No as no:
        return Refused(no.code)


def _open(item: Outgoing, opener: Opener) -> values.Value:
    try:
        return values.decode(opener.open(_place(item.token_id), item.sealed), item.kind)
    except errors.SubjectForgotten:
        raise No("token_forgotten") from None
    except SealBroken:
        raise No("token_unreadable") from None


def _normal_or_refuse(item: Outgoing, opener: Opener) -> tuple[str, str] | Refused:
    try:
        return values.normal_of(_open(item, opener))
    except No as no:
        return Refused(no.code)


def _digests_or_refuse(kind: Kind, text: str, asked: Asked, maker: Fingerprinter) -> list[Fingerprint] | Refused:
    try:
        return maker.digests(values.normal(kind, text, asked).encode())
    except No as no:
        return Refused(no.code)
