"""One client for many: users' tokens shared by threads, tasks and forked processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from billfold import AsyncBillfold, Billfold
from billfold.auth import AsyncAuthorizationFlow, AuthorizationFlow, GrantInvalid, PrivateKeyJWT, UserTokens
from tests.sdk.auth.issuing import AuthorizationServer
from tests.sdk.auth.serving import serving
from tests.sdk.auth.signing_in import CALLBACK, KEY, known

AUTH = PrivateKeyJWT("cli_1", KEY, dpop=KEY)


@pytest.fixture
def issuer() -> Iterator[AuthorizationServer]:
    """A server whose tokens have ended when they come, until it is told otherwise."""
    with serving() as server:
        server.token_ttl_s = 0
        yield known(server)


class TestARefresh:
    def test_is_made_once_for_all_threads(self, issuer: AuthorizationServer):
        """Forty calls in ten threads that find the token ended make one request, and one word to the keeper."""
        with Billfold(base_url=issuer.base, auth=AUTH) as billfold, ThreadPoolExecutor(10) as threads:
            flow = AuthorizationFlow(billfold, redirect_uri=CALLBACK)
            url, pending = flow.begin(scope="openid")
            tokens = flow.complete(pending, issuer.approve(url))
            issuer.token_ttl_s = 300
            kept: list[UserTokens] = []
            user = billfold.as_user(tokens, on_refresh=kept.append)
            assert set(threads.map(lambda _: user.tenant.get().slug, range(40))) == {"sandbox"}
        assert (len(kept), len(issuer.paths("/oauth/token"))) == (1, 2)

    async def test_is_made_once_for_all_tasks(self, issuer: AuthorizationServer):
        """The same in one event loop, where the keeper may be waited for."""
        kept: list[UserTokens] = []

        async def keep(tokens: UserTokens) -> None:
            await asyncio.sleep(0)
            kept.append(tokens)

        async with AsyncBillfold(base_url=issuer.base, auth=AUTH) as billfold:
            flow = AsyncAuthorizationFlow(billfold, redirect_uri=CALLBACK)
            url, pending = await flow.begin(scope="openid")
            tokens = await flow.complete(pending, issuer.approve(url))
            issuer.token_ttl_s = 300
            user = billfold.as_user(tokens, on_refresh=keep)
            found = await asyncio.gather(*[user.tenant.get() for _ in range(40)])
        assert {each.slug for each in found} == {"sandbox"}
        assert (len(kept), len(issuer.paths("/oauth/token"))) == (1, 2)

    async def test_that_fails_fails_for_all_tasks_at_once(self, issuer: AuthorizationServer):
        """Forty waiters of a grant that has ended ask once, and each hears of it."""
        async with AsyncBillfold(base_url=issuer.base, auth=AUTH) as billfold:
            flow = AsyncAuthorizationFlow(billfold, redirect_uri=CALLBACK)
            url, pending = await flow.begin(scope="openid")
            tokens = await flow.complete(pending, issuer.approve(url))
            issuer.refresh_tokens.clear()
            user = billfold.as_user(tokens)
            found = await asyncio.gather(*[user.tenant.get() for _ in range(40)], return_exceptions=True)
        assert {type(each) for each in found} == {GrantInvalid}
        assert len(issuer.paths("/oauth/token")) == 2

    async def test_of_one_user_is_none_of_anothers(self, issuer: AuthorizationServer):
        """Two users of one client, and the client itself, have tokens of their own."""
        issuer.token_ttl_s = 300
        async with AsyncBillfold(base_url=issuer.base, auth=AUTH) as billfold:
            flow = AsyncAuthorizationFlow(billfold, redirect_uri=CALLBACK)
            users = []
            for _ in range(2):
                url, pending = await flow.begin(scope="openid")
                users.append(billfold.as_user(await flow.complete(pending, issuer.approve(url))))
            for client in (*users, billfold):
                await client.tenant.get()
        shown = [each.headers["authorization"] for each in issuer.paths("/v1/tenant")]
        assert len(set(shown)) == 3


FORKED = """
import os, sys, threading, warnings
sys.path.insert(0, {sdk!r})
warnings.simplefilter("ignore", DeprecationWarning)
from billfold import Billfold
from billfold.auth import PrivateKeyJWT
from billfold.keys import PemKey
key = PemKey({pem!r})
billfold = Billfold(base_url={base!r}, auth=PrivateKeyJWT("cli_1", key, dpop=key))
print(billfold.tenant.get().slug, flush=True)
tokens, authority = billfold._session.tokens, billfold._session.tokens.authority
held, forked = threading.Event(), threading.Event()
def hold():
    with tokens._lock, authority._lock, authority._keys_lock:
        tokens._store._token = None
        authority._server.asked_at = float("-inf")
        held.set()
        forked.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    print(billfold.tenant.get().slug, flush=True)
    os._exit(0)
forked.set()
thread.join()
_, status = os.waitpid(child, 0)
print(billfold.tenant.get().slug, flush=True)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes can't fork here")
class TestAFork:
    def test_leaves_neither_locks_nor_connections_behind(self, issuer: AuthorizationServer, tmp_path: Path):
        """In the child, tokens and metadata are had anew although another thread held all locks."""
        issuer.token_ttl_s = 300
        pem = KEY.save(tmp_path / "key.pem")
        sdk = str(Path(__file__).parents[3] / "sdk")
        code = FORKED.format(sdk=sdk, pem=str(pem), base=issuer.base)
        run = subprocess.run(
            [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert (run.stdout.split(), run.returncode) == (["sandbox"] * 3, 0), run.stderr
