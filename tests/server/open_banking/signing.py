"""Detached signatures as third parties make them, and as nobody should."""

import base64
import json
import time
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc.jwk import RSAKey

from billfold_server.open_banking.edge.signatures import IAT, ISS, TAN

__all__ = ["DIRECTORY", "header_of", "sign_detached", "signature_of", "verified"]

DIRECTORY: Final = "openbanking.org.uk"


def header_of(kid: str, issuer: str, /, **changes: Any) -> dict[str, Any]:
    """Return a header that is right, with changes; what is changed to None is left out."""
    said = {
        "alg": "PS256",
        "kid": kid,
        "typ": "JOSE",
        "cty": "application/json",
        IAT: int(time.time()),
        ISS: issuer,
        TAN: DIRECTORY,
        "crit": [IAT, ISS, TAN],
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def signature_of(body: bytes, key: RSAKey, header: dict[str, Any], *, payload: bytes | None = None) -> str:
    """Return a detached signature by RSA-PSS, whatever the header says.

    Args:
        body: The message.
        key: The private key.
        header: The header.
        payload: What stands where the payload does as it is signed; the body in base64url unless given.
    """
    head = _encoded(msgspec.json.encode(header))
    signed = head + b"." + (_encoded(body) if payload is None else payload)
    private: Any = key.private_key
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    return (head + b".." + _encoded(private.sign(signed, pss, hashes.SHA256()))).decode()


def sign_detached(body: bytes, key: RSAKey, *, kid: str, claims: dict[str, Any]) -> str:
    """Return a detached signature with just these critical claims."""
    header = {"alg": "PS256", "kid": kid, "typ": "JOSE", "cty": "application/json", "crit": [*claims], **claims}
    return signature_of(body, key, header)


def verified(text: str, body: bytes, jwks: dict[str, Any]) -> dict[str, Any]:
    """Return the header of a detached signature that one of some keys has made of a body.

    Raises:
        InvalidSignature: None has.
    """
    head, nothing, signature = text.split(".")
    assert nothing == ""
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(head + "=="))
    (jwk,) = [each for each in jwks["keys"] if each["kid"] == header["kid"]]
    public: Any = RSAKey.import_key(jwk).public_key
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signed = head.encode() + b"." + _encoded(body)
    public.verify(base64.urlsafe_b64decode(signature + "=="), signed, pss, hashes.SHA256())
    return header
