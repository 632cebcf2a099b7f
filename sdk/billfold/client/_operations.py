"""Every operation of the contract that the SDK calls: its method, its path, and what it answers with.

The resources refer to these, and a test compares them with ``openapi/billfold.yaml``, so none can be missing.
"""

import functools
import importlib
import re
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from billfold.client._open import Decode, decoder, page_type
from billfold.contract.common import Page, Response

if TYPE_CHECKING:
    from billfold.contract import (
        account_statements,
        approvals,
        arrangements,
        card_sessions,
        clients,
        consents,
        data_keys,
        event_notifications,
        ledger,
        operators,
        parties,
        partner_sandboxes,
        partners,
        payments,
        platform,
        privacy,
        requests,
        sandbox,
        statements,
        tokens,
        users,
        wallets,
        webhooks,
    )

__all__ = ["Operation", "paged"]

T = TypeVar("T")
R = TypeVar("R", bound=Response)

_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_LONG: Final = 10


class _Named(NamedTuple):
    """A type of the contract that isn't imported yet."""

    module: str
    name: str


class _Later:
    """A module of the contract that is imported when the first answer of its types is read.

    A program uses few of the contract's types, and making all of them would take as long as the rest of the SDK.
    """

    def __init__(self, module: str) -> None:
        self._module = f"billfold.contract.{module}"

    def __getattr__(self, name: str) -> _Named:
        return _Named(self._module, name)


def _found(answer: Any) -> Any:
    """Return a type, imported by now."""
    return getattr(importlib.import_module(answer.module), answer.name) if isinstance(answer, _Named) else answer


class Operation(Generic[T]):
    """One operation of the contract.

    Args:
        method: The HTTP method.
        path: Below the tenant's base, with placeholders.
        answer: The contract's type of a success, or None where a success has no body.
        patience: By what the client's time-outs are multiplied, for operations that are known to take long.
    """

    def __init__(self, method: str, path: str, answer: "type[T] | None", *, patience: int = 1) -> None:
        self.method = method
        self.path = path
        self.patience = patience
        self._answer: Any = answer
        self._parts = _PLACEHOLDER.split(path)

    def __repr__(self) -> str:
        return f"Operation({self.method} {self.path})"

    def fill(self, *ids: str) -> str:
        """Return the path with its placeholders filled."""
        parts = self._parts
        if len(ids) != len(parts) - 1:
            raise TypeError(f"{self.path} takes {len(parts) - 1} ids")
        filled = parts[0]
        for value, part in zip(ids, parts[1:], strict=True):
            filled += value + part
        return filled

    @functools.cached_property
    def read(self) -> Decode:
        """What reads the body of a success; made when the first one comes."""
        return _nothing if self._answer is None else decoder(_found(self._answer))


def _nothing(_body: bytes) -> None:
    return None


def paged(path: str, item: type[R]) -> "Operation[Page[R]]":
    """Return the operation that lists such items, page by page."""
    return _PagedOperation("GET", path, item)


class _FileOperation(Operation[bytes]):
    """An operation that answers with a file, as it comes."""

    def __init__(self, path: str) -> None:
        super().__init__("GET", path, None)

    @functools.cached_property
    def read(self) -> Decode:
        return bytes


class _PagedOperation(Operation[Page[R]]):
    def __init__(self, method: str, path: str, item: type[R]) -> None:
        super().__init__(method, path, None)
        self._item = item

    @functools.cached_property
    def read(self) -> Decode:
        return decoder(page_type(_found(self._item)))


if not TYPE_CHECKING:
    account_statements = _Later("account_statements")
    approvals = _Later("approvals")
    arrangements = _Later("arrangements")
    card_sessions = _Later("card_sessions")
    clients = _Later("clients")
    consents = _Later("consents")
    data_keys = _Later("data_keys")
    event_notifications = _Later("event_notifications")
    ledger = _Later("ledger")
    operators = _Later("operators")
    parties = _Later("parties")
    partner_sandboxes = _Later("partner_sandboxes")
    partners = _Later("partners")
    payments = _Later("payments")
    platform = _Later("platform")
    privacy = _Later("privacy")
    requests = _Later("requests")
    sandbox = _Later("sandbox")
    statements = _Later("statements")
    tokens = _Later("tokens")
    users = _Later("users")
    wallets = _Later("wallets")
    webhooks = _Later("webhooks")

LIST_PARTIES: Final = paged("/v1/parties", parties.Party)
CREATE_PARTY: Final = Operation("POST", "/v1/parties", parties.Party)
GET_PARTY: Final = Operation("GET", "/v1/parties/{party_id}", parties.Party)
UPDATE_PARTY: Final = Operation("PATCH", "/v1/parties/{party_id}", parties.Party)

LIST_PARTNERS: Final = paged("/v1/partners", partners.Partner)
CREATE_PARTNER: Final = Operation("POST", "/v1/partners", partners.Partner)
GET_PARTNER: Final = Operation("GET", "/v1/partners/{partner_id}", partners.Partner)
UPDATE_PARTNER: Final = Operation("PATCH", "/v1/partners/{partner_id}", partners.Partner)
SUSPEND_PARTNER: Final = Operation("POST", "/v1/partners/{partner_id}/suspend", partners.Partner)
RESUME_PARTNER: Final = Operation("POST", "/v1/partners/{partner_id}/resume", partners.Partner)
REMOVE_PARTNER: Final = Operation[None]("DELETE", "/v1/partners/{partner_id}", None)
LIST_PARTNER_MEMBERS: Final = paged("/v1/partners/{partner_id}/members", users.User)
CREATE_PARTNER_MEMBER: Final = Operation("POST", "/v1/partners/{partner_id}/members", users.User)
GET_PARTNER_MEMBER: Final = Operation("GET", "/v1/partners/{partner_id}/members/{user_id}", users.User)
CREATE_PARTNER_MEMBER_ENROLMENT_CODE: Final = Operation(
    "POST", "/v1/partners/{partner_id}/members/{user_id}/enrolment-codes", users.EnrolmentCode
)
SET_PARTNER_MEMBER_ROLE: Final = Operation("POST", "/v1/partners/{partner_id}/members/{user_id}/role", users.User)
REMOVE_PARTNER_MEMBER: Final = Operation[None]("DELETE", "/v1/partners/{partner_id}/members/{user_id}", None)
LIST_PARTNER_SANDBOXES: Final = paged("/v1/partners/{partner_id}/sandboxes", partner_sandboxes.PartnerSandbox)
CREATE_PARTNER_SANDBOX: Final = Operation(
    "POST", "/v1/partners/{partner_id}/sandboxes", partner_sandboxes.PartnerSandbox
)
GET_PARTNER_SANDBOX: Final = Operation(
    "GET", "/v1/partners/{partner_id}/sandboxes/{sandbox_id}", partner_sandboxes.PartnerSandbox
)
RESET_PARTNER_SANDBOX: Final = Operation(
    "POST", "/v1/partners/{partner_id}/sandboxes/{sandbox_id}/reset", partner_sandboxes.PartnerSandbox
)
CREATE_PARTNER_SANDBOX_CREDENTIALS: Final = Operation(
    "POST",
    "/v1/partners/{partner_id}/sandboxes/{sandbox_id}/credentials",
    partner_sandboxes.PartnerSandboxCredentials,
)
REMOVE_PARTNER_SANDBOX: Final = Operation[None]("DELETE", "/v1/partners/{partner_id}/sandboxes/{sandbox_id}", None)

LIST_USERS: Final = paged("/v1/users", users.User)
CREATE_USER: Final = Operation("POST", "/v1/users", users.User)
GET_USER: Final = Operation("GET", "/v1/users/{user_id}", users.User)
CREATE_ENROLMENT_CODE: Final = Operation("POST", "/v1/users/{user_id}/enrolment-codes", users.EnrolmentCode)
SET_USER_ROLES: Final = Operation("POST", "/v1/users/{user_id}/roles", users.User)
DISABLE_USER: Final = Operation("POST", "/v1/users/{user_id}/disable", users.User)
ENABLE_USER: Final = Operation("POST", "/v1/users/{user_id}/enable", users.User)
UNLOCK_USER: Final = Operation("POST", "/v1/users/{user_id}/unlock", users.User)
SIGN_USER_OUT: Final = Operation("POST", "/v1/users/{user_id}/sign-out", users.SignedOut)

LIST_CLIENTS: Final = paged("/v1/clients", clients.Client)
CREATE_CLIENT: Final = Operation("POST", "/v1/clients", clients.ClientCreated)
GET_CLIENT: Final = Operation("GET", "/v1/clients/{client_id}", clients.Client)
UPDATE_CLIENT: Final = Operation("PATCH", "/v1/clients/{client_id}", clients.Client)
ROTATE_CLIENT_KEYS: Final = Operation("POST", "/v1/clients/{client_id}/rotate-keys", clients.Client)
ROTATE_CLIENT_SECRET: Final = Operation("POST", "/v1/clients/{client_id}/rotate-secret", clients.ClientSecret)
DISABLE_CLIENT: Final = Operation("POST", "/v1/clients/{client_id}/disable", clients.Client)
ENABLE_CLIENT: Final = Operation("POST", "/v1/clients/{client_id}/enable", clients.Client)

LIST_WALLETS: Final = paged("/v1/wallets", wallets.Wallet)
CREATE_WALLET: Final = Operation("POST", "/v1/wallets", wallets.Wallet)
GET_WALLET: Final = Operation("GET", "/v1/wallets/{wallet_id}", wallets.Wallet)
UPDATE_WALLET: Final = Operation("PATCH", "/v1/wallets/{wallet_id}", wallets.Wallet)
FREEZE_WALLET: Final = Operation("POST", "/v1/wallets/{wallet_id}/freeze", wallets.Wallet)
UNFREEZE_WALLET: Final = Operation("POST", "/v1/wallets/{wallet_id}/unfreeze", wallets.Wallet)
CLOSE_WALLET: Final = Operation("POST", "/v1/wallets/{wallet_id}/close", wallets.Wallet)
LIST_WALLET_BALANCES: Final = paged("/v1/wallets/{wallet_id}/balances", ledger.Balance)
LIST_WALLET_STATEMENT: Final = paged("/v1/wallets/{wallet_id}/statement", ledger.StatementLine)
LIST_ALIASES: Final = paged("/v1/wallets/{wallet_id}/aliases", wallets.Alias)
CREATE_ALIAS: Final = Operation("POST", "/v1/wallets/{wallet_id}/aliases", wallets.Alias)
DELETE_ALIAS: Final = Operation[None]("DELETE", "/v1/wallets/{wallet_id}/aliases/{alias_id}", None)

LIST_ARRANGEMENTS: Final = paged("/v1/arrangements", arrangements.Arrangement)
CREATE_ARRANGEMENT: Final = Operation("POST", "/v1/arrangements", arrangements.Arrangement)
GET_ARRANGEMENT: Final = Operation("GET", "/v1/arrangements/{arrangement_id}", arrangements.Arrangement)
UPDATE_ARRANGEMENT: Final = Operation("PATCH", "/v1/arrangements/{arrangement_id}", arrangements.Arrangement)
LIST_PRODUCTS: Final = paged("/v1/products", arrangements.Product)
CREATE_PRODUCT: Final = Operation("POST", "/v1/products", arrangements.Product)
GET_PRODUCT: Final = Operation("GET", "/v1/products/{product_id}", arrangements.Product)
UPDATE_PRODUCT: Final = Operation("PATCH", "/v1/products/{product_id}", arrangements.Product)
ASSIGN_PRODUCT: Final = Operation("POST", "/v1/products/{product_id}/wallets", arrangements.ProductAssignment)
_STATEMENT: Final = "/v1/account-statements/{account_statement_id}"
LIST_ACCOUNT_STATEMENTS: Final = paged("/v1/account-statements", account_statements.AccountStatement)
GET_ACCOUNT_STATEMENT: Final = Operation("GET", _STATEMENT, account_statements.AccountStatement)
GET_ACCOUNT_STATEMENT_CSV: Final = _FileOperation(f"{_STATEMENT}/csv")
GET_ACCOUNT_STATEMENT_PDF: Final = _FileOperation(f"{_STATEMENT}/pdf")

LIST_TRANSFERS: Final = paged("/v1/transfers", wallets.Transfer)
CREATE_TRANSFER: Final = Operation("POST", "/v1/transfers", wallets.Transfer)
BULK_TRANSFER: Final = Operation("POST", "/v1/transfers/bulk", wallets.TransferVerdicts)
GET_TRANSFER: Final = Operation("GET", "/v1/transfers/{transfer_id}", wallets.Transfer)
REVERSE_TRANSFER: Final = Operation("POST", "/v1/transfers/{transfer_id}/reversals", ledger.JournalEntry)

LIST_TOP_UPS: Final = paged("/v1/top-ups", wallets.TopUp)
CREATE_TOP_UP: Final = Operation("POST", "/v1/top-ups", wallets.TopUp)
GET_TOP_UP: Final = Operation("GET", "/v1/top-ups/{top_up_id}", wallets.TopUp)
REVERSE_TOP_UP: Final = Operation("POST", "/v1/top-ups/{top_up_id}/reversals", ledger.JournalEntry)

LIST_WITHDRAWALS: Final = paged("/v1/withdrawals", wallets.Withdrawal)
CREATE_WITHDRAWAL: Final = Operation("POST", "/v1/withdrawals", wallets.Withdrawal)
GET_WITHDRAWAL: Final = Operation("GET", "/v1/withdrawals/{withdrawal_id}", wallets.Withdrawal)
REVERSE_WITHDRAWAL: Final = Operation("POST", "/v1/withdrawals/{withdrawal_id}/reversals", ledger.JournalEntry)

LIST_HOLDS: Final = paged("/v1/holds", ledger.Hold)
CREATE_HOLD: Final = Operation("POST", "/v1/holds", ledger.Hold)
GET_HOLD: Final = Operation("GET", "/v1/holds/{hold_id}", ledger.Hold)
CAPTURE_HOLD: Final = Operation("POST", "/v1/holds/{hold_id}/capture", ledger.Hold)
RELEASE_HOLD: Final = Operation("POST", "/v1/holds/{hold_id}/release", ledger.Hold)

LIST_ACCOUNTS: Final = paged("/v1/accounts", ledger.Account)
CREATE_ACCOUNT: Final = Operation("POST", "/v1/accounts", ledger.Account)
GET_ACCOUNT: Final = Operation("GET", "/v1/accounts/{account_id}", ledger.Account)
UPDATE_ACCOUNT: Final = Operation("PATCH", "/v1/accounts/{account_id}", ledger.Account)
GET_ACCOUNT_BALANCE: Final = Operation("GET", "/v1/accounts/{account_id}/balance", ledger.Balance)
LIST_ACCOUNT_STATEMENT: Final = paged("/v1/accounts/{account_id}/statement", ledger.StatementLine)

LIST_JOURNAL_ENTRIES: Final = paged("/v1/journal-entries", ledger.JournalEntry)
CREATE_JOURNAL_ENTRY: Final = Operation("POST", "/v1/journal-entries", ledger.JournalEntry)
GET_JOURNAL_ENTRY: Final = Operation("GET", "/v1/journal-entries/{journal_entry_id}", ledger.JournalEntry)
GET_JOURNAL_ENTRY_PROOF: Final = Operation(
    "GET", "/v1/journal-entries/{journal_entry_id}/proof", ledger.JournalEntryProof
)
REVERSE_JOURNAL_ENTRY: Final = Operation(
    "POST", "/v1/journal-entries/{journal_entry_id}/reversals", ledger.JournalEntry
)

GET_LEDGER_HEAD: Final = Operation("GET", "/v1/ledger/head", ledger.LedgerHead)

LIST_STATEMENT_IMPORTS: Final = paged("/v1/statement-imports", statements.StatementImport)
IMPORT_STATEMENTS: Final = Operation("POST", "/v1/statement-imports", statements.StatementImport, patience=_LONG)
GET_STATEMENT_IMPORT: Final = Operation(
    "GET", "/v1/statement-imports/{statement_import_id}", statements.StatementImport
)
REVERSE_STATEMENT_IMPORT: Final = Operation(
    "POST", "/v1/statement-imports/{statement_import_id}/reversal", statements.StatementImport, patience=_LONG
)
LIST_STATEMENT_ENTRIES: Final = paged("/v1/statement-entries", statements.StatementEntry)
GET_STATEMENT_ENTRY: Final = Operation("GET", "/v1/statement-entries/{statement_entry_id}", statements.StatementEntry)
ASSIGN_STATEMENT_ENTRY: Final = Operation(
    "POST", "/v1/statement-entries/{statement_entry_id}/assign", statements.StatementEntry
)

LIST_PAYMENTS: Final = paged("/v1/payments", payments.Payment)
CREATE_PAYMENT: Final = Operation("POST", "/v1/payments", payments.Payment)
GET_PAYMENT: Final = Operation("GET", "/v1/payments/{payment_id}", payments.Payment)
RESOLVE_PAYMENT: Final = Operation("POST", "/v1/payments/{payment_id}/resolution", payments.Payment)

CREATE_VAULT_TOKEN: Final = Operation("POST", "/v1/vault-tokens", tokens.VaultTokenCreated)
CREATE_VAULT_TOKENS: Final = Operation("POST", "/v1/vault-tokens/bulk", tokens.VaultTokenVerdicts)
LIST_VAULT_TOKENS: Final = paged("/v1/vault-tokens", tokens.VaultToken)
GET_VAULT_TOKEN: Final = Operation("GET", "/v1/vault-tokens/{vault_token_id}", tokens.VaultToken)
UPDATE_VAULT_TOKEN: Final = Operation("PATCH", "/v1/vault-tokens/{vault_token_id}", tokens.VaultToken)
DELETE_VAULT_TOKEN: Final = Operation[None]("DELETE", "/v1/vault-tokens/{vault_token_id}", None)
DETOKENIZE_VAULT_TOKENS: Final = Operation("POST", "/v1/vault-tokens/detokenize", tokens.DetokenizedVaultTokens)
CREATE_CARD_SESSION: Final = Operation("POST", "/v1/card-sessions", card_sessions.CardSession)
GET_CARD_SESSION: Final = Operation("GET", "/v1/card-sessions/{card_session_id}", card_sessions.CardSession)
SEARCH_VAULT_TOKENS: Final = Operation("POST", "/v1/vault-tokens/search", tokens.VaultTokenMatches)
GET_ENCRYPTION_KEYS: Final = Operation("GET", "/v1/encryption-keys", tokens.EncryptionKeys)

GET_TENANT_INFO: Final = Operation("GET", "/v1/tenant", platform.TenantInfo)
GET_CLOCK: Final = Operation("GET", "/v1/clock", platform.TenantClock)
ADVANCE_CLOCK: Final = Operation("POST", "/v1/clock/advance", platform.TenantClock, patience=_LONG)

SIMULATE_INCOMING_TRANSFER: Final = Operation("POST", "/v1/sandbox/simulations/incoming-transfers", sandbox.Simulation)
SIMULATE_PAYMENT_RETURN: Final = Operation("POST", "/v1/sandbox/simulations/payment-returns", sandbox.Simulation)
SIMULATE_DECLINES: Final = Operation("POST", "/v1/sandbox/simulations/declines", sandbox.Simulation)
SIMULATE_WEBHOOK_DELAY: Final = Operation("POST", "/v1/sandbox/simulations/webhook-delays", sandbox.Simulation)
SIMULATE_WEBHOOK_DUPLICATES: Final = Operation("POST", "/v1/sandbox/simulations/webhook-duplicates", sandbox.Simulation)
SIMULATE_VAULT_SEAL: Final = Operation("POST", "/v1/sandbox/simulations/vault-seals", sandbox.Simulation)
SIMULATE_OUTAGE: Final = Operation("POST", "/v1/sandbox/simulations/outages", sandbox.Simulation)
SIMULATE_SLOW_ANSWERS: Final = Operation("POST", "/v1/sandbox/simulations/slow-answers", sandbox.Simulation)
LIST_SIMULATIONS: Final = paged("/v1/sandbox/simulations", sandbox.Simulation)
CANCEL_SIMULATIONS: Final = Operation[None]("DELETE", "/v1/sandbox/simulations", None)
GET_SIMULATION: Final = Operation("GET", "/v1/sandbox/simulations/{simulation_id}", sandbox.Simulation)
CANCEL_SIMULATION: Final = Operation[None]("DELETE", "/v1/sandbox/simulations/{simulation_id}", None)
RESET_SANDBOX: Final = Operation("POST", "/v1/sandbox/reset", sandbox.SandboxReset, patience=_LONG)
LIST_MAGIC_VALUES: Final = Operation("GET", "/v1/sandbox/magic-values", sandbox.MagicValues)

LIST_CONSENTS: Final = paged("/v1/consents", consents.Consent)
GET_CONSENT: Final = Operation("GET", "/v1/consents/{consent_id}", consents.ConsentRecord)
LIST_CONSENT_USES: Final = paged("/v1/consents/{consent_id}/uses", consents.ConsentUse)
REQUIRE_CONSENT_REAUTHENTICATION: Final = Operation(
    "POST", "/v1/consents/{consent_id}/require-reauthentication", consents.Consent
)
REVOKE_CONSENT: Final = Operation("POST", "/v1/consents/{consent_id}/revoke", consents.Consent)
LIST_BLOCKED_THIRD_PARTIES: Final = paged("/v1/blocked-third-parties", consents.BlockedThirdParty)
BLOCK_THIRD_PARTY: Final = Operation("POST", "/v1/blocked-third-parties", consents.BlockedThirdParty)
UNBLOCK_THIRD_PARTY: Final = Operation[None]("DELETE", "/v1/blocked-third-parties/{client_id}", None)
UNBLOCK_ORGANISATION: Final = Operation[None]("DELETE", "/v1/blocked-third-parties", None)
LIST_EVENT_NOTIFICATIONS: Final = paged("/v1/event-notifications", event_notifications.EventNotification)

LIST_APPROVALS: Final = paged("/v1/approvals", approvals.Approval)
GET_APPROVAL: Final = Operation("GET", "/v1/approvals/{approval_id}", approvals.Approval)
APPROVE_APPROVAL: Final = Operation("POST", "/v1/approvals/{approval_id}/approve", approvals.Approval)
REJECT_APPROVAL: Final = Operation("POST", "/v1/approvals/{approval_id}/reject", approvals.Approval)

GET_DATA_INVENTORY: Final = Operation("GET", "/v1/data-inventory", privacy.DataInventory)
GET_DATA_KEYS: Final = Operation("GET", "/v1/data-keys", data_keys.DataKeyStatus)
ROTATE_DATA_KEYS: Final = Operation("POST", "/v1/data-keys/rotate", data_keys.DataKeyStatus)
SHRED_SUBJECT: Final = Operation("POST", "/v1/data-keys/shred", data_keys.ForgottenSubject)
LIST_FORGOTTEN_SUBJECTS: Final = paged("/v1/data-keys/forgotten-subjects", data_keys.ForgottenSubject)
EXPORT_PARTY: Final = _PagedOperation("POST", "/v1/parties/{party_id}/exports", privacy.ExportedData)
ERASE_PARTY: Final = Operation("POST", "/v1/parties/{party_id}/erasure", privacy.Erasure)

LIST_EVENTS: Final = paged("/v1/events", platform.Event)
LIST_REQUESTS: Final = paged("/v1/requests", requests.LoggedRequest)
GET_REQUEST: Final = Operation("GET", "/v1/requests/{request_id}", requests.LoggedRequestRecord)

LIST_WEBHOOK_ENDPOINTS: Final = paged("/v1/webhook-endpoints", webhooks.WebhookEndpoint)
CREATE_WEBHOOK_ENDPOINT: Final = Operation("POST", "/v1/webhook-endpoints", webhooks.WebhookEndpointCreated)
GET_WEBHOOK_ENDPOINT: Final = Operation("GET", "/v1/webhook-endpoints/{webhook_endpoint_id}", webhooks.WebhookEndpoint)
UPDATE_WEBHOOK_ENDPOINT: Final = Operation(
    "PATCH", "/v1/webhook-endpoints/{webhook_endpoint_id}", webhooks.WebhookEndpoint
)
LIST_WEBHOOK_DELIVERIES: Final = paged("/v1/webhook-deliveries", webhooks.WebhookDelivery)
GET_WEBHOOK_DELIVERY: Final = Operation(
    "GET", "/v1/webhook-deliveries/{webhook_delivery_id}", webhooks.WebhookDeliveryRecord
)
REPLAY_WEBHOOK_DELIVERY: Final = Operation(
    "POST", "/v1/webhook-deliveries/{webhook_delivery_id}/replay", webhooks.WebhookDelivery
)
REPLAY_WEBHOOK_EVENTS: Final = Operation(
    "POST", "/v1/webhook-endpoints/{webhook_endpoint_id}/replay", webhooks.WebhookReplay
)
DELETE_WEBHOOK_ENDPOINT: Final = Operation[None]("DELETE", "/v1/webhook-endpoints/{webhook_endpoint_id}", None)
TEST_WEBHOOK_ENDPOINT: Final = Operation(
    "POST", "/v1/webhook-endpoints/{webhook_endpoint_id}/test", webhooks.WebhookTest
)
ROTATE_WEBHOOK_SECRET: Final = Operation(
    "POST", "/v1/webhook-endpoints/{webhook_endpoint_id}/rotate-secret", webhooks.WebhookSecret
)
GET_AUDIT_HEAD: Final = Operation("GET", "/v1/audit-head", platform.AuditHead)
LIST_AUDIT_RECORDS: Final = paged("/v1/audit-records", platform.AuditRecord)

LIST_TENANTS: Final = paged("/platform/v1/tenants", platform.Tenant)
APPLY_TENANT: Final = Operation("POST", "/platform/v1/tenants", platform.Tenant, patience=_LONG)
GET_TENANT: Final = Operation("GET", "/platform/v1/tenants/{slug}", platform.Tenant)
DELETE_TENANT: Final = Operation[None]("DELETE", "/platform/v1/tenants/{slug}", None, patience=_LONG)
SUSPEND_TENANT: Final = Operation("POST", "/platform/v1/tenants/{slug}/suspend", platform.Tenant)
RESUME_TENANT: Final = Operation("POST", "/platform/v1/tenants/{slug}/resume", platform.Tenant)
MIGRATE_TENANT: Final = Operation("POST", "/platform/v1/tenants/{slug}/migrate", platform.Tenant, patience=_LONG)
LIST_DEAD_JOBS: Final = paged("/platform/v1/tenants/{slug}/dead-jobs", platform.DeadJob)
RETRY_DEAD_JOB: Final = Operation[None]("POST", "/platform/v1/tenants/{slug}/dead-jobs/{job_id}/retry", None)

LIST_OPERATORS: Final = paged("/platform/v1/users", operators.Operator)
CREATE_OPERATOR: Final = Operation("POST", "/platform/v1/users", operators.Operator)
GET_OPERATOR: Final = Operation("GET", "/platform/v1/users/{user_id}", operators.Operator)
CREATE_OPERATOR_ENROLMENT_CODE: Final = Operation(
    "POST", "/platform/v1/users/{user_id}/enrolment-codes", operators.EnrolmentHalf
)
DISABLE_OPERATOR: Final = Operation("POST", "/platform/v1/users/{user_id}/disable", operators.Operator)
ENABLE_OPERATOR: Final = Operation("POST", "/platform/v1/users/{user_id}/enable", operators.Operator)
UNLOCK_OPERATOR: Final = Operation("POST", "/platform/v1/users/{user_id}/unlock", operators.Operator)
SIGN_OPERATOR_OUT: Final = Operation("POST", "/platform/v1/users/{user_id}/sign-out", users.SignedOut)
GET_PLATFORM_AUDIT_HEAD: Final = Operation("GET", "/platform/v1/audit-head", platform.AuditHead)
LIST_PLATFORM_AUDIT_RECORDS: Final = paged("/platform/v1/audit-records", platform.AuditRecord)

OPERATIONS: Final[tuple[Operation[object], ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Operation)
)
"""All of them."""
