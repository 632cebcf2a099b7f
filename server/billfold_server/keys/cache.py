"""Keys that one process has opened, for a bounded time, number, and amount of work."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Bounded", "Limits", "OpenKey"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds a cache of keys.

    Attributes:
        keep_s: How long a key stays, however often it is used.
        keys: How many subjects' keys stay at once.
        epochs: How many epochs' keys do.
        key_bytes: How many bytes one opened copy of a key may seal before it is read anew.
        first_seals: How many seals are reserved the first time.
        most_seals: How many at most; each time is eight times the one before.
        stale_s: How old what we know of forgotten subjects may be, before no key is used until we know more.
    """

    keep_s: float = 300.0
    keys: int = 20_000
    epochs: int = 4_000
    key_bytes: int = 2**34
    first_seals: int = 64
    most_seals: int = 2**16
    stale_s: float = 5.0


class OpenKey:
    """A subject's key as it lies opened in memory.

    Attributes:
        id: Its id.
        tenant_id: Whose it is.
        subject_id: Of which subject.
        cipher: AES-256-GCM by it.
        seals: How many seals are left of those that this process has reserved.
        reserved: How many it has reserved last.
        bytes_left: How much it may still seal.
    """

    __slots__ = ("bytes_left", "cipher", "id", "reserved", "seals", "subject_id", "tenant_id")

    def __init__(self, key_id: UUID, tenant_id: UUID, subject_id: UUID, key: bytes, *, bytes_left: int) -> None:
        self.id = key_id
        self.tenant_id = tenant_id
        self.subject_id = subject_id
        self.cipher = AESGCM(key)
        self.seals = 0
        self.reserved = 0
        self.bytes_left = bytes_left

    def __repr__(self) -> str:
        return f"OpenKey({self.id})"


class Bounded(Generic[K, V]):
    """Remembers so many things for so long, and forgets what wasn't asked for longest where there are too many."""

    def __init__(self, size: int, keep_s: float, monotonic: Callable[[], float]) -> None:
        self._size = size
        self._keep_s = keep_s
        self._monotonic = monotonic
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return what is remembered under a key, or None."""
        found = self._entries.get(key)
        if found is None:
            return None
        if found[0] < self._monotonic():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return found[1]

    def put(self, key: K, value: V) -> None:
        """Remember a value."""
        self._entries[key] = (self._monotonic() + self._keep_s, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, keys: Iterable[K]) -> None:
        """Forget what is remembered under some keys."""
        for key in keys:
            self._entries.pop(key, None)

    def drop_where(self, chosen: Callable[[V], bool]) -> None:
        """Forget what is chosen."""
        self.drop([key for key, (_, value) in self._entries.items() if chosen(value)])

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
