"""Payments for the disposable tenant that no request of ``/v1`` makes: third parties order them, by consents."""

import time
import uuid
from datetime import UTC, datetime

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Notice, Report
from billfold_server.consents import service as consents
from billfold_server.consents.service import Evidence, NewConsent, Owner
from billfold_server.payments import service as payments
from billfold_server.payments.kinds import Heard
from billfold_server.payments.service import Texts
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from tests.contract.seeds import Seeds
from tests.live import LiveServer

__all__ = ["block", "contradict", "order_payment", "pay", "pay_out"]

_AMOUNT = Money(5, "EUR")
_SHOWN = Evidence(shown=b"{}", text_version="1", language="en", shown_at=datetime(2026, 11, 20, tzinfo=UTC))


def pay(live: LiveServer, slug: str, seeds: Seeds, *, outside: bool = False) -> str:
    """Make a payment between two wallets, or to outside, and return its id."""
    wallet, to_wallet = seeds.ids("wal")[:2]
    party = seeds.client.get(f"/v1/wallets/{wallet}").json()["party_id"]
    client = ids.decode(Prefix.CLIENT, seeds.ids("cli")[0])
    owner = Owner(user_id=uuid.uuid4(), party_id=ids.decode(Prefix.PARTY, party))
    wallets = [ids.decode(Prefix.WALLET, each) for each in (wallet, to_wallet)]
    made: str = live.run(order_payment(live, slug, client, owner, (wallets[0], None if outside else wallets[1])))
    seeds.learn(made)
    if outside:
        deadline = time.monotonic() + 60
        while seeds.client.get(f"/v1/payments/{made}").json()["status"] != "ACSC" and time.monotonic() < deadline:
            time.sleep(0.02)
    return made


def pay_out(live: LiveServer, slug: str, wallet: str, party: str, amount: Money) -> str:
    """Make a payment out of a wallet by a rail that says what a test says, and return its id."""
    owner = Owner(user_id=uuid.uuid4(), party_id=ids.decode(Prefix.PARTY, party))
    way = (ids.decode(Prefix.WALLET, wallet), None)
    made: str = live.run(order_payment(live, slug, uuid.uuid4(), owner, way, amount=amount, rail="told"))
    return made


def block(live: LiveServer, slug: str, payment_id: str) -> None:
    """Have a rail say that it holds a payment back."""
    _hear(live, slug, payment_id, Notice(id="1", word="accept"), Notice(id="2", word="block"))


def contradict(live: LiveServer, slug: str, payment_id: str) -> None:
    """Have a rail say that a payment, which has long been settled, was rejected."""
    _hear(live, slug, payment_id, Notice(id="1", word="reject"))


def _hear(live: LiveServer, slug: str, payment_id: str, *notices: Notice) -> None:
    heard = Heard(payment_id=ids.decode(Prefix.PAYMENT, payment_id), turn=None, report=Report(notices=notices))

    async def hear() -> None:
        await payments.hear(live.services, await live.services.registry.get(slug), heard)

    live.run(hear())


async def order_payment(
    live: LiveServer,
    slug: str,
    client_id: uuid.UUID,
    owner: Owner,
    way: tuple[uuid.UUID, uuid.UUID | None],
    *,
    amount: Money = _AMOUNT,
    rail: str | None = None,
) -> str:
    """Order a payment as a third party does, and return its id.

    Args:
        live: The server.
        slug: The tenant.
        client_id: The third party.
        owner: The payer.
        way: From which wallet, and to which; None is outside.
        amount: How much.
        rail: By which rail it leaves, in place of the tenant's own.
    """
    services = live.services
    tenant = await services.registry.get(slug)
    caller = Caller(actor=ids.encode(Prefix.CLIENT, client_id), client_id=client_id)
    new = NewConsent(
        kind="domestic_payment", client_id=client_id, amount_minor=amount.amount_minor, currency=amount.currency
    )
    prepared = await consents.prepare(services, tenant, new)
    shown = await consents.seal_evidence(services, tenant, prepared.id, owner.party_id, _SHOWN)
    async with services.database.tx(tenant) as tx:
        now = await tenant_now(tx)
        await consents.create(tx, caller, prepared, now)
        await consents.authorise(
            tx,
            prepared.id,
            client_id=client_id,
            owner=owner,
            wallet_ids=(way[0],),
            sca_id=None,
            evidence=shown,
            now=now,
        )
    order = await payments.order(
        services,
        tenant,
        consent_id=prepared.id,
        party_id=owner.party_id,
        digest=prepared.request_digest,
        amount=amount,
        creditor=way[1],
        leaves=way[1] is None and rail is None,
        texts=Texts(scheme="UK.OBIE.Wallet", identification="x", end_to_end_id="x"),
    )
    if rail is not None:
        order = msgspec.structs.replace(order, rail=rail)
    using = Caller(actor=caller.actor, client_id=client_id, consent_id=prepared.id)
    answer = await services.engine.submit(tenant, using, payments.INITIATE_PAYMENT, order)
    return ids.encode(Prefix.PAYMENT, payments.initiated(answer.body))
