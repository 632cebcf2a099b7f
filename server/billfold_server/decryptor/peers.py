"""How the two ends of a socket make sure of each other.

The socket lies in a folder that only its owner may enter. Beyond that, each end looks at who the other one is (the
kernel says so, unix(7)), and both prove that they know the deployment's secret: so nobody who got hold of the path, and
no decryptor of another deployment, is told anything.
"""

import asyncio
import hmac
import os
import secrets
import socket
import struct
from typing import Final

__all__ = ["PeerRefused", "is_ours", "prove_as_client", "prove_as_server"]

_NONCE_BYTES: Final = 32
_PROOF_BYTES: Final = 32
_PEERCRED: Final = struct.Struct("3i")


class PeerRefused(Exception):
    """The other end isn't who it should be."""


def is_ours(connection: socket.socket) -> bool:
    """Tell whether the other end is a process of this process's user; where the kernel doesn't say, the folder does."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, uid, _ = _PEERCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))
    return bool(uid == os.geteuid())


def _proof(secret: bytes, who: bytes, nonces: bytes) -> bytes:
    return hmac.digest(secret, who + nonces, "sha256")


async def prove_as_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: bytes) -> None:
    """Let a client prove itself, and prove ourselves.

    Raises:
        PeerRefused: It doesn't know the secret.
    """
    ours = secrets.token_bytes(_NONCE_BYTES)
    writer.write(ours)
    said = await reader.readexactly(_NONCE_BYTES + _PROOF_BYTES)
    nonces = ours + said[:_NONCE_BYTES]
    if not hmac.compare_digest(said[_NONCE_BYTES:], _proof(secret, b"client", nonces)):
        raise PeerRefused
    writer.write(_proof(secret, b"server", nonces))


async def prove_as_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: bytes) -> None:
    """Prove ourselves to a decryptor, and let it prove itself.

    Raises:
        PeerRefused: It doesn't know the secret.
    """
    theirs = await reader.readexactly(_NONCE_BYTES)
    ours = secrets.token_bytes(_NONCE_BYTES)
    nonces = theirs + ours
    writer.write(ours + _proof(secret, b"client", nonces))
    if not hmac.compare_digest(await reader.readexactly(_PROOF_BYTES), _proof(secret, b"server", nonces)):
        raise PeerRefused
