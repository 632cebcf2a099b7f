"""Card data that leaves this process encrypted, and comes back encrypted: to the tenant's key, and to one of our own.

``billfold.vault_tokens.create_card(number=…)`` and ``.detokenize_card(…)`` do all of this in one line. What is here is
for programs that encrypt in one place and call in another, such as a point of sale and its back office::

    from billfold.tokenization import Card, seal_card

    keys = billfold.vault_tokens.encryption_keys()
    jwe = seal_card(Card(number="4111111111111111", expiry_month=12, expiry_year=2030, cvc="123"), keys)

Encryption is that of RFC 7516: ECDH-ES on P-256 with an ephemeral key for each value, and A256GCM. The header says for
which tenant a value is, so that no other takes it.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from billfold import errors
from billfold.contract.tokens import BankAccount, EncryptionKey, EncryptionKeys, ResponseKey

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

__all__ = ["Card", "KeyCache", "ResponseKeyPair", "seal_bank_account", "seal_card", "seal_number", "seal_personal"]

_ALGORITHMS: Final = ("ECDH-ES", "A256GCM")
_KEPT: Final = timedelta(minutes=10)
_MARGIN: Final = timedelta(minutes=1)
"""How long before its end a key is used no more, because requests take their time and clocks differ."""


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A card. It never shows itself, neither printed nor in a traceback.

    Attributes:
        number: Twelve to nineteen digits; blanks and hyphens between them are left out.
        expiry_month: 1 to 12.
        expiry_year: With all four digits.
        holder: The name on it.
        cvc: The code on it, which is kept for minutes, for one use.
    """

    number: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None
    holder: str | None = None
    cvc: str | None = None

    def __repr__(self) -> str:
        return "Card(…)"


class _Told(Card, frozen=True, kw_only=True, omit_defaults=True):
    """A card as it comes back, with whose it is."""

    token: str

    def __repr__(self) -> str:
        return "_Told(…)"


def seal_card(card: Card, keys: EncryptionKeys) -> str:
    """Return a card as a compact JWE to a tenant's newest key.

    Args:
        card: With number and expiry.
        keys: What ``vault_tokens.encryption_keys()`` has returned, lately.
    """
    return _seal(msgspec.json.encode(msgspec.structs.replace(card, number=_digits(card.number or ""))), keys)


def seal_number(number: str, keys: EncryptionKeys) -> str:
    """Return a card's number alone as a compact JWE, to look for its tokens."""
    return _seal(msgspec.json.encode({"number": _digits(number)}), keys)


def _digits(number: str) -> str:
    """Return a card's number without blanks and hyphens.

    Raises:
        TypeError: It is no text, such as a number, which has lost the noughts that it began with. It isn't told.
    """
    if not isinstance(number, str):
        raise TypeError(f"a card's number is a text, and not of type {type(number).__name__}")
    return number.replace(" ", "").replace("-", "")


def seal_bank_account(account: BankAccount, keys: EncryptionKeys) -> str:
    """Return a bank account as a compact JWE, where it shall not pass through the API in plain either."""
    said = {name: value for name, value in msgspec.structs.asdict(account).items() if value is not None}
    return _seal(msgspec.json.encode(said), keys)


def seal_personal(value: str, keys: EncryptionKeys) -> str:
    """Return a personal value as a compact JWE."""
    return _seal(msgspec.json.encode({"value": value}), keys)


def _seal(payload: bytes, keys: EncryptionKeys) -> str:
    from joserfc import jwe  # noqa: PLC0415  # Whoever encrypts nothing loads no cryptography.

    key = _usable(keys.keys, datetime.now(UTC))
    if key is None:
        raise errors.EncryptionKeyExpired("every key of the tenant that is known here has expired")
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key.kid, "aud": keys.audience}
    registry = jwe.JWERegistry(algorithms=_ALGORITHMS, strict_check_header=False)
    return jwe.encrypt_compact(header, payload, _public(key), registry=registry)


def _usable(keys: list[EncryptionKey], now: datetime) -> EncryptionKey | None:
    return next((key for key in keys if key.not_after - _MARGIN > now), None)


def _public(key: EncryptionKey) -> "ECKey":
    from joserfc.jwk import ECKey  # noqa: PLC0415

    # Only what is mathematics is taken from it; the point is looked at when it is read.
    return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": key.x, "y": key.y})


class ResponseKeyPair:
    """A pair of keys for one request: the answer is encrypted to it, and opens here alone.

    Attributes:
        public: What goes into the request.
    """

    def __init__(self) -> None:
        from joserfc.jwk import ECKey  # noqa: PLC0415

        self._kid = secrets.token_urlsafe(12)
        self._key = ECKey.generate_key("P-256")
        numbers = self._key.as_dict(private=False)
        self.public = ResponseKey(
            kty="EC", crv="P-256", x=str(numbers["x"]), y=str(numbers["y"]), kid=self._kid, use="enc", alg="ECDH-ES"
        )

    def __repr__(self) -> str:
        return f"ResponseKeyPair({self._kid})"

    def open_card(self, jwe: str, *, vault_token_id: str) -> Card:
        """Return the card that was encrypted to this pair.

        Args:
            jwe: What came.
            vault_token_id: Of which token it must be.

        Raises:
            errors.MalformedAnswer: It wasn't encrypted to this pair, or isn't this token's.
        """
        try:
            told = msgspec.json.decode(self._open(jwe), type=_Told)
        except msgspec.MsgspecError:
            raise errors.MalformedAnswer("what came encrypted is no card") from None
        if told.token != vault_token_id:
            raise errors.MalformedAnswer("what came encrypted is another token's card")
        return Card(
            number=told.number,
            expiry_month=told.expiry_month,
            expiry_year=told.expiry_year,
            holder=told.holder,
            cvc=told.cvc,
        )

    def open(self, jwe: str, *, vault_token_id: str) -> Mapping[str, Any]:
        """Return whatever value was encrypted to this pair, by the names of its fields.

        Args:
            jwe: What came.
            vault_token_id: Of which token it must be.

        Raises:
            errors.MalformedAnswer: It wasn't encrypted to this pair, or isn't this token's.
        """
        try:
            told: dict[str, Any] = msgspec.json.decode(self._open(jwe), type=dict[str, Any])
        except msgspec.MsgspecError:
            raise errors.MalformedAnswer("what came encrypted has no fields") from None
        if told.pop("token", None) != vault_token_id:
            raise errors.MalformedAnswer("what came encrypted is another token's value")
        return told

    def _open(self, text: str) -> bytes:
        from joserfc import jwe  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        try:
            found = jwe.decrypt_compact(text, self._key, algorithms=list(_ALGORITHMS))
        except (JoseError, ValueError, TypeError, KeyError, AssertionError):
            raise errors.MalformedAnswer("what came wasn't encrypted to this request's key") from None
        if found.plaintext is None or "zip" in found.protected:
            raise errors.MalformedAnswer("what came isn't of the form that was asked for")
        return found.plaintext


class KeyCache:
    """A tenant's public keys, kept for some minutes.

    Args:
        now: The clock.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._keys: EncryptionKeys | None = None
        self._fetched_at = datetime.min.replace(tzinfo=UTC)

    def current(self) -> EncryptionKeys | None:
        """Return the keys, or None where they must be fetched."""
        now = self._now()
        if self._keys is None or not timedelta(0) <= now - self._fetched_at < _KEPT:
            return None
        return self._keys if _usable(self._keys.keys, now) is not None else None

    def keep(self, keys: EncryptionKeys) -> EncryptionKeys:
        """Keep keys that were fetched, and return them."""
        self._keys, self._fetched_at = keys, self._now()
        return keys

    def forget(self) -> None:
        """Drop them, because the tenant doesn't know the one that was used."""
        self._keys = None
