"""A shop in Django whose customers pay from wallets, and which hears of payments by webhooks; in one file.

Set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and BILLFOLD_CLIENT_SECRET as `billfold up` prints them; without them the
whole platform runs inside the shop's own process. ``pip install django``, and ``python app.py runserver --noreload``.
"""

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billfold import Billfold, Money, errors, events, webhooks
from billfold.embedded import embedded_sync

SECRET = os.environ.get("BILLFOLD_WEBHOOK_SECRET", "whsec_b25seSBmb3IgdHJpYWxzIG9mIHRoaXMgc2hvcA==")

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "for trials alone"),
    ROOT_URLCONF=__name__,
    BILLFOLD=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", f"{__name__}.refusals"],
)


def billfold() -> Billfold:
    """Return the one client of this process, which threads share; a forked process makes connections of its own."""
    if settings.BILLFOLD is None:
        settings.BILLFOLD = Billfold()
    client: Billfold = settings.BILLFOLD
    return client


@functools.cache
def till() -> str:
    """Return the shop's own wallet, of which there is one, however often and by which client the shop is started.

    An idempotency key is kept for a month, and for the client that has used it. What lasts is the owner's external id;
    the keys are for two processes that start for the first time.
    """
    owner = next(iter(billfold().parties.list(external_id="shop")), None) or billfold().parties.create(
        kind="company", name="Shop", external_id="shop", idempotency_key="shop-owner"
    )
    wallet = next(iter(billfold().wallets.list(party_id=owner.id)), None) or billfold().wallets.create(
        party_id=owner.id, label="Till", idempotency_key="shop-till"
    )
    return wallet.id


def refusals(answer: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Let a refusal of the bank's be one of the shop's, with its code and facts."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return answer(request)

    def process_exception(_request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, errors.ProblemError):
            return None
        content = {"code": error.code, "detail": error.detail, **error.facts}
        return JsonResponse(content, status=error.status if error.status in {404, 409, 422} else 502)

    middleware.process_exception = process_exception  # type: ignore[attr-defined]
    return middleware


@csrf_exempt
@require_POST
def sign_up(request: HttpRequest) -> HttpResponse:
    """Open a wallet, with something in it to begin with."""
    party = billfold().parties.create(kind="person", name=json.loads(request.body)["name"])
    wallet = billfold().wallets.create(party_id=party.id)
    billfold().top_ups.create(wallet_id=wallet.id, amount=Money(2000, "EUR"), description="Welcome")
    return JsonResponse({"wallet_id": wallet.id}, status=201)


@csrf_exempt
@require_POST
def pay(request: HttpRequest, number: str) -> HttpResponse:
    """Pay for an order. Its number is the idempotency key, so a browser that asks twice pays once."""
    said: dict[str, Any] = json.loads(request.body)
    transfer = billfold().transfers.create(
        from_wallet_id=said["wallet_id"],
        to_wallet_id=till(),
        amount=Money(said["price_minor"], "EUR"),
        idempotency_key=f"shop-order-{number}",
        metadata={"order": number},
    )
    return JsonResponse({"order": number, "amount": str(transfer.amount)})


# A shop with a database keeps this in a table.
paid: dict[str, Money] = {}


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """Note each payment that the bank tells of, once."""
    try:
        event = webhooks.verify(request.body, request.headers, SECRET)
    except webhooks.WebhookRefused:
        return HttpResponse(status=400)
    if transfer := events.data_of(event, events.TRANSFER_POSTED):
        paid[event.object_id] = transfer.amount
    return HttpResponse(status=204)


def payments(_request: HttpRequest) -> HttpResponse:
    """Tell how many payments the bank has told of."""
    return JsonResponse(len(paid), safe=False)


urlpatterns = [
    path("customers", sign_up),
    path("orders/<str:number>", pay),
    path("webhooks", receive),
    path("paid", payments),
]
application = get_wsgi_application()


def main() -> None:
    """Do what the command line says, with a platform in this process where the environment names no other."""
    if "BILLFOLD_BASE_URL" in os.environ:
        execute_from_command_line(sys.argv)
        return
    with embedded_sync() as settings.BILLFOLD:
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
