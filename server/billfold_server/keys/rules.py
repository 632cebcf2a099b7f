"""The keyring's file: its form, and how its secret is opened and closed."""

import base64
import hashlib
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

__all__ = [
    "SECRET_BYTES",
    "KeyringFile",
    "SealBroken",
    "close_file",
    "decode_file",
    "derive",
    "encode_file",
    "fingerprint",
    "is_sealed",
    "open_file",
    "seal",
    "unseal",
]

SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16
_FORMAT: Final = 1

# RFC 7914 calls r = 8 and p = 1 usual. With N = 2^16 one guess costs 64 MiB and about a fifth of a second; the start
# of the server pays that once.
_SCRYPT_N: Final = 2**16
_SCRYPT_MEMORY_BYTES: Final = 320 * 1024 * 1024
"""Enough for the largest N that a file may name, with what scrypt needs beside."""


class SealBroken(Exception):
    """What was sealed can't be opened: wrong key or passphrase, another owner, or it was changed."""


class Scrypt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the passphrase becomes a key (RFC 7914). The bounds keep a changed file from costing all memory."""

    salt: bytes
    n: Annotated[int, Meta(ge=2**14, le=2**18)]
    r: Literal[8] = 8
    p: Annotated[int, Meta(ge=1, le=4)] = 1


class KeyringFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keyring as it lies on disk.

    Attributes:
        format: Version of this form.
        secret: The deployment's secret; sealed if there is a ``scrypt``, as it is otherwise.
        scrypt: How a passphrase opens it.
    """

    format: Literal[1]
    secret: bytes
    scrypt: Scrypt | None = None


def is_sealed(file: KeyringFile) -> bool:
    """Tell whether the keyring needs a passphrase."""
    return file.scrypt is not None


def close_file(secret: bytes, passphrase: str | None, *, salt: bytes, nonce: bytes) -> KeyringFile:
    """Return the file that keeps a secret, sealed by the passphrase if there is one.

    Args:
        secret: The deployment's secret, 32 random bytes.
        passphrase: Opens it again.
        salt: 16 fresh random bytes.
        nonce: 12 fresh random bytes.
    """
    if passphrase is None:
        return KeyringFile(format=_FORMAT, secret=secret)
    scrypt = Scrypt(salt=salt, n=_SCRYPT_N)
    key = _stretch(passphrase, scrypt)
    return KeyringFile(format=_FORMAT, secret=seal(key, secret, _bound(scrypt), nonce=nonce), scrypt=scrypt)


def open_file(file: KeyringFile, passphrase: str | None) -> bytes:
    """Return the secret that a keyring keeps.

    Raises:
        SealBroken: The passphrase is absent or wrong, or the file was changed.
    """
    if file.scrypt is None:
        return file.secret
    if passphrase is None:
        raise SealBroken
    try:
        key = _stretch(passphrase, file.scrypt)
    except ValueError:
        # The file names parameters that scrypt doesn't have, such as an N that is no power of two.
        raise SealBroken from None
    return unseal(key, file.secret, _bound(file.scrypt))


def _stretch(passphrase: str, scrypt: Scrypt) -> bytes:
    return hashlib.scrypt(
        passphrase.encode(),
        salt=scrypt.salt,
        n=scrypt.n,
        r=scrypt.r,
        p=scrypt.p,
        maxmem=_SCRYPT_MEMORY_BYTES,
        dklen=SECRET_BYTES,
    )


def _bound(scrypt: Scrypt) -> bytes:
    return b"billfold keyring\0" + msgspec.json.encode(scrypt)


def derive(secret: bytes, purpose: str) -> bytes:
    """Return the key for one purpose, from which neither the secret nor another key can be learned (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=SECRET_BYTES, salt=None, info=b"billfold " + purpose.encode()).derive(secret)


def seal(key: bytes, plain: bytes, bound_to: bytes, *, nonce: bytes) -> bytes:
    """Return ``plain`` under AES-256-GCM, bound to what it belongs to.

    Args:
        key: 32 bytes.
        plain: What to keep.
        bound_to: Associated data; unsealing needs the same.
        nonce: 12 fresh random bytes. One key seals far less than the 2^32 texts that random nonces allow
            (NIST SP 800-38D, section 8.3).
    """
    assert len(nonce) == _NONCE_BYTES
    return nonce + AESGCM(key).encrypt(nonce, plain, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        SealBroken: Key or owner is another, or it was changed.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        raise SealBroken from None


def encode_file(file: KeyringFile) -> bytes:
    """Return the text of a keyring's file."""
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def decode_file(text: bytes) -> KeyringFile:
    """Read the text of a keyring's file.

    Raises:
        SealBroken: It is no keyring, or of a form that this version doesn't know.
    """
    try:
        file = msgspec.json.decode(text, type=KeyringFile)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SealBroken from None
    if len(file.secret) < SECRET_BYTES:
        raise SealBroken
    return file


def fingerprint(secret: bytes) -> str:
    """Return a short name of a secret, from which nothing of it can be learned."""
    return base64.b32encode(derive(secret, "fingerprint")[:5]).decode().lower()
