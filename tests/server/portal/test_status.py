"""The status page: what it says of each part, and how often it asks."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from billfold import errors
from billfold_server.portal import status
from billfold_server.tenancy.clock import tenant_now
from billfold_server.webhooks.service import delivery_lag
from tests.live import LiveServer
from tests.tenants import manifest

STATE = re.compile(r'data-state="([a-z]+)"')


@pytest.fixture(scope="module")
def slug(live: LiveServer) -> str:
    """A tenant whose clock is its own."""
    live.add_tenant(manifest("watched"))
    return "watched"


@pytest.fixture(autouse=True)
def nothing_is_kept(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test looks anew, and has its answer and keeps it for as long as it takes, however busy the machine is."""
    monkeypatch.setattr(status, "_PATIENCE_S", 60.0)
    monkeypatch.setattr(status, "FRESH_S", 600)
    live.services.rooms.pop(status._ROOM, None)
    yield
    live.services.rooms.pop(status._ROOM, None)


def states(live: LiveServer, slug: str) -> list[str]:
    """Return what the page says of API, database, keys and webhooks."""
    page = httpx.get(f"{live.base(slug)}/portal/status")
    assert page.status_code == 200
    return STATE.findall(page.text)


class TestTheStatus:
    def test_is_fine_where_everything_works(self, live: LiveServer, slug: str) -> None:
        """All four parts work, and the answer is kept for a moment, whoever asks."""
        assert states(live, slug) == ["fine"] * 4
        kept = dict(live.services.rooms[status._ROOM])
        assert states(live, slug) == ["fine"] * 4
        assert live.services.rooms[status._ROOM] == kept

    def test_is_looked_for_once_however_many_ask(
        self, live: LiveServer, slug: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever asks while somebody looks is answered with what they find."""
        looks = []

        async def slow(*_: object) -> timedelta:
            looks.append(1)
            await asyncio.sleep(0.3)
            return timedelta()

        monkeypatch.setattr(status, "delivery_lag", slow)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: states(live, slug), range(4)))
        assert answers == [["fine"] * 4] * 4
        assert len(looks) == 1

    def test_is_shown_while_the_database_is_away(
        self, live: LiveServer, slug: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody is asked who they are then, and no cause is told."""

        async def away(*_: object) -> Any:
            raise errors.DatabaseUnavailable("made up: secret.internal")

        monkeypatch.setattr(status, "delivery_lag", away)
        page = httpx.get(f"{live.base(slug)}/portal/status", headers={"cookie": "billfold-session-staff=somebody"})
        assert STATE.findall(page.text) == ["fine", "away", "fine", "away"]
        assert "internal" not in page.text

    def test_tells_of_keys_that_are_out_of_reach(
        self, live: LiveServer, slug: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Money moves on, and what is sealed stays closed."""
        closed = type(live.services.keys.standing)(ok=False)
        # Whatever the server itself finds meanwhile.
        held = property(lambda _: closed, lambda _, __: None)
        monkeypatch.setattr(type(live.services.keys), "standing", held, raising=False)
        assert states(live, slug) == ["fine", "fine", "away", "fine"]


class TestDeliveries:
    def test_are_late_once_they_have_waited_for_a_minute(self, live: LiveServer, slug: str) -> None:
        """What is due at an enabled endpoint counts; what waits for its next attempt, or at a paused one, doesn't."""
        with live.client(slug) as client:
            made = client.post(
                "/v1/webhook-endpoints", json={"url": "https://partner.example/", "event_types": ["data_keys.rotated"]}
            )
            assert made.status_code == 201, made.text

            async def lag(ago: timedelta | None) -> timedelta:
                tenant = await live.services.registry.get(slug)
                async with live.services.database.tx(tenant) as tx:
                    now = await tenant_now(tx)
                    await tx.execute("DELETE FROM webhook_deliveries")
                    if ago is not None:
                        await tx.execute(
                            "INSERT INTO webhook_deliveries (id, endpoint_id, event_id, sequence, event_type, state,"
                            " attempts, begun_at, next_attempt_at, created_at) SELECT gen_random_uuid(), id,"
                            " gen_random_uuid(), 1, 'a.b', 'waiting', 0, $1::timestamptz, $1, $1"
                            " FROM webhook_endpoints",
                            now - ago,
                        )
                    found = await delivery_lag(tx, now)
                    await tx.execute("DELETE FROM webhook_deliveries")
                    return found

            minutes = timedelta(minutes=2)
            assert live.run(lag(minutes)) >= minutes
            assert live.run(lag(-minutes)) < minutes
            path = f"/v1/webhook-endpoints/{made.json()['id']}"
            assert client.patch(path, json={"state": "paused"}).status_code == 200
            assert live.run(lag(minutes)) == timedelta()
            assert client.delete(path).status_code == 204

    def test_that_are_late_are_said_to_be(self, live: LiveServer, slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The page says it from a minute on."""
        for waited, said in ((timedelta(seconds=60), "fine"), (timedelta(seconds=61), "late")):

            async def lag(*_: object, waited: timedelta = waited) -> timedelta:
                return waited

            monkeypatch.setattr(status, "delivery_lag", lag)
            live.services.rooms.pop(status._ROOM, None)
            assert states(live, slug)[-1] == said
