"""Every failure that Billfold has a name for.

An error carries a stable ``code``, a ``title`` for people, and its facts as attributes; there is no HTTP in it. The
server maps codes to statuses at its edge, and the client raises the same classes again, so that code which embeds the
platform and code which calls it over the network handle one tree::

    BillfoldError
    ├── TransportError                    no answer: ConnectionFailed, TimedOut, MalformedAnswer
    ├── keys.KeyProblem                   a key can't sign
    ├── auth.AuthorizationFailed          nobody was signed in
    ├── webhooks.WebhookRefused           what came to a webhook endpoint isn't a delivery that may be believed
    ├── consents.SecurityEventInvalid     a security event token isn't the bank's, or not for us
    ├── consents.PaymentUnfinished        a payment has come to no end in the time that was given
    └── ProblemError                      an answer that says no
        ├── InvalidRequest                the request itself is wrong, and sending it again won't help
        ├── AuthenticationFailed          who is asking is not established
        ├── PermissionDenied              who is asking may not
        ├── NotFound                      there is no such thing, or not for this caller
        ├── Conflict                      the state of things refuses it (insufficient funds, frozen wallet, …)
        ├── PreconditionFailed            the object has changed since it was read
        ├── Unprocessable                 well-formed, but it contradicts something
        ├── RateLimited                   too much at once; ``retry_after_s`` says when to come back
        ├── Unavailable                   Billfold or what it leans on is away for now
        └── InternalError                 a defect of the server

The modules that are named have trees of their own below these, which they show.

What a program gets wrong by itself, before anybody is asked, isn't a ``BillfoldError`` but Python's own, and so is what
doesn't hold of books and proofs, where there is nobody who refuses::

    ValueError
    ├── money.AmountError                 an amount isn't one of whole minor units of its currency
    ├── ids.InvalidIdError                a text is no id of its kind
    ├── proofs.InvalidProofError          a signed head or a proof doesn't hold; ``fact`` says what of it
    └── chain.BrokenLinkError             a stored link of a ledger's chain doesn't follow from the one before
"""

from billfold.errors import (
    _arrangements,
    _events,
    _messages,
    _open_banking,
    _partners,
    _payments,
    _recurring_payments,
    _sandbox,
    _statements,
    _tenants,
    _vault_tokens,
    _versions,
    _webhooks,
)
from billfold.errors._arrangements import *  # noqa: F403 - its names are all listed there
from billfold.errors._events import *  # noqa: F403 - its names are all listed there
from billfold.errors._families import (
    ERRORS,
    AuthenticationFailed,
    BillfoldError,
    Conflict,
    ConnectionFailed,
    Fact,
    InvalidRequest,
    MalformedAnswer,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    ProblemError,
    RateLimited,
    TimedOut,
    TransportError,
    Unavailable,
    Unprocessable,
)
from billfold.errors._messages import *  # noqa: F403 - its names are all listed there
from billfold.errors._open_banking import *  # noqa: F403 - its names are all listed there
from billfold.errors._partners import *  # noqa: F403 - its names are all listed there
from billfold.errors._payments import *  # noqa: F403 - its names are all listed there
from billfold.errors._recurring_payments import *  # noqa: F403 - its names are all listed there
from billfold.errors._sandbox import *  # noqa: F403 - its names are all listed there
from billfold.errors._statements import *  # noqa: F403 - its names are all listed there
from billfold.errors._tenants import *  # noqa: F403 - its names are all listed there
from billfold.errors._vault_tokens import *  # noqa: F403 - its names are all listed there
from billfold.errors._versions import *  # noqa: F403 - its names are all listed there
from billfold.errors._webhooks import *  # noqa: F403 - its names are all listed there

__all__ = [
    "ERRORS",
    "AuthenticationFailed",
    "BillfoldError",
    "Conflict",
    "ConnectionFailed",
    "Fact",
    "InvalidRequest",
    "MalformedAnswer",
    "NotFound",
    "PermissionDenied",
    "PreconditionFailed",
    "ProblemError",
    "RateLimited",
    "TimedOut",
    "TransportError",
    "Unavailable",
    "Unprocessable",
]
__all__ += _arrangements.__all__
__all__ += _events.__all__
__all__ += _messages.__all__
__all__ += _open_banking.__all__
__all__ += _partners.__all__
__all__ += _recurring_payments.__all__
__all__ += _payments.__all__
__all__ += _vault_tokens.__all__
__all__ += _sandbox.__all__
__all__ += _statements.__all__
__all__ += _tenants.__all__
__all__ += _versions.__all__
__all__ += _webhooks.__all__

# The request.


class MalformedBody(InvalidRequest):
    """The body isn't JSON in UTF-8, or nests too deep."""

    code, title = "malformed_body", "The body can't be read"


class ValidationFailed(InvalidRequest):
    """A field, parameter or header isn't of the documented form. ``param`` names it."""

    code, title = "validation_failed", "A value is not of the documented form"


class UnsupportedMediaType(InvalidRequest):
    """The body's content type isn't one that the operation takes."""

    code, title = "unsupported_media_type", "The content type is not supported"


class BodyTooLarge(InvalidRequest):
    """The body is larger than ``limit_bytes``; None where a proxy has answered, and doesn't say."""

    code, title = "body_too_large", "The body is too large"
    limit_bytes: int | None


class BodyTooSlow(InvalidRequest):
    """The body didn't come in within ``limit_s`` seconds, and nothing was done with it.

    They are None where a proxy has answered, and doesn't say.
    """

    code, title = "body_too_slow", "The body took too long to come in"
    limit_s: int | None


class MethodNotAllowed(InvalidRequest):
    """The resource doesn't know the method."""

    code, title = "method_not_allowed", "The method is not allowed here"


class InvalidCursor(InvalidRequest):
    """The cursor isn't one that this list has handed out."""

    code, title = "invalid_cursor", "The cursor is not valid here"


class IdempotencyKeyMissing(InvalidRequest):
    """An operation that moves money came without an ``Idempotency-Key``."""

    code, title = "idempotency_key_missing", "An Idempotency-Key header is required"


class InvalidToken(AuthenticationFailed):
    """The access token is missing, expired, revoked, or not for this tenant (RFC 6750, section 3.1)."""

    code, title = "invalid_token", "The access token is not valid"


class InsufficientScope(PermissionDenied):
    """The access token lacks ``scope`` (RFC 6750, section 3.1)."""

    code, title = "insufficient_scope", "The access token lacks a scope"
    scope: str


class ProxyRequired(PermissionDenied):
    """The request came to the server itself, in clear text, and not through the proxy that ends TLS before it."""

    code, title = "proxy_required", "The server is reached through its proxy"


class FeatureDisabled(PermissionDenied):
    """The tenant's manifest doesn't turn the ``feature`` on."""

    code, title = "feature_disabled", "The feature is not enabled for this tenant"
    feature: str


class PersonRequired(PermissionDenied):
    """Only a person may do this: an access token that a member of the bank's staff has signed in for."""

    code, title = "person_required", "Only a person may do this"


class MakerMayNotDecide(PermissionDenied):
    """Whoever has asked for something, or made the API client that has, isn't the one who approves or rejects it."""

    code, title = "maker_may_not_decide", "Another person must decide"


class SubjectForgotten(NotFound):
    """It belonged to somebody whose keys were destroyed on purpose, so nobody can read it any more."""

    code, title = "subject_forgotten", "It was forgotten, and can't be read any more"


class IdempotencyKeyReused(Unprocessable):
    """The key was used before, with another method, path or body."""

    code, title = "idempotency_key_reused", "The idempotency key was used for another request"


class RequestInFlight(Conflict):
    """A request with the same idempotency key is still being worked on."""

    code, title = "request_in_flight", "A request with this idempotency key is still in flight"
    _in_doubt = True


class BulkAborted(Conflict):
    """Another item of an atomic request, the one at ``refused_item`` from 0, was refused, so none was carried out.

    It is kept under no key: the item may be sent again under the same one.
    """

    code, title = "bulk_aborted", "Another item of the request was refused"
    refused_item: int


class ApprovalRequired(Conflict):
    """Nothing was done yet: another person must approve it first, as ``approval_id``.

    Once it is approved, the server carries it out by itself. Whoever sends the request again with the same idempotency
    key gets its answer then.
    """

    code, title = "approval_required", "Another person must approve this first"
    approval_id: str


class ApprovalRefused(Conflict):
    """The request with this idempotency key was rejected, or nobody approved it in time; ``outcome`` says which."""

    code, title = "approval_refused", "The request was not approved"
    approval_id: str
    outcome: str


class ApprovalNotPending(Conflict):
    """The approval isn't waiting for a decision any more."""

    code, title = "approval_not_pending", "The approval is not pending"


class MakerLacksPermission(Conflict):
    """Whoever has asked for something may no longer do it, so that nobody can approve it; it can be rejected."""

    code, title = "maker_lacks_permission", "Who has asked for it may no longer do it"


class OutcomeUnknown(Unavailable):
    """The answer to a commit was lost. Sending the request again with the same key tells what happened."""

    code, title = "outcome_unknown", "The outcome is unknown; repeat the request with the same key"
    _in_doubt = True


class DatabaseUnavailable(Unavailable):
    """The database can't be reached."""

    code, title = "database_unavailable", "The database is not available"


class KeysUnavailable(Unavailable):
    """The keys that open or seal this are out of reach for now; ``reason`` says why. Nothing was changed."""

    code, title = "keys_unavailable", "The keys are not available"
    reason: str


class Overloaded(Unavailable):
    """The server has more work queued than it takes on."""

    code, title = "overloaded", "The server is overloaded"


class Busy(Unavailable):
    """Other work on the same rows took too long, or the two got in each other's way. Nothing was changed."""

    code, title = "busy", "Other work on the same data is in the way"


class InternalError(ProblemError):
    """A defect of the server. The request id leads operators to the cause."""

    code, title = "internal_error", "The server failed"
    _in_doubt = True


# Ledger and wallets.


class InsufficientFunds(Conflict):
    """The available balance of ``account_id`` doesn't cover the amount."""

    code, title = "insufficient_funds", "The available balance does not cover the amount"
    account_id: str
    currency: str
    available_minor: int
    required_minor: int


class WalletFrozen(Conflict):
    """The wallet is frozen, so nothing leaves or enters it."""

    code, title = "wallet_frozen", "The wallet is frozen"
    wallet_id: str


class WalletClosed(Conflict):
    """The wallet is closed."""

    code, title = "wallet_closed", "The wallet is closed"
    wallet_id: str


class WalletNotEmpty(Conflict):
    """A wallet with a balance, a hold or a pending amount can't be closed."""

    code, title = "wallet_not_empty", "The wallet is not empty"
    wallet_id: str


class WalletNotFrozen(Conflict):
    """Only a frozen wallet can be unfrozen."""

    code, title = "wallet_not_frozen", "The wallet is not frozen"
    wallet_id: str


class SameWallet(Conflict):
    """A transfer needs two different wallets."""

    code, title = "same_wallet", "Source and destination are the same"


class CurrencyNotEnabled(Conflict):
    """The tenant doesn't keep accounts in ``currency``."""

    code, title = "currency_not_enabled", "The tenant does not use this currency"
    currency: str


class CurrencyMismatch(Conflict):
    """An account is kept in another currency than the posting's."""

    code, title = "currency_mismatch", "The account is kept in another currency"
    account_id: str
    currency: str


class AccountNotUsable(Conflict):
    """The account isn't of the kind that the operation needs."""

    code, title = "account_not_usable", "The account is not of the kind that is needed"
    account_id: str


class AccountCodeTaken(Conflict):
    """Another account has this code and currency."""

    code, title = "account_code_taken", "The account code is taken"


class UnbalancedEntry(Conflict):
    """The postings of a journal entry don't sum to zero in ``currency``."""

    code, title = "unbalanced_entry", "The postings do not balance"
    currency: str
    difference_minor: int


class BalanceOutOfRange(Conflict):
    """The posting would take a balance past what the ledger can count."""

    code, title = "balance_out_of_range", "The balance would leave the ledger's range"
    account_id: str


class LimitExceeded(Conflict):
    """A limit of the tenant's manifest refuses the amount."""

    code, title = "limit_exceeded", "A limit refuses the amount"
    limit: str
    limit_minor: int
    currency: str


class EffectiveDateNotAllowed(Conflict):
    """The effective time lies in the future, or further back than the tenant's policy allows."""

    code, title = "effective_date_not_allowed", "The effective time is not allowed"


class HoldNotOpen(Conflict):
    """The hold has been captured, released or has expired already."""

    code, title = "hold_not_open", "The hold is not open"
    hold_id: str
    status_of_hold: str


class CaptureExceedsHold(Conflict):
    """More was asked to be captured than the hold still reserves."""

    code, title = "capture_exceeds_hold", "The capture exceeds what is held"
    hold_id: str
    remaining_minor: int


class HoldCapturesExhausted(Conflict):
    """The hold has been captured in part as often as one may be; the next capture has to be final."""

    code, title = "hold_captures_exhausted", "The hold takes no further capture in part"
    hold_id: str
    captures: int


class HoldHasNoDestination(Conflict):
    """Neither the hold nor the capture says where the money goes."""

    code, title = "hold_has_no_destination", "The hold names no destination"
    hold_id: str


class HoldDestinationAmbiguous(Unprocessable):
    """A hold names both a wallet and an account as its destination."""

    code, title = "hold_destination_ambiguous", "The hold names two destinations"


class HistoryDetached(Conflict):
    """What was asked for lies in months that have been taken out of the ledger.

    Balances can be told as of ``effective_from`` and later, by what was recorded from ``recorded_from`` on; journal
    entries are there if they were recorded after it.
    """

    code, title = "history_detached", "That part of the ledger's history has been detached"
    effective_from: str
    recorded_from: str


class ReversalExceedsEntry(Conflict):
    """More was asked to be reversed than remains of the original."""

    code, title = "reversal_exceeds_entry", "The reversal exceeds what remains of the original"
    journal_entry_id: str
    remaining_minor: int


class EntryNotReversible(Conflict):
    """The journal entry can't be reversed: it is a reversing entry itself, or only reversible as a whole."""

    code, title = "entry_not_reversible", "The journal entry can't be reversed like this"
    journal_entry_id: str


class AliasTaken(Conflict):
    """A wallet has this alias, or another one has one of the same account: a British IBAN, or what it ends in."""

    code, title = "alias_taken", "The alias is taken"


class AliasInvalid(Unprocessable):
    """The value can't be an alias of its scheme, such as an IBAN with wrong check digits."""

    code, title = "alias_invalid", "The value can't be an alias of this scheme"


class ExternalIdTaken(Conflict):
    """Another party has this external id."""

    code, title = "external_id_taken", "The external id is taken"


# API clients.


class ClientMetadataRefused(Unprocessable):
    """A client can't be registered so, under the tenant's security profile. ``param`` names what is wrong."""

    code, title = "client_metadata_refused", "The client can't be registered so"


# Privacy.


class PartyForgotten(Conflict):
    """The party was forgotten, so there is nothing to change or to do for it any more."""

    code, title = "party_forgotten", "The party was forgotten"


class PartyHasWallets(Conflict):
    """Somebody whose wallets aren't all closed can't be forgotten; ``open_wallets`` is how many aren't."""

    code, title = "party_has_wallets", "The party has wallets that are not closed"
    open_wallets: int


class PartyHasPayments(Conflict):
    """Somebody whose payments are open can't be forgotten.

    ``open_payments`` is of how many the money may come back, or of how many entries of bank statements it waits in
    suspense until it is assigned.
    """

    code, title = "party_has_payments", "The party has payments that are open"
    open_payments: int


class PartyStillKept(Conflict):
    """The law wants the party to be known until ``kept_until``; before that, it can't be forgotten."""

    code, title = "party_still_kept", "The party must still be known"
    kept_until: str


# People.


class LoginNameTaken(Conflict):
    """Another user of the realm signs in by this name."""

    code, title = "login_name_taken", "The login name is taken"


class UserInvalid(Unprocessable):
    """What was said of a user contradicts itself, such as staff who are a party, or a name that can't be typed."""

    code, title = "user_invalid", "There can't be such a user"


class UserStateRefuses(Conflict):
    """The user's state doesn't allow that, such as a new enrolment of somebody who is disabled."""

    code, title = "user_state_refuses", "The user's state doesn't allow this"
    state: str


class SecondOperatorRequired(Conflict):
    """Nothing was done yet: another operator must ask for the same, within three days."""

    code, title = "second_operator_required", "Another operator must ask for the same"


# They are known by where they are imported from, and not by the module of ours in which each happens to be written.
for _named in [globals()[_name] for _name in __all__]:
    if isinstance(_named, type):
        _named.__module__ = __name__
