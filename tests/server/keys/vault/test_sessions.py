"""Staying logged in to Vault, on a real OpenBao (keys/backends/vault/sessions.py)."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hvac

from billfold_server.keys.backends.vault.backend import VaultBackend
from billfold_server.keys.backends.vault.logins import Granted
from tests.openbao import OpenBao
from tests.server.keys.vault.kit import approle, cause, opened, until, works


@asynccontextmanager
async def counted(openbao: OpenBao, folder: Path, **role: Any) -> AsyncIterator[tuple[VaultBackend, list[Granted]]]:
    """Open a backend, and note what each of its logins brings."""
    async with opened(openbao, folder, **approle(openbao, folder, **role)) as backend:
        granted: list[Granted] = []
        login = backend._session._login

        def noted(link: Any) -> Granted:
            granted.append(login(link))
            return granted[-1]

        backend._session._login = noted
        yield backend, granted


SOON_S = (1, 5, 20)
"""How long tokens last: the shortest time does, unless the machine is so busy that nothing is done within it."""


async def any_of(holds: Callable[[int], Awaitable[bool]]) -> bool:
    """Tell whether something holds for tokens that last for one of these times."""
    for ttl_s in SOON_S:
        if await holds(ttl_s):
            return True
    return False


async def is_gone(openbao: OpenBao, token: str) -> bool:
    """Tell whether Vault doesn't know a token any more."""
    client = hvac.Client(openbao.url, token=token, timeout=30)
    answer = await asyncio.to_thread(client.adapter.request, "get", "/v1/auth/token/lookup-self", raise_exception=False)
    return not isinstance(answer, dict)


class TestASession:
    async def test_logs_in_once_for_all_who_ask_first(self, openbao: OpenBao, tmp_path: Path):
        """Twenty who come at once share one login."""
        async with counted(openbao, tmp_path) as (backend, granted):
            await asyncio.gather(*(works(backend) for _ in range(20)))
            assert len(granted) == 1

    async def test_logs_in_again_once_where_its_token_was_revoked(self, openbao: OpenBao, tmp_path: Path):
        """Nobody who asks notices."""
        async with counted(openbao, tmp_path) as (backend, granted):
            await works(backend)
            openbao.root.auth.token.revoke(granted[0].token)
            backend._session._held.since -= 10  # type: ignore[union-attr] # It isn't young any more.
            await asyncio.gather(*(works(backend) for _ in range(20)))
            assert len(granted) == 2

    async def test_logs_in_again_where_its_token_has_ended(self, openbao: OpenBao, tmp_path: Path):
        """As that of a process that was stopped for a while."""

        async def logs_in_again(ttl_s: int) -> bool:
            ttl = {"token_ttl": f"{ttl_s}s", "token_max_ttl": f"{ttl_s}s"}
            async with counted(openbao, tmp_path, **ttl) as (backend, granted):
                await works(backend)
                assert backend._keeping is not None
                backend._keeping.cancel()
                await until(lambda: is_gone(openbao, granted[-1].token), within_s=ttl_s + 30)
                backend._keeping = asyncio.create_task(asyncio.sleep(0))
                await works(backend)
            return len(granted) == 2

        assert await any_of(logs_in_again)

    async def test_is_renewed_before_it_ends(self, openbao: OpenBao, tmp_path: Path):
        """While nobody asks anything, by the same token."""

        async def is_renewed(ttl_s: int) -> bool:
            ttl = {"token_ttl": f"{ttl_s}s", "token_max_ttl": "300s"}
            async with counted(openbao, tmp_path, **ttl) as (backend, granted):
                await works(backend)
                held, began = backend._session._held, time.monotonic()
                assert held is not None

                async def has_been_renewed() -> bool:
                    return backend._session._held is not held and time.monotonic() - began > 1.5 * ttl_s

                await until(has_been_renewed, within_s=2 * ttl_s + 30)
                return not await is_gone(openbao, granted[0].token) and len(granted) == 1

        assert await any_of(is_renewed)

    async def test_is_replaced_before_its_last_end(self, openbao: OpenBao, tmp_path: Path):
        """A renewal that brings nearly nothing is followed by a login, while the former token is good."""

        async def is_replaced(ttl_s: int) -> bool:
            ttl = {"token_ttl": f"{2 * ttl_s}s", "token_max_ttl": f"{2 * ttl_s}s"}
            async with counted(openbao, tmp_path, **ttl) as (backend, granted):
                await works(backend)

                async def has_been_replaced() -> bool:
                    return len(granted) >= 2

                await until(has_been_replaced, within_s=2 * ttl_s + 30)
                is_good = not await is_gone(openbao, granted[0].token)
                await works(backend)
            return is_good

        assert await any_of(is_replaced)

    async def test_is_ended_with_the_process(self, openbao: OpenBao, tmp_path: Path):
        """Nobody finds a token that is good for another hour."""
        async with counted(openbao, tmp_path) as (backend, granted):
            await works(backend)
        assert await is_gone(openbao, granted[0].token)

    async def test_does_not_log_in_again_for_what_its_policies_do_not_allow(self, openbao: OpenBao, tmp_path: Path):
        """And works as soon as they do, by the same token."""
        openbao.root.sys.create_or_update_policy("late", 'path "none" { capabilities = ["deny"] }')
        async with counted(openbao, tmp_path, policy="late") as (backend, granted):
            for _ in range(4):
                assert await cause(backend) == "forbidden"
            backend._session._held.since -= 10  # type: ignore[union-attr] # Now Vault is asked whether it's good.
            assert await cause(backend) == "forbidden"
            assert (await backend.health()).reason == "forbidden"
            openbao.root.sys.create_or_update_policy("late", openbao.root.sys.read_policy("billfold-worker")["rules"])
            await works(backend)
            assert (await backend.health()).ok or backend._health.reason == "forbidden"
            assert len(granted) == 1
