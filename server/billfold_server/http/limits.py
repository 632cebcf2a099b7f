"""How often a client may ask: a token bucket for each, shared by all workers of a machine.

A bucket is the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371): one number, so that counting
is one read and one write. The numbers lie in a file that the workers map into memory, at a place chosen by a keyed hash
of the client's id; two clients that share a place share a bucket, which with 65,536 places is rare and harmless.
"""

import fcntl
import functools
import hashlib
import math
import mmap
import os
import struct
import tempfile
import time
from pathlib import Path
from typing import Final
from uuid import UUID

from billfold import errors
from billfold_server.http.answers import Header
from billfold_server.http.peers import share_of
from billfold_server.settings import Settings
from billfold_server.tenancy.context import TenantRef

__all__ = ["Buckets", "ClientLimits"]

_SLOTS: Final = 65_536
_SLOT = struct.Struct("=d")
_REMEMBERED: Final = 10_000


class Buckets:
    """Token buckets in shared memory.

    Args:
        path: The file that all workers of one server map; None keeps the buckets to this process.
        key: Keys the hash, so that nobody can choose whose bucket to share.
        shared: Whether other processes take from the same buckets; locks cost more than all the rest.
    """

    def __init__(
        self,
        path: Path | None,
        key: bytes,
        *,
        shared: bool = True,
    ) -> None:
        self._key = key[:64]
        self._shared = shared
        self._offsets: dict[bytes, int] = {}
        self._descriptor = self._open(path)
        os.ftruncate(self._descriptor, _SLOTS * _SLOT.size)
        self._memory = mmap.mmap(self._descriptor, _SLOTS * _SLOT.size)

    @staticmethod
    def _open(path: Path | None) -> int:
        if path is None:
            with tempfile.TemporaryFile() as file:
                return os.dup(file.fileno())
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, name: bytes, *, per_s: float, burst: float, cost: float = 1.0) -> tuple[float, float]:
        """Take from a bucket, and return what is left in it and how long to wait if there wasn't enough.

        Args:
            name: Whose bucket.
            per_s: How fast it fills.
            burst: How much it holds.
            cost: How much is taken; 0 only looks.
        """
        offset = self._offsets.get(name)
        if offset is None:
            offset = self._find(name)
        if not self._shared:
            return self._take(offset, 1.0 / per_s, burst, cost)
        # A lock on these eight bytes only, and only against other workers.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _SLOT.size, offset)
        try:
            return self._take(offset, 1.0 / per_s, burst, cost)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, _SLOT.size, offset)

    def _find(self, name: bytes) -> int:
        slot = int.from_bytes(hashlib.blake2b(name, key=self._key, digest_size=4).digest(), "big") % _SLOTS
        if len(self._offsets) >= _REMEMBERED:
            self._offsets.clear()
        self._offsets[name] = slot * _SLOT.size
        return slot * _SLOT.size

    def _take(self, offset: int, interval_s: float, burst: float, cost: float) -> tuple[float, float]:
        # The same for all processes of the machine.
        now = time.monotonic()
        (arrival,) = _SLOT.unpack_from(self._memory, offset)
        full = now + burst * interval_s
        # After the machine's restart an old file may speak of a time that is yet to come.
        arrival = (arrival if now <= arrival <= full else now) + cost * interval_s
        if arrival > full:
            return 0.0, arrival - full
        _SLOT.pack_into(self._memory, offset, arrival)
        return (full - arrival) / interval_s, 0.0

    def close(self) -> None:
        """Let the memory go."""
        self._memory.close()
        os.close(self._descriptor)


class ClientLimits:
    """The limits of API clients, of their token requests, and of those that fail.

    Args:
        buckets: Where it is counted.
        settings: The limits of clients of the platform, and of failed token requests.
    """

    def __init__(self, buckets: Buckets, settings: Settings) -> None:
        self._buckets = buckets
        self._settings = settings

    def take(self, tenant: TenantRef | None, client_id: UUID) -> tuple[Header, ...]:
        """Count a request, and return the headers that say how much is left.

        The headers are those of ``draft-ietf-httpapi-ratelimit-headers``.

        Raises:
            errors.RateLimited: It was one too many.
        """
        per_s, burst = self._pace(tenant)
        left, wait_s = self._buckets.take(_name(tenant, client_id), per_s=per_s, burst=burst)
        if wait_s > 0:
            raise _limited(wait_s)
        return (
            _policy(burst, per_s),
            (b"ratelimit", b'"client";r=%d;t=%d' % (left, math.ceil((burst - left) / per_s))),
        )

    def take_token(self, tenant: TenantRef | None, client_id: UUID) -> None:
        """Count a token request of a client that has authenticated.

        As many are let through as requests that use tokens, and by a count of their own: a client that has used up its
        requests can still get a token, and one that asks for a token each time doesn't pay twice.

        Raises:
            errors.RateLimited: It was one too many.
        """
        per_s, burst = self._pace(tenant)
        _, wait_s = self._buckets.take(b"token " + _name(tenant, client_id), per_s=per_s, burst=burst)
        if wait_s > 0:
            raise _limited(wait_s)

    def _pace(self, tenant: TenantRef | None) -> tuple[float, float]:
        if tenant is None:
            return self._settings.rate_limit_per_s, self._settings.rate_limit_burst
        return tenant.manifest.rate_limit_per_s, tenant.manifest.rate_limit_burst

    def check_address(self, peer: str) -> None:
        """Refuse a token request from an address that has failed too often.

        Raises:
            errors.RateLimited: It has.
        """
        self._address(peer, cost=0.0)

    def count_failure(self, peer: str) -> None:
        """Count a token request that failed."""
        self._address(peer, cost=1.0)

    def forgive(self, peer: str) -> None:
        """Take a failure back that was counted before it was known to be none."""
        self._address(peer, cost=-1.0)

    def _address(self, peer: str, *, cost: float) -> None:
        per_min = self._settings.token_rate_limit_per_min
        name = b"address " + share_of(peer).encode()
        left, wait_s = self._buckets.take(name, per_s=per_min / 60, burst=per_min, cost=cost)
        if cost == 0.0 and left < 1.0:
            raise _limited(60 / per_min)
        if wait_s > 0:
            raise _limited(wait_s)


def _name(tenant: TenantRef | None, client_id: UUID) -> bytes:
    return (b"platform" if tenant is None else tenant.id.bytes) + client_id.bytes


@functools.lru_cache(maxsize=256)
def _policy(burst: float, per_s: float) -> Header:
    return b"ratelimit-policy", b'"client";q=%d;w=%d' % (burst, math.ceil(burst / per_s))


def _limited(wait_s: float) -> errors.RateLimited:
    return errors.RateLimited("there were too many requests; come back later", retry_after_s=math.ceil(wait_s))
