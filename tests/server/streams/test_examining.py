"""What ``billfold doctor`` says of NATS (serving/nats.py), on a real server."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billfold_server.serving.nats import examine_nats
from billfold_server.settings import Settings
from billfold_server.streams import service
from tests.ports import held
from tests.server.streams.conftest import Nats
from tests.server.streams.test_publishing import Guarded, Stream

pytestmark = pytest.mark.usefixtures("patience")


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for NATS for longer than the product does: a server that stands still for a while isn't away."""
    monkeypatch.setattr(service, "_CONNECT_S", 15.0)
    monkeypatch.setattr(service, "_ANSWER_S", 30.0)


async def said(url: str | None, **given: Any) -> tuple[str, str]:
    """Return how NATS was judged, and what was said of it."""
    (check,) = await examine_nats(Settings(nats_url=url, **given))
    assert check.name == "nats"
    return check.verdict, check.sentence


async def streams(stream: Stream) -> list[str]:
    """Return the names of all streams that there are."""
    client = await stream.client()
    try:
        return [each.config.name for each in await client.jetstream(timeout=60).streams_info()]
    finally:
        await client.close()


class TestNats:
    async def test_is_looked_at_only_where_it_is_named(self):
        """Where nothing is published nothing is said."""
        assert await examine_nats(Settings()) == []

    async def test_is_left_as_it_was(self, nats: Nats):
        """Whether the stream is there or not is told, and none is made by looking."""
        stream = Stream(nats)
        given = {"nats_stream": stream.name, "nats_subject": stream.name}
        before = await streams(stream)
        assert await said(nats.url, **given) == (
            "ok",
            f"NATS answers and lets us in; the server makes the stream {stream.name}, if it may.",
        )
        assert await streams(stream) == before
        await stream.publisher._connected()
        assert await said(nats.url, **given) == ("ok", f"NATS answers, lets us in, and has the stream {stream.name}.")
        verdict, sentence = await said(nats.url, nats_stream=f"{stream.name}X", nats_subject=stream.name)
        assert (verdict, f"another stream, {stream.name}, " in sentence) == ("warn", True)
        await stream.publisher.aclose()

    async def test_is_told_apart_from_one_that_is_away(self, nats: Nats):
        """Each address is looked at, and a server runs without NATS, so nothing fails."""
        with held(1) as (port,):
            away = f"nats://127.0.0.1:{port}"
            verdict, sentence = await said(f"{nats.url},{away}")
        assert verdict == "warn"
        assert f"can't be reached at {away}" in sentence


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """Run a NATS server that lets nobody in but by TLS, a client's certificate, a name and a password."""
    if shutil.which("nats-server") is None:
        pytest.skip("needs nats-server")
    with held(1) as (port,):
        server = Guarded(tmp_path, port)
        server.start()
        yield server
        server.stop()


class TestNatsThatIsGuarded:
    async def test_says_what_is_to_be_mended(self, guarded: Guarded, tmp_path: Path):
        """The password, the authority, or a file; and nothing where all of it is right."""
        assert (await said(guarded.url, **guarded.given))[0] == "ok"
        wrong = tmp_path / "wrong"
        wrong.write_text("another", encoding="utf-8")
        for setting, value, expected in (
            ("nats_password_file", str(wrong), "doesn't let us in"),
            ("nats_ca_file", guarded.given["nats_client_certificate"], "isn't one that we trust"),
            ("nats_client_key", str(wrong), "can't be read"),
        ):
            verdict, sentence = await said(guarded.url, **{**guarded.given, setting: value})
            assert (verdict, expected in sentence) == ("warn", True), (setting, sentence)
            assert "another" not in sentence


class TestNatsThatHoldsSoManyStreams:
    @pytest.mark.parametrize(("most", "verdict"), [(0, "ok"), (1, "warn"), (2, "ok")])
    async def test_has_room_or_not(self, tmp_path: Path, most: int, verdict: str):
        """One is there already. None at most is as many as anybody likes, by what NATS itself does."""
        if shutil.which("nats-server") is None:
            pytest.skip("needs nats-server")
        with held(1) as (port,):
            account = f'users: [{{user: "a", password: "b"}}], jetstream: {{max_streams: {most}}}'
            server = Nats(tmp_path, port, f"accounts {{ A: {{ {account} }} }}\n")
            server.start()
            password = tmp_path / "password"
            password.write_text("b", encoding="utf-8")
            given: dict[str, Any] = {"nats_user": "a", "nats_password_file": str(password)}
            one = Stream(server, **given)
            await one.publisher._connected()
            found = await said(server.url, **given)
            await one.publisher.aclose()
            server.stop()
        assert (found[0], "no room for another stream" in found[1]) == (verdict, verdict == "warn"), found


class TestNatsWithoutJetStream:
    async def test_is_not_enough(self, tmp_path: Path):
        """It answers and lets us in, and keeps nothing."""
        if shutil.which("nats-server") is None:
            pytest.skip("needs nats-server")
        with held(1) as (port,):
            users = '{user: "a", password: "b"}'
            server = Nats(tmp_path, port, f"accounts {{ A: {{ users: [{users}] }} }}\n")
            server.start()
            password = tmp_path / "password"
            password.write_text("b", encoding="utf-8")
            verdict, sentence = await said(server.url, nats_user="a", nats_password_file=str(password))
            server.stop()
        assert (verdict, "JetStream doesn't answer us" in sentence) == ("warn", True)
