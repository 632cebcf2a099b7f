"""The kinds of values: how each comes in, what is kept and shown of it, and how it goes out."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.decryptor import jwe, rules, wire
from billfold_server.decryptor.jwe import JweInvalid, Recipient, ResponseKeyInvalid
from billfold_server.decryptor.pairs import Opened
from billfold_server.decryptor.rules import Account, Card
from billfold_server.decryptor.wire import Incoming, Outgoing

__all__ = [
    "Asked",
    "No",
    "Read",
    "Value",
    "decode",
    "encode",
    "given",
    "normal",
    "normal_of",
    "plain",
    "purpose_of",
    "read",
    "response_key",
]

T = TypeVar("T")

_LONGEST_PERSONAL: Final = 4_096


class _Card(msgspec.Struct, frozen=True, tag="card", array_like=True):
    number: str
    expiry_month: int
    expiry_year: int
    holder: str | None

    def __repr__(self) -> str:
        return "_Card(…)"


class _Account(msgspec.Struct, frozen=True, tag="bank_account", array_like=True):
    iban: str | None
    sort_code: str | None
    account_number: str | None
    holder: str | None

    def __repr__(self) -> str:
        return "_Account(…)"


class _Personal(msgspec.Struct, frozen=True, tag="personal", array_like=True):
    personal_type: str
    value: str

    def __repr__(self) -> str:
        return "_Personal(…)"


Value = _Card | _Account | _Personal
"""What lies under a token's seal; it says itself what it is, so that one kind never passes for another."""

_KINDS: Final[dict[wire.Kind, type[Value]]] = {"card": _Card, "bank_account": _Account, "personal": _Personal}
_VALUE: Final = msgspec.msgpack.Decoder(Value)
encode: Final[Callable[[Value], bytes]] = msgspec.msgpack.Encoder().encode


class _PersonalIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: str

    def __repr__(self) -> str:
        return "_PersonalIn(…)"


class _NumberIn(msgspec.Struct, frozen=True):
    number: str

    def __repr__(self) -> str:
        return "_NumberIn(…)"


class _Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value as it goes out, inside of a JWE."""

    token: str
    number: str | None = None
    expiry_month: int | None = None
    expiry_year: int | None = None
    cvc: str | None = None
    iban: str | None = None
    sort_code: str | None = None
    account_number: str | None = None
    holder: str | None = None
    value: str | None = None

    def __repr__(self) -> str:
        return f"_Given({self.token})"


_CARD: Final = msgspec.json.Decoder(Card)
_ACCOUNT: Final = msgspec.json.Decoder(Account)
_PERSONAL: Final = msgspec.json.Decoder(_PersonalIn)
_NUMBER: Final = msgspec.json.Decoder(_NumberIn)


class No(Exception):
    """An item is refused; the code says why."""

    def __init__(self, code: str) -> None:
        assert code in wire.CODES
        super().__init__(code)
        self.code = code


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What counts for every item of an order.

    Attributes:
        issuer: For whom a JWE must be made.
        kids: All pairs of keys that the tenant has had, as far as they are known.
        opened: Those that open.
        now: The real time.
    """

    issuer: str
    kids: frozenset[str]
    opened: Mapping[str, Opened]
    now: datetime


class Read(msgspec.Struct, frozen=True):
    """An item that was opened and checked.

    Attributes:
        value: What is sealed.
        masked: What may be shown of it.
        purpose: Of its fingerprints.
        normal: What they are made of.
        cvc: A card's code.
    """

    value: Value
    masked: dict[str, str | int]
    purpose: str
    normal: str
    cvc: str | None = None

    def __repr__(self) -> str:
        return "Read(…)"


def purpose_of(kind: wire.Kind, personal_type: str | None = None) -> str:
    """Return the purpose for which a kind's fingerprints are made; each type of personal data has one of its own."""
    return f"vault token {kind}" if personal_type is None else f"vault token {kind} {personal_type}"


def _opened(text: str, asked: Asked) -> bytes:
    """Return what a JWE holds.

    Raises:
        No: It isn't one, or not for here, or not for now.
    """
    try:
        read_ = jwe.read(text)
        header = read_.header
        if header.kid not in asked.kids:
            raise No("encryption_key_unknown")
        pair = asked.opened.get(header.kid)
        if pair is None or asked.now > pair.not_after + rules.GRACE:
            raise No("encryption_key_expired")
        if header.aud != asked.issuer:
            raise No("jwe_invalid")
        return jwe.open_payload(read_, pair.key)
    except JweInvalid:
        raise No("jwe_invalid") from None


def _decoded(decoder: "msgspec.json.Decoder[T]", text: bytes, code: str) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise No(code) from None


def read(item: Incoming, asked: Asked) -> Read:
    """Open and check an item.

    Raises:
        No: It is refused.
    """
    if (item.jwe is None) is (item.plain is None):
        raise No("jwe_invalid")
    match item.kind:
        case "card":
            return _read_card(item, asked)
        case "bank_account":
            return _read_account(item, asked)
        case "personal":
            return _read_personal(item, asked)


def _read_card(item: Incoming, asked: Asked) -> Read:
    if item.jwe is None:
        raise No("jwe_invalid")
    card = _decoded(_CARD, _opened(item.jwe, asked), "jwe_invalid")
    if (refusal := rules.check_card(card, asked.now)) is not None:
        raise No(refusal)
    return Read(
        _Card(card.number, card.expiry_month, card.expiry_year, card.holder),
        rules.card_masked(card),
        purpose_of("card"),
        card.number,
        card.cvc,
    )


def _read_account(item: Incoming, asked: Asked) -> Read:
    if item.jwe is None:
        account = _decoded(_ACCOUNT, item.plain or b"", "bank_account_invalid")
    else:
        account = _decoded(_ACCOUNT, _opened(item.jwe, asked), "jwe_invalid")
    account = rules.normal_account(account)
    if (refusal := rules.check_account(account)) is not None:
        raise No(refusal)
    return Read(
        _Account(account.iban, account.sort_code, account.account_number, account.holder),
        rules.account_masked(account),
        purpose_of("bank_account"),
        rules.account_value(account),
    )


def _read_personal(item: Incoming, asked: Asked) -> Read:
    if item.jwe is not None:
        value = _decoded(_PERSONAL, _opened(item.jwe, asked), "jwe_invalid").value
    else:
        try:
            value = (item.plain or b"").decode()
        except UnicodeDecodeError:
            raise No("personal_value_invalid") from None
    if not item.personal_type or not 1 <= len(value) <= _LONGEST_PERSONAL or "\0" in value:
        raise No("personal_value_invalid")
    purpose = purpose_of("personal", item.personal_type)
    return Read(_Personal(item.personal_type, value), {}, purpose, rules.normal_personal(value))


def decode(text: bytes, kind: wire.Kind) -> Value:
    """Return what lay under a token's seal.

    Raises:
        No: It is of another kind, or nothing that was sealed here.
    """
    try:
        value = _VALUE.decode(text)
    except msgspec.MsgspecError:
        raise No("token_unreadable") from None
    if not isinstance(value, _KINDS[kind]):
        raise No("token_unreadable")
    return value


def given(item: Outgoing, value: Value, cvc: str | None) -> bytes:
    """Return a value as it goes out inside of a JWE; the token's id in it shows whose it is."""
    told = {name: getattr(value, name) for name in value.__struct_fields__ if name != "personal_type"}
    if isinstance(value, _Card) and item.fields is not None:
        fields = {name for each in item.fields for name in _FIELDS[each]}
        told = {name: told[name] for name in told if name in fields}
    return msgspec.json.encode(_Given(token=ids.encode(Prefix.VAULT_TOKEN, item.token_id), cvc=cvc, **told))


_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "number": ("number",),
    "expiry": ("expiry_month", "expiry_year"),
    "holder": ("holder",),
    "cvc": (),
}


def normal_of(value: Value) -> tuple[str, str]:
    """Return for which purpose, and of what, the fingerprints of a value are made."""
    match value:
        case _Card():
            return purpose_of("card"), value.number
        case _Account():
            return purpose_of("bank_account"), rules.account_value(_account(value))
        case _Personal():
            return purpose_of("personal", value.personal_type), rules.normal_personal(value.value)


def _account(value: _Account) -> Account:
    return Account(iban=value.iban, sort_code=value.sort_code, account_number=value.account_number, holder=value.holder)


def plain(value: Value) -> bytes:
    """Return a value that isn't a card's as it goes out by itself."""
    match value:
        case _Personal():
            return value.value.encode()
        case _Account():
            return msgspec.json.encode(_account(value))
        case _:
            raise No("response_key_required")


def normal(kind: wire.Kind, text: str, asked: Asked) -> str:
    """Return a value to look for in the form that its fingerprints are made of.

    Args:
        kind: What it is: a card, whose number comes as a JWE of ``{"number": …}`` or of a whole card, an account as
            JSON, or a personal value.
        text: The value.
        asked: What counts for all of them.

    Raises:
        No: There can't be such a value, or a JWE is refused.
    """
    match kind:
        case "card":
            number = _decoded(_NUMBER, _opened(text, asked), "jwe_invalid").number
            if (refusal := rules.check_number(number)) is not None:
                raise No(refusal)
            return number
        case "bank_account":
            account = rules.normal_account(_decoded(_ACCOUNT, text.encode(), "bank_account_invalid"))
            if (refusal := rules.check_account(account)) is not None:
                raise No(refusal)
            return rules.account_value(account)
        case "personal":
            return rules.normal_personal(text)


def response_key(item: Outgoing, known: dict[bytes, Recipient]) -> Recipient | None:
    """Return the key to which an item goes out, or None where it goes out by itself.

    Args:
        item: What is asked for.
        known: Keys that were read before in the same order, by what they were read from.

    Raises:
        No: It can't be used, or a card would go out by itself.
    """
    if item.response_jwk is None:
        if item.kind == "card":
            raise No("response_key_required")
        return None
    # A batch goes to one key as a rule, and reading one costs a fifth of encrypting to it.
    said = msgspec.json.encode(item.response_jwk)
    if (key := known.get(said)) is not None:
        return key
    try:
        key = known[said] = jwe.public_key(item.response_jwk)
    except ResponseKeyInvalid:
        raise No("response_key_invalid") from None
    return key
