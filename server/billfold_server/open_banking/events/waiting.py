"""Whoever polls and is willing to wait is woken as soon as there is something, in the process that has written it.

Other processes' notifications are found by looking again.
"""

import asyncio
from collections import Counter
from typing import Final
from uuid import UUID

from billfold_server.tenancy.context import TenantRef

__all__ = ["Waiting"]

_MOST: Final = 200
_OF_CLIENT: Final = 2


class Waiting:
    """Those who wait in one process. They are bounded, so that waiting costs others nothing.

    Attributes:
        ended: Whether nobody waits here any more, because the process is about to end.
    """

    def __init__(self) -> None:
        self.ended = False
        self._rung: dict[UUID, asyncio.Event] = {}
        self._waiting: Counter[UUID] = Counter()

    def enter(self, client_id: UUID) -> bool:
        """Let somebody wait, unless too many do; whoever is let in leaves in the end."""
        if self.ended or self._waiting[client_id] >= _OF_CLIENT or self._waiting.total() >= _MOST:
            return False
        self._waiting[client_id] += 1
        return True

    def leave(self, client_id: UUID) -> None:
        """Stop waiting."""
        self._waiting[client_id] -= 1
        if not self._waiting[client_id]:
            del self._waiting[client_id]

    def bell(self, tenant: TenantRef) -> asyncio.Event:
        """Return what rings when a tenant has something new for somebody; to be taken before looking."""
        return self._rung.setdefault(tenant.id, asyncio.Event())

    def ring(self, tenant: TenantRef) -> None:
        """Wake everybody who waits for a tenant's notifications."""
        bell = self._rung.pop(tenant.id, None)
        if bell is not None:
            bell.set()

    def end(self) -> None:
        """Let nobody wait here from now on: a stop would wait for them, and they may as well ask the next process."""
        self.ended = True
        for bell in self._rung.values():
            bell.set()
