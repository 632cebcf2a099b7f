# Generated from billfold/client/_async/client.py by tests/sdk/generate_sync.py. Change that one instead.

"""The clients: ``Billfold`` for a tenant, ``BillfoldPlatform`` for the operators of a platform."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from billfold.auth._sync.authority import Authority
from billfold.auth._sync.tokens import Tokens
from billfold.auth.credentials import ClientAuthentication, ClientCredentials
from billfold.client import _options as options
from billfold.client._flow import Kit, Timeouts
from billfold.client._message import Hooks, Transport
from billfold.client._retry import RetryBudget
from billfold.client._sync.backend import DefaultTransport
from billfold.client._sync.session import Closing, Session

if TYPE_CHECKING:
    from billfold.auth.sign_in import UserTokens
    from billfold.client._sync.approvals import Approvals
    from billfold.client._sync.arrangements import AccountStatements, Arrangements, Products
    from billfold.client._sync.card_sessions import CardSessions
    from billfold.client._sync.cards import CardTokens
    from billfold.client._sync.clients import Clients
    from billfold.client._sync.consents import BlockedThirdParties, Consents
    from billfold.client._sync.data_keys import DataKeys
    from billfold.client._sync.event_notifications import EventNotifications
    from billfold.client._sync.holds import Holds
    from billfold.client._sync.ledger import Accounts, JournalEntries, Ledger
    from billfold.client._sync.parties import Parties
    from billfold.client._sync.partners import Partners
    from billfold.client._sync.payments import Payments
    from billfold.client._sync.platform import DeadJobs, Operators, PlatformAuditRecords, Tenants
    from billfold.client._sync.privacy import Privacy
    from billfold.client._sync.requests import Requests
    from billfold.client._sync.simulations import OwnSandbox, Simulations
    from billfold.client._sync.statements import StatementEntries, Statements
    from billfold.client._sync.tenant import AuditRecords, Clock, Events, Tenant
    from billfold.client._sync.transfers import TopUps, Transfers, Withdrawals
    from billfold.client._sync.users import Users
    from billfold.client._sync.wallets import Wallets
    from billfold.client._sync.webhooks import WebhookDeliveries, WebhookEndpoints

__all__ = ["Billfold", "BillfoldPlatform"]


class _Client(Closing):
    """What both clients have in common: how they are made, changed and closed."""

    _VARIABLES = ("BILLFOLD_BASE_URL", "BILLFOLD_CLIENT_ID", "BILLFOLD_CLIENT_SECRET")
    _ISSUER_PATH = ""
    _HOMES: ClassVar[dict[str, str]] = {}
    """In which module each resource is, and what it is called there."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        scopes: Sequence[str] | None = None,
        timeout_s: float | Timeouts | None = None,
        max_retries: int | None = None,
        transport: Transport | None = None,
        hooks: Hooks | None = None,
        headers: Mapping[str, str] | None = None,
        auth: ClientAuthentication | None = None,
    ) -> None:
        url_variable, id_variable, secret_variable = self._VARIABLES
        address = options.address(base_url, url_variable)
        if auth is None:
            auth = ClientCredentials(
                options.required(client_id, id_variable, "client_id"),
                options.required(client_secret, secret_variable, "client_secret"),
                scopes=scopes,
            )
        elif client_id is not None or client_secret is not None or scopes is not None:
            raise ValueError("client_id, client_secret and scopes belong to auth where that is given")
        base = f"{address}{self._ISSUER_PATH}"
        authority = Authority(auth.issuer or base, base)
        certificate = auth.certificate
        self._open(
            Session(
                base_url=address,
                transport=transport or DefaultTransport(verify=None if certificate is None else certificate.context),
                tokens=Tokens(auth, authority, f"{base}/oauth/token"),
                kit=Kit(policy=options.policy(max_retries), budget=RetryBudget(), hooks=hooks or Hooks()),
                timeouts=options.timeouts(timeout_s),
                headers=options.headers(headers),
            )
        )

    def _open(self, session: Session) -> None:
        """Set the client up on a session."""
        self._session = session

    if not TYPE_CHECKING:
        # Hidden from whoever checks types, so that a misspelt resource is told.

        def __getattr__(self, name: str) -> Any:
            """Make a resource when it is first used, and import it then: a program uses few of them."""
            if name not in self._HOMES:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            module, _, kind = self._HOMES[name].partition(".")
            resource = getattr(importlib.import_module(f"billfold.client._sync.{module}"), kind)(self._session)
            setattr(self, name, resource)
            return resource

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._HOMES})

    def with_options(
        self,
        *,
        timeout_s: float | Timeouts | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Return the same client with other options for some calls: ``client.with_options(timeout_s=2).wallets…``.

        It shares connections, access token and retry budget with the first, and closing either closes both.

        Args:
            timeout_s: Total time of a call in seconds, or ``Timeouts``.
            max_retries: How often a call is repeated at most.
            headers: What goes with every request besides what went before.
        """
        present = self._session
        kit = present.kit
        other = type(self).__new__(type(self))
        other._open(  # noqa: SLF001  # Of the same class.
            Session(
                base_url=present.base_url,
                transport=present.transport,
                tokens=present.tokens,
                kit=Kit(
                    policy=options.policy(max_retries, kit.policy),
                    budget=kit.budget,
                    hooks=kit.hooks,
                    monotonic=kit.monotonic,
                    now=kit.now,
                    chance=kit.chance,
                ),
                timeouts=options.timeouts(timeout_s, present.timeouts),
                headers={**present.headers, **options.further_headers(headers)},
            )
        )
        return other

    def as_user(self, tokens: "UserTokens", *, on_refresh: "Callable[[UserTokens], Any] | None" = None) -> Self:
        """Return the same client acting for a user who has signed in: ``client.as_user(tokens).wallets…``.

        Keep it as long as the tokens, since it refreshes them when they end, by one request for all calls that wait.
        It shares connections and retry budget with the first, and closing either closes both.

        Args:
            tokens: What ``AuthorizationFlow.complete`` has returned, or ``UserTokens.load`` has read.
            on_refresh: Called with fresh tokens, so that they can be kept instead of the former.

        Raises:
            ValueError: The tokens were issued to another client, by another server, or are bound to another key.
        """
        from billfold.auth._sync.users import UserAccess  # noqa: PLC0415  # Most programs act for themselves.

        present = self._session
        other = type(self).__new__(type(self))
        other._open(  # noqa: SLF001  # Of the same class.
            Session(
                base_url=present.base_url,
                transport=present.transport,
                tokens=UserAccess(present.tokens, present, tokens, on_refresh),
                kit=present.kit,
                timeouts=present.timeouts,
                headers=present.headers,
            )
        )
        return other


class Billfold(_Client):
    """A client of one tenant.

    ::

        with Billfold(base_url="http://127.0.0.1:8000/t/sandbox") as billfold:
            wallet = billfold.wallets.create(party_id=party.id)
            billfold.top_ups.create(wallet_id=wallet.id, amount=Money(1250, "EUR"))
            for top_up in billfold.top_ups.list(wallet_id=wallet.id):
                print(top_up.amount)

    Every order carries an idempotency key that stays the same over retries, so a lost answer never moves money twice.
    One client serves a whole program: it is safe to share and keeps connections and the access token.

    Args:
        base_url: Where the tenant is served; ``BILLFOLD_BASE_URL`` where absent.
        client_id: The API client's id; ``BILLFOLD_CLIENT_ID`` where absent.
        client_secret: Its secret; ``BILLFOLD_CLIENT_SECRET`` where absent.
        scopes: What the access token shall allow; everything that the client may where absent.
        timeout_s: Total time of a call in seconds with all retries, or ``Timeouts``. 45 seconds where absent.
        max_retries: How often a call is repeated at most, where that is safe. 3 where absent.
        transport: What carries requests, instead of httpx.
        hooks: Functions to call around every exchange.
        headers: What goes with every request besides.
        auth: How the client proves who it is, instead of by a secret: an object of ``billfold.auth``. A transport of
            your own has to show the certificate itself.

    Raises:
        ValueError: Something isn't given, or not of the right form.

    Attributes:
        parties: The people and companies that own wallets.
        wallets: Wallets, and under them their aliases.
        arrangements: What has been arranged for wallets beside their money.
        products: What wallets are of.
        account_statements: What was booked to wallets, month by month.
        transfers: Money from wallet to wallet.
        top_ups: Money that comes in.
        withdrawals: Money that goes out.
        holds: Money that is reserved.
        accounts: The chart of accounts.
        journal_entries: The ledger's entries.
        ledger: The ledger as a whole: its signed head.
        payments: Payments out of wallets, to others or to the outside.
        statements: Imports of bank statements.
        statement_entries: Their entries.
        tenant: Whom the client talks to.
        clock: The tenant's time.
        sandbox: What a sandbox alone can do: begin anew.
        simulations: What happens outside of a sandbox.
        events: What happened.
        webhook_endpoints: Where it is told as it happens.
        webhook_deliveries: What came of that.
        requests: What programs have asked.
        audit_records: Who did it.
        users: The people who sign in at the tenant's pages.
        partners: Organisations that embed the platform, and under them their members.
        card_sessions: Pages and frames at which people enter cards.
        vault_tokens: Stand-ins for card numbers, bank accounts and personal data.
        clients: Who may ask for access tokens.
        approvals: What waits for a second person.
        consents: What customers have allowed third parties.
        blocked_third_parties: Third parties that are kept out.
        event_notifications: What third parties are told, and what they have reported.
        privacy: What is kept of people and where.
        data_keys: Under which keys personal and card data lie.
    """

    parties: "Parties"
    users: "Users"
    partners: "Partners"
    vault_tokens: "CardTokens"
    card_sessions: "CardSessions"
    wallets: "Wallets"
    arrangements: "Arrangements"
    products: "Products"
    account_statements: "AccountStatements"
    transfers: "Transfers"
    top_ups: "TopUps"
    withdrawals: "Withdrawals"
    holds: "Holds"
    accounts: "Accounts"
    journal_entries: "JournalEntries"
    ledger: "Ledger"
    payments: "Payments"
    statements: "Statements"
    statement_entries: "StatementEntries"
    tenant: "Tenant"
    clock: "Clock"
    sandbox: "OwnSandbox"
    simulations: "Simulations"
    events: "Events"
    webhook_endpoints: "WebhookEndpoints"
    webhook_deliveries: "WebhookDeliveries"
    requests: "Requests"
    audit_records: "AuditRecords"
    clients: "Clients"
    approvals: "Approvals"
    consents: "Consents"
    blocked_third_parties: "BlockedThirdParties"
    event_notifications: "EventNotifications"
    privacy: "Privacy"
    data_keys: "DataKeys"

    _HOMES: ClassVar[dict[str, str]] = {
        "parties": "parties.Parties",
        "users": "users.Users",
        "partners": "partners.Partners",
        "vault_tokens": "cards.CardTokens",
        "card_sessions": "card_sessions.CardSessions",
        "wallets": "wallets.Wallets",
        "arrangements": "arrangements.Arrangements",
        "products": "arrangements.Products",
        "account_statements": "arrangements.AccountStatements",
        "transfers": "transfers.Transfers",
        "top_ups": "transfers.TopUps",
        "withdrawals": "transfers.Withdrawals",
        "holds": "holds.Holds",
        "accounts": "ledger.Accounts",
        "journal_entries": "ledger.JournalEntries",
        "ledger": "ledger.Ledger",
        "payments": "payments.Payments",
        "statements": "statements.Statements",
        "statement_entries": "statements.StatementEntries",
        "tenant": "tenant.Tenant",
        "clock": "tenant.Clock",
        "sandbox": "simulations.OwnSandbox",
        "simulations": "simulations.Simulations",
        "events": "tenant.Events",
        "webhook_endpoints": "webhooks.WebhookEndpoints",
        "webhook_deliveries": "webhooks.WebhookDeliveries",
        "requests": "requests.Requests",
        "audit_records": "tenant.AuditRecords",
        "clients": "clients.Clients",
        "approvals": "approvals.Approvals",
        "consents": "consents.Consents",
        "blocked_third_parties": "consents.BlockedThirdParties",
        "event_notifications": "event_notifications.EventNotifications",
        "privacy": "privacy.Privacy",
        "data_keys": "data_keys.DataKeys",
    }


class BillfoldPlatform(_Client):
    """A client for the operators of a platform, who look after its tenants.

    Args:
        base_url: Where the platform is served, without a tenant; ``BILLFOLD_PLATFORM_URL`` where absent.
        client_id: The operator client's id; ``BILLFOLD_PLATFORM_CLIENT_ID`` where absent.
        client_secret: Its secret; ``BILLFOLD_PLATFORM_CLIENT_SECRET`` where absent.
        scopes: What the access token shall allow; everything that the client may where absent.
        timeout_s: Total time of a call in seconds with all retries, or ``Timeouts``. 45 seconds where absent.
        max_retries: How often a call is repeated at most, where that is safe. 3 where absent.
        transport: What carries requests, instead of httpx.
        hooks: Functions to call around every exchange.
        headers: What goes with every request besides.
        auth: How the client proves who it is, instead of by a secret: an object of ``billfold.auth``. A transport of
            your own has to show the certificate itself.

    Raises:
        ValueError: Something isn't given, or not of the right form.

    Attributes:
        tenants: The platform's tenants.
        dead_jobs: What was to be done for them and has failed for good.
        users: The operators themselves.
        audit_records: What operators did with them.
    """

    _VARIABLES = ("BILLFOLD_PLATFORM_URL", "BILLFOLD_PLATFORM_CLIENT_ID", "BILLFOLD_PLATFORM_CLIENT_SECRET")
    _ISSUER_PATH = "/platform"

    tenants: "Tenants"
    dead_jobs: "DeadJobs"
    users: "Operators"
    audit_records: "PlatformAuditRecords"

    _HOMES: ClassVar[dict[str, str]] = {
        "tenants": "platform.Tenants",
        "dead_jobs": "platform.DeadJobs",
        "users": "platform.Operators",
        "audit_records": "platform.PlatformAuditRecords",
    }
