"""The clients: ``AsyncBillfold`` for a tenant, ``AsyncBillfoldPlatform`` for the operators of a platform."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from billfold.auth._async.authority import AsyncAuthority
from billfold.auth._async.tokens import AsyncTokens
from billfold.auth.credentials import ClientAuthentication, ClientCredentials
from billfold.client import _options as options
from billfold.client._async.backend import DefaultTransport
from billfold.client._async.session import AsyncClosing, AsyncSession
from billfold.client._flow import Kit, Timeouts
from billfold.client._message import AsyncTransport, Hooks
from billfold.client._retry import RetryBudget

if TYPE_CHECKING:
    from billfold.auth.sign_in import UserTokens
    from billfold.client._async.approvals import AsyncApprovals
    from billfold.client._async.arrangements import AsyncAccountStatements, AsyncArrangements, AsyncProducts
    from billfold.client._async.card_sessions import AsyncCardSessions
    from billfold.client._async.cards import AsyncCardTokens
    from billfold.client._async.clients import AsyncClients
    from billfold.client._async.consents import AsyncBlockedThirdParties, AsyncConsents
    from billfold.client._async.data_keys import AsyncDataKeys
    from billfold.client._async.event_notifications import AsyncEventNotifications
    from billfold.client._async.holds import AsyncHolds
    from billfold.client._async.ledger import AsyncAccounts, AsyncJournalEntries, AsyncLedger
    from billfold.client._async.parties import AsyncParties
    from billfold.client._async.partners import AsyncPartners
    from billfold.client._async.payments import AsyncPayments
    from billfold.client._async.platform import AsyncDeadJobs, AsyncOperators, AsyncPlatformAuditRecords, AsyncTenants
    from billfold.client._async.privacy import AsyncPrivacy
    from billfold.client._async.requests import AsyncRequests
    from billfold.client._async.simulations import AsyncOwnSandbox, AsyncSimulations
    from billfold.client._async.statements import AsyncStatementEntries, AsyncStatements
    from billfold.client._async.tenant import AsyncAuditRecords, AsyncClock, AsyncEvents, AsyncTenant
    from billfold.client._async.transfers import AsyncTopUps, AsyncTransfers, AsyncWithdrawals
    from billfold.client._async.users import AsyncUsers
    from billfold.client._async.wallets import AsyncWallets
    from billfold.client._async.webhooks import AsyncWebhookDeliveries, AsyncWebhookEndpoints

__all__ = ["AsyncBillfold", "AsyncBillfoldPlatform"]


class _AsyncClient(AsyncClosing):
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
        transport: AsyncTransport | None = None,
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
        authority = AsyncAuthority(auth.issuer or base, base)
        certificate = auth.certificate
        self._open(
            AsyncSession(
                base_url=address,
                transport=transport or DefaultTransport(verify=None if certificate is None else certificate.context),
                tokens=AsyncTokens(auth, authority, f"{base}/oauth/token"),
                kit=Kit(policy=options.policy(max_retries), budget=RetryBudget(), hooks=hooks or Hooks()),
                timeouts=options.timeouts(timeout_s),
                headers=options.headers(headers),
            )
        )

    def _open(self, session: AsyncSession) -> None:
        """Set the client up on a session."""
        self._session = session

    if not TYPE_CHECKING:
        # Hidden from whoever checks types, so that a misspelt resource is told.

        def __getattr__(self, name: str) -> Any:
            """Make a resource when it is first used, and import it then: a program uses few of them."""
            if name not in self._HOMES:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            module, _, kind = self._HOMES[name].partition(".")
            resource = getattr(importlib.import_module(f"billfold.client._async.{module}"), kind)(self._session)
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
            AsyncSession(
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
        from billfold.auth._async.users import AsyncUserAccess  # noqa: PLC0415  # Most programs act for themselves.

        present = self._session
        other = type(self).__new__(type(self))
        other._open(  # noqa: SLF001  # Of the same class.
            AsyncSession(
                base_url=present.base_url,
                transport=present.transport,
                tokens=AsyncUserAccess(present.tokens, present, tokens, on_refresh),
                kit=present.kit,
                timeouts=present.timeouts,
                headers=present.headers,
            )
        )
        return other


class AsyncBillfold(_AsyncClient):
    """A client of one tenant.

    ::

        async with AsyncBillfold(base_url="http://127.0.0.1:8000/t/sandbox") as billfold:
            wallet = await billfold.wallets.create(party_id=party.id)
            await billfold.top_ups.create(wallet_id=wallet.id, amount=Money(1250, "EUR"))
            async for top_up in billfold.top_ups.list(wallet_id=wallet.id):
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

    parties: "AsyncParties"
    users: "AsyncUsers"
    partners: "AsyncPartners"
    vault_tokens: "AsyncCardTokens"
    card_sessions: "AsyncCardSessions"
    wallets: "AsyncWallets"
    arrangements: "AsyncArrangements"
    products: "AsyncProducts"
    account_statements: "AsyncAccountStatements"
    transfers: "AsyncTransfers"
    top_ups: "AsyncTopUps"
    withdrawals: "AsyncWithdrawals"
    holds: "AsyncHolds"
    accounts: "AsyncAccounts"
    journal_entries: "AsyncJournalEntries"
    ledger: "AsyncLedger"
    payments: "AsyncPayments"
    statements: "AsyncStatements"
    statement_entries: "AsyncStatementEntries"
    tenant: "AsyncTenant"
    clock: "AsyncClock"
    sandbox: "AsyncOwnSandbox"
    simulations: "AsyncSimulations"
    events: "AsyncEvents"
    webhook_endpoints: "AsyncWebhookEndpoints"
    webhook_deliveries: "AsyncWebhookDeliveries"
    requests: "AsyncRequests"
    audit_records: "AsyncAuditRecords"
    clients: "AsyncClients"
    approvals: "AsyncApprovals"
    consents: "AsyncConsents"
    blocked_third_parties: "AsyncBlockedThirdParties"
    event_notifications: "AsyncEventNotifications"
    privacy: "AsyncPrivacy"
    data_keys: "AsyncDataKeys"

    _HOMES: ClassVar[dict[str, str]] = {
        "parties": "parties.AsyncParties",
        "users": "users.AsyncUsers",
        "partners": "partners.AsyncPartners",
        "vault_tokens": "cards.AsyncCardTokens",
        "card_sessions": "card_sessions.AsyncCardSessions",
        "wallets": "wallets.AsyncWallets",
        "arrangements": "arrangements.AsyncArrangements",
        "products": "arrangements.AsyncProducts",
        "account_statements": "arrangements.AsyncAccountStatements",
        "transfers": "transfers.AsyncTransfers",
        "top_ups": "transfers.AsyncTopUps",
        "withdrawals": "transfers.AsyncWithdrawals",
        "holds": "holds.AsyncHolds",
        "accounts": "ledger.AsyncAccounts",
        "journal_entries": "ledger.AsyncJournalEntries",
        "ledger": "ledger.AsyncLedger",
        "payments": "payments.AsyncPayments",
        "statements": "statements.AsyncStatements",
        "statement_entries": "statements.AsyncStatementEntries",
        "tenant": "tenant.AsyncTenant",
        "clock": "tenant.AsyncClock",
        "sandbox": "simulations.AsyncOwnSandbox",
        "simulations": "simulations.AsyncSimulations",
        "events": "tenant.AsyncEvents",
        "webhook_endpoints": "webhooks.AsyncWebhookEndpoints",
        "webhook_deliveries": "webhooks.AsyncWebhookDeliveries",
        "requests": "requests.AsyncRequests",
        "audit_records": "tenant.AsyncAuditRecords",
        "clients": "clients.AsyncClients",
        "approvals": "approvals.AsyncApprovals",
        "consents": "consents.AsyncConsents",
        "blocked_third_parties": "consents.AsyncBlockedThirdParties",
        "event_notifications": "event_notifications.AsyncEventNotifications",
        "privacy": "privacy.AsyncPrivacy",
        "data_keys": "data_keys.AsyncDataKeys",
    }


class AsyncBillfoldPlatform(_AsyncClient):
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

    tenants: "AsyncTenants"
    dead_jobs: "AsyncDeadJobs"
    users: "AsyncOperators"
    audit_records: "AsyncPlatformAuditRecords"

    _HOMES: ClassVar[dict[str, str]] = {
        "tenants": "platform.AsyncTenants",
        "dead_jobs": "platform.AsyncDeadJobs",
        "users": "platform.AsyncOperators",
        "audit_records": "platform.AsyncPlatformAuditRecords",
    }
