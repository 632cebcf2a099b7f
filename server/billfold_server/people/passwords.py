"""Password hashes: Argon2id, off the event loop, a few at a time (RFC 9106; OWASP's parameters).

A password is keyed by the deployment's secret first, so that a copy of the database alone can't be guessed at. Where
this build of OpenSSL has no Argon2, scrypt takes its place (RFC 7914); a hash says itself by which it was made.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cryptography.exceptions import InvalidKey, UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from billfold import errors
from billfold_server.keys.service import Keyring
from billfold_server.people.strength import normalised

__all__ = ["Passwords"]

_MEMORY_KIB: Final = 19_456
_ITERATIONS: Final = 2
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_SCRYPT_LOG_N: Final = 17
_SCRYPT_MEMORY_BYTES: Final = 192 * 1024 * 1024
_WAITING: Final = 64
"""So many may wait for a thread; more are told to come back, because a queue would only grow."""


class Passwords:
    """Makes and checks password hashes.

    Args:
        keyring: Keys what is hashed.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._pepper = keyring.derive("passwords")
        self._threads = ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), thread_name_prefix="passwords")
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """Return what is kept of a password.

        Raises:
            errors.Overloaded: Too many wait already.
        """
        return str(await self._run(_hash, self._keyed(password)))

    async def verify(self, password: str, kept: str | None) -> bool:
        """Tell whether a password is the one that was kept; with nothing kept, take as long, and say no.

        Raises:
            errors.Overloaded: Too many wait already.
        """
        if self._nobodys is None:
            self._nobodys = await self.hash(secrets.token_urlsafe(16))
        matches = await self._run(_verify, self._keyed(password), kept or self._nobodys)
        return bool(matches) and kept is not None

    def _keyed(self, password: str) -> bytes:
        return base64.b64encode(hmac.digest(self._pepper, normalised(password).encode(), "sha256"))

    async def _run(self, work: object, *arguments: object) -> object:
        if self._waiting >= _WAITING:
            raise errors.Overloaded("too many people sign in at once", retry_after_s=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)  # type: ignore[arg-type]
        finally:
            self._waiting -= 1


def _hash(keyed: bytes) -> str:
    salt = os.urandom(_SALT_BYTES)
    try:
        return Argon2id(
            salt=salt, length=_HASH_BYTES, iterations=_ITERATIONS, lanes=1, memory_cost=_MEMORY_KIB
        ).derive_phc_encoded(keyed)
    except UnsupportedAlgorithm:
        return f"$scrypt$ln={_SCRYPT_LOG_N},r=8,p=1${_text(salt)}${_text(_scrypt(keyed, salt, _SCRYPT_LOG_N))}"


def _verify(keyed: bytes, kept: str) -> bool:
    if kept.startswith("$scrypt$"):
        _, _, parameters, salt, wanted = kept.split("$")
        log_n = int(parameters.partition(",")[0].removeprefix("ln="))
        return hmac.compare_digest(_scrypt(keyed, base64.b64decode(salt), log_n), base64.b64decode(wanted))
    try:
        Argon2id.verify_phc_encoded(keyed, kept)
    except InvalidKey:
        return False
    return True


def _scrypt(keyed: bytes, salt: bytes, log_n: int) -> bytes:
    return hashlib.scrypt(keyed, salt=salt, n=2**log_n, r=8, p=1, maxmem=_SCRYPT_MEMORY_BYTES, dklen=_HASH_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
