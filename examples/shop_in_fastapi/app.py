"""A shop in FastAPI whose customers pay from wallets, and which hears of payments by webhooks.

Set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and BILLFOLD_CLIENT_SECRET as `billfold up` prints them; without them the
whole platform runs inside the shop's own process. Then ``pip install fastapi uvicorn`` and ``uvicorn app:app``.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from billfold import AsyncBillfold, Money, errors, events, webhooks
from billfold.embedded import embedded

SECRET = os.environ.get("BILLFOLD_WEBHOOK_SECRET", "whsec_b25seSBmb3IgdHJpYWxzIG9mIHRoaXMgc2hvcA==")


async def till(billfold: AsyncBillfold) -> str:
    """Return the shop's own wallet, of which there is one, however often and by which client the shop is started.

    An idempotency key is kept for a month, and for the client that has used it. What lasts is the owner's external id;
    the keys are for two processes that start for the first time.
    """
    owners = [each async for each in billfold.parties.list(external_id="shop")]
    owner = (
        owners[0]
        if owners
        else await billfold.parties.create(
            kind="company", name="Shop", external_id="shop", idempotency_key="shop-owner"
        )
    )
    wallets = [each async for each in billfold.wallets.list(party_id=owner.id)]
    wallet = (
        wallets[0]
        if wallets
        else await billfold.wallets.create(party_id=owner.id, label="Till", idempotency_key="shop-till")
    )
    return wallet.id


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Have one client for as long as the shop serves: it keeps connections and the access token."""
    opened = AsyncBillfold() if "BILLFOLD_BASE_URL" in os.environ else embedded()
    async with opened as billfold:
        app.state.billfold, app.state.till, app.state.paid = billfold, await till(billfold), {}
        yield


app = FastAPI(title="Shop", lifespan=lifespan)


class Customer(BaseModel):
    """Who signs up."""

    name: Annotated[str, Field(min_length=1, max_length=200)]


class Purchase(BaseModel):
    """What somebody buys."""

    wallet_id: str
    price_minor: Annotated[int, Field(gt=0)]


@app.exception_handler(errors.ProblemError)
async def refuse(_request: Request, error: errors.ProblemError) -> JSONResponse:
    """Let a refusal of the bank's be one of the shop's, with its code and facts."""
    content = {"code": error.code, "detail": error.detail, **error.facts}
    return JSONResponse(content, status_code=error.status if error.status in {404, 409, 422} else 502)


@app.post("/customers", status_code=201)
async def sign_up(request: Request, customer: Customer) -> dict[str, str]:
    """Open a wallet, with something in it to begin with."""
    billfold: AsyncBillfold = request.app.state.billfold
    party = await billfold.parties.create(kind="person", name=customer.name)
    wallet = await billfold.wallets.create(party_id=party.id)
    await billfold.top_ups.create(wallet_id=wallet.id, amount=Money(2000, "EUR"), description="Welcome")
    return {"wallet_id": wallet.id}


@app.post("/orders/{number}")
async def pay(request: Request, number: str, purchase: Purchase) -> dict[str, str]:
    """Pay for an order. Its number is the idempotency key, so a browser that asks twice pays once."""
    billfold: AsyncBillfold = request.app.state.billfold
    transfer = await billfold.transfers.create(
        from_wallet_id=purchase.wallet_id,
        to_wallet_id=request.app.state.till,
        amount=Money(purchase.price_minor, "EUR"),
        idempotency_key=f"shop-order-{number}",
        metadata={"order": number},
    )
    return {"order": number, "amount": str(transfer.amount)}


@app.post("/webhooks", status_code=204)
async def receive(request: Request) -> None:
    """Note each payment that the bank tells of, once. A shop with a database keeps this in a table."""
    try:
        event = webhooks.verify(await request.body(), request.headers, SECRET)
    except webhooks.WebhookRefused:
        raise HTTPException(400) from None
    if transfer := events.data_of(event, events.TRANSFER_POSTED):
        request.app.state.paid[event.object_id] = transfer.amount


@app.get("/paid")
async def paid(request: Request) -> int:
    """Tell how many payments the bank has told of."""
    return len(request.app.state.paid)
