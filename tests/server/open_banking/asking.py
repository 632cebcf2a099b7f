"""Each operation's right request, by which the wrong ones are made."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from billfold_server.open_banking.edge.interface import Declared
from tests.server.open_banking.scene import Scene

__all__ = ["Request", "right_request"]


class Request(msgspec.Struct, kw_only=True):
    """A request of a third party.

    Attributes:
        declared: The operation.
        path: The address below the version.
        body: The body.
        token: The customer's token that it shows; the third party's own where there is none.
    """

    declared: Declared
    path: str
    body: Any = None
    token: str | None = None

    def send(self, scene: Scene, **changes: Any) -> httpx.Response:
        """Send it as a scene's third party, with changes.

        Args:
            scene: Whose third party signs.
            changes: ``token``, ``path``, ``body`` or ``headers``.
        """
        headers = changes.pop("headers", None)
        if self.declared.method == "PATCH":
            headers = {**(headers or {}), "content-type": "application/json-patch+json"}
        said = {"path": self.path, "body": self.body, "token": self.token, **changes}
        return scene.tpp.request(self.declared.method, said["path"], said["body"], token=said["token"], headers=headers)


def right_request(scene: Scene, declared: Declared) -> Request:
    """Return a request that is carried out."""
    if declared.area == "aisp":
        return _of_accounts(scene, declared)
    if declared.area == "cbpii":
        return _of_funds(scene, declared)
    if declared.area == "events":
        return _of_events(scene, declared)
    return _of_recurring(scene, declared) if "vrp" in declared.path else _of_payments(scene, declared)


def _of_accounts(scene: Scene, declared: Declared) -> Request:
    if "consents" not in declared.path:
        path = declared.path.replace("{AccountId}", scene.payer)
        if "{StatementId}" in path:
            path = path.replace("{StatementId}", scene.statement)
        return Request(declared=declared, path=f"/aisp{path}", token=scene.accounts[1])
    body = scene.account_request() if declared.method == "POST" else None
    consent = scene.account_consent() if declared.method == "DELETE" else scene.accounts[0]
    return Request(declared=declared, path=f"/aisp{declared.path.replace('{ConsentId}', consent)}", body=body)


def _of_funds(scene: Scene, declared: Declared) -> Request:
    if declared.of_customer:
        consent, token = scene.funds
        return Request(declared=declared, path=f"/cbpii{declared.path}", body=scene.confirmation(consent), token=token)
    body = scene.funds_request() if declared.method == "POST" else None
    consent = scene.funds_consent() if declared.method == "DELETE" else scene.funds[0]
    return Request(declared=declared, path=f"/cbpii{declared.path.replace('{ConsentId}', consent)}", body=body)


def _of_payments(scene: Scene, declared: Declared) -> Request:
    path = f"/pisp{declared.path.replace('{ConsentId}', scene.waiting[0])}"
    if "{DomesticPaymentId}" in path:
        return Request(declared=declared, path=path.replace("{DomesticPaymentId}", scene.paid))
    if declared.path == "/domestic-payments":
        request = scene.payment_request()
        consent = scene.payment_consent(request)
        token = scene.authorised(consent)
        return Request(declared=declared, path=path, body=scene.payment(consent, request), token=token)
    body = scene.payment_request() if declared.method == "POST" else None
    return Request(declared=declared, path=path, body=body, token=scene.waiting[1] if declared.of_customer else None)


def _of_recurring(scene: Scene, declared: Declared) -> Request:
    consent, token = scene.agreed
    if declared.method == "DELETE":
        consent = scene.recurring_consent()
    path = f"/pisp{declared.path.replace('{ConsentId}', consent)}"
    if "{DomesticVRPId}" in path:
        return Request(declared=declared, path=path.replace("{DomesticVRPId}", scene.paid_again))
    bodies: dict[str, Callable[[], Any]] = {
        "domesticVrpConsentsPost": scene.recurring_request,
        "domesticVrpConsentsPut": scene.recurring_request,
        "domesticVrpConsentsPatch": lambda: [{"op": "remove", "path": "/Data/ReadRefundAccount"}],
        "domesticVrpConsentsFundsConfirmation": lambda: scene.funds_question(consent),
        "domesticVrpPost": lambda: scene.recurring(consent),
    }
    body = bodies[declared.operation_id]() if declared.takes_body else None
    return Request(declared=declared, path=path, body=body, token=token if declared.of_customer else None)


def _of_events(scene: Scene, declared: Declared) -> Request:
    subscription = scene.subscribe() if "{" in declared.path else ""
    body: Any = None
    if declared.operation_id == "CreateEvents":
        body = {"maxEvents": 0}
    elif declared.takes_body:
        body = scene.subscription_request()
        if subscription:
            body["Data"]["EventSubscriptionId"] = subscription
    return Request(declared=declared, path=declared.path.replace("{EventSubscriptionId}", subscription), body=body)
