"""Endpoints where nobody is, while a clock is moved at whose instants much is due."""

import asyncio
import json

import pytest

from billfold_server.outbound import reach
from billfold_server.outbound.service import Answer, Failure
from billfold_server.tenancy.context import TenantRef
from tests.server.webhooks.sending import Sender


class Nobody:
    """What comes of calling a name that leads nowhere.

    Attributes:
        asked: How often it was called.
    """

    def __init__(self) -> None:
        self.asked = 0

    async def post(self, *_: object, **__: object) -> Failure:
        """Return that nobody is there."""
        self.asked += 1
        return Failure(cause="unresolved", took_s=5.0)


class TestAnEndpointWhereNobodyIs:
    async def test_is_asked_a_few_times_at_each_instant_of_a_clock_that_is_moved(
        self, sender: Sender, monkeypatch: pytest.MonkeyPatch
    ):
        """Else a clock would stand for minutes at an instant at which much is due. Each attempt is one all the same."""
        nobody = Nobody()
        monkeypatch.setattr(sender.outbound, "post", nobody.post)
        await sender.pass_time(seconds=1)
        await sender.listen("https://partner.example/billfold")
        for number in range(100):
            await sender.happen("hold.placed", of=f"hold_{number}", told=False)
        await sender.relay.run(sender.tenant)
        await sender.pass_time(minutes=1)
        assert await sender.states() == [("waiting", 2, "unresolved")] * 100
        # Four times at each of two instants, and as often more as ten seconds have passed in between.
        assert nobody.asked < 100
        record = await sender.record((await sender.sent())[99].id)
        assert [each.result for each in record.last_attempts] == ["unresolved"] * 2

    async def test_is_asked_for_each_delivery_while_time_passes(self, sender: Sender, monkeypatch: pytest.MonkeyPatch):
        """Somebody may be there a moment later, so what failed once says nothing of the others."""
        nobody = Nobody()
        monkeypatch.setattr(sender.outbound, "post", nobody.post)
        await sender.listen("https://partner.example/billfold")
        await sender.happen("hold.placed", "hold.captured", of="hold_1")
        await sender.work()
        assert nobody.asked >= 2

    async def test_is_asked_at_another_address_at_once(self, sender: Sender, monkeypatch: pytest.MonkeyPatch):
        """Whoever corrects it while a clock is moved finds nothing noted of the new address that wasn't asked there."""
        await sender.pass_time(seconds=1)
        made = await sender.listen("https://nobody.example/billfold")

        async def post(_: TenantRef, url: str, **__: object) -> Answer | Failure:
            if url != made.url:
                return Answer(status=204, headers={}, body=b"", whole=True, took_s=0.1)
            if (await sender.endpoint(made.id)).url == made.url:
                await sender.change(made.id, url="https://partner.example/billfold")
            return Failure(cause="unresolved", took_s=0.0)

        monkeypatch.setattr(sender.outbound, "post", post)
        for number in range(20):
            await sender.happen("hold.placed", of=f"hold_{number}", told=False)
        await sender.relay.run(sender.tenant)
        await sender.pass_time(seconds=1)
        assert {(state, result) for state, _, result in await sender.states()} == {("delivered", "204")}

    async def test_is_not_one_that_is_slow_with_one_event(self, sender: Sender, monkeypatch: pytest.MonkeyPatch):
        """What it can't cope with keeps nothing else of the same object from it, at whatever instant."""

        async def post(*_: object, body: bytes, **__: object) -> Answer | Failure:
            if json.loads(body)["type"] == "hold.placed":
                return Failure(cause="timeout", took_s=15.0)
            return Answer(status=204, headers={}, body=b"", whole=True, took_s=0.1)

        monkeypatch.setattr(sender.outbound, "post", post)
        await sender.pass_time(seconds=1)
        await sender.listen("https://partner.example/billfold")
        await sender.happen("hold.placed", "hold.captured", of="hold_1", told=False)
        await sender.relay.run(sender.tenant)
        await sender.pass_time(seconds=1)
        assert await sender.states() == [("waiting", 1, "timeout"), ("delivered", 1, "204")]

    @pytest.mark.parametrize("objects", [60, 3])
    async def test_that_says_nothing_is_waited_for_a_few_times(
        self, sender: Sender, monkeypatch: pytest.MonkeyPatch, objects: int
    ):
        """Though it takes longer to find that out than a clock is to wait, also where one event waits for another."""
        asked: list[str] = []

        async def post(_: TenantRef, url: str, **__: object) -> Failure:
            asked.append(url)
            await asyncio.sleep(1.1)
            return Failure(cause="timeout", took_s=1.1)

        monkeypatch.setattr(sender.outbound, "post", post)
        monkeypatch.setattr(reach, "_MOVED_S", 1.0)
        await sender.pass_time(seconds=1)
        await sender.listen("https://partner.example/billfold")
        for number in range(60):
            await sender.happen("hold.placed", of=f"hold_{number % objects}", told=False)
        await sender.relay.run(sender.tenant)
        await sender.pass_time(seconds=1)
        assert await sender.states() == [("waiting", 1, "timeout")] * 60
        # Four for each ten of them, else.
        assert len(asked) < 24
