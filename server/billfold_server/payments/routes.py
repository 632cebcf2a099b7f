"""Payments over HTTP, for the bank and its own channels; third parties order theirs in dialects of ``open_banking``."""

from uuid import UUID

from billfold import errors, ids
from billfold.contract.common import ClientId, Page, PaymentId, WalletId
from billfold.contract.payments import CreatePayment, Payment, PaymentStatus, ResolvePayment
from billfold.ids import Prefix
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.ledger import service as ledger
from billfold_server.payments import approving, service
from billfold_server.wallets import service as wallets

__all__ = ["routes"]

routes = Routes(
    tag="Payments",
    description="Payments that the bank's own clients order, or licensed third parties under customers' consents.",
)

_LIST = "payments"
_OK, _CREATED = 200, 201
_EXAMPLE = {
    "request": {
        "wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw",
        "amount": {"amount_minor": 1250, "currency": "EUR"},
        "creditor": {"scheme": "iban", "identification": "GB33BUKB20201555555555", "name": "Hopper Ltd"},
        "reference": "Invoice 4711",
    }
}


@routes.post(
    "/v1/payments",
    one_command=True,
    scope="payments:write",
    idempotency="required",
    location="/v1/payments/{id}",
    errors=(
        *ledger.MOVES_MONEY,
        errors.CurrencyNotEnabled,
        errors.LimitExceeded,
        errors.SameWallet,
        errors.CreditorUnknown,
        errors.CreditorUnsupported,
        errors.RailMissing,
        errors.SubjectForgotten,
        errors.KeysUnavailable,
    ),
    approval=approving.ORDER,
    links=(
        Link(operation_id="getPayment", parameters={"payment_id": "$response.body#/id"}),
        Link(operation_id="getJournalEntry", parameters={"journal_entry_id": "$response.body#/journal_entry_id"}),
    ),
    examples=_EXAMPLE,
)
async def create_payment(call: Call, body: CreatePayment) -> Reply[Payment]:
    """Pay somebody out of a wallet.

    Where the creditor's account is known here as a wallet's, the money is there at once. Any other is paid by the
    bank's rail: the money has left the wallet with the answer, and what becomes of it is told by `payment.updated`.
    What the rail rejects comes back to the wallet.
    """
    wallet_id = ids.decode(Prefix.WALLET, body.wallet_id)
    async with call.tx() as tx:
        found = (await wallets.find_wallets(tx, [wallet_id])).get(wallet_id)
    if found is None:
        detail = "There is no such wallet."
        raise errors.NotFound(detail, param="wallet_id")
    creditor, texts = service.read_creditor(body.creditor), service.texts_of(body)
    order = await service.order(
        call.services,
        call.tenant,
        wallet_id=wallet_id,
        party_id=found.party_id,
        amount=body.amount,
        creditor=creditor,
        leaves=not isinstance(creditor, UUID),
        texts=texts,
    )
    reply: Reply[Payment] = await ledger.command(call, service.ORDER_PAYMENT, order)
    if reply.status != _CREATED:
        # A copy of one that was refused.
        return reply
    assert isinstance(reply.body, bytes), "the engine has encoded it"
    return Reply(body=service.ordered(reply.body, texts), status=_CREATED, replayed=reply.replayed)


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
    scope="payments:resolve",
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
