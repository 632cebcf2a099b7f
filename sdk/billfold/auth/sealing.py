"""Seals what is kept for a browser, where a framework has no session on the server: encrypted and tamper-proof."""

import os
from collections.abc import Sequence
from typing import Final

from billfold.auth.refusals import CallbackInvalid
from billfold.auth.sign_in import Pending
from billfold.keys.signer import b64url, unb64url

__all__ = ["Sealer"]

_MIN_SECRET: Final = 32
_NONCE: Final = 12
_MADE_FOR: Final = b"billfold sign-in, version 1"


class Sealer:
    """Seals a ``Pending`` into text for a cookie, and opens it again (AES-256-GCM under a derived key).

    Set the cookie ``Secure``, ``HttpOnly``, ``SameSite=Lax`` and with the path of the callback, and delete it there.

    Args:
        secret: At least 32 random bytes, the same in all processes.
        former: Secrets that were used before, which still open what was sealed with them.

    Raises:
        ValueError: A secret is too short.
    """

    def __init__(self, secret: bytes, *, former: Sequence[bytes] = ()) -> None:
        secrets = (secret, *former)
        if any(len(each) < _MIN_SECRET for each in secrets):
            raise ValueError(f"a secret needs at least {_MIN_SECRET} random bytes")
        self._keys = tuple(map(_derived, secrets))

    def seal(self, pending: Pending) -> str:
        """Return what was begun as text that only this sealer opens; about a thousand characters."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        nonce = os.urandom(_NONCE)
        return b64url(nonce + AESGCM(self._keys[0]).encrypt(nonce, pending.dump().encode(), _MADE_FOR))

    def open(self, text: str) -> Pending:
        """Return what was sealed.

        Raises:
            CallbackInvalid: It wasn't sealed here, or was changed.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        try:
            data = unb64url(text)
        except ValueError:
            data = b""
        for key in self._keys:
            try:
                return Pending.load(AESGCM(key).decrypt(data[:_NONCE], data[_NONCE:], _MADE_FOR))
            except (InvalidTag, ValueError):
                continue
        raise CallbackInvalid("the cookie holds no sign-in that was begun here")

    def __repr__(self) -> str:
        return "Sealer(…)"


def _derived(secret: bytes) -> bytes:
    """Return a key for this purpose alone, so that the secret may serve others."""
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_MADE_FOR).derive(secret)
