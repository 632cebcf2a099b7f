"""Card codes, kept in memory alone: for some minutes, or until the one authorization that needs them.

PCI DSS 4.0.1, requirement 3.3.1: they aren't stored after authorization, not even encrypted. So they lie in a piece of
memory of their own, which is never swapped where the system allows that, left out of dumps, and overwritten as soon as
a code is given out or has had its time. What Python makes on the way, the text of a JWE's payload, can't be
overwritten; it is freed, and the process can't be looked into (``hardening``).
"""

import mmap
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from uuid import UUID

from billfold_server.decryptor.hardening import lock_memory

__all__ = ["KEPT_S", "Cvcs", "uptime"]

KEPT_S: Final = 600.0
_SLOT: Final = 4
_SLOTS: Final = 16_384
_SHARE: Final = 4


def uptime() -> float:
    """Return a time that nobody sets, and that goes on while the machine sleeps, in seconds."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Cvcs:
    """The codes of the tokens that were taken in lately.

    There is room for a number of them, and for a fourth of that number of one tenant's; beyond it the oldest goes.

    Args:
        slots: For how many there is room.
        clock: A time in seconds.

    Attributes:
        locked: Whether the system keeps them out of its swap.
    """

    def __init__(self, *, slots: int = _SLOTS, clock: Callable[[], float] = uptime) -> None:
        self._memory = mmap.mmap(-1, max(slots * _SLOT, mmap.PAGESIZE))
        self.locked = lock_memory(self._memory)
        self._free = list(range(slots))
        self._share = max(1, slots // _SHARE)
        self._clock = clock
        self._entries: OrderedDict[tuple[UUID, UUID], tuple[int, float]] = OrderedDict()
        self._of: dict[UUID, OrderedDict[UUID, None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Cvcs({len(self)})"

    def keep(self, tenant_id: UUID, token_id: UUID, cvc: str) -> None:
        """Keep a token's code, instead of one that it may have."""
        self.drop(tenant_id, token_id)
        theirs = self._of.setdefault(tenant_id, OrderedDict())
        if len(theirs) >= self._share:
            self.drop(tenant_id, next(iter(theirs)))
            theirs = self._of.setdefault(tenant_id, OrderedDict())
        if not self._free:
            self.drop(*next(iter(self._entries)))
        slot = self._free.pop()
        code = cvc.encode("ascii")
        self._memory[slot * _SLOT : (slot + 1) * _SLOT] = code.ljust(_SLOT, b"\0")
        self._entries[tenant_id, token_id] = (slot, self._clock() + KEPT_S)
        theirs[token_id] = None

    def take(self, tenant_id: UUID, token_id: UUID) -> str | None:
        """Return a token's code, and forget it; None where it has none (any longer)."""
        self.sweep()
        entry = self._entries.get((tenant_id, token_id))
        if entry is None:
            return None
        slot = entry[0]
        code = self._memory[slot * _SLOT : (slot + 1) * _SLOT].rstrip(b"\0").decode("ascii")
        self.drop(tenant_id, token_id)
        return code

    def drop(self, tenant_id: UUID, token_id: UUID) -> None:
        """Forget a token's code."""
        entry = self._entries.pop((tenant_id, token_id), None)
        if entry is None:
            return
        slot = entry[0]
        self._memory[slot * _SLOT : (slot + 1) * _SLOT] = bytes(_SLOT)
        self._free.append(slot)
        theirs = self._of[tenant_id]
        del theirs[token_id]
        if not theirs:
            del self._of[tenant_id]

    def sweep(self) -> None:
        """Forget the codes that have had their time."""
        now = self._clock()
        # All are kept equally long, so the oldest are the first to go.
        while self._entries and next(iter(self._entries.values()))[1] <= now:
            self.drop(*next(iter(self._entries)))

    def close(self) -> None:
        """Forget all of them."""
        for key in list(self._entries):
            self.drop(*key)
        self._memory[:] = bytes(len(self._memory))
        self._memory.close()
