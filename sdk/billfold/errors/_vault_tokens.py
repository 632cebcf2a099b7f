"""What is refused of vault tokens."""

from billfold.errors._families import Conflict, NotFound, PermissionDenied, RateLimited, Unprocessable

__all__ = [
    "BankAccountInvalid",
    "CardBrandUnknown",
    "CardCvcInvalid",
    "CardDataNotAllowed",
    "CardExpired",
    "CardExpiryInvalid",
    "CardHolderInvalid",
    "CardNumberInvalid",
    "DetokenizationLimitReached",
    "EncryptionKeyExpired",
    "EncryptionKeyUnknown",
    "JweInvalid",
    "PersonalTypeUnknown",
    "PersonalValueInvalid",
    "PurposeNotAllowed",
    "ResponseKeyInvalid",
    "ResponseKeyRequired",
    "SearchLimitReached",
    "TokenForgotten",
    "TokenUnreadable",
    "VaultTokenExpired",
    "VaultTokenInvalid",
    "VaultTokenUsed",
]


class JweInvalid(Unprocessable):
    """What was sent encrypted doesn't open, isn't meant for this tenant, or doesn't hold what it should."""

    code, title = "jwe_invalid", "The encrypted value can't be taken in"


class EncryptionKeyUnknown(Unprocessable):
    """The value was encrypted to a key that isn't the tenant's."""

    code, title = "encryption_key_unknown", "The encryption key is not known"


class EncryptionKeyExpired(Unprocessable):
    """The value was encrypted to a key of the tenant's that has been replaced for too long. Fetch the present one."""

    code, title = "encryption_key_expired", "The encryption key has expired"


class CardNumberInvalid(Unprocessable):
    """The number can't be a card's: wrong length or check digit."""

    code, title = "card_number_invalid", "The card number is not valid"


class CardExpiryInvalid(Unprocessable):
    """The expiry isn't a month of a year, or lies too far ahead."""

    code, title = "card_expiry_invalid", "The card's expiry is not valid"


class CardExpired(Unprocessable):
    """The card's last month has passed."""

    code, title = "card_expired", "The card has expired"


class CardBrandUnknown(Unprocessable):
    """The number begins like no card's that is known."""

    code, title = "card_brand_unknown", "The card's brand is not known"


class CardHolderInvalid(Unprocessable):
    """What was sent as the holder is no name."""

    code, title = "card_holder_invalid", "The card's holder is not valid"


class CardCvcInvalid(Unprocessable):
    """The code has another length than the brand's."""

    code, title = "card_cvc_invalid", "The card's code is not valid"


class BankAccountInvalid(Unprocessable):
    """There can't be such an account: the IBAN's check digits or structure, or the sort code are wrong."""

    code, title = "bank_account_invalid", "The bank account is not valid"


class PersonalTypeUnknown(Unprocessable):
    """The tenant's manifest doesn't declare this type of personal data."""

    code, title = "personal_type_unknown", "The type of personal data is not declared"


class PersonalValueInvalid(Unprocessable):
    """The value isn't of the form that the tenant's manifest declares for its type."""

    code, title = "personal_value_invalid", "The personal value is not of its declared form"


class VaultTokenInvalid(Unprocessable):
    """What was said of a vault token contradicts itself, such as a kind without its value, or an end in the past."""

    code, title = "vault_token_invalid", "There can't be such a vault token"


class CardDataNotAllowed(Unprocessable):
    """A text that isn't sealed holds what looks like a card's number. Nothing of it was kept."""

    code, title = "card_data_not_allowed", "The text holds what looks like a card number"


class TokenForgotten(NotFound):
    """The value behind the vault token was erased with the key of the person whom it was about."""

    code, title = "token_forgotten", "The value of the vault token was erased"


class TokenUnreadable(Conflict):
    """What is kept under the vault token doesn't open where it stands: it was changed, or belongs elsewhere."""

    code, title = "token_unreadable", "The value of the vault token can't be read"


class VaultTokenExpired(Conflict):
    """The vault token has expired."""

    code, title = "vault_token_expired", "The vault token has expired"


class VaultTokenUsed(Conflict):
    """The vault token was good for one use, and has been used."""

    code, title = "vault_token_used", "The vault token has been used"


class PurposeNotAllowed(PermissionDenied):
    """The tenant's manifest doesn't allow this caller this purpose, or the purpose this kind of vault token."""

    code, title = "purpose_not_allowed", "The purpose does not allow this"


class DetokenizationLimitReached(RateLimited):
    """The purpose's limit for this caller is used up: ``limit`` vault tokens per ``per`` (``hour`` or ``day``)."""

    code, title = "detokenization_limit_reached", "The purpose's limit is used up"
    limit: int
    per: str


class SearchLimitReached(RateLimited):
    """The caller has searched for values ``limit`` times within the hour."""

    code, title = "search_limit_reached", "The limit of searches is used up"
    limit: int


class ResponseKeyRequired(Unprocessable):
    """The value leaves the vault encrypted alone, so the request must name a public key of the caller's."""

    code, title = "response_key_required", "A response key is required"


class ResponseKeyInvalid(Unprocessable):
    """The response key is no point of its curve."""

    code, title = "response_key_invalid", "The response key is not valid"
