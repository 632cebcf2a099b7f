"""What other rooms ask of the decryptor, and a worker's part of it: the rows of encryption keys.

The workers of the API never hold a card number: cards come in encrypted to one of the tenant's keys and are sealed by
the decryptor, a process of its own, which gives them out encrypted to who asks. Here lies the worker's part of that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from uuid import UUID

from billfold import errors, ids
from billfold.clock import Clock
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.decryptor import queries, rules, wire
from billfold_server.decryptor.address import folder_of
from billfold_server.decryptor.client import Client
from billfold_server.decryptor.wire import (
    CODES,
    Given,
    Incoming,
    Kind,
    Outgoing,
    PublicKey,
    Refused,
    SealedKey,
    Taken,
)
from billfold_server.keys.service import Fingerprint
from billfold_server.tenancy.context import SYSTEM, TenantRef

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = [
    "CODES",
    "SECRET",
    "Client",
    "Decryptor",
    "Fingerprint",
    "Given",
    "Incoming",
    "Kind",
    "Outgoing",
    "PublicKey",
    "Refused",
    "Taken",
    "WorkersDecryptor",
    "folder_of",
]

T = TypeVar("T")
SECRET: Final = "decryptor"  # noqa: S105 - A purpose.
"""For what the secret by which both ends know each other is derived."""

_KEYS_S: Final = 30.0
_AGAIN_S: Final = 1.0
_LOOK_S: Final = 5.0
_MOST_TENANTS: Final = 2_000


class Decryptor(Protocol):
    """Takes values in and gives them out, sealed by keys that this process doesn't have.

    Nothing of it may be asked within a tenant's transaction. Each method has one result for each item, in the same
    order; only what concerns all of them is raised, and is ``errors.KeysUnavailable``.
    """

    async def take_in(self, tenant: TenantRef, incoming: Sequence[Incoming]) -> list[Taken | Refused]:
        """Open, check and seal values that are to be kept under vault tokens."""

    async def give_out(self, tenant: TenantRef, outgoing: Sequence[Outgoing]) -> list[Given | Refused]:
        """Open values, and encrypt them to who asks."""

    async def public_keys(self, tenant: TenantRef) -> list[PublicKey]:
        """Return the keys to which may be encrypted, current first. The first call makes the first one."""

    async def fingerprints(
        self, tenant: TenantRef, kind: Kind, values: Sequence[str], personal_type: str | None = None
    ) -> list[list[Fingerprint] | Refused]:
        """Return the fingerprints of values to look for, newest version of the key first.

        Args:
            tenant: Whose.
            kind: What they are.
            values: JWEs of cards, or of ``{"number": …}`` alone; accounts as JSON; personal values.
            personal_type: The type of personal values.
        """

    async def refingerprint(self, tenant: TenantRef, sealed: Sequence[Outgoing]) -> list[list[Fingerprint] | Refused]:
        """Return the fingerprints of values that are sealed already, for when the keys of fingerprints have changed."""


class _Rows:
    """A tenant's pairs of keys as this process knows them."""

    def __init__(self, found: Sequence[tuple[int, SealedKey]]) -> None:
        self.keys = [key for _, key in found]
        # Strangers' rows count, so that they can't stand in the way of a new generation.
        self.newest = max((generation for generation, _ in found), default=0)
        self.read_at = time.monotonic()

    def age_s(self) -> float:
        return time.monotonic() - self.read_at


class WorkersDecryptor:
    """The decryptor, as a worker of the API asks it.

    Args:
        client: The worker's end of the socket.
        database: Where the rows of encryption keys are.
        clock: The real clock.
        issuer_of: Returns a tenant's issuer, for which JWEs must be made.

    Attributes:
        guard: Is asked before the decryptor is, and raises ``errors.KeysUnavailable`` where that isn't to answer.
        observe: Is told what the decryptor has asked of Vault, how it went, and how often.
    """

    guard: Callable[[TenantRef], Awaitable[None]] | None = None
    observe: Callable[[str, str, int], None] | None = None

    def __init__(
        self,
        client: Client,
        database: "Database",
        clock: Clock,
        issuer_of: Callable[[TenantRef], str],
    ) -> None:
        self.client = client
        self._database = database
        self._clock = clock
        self._issuer_of = issuer_of
        self._rows: dict[UUID, _Rows] = {}

    async def take_in(self, tenant: TenantRef, incoming: Sequence[Incoming]) -> list[Taken | Refused]:
        """As ``Decryptor`` says."""
        await self._guarded(tenant)
        rows = await self._known(tenant) if any(each.jwe is not None for each in incoming) else _Rows(())
        results = await self._take_in(tenant, rows, incoming)
        unknown = [at for at, each in enumerate(results) if each == _UNKNOWN]
        # Another worker may have made a newer key; but whoever sends unknown ids can't make us look at each request.
        if unknown and rows.age_s() > _AGAIN_S:
            again = await self._take_in(tenant, await self._read(tenant), [incoming[at] for at in unknown])
            for at, result in zip(unknown, again, strict=True):
                results[at] = result
        return results

    async def _take_in(self, tenant: TenantRef, rows: _Rows, incoming: Sequence[Incoming]) -> list[Taken | Refused]:
        issuer = self._issuer_of(tenant)
        orders = [wire.TakeIn(tenant.id, issuer, rows.keys, list(part)) for part in _parts(incoming)]
        answers = await self._asked(orders)
        return [result for answer in answers if isinstance(answer, wire.TakenIn) for result in answer.results]

    async def give_out(self, tenant: TenantRef, outgoing: Sequence[Outgoing]) -> list[Given | Refused]:
        """As ``Decryptor`` says."""
        await self._guarded(tenant)
        orders = [wire.GiveOut(tenant.id, list(part)) for part in _parts(outgoing)]
        answers = await self._asked(orders)
        return [result for answer in answers if isinstance(answer, wire.GivenOut) for result in answer.results]

    async def fingerprints(
        self, tenant: TenantRef, kind: Kind, values: Sequence[str], personal_type: str | None = None
    ) -> list[list[Fingerprint] | Refused]:
        """As ``Decryptor`` says."""
        await self._guarded(tenant)
        rows = await self._known(tenant) if kind == "card" else _Rows(())
        issuer = self._issuer_of(tenant)
        return await self._digests(
            wire.Fingerprints(tenant.id, issuer, rows.keys, kind, list(part), personal_type) for part in _parts(values)
        )

    async def refingerprint(self, tenant: TenantRef, sealed: Sequence[Outgoing]) -> list[list[Fingerprint] | Refused]:
        """As ``Decryptor`` says."""
        return await self._digests(wire.Refingerprint(tenant.id, list(part)) for part in _parts(sealed))

    async def _guarded(self, tenant: TenantRef) -> None:
        if self.guard is not None:
            await self.guard(tenant)

    async def _asked(self, orders: Sequence[wire.Order]) -> Sequence[wire.Answer]:
        if len(orders) == 1:
            # As nearly always; it needs no task of its own.
            return [await self.client.ask(orders[0])]
        return await asyncio.gather(*map(self.client.ask, orders))

    async def _digests(self, orders: Iterable[wire.Order]) -> list[list[Fingerprint] | Refused]:
        answers = await self._asked(list(orders))
        return [result for answer in answers if isinstance(answer, wire.FingerprintsMade) for result in answer.results]

    async def public_keys(self, tenant: TenantRef) -> list[PublicKey]:
        """As ``Decryptor`` says."""
        await self._guarded(tenant)
        shown = await self._shown(tenant, await self._known(tenant))
        if rules.successor_due(shown.times, self._clock.now()):
            # Somebody else may have made it since.
            rows = await self._read(tenant)
            shown = await self._shown(tenant, rows)
            if rules.successor_due(shown.times, self._clock.now()):
                await self._make(tenant, rows.newest + 1)
                shown = await self._shown(tenant, await self._read(tenant))
        if not shown.keys:
            raise errors.InternalError("no encryption key of this tenant opens by the deployment's keys")
        return shown.keys

    async def wipe(self, tenant: TenantRef) -> int:
        """Delete the private halves of pairs that nobody may use any more; return of how many."""
        async with self._database.tx(tenant) as tx:
            return await queries.wipe_keys(tx, self._clock.now() - rules.GRACE)

    async def rotate(self, tenant: TenantRef) -> None:
        """Make a new pair before it is due; the present ones stay good for their time."""
        await self._make(tenant, (await self._read(tenant)).newest + 1)
        await self._read(tenant)

    async def run(self) -> None:
        """Look how the decryptor is until cancelled, so that who watches hears of it before who pays does.

        One that is started when it is first needed isn't looked at, since that would start it.
        """
        while True:
            if self.client.wake is None and (told := await self.client.look()) is not None and self.observe is not None:
                for operation, outcome, times in told.vault_calls:
                    self.observe(operation, outcome, times)
            await asyncio.sleep(_LOOK_S)

    async def aclose(self) -> None:
        """Hang up."""
        await self.client.aclose()

    async def _shown(self, tenant: TenantRef, rows: _Rows) -> wire.PublicKeysShown:
        answer = await self.client.ask(wire.PublicKeys(tenant.id, rows.keys))
        assert isinstance(answer, wire.PublicKeysShown)
        return answer

    async def _make(self, tenant: TenantRef, generation: int) -> None:
        made = await self.client.ask(wire.MakeKey(tenant.id, generation))
        assert isinstance(made, wire.EncryptionKey)
        async with self._database.tx(tenant) as tx:
            if await queries.insert_key(tx, made):
                kid = ids.encode(Prefix.ENCRYPTION_KEY, made.id)
                facts = {"generation": made.generation, "not_after": made.not_after.isoformat()}
                await audit.record(tx, audit.new_record(SYSTEM, "encryption_key.created", kid, facts=facts))

    async def _known(self, tenant: TenantRef) -> _Rows:
        rows = self._rows.get(tenant.id)
        return rows if rows is not None and rows.age_s() < _KEYS_S else await self._read(tenant)

    async def _read(self, tenant: TenantRef) -> _Rows:
        async with self._database.tx(tenant) as tx:
            rows = _Rows(await queries.list_keys(tx))
        if len(self._rows) >= _MOST_TENANTS:
            self._rows.clear()
        self._rows[tenant.id] = rows
        return rows


_UNKNOWN: Final = Refused("encryption_key_unknown")


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[begin : begin + wire.MOST_ITEMS] for begin in range(0, len(items), wire.MOST_ITEMS)]
