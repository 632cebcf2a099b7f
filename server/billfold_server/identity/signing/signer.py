"""The process that does the arithmetic of a worker's signatures: a program whose argument is the number of its socket.

It is told keys by numbers of their own, forgets them when its worker does, and signs digests, one message at a time. It
ends when its worker's end of the socket is closed, be it that the worker is dead.
"""

import os
import signal
import socket
import struct
import sys
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

__all__ = ["FORGET", "LEARN", "LONGEST", "NUMBER", "READY", "SIGN", "main", "sign_digest"]

NUMBER: Final = struct.Struct("!Q")
"""How numbers of keys and orders are written."""
LEARN, FORGET, SIGN = b"L", b"F", b"S"
"""What a message to it begins with: a key's number and the key (PKCS #8), its number, or those of an order and of the
key, and the digest. Its answer is the order's number and the signature, or nothing behind the number if it can't."""
READY: Final = b"ready"
"""What it says first."""
LONGEST: Final = 16 * 1024
"""Bytes of a message at most."""

_IN_ONE_GO: Final = 4
"""How many signatures are made before others may have the processor: 0.9 ms."""

_PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
_DIGESTED: Final = utils.Prehashed(hashes.SHA256())


def sign_digest(key: RSAPrivateKey, digest: bytes) -> bytes:
    """Return a signature by PS256 of what has this SHA-256 digest (RFC 7518, section 3.5)."""
    return key.sign(digest, _PSS, _DIGESTED)


def main() -> None:
    """Serve one worker."""
    # Whoever stops a group of processes means the worker, whose last answers want signatures, too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        try:
            channel.sendall(READY)
            _serve(channel)
        except (BrokenPipeError, ConnectionResetError):
            return


def _serve(channel: socket.socket) -> None:
    keys: dict[int, RSAPrivateKey] = {}
    signed = 0
    while message := channel.recv(LONGEST):
        kind, (number,), rest = message[:1], NUMBER.unpack_from(message, 1), message[1 + NUMBER.size :]
        if kind == SIGN:
            (of_key,), digest = NUMBER.unpack_from(rest), rest[NUMBER.size :]
            channel.sendall(NUMBER.pack(number) + _signature(keys.get(of_key), digest))
            signed += 1
            if not signed % _IN_ONE_GO:
                # Or a full line is, and whoever wants this processor waits for it: mostly its worker.
                os.sched_yield()
        elif kind == LEARN:
            # Its worker has opened it, and knows that it is its own.
            key = load_der_private_key(rest, None, unsafe_skip_rsa_key_validation=True)
            assert isinstance(key, RSAPrivateKey)
            keys[number] = key
        else:
            keys.pop(number, None)


def _signature(key: RSAPrivateKey | None, digest: bytes) -> bytes:
    return b"" if key is None else sign_digest(key, digest)


if __name__ == "__main__":
    main()
