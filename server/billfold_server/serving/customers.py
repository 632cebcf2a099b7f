"""The sandbox's customers: two people and a shop with three months behind them, made on the first start.

They are there so that whatever shows accounts has something to show at once. All of it follows from a seed and from the
day of the first start: the same names, numbers, amounts and ids everywhere. What was begun and broken off is brought to
its end by the next start, since commands are given under keys, and wallets that are of products tell that nothing is
left to do but the cards, which a job makes.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.arrangements import ArrangementKind, CreateArrangement, CreateProduct, ProductType
from billfold.contract.ledger import CaptureHold, CreateHold
from billfold.contract.parties import CreateParty, PartyKind, PartyRole
from billfold.contract.users import CreateUser, LoginRealm
from billfold.contract.wallets import AliasScheme, CreateAlias
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.account_statements import service as statements
from billfold_server.arrangements import service as arrangements
from billfold_server.http.services import Services
from billfold_server.ledger.service import Capture, Kind
from billfold_server.parties import service as parties
from billfold_server.people import service as people
from billfold_server.people.service import Realm
from billfold_server.sandbox import seeding
from billfold_server.sandbox.rules import seeded_id
from billfold_server.serving.cast import DEFAULT_SEED, Cast, Customer, cast_of, iban_of
from billfold_server.serving.developer import ensure_developer
from billfold_server.serving.sign_ins import made_up, read_sign_ins, write_sign_ins
from billfold_server.serving.story import GBP, arranged, months, opened, wallet_name
from billfold_server.serving.welcome import CUSTOMERS_FILE
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import COMMAND_LINE, IdempotencyRef, TenantRef
from billfold_server.wallets import holds, kinds
from billfold_server.wallets import service as wallet_service
from billfold_server.wallets.rows import AliasKey
from billfold_server.wallets.rules import new_alias

__all__ = ["ensure_customers", "ensure_sign_ins", "seed"]

_ANOTHER: Final = 10
"""How many ids are tried for a party of which somebody has destroyed the keys."""


async def ensure_customers(services: Services, tenant: TenantRef, seed: int | None = None) -> None:
    """See that the sandbox's customers are there, with everything that they have; they need pounds sterling.

    Args:
        services: The server's parts.
        tenant: The sandbox.
        seed: From what they follow, where nobody has decided yet.
    """
    if GBP not in tenant.manifest.currencies:
        return
    async with services.database.tx(tenant) as tx:
        older = await _is_older(tx)
        cast = cast_of(DEFAULT_SEED if older else await seeding.begin(tx, seed or DEFAULT_SEED))
        present = {
            each.external_id: (await parties.list_parties(tx, external_id=each.external_id, limit=1))
            for each in cast.customers
        }
        if all(present.values()) and await _is_done(tx, [found[0].id for found in present.values()]):
            return
        if older:
            await seeding.begin(tx, cast.seed)
        now = await tenant_now(tx)
    desk = _Desk(services, tenant, cast, now)
    owners = {
        each.external_id: await desk.party(place, each, present[each.external_id])
        for place, each in enumerate(cast.customers)
    }
    wallets = await desk.open_wallets(owners)
    await desk.name_wallets(wallets)
    await desk.book(wallets)
    await desk.arrange(wallets)
    await statements.make_due(desk.tx, COMMAND_LINE)
    await desk.finish(wallets)


async def seed(services: Services, tenant: TenantRef, seed: int | None) -> None:
    """Make the customers of a sandbox that has none, and let those sign in who could."""
    await ensure_customers(services, tenant, seed)
    if tenant.owner_id is not None:
        # How people sign in who run the server is nothing for a sandbox that belongs to a partner.
        return
    if (data_dir := Path(services.settings.data_dir) / CUSTOMERS_FILE).exists():
        await ensure_sign_ins(services, tenant, data_dir.parent)
        await ensure_developer(services, tenant, data_dir.parent)


async def _is_older(tx: Any) -> bool:
    """Tell whether the sandbox got its customers before there were seeds: then they are those of the usual one."""
    if await seeding.find(tx) is not None:
        return False
    first = cast_of(DEFAULT_SEED).saver
    return bool(await parties.list_parties(tx, external_id=first.external_id, limit=1))


async def _is_done(tx: Any, party_ids: Sequence[UUID]) -> bool:
    """Tell whether the last step was taken, however much was made since: some wallet of theirs is of a product."""
    own = [wallet_id for each in party_ids for wallet_id in await wallet_service.list_wallets_of(tx, each)]
    return bool(await arrangements.products_of_wallets(tx, own))


async def ensure_sign_ins(services: Services, tenant: TenantRef, data_dir: Path) -> Path | None:
    """See that the sandbox's customers can sign in, and return the file that says how; None where there is none.

    It is written before they are made, so that what is broken off is brought to its end by the next start. Whom the
    bank has made by itself stays as they are.

    Args:
        services: The server's parts.
        tenant: The sandbox, with its customers.
        data_dir: Where the file is kept.
    """
    kept = {each.name: each for each in read_sign_ins(data_dir)}
    missing = await _missing(services, tenant)
    for customer, _ in missing:
        kept.setdefault(customer.login_name, made_up(customer.login_name, customer.name))
    if missing:
        write_sign_ins(data_dir, kept.values())
    for customer, party_id in missing:
        sign_in = kept[customer.login_name]
        body = CreateUser(
            login_realm=LoginRealm.PSU,
            login_name=sign_in.name,
            display_name=sign_in.display_name,
            party_id=party_id,
        )
        await people.create_made_up(
            services, tenant, COMMAND_LINE, body, password=sign_in.password, totp_secret=sign_in.totp_secret
        )
    return data_dir / CUSTOMERS_FILE if kept else None


async def _missing(services: Services, tenant: TenantRef) -> list[tuple[Customer, str]]:
    """Return the customers who are there and whose login names nobody has, with their parties."""
    found = []
    async with services.database.tx(tenant) as tx:
        realm = Realm.of(services, tenant)
        begun = await seeding.find(tx)
        for customer in cast_of(DEFAULT_SEED if begun is None else begun.seed).customers:
            party = await parties.list_parties(tx, external_id=customer.external_id, limit=1)
            taken = await people.list_users(
                realm, tx, login_realm=LoginRealm.PSU, login_name=customer.login_name, limit=1
            )
            if party and not taken:
                found.append((customer, ids.encode(Prefix.PARTY, party[0].id)))
    return found


_PERSONAL: Final = CreateProduct(
    name="Everyday wallet",
    type=ProductType.PERSONAL_CURRENT_ACCOUNT,
    description="A wallet for every day, without a monthly fee",
    secondary_id="sandbox-everyday",
    interest_rate="0.25",
    monthly_fee_cap=Money(1_500, GBP),
    notes=["Payments inside the bank arrive at once."],
)
_SAVINGS: Final = CreateProduct(
    name="Savings wallet",
    type=ProductType.OTHER,
    description="A wallet to put money by",
    secondary_id="sandbox-savings",
    interest_rate="2.1",
)
_BUSINESS: Final = CreateProduct(
    name="Till",
    type=ProductType.BUSINESS_CURRENT_ACCOUNT,
    description="A wallet into which customers pay",
    secondary_id="sandbox-till",
)


class _Desk:
    """Makes what isn't there yet."""

    def __init__(self, services: Services, tenant: TenantRef, cast: Cast, now: datetime) -> None:
        self.services = services
        self.tenant = tenant
        self.cast = cast
        self.now = now

    def tx(self) -> Any:
        """Open the tenant's transaction."""
        return self.services.database.tx(self.tenant)

    async def party(self, place: int, customer: Customer, present: Sequence[Any]) -> UUID:
        """Return a customer's party, made where there is none."""
        if present:
            found: UUID = present[0].id
            return found
        roles = [PartyRole.MERCHANT if customer.kind is PartyKind.COMPANY else PartyRole.CUSTOMER]
        body = CreateParty(
            kind=customer.kind,
            name=customer.name,
            external_id=customer.external_id,
            email=customer.email,
            roles=roles,
        )
        draft = await self._draft(body, place)
        async with self.tx() as tx:
            await parties.create_party(tx, COMMAND_LINE, draft)
        return draft.id

    async def _draft(self, body: CreateParty, place: int) -> parties.Draft:
        """Draft a party whose id follows from the seed; another one where that one was forgotten, which is for good."""
        for more in range(_ANOTHER):
            name = f"party/{body.external_id}" if more == 0 else f"party/{body.external_id}/{more}"
            party_id = seeded_id(self.cast.seed, name, place)
            try:
                return await parties.draft_party(self.services.keys, self.tenant, body, party_id=party_id)
            except errors.SubjectForgotten:
                continue
        return await parties.draft_party(self.services.keys, self.tenant, body)

    async def submit(self, orders: Sequence[tuple[str, Kind[Any], Any]]) -> list[Any]:
        """Give commands in order, each under a key of its own, and return the answers' bodies."""
        given = [
            (kind, body, IdempotencyRef(client_id=COMMAND_LINE.client_id, key=f"sandbox/{name}", fingerprint=bytes(32)))
            for name, kind, body in orders
        ]
        answers = await self.services.engine.submit_many(self.tenant, COMMAND_LINE, given)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            if answer.error is not None:
                raise answer.error
        return [msgspec.json.decode(answer.body) for answer in answers]

    async def open_wallets(self, owners: dict[str, UUID]) -> dict[str, str]:
        """Return the wallets by customer and label."""
        named = [(wallet_name(each, label), each, label) for each in self.cast.customers for label in each.wallets]
        orders = [
            (
                f"wallet/{name}",
                kinds.CREATE_WALLET,
                kinds.WalletOfId(
                    id=seeded_id(self.cast.seed, f"wallet/{name}", place),
                    party_id=ids.encode(Prefix.PARTY, owners[customer.external_id]),
                    label=label,
                    currencies=[GBP],
                    opened_at=opened(self.now),
                ),
            )
            for place, (name, customer, label) in enumerate(named)
        ]
        answers = await self.submit(orders)
        return {name: str(answer["id"]) for (name, _, _), answer in zip(named, answers, strict=True)}

    async def name_wallets(self, wallets: dict[str, str]) -> None:
        """Give each wallet its IBAN."""
        orders = []
        for customer in self.cast.customers:
            for label, number in customer.wallets.items():
                name = wallet_name(customer, label)
                alias = CreateAlias(scheme=AliasScheme.IBAN, value=iban_of(number))
                key = AliasKey(alias.scheme, new_alias(alias.scheme, alias.value))
                body = kinds.NewAlias(ids.decode(Prefix.WALLET, wallets[name]), alias, key)
                orders.append((f"alias/{name}", kinds.ADD_ALIAS, body))
        await self.submit(orders)

    async def book(self, wallets: dict[str, str]) -> None:
        """Let three months happen, in the order in which they did, and a card be used just now."""
        await self.submit([(name, kind, body) for _, name, kind, body in months(self.cast, wallets, self.now)])
        friend = self.cast.friend
        card, shop = friend.cards["Everyday"], self.cast.shop
        body = CreateHold(
            wallet_id=wallets[wallet_name(friend, "Everyday")],
            to_wallet_id=wallets[wallet_name(shop, "Till")],
            amount=Money(2_495, GBP),
            description=shop.name,
            metadata={"card_brand": card.brand, "card_last4": card.last4, "merchant_name": shop.name},
        )
        (held,) = await self.submit([("hold/captured", holds.CREATE_HOLD, body)])
        capture = Capture(ids.decode(Prefix.HOLD, held["id"]), CaptureHold())
        await self.submit([("hold/capture", holds.CAPTURE_HOLD, capture)])

    async def arrange(self, wallets: dict[str, str]) -> None:
        """Record what is arranged for the first customer's first wallet, where there is nothing yet."""
        wallet = wallets[wallet_name(self.cast.saver, "Everyday")]
        async with self.tx() as tx:
            if await arrangements.list_arrangements(tx, limit=1, wallet_id=ids.decode(Prefix.WALLET, wallet)):
                return
        drafts = []
        for terms in arranged(self.cast, self.now):
            kind: ArrangementKind = arrangements.KINDS[type(terms)]
            members: dict[str, Any] = {kind.value: terms}
            body = CreateArrangement(wallet_id=wallet, kind=kind, **members)
            drafts.append(await arrangements.draft_arrangement(self.tx, self.services.keys, self.tenant, body))
        async with self.tx() as tx:
            await arrangements.create_arrangements(tx, COMMAND_LINE, drafts)

    async def finish(self, wallets: dict[str, str]) -> None:
        """Let each wallet be of a product and have somebody make the cards, in one transaction."""
        cast = self.cast
        offered = (
            (_PERSONAL, (wallet_name(cast.saver, "Everyday"), wallet_name(cast.friend, "Everyday"))),
            (_SAVINGS, (wallet_name(cast.saver, "Savings"),)),
            (_BUSINESS, (wallet_name(cast.shop, "Till"),)),
        )
        async with self.tx() as tx:
            for body, names in offered:
                product = await arrangements.create_product(tx, COMMAND_LINE, body)
                chosen = [ids.decode(Prefix.WALLET, wallets[name]) for name in names]
                await arrangements.assign_product(tx, COMMAND_LINE, ids.decode(Prefix.PRODUCT, product.id), chosen)
            await seeding.order_cards(tx)
