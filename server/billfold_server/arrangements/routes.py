"""Arrangements and products over HTTP."""

import functools
from typing import Any, Final
from uuid import UUID

from billfold import errors, ids
from billfold.contract.arrangements import (
    Arrangement,
    ArrangementKind,
    ArrangementStatus,
    AssignProduct,
    CreateArrangement,
    CreateProduct,
    Product,
    ProductAssignment,
    UpdateArrangement,
    UpdateProduct,
)
from billfold.contract.common import ArrangementId, Page, ProductId, WalletId
from billfold.ids import Prefix
from billfold_server.arrangements import service
from billfold_server.http import idempotency
from billfold_server.http.etags import check_if_match
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes

__all__ = ["routes"]

routes = Routes(
    tag="Arrangements",
    description="What has been arranged for wallets beside their money, and the products that wallets are of.",
)

_CREDITOR: Final[dict[str, Any]] = {
    "scheme": "iban",
    "identification": "GB33BUKB20201555555555",
    "name": "Hopper Ltd",
}
_BENEFICIARY: Final[dict[str, Any]] = {"creditor": _CREDITOR, "reference": "Rent"}


@routes.post(
    "/v1/arrangements",
    scope="arrangements:write",
    idempotency="optional",
    etag=True,
    personal=True,
    location="/v1/arrangements/{id}",
    errors=(errors.NotFound, errors.SubjectForgotten, errors.ArrangementInvalid),
    links=tuple(
        Link(operation_id=name, parameters={"arrangement_id": "$response.body#/id"})
        for name in ("getArrangement", "updateArrangement")
    ),
    examples={
        "request": {
            "wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw",
            "kind": "beneficiary",
            "beneficiary": _BENEFICIARY,
        }
    },
)
async def create_arrangement(call: Call, body: CreateArrangement) -> Reply[Arrangement]:
    """Record what has been arranged for a wallet.

    It is a record of what your own systems do: nothing here moves money.
    """
    draft = await service.draft_arrangement(call.tx, call.services.keys, call.tenant, body)
    return await idempotency.once(
        call, lambda tx: service.create_arrangement(tx, call.caller, draft), status=201, subject=draft.party_id
    )


@routes.get("/v1/arrangements", scope="arrangements:read")
async def list_arrangements(
    call: Call,
    *,
    wallet_id: WalletId | None = None,
    kind: ArrangementKind | None = None,
    status: ArrangementStatus | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Arrangement]:
    """List arrangements, newest first."""
    after = call.cursors.decode("arrangements", cursor)
    async with call.tx() as tx:
        rows = await service.list_arrangements(
            tx,
            limit=limit + 1,
            before=None if after is None else UUID(str(after[0])),
            wallet_id=None if wallet_id is None else ids.decode(Prefix.WALLET, wallet_id),
            kind=kind,
            status=status,
        )
    page = call.page("arrangements", rows, limit, key=lambda row: [str(row.id)])
    opened = await service.open_arrangements(call.services.keys, call.tenant, page.data)
    return Page(data=opened, next_cursor=page.next_cursor)


@routes.get("/v1/arrangements/{arrangement_id}", scope="arrangements:read", etag=True, errors=(errors.NotFound,))
async def get_arrangement(call: Call, arrangement_id: ArrangementId) -> Arrangement:
    """Show an arrangement."""
    async with call.tx() as tx:
        row = await service.get_arrangement(tx, ids.decode(Prefix.ARRANGEMENT, arrangement_id))
    opened = await service.open_arrangements(call.services.keys, call.tenant, [row])
    if not opened:
        raise errors.NotFound("there is no such arrangement", param="arrangement_id")
    return opened[0]


@routes.patch(
    "/v1/arrangements/{arrangement_id}",
    scope="arrangements:write",
    if_match=True,
    etag=True,
    errors=(errors.NotFound, errors.ArrangementInvalid),
    examples={"request": {"status": "suspended"}},
)
async def update_arrangement(call: Call, arrangement_id: ArrangementId, body: UpdateArrangement) -> Arrangement:
    """Change an arrangement.

    What it says is replaced as a whole, by the member that its kind names. With ``If-Match`` it is changed only if
    nobody has changed it since you read it.
    """
    return await service.update_arrangement(
        call.tx,
        call.services.keys,
        call.tenant,
        ids.decode(Prefix.ARRANGEMENT, arrangement_id),
        body,
        caller=call.caller,
        check_version=functools.partial(check_if_match, call.if_match),
    )


# Products.


@routes.post(
    "/v1/products",
    scope="arrangements:write",
    idempotency="optional",
    etag=True,
    location="/v1/products/{id}",
    links=tuple(
        Link(operation_id=name, parameters={"product_id": "$response.body#/id"})
        for name in ("getProduct", "updateProduct", "assignProduct")
    ),
)
async def create_product(call: Call, body: CreateProduct) -> Reply[Product]:
    """Create a product that wallets can be of."""
    return await idempotency.once(call, lambda tx: service.create_product(tx, call.caller, body), status=201)


@routes.get("/v1/products", scope="arrangements:read")
async def list_products(call: Call, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None) -> Page[Product]:
    """List products, newest first."""
    before = call.cursors.decode_id("products", cursor, Prefix.PRODUCT)
    async with call.tx() as tx:
        rows = await service.list_products(tx, limit=limit + 1, before=before)
    return call.page("products", [row.to_response() for row in rows], limit, key=lambda product: [product.id])


@routes.get("/v1/products/{product_id}", scope="arrangements:read", etag=True, errors=(errors.NotFound,))
async def get_product(call: Call, product_id: ProductId) -> Product:
    """Show a product."""
    async with call.tx() as tx:
        row = await service.get_product(tx, ids.decode(Prefix.PRODUCT, product_id))
    return row.to_response()


@routes.patch(
    "/v1/products/{product_id}",
    scope="arrangements:write",
    if_match=True,
    etag=True,
    errors=(errors.NotFound,),
    examples={"request": {"name": "Everyday"}},
)
async def update_product(call: Call, product_id: ProductId, body: UpdateProduct) -> Product:
    """Change a product.

    What is absent stays, and null clears what may be empty. Its type stays what it is.
    """
    async with call.tx() as tx:
        return await service.update_product(
            tx,
            ids.decode(Prefix.PRODUCT, product_id),
            body,
            caller=call.caller,
            check_version=functools.partial(check_if_match, call.if_match),
        )


@routes.post("/v1/products/{product_id}/wallets", scope="arrangements:write", status=200, errors=(errors.NotFound,))
async def assign_product(call: Call, product_id: ProductId, body: AssignProduct) -> ProductAssignment:
    """Let wallets be of a product.

    Doing it again changes nothing. A wallet of another product is of this one from now on.
    """
    wallet_ids = [ids.decode(Prefix.WALLET, each) for each in body.wallet_ids]
    async with call.tx() as tx:
        return await service.assign_product(tx, call.caller, ids.decode(Prefix.PRODUCT, product_id), wallet_ids)
