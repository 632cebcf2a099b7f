"""Health: what anybody may ask, without taking anything from those who are served."""

import asyncio
from contextlib import nullcontext
from typing import Any

import httpx
import msgspec
import pytest

from billfold import errors
from billfold_server.app import build_app
from billfold_server.keys.service import SealBroken
from billfold_server.settings import Secret
from tests.live import LiveServer


class TestReadiness:
    async def test_asks_the_database_once_for_all_who_want_to_know(self, live: LiveServer) -> None:
        """A hundred questions at a time take one connection, so that strangers can't keep requests from theirs."""
        app: Any = build_app(live.settings)
        pools, most = app.state.services.database.pools, 0
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            assert (await client.get("/health/ready")).status_code == 200
            asking = [asyncio.create_task(client.get("/health/ready")) for _ in range(100)]
            while not all(task.done() for task in asking):
                await asyncio.sleep(0)
                most = max(most, pools.on_loan)
            assert {(await task).status_code for task in asking} == {200}
        assert most == 1
        await app.state.services.engine.close()
        await app.state.services.keys.close()
        await app.state.services.database.close()

    async def test_fails_with_the_database_and_comes_back_with_it(self, live: LiveServer) -> None:
        """503 with a reason for everybody who asks meanwhile; nothing of it is remembered."""
        settings = msgspec.structs.replace(live.settings, database_url=Secret("postgresql://nobody@127.0.0.1:1/none"))
        app: Any = build_app(settings)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            answers = await asyncio.gather(*(client.get("/health/ready") for _ in range(5)))
            assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
                (503, "database_unavailable")
            }
            assert (await client.get("/health/live")).status_code == 200
        await app.state.services.engine.close()
        await app.state.services.keys.close()
        await app.state.services.database.close()

    async def test_fails_where_the_database_can_only_be_read(self, live: LiveServer) -> None:
        """A standby answers, but serves no request, so whoever asks is sent to another server or waits: 503."""
        assert live.settings.database_url is not None
        url = live.settings.database_url.reveal()
        only_read = f"{url}{'&' if '?' in url else '?'}default_transaction_read_only=on"
        app: Any = build_app(msgspec.structs.replace(live.settings, database_url=Secret(only_read)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            answer = await client.get("/health/ready")
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert "can't write" in answer.json()["detail"]
        await app.state.services.engine.close()
        await app.state.services.keys.close()
        await app.state.services.database.close()

    async def test_goes_on_without_keys_and_says_so(self, live: LiveServer) -> None:
        """The ledger needs no keys, so a worker without them stays in its place; monitoring is told why."""
        settings = msgspec.structs.replace(live.settings, key_store_url=Secret("postgresql://nobody@127.0.0.1:1/none"))
        app: Any = build_app(settings)
        services = app.state.services
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            assert (await client.get("/health/ready")).json()["keys"] == "ok"
            await services.keys.look()
            answer = await client.get("/health/ready")
            assert (answer.status_code, answer.json()["keys"]) == (200, "key_store_unreachable")
            told = (await client.get("/metrics")).text
            assert 'billfold_keys_available{domain="data"} 0.0' in told
        await services.engine.close()
        await services.keys.close()
        await services.database.close()

    async def test_warns_of_keys_that_do_not_open(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Vault may answer as ever, and be another one: the worker stays in its place, and monitoring is told."""
        app: Any = build_app(live.settings)
        services = app.state.services
        tenant = await services.registry.get("alpha")
        await services.keys.sealer(tenant)
        assert b'billfold_keys_failures_total{domain="data",reason="unopened"} 0.0' in services.metrics.exposition()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            for unopened in (1, 0):
                services.keys.evict_all()
                with monkeypatch.context() as changed:
                    if unopened:
                        changed.setattr(services.keys.backends.current, "unwrap", another_one)
                    with pytest.raises(errors.KeysUnavailable) if unopened else nullcontext():
                        await services.keys.sealer(tenant)
                answer = await client.get("/health/ready")
                assert (answer.status_code, answer.json()["keys"]) == (200, "ok")
                warnings = [each for each in answer.json()["warnings"] if "keys of 1 tenant(s)" in each]
                assert len(warnings) == unopened, "told until they open"
                told = (await client.get("/metrics")).text
                assert 'billfold_keys_failures_total{domain="data",reason="unopened"} 1.0' in told
        await services.engine.close()
        await services.keys.close()
        await services.database.close()


async def another_one(*_: object) -> bytes:
    """Open nothing, as a Vault that has other keys."""
    raise SealBroken
