"""Somebody who encrypts to a tenant's key and asks the decryptor, as the contract says and with a foreign library."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwe as foreign
from joserfc.jwk import ECKey

from billfold_server.decryptor import wire
from billfold_server.decryptor.address import folder_of
from billfold_server.decryptor.client import Client
from billfold_server.decryptor.handling import Handling
from billfold_server.decryptor.service import SECRET
from billfold_server.decryptor.wire import Given, Incoming, Outgoing, PublicKey, Refused, SealedKey, Taken
from billfold_server.keys.service import TENANT_SUBJECT, open_keyring
from billfold_server.settings import Settings
from tests.cards import CARDS

__all__ = ["CARD", "ISSUER", "PATIENT_S", "Vault", "Worker", "encrypted", "opened"]

ISSUER = "https://wallet.example/t/alpha"
CARD = {"number": CARDS["visa"], "expiry_month": 12, "expiry_year": 2030, "holder": "Ada Lovelace", "cvc": "123"}
PATIENT_S = 30.0
"""For how long a worker of the tests waits where that isn't what is tested, however slow the machine is."""
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


class Worker:
    """What a worker of the API is to the decryptor's process.

    Attributes:
        client: Its end of the socket.
        tenant_id: For whom it asks.
        keys: The rows of the tenant's keys.
        key: The present public key.
        mine: The private key of who asks for cards.
        public: Its public half.
    """

    key: PublicKey

    def __init__(self, settings: Settings, *, patience_s: float = PATIENT_S) -> None:
        secret = open_keyring(settings).derive(SECRET)
        self.client = Client(folder_of(settings.data_dir), secret, patience_s=patience_s)
        self.tenant_id = uuid4()
        self.keys: list[SealedKey] = []
        self.mine = ECKey.generate_key("P-256")
        self.public: dict[str, Any] = dict(self.mine.as_dict(private=False))

    async def ready(self) -> "Worker":
        """Make a key."""
        made = await self.client.ask(wire.MakeKey(self.tenant_id, 1))
        assert isinstance(made, wire.EncryptionKey)
        self.keys = [SealedKey(made.id, made.sealed_private)]
        shown = await self.client.ask(wire.PublicKeys(self.tenant_id, self.keys))
        assert isinstance(shown, wire.PublicKeysShown)
        self.key = shown.keys[0]
        return self

    def card(self, token_id: UUID | None = None) -> Incoming:
        """Return a card on its way in."""
        jwe = encrypted(CARD, self.key)
        return Incoming(token_id=token_id or uuid4(), kind="card", subject=TENANT_SUBJECT, jwe=jwe)

    async def take_in(self, *items: Incoming) -> list[Taken]:
        """Take cards in."""
        answer = await self.client.ask(wire.TakeIn(self.tenant_id, ISSUER, self.keys, list(items)))
        assert isinstance(answer, wire.TakenIn)
        return [each for each in answer.results if isinstance(each, Taken)]

    async def take_all(self, items: Sequence[Incoming]) -> list[Taken]:
        """Take any number of cards in."""
        parts = [items[begin : begin + wire.MOST_ITEMS] for begin in range(0, len(items), wire.MOST_ITEMS)]
        return [taken for part in parts for taken in await self.take_in(*part)]

    async def give_out(self, item: Incoming, taken: Taken) -> Given:
        """Give a card out with its code."""
        asked = Outgoing(
            token_id=item.token_id, kind="card", sealed=taken.sealed, response_jwk=self.public, with_cvc=True
        )
        answer = await self.client.ask(wire.GiveOut(self.tenant_id, [asked]))
        assert isinstance(answer, wire.GivenOut)
        (given,) = answer.results
        assert isinstance(given, Given)
        return given

    async def status(self) -> wire.StatusTold:
        """Ask the process how it is."""
        told = await self.client.ask(wire.Status())
        assert isinstance(told, wire.StatusTold)
        return told
