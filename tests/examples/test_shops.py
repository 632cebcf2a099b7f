"""The shops in FastAPI and in Django run as they stand, and both answer what is promised."""

import asyncio
import functools
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from billfold import AsyncBillfold, Billfold, Hooks
from billfold.cli.calling import Answers
from billfold.cli.following import Happened, follow, signed
from tests.examples.conftest import ROOT
from tests.live import LiveServer
from tests.sandbox import options

EXPECTED = (Path(__file__).parent / "shops.txt").read_text(encoding="utf-8")

Ask = Callable[[str, str, bytes, dict[str, str]], tuple[int, bytes]]
"""Asks a shop: method, path, body, headers; and returns status and body."""


@pytest.fixture
def told(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `billfold up` prints, in the environment."""
    told = options(live)
    for name, value in told.items():
        monkeypatch.setenv(f"BILLFOLD_{name.upper()}", value)
    return told


@functools.cache
def load(folder: str) -> ModuleType:
    """Import an example's module under a name of its own; once, since Django is set up once in a process."""
    spec = importlib.util.spec_from_file_location(folder, ROOT / "examples" / folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[folder] = module
    spec.loader.exec_module(module)
    return module


def last_event(told: dict[str, Any]) -> Happened:
    """Return the newest event that a transfer has made."""
    answers = Answers()
    with Billfold(**told, hooks=Hooks(on_response=answers.note), max_retries=0) as billfold:
        return next(follow(billfold, answers, after=billfold.events.newest() - 1, wanted=["transfer.posted"]))


def visit(ask: Ask, told: dict[str, Any], secret: str, now_s: float) -> Iterator[str]:
    """Yield what a customer and the bank are answered, one after the other."""

    def asked(method: str, path: str, document: Any = None) -> tuple[int, Any]:
        body = b"" if document is None else json.dumps(document).encode()
        status, answer = ask(method, path, body, {"content-type": "application/json"})
        said = json.loads(answer)
        # The one thing that differs from run to run.
        return status, {k: v for k, v in said.items() if k != "account_id"} if isinstance(said, dict) else said

    status, customer = asked("POST", "/customers", {"name": "Ada"})
    yield f"signed up: {status}"
    for number, price_minor in (("4711", 1250), ("4711", 1250), ("4712", 5000)):
        status, said = asked("POST", f"/orders/{number}", {**customer, "price_minor": price_minor})
        yield f"order {number}: {status} {said.get('amount') or said}"
    event = last_event(told)
    headers = signed(event, secret, now_s)
    for given in ({**headers, "webhook-signature": "v1,eA=="}, headers, headers):
        yield f"webhook: {ask('POST', '/webhooks', event.raw, given)[0]}"
    yield f"paid: {asked('GET', '/paid')[1]}"


class TestAShop:
    async def test_in_fastapi_answers_what_is_promised(self, told: dict[str, Any]):
        """Asynchronous, with one client for as long as it serves."""
        shop = load("shop_in_fastapi")
        loop = asyncio.get_running_loop()
        transport = httpx.ASGITransport(shop.app)
        async with (
            shop.app.router.lifespan_context(shop.app),
            httpx.AsyncClient(transport=transport, base_url="http://shop") as browser,
        ):

            def ask(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
                request = browser.request(method, path, content=body, headers=headers)
                answer = asyncio.run_coroutine_threadsafe(request, loop).result(30)
                return answer.status_code, answer.content

            await asyncio.to_thread(self.check, ask, told, shop.SECRET)

    def test_in_django_answers_what_is_promised(self, told: dict[str, Any]):
        """Synchronous, with one client in each process."""
        shop = load("shop_in_django")
        browser = importlib.import_module("django.test").Client(SERVER_NAME="localhost")

        def ask(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
            answer = browser.generic(method, path, body, headers["content-type"], headers=headers)
            return answer.status_code, answer.content

        self.check(ask, told, shop.SECRET)
        shop.billfold().close()

    async def test_in_fastapi_has_one_till(self, live: LiveServer):
        """Whoever replaces its client, or starts it again after its keys have gone, finds what the shop has earned."""
        shop, tills = load("shop_in_fastapi"), set()
        for _ in range(2):
            async with AsyncBillfold(**options(live)) as billfold:
                tills.add(await shop.till(billfold))
        assert len(tills) == 1

    def test_in_django_has_one_till(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch):
        """The same where it is synchronous."""
        shop, tills = load("shop_in_django"), set()
        for _ in range(2):
            with Billfold(**options(live)) as billfold:
                monkeypatch.setattr(shop, "billfold", lambda billfold=billfold: billfold)
                tills.add(shop.till.__wrapped__())
        assert len(tills) == 1

    def check(self, ask: Ask, told: dict[str, Any], secret: str) -> None:
        """Compare a visit with what is promised."""
        said = list(visit(ask, told, secret, time.time()))
        assert said == EXPECTED.splitlines()
