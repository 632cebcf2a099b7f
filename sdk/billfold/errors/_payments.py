"""What is refused of payments."""

from billfold.errors._families import Conflict, Unavailable, Unprocessable

__all__ = [
    "CreditorUnknown",
    "CreditorUnsupported",
    "PaymentDiffersFromConsent",
    "PaymentNotResolvable",
    "RailMissing",
    "RailUnavailable",
    "ReturnExceedsPayment",
]


class PaymentDiffersFromConsent(Unprocessable):
    """The payment says something else than the consent that was given for it."""

    code, title = "payment_differs_from_consent", "The payment differs from its consent"


class CreditorUnknown(Unprocessable):
    """The payment names a wallet, or the number of an account that only a wallet could have, and no wallet is that."""

    code, title = "creditor_unknown", "The creditor's account is not known"


class CreditorUnsupported(Unprocessable):
    """The creditor's account is named by a scheme by which no payment can be sent, or its number can't be right."""

    code, title = "creditor_unsupported", "The creditor's account can't be paid"


class PaymentNotResolvable(Conflict):
    """Nobody has to look at the payment, or where its money is doesn't go with what is said of it."""

    code, title = "payment_not_resolvable", "The payment can't be resolved like this"


class RailMissing(Conflict):
    """The money would have to leave, and this tenant has no rail by which it could."""

    code, title = "rail_missing", "No payment can leave this tenant"


class RailUnavailable(Unavailable):
    """The rail doesn't answer now."""

    code, title = "rail_unavailable", "The rail does not answer"


class ReturnExceedsPayment(Conflict):
    """More would come back of a payment than was paid, with what has come back before."""

    code, title = "return_exceeds_payment", "The return exceeds what is left of the payment"
    payment_id: str
    remaining_minor: int
