"""The keyring's file: its form, and how its secret is opened and closed."""

import hashlib
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from billfold_server.keys.rules import SealBroken, seal, unseal

__all__ = ["SECRET_BYTES", "KeyringFile", "close_file", "decode_file", "encode_file", "is_sealed", "open_file"]

SECRET_BYTES: Final = 32
_FORMAT: Final = 1

# RFC 7914 calls r = 8 and p = 1 usual. With N = 2^16 one guess costs 64 MiB and about a fifth of a second; the start
# of the server pays that once.
_SCRYPT_N: Final = 2**16
_SCRYPT_MEMORY_BYTES: Final = 320 * 1024 * 1024
"""Enough for the largest N that a file may name, with what scrypt needs beside."""


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
