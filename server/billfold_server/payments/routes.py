"""Payments over HTTP, for the bank itself. Third parties order them in the dialects of ``open_banking``."""

from billfold import errors, ids
from billfold.contract.common import ClientId, Page, PaymentId, WalletId
from billfold.contract.payments import Payment, PaymentStatus, ResolvePayment
from billfold.ids import Prefix
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.ledger import service as ledger
from billfold_server.payments import approving, service

__all__ = ["routes"]

routes = Routes(
    tag="Payments",
    description="Payments that licensed third parties have ordered under customers' consents.",
)

_LIST = "payments"
_OK = 200


@routes.get(
    "/v1/payments",
    scope="payments:read",
    links=(Link(operation_id="getPayment", parameters={"payment_id": "$response.body#/data/0/id"}),),
)
async def list_payments(
    call: Call,
    *,
    wallet_id: WalletId | None = None,
    client_id: ClientId | None = None,
    status: PaymentStatus | None = None,
    needs_attention: bool | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Payment]:
    """List payments, newest first."""
    after = call.cursors.decode(_LIST, cursor)
    async with call.tx() as tx:
        rows = await service.list_payments(
            tx,
            limit=limit + 1,
            before=None if after is None else ids.decode(Prefix.PAYMENT, str(after[0])),
            wallet_id=None if wallet_id is None else ids.decode(Prefix.WALLET, wallet_id),
            client_id=None if client_id is None else ids.decode(Prefix.CLIENT, client_id),
            status=status,
            needs_attention=needs_attention,
        )
    shown = await service.show(call.services, call.tenant, rows)
    return call.page(_LIST, shown, limit, key=lambda payment: (payment.id,))


@routes.get("/v1/payments/{payment_id}", scope="payments:read", errors=(errors.NotFound,))
async def get_payment(call: Call, payment_id: PaymentId) -> Payment:
    """Show a payment, with everything that has been heard of it and done with it."""
    async with call.tx() as tx:
        row = await service.get_payment(tx, ids.decode(Prefix.PAYMENT, payment_id))
    (shown,) = await service.show(call.services, call.tenant, [row])
    return shown


@routes.post(
    "/v1/payments/{payment_id}/resolution",
    scope="payments:write",
    idempotency="optional",
    errors=(errors.NotFound, errors.PaymentNotResolvable),
    approval=approving.RESOLUTION,
)
async def resolve_payment(call: Call, payment_id: PaymentId, body: ResolvePayment) -> Reply[Payment]:
    """Say what has become of a payment that needs attention; money that waits goes there at once.

    A payment that needs none, or whose money isn't where that says, stays as it is.
    """
    said = service.Resolution(
        payment_id=ids.decode(Prefix.PAYMENT, payment_id), outcome=body.outcome, reason=body.reason
    )
    reply = await ledger.command(call, service.RESOLVE, said)
    if reply.status != _OK:
        # A copy of one that was refused.
        return reply
    async with call.tx() as tx:
        row = await service.get_payment(tx, said.payment_id)
    (shown,) = await service.show(call.services, call.tenant, [row])
    return Reply(body=shown, status=_OK, replayed=reply.replayed)
