"""What one process remembers of the tenants' ledgers from one batch to the next, so that it needn't be read again."""

from collections import OrderedDict
from collections.abc import Collection, Hashable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import chain
from billfold_server.ledger.rows import CodeKey, WalletKey
from billfold_server.tenancy.clock import ClockReading

__all__ = ["Key", "Known", "Memory", "Place", "StoredAnswer"]

_ANSWERS: Final = 2048
"""How many answers of each tenant's are remembered at least; a request is mostly sent again within seconds."""

Key = tuple[UUID, str]
"""An idempotency key and whose it is."""


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request with an idempotency key was answered."""

    client_id: UUID
    key: str
    fingerprint: bytes
    status: int
    body: bytes
    created_at: datetime


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a ledger stands: what its head says.

    Attributes:
        revision: Counts the batches that changed anything.
        fence: A new one after each of these. Who meets it again knows that nobody else has written since.
        recorded_at: When the newest record was written.
        effective_high: The latest time at which any entry took effect.
        head: Of the chain.
        era: The one that the first link begins with; it counts only while there is none.
    """

    sequence: int
    revision: int
    fence: UUID
    recorded_at: datetime
    effective_high: datetime
    head: chain.Head
    era: int = 1

    @property
    def begins_era(self) -> bool:
        """Whether the next record of the chain is the first, and comes after that of its era."""
        return self.head.number == 0 and self.era == chain.ERA


class Known:
    """What one process knows of a ledger: loaded or decided by a batch, and good where the ledger stands at ``place``.

    Attributes:
        place: Where the last batch has left the ledger, or will once it is committed. None if nothing is known.
        clock: What the tenant's clock has shown last.
        rows: By type and key; None is known to be absent.
        account_keys: An account's id by its other names.
        answers: The latest that are kept under idempotency keys, or will be once they are committed; and those before.
    """

    def __init__(self) -> None:
        self.place: Place | None = None
        self.clock: ClockReading | None = None
        self.rows: dict[type, dict[Hashable, Any]] = {}
        self.account_keys: dict[WalletKey | CodeKey, UUID | None] = {}
        self.answers: tuple[dict[Key, StoredAnswer], dict[Key, StoredAnswer]] = ({}, {})

    def clear(self) -> None:
        """Forget everything."""
        self.place = None
        self.clock = None
        self.rows = {}
        self.account_keys = {}
        self.answers = ({}, {})

    def remember(self, answers: Sequence[StoredAnswer]) -> None:
        """Note what is kept under idempotency keys, in the place of what has been kept for longer."""
        latest, _ = self.answers
        for answer in answers:
            latest[answer.client_id, answer.key] = answer
        if len(latest) > _ANSWERS:
            self.answers = ({}, latest)

    def answers_to(self, keys: Collection[Key], since: datetime) -> dict[Key, StoredAnswer]:
        """Return what is known to be kept under these keys, and for no longer than since some time."""
        latest, before = self.answers
        found = {}
        for key in keys:
            if key in latest:
                found[key] = latest[key]
            elif key in before:
                # What was sent again once may be so once more.
                found[key] = latest[key] = before[key]
        return {key: answer for key, answer in found.items() if answer.created_at >= since}

    def keep(self, kept: Collection[type]) -> None:
        """Forget the rows of other types."""
        for row_type in [each for each in self.rows if each not in kept]:
            del self.rows[row_type]

    def __len__(self) -> int:
        return sum(map(len, self.rows.values())) + len(self.account_keys) + sum(map(len, self.answers))


class Memory:
    """What is known of each tenant's ledger, within a bound for all.

    Args:
        limit: How many rows are remembered at most; one takes about a kilobyte.

    Attributes:
        reading: What any tenant's clock has shown last.
    """

    def __init__(self, limit: int) -> None:
        self.reading: ClockReading | None = None
        self._limit = limit
        self._sizes: OrderedDict[UUID, int] = OrderedDict()
        self._known: dict[UUID, Known] = {}
        self._total = 0

    def of(self, tenant_id: UUID) -> Known:
        """Return what is known of a tenant's ledger.

        Its clock tells by the latest look at the database's time, whoever took it. Or each of many tenants would take
        its ledger the long way every few seconds, only to see what time it is.
        """
        known = self._known.setdefault(tenant_id, Known())
        if known.clock is not None:
            known.clock = known.clock.renewed(self.reading)
        return known

    def used(self, tenant_id: UUID) -> None:
        """Note that a tenant's rows were used, and forget those of tenants that weren't for longest, if need be."""
        size = len(self._known[tenant_id])
        self._total += size - self._sizes.get(tenant_id, 0)
        self._sizes[tenant_id] = size
        self._sizes.move_to_end(tenant_id)
        while self._total > self._limit:
            oldest, freed = self._sizes.popitem(last=False)
            self._known[oldest].clear()
            self._total -= freed
