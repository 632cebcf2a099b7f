"""What events say of the objects of each context, where the object itself isn't what they say.

Which type of event says what is in ``events``, and what none of them may say.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from billfold.contract.arrangements import ArrangementKind, ArrangementStatus
from billfold.contract.common import (
    AccountId,
    ApprovalId,
    ArrangementId,
    CardSessionId,
    ClientId,
    ConsentId,
    Directory,
    DirectoryOrganisation,
    DirectorySoftware,
    Instant,
    JournalEntryId,
    PartnerId,
    PartnerSandboxId,
    PartyId,
    PaymentId,
    ProductId,
    Response,
    StatementEntryId,
    Text,
    TopUpId,
    UserId,
    VaultTokenId,
    WalletId,
    WebhookEndpointId,
    WithdrawalId,
)
from billfold.contract.consents import ConsentKind, ConsentSide, ConsentStatus
from billfold.contract.data_keys import KeyBackend, KeyDomain
from billfold.contract.parties import PartyKind, PartyRole
from billfold.contract.partner_sandboxes import PartnerSandboxState
from billfold.contract.partners import PartnerState
from billfold.contract.payments import PaymentBreak, PaymentKind, PaymentStatus
from billfold.contract.roles import PartnerRole, StaffRole
from billfold.contract.tokens import VaultTokenKind
from billfold.contract.users import LoginRealm
from billfold.contract.webhooks import WebhookEndpointReason, WebhookEndpointState
from billfold.money import Money

__all__ = [
    "AccountStatementsEventData",
    "ApprovalEventData",
    "ArrangementEventData",
    "CardSessionEventData",
    "ConsentEventData",
    "DataKeysRotatedEventData",
    "DataKeysShreddedEventData",
    "EventSubscriptionEventData",
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


class PartnerEventData(Response, frozen=True, kw_only=True):
    """What events say of a partner organisation."""

    id: PartnerId
    state: PartnerState
    version: int
    changed: Annotated[list[str], Meta(description="Which members have changed, without their values.")]


class PartnerSandboxEventData(Response, frozen=True, kw_only=True):
    """What events say of a partner's sandbox."""

    id: PartnerSandboxId
    partner_id: Annotated[PartnerId, Meta(description="Whose it is.")]
    state: Annotated[PartnerSandboxState | None, Meta(description="What can be done with it; null once it is gone.")]


class PartyEventData(Response, frozen=True, kw_only=True):
    """What events say of a party: no name, address or other personal text. Whoever may, reads the party for these."""

    id: PartyId
    kind: PartyKind
    roles: list[PartyRole]
    version: int
    changed: Annotated[list[str], Meta(description="Which members have changed, without their values.")]


class PartyErasedEventData(Response, frozen=True, kw_only=True):
    """Whose personal data were erased."""

    id: PartyId


class StatementEntryEventData(Response, frozen=True, kw_only=True):
    """What others need to know of an assignment: nothing that the bank says of people."""

    id: StatementEntryId
    wallet_id: Annotated[WalletId | None, Meta(description="Null where it was assigned to an account.")]
    account_id: Annotated[
        AccountId | None, Meta(description="The account of the general ledger that it was assigned to instead.")
    ] = None
    withdrawal_id: Annotated[
        WithdrawalId | UnsetType, Meta(description="The withdrawal that it shows; absent where none.")
    ] = UNSET
    top_up_id: Annotated[TopUpId | UnsetType, Meta(description="The top-up that it shows; absent where none.")] = UNSET
    amount_minor: int
    currency: str
    journal_entry_id: JournalEntryId


class AccountStatementsEventData(Response, frozen=True, kw_only=True):
    """That the statements of a month were made."""

    month: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}$(?!\n)", examples=["2026-10"])]
    statements: Annotated[int, Meta(ge=0, description="How many were made.")]


class PaymentEventData(Response, frozen=True, kw_only=True):
    """What events say of a payment."""

    id: PaymentId
    kind: PaymentKind
    consent_id: Annotated[ConsentId | None, Meta(description="Null where a client of the bank's own has ordered it.")]
    client_id: ClientId
    wallet_id: WalletId
    status: PaymentStatus
    status_reason: Annotated[str | None, Meta(description="Always null: read the payment for it.")]
    needs_attention: PaymentBreak | None
    amount: Money
    returned_minor: Annotated[
        int | UnsetType,
        Meta(
            description="How much of it banks have sent back, in all (pacs.004); absent where nothing, or all undone."
        ),
    ] = UNSET
    updated_at: Instant


class ConsentEventData(Response, frozen=True, kw_only=True):
    """What events say of a consent."""

    id: ConsentId
    kind: ConsentKind
    status: ConsentStatus
    client_id: ClientId
    party_id: PartyId | None
    by: Annotated[ConsentSide, Meta(description="Whose doing it was.")]


class ThirdPartyEventData(Response, frozen=True, kw_only=True):
    """Which third party is let in no more, or again.

    Where a directory vouches for it, that goes for all its clients, of which ``client_id`` is one; null, where it was
    named as the directory does.
    """

    client_id: ClientId | None
    directory: Directory = None
    organisation_id: DirectoryOrganisation = None
    software_id: DirectorySoftware = None


class EventSubscriptionEventData(Response, frozen=True, kw_only=True):
    """What events say of a third party's subscription: not its address."""

    id: Annotated[str, Meta(examples=["evs_01m7w9tnzcejq9b78b81gh4nmw"])]
    client_id: ClientId
    because: Annotated[str | UnsetType, Meta(description="Why nothing is pushed any more.")] = UNSET


class ArrangementEventData(Response, frozen=True, kw_only=True):
    """What events say of an arrangement: nothing of whom it names. Whoever may, reads it."""

    id: ArrangementId
    wallet_id: WalletId
    kind: ArrangementKind
    status: ArrangementStatus
    version: int


class ProductEventData(Response, frozen=True, kw_only=True):
    """What events say of a product."""

    id: ProductId
    name: Text
    version: int
    changed: Annotated[list[str], Meta(description="Which members have changed, without their values.")]


class ProductAssignedEventData(Response, frozen=True, kw_only=True):
    """Which wallets have a product now."""

    id: ProductId
    name: Text
    version: int
    wallet_ids: list[WalletId]


class ApprovalEventData(Response, frozen=True, kw_only=True):
    """What events say of a request that needs a second person: not the request."""

    id: ApprovalId
    kind: Annotated[str, Meta(description="For what the manifest asks a second person.")]
    outcome_status: Annotated[
        int | UnsetType, Meta(description="The HTTP status with which the request was answered.")
    ] = UNSET


class UserEventData(Response, frozen=True, kw_only=True):
    """What events say of a user: no login name. Which members there are depends on what has happened."""

    id: UserId
    login_realm: LoginRealm
    roles: list[StaffRole] | UnsetType = UNSET
    former_roles: list[StaffRole] | UnsetType = UNSET
    sessions: Annotated[int | UnsetType, Meta(description="How many sessions were ended.")] = UNSET
    amr: Annotated[list[str] | UnsetType, Meta(description="By what they were authenticated (RFC 8176).")] = UNSET
    acr: Annotated[str | UnsetType, Meta(description="How strongly they were authenticated.")] = UNSET
    step: Annotated[str | UnsetType, Meta(description="At which step of signing in.")] = UNSET
    factor_id: Annotated[str | UnsetType, Meta(examples=["fac_01m7w9tnzcejq9b78b81gh4nmw"])] = UNSET
    challenge_id: Annotated[str | UnsetType, Meta(examples=["sca_01m7w9tnzcejq9b78b81gh4nmw"])] = UNSET
    kind: Annotated[str | UnsetType, Meta(description="Of the factor, or of what was agreed to.")] = UNSET
    exemption: Annotated[str | UnsetType, Meta(description="Why nothing was asked for.")] = UNSET
    good_from: Annotated[Instant | UnsetType, Meta(description="From when a new factor counts, where it waits.")] = (
        UNSET
    )
    left: Annotated[int | UnsetType, Meta(description="How many recovery codes are left.")] = UNSET
    number: Annotated[int | UnsetType, Meta(description="How many recovery codes were made.")] = UNSET
    partner_id: Annotated[PartnerId | UnsetType, Meta(description="Of a partner's member.")] = UNSET
    partner_role: Annotated[PartnerRole | UnsetType, Meta(description="What a partner's member does.")] = UNSET
    former_partner_role: Annotated[PartnerRole | UnsetType, Meta(description="What they did before.")] = UNSET


class VaultTokenEventData(Response, frozen=True, kw_only=True):
    """What events say of a vault token: nothing of what it stands for."""

    id: VaultTokenId
    kind: VaultTokenKind
    party_id: PartyId | None
    purpose: Annotated[str | UnsetType, Meta(description="What for its value was told.")] = UNSET


class VaultTokenForgottenEventData(Response, frozen=True, kw_only=True):
    """Which vault token stands for nothing any more, because its party was forgotten."""

    id: VaultTokenId


class VaultTokenAlarmEventData(Response, frozen=True, kw_only=True):
    """Who asks for more values than is expected or allowed."""

    caller: Annotated[str, Meta(description="The person or API client.")]
    purpose: str
    why: Annotated[Literal["threshold", "limit"], Meta(description="What was reached.")]
    per: Annotated[str, Meta(description="In which span of time.", examples=["hour"])]
    limit: int


class CardSessionEventData(Response, frozen=True, kw_only=True):
    """What events say of a card session."""

    id: CardSessionId
    vault_token_id: VaultTokenId | None
    party_id: PartyId | None


class DataKeysRotatedEventData(Response, frozen=True, kw_only=True):
    """Under which new key data are kept from now on."""

    id: Annotated[str, Meta(description="The tenant.", examples=["ten_01m7w9tnzcejq9b78b81gh4nmw"])]
    domain: KeyDomain
    number: int
    backend: KeyBackend
    tenant_key_version: int


class DataKeysShreddedEventData(Response, frozen=True, kw_only=True):
    """Whose keys were destroyed."""

    id: PartyId
    keys: Annotated[int, Meta(description="How many.")]


class WebhookEndpointEventData(Response, frozen=True, kw_only=True):
    """What events say of a webhook endpoint: not its address, which may be a secret."""

    id: WebhookEndpointId
    state: WebhookEndpointState
    state_reason: WebhookEndpointReason | None
    partner_id: Annotated[PartnerId | None, Meta(description="To whom it belongs; null is the tenant itself.")] = None
