"""Requests that the server makes of itself: on the usual way, known by what is told of them."""

import asyncio

import httpx

from billfold_server.http.inside import ROOM, Inside, Origin, origin_in
from tests.live import LiveServer


class TestARequestFromInside:
    def test_is_answered_as_one_from_outside(self, live: LiveServer) -> None:
        """Its answer is the one that anybody gets, under the id that was told, and a refusal is a refusal."""
        inside: Inside = live.services.rooms[ROOM]

        async def ask(path: str, request_id: str) -> tuple[int, str, bytes]:
            headers = {"host": "127.0.0.1"}
            answered = await inside.ask("GET", path, "", headers, b"", origin=Origin(request_id, "192.0.2.7"))
            return answered.status, answered.headers["x-request-id"], answered.body

        outside = httpx.get(f"{live.base('alpha')}/.well-known/jwks.json")
        assert live.run(ask("/t/alpha/.well-known/jwks.json", "req_1")) == (200, "req_1", outside.content)
        status, request_id, body = live.run(ask("/t/alpha/v1/tenant", "req_2"))
        assert (status, request_id) == (401, "req_2")
        assert b"invalid_token" in body

    def test_is_carried_out_though_nobody_waits(self) -> None:
        """Who stops waiting stops nothing: what was begun is brought to its end."""
        begun, going_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def app(_scope: object, _receive: object, _send: object) -> None:
            begun.set()
            await going_on.wait()
            done.set()

        async def work() -> None:
            waiting = asyncio.create_task(Inside(app).ask("GET", "/", "", {}, b"", origin=Origin("req_1", "")))
            async with asyncio.timeout(30):
                await begun.wait()
                waiting.cancel()
                going_on.set()
                await done.wait()

        asyncio.run(work())

    def test_is_told_by_nothing_on_the_wire(self) -> None:
        """Only the connection's scope tells; whatever a request says of itself doesn't."""
        assert origin_in({"type": "http", "headers": [(b"billfold.inside", b"req_1")], "state": {}}) is None
        assert origin_in({"billfold.inside": "req_1"}) is None
