"""A sandbox of ``billfold.testing``: fresh for each test, arranged in a line each (billfold.testing)."""

from datetime import UTC, datetime, timedelta

import pytest

from billfold import Billfold, Money, errors, ids
from billfold.ids import Prefix
from billfold.testing import AsyncSandbox, Sandbox, Sandboxes, open_sandboxes
from billfold_server.sandbox.rules import seeded_id
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.service import Registry
from billfold_server.tenancy.transaction import Database

pytestmark = pytest.mark.xdist_group("billfold.testing")

EUROS = Money(5000, "EUR")


class TestASandbox:
    def test_has_people_wallets_and_money(self, wallet_sandbox: Sandbox):
        """What a test needs takes a line each, and its balances are the ledger's."""
        purse = wallet_sandbox.wallet(holding=("50.00", "EUR"), label="Purse")
        till = wallet_sandbox.wallet(wallet_sandbox.company("Analytical Engines Ltd").id)
        wallet_sandbox.transfer(Money(1250, "EUR"), source=purse, target=till.id, description="Lunch")
        assert (purse.label, purse.balances[0].available_minor) == ("Purse", 5000)
        assert wallet_sandbox.balance(purse) == Money(3750, "EUR")
        assert wallet_sandbox.balance(till.id, "EUR") == Money(1250, "EUR")
        with pytest.raises(errors.InsufficientFunds):
            wallet_sandbox.transfer(EUROS, source=purse, target=till)

    def test_can_have_the_customers_of_a_seed(self, wallet_sandbox: Sandbox):
        """One call makes people with months behind them; a test can know their ids beforehand."""
        client = wallet_sandbox.client
        assert client.sandbox.reset(seed=7).seed == 7
        names = {party.name: party.id for party in client.parties.list()}
        assert names["Umar Dahl"] == ids.encode(Prefix.PARTY, seeded_id(7, "party/sandbox-umar", 0))

    def test_asks_which_currency_where_it_can_not_tell(self, wallet_sandbox: Sandbox):
        """A wallet without any money, or with two kinds, has no one balance."""
        wallet = wallet_sandbox.wallet()
        with pytest.raises(ValueError, match="currency"):
            wallet_sandbox.balance(wallet)
        assert wallet_sandbox.balance(wallet, "EUR") == Money(0, "EUR")
        wallet_sandbox.top_up(wallet, EUROS)
        wallet_sandbox.top_up(wallet, Money(7, "JPY"))
        with pytest.raises(ValueError, match="EUR, JPY"):
            wallet_sandbox.balance(wallet)

    def test_tells_what_has_happened(self, wallet_sandbox: Sandbox):
        """Nothing has, before the test does something; then all of it is there at once, in order."""
        assert wallet_sandbox.events() == []
        wallet = wallet_sandbox.wallet(holding=EUROS)
        assert [event.type for event in wallet_sandbox.events()] == [
            "party.created",
            "wallet.created",
            "top_up.posted",
        ]
        (created,) = wallet_sandbox.events("wallet.created")
        assert created.object_id == wallet.id

    def test_lets_a_program_make_a_client_of_its_own(self, wallet_sandbox: Sandbox):
        """What takes settings, and no client, gets these."""
        with Billfold(**wallet_sandbox.options) as own:
            party = own.parties.create(kind="person", name="Grace Hopper")
        assert wallet_sandbox.client.parties.get(party.id) == party
        assert wallet_sandbox.options["client_secret"] not in repr(wallet_sandbox)

    async def test_is_the_same_tenant_in_both_modes(self, wallet_sandbox: Sandbox, async_wallet_sandbox: AsyncSandbox):
        """A test may arrange in one and act in the other, in whichever event loop it runs."""
        wallet = wallet_sandbox.wallet(holding=EUROS)
        other = await async_wallet_sandbox.wallet()
        await async_wallet_sandbox.transfer(EUROS, source=wallet, target=other)
        assert wallet_sandbox.balance(other) == await async_wallet_sandbox.balance(other) == EUROS


class TestItsOutside:
    def test_is_simulated_and_told_of_by_verified_webhooks(self, wallet_sandbox: Sandbox):
        """Money comes in by the rail, and its delivery arrives twice where that is simulated, with one id."""
        inbox = wallet_sandbox.webhooks.listen("top_up.*")
        wallet_sandbox.simulate.webhook_duplicates()
        wallet = wallet_sandbox.wallet()
        made = wallet_sandbox.simulate.incoming_transfer(wallet.id, amount=EUROS, reference="Invoice 4711")
        assert (made.outcome, wallet_sandbox.balance(wallet)) == ("credited", EUROS)
        first, second = inbox.wait_for("top_up.posted", count=2, timeout_s=60)
        assert (first.event, first.event.object_id) == (second.event, made.top_up_id)
        assert inbox.delivered == [first, second]

    async def test_tries_again_what_a_receiver_refuses(self, async_wallet_sandbox: AsyncSandbox):
        """By the sandbox's clock, so a test needs no patience; and what doesn't come is told."""
        inbox = await async_wallet_sandbox.webhooks.listen("wallet.created", status=500)
        await async_wallet_sandbox.clock.freeze()
        await async_wallet_sandbox.wallet()
        await inbox.wait_for(timeout_s=60)
        inbox.answer(204)
        await async_wallet_sandbox.clock.advance(minutes=1)
        answered = [each.answered for each in await inbox.wait_for(count=2, timeout_s=60)]
        assert answered == [500, 204]
        with pytest.raises(TimeoutError, match=r"2 of 3 .* wallet.created"):
            await inbox.wait_for("wallet.created", count=3, timeout_s=0.01)


class TestItsClock:
    def test_stands_and_moves(self, wallet_sandbox: Sandbox):
        """A clock that stands does so after it was moved; one that was let go runs on from there."""
        clock = wallet_sandbox.clock
        frozen = clock.freeze()
        assert frozen.microsecond == 0
        assert clock.now() == clock.now() == frozen
        assert (
            clock.advance(days=1, hours=2, minutes=3) == frozen + timedelta(days=1, hours=2, minutes=3) == clock.now()
        )
        assert clock.advance(to=frozen + timedelta(days=2)) == clock.advance(timedelta(0))
        assert clock.run() == frozen + timedelta(days=2) < clock.now() < clock.now()
        assert clock.advance(timedelta(days=1)) < clock.now()

    def test_stands_where_it_is_told_to(self, wallet_sandbox: Sandbox):
        """Tests with dates in them choose their own."""
        christmas = datetime(2099, 12, 24, 18, tzinfo=UTC)
        assert wallet_sandbox.clock.freeze(christmas) == wallet_sandbox.clock.now() == christmas
        with pytest.raises(errors.ClockMovesForward):
            wallet_sandbox.clock.freeze(christmas - timedelta(seconds=1))

    @pytest.mark.parametrize("far", [{}, {"days": 1, "by": timedelta(1)}, {"to": datetime.now(UTC), "minutes": 1}])
    def test_is_told_in_one_way_how_far(self, wallet_sandbox: Sandbox, far: dict[str, object]):
        """Not at all and in two ways are mistakes."""
        with pytest.raises(TypeError):
            wallet_sandbox.clock.advance(**far)  # type: ignore[arg-type]

    def test_lets_holds_expire(self, wallet_sandbox: Sandbox):
        """What falls due on the way has happened when the clock is there."""
        wallet, till = wallet_sandbox.wallet(holding=EUROS), wallet_sandbox.wallet()
        until = wallet_sandbox.clock.now() + timedelta(hours=1)
        wallet_sandbox.client.holds.create(wallet_id=wallet.id, to_wallet_id=till.id, amount=EUROS, expires_at=until)
        assert wallet_sandbox.balance(wallet) == Money(0, "EUR")
        wallet_sandbox.clock.advance(hours=2)
        assert wallet_sandbox.balance(wallet) == EUROS


async def _counted(database: Database, tenant: TenantRef) -> dict[str, int]:
    """Return how many rows the tables of a tenant have, where they have some."""
    async with database.tx(tenant) as tx:
        names = await tx.fetch(
            "SELECT relname AS name FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p') "
            "AND has_table_privilege(oid, 'SELECT') AND NOT relispartition ORDER BY relname",
            tenant.schema,
        )
        counts = {row["name"]: await tx.fetchval(f'SELECT count(*) FROM "{row["name"]}"') for row in names}  # noqa: S608
    return {name: count for name, count in counts.items() if count}


class TestAFreshSandbox:
    def test_has_nothing_of_the_one_before(self, wallet_sandboxes: Sandboxes):
        """A tenant that was used comes back with another name and id, its clock runs, and it has no row of before."""
        portal, platform = wallet_sandboxes._portal, wallet_sandboxes._platform
        services = platform.app.state.services
        registry: Registry = services.registry
        seen: list[tuple[TenantRef, dict[str, int], datetime]] = []
        began = datetime.now(UTC)
        for _ in range(3):
            with wallet_sandboxes.fresh() as sandbox:
                tenant = portal.call(registry.get, sandbox.options["base_url"].rpartition("/")[2])
                seen.append((tenant, portal.call(_counted, services.database, tenant), sandbox.clock.now()))
                wallet = sandbox.wallet(holding=EUROS)
                sandbox.client.holds.create(wallet_id=wallet.id, to_wallet_id=sandbox.wallet().id, amount=EUROS)
                sandbox.client.wallets.aliases.create(wallet.id, scheme="reference", value="4711")
                sandbox.clock.advance(days=2)
        (first, rows, _), *later = seen
        assert len({tenant.id for tenant, _, _ in seen} | {first.id}) == len({each[0].slug for each in seen}) == 3
        assert [other for _, other, _ in later] == [rows, rows]
        assert all(began <= now <= datetime.now(UTC) for _, _, now in seen)

    def test_is_of_no_use_when_its_block_has_ended(self, wallet_sandboxes: Sandboxes):
        """Whoever keeps a client for longer than its test reaches nobody else's tenant with it."""
        with wallet_sandboxes.fresh() as sandbox:
            sandbox.person()
        with wallet_sandboxes.fresh() as other, pytest.raises(errors.BillfoldError):
            other.person()
            sandbox.person()

    def test_is_there_for_several_at_a_time(self, wallet_sandboxes: Sandboxes):
        """Two at once are two tenants."""
        with wallet_sandboxes.fresh() as one, wallet_sandboxes.fresh() as two:
            party = one.person()
            assert two.events() == []
            with pytest.raises(errors.NotFound):
                two.client.parties.get(party.id)

    def test_is_made_anew_where_somebody_has_changed_tables(self, wallet_sandboxes: Sandboxes):
        """A schema that isn't as provisioning has left it is given to nobody else."""
        portal, platform = wallet_sandboxes._portal, wallet_sandboxes._platform
        services = platform.app.state.services

        async def change(slug: str) -> str:
            async with services.tenants.as_owner(slug) as tx:
                await tx.execute("CREATE TABLE surprise (id int PRIMARY KEY)")
            return str((await services.registry.get(slug)).schema)

        with wallet_sandboxes.fresh() as sandbox:
            changed = portal.call(change, sandbox.options["base_url"].rpartition("/")[2])
        with wallet_sandboxes.fresh() as sandbox:
            tenant = portal.call(services.registry.get, sandbox.options["base_url"].rpartition("/")[2])
            assert tenant.schema != changed
            assert sandbox.person().name == "Ada Lovelace"


class TestTheProcessesOfARun:
    def test_share_a_database_server(self, wallet_sandboxes: Sandboxes, wallet_sandbox: Sandbox, run_name: str):
        """Each has tenants of its own, and whoever ends leaves the server to the others."""
        party = wallet_sandbox.person()
        with open_sandboxes(run=run_name) as others, others.fresh() as other:
            own = other.wallet(holding=EUROS)
            assert other.balance(own) == EUROS
            assert [each.id for each in other.client.parties.list()] == [own.party_id]
        assert wallet_sandbox.client.parties.get(party.id) == party
        with wallet_sandboxes.fresh() as sandbox:
            assert sandbox.person().name == party.name
