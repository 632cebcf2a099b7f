"""An authenticator in software, which can also be made to do what real ones don't."""

import base64
import hashlib
import html
import json
import re
import secrets
import struct
from typing import Any

import cbor2
import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

__all__ = ["Authenticator", "options_of", "text"]

_USER_PRESENT, _USER_VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


def text(raw: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def raw(encoded: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def options_of(page: httpx.Response) -> dict[str, Any]:
    """Return what a page asks the browser for."""
    (found,) = re.findall(r'data-options="([^"]*)"', page.text)
    options: dict[str, Any] = json.loads(html.unescape(found))
    return options


class Authenticator:
    """One passkey on one device.

    Attributes:
        origin: What the browser says that it saw.
        verifies: Whether the owner has unlocked the device.
        count: The signature counter.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.verifies = True
        self.count = 0
        self.credential_id = secrets.token_bytes(16)
        self.handle = b""
        self._key = ec.generate_private_key(ec.SECP256R1())

    def make(self, options: dict[str, Any]) -> str:
        """Return what the browser answers when a passkey is made."""
        self.handle = raw(options["user"]["id"])
        point = self._key.public_key().public_numbers()
        x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + cose
        data = self._data(options["rp"]["id"], _ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        said = self._client("webauthn.create", options)
        return self._answer(
            {"clientDataJSON": text(said), "attestationObject": text(attestation), "transports": ["usb"]}
        )

    def show(self, options: dict[str, Any], **changes: Any) -> str:
        """Return what the browser answers when a passkey is shown."""
        said = self._client("webauthn.get", {**options, **changes})
        data = self._data(changes.get("rpId", options["rpId"]), 0)
        signature = self._key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            {
                "clientDataJSON": text(said),
                "authenticatorData": text(data),
                "signature": text(changes.get("signature", signature)),
                "userHandle": text(changes.get("handle", self.handle)),
            }
        )

    def _data(self, rp_id: str, flags: int) -> bytes:
        self.count += 1
        flags |= _USER_PRESENT | (_USER_VERIFIED if self.verifies else 0)
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _client(self, kind: str, options: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _answer(self, response: dict[str, Any]) -> str:
        credential_id = text(self.credential_id)
        answer = {"id": credential_id, "rawId": credential_id, "type": "public-key", "response": response}
        return json.dumps({**answer, "clientExtensionResults": {}})
