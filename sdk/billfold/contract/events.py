"""The registry of events: every type that a tenant's stream has, and what its ``data`` says.

The server emits no type that isn't here and no data of another class, the OpenAPI document shows each as a webhook,
and ``billfold.events`` reads them. Data hold no free text and nothing personal: where one has the shape of an object
of the contract, the members in which people write what they like are null or empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from billfold.contract.common import Response
from billfold.contract.event_data import (
    AccountStatementsEventData,
    ApprovalEventData,
    ArrangementEventData,
    CardSessionEventData,
    ConsentEventData,
    DataKeysRotatedEventData,
    DataKeysShreddedEventData,
    EventSubscriptionEventData,
    PartnerEventData,
    PartnerSandboxEventData,
    PartyErasedEventData,
    PartyEventData,
    PaymentEventData,
    ProductAssignedEventData,
    ProductEventData,
    StatementEntryEventData,
    ThirdPartyEventData,
    UserEventData,
    VaultTokenAlarmEventData,
    VaultTokenEventData,
    VaultTokenForgottenEventData,
    WebhookEndpointEventData,
)
from billfold.contract.ledger import Account, Hold, JournalEntry
from billfold.contract.statements import StatementImport
from billfold.contract.wallets import TopUp, Transfer, Wallet, Withdrawal

__all__ = [
    "ACCOUNT_CREATED",
    "ACCOUNT_STATEMENTS_MADE",
    "ACCOUNT_UPDATED",
    "APPROVAL_APPROVED",
    "APPROVAL_EXECUTED",
    "APPROVAL_REJECTED",
    "APPROVAL_REQUESTED",
    "ARRANGEMENT_CREATED",
    "ARRANGEMENT_UPDATED",
    "CARD_SESSION_COMPLETED",
    "CARD_SESSION_CREATED",
    "CONSENT_AUTHORISED",
    "CONSENT_CONSUMED",
    "CONSENT_CREATED",
    "CONSENT_EXPIRED",
    "CONSENT_LAPSED",
    "CONSENT_REAUTHENTICATED",
    "CONSENT_REAUTHENTICATION_REQUIRED",
    "CONSENT_REFUSED",
    "CONSENT_REVOKED",
    "DATA_KEYS_ROTATED",
    "DATA_KEYS_SHREDDED",
    "EVENTS",
    "EVENT_SUBSCRIPTION_CHANGED",
    "EVENT_SUBSCRIPTION_CREATED",
    "EVENT_SUBSCRIPTION_DELETED",
    "EVENT_SUBSCRIPTION_PAUSED",
    "HOLD_CAPTURED",
    "HOLD_CREATED",
    "HOLD_EXPIRED",
    "HOLD_RELEASED",
    "JOURNAL_ENTRY_POSTED",
    "JOURNAL_ENTRY_REVERSED",
    "PARTNER_CREATED",
    "PARTNER_REMOVED",
    "PARTNER_RESUMED",
    "PARTNER_SANDBOX_CREATED",
    "PARTNER_SANDBOX_READY",
    "PARTNER_SANDBOX_REMOVED",
    "PARTNER_SANDBOX_REMOVING",
    "PARTNER_SANDBOX_RESETTING",
    "PARTNER_SUSPENDED",
    "PARTNER_UPDATED",
    "PARTY_CREATED",
    "PARTY_ERASED",
    "PARTY_UPDATED",
    "PAYMENT_CREATED",
    "PAYMENT_UPDATED",
    "PRODUCT_ASSIGNED",
    "PRODUCT_CREATED",
    "PRODUCT_UPDATED",
    "STATEMENT_ENTRY_ASSIGNED",
    "STATEMENT_IMPORTED",
    "STATEMENT_IMPORT_REVERSED",
    "THIRD_PARTY_BLOCKED",
    "THIRD_PARTY_UNBLOCKED",
    "TOP_UP_POSTED",
    "TOP_UP_REVERSED",
    "TRANSFER_POSTED",
    "TRANSFER_REVERSED",
    "USER_CREATED",
    "USER_DISABLED",
    "USER_ENABLED",
    "USER_ENROLLED",
    "USER_ENROLMENT_OFFERED",
    "USER_FACTOR_ENROLLED",
    "USER_FACTOR_REMOVED",
    "USER_FACTOR_SUSPENDED",
    "USER_LOCKED",
    "USER_PARTNER_ROLE_CHANGED",
    "USER_PASSWORD_CHANGED",
    "USER_RECOVERY_CODES_MADE",
    "USER_RECOVERY_CODE_USED",
    "USER_REMOVED",
    "USER_ROLES_CHANGED",
    "USER_SCA_COMPLETED",
    "USER_SCA_EXEMPTED",
    "USER_SCA_VOIDED",
    "USER_SIGNED_IN",
    "USER_SIGNED_OUT_EVERYWHERE",
    "USER_UNLOCKED",
    "VAULT_TOKEN_ALARM",
    "VAULT_TOKEN_CREATED",
    "VAULT_TOKEN_DELETED",
    "VAULT_TOKEN_DETOKENIZED",
    "VAULT_TOKEN_FORGOTTEN",
    "VAULT_TOKEN_UPDATED",
    "WALLET_CLOSED",
    "WALLET_CREATED",
    "WALLET_FROZEN",
    "WALLET_UNFROZEN",
    "WALLET_UPDATED",
    "WEBHOOK_ENDPOINT_CREATED",
    "WEBHOOK_ENDPOINT_DELETED",
    "WEBHOOK_ENDPOINT_DISABLED",
    "WEBHOOK_ENDPOINT_PAUSED",
    "WEBHOOK_ENDPOINT_SECRET_ROTATED",
    "WEBHOOK_ENDPOINT_TESTED",
    "WEBHOOK_ENDPOINT_UPDATED",
    "WITHDRAWAL_POSTED",
    "WITHDRAWAL_REVERSED",
    "AccountStatementsEventData",
    "ApprovalEventData",
    "ArrangementEventData",
    "CardSessionEventData",
    "ConsentEventData",
    "DataKeysRotatedEventData",
    "DataKeysShreddedEventData",
    "EventSubscriptionEventData",
    "EventType",
    "PartnerEventData",
    "PartnerSandboxEventData",
    "PartyErasedEventData",
    "PartyEventData",
    "PaymentEventData",
    "ProductAssignedEventData",
    "ProductEventData",
    "StatementEntryEventData",
    "ThirdPartyEventData",
    "UserEventData",
    "VaultTokenAlarmEventData",
    "VaultTokenEventData",
    "VaultTokenForgottenEventData",
    "WebhookEndpointEventData",
]

D = TypeVar("D", bound=Response)


@dataclass(frozen=True, slots=True)
class EventType(Generic[D]):
    """A type of event.

    Attributes:
        name: As it stands in ``type``: an object, and what happened to it.
        data: What ``data`` says.
        about: What has happened, in a sentence.
        version: Counts up when ``data`` changes in a way that isn't additive.
    """

    name: str
    data: type[D]
    about: str
    version: int = 1


_EVENTS: dict[str, EventType[Response]] = {}


def _event(name: str, data: type[D], about: str) -> EventType[D]:
    kind = EventType(name, data, about)
    assert name not in _EVENTS, "a type of event is registered once"
    _EVENTS[name] = kind  # type: ignore[assignment]
    return kind


ACCOUNT_CREATED: Final = _event("account.created", Account, "A ledger account was made.")
ACCOUNT_UPDATED: Final = _event("account.updated", Account, "A ledger account was changed.")
JOURNAL_ENTRY_POSTED: Final = _event("journal_entry.posted", JournalEntry, "A journal entry was posted by hand.")
JOURNAL_ENTRY_REVERSED: Final = _event(
    "journal_entry.reversed", JournalEntry, "A journal entry was reversed; the data are the reversing entry."
)
HOLD_CREATED: Final = _event("hold.created", Hold, "Money was held.")
HOLD_CAPTURED: Final = _event("hold.captured", Hold, "Money that was held has moved.")
HOLD_RELEASED: Final = _event("hold.released", Hold, "Money that was held is free again.")
HOLD_EXPIRED: Final = _event("hold.expired", Hold, "Money that was held is free again, because its time is over.")

WALLET_CREATED: Final = _event("wallet.created", Wallet, "A wallet was opened.")
WALLET_UPDATED: Final = _event("wallet.updated", Wallet, "A wallet was changed.")
WALLET_FROZEN: Final = _event("wallet.frozen", Wallet, "A wallet was frozen: nothing leaves or enters it.")
WALLET_UNFROZEN: Final = _event("wallet.unfrozen", Wallet, "A wallet is no longer frozen.")
WALLET_CLOSED: Final = _event("wallet.closed", Wallet, "A wallet was closed.")
TRANSFER_POSTED: Final = _event("transfer.posted", Transfer, "Money has moved between two wallets.")
TRANSFER_REVERSED: Final = _event(
    "transfer.reversed", JournalEntry, "A transfer was reversed; the data are the reversing entry."
)
TOP_UP_POSTED: Final = _event("top_up.posted", TopUp, "Money has come into a wallet from outside.")
TOP_UP_REVERSED: Final = _event(
    "top_up.reversed", JournalEntry, "A top-up was reversed; the data are the reversing entry."
)
WITHDRAWAL_POSTED: Final = _event("withdrawal.posted", Withdrawal, "Money has left a wallet to the outside.")
WITHDRAWAL_REVERSED: Final = _event(
    "withdrawal.reversed", JournalEntry, "A withdrawal was reversed; the data are the reversing entry."
)

STATEMENT_IMPORTED: Final = _event("statement.imported", StatementImport, "A bank's statement file was booked.")
STATEMENT_IMPORT_REVERSED: Final = _event(
    "statement_import.reversed", StatementImport, "The import of a bank's statement file was taken back as a whole."
)
STATEMENT_ENTRY_ASSIGNED: Final = _event(
    "statement_entry.assigned",
    StatementEntryEventData,
    "Money in suspense was given to the wallet it belongs to, or to an account of the general ledger.",
)
ACCOUNT_STATEMENTS_MADE: Final = _event(
    "account_statements.made", AccountStatementsEventData, "The statements of a month were made."
)

PARTNER_CREATED: Final = _event("partner.created", PartnerEventData, "A partner organisation was made.")
PARTNER_UPDATED: Final = _event("partner.updated", PartnerEventData, "A partner organisation was changed.")
PARTNER_SUSPENDED: Final = _event(
    "partner.suspended", PartnerEventData, "A partner's members and API clients are let in no more."
)
PARTNER_RESUMED: Final = _event(
    "partner.resumed", PartnerEventData, "A partner's members and API clients are let in again."
)
PARTNER_REMOVED: Final = _event(
    "partner.removed", PartnerEventData, "A suspended partner organisation of which nothing was left is gone for good."
)
PARTNER_SANDBOX_CREATED: Final = _event(
    "partner_sandbox.created", PartnerSandboxEventData, "A sandbox was asked for, and is being made."
)
PARTNER_SANDBOX_RESETTING: Final = _event(
    "partner_sandbox.resetting", PartnerSandboxEventData, "A sandbox is being brought back to its beginning."
)
PARTNER_SANDBOX_READY: Final = _event(
    "partner_sandbox.ready", PartnerSandboxEventData, "A sandbox is ready: nothing is under way with it."
)
PARTNER_SANDBOX_REMOVING: Final = _event(
    "partner_sandbox.removing", PartnerSandboxEventData, "A sandbox is being removed."
)
PARTNER_SANDBOX_REMOVED: Final = _event(
    "partner_sandbox.removed", PartnerSandboxEventData, "A sandbox is gone, with all that was in it."
)
PARTY_CREATED: Final = _event("party.created", PartyEventData, "A party was made.")
PARTY_UPDATED: Final = _event("party.updated", PartyEventData, "A party was changed.")
PARTY_ERASED: Final = _event("party.erased", PartyErasedEventData, "A party's personal data were erased.")
DATA_KEYS_ROTATED: Final = _event("data_keys.rotated", DataKeysRotatedEventData, "A tenant's data key was replaced.")
DATA_KEYS_SHREDDED: Final = _event("data_keys.shredded", DataKeysShreddedEventData, "A party's keys were destroyed.")

PAYMENT_CREATED: Final = _event(
    "payment.created", PaymentEventData, "A payment was ordered, by a third party or by the bank's own client."
)
PAYMENT_UPDATED: Final = _event("payment.updated", PaymentEventData, "A payment has come further, or needs somebody.")

CONSENT_CREATED: Final = _event("consent.created", ConsentEventData, "A third party asks for consent.")
CONSENT_AUTHORISED: Final = _event("consent.authorised", ConsentEventData, "A customer has given consent.")
CONSENT_REAUTHENTICATED: Final = _event(
    "consent.reauthenticated", ConsentEventData, "A customer has confirmed a consent."
)
CONSENT_REAUTHENTICATION_REQUIRED: Final = _event(
    "consent.reauthentication_required", ConsentEventData, "A consent rests until its customer has confirmed it."
)
CONSENT_REFUSED: Final = _event("consent.refused", ConsentEventData, "A customer has refused consent.")
CONSENT_CONSUMED: Final = _event("consent.consumed", ConsentEventData, "A consent was used up.")
CONSENT_REVOKED: Final = _event("consent.revoked", ConsentEventData, "A consent was taken back.")
CONSENT_LAPSED: Final = _event("consent.lapsed", ConsentEventData, "Nobody has answered to a consent in time.")
CONSENT_EXPIRED: Final = _event("consent.expired", ConsentEventData, "A consent's time is over.")
THIRD_PARTY_BLOCKED: Final = _event("third_party.blocked", ThirdPartyEventData, "A third party is let in no more.")
THIRD_PARTY_UNBLOCKED: Final = _event("third_party.unblocked", ThirdPartyEventData, "A third party is let in again.")
EVENT_SUBSCRIPTION_CREATED: Final = _event(
    "event_subscription.created", EventSubscriptionEventData, "A third party wants to be told of events."
)
EVENT_SUBSCRIPTION_CHANGED: Final = _event(
    "event_subscription.changed", EventSubscriptionEventData, "A third party has changed what it is told."
)
EVENT_SUBSCRIPTION_PAUSED: Final = _event(
    "event_subscription.paused", EventSubscriptionEventData, "Nothing more is pushed to a third party."
)
EVENT_SUBSCRIPTION_DELETED: Final = _event(
    "event_subscription.deleted", EventSubscriptionEventData, "A third party wants to be told no more."
)

ARRANGEMENT_CREATED: Final = _event("arrangement.created", ArrangementEventData, "An arrangement was made.")
ARRANGEMENT_UPDATED: Final = _event("arrangement.updated", ArrangementEventData, "An arrangement was changed.")
PRODUCT_CREATED: Final = _event("product.created", ProductEventData, "A product was made.")
PRODUCT_UPDATED: Final = _event("product.updated", ProductEventData, "A product was changed.")
PRODUCT_ASSIGNED: Final = _event("product.assigned", ProductAssignedEventData, "Wallets were given a product.")

APPROVAL_REQUESTED: Final = _event("approval.requested", ApprovalEventData, "A request waits for a second person.")
APPROVAL_APPROVED: Final = _event("approval.approved", ApprovalEventData, "A second person has agreed to a request.")
APPROVAL_REJECTED: Final = _event("approval.rejected", ApprovalEventData, "A second person has refused a request.")
APPROVAL_EXECUTED: Final = _event("approval.executed", ApprovalEventData, "A request was carried out.")

USER_CREATED: Final = _event("user.created", UserEventData, "A user was made.")
USER_ENROLMENT_OFFERED: Final = _event("user.enrolment_offered", UserEventData, "A user was given a code to begin.")
USER_ENROLLED: Final = _event("user.enrolled", UserEventData, "A user has a password and a second factor.")
USER_ENABLED: Final = _event("user.enabled", UserEventData, "A user may sign in again.")
USER_DISABLED: Final = _event("user.disabled", UserEventData, "A user may sign in no more.")
USER_LOCKED: Final = _event("user.locked", UserEventData, "There were too many wrong attempts at a user.")
USER_UNLOCKED: Final = _event("user.unlocked", UserEventData, "Wrong attempts at a user were forgotten.")
USER_PARTNER_ROLE_CHANGED: Final = _event(
    "user.partner_role_changed", UserEventData, "A member of a partner does something else there."
)
USER_REMOVED: Final = _event("user.removed", UserEventData, "A partner's member was removed, and is nobody any more.")
USER_ROLES_CHANGED: Final = _event("user.roles_changed", UserEventData, "A member of staff does something else.")
USER_SIGNED_IN: Final = _event("user.signed_in", UserEventData, "A user has signed in.")
USER_SIGNED_OUT_EVERYWHERE: Final = _event(
    "user.signed_out_everywhere", UserEventData, "All sessions of a user were ended."
)
USER_PASSWORD_CHANGED: Final = _event("user.password_changed", UserEventData, "A user has a new password.")
USER_FACTOR_ENROLLED: Final = _event("user.factor_enrolled", UserEventData, "A user has a further factor.")
USER_FACTOR_REMOVED: Final = _event("user.factor_removed", UserEventData, "A user has removed a factor.")
USER_FACTOR_SUSPENDED: Final = _event("user.factor_suspended", UserEventData, "A passkey may have been copied.")
USER_RECOVERY_CODES_MADE: Final = _event("user.recovery_codes_made", UserEventData, "A user has new recovery codes.")
USER_RECOVERY_CODE_USED: Final = _event("user.recovery_code_used", UserEventData, "A recovery code was used.")
USER_SCA_COMPLETED: Final = _event("user.sca_completed", UserEventData, "A user has agreed by two factors.")
USER_SCA_EXEMPTED: Final = _event("user.sca_exempted", UserEventData, "A user wasn't asked for two factors.")
USER_SCA_VOIDED: Final = _event("user.sca_voided", UserEventData, "What a user agreed to isn't what was asked for.")

VAULT_TOKEN_CREATED: Final = _event("vault_token.created", VaultTokenEventData, "A vault token was made.")
VAULT_TOKEN_UPDATED: Final = _event("vault_token.updated", VaultTokenEventData, "A vault token was changed.")
VAULT_TOKEN_DELETED: Final = _event("vault_token.deleted", VaultTokenEventData, "A vault token was deleted.")
VAULT_TOKEN_DETOKENIZED: Final = _event(
    "vault_token.detokenized", VaultTokenEventData, "What a vault token stands for was told."
)
VAULT_TOKEN_FORGOTTEN: Final = _event(
    "vault_token.forgotten", VaultTokenForgottenEventData, "A vault token's value was erased with its party."
)
VAULT_TOKEN_ALARM: Final = _event(
    "vault_token.alarm", VaultTokenAlarmEventData, "Somebody asks for more values than is expected or allowed."
)
CARD_SESSION_CREATED: Final = _event("card_session.created", CardSessionEventData, "A card may be entered.")
CARD_SESSION_COMPLETED: Final = _event("card_session.completed", CardSessionEventData, "A card was entered.")

WEBHOOK_ENDPOINT_CREATED: Final = _event(
    "webhook_endpoint.created", WebhookEndpointEventData, "A webhook endpoint was registered."
)
WEBHOOK_ENDPOINT_UPDATED: Final = _event(
    "webhook_endpoint.updated", WebhookEndpointEventData, "A webhook endpoint was changed."
)
WEBHOOK_ENDPOINT_SECRET_ROTATED: Final = _event(
    "webhook_endpoint.secret_rotated", WebhookEndpointEventData, "A webhook endpoint's secret was replaced."
)
WEBHOOK_ENDPOINT_TESTED: Final = _event(
    "webhook_endpoint.tested", WebhookEndpointEventData, "Somebody tries out a webhook endpoint, which alone is told."
)
WEBHOOK_ENDPOINT_PAUSED: Final = _event(
    "webhook_endpoint.paused", WebhookEndpointEventData, "A webhook endpoint has taken nothing for days."
)
WEBHOOK_ENDPOINT_DISABLED: Final = _event(
    "webhook_endpoint.disabled", WebhookEndpointEventData, "A webhook endpoint has said that it is gone."
)
WEBHOOK_ENDPOINT_DELETED: Final = _event(
    "webhook_endpoint.deleted", WebhookEndpointEventData, "A webhook endpoint was deleted."
)

EVENTS: Final[Mapping[str, EventType[Response]]] = _EVENTS
"""Every type of event, by its name."""
