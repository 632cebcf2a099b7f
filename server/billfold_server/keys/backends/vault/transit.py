"""What is asked of the transit engine. All of it waits for Vault, in threads that may.

A tenant's key is derived: Vault makes another key of it for each ``context``, so what was wrapped for one epoch opens
for no other, and stays bound when it is rewrapped, which takes no associated data.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

from billfold_server.keys.backends import TenantKey, Versions, Wrapped
from billfold_server.keys.backends.vault.answers import NotThere, Refused, Trouble
from billfold_server.keys.rules import SealBroken

__all__ = ["Transit"]

_TYPE: Final = "aes256-gcm96"
_BATCH: Final = 250


class Transit:
    """The keys of one deployment in a transit engine.

    Args:
        mount: Where the engine is mounted.
        deployment: How the names of its keys begin.
    """

    def __init__(self, mount: str, deployment: str) -> None:
        self._mount = mount.strip("/")
        self._deployment = deployment
        # Keys that are known to be there. A token that may create would otherwise make one by asking for it.
        self._known: set[str] = set()

    def name_of(self, key: TenantKey) -> str:
        """Return a key's name. The domain comes before the tenant, since a policy's pattern can end openly only."""
        return f"{self._deployment}-{key.domain}-{key.tenant_id}"

    def ensure(self, client: Any, key: TenantKey) -> None:
        """Make a key where it isn't there, and see that it is of the right kind."""
        name = self.name_of(key)
        try:
            self._read(client, name)
        except NotThere:
            client.secrets.transit.create_key(
                name,
                derived=True,
                exportable=False,
                allow_plaintext_backup=False,
                key_type=_TYPE,
                mount_point=self._mount,
            )
            # Somebody else may have made it at the same moment; then Vault has left it as it is.
            self._read(client, name)

    def wrap(self, client: Any, key: TenantKey, plain: bytes, bound_to: bytes) -> Wrapped:
        """Wrap something by the latest version."""
        name = self._existing(client, key)
        answer = client.secrets.transit.encrypt_data(
            name, plaintext=_text(plain), context=_context(bound_to), mount_point=self._mount
        )
        return _wrapped(_data(answer).get("ciphertext"))

    def unwrap(self, client: Any, key: TenantKey, wrapped: Wrapped, bound_to: bytes) -> bytes:
        """Return what was wrapped."""
        try:
            answer = client.secrets.transit.decrypt_data(
                self.name_of(key), _ciphertext(wrapped), context=_context(bound_to), mount_point=self._mount
            )
        except Refused:
            raise SealBroken from None
        return _bytes(_data(answer).get("plaintext"))

    def rewrap(self, client: Any, key: TenantKey, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[Wrapped | None]:
        """Wrap anew by the latest version; None stands for what doesn't open."""
        name = self._existing(client, key)
        done: list[Wrapped | None] = []
        for start in range(0, len(wrapped), _BATCH):
            done += self._rewrap(client, name, wrapped[start : start + _BATCH])
        return done

    def _rewrap(self, client: Any, name: str, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[Wrapped | None]:
        batch = [{"ciphertext": _ciphertext(each), "context": _context(bound_to)} for each, bound_to in wrapped]
        try:
            answer = client.secrets.transit.rewrap_data(name, None, batch_input=batch, mount_point=self._mount)
        except Refused:
            # Vault looks at some of what is wrong before it looks at items one by one.
            return [None] if len(wrapped) == 1 else self._one_by_one(client, name, wrapped)
        results = _data(answer).get("batch_results")
        if not isinstance(results, list) or len(results) != len(wrapped):
            raise Trouble("garbage")
        return [_wrapped(each["ciphertext"]) if each.get("ciphertext") else None for each in results]

    def _one_by_one(self, client: Any, name: str, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[Wrapped | None]:
        return [found for each in wrapped for found in self._rewrap(client, name, [each])]

    def rotate(self, client: Any, key: TenantKey) -> int:
        """Give the key a new version, and return it."""
        name = self._existing(client, key)
        client.secrets.transit.rotate_key(name, mount_point=self._mount)
        return self._read(client, name).latest

    def versions(self, client: Any, key: TenantKey) -> Versions:
        """Return which versions there are."""
        try:
            return self._read(client, self.name_of(key))
        except NotThere:
            raise SealBroken from None

    def retire(self, client: Any, key: TenantKey, below: int) -> None:
        """Destroy the versions below one, but never the latest: they are forbidden first, and then trimmed away."""
        name = self.name_of(key)
        try:
            found = self._read(client, name)
        except NotThere:
            return
        least = min(below, found.latest)
        if least > found.least:
            # hvac refuses the two to be the same, which is what trimming needs.
            limits = {"min_decryption_version": least, "min_encryption_version": least}
            client.adapter.post(f"/v1/{self._mount}/keys/{name}/config", json=limits)
            client.secrets.transit.trim_key(name, least, mount_point=self._mount)

    def destroy(self, client: Any, key: TenantKey) -> None:
        """Destroy the key, if it is there."""
        name = self.name_of(key)
        self._known.discard(name)
        try:
            self._read(client, name)
        except NotThere:
            return
        self._known.discard(name)
        client.secrets.transit.update_key_configuration(name, deletion_allowed=True, mount_point=self._mount)
        client.secrets.transit.delete_key(name, mount_point=self._mount)

    def _existing(self, client: Any, key: TenantKey) -> str:
        """Return the name of a key that is there."""
        name = self.name_of(key)
        if name not in self._known:
            try:
                self._read(client, name)
            except NotThere:
                raise SealBroken from None
        return name

    def _read(self, client: Any, name: str) -> Versions:
        """Return a key's versions, and insist on its kind: one that Vault would hand out protects nothing."""
        found = _data(client.secrets.transit.read_key(name, mount_point=self._mount))
        if found.get("type") != _TYPE or found.get("derived") is not True or found.get("exportable") is not False:
            raise Trouble("key_unfit")
        try:
            versions = Versions(latest=int(found["latest_version"]), least=max(1, int(found["min_decryption_version"])))
        except (KeyError, TypeError, ValueError):
            raise Trouble("garbage") from None
        self._known.add(name)
        return versions


def _data(answer: dict[str, Any]) -> dict[str, Any]:
    data = answer.get("data")
    if not isinstance(data, dict):
        raise Trouble("garbage")
    return data


def _text(plain: bytes) -> str:
    return base64.b64encode(plain).decode("ascii")


def _context(bound_to: bytes) -> str:
    # An empty one is refused.
    return _text(b"billfold\0" + bound_to)


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (ValueError, binascii.Error):
        raise Trouble("garbage") from None


def _ciphertext(wrapped: Wrapped) -> str:
    return f"vault:v{wrapped.version}:{_text(wrapped.data)}"


def _wrapped(text: object) -> Wrapped:
    """Read a ciphertext, like ``vault:v3:`` and base64."""
    prefix, version, encoded = ([*str(text).split(":"), "", ""])[:3]
    if prefix != "vault" or not version.startswith("v") or not version[1:].isdecimal():
        raise Trouble("garbage")
    return Wrapped(int(version[1:]), _bytes(encoded))
