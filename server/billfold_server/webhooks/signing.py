"""Signs what is delivered, as Standard Webhooks, version 1, has it.

An endpoint has a secret, for receivers that verify with nothing but HMAC, and an Ed25519 key, for those that shall not
be able to sign. Every delivery is signed by both. While a secret is being replaced it is signed by the former ones too,
so that receivers may change over at any moment.
"""

import base64
import hmac
import secrets
from datetime import datetime
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from billfold_server.keys.service import Place

__all__ = ["KeyPair", "SigningKeys", "headers_of", "new_pair", "place_of"]

_MOST_EARLIER: Final = 3
"""How many sign beside the present and the former one, at most: receivers look at so many signatures only."""
_SECRET_BYTES: Final = 32
_SECRET: Final = "whsec_"  # noqa: S105 - What every secret begins with.


class KeyPair(msgspec.Struct, frozen=True):
    """What signs.

    Attributes:
        secret: The key of HMAC-SHA-256, which the receiver has as well.
        seed: The private half of the Ed25519 key (RFC 8032, section 5.1.5), which nobody else has.
    """

    secret: bytes
    seed: bytes

    def __repr__(self) -> str:
        return "KeyPair(…)"

    @property
    def secret_text(self) -> str:
        """The secret as the receiver is given it."""
        return _SECRET + base64.b64encode(self.secret).decode()

    @property
    def public(self) -> bytes:
        """The public half of the Ed25519 key."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    def signatures(self, content: bytes) -> list[str]:
        """Return both signatures of a content."""
        symmetric = hmac.digest(self.secret, content, "sha256")
        asymmetric = Ed25519PrivateKey.from_private_bytes(self.seed).sign(content)
        return [f"v1,{base64.b64encode(symmetric).decode()}", f"v1a,{base64.b64encode(asymmetric).decode()}"]


class Ending(msgspec.Struct, frozen=True):
    """What signs for some time yet.

    Attributes:
        pair: By what.
        until: Until when, in real time.
    """

    pair: KeyPair
    until: datetime


class SigningKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What signs an endpoint's deliveries, as it is sealed.

    Attributes:
        present: What it is now.
        former: What it was before.
        former_until: Until when that signs too, in real time.
        earlier: What it was before that, the newest first.
    """

    present: KeyPair
    former: KeyPair | None = None
    former_until: datetime | None = None
    earlier: tuple[Ending, ...] = ()

    def at(self, now: datetime) -> list[KeyPair]:
        """Return what signs at an instant, the newest first."""
        return [self.present, *(each.pair for each in self._ending(now))]

    def replaced(self, pair: KeyPair, *, now: datetime, until: datetime) -> "SigningKeys":
        """Return what signs once it is replaced.

        What has been promised to sign for some time yet does so, for the receiver may know nothing newer: of a
        rotation whose answer got lost nobody has the secret. But nothing signs for longer than is asked for now.

        Args:
            pair: What it is from now on.
            now: The real time.
            until: Until when what it was before signs too.
        """
        ending = [Ending(each.pair, min(each.until, until)) for each in self._ending(now)]
        return SigningKeys(present=pair, former=self.present, former_until=until, earlier=tuple(ending[:_MOST_EARLIER]))

    def _ending(self, now: datetime) -> list[Ending]:
        former = () if self.former is None or self.former_until is None else (Ending(self.former, self.former_until),)
        return [each for each in (*former, *self.earlier) if each.until > now]


def new_pair() -> KeyPair:
    """Make a secret and a key."""
    return KeyPair(secret=secrets.token_bytes(_SECRET_BYTES), seed=secrets.token_bytes(_SECRET_BYTES))


def place_of(endpoint_id: object) -> Place:
    """Return where an endpoint's keys lie."""
    return Place("webhook_endpoints", str(endpoint_id), "sealed_keys")


def headers_of(keys: SigningKeys, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers by which a receiver knows who has sent a body, and when.

    Args:
        keys: The endpoint's.
        message_id: What stays the same however often it is sent.
        body: The body.
        now: The real time: whoever verifies lives in it, also where a sandbox's clock is elsewhere.
    """
    timestamp = str(int(now.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = [each for pair in keys.at(now) for each in pair.signatures(content)]
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}
