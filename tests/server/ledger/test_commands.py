"""Single commands at the edges of what is allowed, against a real PostgreSQL."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from billfold import errors, ids
from billfold.contract.ledger import AccountType, CreateAccount, UpdateAccount
from billfold.contract.wallets import AliasScheme, CreateAlias, CreateTopUp, UpdateWallet
from billfold.ids import Prefix
from billfold.money import MAX_AMOUNT_MINOR, Money
from billfold_server.db.outbox import list_events
from billfold_server.invariants.service import check
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger import rules
from billfold_server.ledger.protocol import Answer
from billfold_server.ledger.queries import list_entries
from billfold_server.ledger.rules import MAX_BALANCE_MINOR, MOST_CAPTURES
from billfold_server.payments.kinds import CLEARING
from billfold_server.wallets import kinds
from billfold_server.wallets.rows import AliasKey
from billfold_server.wallets.rules import new_alias
from tests.server.ledger.books import Bench, decoded, open_engine
from tests.server.ledger.giving import accepted, account, capture, hold, post, reverse, step, wallet_account
from tests.tenants import Tenancy


class TestAHold:
    """A hold."""

    async def test_isnt_for_its_own_wallet(self, bench: Bench) -> None:
        """Neither by the wallet's id nor by that of its account, when it is made and when it is captured."""
        own = await wallet_account(bench, 0)
        await bench.top_up(0, 100)
        for destination in ({"to_wallet_id": bench.wallets[0]}, {"to_account_id": own}):
            with pytest.raises(errors.SameWallet) as refused:
                await hold(bench, 10, **destination)
            assert refused.value.param == next(iter(destination))
            made = await hold(bench, 10)
            with pytest.raises(errors.SameWallet):
                await capture(bench, made, **destination)

    async def test_for_a_wallets_account_is_for_the_wallet(self, bench: Bench) -> None:
        """Another wallet may be named by its account, and the hold says whose it is."""
        there = await wallet_account(bench, 1)
        await bench.top_up(0, 100)
        made = await hold(bench, 10, to_account_id=there)
        assert (made["to_wallet_id"], made["to_account_id"]) == (bench.wallets[1], there)
        await step(bench, 1, "freeze")
        with pytest.raises(errors.WalletFrozen):
            await hold(bench, 10, to_account_id=there)

    async def test_has_one_destination(self, bench: Bench) -> None:
        """Two are refused, when it is made and when it is captured."""
        there = await wallet_account(bench, 1)
        await bench.top_up(0, 100)
        both: dict[str, Any] = {"to_wallet_id": bench.wallets[2], "to_account_id": there}
        with pytest.raises(errors.HoldDestinationAmbiguous):
            await hold(bench, 10, **both)
        with pytest.raises(errors.HoldDestinationAmbiguous):
            await capture(bench, await hold(bench, 10), **both)

    async def test_may_be_captured_by_another(self, bench: Bench) -> None:
        """A capture's destination goes before the hold's, whose pending balance ends."""
        await bench.top_up(0, 100)
        made = await hold(bench, 60, to_wallet_id=bench.wallets[1])
        part = await capture(bench, made, amount_minor=20, to_wallet_id=bench.wallets[2], final=False)
        assert (part["status"], part["remaining_minor"]) == ("open", 40)
        rest = await capture(bench, made, amount_minor=30)
        assert (rest["status"], rest["captured_minor"], rest["released_minor"]) == ("captured", 50, 10)
        assert [await bench.balance(wallet) for wallet in range(3)] == [50, 30, 20]
        assert await check(bench.database, bench.tenant) == []

    async def test_is_captured_in_part_so_often_and_no_more(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each answer names the entries of all captures; so the last that there may be ends the hold, in any way."""
        assert MOST_CAPTURES == 1_000
        monkeypatch.setattr(rules, "MOST_CAPTURES", 4)
        await bench.top_up(0, 100)
        for how in ({"amount_minor": 5}, {"amount_minor": 17, "final": False}, {}):
            made = await hold(bench, 20, to_wallet_id=bench.wallets[1])
            for _ in range(3):
                await capture(bench, made, amount_minor=1, final=False)
            with pytest.raises(errors.HoldCapturesExhausted) as refused:
                await capture(bench, made, amount_minor=1, final=False)
            assert (refused.value.hold_id, refused.value.captures) == (made["id"], 3)
            last = await capture(bench, made, **how)
            assert (last["status"], len(last["journal_entry_ids"])) == ("captured", 4)
        assert await check(bench.database, bench.tenant) == []

    async def test_of_a_frozen_wallet_can_only_end(self, bench: Bench) -> None:
        """It can be released while either wallet is frozen, but not captured."""
        await bench.top_up(0, 100)
        made = await hold(bench, 60, to_wallet_id=bench.wallets[1])
        for frozen in (0, 1):
            await step(bench, frozen, "freeze")
            with pytest.raises(errors.WalletFrozen) as refused:
                await capture(bench, made)
            assert refused.value.wallet_id == bench.wallets[frozen]
            await step(bench, frozen, "unfreeze")
        await step(bench, 0, "freeze")
        released = ledger_kinds.Release(ids.decode(Prefix.HOLD, made["id"]))
        assert accepted(await bench.submit(ledger_kinds.RELEASE_HOLD, released))["status"] == "released"

    async def test_keeps_its_wallets_open(self, bench: Bench) -> None:
        """Neither the wallet that has it nor the one that it is for can be closed, until it has ended."""
        await bench.top_up(0, 60)
        made = await hold(bench, 60, to_wallet_id=bench.wallets[1])
        for wallet in (0, 1):
            with pytest.raises(errors.WalletNotEmpty):
                await step(bench, wallet, "close")
        await capture(bench, made)
        assert (await step(bench, 0, "close"))["status"] == "closed"

    async def test_speaks_of_time_in_utc(self, bench: Bench) -> None:
        """An instant that was given with another offset is answered as it will be read."""
        await bench.top_up(0, 100)
        made = await hold(bench, 1, expires_at=datetime.fromisoformat("2030-01-01T00:00:00+05:00"))
        assert made["expires_at"] == "2029-12-31T19:00:00Z"

    async def test_has_a_range(self, bench: Bench) -> None:
        """What is held together never leaves what the ledger counts, however deep an account may go."""
        own = await wallet_account(bench, 0)
        unlimited = ledger_kinds.Update(
            ids.decode(Prefix.ACCOUNT, own), UpdateAccount(overdraft_limit_minor=None), None
        )
        accepted(await bench.submit(ledger_kinds.UPDATE_ACCOUNT, unlimited))
        await asyncio.gather(*(hold(bench, MAX_AMOUNT_MINOR) for _ in range(1000)))
        with pytest.raises(errors.BalanceOutOfRange):
            await hold(bench, 1)
        assert await check(bench.database, bench.tenant) == []


class TestAnAccount:
    """An account."""

    async def test_has_a_range(self, bench: Bench) -> None:
        """It goes to 10^18 on either side and no further, also within one entry of many postings."""
        one, other = await account(bench, "one"), await account(bench, "other")
        big = [(one, MAX_AMOUNT_MINOR), (other, -MAX_AMOUNT_MINOR)] * 50
        await asyncio.gather(*(post(bench, *big) for _ in range(20)))
        for debit, credit in ((one, other), (await account(bench, "third"), other)):
            with pytest.raises(errors.BalanceOutOfRange):
                await post(bench, (debit, 1), (credit, -1))
        back = await post(bench, (other, 1), (one, -1))
        assert [posting["balance_after_minor"] for posting in back["postings"]] == [
            -MAX_BALANCE_MINOR + 1,
            MAX_BALANCE_MINOR - 1,
        ]
        assert await check(bench.database, bench.tenant) == []

    async def test_may_occur_twice_in_an_entry(self, bench: Bench) -> None:
        """Each posting shows the balance after it, and only the last one counts against the limit."""
        tight = await account(bench, "tight", overdraft_limit_minor=0)
        other = await account(bench, "other")
        made = await post(bench, (tight, -50), (other, 20), (tight, 50), (other, -20))
        assert [posting["balance_after_minor"] for posting in made["postings"]] == [-50, 20, 0, 0]
        with pytest.raises(errors.InsufficientFunds) as refused:
            await post(bench, (tight, 50), (tight, -51), (other, 1))
        assert (refused.value.available_minor, refused.value.required_minor) == (0, 1)
        assert await check(bench.database, bench.tenant) == []

    async def test_of_the_banks_own_is_opened_as_what_it_is(self, bench: Bench) -> None:
        """Where top-ups, statements and payments look for theirs, none of another type is in the way for good."""
        for code in ("cash", "cash:NL26VAYB8060476890", "suspense", "rail:abroad", CLEARING):
            with pytest.raises(errors.AccountCodeTaken) as refused:
                await account(bench, code)
            assert refused.value.param == "type"
        await account(bench, "cash_desk")
        cash = CreateAccount(code="cash", type=AccountType.ASSET, currency="EUR")
        accepted(await bench.submit(ledger_kinds.CREATE_ACCOUNT, cash))
        accepted(await bench.top_up(0, 1))

    async def test_that_is_told_what_it_is_stays_as_it_is(self, bench: Bench) -> None:
        """A change that changes nothing, of an account or of its wallet, has no version and no event of its own."""
        own = ids.decode(Prefix.ACCOUNT, await wallet_account(bench, 0))
        wallet = ids.decode(Prefix.WALLET, bench.wallets[0])
        changes: list[Any] = [
            (ledger_kinds.UPDATE_ACCOUNT, ledger_kinds.Update(own, UpdateAccount(metadata={"a": "b"}), None)),
            (kinds.UPDATE_WALLET, kinds.Update(wallet, UpdateWallet(label="Savings", metadata={"a": "b"}), None)),
        ]
        for kind, body in changes:
            first, again = [accepted(await bench.submit(kind, body)) for _ in range(2)]
            assert (first["version"], first) == (2, again)
        async with bench.database.tx(bench.tenant) as tx:
            told = [event.type for event in await list_events(tx) if event.type.endswith(".updated")]
        assert told == ["account.updated", "wallet.updated"]

    async def test_keeps_within_a_lower_limit(self, bench: Bench) -> None:
        """A limit can come down to where the available balance is, what is held included, and no further."""
        own = ids.decode(Prefix.ACCOUNT, await wallet_account(bench, 0))

        async def limit(amount: int) -> Any:
            change = ledger_kinds.Update(own, UpdateAccount(overdraft_limit_minor=amount), None)
            return accepted(await bench.submit(ledger_kinds.UPDATE_ACCOUNT, change))

        await limit(100)
        await hold(bench, 31)
        with pytest.raises(errors.InsufficientFunds) as refused:
            await limit(29)
        assert (refused.value.available_minor, refused.value.required_minor) == (-30, -29)
        assert (await limit(30))["balance"]["available_minor"] == -30
        assert await check(bench.database, bench.tenant) == []


class TestAReversal:
    """A reversal."""

    async def test_of_a_capture_leaves_the_hold_captured(self, bench: Bench) -> None:
        """Money goes back by itself, in parts that never exceed the whole."""
        await bench.top_up(0, 100)
        made = await capture(bench, await hold(bench, 60, to_wallet_id=bench.wallets[1]))
        (captured,) = made["journal_entry_ids"]
        for part in (25, 25):
            await reverse(bench, captured, part)
        with pytest.raises(errors.ReversalExceedsEntry) as refused:
            await reverse(bench, captured, 11)
        assert refused.value.remaining_minor == 10
        last = await reverse(bench, captured)
        assert [posting["amount_minor"] for posting in last["postings"]] == [-10, 10]
        with pytest.raises(errors.ReversalExceedsEntry):
            await reverse(bench, captured)
        with pytest.raises(errors.EntryNotReversible):
            await reverse(bench, last["id"])
        assert [await bench.balance(wallet) for wallet in (0, 1)] == [100, 0]
        assert await check(bench.database, bench.tenant) == []

    async def test_needs_the_money(self, bench: Bench) -> None:
        """What has been spent since can't be taken back, and nothing of the attempt remains."""
        top_up = accepted(await bench.top_up(0, 100))
        await bench.transfer(0, 1, 70)
        with pytest.raises(errors.InsufficientFunds) as refused:
            await reverse(bench, top_up["journal_entry_id"])
        assert (refused.value.available_minor, refused.value.required_minor) == (30, 100)
        await reverse(bench, top_up["journal_entry_id"], 30)
        assert await bench.balance(0) == 0
        assert await check(bench.database, bench.tenant) == []

    async def test_isnt_bound_by_limits(self, tenancy: Tenancy) -> None:
        """A wallet that is full gets back what it paid."""
        bench = await limited(tenancy, wallet_balance_max_minor={"EUR": 100})
        await bench.top_up(0, 100)
        paid = accepted(await bench.transfer(0, 1, 100))
        await bench.top_up(0, 100)
        await reverse(bench, paid["journal_entry_id"])
        assert await bench.balance(0) == 200
        await bench.engine.close()


async def limited(tenancy: Tenancy, **limits: Any) -> Bench:
    """Return an engine for a tenant with limits."""
    tenant = await tenancy.add("limited", limits=limits)
    bench = Bench(open_engine(tenancy.database), tenancy.database, tenant)
    await bench.add_wallets(3)
    return bench


class TestALimit:
    """A limit of the tenant."""

    async def test_on_one_order_binds_every_kind_of_it(self, tenancy: Tenancy) -> None:
        """Transfers, top-ups and holds above it are refused; journal entries are the books' own."""
        bench = await limited(tenancy, transfer_max_minor={"EUR": 100})
        await bench.top_up(0, 100)
        await bench.top_up(0, 100)
        assert isinstance((await bench.top_up(0, 101)).error, errors.LimitExceeded)
        assert isinstance((await bench.transfer(0, 1, 101)).error, errors.LimitExceeded)
        with pytest.raises(errors.LimitExceeded) as refused:
            await hold(bench, 101)
        assert (refused.value.limit, refused.value.limit_minor) == ("transfer_max_minor", 100)
        assert (await bench.transfer(0, 1, 100)).status == 201
        await bench.engine.close()

    async def test_on_balances_counts_what_holds_will_bring(self, tenancy: Tenancy) -> None:
        """It is checked when a hold is made for a wallet, and again only if the capture names another one."""
        bench = await limited(tenancy, wallet_balance_max_minor={"EUR": 100})
        await bench.top_up(0, 100)
        await bench.top_up(1, 50)
        made = await hold(bench, 50, to_wallet_id=bench.wallets[1])
        with pytest.raises(errors.LimitExceeded) as refused:
            await hold(bench, 1, to_wallet_id=bench.wallets[1])
        assert refused.value.limit == "wallet_balance_max_minor"
        assert isinstance((await bench.top_up(1, 1)).error, errors.LimitExceeded)
        open_ended = await hold(bench, 50)
        await capture(bench, made)
        assert await bench.balance(1) == 100
        with pytest.raises(errors.LimitExceeded):
            await capture(bench, open_ended, to_wallet_id=bench.wallets[1])
        await capture(bench, open_ended, to_wallet_id=bench.wallets[2])
        await bench.engine.close()


class TestAWallet:
    """A wallet."""

    async def test_that_closes_closes_what_was_opened_beside(self, bench: Bench) -> None:
        """A currency that an item before has opened in the same batch is closed too, and takes no more money."""
        answers = await asyncio.gather(
            bench.top_up(0, 5, "JPY"),
            bench.submit(kinds.TOP_UP, kinds.top_up(CreateTopUp(wallet_id=bench.wallets[0], amount=Money(5, "USD")))),
            step(bench, 0, "close"),
            return_exceptions=True,
        )
        assert isinstance(answers[2], errors.WalletNotEmpty)
        movements = [decoded(answer)["journal_entry_id"] for answer in answers[:2]]  # type: ignore[arg-type]
        closed = (await asyncio.gather(*(reverse(bench, movement) for movement in movements), step(bench, 0, "close")))[
            2
        ]
        assert [balance["currency"] for balance in closed["balances"]] == ["JPY", "USD"]
        assert isinstance((await bench.top_up(0, 5, "JPY")).error, errors.WalletClosed)
        assert await check(bench.database, bench.tenant) == []


class TestAnAlias:
    """An alias."""

    async def test_moves_from_one_wallet_to_another_at_once(self, bench: Bench) -> None:
        """Taken away and given to others in one batch, it goes to the first who asks after it is free."""
        key = AliasKey(AliasScheme.REFERENCE, new_alias(AliasScheme.REFERENCE, "Rent  42"))

        def give(wallet: int, value: str) -> kinds.NewAlias:
            alias = CreateAlias(scheme=AliasScheme.REFERENCE, value=value)
            return kinds.NewAlias(ids.decode(Prefix.WALLET, bench.wallets[wallet]), alias, key)

        first = accepted(await bench.submit(kinds.ADD_ALIAS, give(0, "Rent 42")))
        away = kinds.AliasRemoval(
            ids.decode(Prefix.WALLET, bench.wallets[0]), ids.decode(Prefix.ALIAS, first["id"]), key
        )
        *answers, again = await asyncio.gather(
            bench.submit(kinds.ADD_ALIAS, give(1, "RENT 42")),
            bench.submit(kinds.REMOVE_ALIAS, away),
            bench.submit(kinds.ADD_ALIAS, give(2, "rent 42")),
            bench.submit(kinds.ADD_ALIAS, give(3, "Rent 42")),
            bench.submit(kinds.REMOVE_ALIAS, away),
            return_exceptions=True,
        )
        assert isinstance(again, errors.NotFound)
        assert [answer.status for answer in answers if isinstance(answer, Answer)] == [409, 204, 201, 409]

    @pytest.mark.parametrize("at_once", [False, True])
    async def test_doesnt_say_of_one_wallet_what_names_another(self, bench: Bench, *, at_once: bool) -> None:
        """A British IBAN and its sort code and number belong to one wallet, whichever is first, also in one batch."""

        def give(wallet: int, scheme: AliasScheme, value: str) -> kinds.NewAlias:
            key = AliasKey(scheme, value)
            return kinds.NewAlias(
                ids.decode(Prefix.WALLET, bench.wallets[wallet]), CreateAlias(scheme=scheme, value=value), key
            )

        iban, number = AliasScheme.IBAN, AliasScheme.SORT_CODE_ACCOUNT_NUMBER
        orders = [
            give(0, iban, "GB33BUKB20201555555555"),
            give(1, number, "20201555555555"),
            give(0, number, "20201555555555"),
            give(1, number, "20000055779911"),
            give(0, iban, "GB29BUKB20000055779911"),
            give(1, iban, "GB29BUKB20000055779911"),
            # Of another bank, which can't have the sort code, too.
            give(1, iban, "GB37MIDL20201555555555"),
            give(0, iban, "GB37MIDL20201555555555"),
        ]
        if at_once:
            answers = await asyncio.gather(*(bench.submit(kinds.ADD_ALIAS, order) for order in orders))
        else:
            answers = [await bench.submit(kinds.ADD_ALIAS, order) for order in orders]
        assert [answer.status for answer in answers] == [201, 409, 201, 201, 409, 201, 409, 201]
        assert [type(answers[at].error) for at in (1, 4, 6)] == [errors.AliasTaken] * 3

    def test_has_a_length_that_an_index_can_keep(self) -> None:
        """Compatible characters that are short when given and long when spelled out are refused in time."""
        with pytest.raises(errors.AliasInvalid) as refused:
            new_alias(AliasScheme.NAME, "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 200)
        assert refused.value.param == "value"


class TestAnEffectiveTime:
    """An effective time."""

    async def test_orders_nothing_but_balances_as_of(self, bench: Bench) -> None:
        """A backdated entry takes the next number and shows the balance as it stands when it is written."""
        await bench.top_up(0, 100)
        async with bench.database.tx(bench.tenant) as tx:
            yesterday = await bench.now(tx) - timedelta(days=1)
        body = CreateTopUp(wallet_id=bench.wallets[0], amount=Money(11, "EUR"), effective_at=yesterday)
        made = accepted(await bench.submit(kinds.TOP_UP, kinds.top_up(body)))
        assert made["balance_after_minor"] == 111
        async with bench.database.tx(bench.tenant) as tx:
            entries, _ = await list_entries(tx, limit=2)
        assert [each.sequence for each in entries] == [2, 1]
        assert entries[0].effective_at == yesterday < entries[1].effective_at
        assert entries[0].recorded_at > entries[1].recorded_at
