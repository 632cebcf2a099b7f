"""Many transfers in one request: verdicts, keys, and what single transfers know of them."""

import asyncio
import concurrent.futures
import json
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.wallets import CreateTransfer, TransferVerdicts
from billfold.ids import Prefix
from billfold_server.http.routing import Call
from billfold_server.ledger.service import Answer, commands
from billfold_server.wallets import kinds
from tests.callers import CALLER
from tests.live import LiveServer
from tests.server.ledger.test_failures import BUG
from tests.server.wallets.test_transfers import Desk, euros

NOBODY = "wal_" + "0" * 26


class BulkDesk(Desk):
    """A client that orders many transfers at once."""

    def item(self, key: str, amount_minor: int = 10, **changes: Any) -> dict[str, Any]:
        """Return one item, from the first wallet to the second."""
        return {"idempotency_key": key, **self.order(amount_minor, **changes)}

    def bulk(self, *items: dict[str, Any], mode: str = "each") -> TransferVerdicts:
        """Order transfers, and return the verdicts, read as strictly as the contract has them."""
        answer = self.send(*items, mode=mode)
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=TransferVerdicts)

    def send(self, *items: dict[str, Any], mode: str = "each") -> httpx.Response:
        """Order transfers."""
        return self.post("/v1/transfers/bulk", {"mode": mode, "transfers": items})

    def made(self) -> int:
        """Return how many transfers there are between the two wallets."""
        return len(self.client.get("/v1/transfers", params={"wallet_id": self.wallets[0], "limit": 100}).json()["data"])


@pytest.fixture
def desk(live: LiveServer) -> Iterator[BulkDesk]:
    """Two wallets of a client of its own, so that its keys are its own too."""
    with live.client("alpha") as client:
        yield BulkDesk(client)


def told(verdicts: TransferVerdicts) -> list[tuple[int, str | None, bool]]:
    """Return each verdict's status, code and whether it was stored before."""
    return [
        (each.status, None if each.problem is None else each.problem.code, each.replayed) for each in verdicts.results
    ]


class TestABulkOfEach:
    """A bulk whose items stand for themselves."""

    def test_has_a_verdict_per_item(self, desk: BulkDesk) -> None:
        """In order, each with its key: the transfer with balances after it, or the problem with its facts."""
        verdicts = desk.bulk(desk.item("a", 400), desk.item("b", 700), desk.item("c", 600))
        assert told(verdicts) == [(201, None, False), (409, "insufficient_funds", False), (201, None, False)]
        assert [each.idempotency_key for each in verdicts.results] == ["a", "b", "c"]
        first, second, third = verdicts.results
        assert first.transfer is not None
        assert third.transfer is not None
        assert second.problem is not None
        assert (first.transfer.from_balance_after_minor, third.transfer.from_balance_after_minor) == (600, 0)
        assert (second.problem.facts["available_minor"], second.problem.facts["required_minor"]) == (600, 700)
        assert (verdicts.carried_out, verdicts.refused, verdicts.replayed) == (2, 1, 0)
        assert desk.client.get(f"/v1/transfers/{first.transfer.id}").content == msgspec.json.encode(first.transfer)

    def test_is_answered_from_the_store_in_any_order(self, desk: BulkDesk) -> None:
        """Sent again among others and the other way round, each item gets the answer that it had, to the byte."""
        items = [desk.item("a", 400), desk.item("b", 700), desk.item("c", 600)]
        first = desk.bulk(*items)
        again = desk.bulk(desk.item("d", 1), *reversed(items))
        assert told(again)[0] == (409, "insufficient_funds", False)
        assert [(each.transfer, each.problem) for each in again.results[1:]] == [
            (each.transfer, each.problem) for each in reversed(first.results)
        ]
        assert [each.replayed for each in again.results] == [False, True, True, True]
        assert (again.replayed, desk.balance(1)) == (3, 1_000)

    def test_shares_its_keys_with_single_transfers(self, desk: BulkDesk) -> None:
        """What was ordered alone is answered among others, and the other way round, however it is written."""
        alone = desk.transfer(10, "alone", description="Lunch").json()
        verdicts = desk.bulk(desk.item("alone", 10, description="Lunch", metadata={}), desk.item("bulk", 20))
        assert told(verdicts) == [(201, None, True), (201, None, False)]
        known, made = (each.transfer for each in verdicts.results)
        assert known is not None
        assert made is not None
        assert (known.id, alone["id"]) == (alone["id"], known.id)
        again = desk.transfer(20, "bulk")
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
        assert again.content == msgspec.json.encode(made)
        assert again.headers["location"].endswith(made.id)
        assert desk.balance(1) == 30

    def test_keeps_a_refusal_as_a_single_transfer_does(self, desk: BulkDesk) -> None:
        """A refusal that depends on state is its key's answer for good, a wallet that isn't there is nobody's."""
        desk.bulk(desk.item("poor", 1_001), desk.item("nobody", 5, to_wallet_id=NOBODY))
        desk.post("/v1/top-ups", {"wallet_id": desk.wallets[0], "amount": euros(500)}, ids.new(Prefix.EVENT))
        poor, nobody = desk.transfer(1_001, "poor"), desk.transfer(5, "nobody")
        assert (poor.status_code, poor.headers["idempotent-replayed"]) == (409, "true")
        assert (nobody.status_code, "idempotent-replayed" in nobody.headers) == (201, False)

    def test_refuses_another_order_under_a_key(self, desk: BulkDesk) -> None:
        """Another order under a key that is known, from before or from this request, is 422 and blames the key."""
        desk.transfer(10, "known")
        items = [desk.item("known", 11), desk.item("new", 1), desk.item("new", 2), desk.item("new", 1)]
        verdicts = desk.bulk(*items)
        assert told(verdicts) == [
            (422, "idempotency_key_reused", False),
            (201, None, False),
            (422, "idempotency_key_reused", False),
            (201, None, True),
        ]
        assert {each.problem.param for each in verdicts.results if each.problem is not None} == {"idempotency_key"}
        assert desk.balance(1) == 11

    def test_takes_a_thousand(self, desk: BulkDesk) -> None:
        """The most that one request may hold is carried out in order, over several batches."""
        verdicts = desk.bulk(*(desk.item(f"k{number}", 1) for number in range(1_000)))
        after = [each.transfer.from_balance_after_minor for each in verdicts.results if each.transfer is not None]
        assert after == list(range(999, -1, -1))

    @pytest.mark.parametrize(
        ("wrong", "param"),
        [
            ({"amount": {"amount_minor": 0, "currency": "EUR"}}, "transfers[1].amount.amount_minor"),
            ({"idempotency_key": "a b"}, "transfers[1].idempotency_key"),
            ({"idempotency_key": "a\n"}, "transfers[1].idempotency_key"),
            ({"idempotency_key": '"a"'}, "transfers[1].idempotency_key"),
            ({"unknown": 1}, "transfers[1]"),
            ({"effective_at": "9999-12-31T23:59:59-12:00"}, "transfers[1]"),
        ],
        ids=repr,
    )
    def test_is_refused_whole_where_it_is_malformed(self, desk: BulkDesk, wrong: dict[str, Any], param: str) -> None:
        """An item that isn't of the documented form is 400 with its place, and nothing is carried out."""
        answer = desk.send(desk.item("a"), desk.item("b") | wrong)
        assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (400, "validation_failed", param)
        assert desk.made() == 0

    @pytest.mark.parametrize("number", [0, 1_001])
    def test_has_one_to_a_thousand_items(self, desk: BulkDesk, number: int) -> None:
        """None, or more than a thousand, are 400."""
        answer = desk.send(*(desk.item(f"k{each}") for each in range(number)))
        assert (answer.status_code, answer.json()["param"]) == (400, "transfers")

    def test_is_counted_by_the_codes_of_its_items(self, live: LiveServer, desk: BulkDesk) -> None:
        """Metrics know why items were refused."""

        def counted() -> float:
            line = 'billfold_http_problems_total{code="same_wallet"}'
            lines = httpx.get(f"{live.url}/metrics").text.splitlines()
            return next((float(each.split()[1]) for each in lines if each.startswith(line)), 0.0)

        before = counted()
        desk.bulk(*(desk.item(key, to_wallet_id=desk.wallets[0]) for key in "abc"))
        assert counted() == before + 3


class TestAnAtomicBulk:
    """An atomic bulk."""

    def test_is_carried_out_as_one(self, desk: BulkDesk) -> None:
        """Each item is decided on what the ones before leave, so money may pass through a wallet that had none."""
        back = {"from_wallet_id": desk.wallets[1], "to_wallet_id": desk.wallets[0]}
        verdicts = desk.bulk(desk.item("a", 1_000), desk.item("b", 400, **back), desk.item("c", 100), mode="atomic")
        assert told(verdicts) == [(201, None, False)] * 3
        assert [each.transfer and each.transfer.from_balance_after_minor for each in verdicts.results] == [0, 600, 300]
        assert (desk.balance(0), desk.balance(1), verdicts.carried_out) == (300, 700, 3)

    def test_moves_nothing_where_one_item_is_refused(self, desk: BulkDesk) -> None:
        """The refused item has its problem, the others say that they weren't carried out and why."""
        items = [desk.item("a", 400), desk.item("b", 700), desk.item("c", 600)]
        verdicts = desk.bulk(*items, mode="atomic")
        assert told(verdicts) == [
            (409, "bulk_aborted", False),
            (409, "insufficient_funds", False),
            (409, "bulk_aborted", False),
        ]
        first = verdicts.results[0].problem
        assert first is not None
        assert first.facts == {"refused_item": 1}
        assert (verdicts.carried_out, verdicts.refused, desk.made(), desk.balance(0)) == (0, 3, 0, 1_000)

    def test_frees_the_keys_of_what_was_aborted(self, desk: BulkDesk) -> None:
        """The others are carried out when they are sent again, alone or among others, under the same keys."""
        desk.bulk(desk.item("a", 400), desk.item("b", 700), desk.item("c", 600), mode="atomic")
        alone = desk.transfer(400, "a")
        verdicts = desk.bulk(desk.item("a", 400), desk.item("c", 600), mode="atomic")
        assert (alone.status_code, "idempotent-replayed" in alone.headers) == (201, False)
        assert told(verdicts) == [(201, None, True), (201, None, False)]
        assert (desk.balance(0), desk.balance(1)) == (0, 1_000)

    def test_stays_refused_under_its_keys(self, desk: BulkDesk) -> None:
        """A late copy of it moves nothing although there is money by now; with another key for that item it does."""
        items = [desk.item("a", 400), desk.item("b", 700)]
        desk.bulk(*items, mode="atomic")
        desk.post("/v1/top-ups", {"wallet_id": desk.wallets[0], "amount": euros(500)}, ids.new(Prefix.EVENT))
        late = desk.bulk(*items, mode="atomic")
        assert told(late) == [(409, "bulk_aborted", False), (409, "insufficient_funds", True)]
        assert desk.made() == 0
        again = desk.bulk(items[0], desk.item("b2", 700), mode="atomic")
        assert (told(again), desk.balance(1)) == ([(201, None, False)] * 2, 1_100)

    def test_is_free_again_where_what_it_names_was_not_there(self, desk: BulkDesk) -> None:
        """A refusal that a single transfer wouldn't keep isn't kept here either."""
        verdicts = desk.bulk(desk.item("a"), desk.item("b", to_wallet_id=NOBODY), mode="atomic")
        assert told(verdicts) == [(409, "bulk_aborted", False), (404, "not_found", False)]
        assert told(desk.bulk(desk.item("a"), desk.item("b"), mode="atomic")) == [(201, None, False)] * 2

    def test_is_answered_from_the_store(self, desk: BulkDesk) -> None:
        """Sent again in either mode, it moves nothing more and says the same."""
        items = [desk.item("a", 400), desk.item("b", 600)]
        first = desk.bulk(*items, mode="atomic")
        for mode in ("atomic", "each"):
            again = desk.bulk(*items, mode=mode)
            assert [each.transfer for each in again.results] == [each.transfer for each in first.results]
            assert (again.replayed, desk.balance(1)) == (2, 1_000)

    def test_counts_what_is_known_as_done(self, desk: BulkDesk) -> None:
        """With an item from before, the rest is carried out; when the rest is refused, that item keeps its transfer."""
        known = desk.transfer(100, "known").json()["id"]
        good = desk.bulk(desk.item("a", 100), desk.item("known", 100), mode="atomic")
        bad = desk.bulk(desk.item("known", 100), desk.item("b", 5_000), desk.item("a", 100), mode="atomic")
        assert told(good) == [(201, None, False), (201, None, True)]
        assert told(bad) == [(201, None, True), (409, "insufficient_funds", False), (201, None, True)]
        assert bad.results[0].transfer is not None
        assert (bad.results[0].transfer.id, desk.balance(1)) == (known, 200)

    @pytest.mark.parametrize(
        ("amount", "verdict"),
        [(1, (422, "idempotency_key_reused", False)), (9_000, (409, "insufficient_funds", True))],
    )
    def test_is_refused_by_what_is_known(self, desk: BulkDesk, amount: int, verdict: tuple[int, str, bool]) -> None:
        """A key of another order, or one that was refused before, ends it before anything is tried."""
        desk.transfer(9_000, "known")
        verdicts = desk.bulk(desk.item("a"), desk.item("b", 5_000), desk.item("known", amount), mode="atomic")
        assert told(verdicts) == [(409, "bulk_aborted", False), (409, "bulk_aborted", False), verdict]
        assert desk.made() == 0
        assert "idempotent-replayed" not in desk.transfer(5_000, "b").headers

    def test_knows_a_key_that_it_holds_twice(self, desk: BulkDesk) -> None:
        """The same order twice is one, and two orders under one key are refused with all the others."""
        twice = desk.bulk(desk.item("a"), desk.item("b"), desk.item("a"), mode="atomic")
        assert told(twice) == [(201, None, False), (201, None, False), (201, None, True)]
        other = desk.bulk(desk.item("c"), desk.item("d"), desk.item("c", 11), mode="atomic")
        assert [code for _, code, _ in told(other)] == ["bulk_aborted", "bulk_aborted", "idempotency_key_reused"]
        assert (desk.balance(1), desk.transfer(10, "c").status_code) == (20, 201)


class TestCopiesOfABulk:
    """Copies of a bulk."""

    @pytest.mark.parametrize("mode", ["each", "atomic"])
    def test_at_once_move_money_once(self, desk: BulkDesk, mode: str) -> None:
        """Four copies at once, and single copies beside them: each item has one transfer, in all the answers."""
        items = [desk.item(f"k{number}-{secrets.token_hex(4)}", 1) for number in range(50)]
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            copies = [threads.submit(desk.bulk, *items, mode=mode) for _ in range(4)]
            alone = [threads.submit(desk.transfer, 1, each["idempotency_key"]) for each in items[:4]]
            verdicts = [each.result() for each in copies]
            singles = [each.result().json()["id"] for each in alone]
        made = [[each.transfer and each.transfer.id for each in copy.results] for copy in verdicts]
        assert made[0][:4] == singles
        assert made == [made[0]] * 4
        assert len(set(made[0])) == 50
        assert Counter(each.replayed for copy in verdicts for each in copy.results)[True] >= 150
        assert desk.balance(1) == 50


class TestABulkWhoseOutcomeCannotBeTold:
    """A bulk whose outcome can't be told."""

    @pytest.mark.parametrize("mode", ["each", "atomic"])
    @pytest.mark.usefixtures("product_locks")
    def test_is_refused_whole_and_exact_when_sent_again(self, live: LiveServer, desk: BulkDesk, mode: str) -> None:
        """While the ledger is held by somebody else it is 503 with a time to come back, and then it is carried out."""
        items = [desk.item(f"k{number}", 10) for number in range(3)]

        async def while_locked() -> httpx.Response:
            tenant = await live.services.registry.get("alpha")
            async with live.services.database.tx(tenant) as tx:
                await tx.execute("SELECT FROM ledger_head FOR UPDATE")
                return await asyncio.to_thread(desk.send, *items, mode=mode)

        answer = live.run(while_locked())
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "1")
        assert told(desk.bulk(*items, mode=mode)) == [(201, None, False)] * 3
        assert desk.balance(1) == 30


class TestADefectAtOneItem:
    """A defect that one item of many meets."""

    def test_is_that_items_alone(self, live: LiveServer, desk: BulkDesk) -> None:
        """It has a 500 of its own among the verdicts; only where there is nothing else is the request's a 500."""
        order = msgspec.convert(desk.order(10), CreateTransfer)

        async def give(*orders: Any) -> list[Answer]:
            tenant = await live.services.registry.get("alpha")
            call = Call(
                services=live.services,
                caller=CALLER,
                request_id="req_1",
                method="POST",
                path="/v1/transfers/bulk",
                headers={},
                base_url=live.base("alpha"),
                tenant_or_none=tenant,
            )
            return await commands(call, orders, together=False)

        good, bad = live.run(give((kinds.TRANSFER, kinds.transfer(order), None), (BUG, None, None)))
        assert (good.status, bad.status, json.loads(bad.body)["code"]) == (201, 500, "internal_error")
        with pytest.raises(errors.InternalError):
            live.run(give((BUG, None, None), (BUG, None, None)))
        assert desk.balance(1) == 10


class TestABulkWithoutRights:
    """A bulk without rights."""

    def test_is_refused_as_a_transfer_is(self, live: LiveServer, desk: BulkDesk) -> None:
        """The scope is that of transfers."""
        token = live.token("alpha", live.add_client("alpha", ["transfers:read"]))
        headers = {"Authorization": f"Bearer {token}"}
        answer = desk.client.post("/v1/transfers/bulk", json={"mode": "each", "transfers": []}, headers=headers)
        assert (answer.status_code, answer.json()["facts"]) == (403, {"scope": "transfers:write"})
