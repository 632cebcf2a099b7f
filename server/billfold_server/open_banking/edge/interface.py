"""The operations of the interface, as its documents say them: nothing of this is our choice.

A room that declares an operation says its path, and everything else that is said about it is here. A test compares it
with the documents.

Source: Open Banking Read/Write API Specification 4.0: account and transaction, confirmation of funds, payment
initiation, variable recurring payments, and event notifications.
"""

from typing import Final, Literal

import msgspec

__all__ = ["INTERFACE", "VERSION", "Area", "Declared", "root_of"]

VERSION: Final = "/open-banking/v4.0"

Area = Literal["aisp", "pisp", "cbpii", "events"]
"""A group of operations below one address, for which one scope is asked."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

_SCOPES: Final[dict[Area, tuple[str, ...]]] = {
    "aisp": ("accounts",),
    "pisp": ("payments",),
    "cbpii": ("fundsconfirmations",),
    "events": ("accounts", "payments", "fundsconfirmations"),
}

_BASE: Final = (400, 401, 403, 405, 406, 429, 500)


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What the documents say of an operation.

    Attributes:
        area: Its group.
        method: Its method.
        path: Its path below the group's address.
        operation_id: Its official id.
        scopes: One of these is asked of a token.
        security: ``TPP`` or ``PSU``, as the documents name the schemes.
        of_customer: Whether it is asked for by a customer's token. Of two operations of recurring payments the text
            of the standard says so, although their document names the other scheme.
        statuses: Those that are documented.
        empty: Those of them that have no body.
        signed: Whether the request must be signed.
        answers_signed: Whether answers with a body are.
        keyed: Whether ``x-idempotency-key`` is asked for.
        version_in: Whether ``payload-version`` is a documented header of the request.
        version_out: Whether it is one of the answer.
        takes_body: Whether the request has a body.
    """

    area: Area
    method: Method
    path: str
    operation_id: str
    scopes: tuple[str, ...]
    security: Literal["TPP", "PSU"]
    of_customer: bool
    statuses: tuple[int, ...]
    empty: frozenset[int]
    signed: bool
    answers_signed: bool
    keyed: bool
    version_in: bool
    version_out: bool
    takes_body: bool

    @property
    def success(self) -> int:
        """Return the status of success."""
        return next(status for status in sorted(self.statuses, reverse=True) if status < 300)  # noqa: PLR2004


def root_of(area: Area) -> str:
    """Return the address of an area, below a tenant's base."""
    return VERSION if area == "events" else f"{VERSION}/{area}"


_SUCCESS: Final[dict[Method, int]] = {"GET": 200, "POST": 201, "PUT": 200, "PATCH": 200, "DELETE": 204}
_NO_BODY: Final = frozenset({204, 401, 404, 405, 406, 415, 429})


def _declared(area: Area, line: str) -> Declared:
    """Read one line: method, path, operation id, and marks.

    ``psu``: a customer's token; ``customer``: the same by the text of the standard; ``conditional``: 404 where the
    bank doesn't offer it; ``conflict``: 409; ``signed``: the request is; ``keyed``: under a key; ``media``: 415 though
    there is no body; ``version`` and ``versioned``: ``payload-version`` in and out.
    """
    method, path, operation_id, *marks = line.split()
    said = set(marks)
    assert method in _SUCCESS
    takes_body = method in {"POST", "PUT", "PATCH"}
    statuses = {
        _SUCCESS[method],
        *_BASE,
        *([404] if "conditional" in said else []),
        *([409] if "conflict" in said else []),
        *([415] if takes_body or "media" in said else []),
        *([200] if "polling" in said else []),
    }
    return Declared(
        area=area,
        method=method,
        path=path,
        operation_id=operation_id,
        scopes=_SCOPES[area],
        security="PSU" if "psu" in said else "TPP",
        of_customer=bool(said & {"psu", "customer"}),
        statuses=tuple(sorted(statuses)),
        # A conflict of event subscriptions is the one that has nothing more to say.
        empty=_NO_BODY | ({409} if area == "events" else set()),
        signed="signed" in said,
        answers_signed=area == "pisp" or (area == "events" and path.startswith("/event-subscriptions")),
        keyed="keyed" in said,
        version_in="version" in said,
        version_out="versioned" in said,
        takes_body=takes_body,
    )


_AISP: Final = """
POST /account-access-consents CreateAccountAccessConsents
GET /account-access-consents/{ConsentId} GetAccountAccessConsentsConsentId
DELETE /account-access-consents/{ConsentId} DeleteAccountAccessConsentsConsentId
GET /accounts GetAccounts psu
GET /accounts/{AccountId} GetAccountsAccountId psu
GET /accounts/{AccountId}/balances GetAccountsAccountIdBalances psu
GET /accounts/{AccountId}/beneficiaries GetAccountsAccountIdBeneficiaries psu conditional
GET /accounts/{AccountId}/direct-debits GetAccountsAccountIdDirectDebits psu conditional
GET /accounts/{AccountId}/offers GetAccountsAccountIdOffers psu conditional
GET /accounts/{AccountId}/parties GetAccountsAccountIdParties psu conditional
GET /accounts/{AccountId}/party GetAccountsAccountIdParty psu conditional
GET /accounts/{AccountId}/product GetAccountsAccountIdProduct psu conditional
GET /accounts/{AccountId}/scheduled-payments GetAccountsAccountIdScheduledPayments psu conditional
GET /accounts/{AccountId}/standing-orders GetAccountsAccountIdStandingOrders psu conditional
GET /accounts/{AccountId}/statements GetAccountsAccountIdStatements psu conditional
GET /accounts/{AccountId}/statements/{StatementId} GetAccountsAccountIdStatementsStatementId psu conditional
GET /accounts/{AccountId}/statements/{StatementId}/file GetAccountsAccountIdStatementsStatementIdFile psu conditional
GET /accounts/{AccountId}/statements/{StatementId}/transactions GetAccountsAccountIdStatementsStatementIdTransactions \
psu conditional
GET /accounts/{AccountId}/transactions GetAccountsAccountIdTransactions psu
GET /balances GetBalances psu conditional
GET /beneficiaries GetBeneficiaries psu conditional
GET /direct-debits GetDirectDebits psu conditional
GET /offers GetOffers psu conditional
GET /party GetParty psu conditional
GET /products GetProducts psu conditional
GET /scheduled-payments GetScheduledPayments psu conditional
GET /standing-orders GetStandingOrders psu conditional
GET /statements GetStatements psu conditional
GET /transactions GetTransactions psu conditional
"""

_CBPII: Final = """
POST /funds-confirmation-consents CreateFundsConfirmationConsents
GET /funds-confirmation-consents/{ConsentId} GetFundsConfirmationConsentsConsentId
DELETE /funds-confirmation-consents/{ConsentId} DeleteFundsConfirmationConsentsConsentId
POST /funds-confirmations CreateFundsConfirmations psu
"""

_PISP: Final = """
POST /domestic-payment-consents CreateDomesticPaymentConsents signed keyed
GET /domestic-payment-consents/{ConsentId} GetDomesticPaymentConsentsConsentId
GET /domestic-payment-consents/{ConsentId}/funds-confirmation GetDomesticPaymentConsentsConsentIdFundsConfirmation psu
POST /domestic-payments CreateDomesticPayments psu signed keyed conflict
GET /domestic-payments/{DomesticPaymentId} GetDomesticPaymentsDomesticPaymentId
GET /domestic-payments/{DomesticPaymentId}/payment-details GetDomesticPaymentsDomesticPaymentIdPaymentDetails \
conditional
POST /domestic-vrp-consents domesticVrpConsentsPost signed keyed conflict versioned
GET /domestic-vrp-consents/{ConsentId} domesticVrpConsentsGet media versioned
DELETE /domestic-vrp-consents/{ConsentId} domesticVrpConsentsDelete media
PUT /domestic-vrp-consents/{ConsentId} domesticVrpConsentsPut signed keyed conflict versioned
PATCH /domestic-vrp-consents/{ConsentId} domesticVrpConsentsPatch signed keyed conflict versioned
POST /domestic-vrp-consents/{ConsentId}/funds-confirmation domesticVrpConsentsFundsConfirmation signed customer
POST /domestic-vrps domesticVrpPost signed keyed conflict version customer
GET /domestic-vrps/{DomesticVRPId} domesticVrpGet media
GET /domestic-vrps/{DomesticVRPId}/payment-details domesticVrpPaymentDetailsGet media
"""

_EVENTS: Final = """
POST /event-subscriptions CreateEventSubscriptions conditional conflict signed
GET /event-subscriptions GetEventSubscriptions conditional
PUT /event-subscriptions/{EventSubscriptionId} ChangeEventSubscriptionsEventSubscriptionId conditional signed
DELETE /event-subscriptions/{EventSubscriptionId} DeleteEventSubscriptionsEventSubscriptionId conditional
POST /events CreateEvents conditional polling
"""

_LINES: Final[dict[Area, str]] = {"aisp": _AISP, "cbpii": _CBPII, "pisp": _PISP, "events": _EVENTS}

INTERFACE: Final[dict[tuple[Area, str, str], Declared]] = {
    (area, each.method, each.path): each
    for area, lines in _LINES.items()
    for each in (_declared(area, line) for line in lines.strip().splitlines())
}
"""Every operation, by its area, method and path."""
