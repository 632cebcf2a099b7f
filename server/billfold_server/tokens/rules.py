"""What the vault takes in, and for whom and what it opens. Pure: the time and what was read are told."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from stdnum import iban
from stdnum.exceptions import ValidationError

from billfold import errors, ids
from billfold.contract.tokens import BankAccount, CreateVaultToken, PersonalValue, ResponseKey, VaultTokenKind
from billfold.ids import Prefix
from billfold_server.http.card_numbers import holds_card_number
from billfold_server.tenancy.manifest import Purpose, Tokenization

__all__ = [
    "SEARCH",
    "Value",
    "ends_at",
    "normal_account",
    "purpose_for",
    "refuse_card_numbers",
    "response_jwk",
    "value_of",
    "window",
]

SEARCH: Final = "(search)"
"""Under which searches are counted; no purpose can be called so."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sealed or looked for.

    Attributes:
        kind: What it is.
        jwe: Where it came encrypted.
        plain: Where it came as it is, in its normal form.
        personal_type: Which personal data.
        searchable: Whether a fingerprint of it is kept.
    """

    kind: VaultTokenKind
    jwe: str | None = None
    plain: str | None = None
    personal_type: str | None = None
    searchable: bool = True

    def __repr__(self) -> str:
        return f"Value({self.kind.value})"


def value_of(
    part: Tokenization,
    kind: VaultTokenKind,
    *,
    jwe: str | None,
    bank_account: BankAccount | None,
    personal: PersonalValue | None,
) -> Value:
    """Return what was sent as a value, checked as far as it can be read here.

    Raises:
        errors.FeatureDisabled: The tenant's vault doesn't take such values.
        errors.VaultTokenInvalid: What was sent isn't of the kind that it is said to be.
        errors.BankAccountInvalid: There can't be such an account.
        errors.PersonalTypeUnknown: The manifest doesn't declare the type.
        errors.PersonalValueInvalid: It isn't of the form that the manifest declares.
    """
    if kind.value not in part.kinds:
        raise errors.FeatureDisabled("the tenant's vault takes no such values", feature=f"tokenization.{kind.value}")
    given = {
        name
        for name, value in (("jwe", jwe), ("bank_account", bank_account), ("personal", personal))
        if value is not None
    }
    wanted = {VaultTokenKind.CARD: "jwe", VaultTokenKind.BANK_ACCOUNT: "bank_account"}.get(kind, "personal")
    if given != {wanted}:
        raise errors.VaultTokenInvalid(f"a value of this kind comes as {wanted}, and as nothing else", param=wanted)
    if bank_account is not None:
        return Value(kind=kind, plain=msgspec.json.encode(normal_account(bank_account)).decode())
    if personal is not None:
        rule = part.personal.get(personal.type)
        if rule is None:
            raise errors.PersonalTypeUnknown(param="personal.type")
        fits = rule.min_length <= len(personal.value) <= rule.max_length
        if not fits or (rule.pattern is not None and re.fullmatch(rule.pattern, personal.value) is None):
            raise errors.PersonalValueInvalid(param="personal.value")
        return Value(kind=kind, plain=personal.value, personal_type=personal.type, searchable=rule.searchable)
    return Value(kind=kind, jwe=jwe)


def normal_account(account: BankAccount) -> BankAccount:
    """Return an account without blanks and hyphens.

    Raises:
        errors.BankAccountInvalid: It is neither a valid IBAN (ISO 13616) nor a sort code with an account number.
    """
    british = (account.sort_code, account.account_number)
    if account.iban is None:
        if None in british:
            raise errors.BankAccountInvalid(
                "an account is an IBAN, or a sort code with an account number", param="bank_account"
            )
        sort_code = (account.sort_code or "").replace("-", "")
        return BankAccount(sort_code=sort_code, account_number=account.account_number, holder=account.holder)
    if british != (None, None):
        raise errors.BankAccountInvalid("an account has either an IBAN or a sort code", param="bank_account")
    text = account.iban.replace(" ", "").upper()
    try:
        # What only some countries have (check digits of their own) isn't looked at: banks there have exceptions.
        iban.validate(text, check_country=False)
    except ValidationError:
        raise errors.BankAccountInvalid(param="bank_account.iban") from None
    return BankAccount(iban=text, holder=account.holder)


def refuse_card_numbers(texts: Mapping[str, str | None]) -> None:
    """Refuse texts that lie open and hold a card's number, which belongs into the vault alone.

    Args:
        texts: By the name of what is to blame.

    Raises:
        errors.CardDataNotAllowed: One does.
    """
    for param, text in texts.items():
        if text is not None and holds_card_number(text):
            raise errors.CardDataNotAllowed(param=param)


def ends_at(item: CreateVaultToken, now: datetime) -> datetime | None:
    """Return when a token expires.

    Raises:
        errors.VaultTokenInvalid: It is said twice, or lies in the past.
    """
    if item.expires_in_s is not None:
        if item.expires_at is not None:
            raise errors.VaultTokenInvalid("a token's end is said in one way", param="expires_in_s")
        return now + timedelta(seconds=item.expires_in_s)
    if item.expires_at is not None and item.expires_at <= now:
        raise errors.VaultTokenInvalid("a token's end lies ahead", param="expires_at")
    return item.expires_at


def response_jwk(key: ResponseKey) -> dict[str, Any]:
    """Return a caller's public key as a JWK.

    Raises:
        errors.ResponseKeyInvalid: It is no point of the curve (RFC 7518, section 6.2.1).
    """
    x, y = (int.from_bytes(_bytes(each)) for each in (key.x, key.y))
    try:
        EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    except ValueError:
        raise errors.ResponseKeyInvalid(param="response_key") from None
    jwk: dict[str, Any] = {name: value for name, value in msgspec.structs.asdict(key).items() if value is not None}
    return jwk


def _bytes(text: str) -> bytes:
    read = msgspec.convert(text.translate(_STANDARD) + "=", bytes)
    # Bits that say nothing would let one key be written in several ways (RFC 4648, section 3.5).
    if msgspec.to_builtins(read).translate(_URL).rstrip("=") != text:
        raise errors.ResponseKeyInvalid(param="response_key")
    return read


_STANDARD: Final = str.maketrans("-_", "+/")
_URL: Final = str.maketrans("+/", "-_")


def purpose_for(
    part: Tokenization,
    name: str,
    *,
    scopes: Collection[str],
    client_id: UUID,
    roles: Sequence[str] | None,
) -> Purpose:
    """Return a purpose if a caller may have it. Whether there is no such purpose, or not for them, isn't told.

    Args:
        part: What the manifest says.
        name: The purpose.
        scopes: What the access token allows.
        client_id: The program that asks.
        roles: Those of the member of staff in whose name it asks; None where it asks for itself.

    Raises:
        errors.PurposeNotAllowed: They may not.
    """
    purpose = part.purposes.get(name)
    if purpose is not None and set(purpose.scopes) <= set(scopes):
        if roles is None:
            admitted = bool({"*", ids.encode(Prefix.CLIENT, client_id)} & set(purpose.clients))
        else:
            admitted = bool(set(roles) & set(purpose.roles))
        if admitted:
            return purpose
    raise errors.PurposeNotAllowed(param="purpose")


def window(span: str, now: datetime) -> tuple[datetime, int]:
    """Return when the hour or day began in which an instant lies, and how many seconds are left of it."""
    begins = now.replace(minute=0, second=0, microsecond=0)
    length = timedelta(hours=1)
    if span == "day":
        begins, length = begins.replace(hour=0), timedelta(days=1)
    return begins, max(1, int((begins + length - now).total_seconds()) + 1)
