"""What every process is told to forget: it asks the key store about once a second, by one query of one row."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import structlog

from billfold import errors
from billfold_server.keys import queries
from billfold_server.keys.store import unavailable

if TYPE_CHECKING:
    from billfold_server.keys.store import KeyStore

__all__ = ["Evictions"]

_log = structlog.stdlib.get_logger("billfold.keys")

_POLL_S = 1.0


class _Forgetful(Protocol):
    """What drops keys."""

    def evict(self, tenant_id: UUID, subject_id: UUID | None) -> None:
        """Drop a subject's keys, or (None) all of a tenant's."""

    def evict_all(self) -> None:
        """Drop every key."""


class Evictions:
    """Follows the evictions of one key store, for one process's caches.

    Args:
        store: Where they are told.
        caches: What drops the keys.
        stale_s: How old the last look may be for keys to be used.
        monotonic: A clock that doesn't jump.
    """

    def __init__(
        self,
        store: "KeyStore",
        caches: _Forgetful,
        *,
        stale_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._caches = caches
        self._stale_s = stale_s
        self._monotonic = monotonic
        self._number: int | None = None
        self._looked_at = float("-inf")
        self._looking: asyncio.Lock = asyncio.Lock()
        self._failures = 0

    @property
    def fresh(self) -> bool:
        """Tell whether what was forgotten elsewhere is known well enough for keys to be used."""
        return self._monotonic() - self._looked_at < self._stale_s

    async def catch_up(self) -> None:
        """Look now, unless it is known well enough. All who wait at the same time share one look, and how it ends.

        Raises:
            errors.KeysUnavailable: The key store doesn't answer. Every key has been dropped then.
        """
        failures = self._failures
        try:
            async with asyncio.timeout(self._store.timeout_s), self._looking:
                if self.fresh:
                    return
                if failures != self._failures:
                    # Another one's look has failed while we waited for it; ours would take as long again.
                    raise unavailable()
                await self._look()
        except TimeoutError as error:
            self._fail()
            raise unavailable() from error

    async def run(self) -> None:
        """Look again and again until cancelled."""
        failing = False
        while True:
            try:
                async with self._looking:
                    await self._look()
            except errors.KeysUnavailable:
                if not failing:
                    _log.warning("the key store can't be asked what was forgotten; keys are dropped until it can")
                failing = True
            else:
                failing = False
            await asyncio.sleep(_POLL_S)

    async def _look(self) -> None:
        asked_at = self._monotonic()
        try:
            head = (await self._store.fetch(queries.HEAD))[0]["number"]
            if self._number is not None and head != self._number:
                head = await self._follow(self._number, head)
        except errors.KeysUnavailable:
            self._fail()
            raise
        self._number = head
        self._looked_at = asked_at

    def _fail(self) -> None:
        self._failures += 1
        if not self.fresh:
            self._caches.evict_all()

    async def _follow(self, before: int, head: int) -> int:
        """Drop what was told after one number, and return the last that is known now."""
        found = await self._store.fetch(queries.EVICTIONS_AFTER, before)
        if len(found) < abs(head - before):
            # We have been away for so long that some aren't told any more, or the store is an older one brought back.
            self._caches.evict_all()
        for row in found:
            self._caches.evict(row["tenant_id"], row["subject_id"])
        return max([head, *(int(row["number"]) for row in found)])
