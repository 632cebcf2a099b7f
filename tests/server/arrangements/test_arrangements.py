"""Arrangements and products against PostgreSQL."""

import functools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from billfold import errors, ids
from billfold.contract.arrangements import (
    AccountScheme,
    Arrangement,
    ArrangementKind,
    ArrangementStatus,
    Beneficiary,
    CounterpartyAccount,
    CreateArrangement,
    CreateProduct,
    DirectDebit,
    Frequency,
    Offer,
    OfferType,
    ProductType,
    UpdateArrangement,
    UpdateProduct,
)
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.arrangements import service
from billfold_server.audit import service as audit
from billfold_server.db.outbox import list_events
from billfold_server.http.etags import check_if_match
from billfold_server.keys.service import Keys
from billfold_server.tenancy.transaction import TenantTx
from tests.callers import CALLER
from tests.server.ledger.books import Bench, open_engine
from tests.tenants import Tenancy

ADA = CounterpartyAccount(scheme=AccountScheme.IBAN, identification="GB33BUKB20201555555555", name="Ada")
RENT = Beneficiary(creditor=ADA, reference="Rent")
POWER = DirectDebit(name="City Energy", mandate_id="CE-1", frequency=Frequency.MONTHLY)


class Desk(Bench):
    """A bench whose tenant has keys."""

    keys: Keys

    def tx(self) -> Any:
        """Open the tenant's transaction."""
        return self.database.tx(self.tenant)

    async def record(self, wallet: int = 0, **terms: Any) -> Arrangement:
        """Record an arrangement."""
        body = CreateArrangement(wallet_id=self.wallets[wallet], kind=ArrangementKind(next(iter(terms))), **terms)
        draft = await service.draft_arrangement(self.tx, self.keys, self.tenant, body)
        async with self.tx() as tx:
            return await service.create_arrangement(tx, CALLER, draft)

    async def change(self, arrangement: Arrangement, *, if_match: str | None = None, **changes: Any) -> Arrangement:
        """Change an arrangement."""
        return await service.update_arrangement(
            self.tx,
            self.keys,
            self.tenant,
            uuid_of(arrangement),
            UpdateArrangement(**changes),
            caller=CALLER,
            check_version=functools.partial(check_if_match, if_match),
        )

    async def listed(self, **filters: Any) -> list[Arrangement]:
        """Return what is listed."""
        async with self.tx() as tx:
            rows = await service.list_arrangements(tx, limit=100, **filters)
        return await service.open_arrangements(self.keys, self.tenant, rows)

    async def told(self) -> tuple[list[Any], list[Any]]:
        """Return the events, and the audit records, of what isn't a wallet's."""
        async with self.tx() as tx:
            events = [(each.type, each.data) for each in await list_events(tx)]
            records = [(each.action, each.facts) for each in await audit.list_records(tx)]
        return [each for each in events if "wallet." not in each[0]], records[::-1]

    def uuid(self, wallet: int) -> UUID:
        """Return a wallet's id as the database has it."""
        return ids.decode(Prefix.WALLET, self.wallets[wallet])


@pytest.fixture
async def desk(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Desk]:
    """Return a tenant with keys and two wallets."""
    desk = Desk(open_engine(tenancy.database), tenancy.database, tenancy.tenant)
    desk.keys = tenant_keys
    await desk.add_wallets(2, ["EUR"])
    yield desk
    await desk.engine.close()


def uuid_of(arrangement: Arrangement) -> UUID:
    """Return an arrangement's id as the database has it."""
    return ids.decode(Prefix.ARRANGEMENT, arrangement.id)


async def plain(tx: TenantTx) -> bytes:
    """Return all that lies in the table, as text."""
    return str([tuple(row) for row in await tx.fetch("SELECT a::text FROM arrangements AS a")]).encode()


class TestAnArrangement:
    async def test_is_read_as_it_was_recorded(self, desk: Desk):
        """Nothing is lost on the way, and the member of its kind is the only one."""
        made = await desk.record(beneficiary=RENT)
        assert (made.kind, made.status, made.version) == (ArrangementKind.BENEFICIARY, ArrangementStatus.ACTIVE, 1)
        assert (made.beneficiary, made.direct_debit, made.offer) == (RENT, None, None)
        assert await desk.listed() == [made]

    async def test_lies_sealed(self, desk: Desk):
        """Neither names nor accounts lie plain, and neither events nor the audit tell them."""
        await desk.record(beneficiary=RENT)
        async with desk.tx() as tx:
            lying = await plain(tx)
        told = str(await desk.told()).encode()
        assert [name in text for text in (lying, told) for name in (b"Ada", b"GB33", b"Rent")] == [False] * 6

    async def test_is_told_of(self, desk: Desk):
        """An event and an audit record say what kind of arrangement was recorded for which wallet."""
        made = await desk.record(direct_debit=POWER)
        events, records = await desk.told()
        assert [(each[0], each[1]["kind"], each[1]["wallet_id"]) for each in events] == [
            ("arrangement.created", "direct_debit", desk.wallets[0])
        ]
        assert records[-1][0] == "arrangement.created"
        assert made.direct_debit == POWER

    async def test_of_no_wallet_is_refused(self, desk: Desk):
        """A wallet that isn't there can have nothing arranged for it."""
        desk.wallets.append(ids.new(Prefix.WALLET))
        with pytest.raises(errors.NotFound):
            await desk.record(2, beneficiary=RENT)

    async def test_whose_owner_was_forgotten_meanwhile_is_refused(self, desk: Desk):
        """Erasure comes before, or finds what is written."""
        body = CreateArrangement(wallet_id=desk.wallets[0], kind=ArrangementKind.BENEFICIARY, beneficiary=RENT)
        draft = await service.draft_arrangement(desk.tx, desk.keys, desk.tenant, body)
        async with desk.tx() as tx:
            await tx.execute("UPDATE parties SET forgotten_at = $1", datetime(2026, 11, 20, tzinfo=UTC))
        with pytest.raises(errors.SubjectForgotten):
            async with desk.tx() as tx:
                await service.create_arrangement(tx, CALLER, draft)

    async def test_is_listed_by_wallet_kind_and_status(self, desk: Desk):
        """Each condition narrows the list, the newest first."""
        rent, power = await desk.record(beneficiary=RENT), await desk.record(direct_debit=POWER)
        other = await desk.record(1, beneficiary=RENT)
        await desk.change(power, status=ArrangementStatus.CANCELLED)
        assert [each.id for each in await desk.listed()] == [other.id, power.id, rent.id]
        assert [each.id for each in await desk.listed(wallet_id=desk.uuid(0), kind="beneficiary")] == [rent.id]
        assert [each.id for each in await desk.listed(status="cancelled")] == [power.id]

    async def test_of_several_wallets_come_in_order(self, desk: Desk):
        """What two wallets have of one kind comes as it was made, from a place on, or before it."""
        made = [await desk.record(number % 2, beneficiary=RENT) for number in range(4)]
        wallets = [desk.uuid(0), desk.uuid(1)]
        async with desk.tx() as tx:
            first = await service.list_of_wallets(tx, wallets, ArrangementKind.BENEFICIARY, limit=2)
            rest = await service.list_of_wallets(tx, wallets, ArrangementKind.BENEFICIARY, limit=2, after=first[-1].id)
            back = await service.list_of_wallets(
                tx, wallets, ArrangementKind.BENEFICIARY, limit=9, after=rest[0].id, backwards=True
            )
        assert [row.wire_id for row in [*first, *rest]] == [each.id for each in made]
        assert back == first[::-1]


class TestAChange:
    async def test_replaces_what_it_says(self, desk: Desk):
        """The member of the kind is replaced as a whole, and the version counts up."""
        made = await desk.record(beneficiary=RENT)
        changed = await desk.change(made, beneficiary=Beneficiary(creditor=ADA, trusted=True))
        assert (changed.version, changed.beneficiary) == (2, Beneficiary(creditor=ADA, trusted=True))
        assert await desk.listed() == [changed]

    async def test_of_nothing_leaves_no_trace(self, desk: Desk):
        """What is as it was has no event and no new version."""
        made = await desk.record(beneficiary=RENT)
        assert await desk.change(made, beneficiary=RENT, status=ArrangementStatus.ACTIVE) == made
        events, _ = await desk.told()
        assert [each[0] for each in events] == ["arrangement.created"]

    async def test_to_another_kind_is_refused(self, desk: Desk):
        """A beneficiary doesn't become a direct debit."""
        made = await desk.record(beneficiary=RENT)
        with pytest.raises(errors.ArrangementInvalid) as refused:
            await desk.change(made, direct_debit=POWER)
        assert refused.value.param == "direct_debit"

    async def test_of_another_version_is_refused(self, desk: Desk):
        """Who has read an older version changes nothing."""
        made = await desk.record(beneficiary=RENT)
        await desk.change(made, status=ArrangementStatus.SUSPENDED)
        with pytest.raises(errors.PreconditionFailed):
            await desk.change(made, if_match='"1"', status=ArrangementStatus.ACTIVE)


class TestErasure:
    async def test_deletes_what_was_arranged(self, desk: Desk):
        """Nothing stays of what was arranged for the wallets, and others' stays."""
        await desk.record(beneficiary=RENT)
        await desk.record(1, offer=Offer(type=OfferType.OTHER, description="x"))
        async with desk.tx() as tx:
            assert await service.delete_of_wallets(tx, [desk.uuid(0)]) == "DELETE 1"
        assert [each.kind for each in await desk.listed()] == [ArrangementKind.OFFER]


class TestAProduct:
    async def test_is_assigned_to_wallets_and_changed(self, desk: Desk):
        """A wallet is of one product, the last one that it was given, as that is now."""
        body = CreateProduct(
            name="Everyday", type=ProductType.OTHER, description="x", monthly_fee_cap=Money(500, "EUR"), notes=["a"]
        )
        wallet = desk.uuid(0)
        async with desk.tx() as tx:
            first = await service.create_product(tx, CALLER, body)
            second = await service.create_product(tx, CALLER, CreateProduct(**{**_fields(body), "name": "Second"}))
            for product in (first, second):
                await service.assign_product(tx, CALLER, ids.decode(Prefix.PRODUCT, product.id), [wallet, wallet])
            second_id = ids.decode(Prefix.PRODUCT, second.id)
            change = UpdateProduct(monthly_fee_cap=None, notes=[])
            changed = await service.update_product(tx, second_id, change, caller=CALLER, check_version=lambda _: None)
            found = await service.products_of_wallets(tx, [wallet, desk.uuid(1)])
        assert (changed.version, changed.monthly_fee_cap, changed.notes) == (2, None, [])
        assert {key: row.to_response() for key, row in found.items()} == {wallet: changed}
        events, _ = await desk.told()
        assert [each[0] for each in events].count("product.assigned") == 2

    async def test_is_told_of_wallets_that_were_not_of_it_before(self, desk: Desk):
        """Who assigns it again is answered as before, and others hear of the wallets alone for which that is new."""
        wallets = [desk.uuid(0), desk.uuid(1)]
        async with desk.tx() as tx:
            made = await service.create_product(
                tx, CALLER, CreateProduct(name="Everyday", type=ProductType.OTHER, description="x")
            )
            product = ids.decode(Prefix.PRODUCT, made.id)
            for some in (wallets[:1], wallets[:1], wallets):
                answer = await service.assign_product(tx, CALLER, product, some)
                assert answer.wallet_ids == [ids.encode(Prefix.WALLET, each) for each in some]
            told = [each.data["wallet_ids"] for each in await list_events(tx) if each.type == "product.assigned"]
        assert told == [[ids.encode(Prefix.WALLET, each)] for each in wallets]

    async def test_is_assigned_to_no_wallet_that_is_not_there(self, desk: Desk):
        """All wallets are of the product, or none."""
        async with desk.tx() as tx:
            body = CreateProduct(name="Everyday", type=ProductType.OTHER, description="x")
            product = await service.create_product(tx, CALLER, body)
            product_id = ids.decode(Prefix.PRODUCT, product.id)
            with pytest.raises(errors.NotFound):
                await service.assign_product(tx, CALLER, product_id, [desk.uuid(0), ids.uuid7()])
            assert await service.products_of_wallets(tx, [desk.uuid(0)]) == {}


def _fields(body: CreateProduct) -> dict[str, Any]:
    return {name: getattr(body, name) for name in body.__struct_fields__}
