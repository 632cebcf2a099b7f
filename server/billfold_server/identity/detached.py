"""Detached signatures of messages (RFC 7515, appendix F), with critical claims in their header.

As everywhere (``jose``), algorithm and key are chosen on this side, and a header that brings a key, says where to find
one, or changes how the rest is read is refused. What this module doesn't know is what the claims mean.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from billfold_server.identity import jose
from billfold_server.identity.profiles import SigningAlgorithm

__all__ = ["DetachedRefused", "Message", "detached", "read_detached", "to_sign"]

_FORM: Final = re.compile(r"([A-Za-z0-9_-]+)\.\.([A-Za-z0-9_-]+)")
_LONGEST: Final = 8 * 1024
_ALGORITHM: Final[SigningAlgorithm] = "PS256"
_HARMLESS: Final = frozenset({"alg", "kid", "typ", "cty", "crit", "x5t", "x5t#S256"})
_TEXTS: Final = ("typ", "cty", "x5t", "x5t#S256")
_OTHERS: Final = ("b64", "jku", "jwk", "x5c", "x5u", "zip")
"""What a header may not hold and is told so by name: parameters that are registered; other names are its sender's."""
_HEADER: Final = msgspec.json.Decoder(dict[str, Any])


class DetachedRefused(Exception):
    """A signature isn't good.

    Attributes:
        fault: ``malformed``, ``claim_missing``, ``claim_invalid`` or ``invalid``.
        claims: Which parameters of the header are missing or wrong, where it is they.
    """

    def __init__(self, fault: str, *claims: str) -> None:
        super().__init__(fault)
        self.fault = fault
        self.claims = claims


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A detached signature whose header was read, and nothing was verified.

    Attributes:
        header: Its header.
        head: The same as it came, in base64url.
        signature: Likewise.
    """

    header: dict[str, Any]
    head: str
    signature: str

    def verify(self, body: bytes, jwks: Mapping[str, Any] | None) -> None:
        """Refuse it unless the key that it names, among those that were registered, has signed the body.

        Args:
            body: The message, to the byte.
            jwks: Its sender's public keys.

        Raises:
            DetachedRefused: It hasn't.
        """
        keys = [each for each in (jwks or {}).get("keys", ()) if each.get("kid") == self.header["kid"]]
        if len(keys) != 1 or keys[0].get("use", "sig") != "sig" or jose.algorithm_of(keys[0]) != _ALGORITHM:
            raise DetachedRefused("claim_invalid", "kid")
        if others := [name for name in _TEXTS if not isinstance(self.header.get(name, ""), str)]:
            raise DetachedRefused("claim_invalid", *others)
        try:
            key = jose.remembered_key(keys[0])
            jose.check_signature(key, self.head, body, self.signature, alg=_ALGORITHM)
        except (jose.SignatureInvalid, ValueError):
            raise DetachedRefused("invalid") from None


def read_detached(text: str, *, critical: Sequence[str]) -> Message:
    """Return what a detached signature says in its header, before anything is verified.

    Args:
        text: The signature.
        critical: The claims that must be in its header, and in its ``crit``, which holds nothing else.

    Raises:
        DetachedRefused: It is no such text, or its header says more or less than it must.
    """
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise DetachedRefused("malformed")
    try:
        header = _HEADER.decode(base64.urlsafe_b64decode(match.group(1) + "=" * (-len(match.group(1)) % 4)))
    except (binascii.Error, ValueError, RecursionError, msgspec.MsgspecError):
        raise DetachedRefused("malformed") from None
    if not header.keys() <= _HARMLESS | set(critical):
        raise DetachedRefused("claim_invalid", *(name for name in _OTHERS if name in header))
    if missing := [name for name in ("alg", "kid", "crit", *critical) if name not in header]:
        raise DetachedRefused("claim_missing", *missing)
    said = header["crit"]
    if not isinstance(said, list) or len(said) != len(critical) or {*map(str, said)} != set(critical):
        raise DetachedRefused("claim_invalid", "crit")
    if header["alg"] != _ALGORITHM:
        raise DetachedRefused("claim_invalid", "alg")
    if not isinstance(header["kid"], str):
        raise DetachedRefused("claim_invalid", "kid")
    return Message(header=header, head=match.group(1), signature=match.group(2))


def to_sign(body: bytes, *, kid: str, claims: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return the header of a detached signature of a body, in base64url, and all that is to be signed by PS256.

    Args:
        body: The message, to the byte.
        kid: The id of the key that signs.
        claims: What stands in the header beside that, all of it critical.
    """
    header = {"alg": _ALGORITHM, "kid": kid, "typ": "JOSE", "cty": "application/json", "crit": [*claims], **claims}
    head = jose.encoded(msgspec.json.encode(header))
    return head.decode(), head + b"." + jose.encoded(body)


def detached(head: str, signature: bytes) -> str:
    """Return a header and a signature as they travel beside their message."""
    return f"{head}..{jose.encoded(signature).decode()}"
