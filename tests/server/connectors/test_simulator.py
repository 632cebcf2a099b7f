"""The simulated rail: what it says is decided by the order alone, and stays so however often the process dies."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import get_args

import httpx
import msgspec
import pytest
import pytest_asyncio

from billfold import ids
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Account, Credit, Instruction, RailSilent, Report, SimulatedRail, Word
from billfold_server.connectors.simulator import address, rules
from billfold_server.connectors.simulator.state import AnotherOrder, Orders
from billfold_server.serving.on_demand import OnDemand
from billfold_server.serving.supervisor import SIMULATOR
from billfold_server.settings import Settings
from tests.contract.documents import read_document
from tests.postgres import in_own_loop


def instruction(
    reference: str | None = None, amount_minor: int = 1_000, account: str = "20000055779911"
) -> Instruction:
    """Return an order."""
    return Instruction(
        key=ids.new(Prefix.PAYMENT),
        amount=Money(amount_minor, "GBP"),
        creditor=Account(scheme="UK.OBIE.SortCodeAccountNumber", identification=account, name="Grace Hopper"),
        end_to_end_id="E2E",
        reference=reference,
    )


def words(report: Report | None) -> list[Word]:
    """Return what a report says."""
    assert report is not None
    return [notice.word for notice in report.notices]


class TestTheTableOfAnswers:
    def test_is_one_row_for_each_way_of_answering(self) -> None:
        """No word of it is in an earlier one's order, no amount is there twice, and every word of rails is said."""
        amounts = [each.amount_minor for each in rules.BEHAVIOURS]
        assert len(set(amounts)) == len(amounts)
        for each in rules.BEHAVIOURS:
            assert rules.behaviour_of(instruction(each.word)) is each
            assert rules.behaviour_of(instruction(f"pay {each.word.lower()} please")) is each
            assert rules.behaviour_of(instruction(amount_minor=each.amount_minor)) is each
            assert rules.behaviour_of(instruction(account=f"GB33BLFD040004{each.account_ending}")) is each
        shown = [each.amount_minor for each in rules.listed()]
        assert shown == sorted(amounts)
        said = {saying.word for each in rules.BEHAVIOURS for saying in each.sayings}
        assert said == set(get_args(Word)) - {"pending"}

    def test_has_an_ordinary_way_for_all_else(self) -> None:
        """An order that asks for nothing is accepted and settled at once."""
        assert words(rules.report("k", rules.behaviour_of(instruction("Invoice")).sayings, 0)) == ["accept", "settle"]


AS_TABLED: dict[str, tuple[list[str] | None, ...]] = {
    "RAIL-CREDIT": (["accept", "settle", "credit"],) * 3,
    "RAIL-CHANGE": (["change"], *(["change", "settle"],) * 2),
    "RAIL-LATE": (["accept"], ["accept"], ["accept", "settle"]),
    "RAIL-TWICE": (["accept", "accept", "settle", "settle"],) * 3,
    "RAIL-ORDER": (["settle", "accept"],) * 3,
    "RAIL-CONTRARY": (["settle"], *(["settle", "reject"],) * 2),
    "RAIL-REVIVE": (["reject"], *(["reject", "settle"],) * 2),
    "RAIL-SILENT": (None, [], []),
    "RAIL-LOST": (None, ["unknown"], ["accept", "settle"]),
    "RAIL-DEAF": (None, None, None),
    "RAIL-REJECT": (["reject"],) * 3,
    "RAIL-REJECT-LATE": (["accept"], ["accept"], ["accept", "reject"]),
    "RAIL-CANCEL": (["cancel"],) * 3,
    "RAIL-BLOCK": (["accept"], *(["accept", "block"],) * 2),
}
"""What each row says that is heard of an order, by a first inquiry and by a second one; None is no answer."""


class TestAMagicValue:
    def test_does_as_the_table_says(self, tmp_path: Path) -> None:
        """What is heard is as each row says, and the document has the row."""
        assert AS_TABLED.keys() == {each.word for each in rules.BEHAVIOURS}
        (shown,) = (tag["description"] for tag in read_document()["tags"] if tag["name"] == "Sandbox")
        orders = Orders(tmp_path)
        for each in rules.BEHAVIOURS:
            assert f"| `{each.word}` | {each.amount_minor} | `…{each.account_ending}` | {each.does} |" in shown
            assert tuple(heard(orders, instruction(f"Pay {each.word}"))) == AS_TABLED[each.word], each.word
        orders.close()

    def test_gives_way_to_what_is_simulated(self, tmp_path: Path) -> None:
        """An order that somebody has rejected stays rejected for that reason, whatever it says itself."""
        orders, order = Orders(tmp_path), instruction("RAIL-LATE")
        said = [orders.submit(order, rejects="AM04"), orders.submit(order), orders.inquire(order.key)]
        assert [words(each) for each in said] == [["reject"]] * 3
        assert {notice.reason for each in said if each for notice in each.notices} == {"AM04"}
        orders.close()


def heard(orders: Orders, order: Instruction) -> Iterator[list[str] | None]:
    """Yield what is heard of an order, by an inquiry, and by another; what isn't known is ordered again."""
    said = orders.submit(order)
    yield None if said is None else list(words(said))
    for _ in range(2):
        try:
            said = orders.inquire(order.key)
        except KeyError:
            orders.submit(order)
            yield ["unknown"]
        else:
            yield None if said is None else list(words(said))


class TestMoneyThatComesIn:
    def test_waits_in_its_own_mailbox_until_it_is_answered(self, tmp_path: Path) -> None:
        """It is there once under its key, for whom it is for, until that one has answered."""
        account = Account(scheme="iban", identification="GB33BUKB20201555555555")
        credit = Credit(
            key="in_1", amount=Money(5, "GBP"), debtor=account, creditor=account, end_to_end_id="E", reference="x"
        )
        orders = Orders(tmp_path)
        orders.announce("ours", credit)
        orders.announce("ours", credit)
        with pytest.raises(AnotherOrder):
            orders.announce("ours", msgspec.structs.replace(credit, amount=Money(6, "GBP")))
        found = [orders.find_credit(*each) for each in (("ours", "in_1"), ("ours", "in_2"), ("theirs", "in_1"))]
        assert found == [credit, None, None]
        orders.answer("ours", "in_1")
        orders.announce("ours", credit)
        assert orders.find_credit("ours", "in_1") is None
        orders.close()


class TestWhatItRemembers:
    def test_is_the_same_after_it_was_killed(self, tmp_path: Path) -> None:
        """Another process answers what the first would have, to the notices' ids."""
        order, late = instruction(), instruction("RAIL-LATE")
        before = Orders(tmp_path)
        said = before.submit(order)
        assert words(before.submit(late)) == ["accept"]
        assert words(before.inquire(late.key)) == ["accept"]
        after = Orders(tmp_path)
        assert (after.submit(order), words(after.inquire(late.key))) == (said, ["accept", "settle"])
        before.close()
        after.close()

    def test_is_one_order_under_a_key(self, tmp_path: Path) -> None:
        """Another order under the same key isn't taken, and one that was lost isn't known."""
        orders = Orders(tmp_path)
        order, lost = instruction(), instruction("RAIL-LOST")
        orders.submit(order)
        with pytest.raises(AnotherOrder):
            orders.submit(
                Instruction(key=order.key, amount=Money(1, "GBP"), creditor=order.creditor, end_to_end_id="E")
            )
        assert orders.submit(lost) is None
        with pytest.raises(KeyError):
            orders.inquire(lost.key)
        assert words(orders.submit(lost)) == ["accept", "settle"]
        orders.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder."""
    return tmp_path_factory.mktemp("rail")


@pytest.fixture(scope="module")
def process(folder: Path) -> Iterator[OnDemand]:
    """A simulator that is looked after."""
    looked_after = OnDemand(Settings(data_dir=str(folder)), SIMULATOR)
    in_own_loop(looked_after.wake())
    yield looked_after
    looked_after.stop()


@pytest_asyncio.fixture
async def rail(process: OnDemand, folder: Path) -> AsyncIterator[SimulatedRail]:
    """A connector to it, with as much patience as a busy machine wants."""
    assert process
    rail = SimulatedRail(address.folder_of(folder), patience_s=30)
    yield rail
    await rail.aclose()


def found_in(folder: Path) -> address.Address:
    """Return where the simulator says that it is."""
    found = address.read(address.folder_of(folder))
    assert found is not None
    return found


class TestTheProcess:
    async def test_is_spoken_with_over_http(self, rail: SimulatedRail) -> None:
        """Orders are taken, known under their keys, and answered as the table says."""
        order = instruction("RAIL-CREDIT")
        assert await rail.inquire(order.key) is None
        assert words(await rail.submit(order)) == ["accept", "settle", "credit"]
        assert await rail.inquire(order.key) == await rail.submit(order)

    async def test_can_be_silent(self, rail: SimulatedRail, folder: Path) -> None:
        """No answer within one's patience is told from every answer that there can be."""
        silent = instruction("RAIL-SILENT")
        hasty = SimulatedRail(address.folder_of(folder), patience_s=0.5)
        with pytest.raises(RailSilent):
            await hasty.submit(silent)
        await hasty.aclose()
        # It has the order, or will have it in a moment.
        while (report := await rail.inquire(silent.key)) is None:
            await asyncio.sleep(0.01)
        assert words(report) == []

    async def test_is_replaced_when_it_is_killed_and_knows_what_it_knew(
        self, rail: SimulatedRail, folder: Path
    ) -> None:
        """Whoever asks meanwhile hears nothing; the next process says what the first one said."""
        order = instruction()
        said = await rail.submit(order)
        former = found_in(folder).pid
        os.kill(former, signal.SIGKILL)
        heard: Report | None = None
        async with asyncio.timeout(20):
            while heard is None:
                with contextlib.suppress(RailSilent):
                    heard = await rail.inquire(order.key)
                await asyncio.sleep(0.02)
        assert heard == said == await rail.submit(order)
        assert found_in(folder).pid != former

    def test_answers_nobody_who_does_not_know_its_secret(self, process: OnDemand, folder: Path) -> None:
        """Another user of the machine gets nothing out of it, and can't read the secret."""
        assert process
        found = found_in(folder)
        url = f"http://127.0.0.1:{found.port}/instructions/x"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"authorization": f"Bearer {found.secret}"}).status_code == 404
        file = address.folder_of(folder) / "address.json"
        assert (file.stat().st_mode & 0o777, found.secret in repr(found)) == (0o600, False)
