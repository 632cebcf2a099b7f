"""A Vault that is away, slow, broken or another's: told at once and alike, and gone when it is (a real OpenBao)."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import hvac
import pytest

from billfold_server.keys.backends.vault.backend import PATIENCE_S, VaultBackend
from billfold_server.keys.rules import SealBroken
from billfold_server.keys.service import Keys
from billfold_server.serving.vault.examining import examine_kept
from billfold_server.settings import Settings
from tests.keystores import Owner, StoreUrls, as_administrator
from tests.openbao import OpenBao
from tests.pace import quickest
from tests.ports import held
from tests.server.keys.vault.kit import (
    Proxy,
    a_key,
    answering,
    approle,
    cause,
    opened,
    proxied,
    recovers,
    refused,
    set_up,
    works,
)


@pytest.fixture
async def proxy(openbao: OpenBao) -> AsyncIterator[Proxy]:
    """A way to Vault that can be made a bad one."""
    async with proxied(openbao) as made:
        yield made


@pytest.fixture
async def backend(openbao: OpenBao, proxy: Proxy, tmp_path: Path) -> AsyncIterator[VaultBackend]:
    """A backend that has been working through that."""
    async with opened(openbao, tmp_path, address=proxy.address) as made:
        await works(made)
        yield made


class TestAVaultThat:
    async def test_is_sealed_says_so_and_is_used_again_when_it_is_unsealed(
        self, openbao: OpenBao, backend: VaultBackend
    ):
        """Neither health nor calls need a restart."""
        key = a_key()
        await backend.ensure(key)
        wrapped = await backend.wrap(key, b"p" * 32, b"")
        with openbao.sealed():
            for _ in range(5):
                assert await refused(backend.unwrap(key, wrapped, b"")) == "sealed"
            assert (await backend.health()).reason == "sealed"
        await recovers(backend)
        assert await backend.unwrap(key, wrapped, b"") == b"p" * 32
        assert (await backend.health()).ok

    async def test_is_sealed_when_we_come_is_used_once_it_is_not(self, openbao: OpenBao, tmp_path: Path):
        """A server starts without it."""
        settings = approle(openbao, tmp_path)
        with openbao.sealed():
            async with opened(openbao, tmp_path, **settings) as backend:
                assert (await backend.health()).reason == "sealed"
                assert await cause(backend) == "sealed"
                openbao.unseal()
                await recovers(backend)

    async def test_is_slow_is_given_up_in_time_and_off_the_event_loop(self, backend: VaultBackend, proxy: Proxy):
        """Many wait together for as long as one; the loop goes on, and in the end nobody waits at all."""
        assert PATIENCE_S < 2
        backend._patience_s = 0.6
        proxy.delay_s = 5.0
        longest: list[float] = []

        async def ask() -> None:
            backend._breaker.succeeded()
            lags: list[float] = []
            ticking = asyncio.create_task(_tick(lags))
            reasons = await asyncio.gather(*(refused(backend.ensure(a_key())) for _ in range(30)))
            ticking.cancel()
            assert set(reasons) == {"slow"}
            longest.append(max(lags) if len(lags) > 10 else 1)

        async def ask_again() -> None:
            assert await cause(backend) == "slow"

        assert await quickest(ask, below_s=1) < 1
        assert min(longest) < 0.5
        # The breaker may let one try meanwhile, who has to wait.
        assert await quickest(ask_again, below_s=0.2) < 0.2
        proxy.delay_s = 0.0
        await recovers(backend)

    async def test_sends_its_answer_in_drops_is_slow(self, openbao: OpenBao, tmp_path: Path):
        """Each drop is in time, and all of them aren't."""
        with answering() as other:
            # All of them would take ten minutes.
            other.answer = (200, {}, b" " * 12_000)
            other.drop_s = 0.05
            async with opened(openbao, tmp_path, address=other.url) as backend:
                backend._patience_s = 0.4
                assert await cause(backend) == "slow"
                # The thread has let go, too.
                async with asyncio.timeout(30):
                    await backend._in_thread(lambda: None, patience_s=30)

    async def test_cuts_connections_is_unreachable(self, backend: VaultBackend, proxy: Proxy):
        """In the middle of a request, time and again."""
        proxy.cut = True
        assert await cause(backend) == "unreachable"
        proxy.cut = False
        await recovers(backend)

    async def test_is_not_there_is_unreachable(self, openbao: OpenBao, tmp_path: Path):
        """Nobody listens at its address, or its name is nobody's."""
        with held(1) as (port,):
            for address in (f"http://127.0.0.1:{port}", "https://vault.invalid"):
                async with opened(openbao, tmp_path, address=address) as backend:
                    assert await cause(backend) == "unreachable"
                    assert (await backend.health()).reason == "unreachable"

    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (200, b"<html>It works!</html>", "garbage"),
            (200, b"[]", "garbage"),
            (200, b"\xff", "garbage"),
            (200, b'{"auth": {"client_token": "t"}}', "garbage"),
            (200, b" " * 5_000_000, "garbage"),
            (400, b"<html>Bad request</html>", "garbage"),
            (404, b"<html>Not here</html>", "garbage"),
            (400, b'{"errors": ["no"]}', "login_refused"),
            (403, b'{"errors": ["no"]}', "login_refused"),
            (307, b"", "standby"),
            (412, b'{"errors": ["behind"]}', "standby"),
            (429, b'{"errors": ["quota"]}', "overloaded"),
            (472, b"", "standby"),
            (473, b"", "standby"),
            (500, b'{"errors": ["internal error"]}', "failing"),
            (501, b'{"errors": ["not initialized"]}', "not_initialized"),
            (502, b"<html>Bad gateway</html>", "failing"),
            (503, b'{"errors": ["Vault is sealed"]}', "sealed"),
            (504, b"", "failing"),
        ],
    )
    async def test_answers_something_else_is_told_apart(
        self, openbao: OpenBao, tmp_path: Path, status: int, body: bytes, expected: str
    ):
        """Whatever comes, from it or from a proxy before it; no redirection is followed with a token."""
        with answering() as other, answering() as elsewhere:
            other.answer = (status, {"Location": f"{elsewhere.url}/v1/sys/health"}, body)
            async with opened(openbao, tmp_path, address=other.url) as backend:
                assert await cause(backend) == expected
            assert elsewhere.seen == []

    async def test_was_brought_back_from_before_is_told_by_the_doctor(
        self,
        openbao: OpenBao,
        tmp_path: Path,
        key_store_urls: StoreUrls,
        new_keys: Callable[..., Keys],
        owner: Owner,
    ):
        """It answers and lets us in as ever, and has no key, or no version of one, that was made meanwhile."""
        login = approle(openbao, tmp_path)
        named = Settings(key_backend="vault", data_dir=str(tmp_path), vault_address=openbao.url, **login)
        transit, name = openbao.root.secrets.transit, f"billfold-data-{owner.id}"

        async def lacks_ours() -> bool:
            (check,) = await examine_kept(named, key_store_urls.own)
            return str(owner.id) in check.sentence and check.verdict == "fail"

        async with opened(openbao, tmp_path, **login) as backend:
            keys = new_keys(backend=lambda _store: backend)
            await keys.sealer(owner)
            assert not await lacks_ours()
            as_kept = "UPDATE key_epochs SET key_version = $2 WHERE tenant_id = $1"
            await as_administrator(key_store_urls, as_kept, owner.id, 2)
            assert await lacks_ours()
            await as_administrator(key_store_urls, as_kept, owner.id, 1)
            transit.update_key_configuration(name, deletion_allowed=True)
            transit.delete_key(name)
            assert await lacks_ours()
            assert (await backend.health()).ok
            with openbao.sealed():
                assert await examine_kept(named, key_store_urls.own) == []
        assert await examine_kept(Settings(data_dir=str(tmp_path)), key_store_urls.own) == []

    async def test_has_a_key_that_it_would_hand_out_is_not_used(self, openbao: OpenBao, tmp_path: Path):
        """Somebody has made it by hand, exportable or not derived."""
        async with opened(openbao, tmp_path) as backend:
            for options in ({"exportable": True, "derived": True}, {"derived": False}):
                key = a_key()
                openbao.root.secrets.transit.create_key(f"billfold-data-{key.tenant_id}", **options)
                assert await refused(backend.ensure(key)) == "failing"
                assert backend._breaker.cause == "key_unfit"
                assert await refused(backend.wrap(key, b"p", b"")) == "failing"
                backend._breaker.succeeded()

    async def test_would_make_a_missing_key_makes_none(self, openbao: OpenBao, tmp_path: Path):
        """Though the token may do everything."""
        token = tmp_path / "root"
        token.write_text(openbao.root.token)
        async with opened(openbao, tmp_path, vault_login="token", vault_token_file=str(token)) as backend:
            key = a_key()
            for call in (backend.wrap(key, b"p", b""), backend.rotate(key), backend.versions(key)):
                with pytest.raises(SealBroken):
                    await call
            names: list[str] = []
            # Where there is none at all, the list isn't found.
            with contextlib.suppress(hvac.exceptions.InvalidPath):
                names = openbao.root.secrets.transit.list_keys()["data"]["keys"]
            assert f"billfold-data-{key.tenant_id}" not in names


async def _tick(lags: list[float]) -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.02)
        lags.append(time.monotonic() - before - 0.02)


class TestABreaker:
    async def test_lets_one_try_while_all_others_are_told_at_once(
        self, backend: VaultBackend, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ):
        """A Vault that hangs costs one request its time, and not one each."""
        proxy.delay_s = 5.0
        backend._patience_s = 0.3
        await asyncio.gather(*(refused(backend.ensure(a_key())) for _ in range(3)))
        backend._breaker._opens_at = 0
        tries, in_thread = 0, backend._in_thread

        async def counted(work: Callable[[], Any], *, patience_s: float) -> Any:
            nonlocal tries
            tries += 1
            return await in_thread(work, patience_s=patience_s)

        monkeypatch.setattr(backend, "_in_thread", counted)
        assert await asyncio.gather(*(cause(backend) for _ in range(20))) == ["slow"] * 20
        assert tries == 1

    async def test_is_free_again_where_who_tried_went_away(self, backend: VaultBackend, proxy: Proxy):
        """A request that is cancelled meanwhile says nothing of Vault."""
        proxy.delay_s = 5.0
        backend._patience_s = 0.3
        await asyncio.gather(*(refused(backend.ensure(a_key())) for _ in range(3)))
        backend._breaker._opens_at = 0
        trying = asyncio.create_task(backend.ensure(a_key()))
        await asyncio.sleep(0)
        trying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trying
        proxy.delay_s = 0.0
        await works(backend)


class TestWhatIsLogged:
    async def test_names_neither_address_nor_token_nor_key(
        self, openbao: OpenBao, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        """At the level debug, of what works and of what doesn't."""
        caplog.set_level(logging.DEBUG)
        set_up(openbao)
        settings = approle(openbao, tmp_path)
        key = a_key()
        async with proxied(openbao) as proxy, opened(openbao, tmp_path, address=proxy.address, **settings) as backend:
            await backend.ensure(key)
            token = backend._session._held.granted.token  # type: ignore[union-attr]
            proxy.cut = True
            await refused(backend.ensure(key))
            port = proxy.address.rpartition(":")[2]
        assert "logged in to Vault" in caplog.text
        assert "unreachable" in caplog.text
        for secret in (token, settings["vault_role_id"], port, str(key.tenant_id), "/v1/"):
            assert secret not in caplog.text
