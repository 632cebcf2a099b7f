"""Somebody who encrypts to a tenant's key and asks the decryptor, as the contract says and with a foreign library."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwe as foreign
from joserfc.jwk import ECKey

from billfold_server.decryptor import wire
from billfold_server.decryptor.handling import Handling
from billfold_server.decryptor.wire import Given, Incoming, Outgoing, PublicKey, Refused, SealedKey, Taken
from billfold_server.keys.service import TENANT_SUBJECT
from tests.cards import CARDS

__all__ = ["CARD", "ISSUER", "Vault", "encrypted", "opened"]

ISSUER = "https://wallet.example/t/alpha"
CARD = {"number": CARDS["visa"], "expiry_month": 12, "expiry_year": 2030, "holder": "Ada Lovelace", "cvc": "123"}
_REGISTRY = foreign.JWERegistry(algorithms=["ECDH-ES", "A256GCM"], strict_check_header=False)


def encrypted(value: Any, key: PublicKey, *, aud: str = ISSUER, **header: Any) -> str:
    """Return a value as a JWE to a tenant's key."""
    said = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key.jwk["kid"], "aud": aud, **header}
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return foreign.encrypt_compact(said, text, ECKey.import_key(dict(key.jwk)), registry=_REGISTRY)


def opened(given: Given | Refused, key: ECKey) -> Mapping[str, Any]:
    """Return what was given out, read by the caller's private key."""
    assert isinstance(given, Given), given
    assert given.jwe is not None
    found = foreign.decrypt_compact(given.jwe, key, registry=_REGISTRY)
    assert found.plaintext is not None
    read: dict[str, Any] = json.loads(found.plaintext)
    return read


class Vault:
    """A tenant's vault, as one process asks for it.

    Attributes:
        tenant_id: Whose.
        sealed: The rows of its keys, newest first.
        key: The present public key.
    """

    key: PublicKey

    def __init__(self, handling: Handling, tenant_id: UUID) -> None:
        self.handling = handling
        self.tenant_id = tenant_id
        self.sealed: list[SealedKey] = []

    async def make_key(self) -> None:
        """Make the next key, as a worker does."""
        made = await self.handling.do(wire.MakeKey(self.tenant_id, len(self.sealed) + 1))
        assert isinstance(made, wire.EncryptionKey)
        self.sealed.insert(0, SealedKey(made.id, made.sealed_private))
        self.key = (await self.shown()).keys[0]

    async def shown(self) -> wire.PublicKeysShown:
        """Return the public keys."""
        shown = await self.handling.do(wire.PublicKeys(self.tenant_id, self.sealed))
        assert isinstance(shown, wire.PublicKeysShown)
        return shown

    async def take_in(self, *items: Incoming) -> list[Taken | Refused]:
        """Take values in."""
        answer = await self.handling.do(wire.TakeIn(self.tenant_id, ISSUER, self.sealed, list(items)))
        assert isinstance(answer, wire.TakenIn)
        return answer.results

    async def give_out(self, *items: Outgoing) -> list[Given | Refused]:
        """Give values out."""
        answer = await self.handling.do(wire.GiveOut(self.tenant_id, list(items)))
        assert isinstance(answer, wire.GivenOut)
        return answer.results

    def card(self, value: Any = None, *, token_id: UUID | None = None, **header: Any) -> Incoming:
        """Return a card on its way in."""
        text = encrypted(CARD if value is None else value, self.key, **header)
        return Incoming(token_id=token_id or uuid4(), kind="card", subject=TENANT_SUBJECT, jwe=text)

    async def taken(self, item: Incoming) -> Taken:
        """Take in what is good."""
        (result,) = await self.take_in(item)
        assert isinstance(result, Taken), result
        return result
