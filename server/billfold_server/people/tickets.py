"""Tickets: what one step of a sign-in hands to the next by way of the browser, sealed and for a short time.

A ticket opens for the purpose, realm and browser only for which it was made, so a name and a password that were right
are shown once and held nowhere.
"""

import base64
import binascii
import hashlib
import secrets
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from billfold_server.keys.service import Keyring

__all__ = ["Tickets"]

T = TypeVar("T")
_NONCE_BYTES = 12


class Tickets:
    """Seals and opens tickets.

    Args:
        keyring: Where the key comes from.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._cipher = AESGCM(keyring.derive("tickets of sign-ins"))
        self.keyring = keyring

    def seal(self, content: msgspec.Struct, purpose: str, *bound_to: str, until_s: int) -> str:
        """Return a ticket.

        Args:
            content: What it says.
            purpose: The step that takes it.
            bound_to: Realm, browser, session.
            until_s: When it expires, in seconds since the Unix epoch.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = until_s.to_bytes(5, "big") + msgspec.json.encode(content)
        sealed = self._cipher.encrypt(nonce, plain, _bound(purpose, bound_to))
        return _text(nonce + sealed)

    def open(self, ticket: str, kind: type[T], purpose: str, *bound_to: str, now_s: int) -> T | None:
        """Return what a ticket says, or None where it isn't one for this step, or no longer."""
        try:
            raw = base64.b64decode(ticket + "=" * (-len(ticket) % 4), altchars=b"-_", validate=True)
            plain = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(purpose, bound_to))
        except (binascii.Error, ValueError, InvalidTag):
            return None
        if _text(raw) != ticket:
            # One ticket has one spelling: whoever counts or spends tickets must not meet the same one as another.
            return None
        if now_s >= int.from_bytes(plain[:5], "big"):
            return None
        return msgspec.json.decode(plain[5:], type=kind)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bound(purpose: str, bound_to: tuple[str, ...]) -> bytes:
    digest = hashlib.sha256()
    for part in (purpose, *bound_to):
        digest.update(len(part.encode()).to_bytes(4, "big") + part.encode())
    return digest.digest()
