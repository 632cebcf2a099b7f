# Generated from billfold/consents/_async/third_party.py by tests/sdk/generate_sync.py. Change that one instead.

"""A third party at one bank: consents, what they allow, and what the bank tells."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from billfold.auth._sync.flow import AuthorizationFlow
from billfold.auth.sign_in import AuthorizationRequest, Pending, ResponseMode, UserTokens
from billfold.consents._sync.accounts import AccountAccessConsents, Accounts
from billfold.consents._sync.asking import Asking
from billfold.consents._sync.events import Events, EventSubscriptions
from billfold.consents._sync.funds import FundsConfirmationConsents, FundsConfirmations
from billfold.consents._sync.payments import DomesticPaymentConsents, DomesticPayments
from billfold.consents._sync.recurring import DomesticVRPConsents, DomesticVRPs
from billfold.consents.asking import Customer, Manner

if TYPE_CHECKING:
    from billfold.client._sync.client import Billfold
    from billfold.keys.signer import Signer

__all__ = ["ThirdParty"]


class ThirdParty:
    """A licensed third party, as a client of one bank.

    ::

        third_party = ThirdParty(bank, redirect_uri="https://tpp.example/callback")
        consent = third_party.domestic_payment_consents.create(
            domestic_payment(("12.50", "GBP"), account("UK.OBIE.IBAN", "GB33BUKB20201555555555", "Ada Lovelace"))
        )
        url, pending = third_party.begin(consent.data.consent_id, scope="openid payments")
        tokens = third_party.complete(pending, request_url)
        payment = third_party.as_user(tokens).domestic_payments.create(consent)
        third_party.domestic_payments.follow(payment.data.domestic_payment_id)

    It holds no state of a customer's, so one serves a whole program.

    Args:
        bank: The client, whose ``auth`` says who is asking.
        signing_key: What signs orders, registered by its directory; the key of ``auth`` where absent.
        redirect_uri: Where the bank sends customers back to, as it is registered; ``begin`` may name another.
        response_mode: ``jwt`` has the bank sign its answers to sign-ins (JARM), as FAPI 1.0 Advanced asks.
        signed_request: Whether what is asked of a sign-in is signed (JAR), as FAPI 1.0 Advanced asks.
        signed_as: Who signs orders, as the directory names it; the client's id where absent.
        trust_anchor: Whose directory knows the signing key.
        verifies: Whether the bank's answers have to be signed, where the standard says that they are.
        customer: On whose behalf all of it is.

    Attributes:
        account_access_consents: Consents to see accounts.
        accounts: What they let be seen; needs a customer's tokens.
        funds_confirmation_consents: Consents to ask whether there is enough.
        funds_confirmations: Asking; needs a customer's tokens.
        domestic_payment_consents: Consents for one payment.
        domestic_payments: Payments; making one needs a customer's tokens.
        domestic_vrp_consents: Consents for payments within limits.
        domestic_vrps: Such payments; making one needs a customer's tokens.
        event_subscriptions: What the bank tells of its own accord.
        events: What it has told.
    """

    def __init__(
        self,
        bank: "Billfold",
        *,
        signing_key: "Signer | None" = None,
        redirect_uri: str | None = None,
        response_mode: ResponseMode = "query",
        signed_request: bool = False,
        signed_as: str | None = None,
        trust_anchor: str = "openbanking.org.uk",
        verifies: bool = True,
        customer: Customer | None = None,
    ) -> None:
        auth = bank._session.tokens.auth  # noqa: SLF001  # This is part of the client.
        flow = AuthorizationFlow(
            bank, redirect_uri=redirect_uri, response_mode=response_mode, signed_request=signed_request
        )
        manner = Manner(
            signer=signing_key or auth.key,
            issuer=signed_as or auth.client_id,
            trust_anchor=trust_anchor,
            verifies=verifies,
            customer=customer,
        )
        self._open(bank, flow, manner)

    def _open(self, bank: "Billfold", flow: AuthorizationFlow, manner: Manner) -> None:
        self._bank, self._flow, self._manner = bank, flow, manner
        asking = Asking(bank._session, manner)  # noqa: SLF001  # This is part of the client.
        self.account_access_consents = AccountAccessConsents(asking)
        self.accounts = Accounts(asking)
        self.funds_confirmation_consents = FundsConfirmationConsents(asking)
        self.funds_confirmations = FundsConfirmations(asking)
        self.domestic_payment_consents = DomesticPaymentConsents(asking)
        self.domestic_payments = DomesticPayments(asking)
        self.domestic_vrp_consents = DomesticVRPConsents(asking)
        self.domestic_vrps = DomesticVRPs(asking)
        self.event_subscriptions = EventSubscriptions(asking)
        self.events = Events(asking)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._bank!r})"

    def begin(
        self,
        consent_id: str,
        *,
        scope: str,
        redirect_uri: str | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> AuthorizationRequest:
        """Push a request for a customer to agree to a consent; return where to send the browser, and what to keep.

        Args:
            consent_id: Which consent. What comes back has to name the same one.
            scope: What the tokens shall be for: ``openid`` with ``accounts``, ``payments`` or ``fundsconfirmations``.
            redirect_uri: Where the bank sends the customer back to, if elsewhere than usual.
            extra: Other parameters, such as ``ui_locales``.

        Raises:
            errors.AuthenticationFailed: The bank refuses; ``oauth_error`` says why.
            errors.BillfoldError: It can't be reached, or isn't what it should be.
            ValueError: ``openid`` isn't asked for, without which nobody says which consent was agreed to.
        """
        if "openid" not in scope.split():
            raise ValueError("scope needs openid, because the ID token says which consent was agreed to")
        return self._flow.begin(scope=scope, intent_id=consent_id, redirect_uri=redirect_uri, extra=extra)

    def complete(self, pending: Pending, callback: str | Mapping[str, Any]) -> UserTokens:
        """Check what came back, and get the customer's tokens for it. Use what was kept once.

        Args:
            pending: What was kept in the session of the browser that came.
            callback: The address that was called, its query, or the framework's mapping of that.

        Raises:
            AccessDenied: The customer, or the bank, doesn't agree.
            AuthorizationFailed: What came isn't believed; narrower classes of ``billfold.auth`` say why.
            errors.BillfoldError: The bank can't be reached, or isn't what it should be.
        """
        return self._flow.complete(pending, callback)

    def revoke(self, tokens: UserTokens) -> None:
        """End a customer's tokens; with their refresh token ends the consent that has allowed them, as by ``delete``.

        Raises:
            errors.BillfoldError: The bank can't be reached, or refuses.
        """
        self._flow.revoke(tokens)

    def as_user(self, tokens: UserTokens, *, on_refresh: Callable[[UserTokens], Any] | None = None) -> Self:
        """Return the same third party acting by what a customer has agreed to.

        Args:
            tokens: What ``complete`` has returned, or ``UserTokens.load`` has read.
            on_refresh: Called with fresh tokens, so that they can be kept instead of the former.

        Raises:
            ValueError: The tokens were issued to another client, by another bank, or are bound to another key.
        """
        return self._other(self._bank.as_user(tokens, on_refresh=on_refresh), self._manner)

    def on_behalf_of(self, customer: Customer) -> Self:
        """Return the same third party telling the bank that a customer is there, and how."""
        return self._other(self._bank, self._manner.on_behalf_of(customer))

    def _other(self, bank: "Billfold", manner: Manner) -> Self:
        other = type(self).__new__(type(self))
        other._open(bank, self._flow, manner)  # noqa: SLF001  # Of the same class.
        return other
