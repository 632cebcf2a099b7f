"""The sandbox's customers: two people and a shop with three months behind them, made on the first start.

They are there so that whatever shows accounts has something to show at once. All of it follows from the day of the
first start: the same names, numbers and amounts everywhere. What was begun and broken off is brought to its end by the
next start, since commands are given under keys, and wallets that are of products tell that nothing is left to do.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from stdnum import iban

from billfold import ids
from billfold.contract.arrangements import (
    AccountScheme,
    ArrangementKind,
    Beneficiary,
    CounterpartyAccount,
    CreateArrangement,
    CreateProduct,
    DirectDebit,
    Frequency,
    MandateClass,
    Offer,
    OfferType,
    PlannedPayment,
    ProductType,
    ScheduledPayment,
    StandingOrder,
)
from billfold.contract.parties import CreateParty, PartyKind, PartyRole
from billfold.contract.users import CreateUser, LoginRealm
from billfold.contract.wallets import (
    AliasScheme,
    CreateAlias,
    CreateTopUp,
    CreateTransfer,
    CreateWallet,
    CreateWithdrawal,
)
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.account_statements import service as statements
from billfold_server.arrangements import service as arrangements
from billfold_server.arrangements.service import Terms
from billfold_server.http.services import Services
from billfold_server.ledger.service import Kind
from billfold_server.parties import service as parties
from billfold_server.people import service as people
from billfold_server.people.service import Realm
from billfold_server.serving.developer import ensure_developer
from billfold_server.serving.sign_ins import made_up, read_sign_ins, write_sign_ins
from billfold_server.serving.welcome import CUSTOMERS_FILE
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import COMMAND_LINE, IdempotencyRef, TenantRef
from billfold_server.wallets import kinds
from billfold_server.wallets import service as wallet_service
from billfold_server.wallets.rows import AliasKey
from billfold_server.wallets.rules import new_alias

__all__ = ["CUSTOMERS", "ensure_customers", "ensure_sign_ins", "seed"]

_GBP: Final = "GBP"
_WEEKS: Final = 13
_BANK: Final = "BLFD"
_SORT_CODE: Final = "040004"

Order = tuple[datetime, str, Kind[Any], Any]
"""When something took effect, the name of its key, and the command."""


class Customer(msgspec.Struct, frozen=True):
    """Somebody with wallets.

    Attributes:
        external_id: By which the party is found.
        wallets: The labels of their wallets, each with the account number by which it is known outside.
    """

    external_id: str
    kind: PartyKind
    name: str
    email: str
    wallets: dict[str, str]


CUSTOMERS: Final = (
    Customer(
        "sandbox-caroline",
        PartyKind.PERSON,
        "Caroline Herschel",
        "caroline@customers.example",
        {"Everyday": "10000001", "Savings": "10000002"},
    ),
    Customer("sandbox-emmy", PartyKind.PERSON, "Emmy Noether", "emmy@customers.example", {"Everyday": "10000003"}),
    Customer("sandbox-shop", PartyKind.COMPANY, "Corner Shop Ltd", "shop@customers.example", {"Till": "10000004"}),
)
"""Who is there."""


def iban_of(number: str) -> str:
    """Return the British IBAN of one of the sandbox's account numbers."""
    rest = f"{_BANK}{_SORT_CODE}{number}"
    return f"GB{iban.calc_check_digits(f'GB00{rest}')}{rest}"


async def ensure_customers(services: Services, tenant: TenantRef) -> None:
    """See that the sandbox's customers are there, with everything that they have; they need pounds sterling."""
    if _GBP not in tenant.manifest.currencies:
        return
    async with services.database.tx(tenant) as tx:
        present = {
            each.external_id: (await parties.list_parties(tx, external_id=each.external_id, limit=1))
            for each in CUSTOMERS
        }
        if all(present.values()) and await _is_done(tx, [found[0].id for found in present.values()]):
            return
        now = await tenant_now(tx)
    desk = _Desk(services, tenant, now)
    owners = {each.external_id: await desk.party(each, present[each.external_id]) for each in CUSTOMERS}
    wallets = await desk.open_wallets(owners)
    await desk.name_wallets(wallets)
    await desk.book(wallets)
    await desk.arrange(wallets)
    await statements.make_due(desk.tx, COMMAND_LINE)
    await desk.give_products(wallets)


async def seed(services: Services, tenant: TenantRef) -> None:
    """Make the customers of a sandbox that has none, and let those sign in who could."""
    await ensure_customers(services, tenant)
    if (data_dir := Path(services.settings.data_dir) / CUSTOMERS_FILE).exists():
        await ensure_sign_ins(services, tenant, data_dir.parent)
        await ensure_developer(services, tenant, data_dir.parent)


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
        name = _name_of(customer)
        kept.setdefault(name, made_up(name, customer.name))
    if missing:
        write_sign_ins(data_dir, kept.values())
    for customer, party_id in missing:
        sign_in = kept[_name_of(customer)]
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


def _name_of(customer: Customer) -> str:
    return customer.external_id.removeprefix("sandbox-")


async def _missing(services: Services, tenant: TenantRef) -> list[tuple[Customer, str]]:
    """Return the customers who are there and whose login names nobody has, with their parties."""
    found = []
    async with services.database.tx(tenant) as tx:
        realm = Realm.of(services, tenant)
        for customer in CUSTOMERS:
            party = await parties.list_parties(tx, external_id=customer.external_id, limit=1)
            taken = await people.list_users(
                realm, tx, login_realm=LoginRealm.PSU, login_name=_name_of(customer), limit=1
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
    monthly_fee_cap=Money(1_500, _GBP),
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
_PRODUCTS: Final = (
    (_PERSONAL, ("sandbox-caroline/Everyday", "sandbox-emmy/Everyday")),
    (_SAVINGS, ("sandbox-caroline/Savings",)),
    (_BUSINESS, ("sandbox-shop/Till",)),
)
"""Products with their wallets, which come last."""


class _Desk:
    """Makes what isn't there yet."""

    def __init__(self, services: Services, tenant: TenantRef, now: datetime) -> None:
        self.services = services
        self.tenant = tenant
        self.now = now

    def tx(self) -> Any:
        """Open the tenant's transaction."""
        return self.services.database.tx(self.tenant)

    async def party(self, customer: Customer, present: Sequence[Any]) -> UUID:
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
        draft = await parties.draft_party(self.services.keys, self.tenant, body)
        async with self.tx() as tx:
            await parties.create_party(tx, COMMAND_LINE, draft)
        return draft.id

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
        labels = [f"{each.external_id}/{label}" for each in CUSTOMERS for label in each.wallets]
        orders = [
            (
                f"wallet/{name}",
                kinds.CREATE_WALLET,
                CreateWallet(
                    party_id=ids.encode(Prefix.PARTY, owners[name.partition("/")[0]]),
                    label=name.partition("/")[2],
                    currencies=[_GBP],
                ),
            )
            for name in labels
        ]
        answers = await self.submit(orders)
        return dict(zip(labels, (str(each["id"]) for each in answers), strict=True))

    async def name_wallets(self, wallets: dict[str, str]) -> None:
        """Give each wallet its IBAN."""
        orders = []
        for customer in CUSTOMERS:
            for label, number in customer.wallets.items():
                name = f"{customer.external_id}/{label}"
                alias = CreateAlias(scheme=AliasScheme.IBAN, value=iban_of(number))
                key = AliasKey(alias.scheme, new_alias(alias.scheme, alias.value))
                body = kinds.NewAlias(ids.decode(Prefix.WALLET, wallets[name]), alias, key)
                orders.append((f"alias/{name}", kinds.ADD_ALIAS, body))
        await self.submit(orders)

    async def book(self, wallets: dict[str, str]) -> None:
        """Let three months happen, in the order in which they did."""
        orders = sorted(_months(wallets, self.now), key=lambda order: order[0])
        await self.submit([(name, kind, body) for _, name, kind, body in orders])

    async def arrange(self, wallets: dict[str, str]) -> None:
        """Record what is arranged for the first customer's first wallet, where there is nothing yet."""
        wallet = wallets["sandbox-caroline/Everyday"]
        async with self.tx() as tx:
            if await arrangements.list_arrangements(tx, limit=1, wallet_id=ids.decode(Prefix.WALLET, wallet)):
                return
        drafts = []
        for terms in _arrangements(self.now):
            kind: ArrangementKind = arrangements.KINDS[type(terms)]
            members: dict[str, Any] = {kind.value: terms}
            body = CreateArrangement(wallet_id=wallet, kind=kind, **members)
            drafts.append(await arrangements.draft_arrangement(self.tx, self.services.keys, self.tenant, body))
        async with self.tx() as tx:
            await arrangements.create_arrangements(tx, COMMAND_LINE, drafts)

    async def give_products(self, wallets: dict[str, str]) -> None:
        """Let each wallet be of a product, in one transaction."""
        async with self.tx() as tx:
            for body, names in _PRODUCTS:
                product = await arrangements.create_product(tx, COMMAND_LINE, body)
                chosen = [ids.decode(Prefix.WALLET, wallets[name]) for name in names]
                await arrangements.assign_product(tx, COMMAND_LINE, ids.decode(Prefix.PRODUCT, product.id), chosen)


class _Story:
    """What happens in the customers' wallets, each thing so many days ago."""

    def __init__(self, today: datetime) -> None:
        self.today = today
        self.orders: list[Order] = []

    def paid_in(self, days: float, name: str, wallet: str, minor: int, text: str) -> None:
        """Let money come in from outside."""
        at, amount = self.today - timedelta(days=days), Money(minor, _GBP)
        body = CreateTopUp(wallet_id=wallet, amount=amount, description=text, effective_at=at)
        self.orders.append((at, name, kinds.TOP_UP, kinds.top_up(body)))

    def paid_out(self, days: float, name: str, wallet: str, minor: int, text: str, **metadata: str) -> None:
        """Let money go out."""
        at, amount = self.today - timedelta(days=days), Money(minor, _GBP)
        body = CreateWithdrawal(wallet_id=wallet, amount=amount, description=text, effective_at=at, metadata=metadata)
        self.orders.append((at, name, kinds.WITHDRAW, kinds.withdrawal(body)))

    def moved(self, days: float, name: str, way: tuple[str, str], minor: int, text: str, **metadata: str) -> None:
        """Move money from one wallet to another."""
        at, amount = self.today - timedelta(days=days), Money(minor, _GBP)
        body = CreateTransfer(
            from_wallet_id=way[0],
            to_wallet_id=way[1],
            amount=amount,
            description=text,
            effective_at=at,
            metadata=metadata,
        )
        self.orders.append((at, name, kinds.TRANSFER, kinds.transfer(body)))


def _months(wallets: dict[str, str], now: datetime) -> list[Order]:
    """Return what happens: wages and rent each month, the shop each week, something put by."""
    caroline, savings, emmy = (
        wallets[f"sandbox-{name}"] for name in ("caroline/Everyday", "caroline/Savings", "emmy/Everyday")
    )
    shop = wallets["sandbox-shop/Till"]
    today = now.replace(hour=9, minute=0, second=0, microsecond=0)
    story = _Story(today if today <= now else today - timedelta(days=1))
    shopping = {"merchant_name": "Corner Shop", "merchant_category_code": "5411"}
    energy = {"merchant_name": "City Energy", "merchant_category_code": "4900"}
    for month, start in enumerate(range(_WEEKS * 7, 6, -30)):
        story.paid_in(start, f"wages/{month}", caroline, 245_000, "Wages Royal Observatory")
        story.paid_in(start - 0.1, f"wages/emmy/{month}", emmy, 180_000, "Wages University")
        story.paid_out(start - 1, f"rent/{month}", caroline, 85_000, "Rent 12 St James's Square")
        story.paid_out(start - 3, f"power/{month}", caroline, 5_840 + month * 260, "City Energy CE-4711", **energy)
        story.moved(start - 4, f"saved/{month}", (caroline, savings), 20_000, "Put by")
    for week in range(_WEEKS):
        days = _WEEKS * 7 - 2 - week * 7
        story.moved(days, f"shop/caroline/{week}", (caroline, shop), 2_350 + week * 137 % 900, "Groceries", **shopping)
        story.moved(days - 0.2, f"shop/emmy/{week}", (emmy, shop), 1_890 + week * 211 % 700, "Groceries", **shopping)
    story.moved(20, "lunch", (emmy, caroline), 1_250, "Lunch")
    return story.orders


_LANDLORD: Final = CounterpartyAccount(
    scheme=AccountScheme.SORT_CODE_ACCOUNT_NUMBER,
    identification="20201555779911",
    name="St James Lettings",
    bic="BUKBGB22",
)
_AUNT: Final = CounterpartyAccount(
    scheme=AccountScheme.IBAN, identification="GB33BUKB20201555555555", name="Mary Somerville"
)


def _arrangements(now: datetime) -> list[Terms]:
    """Return what the first customer has arranged."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    rent = Money(85_000, _GBP)
    return [
        Beneficiary(creditor=_LANDLORD, trusted=True, reference="12 St James's Square"),
        Beneficiary(creditor=_AUNT, reference="Caroline"),
        DirectDebit(
            name="City Energy",
            mandate_id="CE-4711",
            frequency=Frequency.MONTHLY,
            classification=MandateClass.VARIABLE,
            category_purpose="SUPP",
            previous_payment=PlannedPayment(at=today - timedelta(days=28), amount=Money(6_360, _GBP)),
            next_payment_at=today + timedelta(days=2),
        ),
        StandingOrder(
            creditor=_LANDLORD,
            frequency=Frequency.MONTHLY,
            point_in_time="01",
            mandate_id="SO-1",
            reference="12 St James's Square",
            first_payment=PlannedPayment(at=today - timedelta(days=400), amount=rent),
            last_payment=PlannedPayment(at=today - timedelta(days=30), amount=rent),
            next_payment=PlannedPayment(at=today + timedelta(days=1), amount=rent),
        ),
        ScheduledPayment(
            scheduled_at=today + timedelta(days=21), amount=Money(4_000, _GBP), creditor=_AUNT, reference="Birthday"
        ),
        Offer(
            type=OfferType.PROMOTIONAL_RATE,
            description="Half a year of higher interest on what you put by",
            starts_at=today,
            ends_at=today + timedelta(days=90),
            rate="3.5",
            url="https://sandbox.example/offers/savings",
        ),
    ]
