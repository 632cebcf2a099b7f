"""The simulated rail: what it says is decided by the order alone, and stays so however often the process dies."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import get_args

import httpx
import pytest
import pytest_asyncio

from billfold import ids
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Account, Instruction, RailSilent, Report, SimulatedRail, Word
from billfold_server.connectors.simulator import address, rules
from billfold_server.connectors.simulator.state import AnotherOrder, Orders
from billfold_server.serving.on_demand import OnDemand
from billfold_server.serving.supervisor import SIMULATOR
from billfold_server.settings import Settings
from tests.postgres import in_own_loop


def instruction(reference: str | None = None, amount_minor: int = 1_000) -> Instruction:
    """Return an order."""
    return Instruction(
        key=ids.new(Prefix.PAYMENT),
        amount=Money(amount_minor, "GBP"),
        creditor=Account(scheme="UK.OBIE.SortCodeAccountNumber", identification="20000055779911", name="Grace Hopper"),
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
            assert each.word in (rules.__doc__ or "")
            assert str(each.amount_minor) in (rules.__doc__ or "")
        said = {saying.word for each in rules.BEHAVIOURS for saying in each.sayings}
        assert said == set(get_args(Word)) - {"pending"}

    def test_has_an_ordinary_way_for_all_else(self) -> None:
        """An order that asks for nothing is accepted and settled at once."""
        assert words(rules.report("k", rules.behaviour_of(instruction("Invoice")).sayings, 0)) == ["accept", "settle"]


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
    """A connector to it, with little patience."""
    assert process
    rail = SimulatedRail(address.folder_of(folder), patience_s=0.5)
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

    async def test_can_be_silent(self, rail: SimulatedRail) -> None:
        """No answer within one's patience is told from every answer that there can be."""
        silent = instruction("RAIL-SILENT")
        with pytest.raises(RailSilent):
            await rail.submit(silent)
        assert words(await rail.inquire(silent.key)) == []

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
