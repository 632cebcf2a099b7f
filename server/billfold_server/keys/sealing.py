"""What seals, opens and makes fingerprints once the keys are at hand: arithmetic, and nothing that waits."""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors
from billfold_server.keys import rules
from billfold_server.keys.cache import OpenKey
from billfold_server.keys.rules import Domain, Place, SealBroken, key_id_of

__all__ = ["Fingerprint", "Fingerprinter", "Opener", "Sealer"]


class Sealer:
    """Seals under one subject's key.

    Attributes:
        key_id: The key's id, which each sealed value names.
    """

    __slots__ = ("_domain", "_key", "_left", "key_id")

    def __init__(self, key: OpenKey, domain: Domain, seals: int) -> None:
        self.key_id = key.id
        self._key = key
        self._domain: Domain = domain
        self._left = seals

    def seal(self, place: Place, plain: bytes) -> bytes:
        """Return a value as it may lie at a place, and opens nowhere else.

        Raises:
            RuntimeError: It has sealed as often as it was asked for, which is a defect of the calling code.
        """
        if self._left <= 0:
            msg = "ask for a sealer with as many seals as are needed"
            raise RuntimeError(msg)
        self._left -= 1
        key = self._key
        key.bytes_left -= len(plain)
        bound_to = rules.bound_record(key.tenant_id, self._domain, place, key.id)
        return rules.seal_record(key.cipher, key.id, bound_to, plain, nonce=secrets.token_bytes(rules.NONCE_BYTES))


class Opener:
    """Opens values whose keys it was made with."""

    __slots__ = ("_domain", "_keys", "_tenant_id")

    def __init__(self, tenant_id: UUID, domain: Domain, keys: Mapping[UUID, OpenKey | None]) -> None:
        self._tenant_id = tenant_id
        self._domain: Domain = domain
        self._keys = keys

    def open(self, place: Place, sealed: bytes) -> bytes:
        """Return what was sealed at a place.

        Raises:
            SealBroken: It was sealed at another place, for another tenant, or under a key that never was; or changed.
            errors.SubjectForgotten: Its subject was forgotten, and nobody will ever open it.
        """
        key_id = key_id_of(sealed)
        key = self._keys.get(key_id, _UNKNOWN)
        if key is _UNKNOWN:
            raise SealBroken
        if key is None:
            raise errors.SubjectForgotten
        assert isinstance(key, OpenKey)
        return rules.open_record(key.cipher, rules.bound_record(self._tenant_id, self._domain, place, key_id), sealed)


_UNKNOWN: Final = object()


class Fingerprint(msgspec.Struct, frozen=True):
    """A keyed digest of a value.

    Attributes:
        version: Of the key.
        digest: HMAC-SHA-256, 32 bytes.
    """

    version: int
    digest: bytes


class Fingerprinter:
    """Makes fingerprints for one purpose."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[tuple[int, bytes]]) -> None:
        self._keys = keys

    def digests(self, value: bytes) -> list[Fingerprint]:
        """Return a value's fingerprints by every version of the key, the newest first, which is the one to store.

        All of them are to be looked up: what was stored before the key was rotated has an older one.
        """
        return [Fingerprint(version, hmac.digest(key, value, "sha256")) for version, key in self._keys]
