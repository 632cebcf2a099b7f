"""Makes schemathesis's requests name what exists: ids, tokens, and bodies that a consent agrees with.

What is malformed on purpose stays so. Of well-formed requests, what no schema says is put right: that a currency is the
bank's, that a consent is there and says the same. Everything else is left as it was made up.
"""

import random
import re
import secrets
from collections.abc import Callable
from typing import Any, Final

from requests import PreparedRequest

from billfold_server.open_banking.edge.interface import INTERFACE
from tests.server.open_banking.scene import Scene
from tests.server.open_banking.signing import header_of, signature_of

__all__ = ["Preparing"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SIGNED: Final = "x-jws-signature"
_TEN: Final = 10
_OF_CUSTOMER: Final = frozenset(each.operation_id for each in INTERFACE.values() if each.of_customer)


class Preparing:
    """Prepares the requests of one scene.

    Args:
        scene: What there is.
        seed: Decides which requests name what exists, and which name something else.
    """

    def __init__(self, scene: Scene, seed: int = 20261120) -> None:
        self._scene = scene
        self._random = random.Random(seed)
        self._asked: set[str] = set()
        self._subscribed = ""
        self._bodies: dict[str, Callable[[dict[str, Any]], tuple[Any, str | None]]] = {
            "CreateAccountAccessConsents": self._account_consent,
            "CreateFundsConfirmationConsents": self._funds_consent,
            "CreateFundsConfirmations": self._confirmation,
            "CreateDomesticPaymentConsents": self._payment_consent,
            "CreateDomesticPayments": self._payment,
            "domesticVrpConsentsPost": self._recurring_consent,
            "domesticVrpPost": self._recurring,
            "domesticVrpConsentsFundsConfirmation": self._funds_question,
            "CreateEventSubscriptions": self._subscription,
            "ChangeEventSubscriptionsEventSubscriptionId": self._changed_subscription,
        }

    def prepare(self, case: Any, operation_id: str, positive: bool) -> None:  # noqa: FBT001 - schemathesis's question
        """Put ids, a token and, where it is well-formed, a body into a request."""
        token = self._token(operation_id)
        # The first one of an operation, and nine of ten after it, name what exists.
        real = (positive and operation_id not in self._asked) or self._random.random() > 1 / _TEN
        if positive:
            self._asked.add(operation_id)
        if isinstance(case.path_parameters, dict) and case.path_parameters:
            found = {
                name: self._id(operation_id, name, value, real=real) for name, value in case.path_parameters.items()
            }
            case.path_parameters = found
        if positive and real and isinstance(case.body, dict) and operation_id in self._bodies:
            case.body, own = self._bodies[operation_id](case.body)
            token = own or token
        headers = dict(case.headers or {})
        headers["Authorization"] = f"Bearer {token or self._scene.tpp.token}"
        if positive:
            headers = {name: self._header(name.lower(), value) for name, value in headers.items()}
        case.headers = headers

    def sign(self, request: PreparedRequest) -> None:
        """Sign what is sent, where it means to be signed."""
        if _SIGNED in request.headers:
            body: Any = request.body or b""
            content = body.encode() if isinstance(body, str) else bytes(body)
            tpp = self._scene.tpp
            request.headers[_SIGNED] = signature_of(content, tpp.key, header_of(tpp.made.kid, tpp.made.client_id))

    def _header(self, name: str, value: Any) -> Any:
        if name == "x-idempotency-key":
            return secrets.token_hex(10)
        if name == "x-fapi-interaction-id":
            return "01931c3e-0000-4000-8000-000000000000"
        if name == "payload-version":
            # An older version's names are in no schema of this one.
            return "4.0.0"
        if name == "x-fapi-auth-date":
            # The documents' pattern lets days and hours through that there are not.
            return "Fri, 20 Nov 2026 12:00:05 GMT"
        return "192.0.2.1" if name == "x-fapi-customer-ip-address" else value

    def _token(self, operation_id: str) -> str | None:
        scene = self._scene
        if operation_id == "CreateFundsConfirmations":
            return scene.funds[1]
        if operation_id in {"CreateDomesticPayments", "GetDomesticPaymentConsentsConsentIdFundsConfirmation"}:
            return scene.waiting[1]
        if operation_id in {"domesticVrpPost", "domesticVrpConsentsFundsConfirmation"}:
            return scene.agreed[1]
        if operation_id.startswith("Get") and operation_id in _OF_CUSTOMER:
            return scene.accounts[1]
        return None

    def _id(self, operation_id: str, name: str, value: Any, *, real: bool) -> str:
        """Return an id that exists, or one that was made up but leads to no other address."""
        if not real:
            return str(value) if _PLAIN.fullmatch(str(value)) else "nothing"
        scene = self._scene
        if name == "ConsentId":
            return self._consent(operation_id)
        known: dict[str, Callable[[], str]] = {
            "AccountId": lambda: scene.payer,
            "StatementId": lambda: scene.statement,
            "DomesticPaymentId": lambda: scene.paid,
            "DomesticVRPId": lambda: scene.paid_again,
            "EventSubscriptionId": self._subscribe,
        }
        return known[name]()

    def _subscribe(self) -> str:
        self._subscribed = self._scene.subscribe()
        return self._subscribed

    def _consent(self, operation_id: str) -> str:
        scene = self._scene
        if "AccountAccess" in operation_id:
            # What is deleted must be another one than what everything else is read by.
            return scene.account_consent() if operation_id.startswith("Delete") else scene.accounts[0]
        if "FundsConfirmationConsents" in operation_id and "Domestic" not in operation_id:
            return scene.funds_consent() if operation_id.startswith("Delete") else scene.funds[0]
        if "DomesticPayment" in operation_id:
            return scene.waiting[0]
        return scene.recurring_consent() if operation_id.endswith("Delete") else scene.agreed[0]

    # Bodies: what was made up, with what must be so put right; and a token, where it must be a certain one.

    def _account_consent(self, body: dict[str, Any]) -> tuple[Any, None]:
        right = self._scene.account_request()
        data = {name: value for name, value in body["Data"].items() if not name.endswith("DateTime")}
        return {**body, "Data": {**data, **right["Data"]}}, None

    def _funds_consent(self, body: dict[str, Any]) -> tuple[Any, None]:
        right = self._scene.funds_request()
        data = {name: value for name, value in body["Data"].items() if not name.endswith("DateTime")}
        return {**body, "Data": {**data, **right["Data"]}}, None

    def _confirmation(self, body: dict[str, Any]) -> tuple[Any, str]:
        consent, token = self._scene.funds
        right = self._scene.confirmation(consent)["Data"]
        return {**body, "Data": {**body["Data"], **right, "Reference": body["Data"]["Reference"]}}, token

    def _payment_consent(self, body: dict[str, Any]) -> tuple[Any, None]:
        return self._agreeing(body, self._scene.payment_request()), None

    def _agreeing(self, body: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
        """Put right what of an initiation must be the bank's; payers' and agents' accounts are left out."""
        initiation = {**body["Data"]["Initiation"], **right["Data"]["Initiation"]}
        for name in ("DebtorAccount", "LocalInstrument", "CreditorAgent"):
            initiation.pop(name, None)
        return {**body, "Data": {**body["Data"], "Initiation": initiation}}

    def _payment(self, body: dict[str, Any]) -> tuple[Any, str]:
        """Agree to what was made up first, and order that."""
        scene = self._scene
        request = self._agreeing({"Data": body["Data"], "Risk": body["Risk"]}, scene.payment_request())
        asked = {"Data": {"Initiation": request["Data"]["Initiation"]}, "Risk": request["Risk"]}
        answer = scene.tpp.post("/pisp/domestic-payment-consents", asked)
        if answer.status_code != 201:
            return body, scene.waiting[1]
        consent = str(answer.json()["Data"]["ConsentId"])
        return scene.payment(consent, asked), scene.authorised(consent)

    def _recurring_consent(self, body: dict[str, Any]) -> tuple[Any, None]:
        right = self._scene.recurring_request()
        data = {**body["Data"], "ControlParameters": right["Data"]["ControlParameters"]}
        initiation = {**body["Data"]["Initiation"], **right["Data"]["Initiation"]}
        initiation.pop("DebtorAccount", None)
        return {**body, "Data": {**data, "Initiation": initiation}}, None

    def _recurring(self, body: dict[str, Any]) -> tuple[Any, str]:
        consent, token = self._scene.agreed
        right = self._scene.recurring(consent)
        more = {name: value for name, value in body["Data"]["Instruction"].items() if name == "SupplementaryData"}
        right["Data"]["Instruction"] |= more
        return right, token

    def _funds_question(self, body: dict[str, Any]) -> tuple[Any, str]:
        consent, token = self._scene.agreed
        right = self._scene.funds_question(consent)["Data"]
        return {**body, "Data": {**body["Data"], **right}}, token

    def _subscription(self, body: dict[str, Any]) -> tuple[Any, None]:
        scene = self._scene
        scene.tpp.request("DELETE", f"/event-subscriptions/{scene.subscribe()}")
        return {**body, "Data": {**body["Data"], **scene.subscription_request()["Data"]}}, None

    def _changed_subscription(self, body: dict[str, Any]) -> tuple[Any, None]:
        data = {"EventSubscriptionId": self._subscribed, **self._scene.subscription_request()["Data"]}
        return {**body, "Data": {**body["Data"], **data}}, None
