"""The clients as a partner's program uses them: made, called, shared and closed."""

import asyncio
import io
import json
import logging
import math
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from billfold import (
    AsyncBillfold,
    AsyncBillfoldPlatform,
    Billfold,
    BillfoldPlatform,
    Hooks,
    Money,
    Request,
    Response,
    Timeouts,
    errors,
    order,
)
from tests.sdk.playing import problem
from tests.sdk.recording import CREDENTIALS, Recording, async_client, client, ok

WIRE = Path(__file__).parent / "wire" / "0.1"


def sample(name: str, **changes: Any) -> Response:
    """Return the wire sample of a response, with some values changed."""
    return ok(json.dumps({**json.loads((WIRE / f"{name}.json").read_bytes()), **changes}).encode())


@pytest.fixture(autouse=True)
def without_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what a developer may have set."""
    for name in (
        "BASE_URL",
        "CLIENT_ID",
        "CLIENT_SECRET",
        "PLATFORM_URL",
        "PLATFORM_CLIENT_ID",
        "PLATFORM_CLIENT_SECRET",
    ):
        monkeypatch.delenv(f"BILLFOLD_{name}", raising=False)


class TestMakingAClient:
    def test_takes_what_is_absent_from_the_environment(self, monkeypatch: pytest.MonkeyPatch):
        """Address, id and secret may come from the environment."""
        monkeypatch.setenv("BILLFOLD_BASE_URL", "http://127.0.0.1:2/t/demo/")
        monkeypatch.setenv("BILLFOLD_CLIENT_ID", "cli_2")
        monkeypatch.setenv("BILLFOLD_CLIENT_SECRET", "of-env")
        transport = Recording([sample("TenantInfo")])
        Billfold(transport=transport).tenant.get()
        assert transport.requests[0][1] == "http://127.0.0.1:2/t/demo/v1/tenant"
        assert transport.tokens[0][1] == "http://127.0.0.1:2/t/demo/oauth/token"

    @pytest.mark.parametrize("missing", ["base_url", "client_id", "client_secret"])
    def test_says_what_is_missing(self, missing: str):
        """The error names the argument and its variable."""
        with pytest.raises(ValueError, match=f"BILLFOLD_{missing.upper()}"):
            Billfold(**{**CREDENTIALS, missing: None})

    @pytest.mark.parametrize(
        "base_url", ["127.0.0.1:8000", "ftp://h", "http://", "http://u:p@h", "http://h?x=1", "http://h#x"]
    )
    def test_refuses_what_is_no_address(self, base_url: str):
        """An address has a scheme and a host, and neither password nor query."""
        with pytest.raises(ValueError, match="base_url"):
            Billfold(**{**CREDENTIALS, "base_url": base_url})

    @pytest.mark.parametrize(
        "options",
        [{"timeout_s": 0}, {"timeout_s": math.nan}, {"timeout_s": Timeouts(read_s=-1)}, {"max_retries": -1}],
    )
    def test_refuses_options_that_mean_nothing(self, options: dict[str, Any]):
        """A time-out is positive, and a number of retries isn't negative."""
        with pytest.raises(ValueError, match=r"time-out|max_retries"):
            Billfold(**CREDENTIALS, **options)

    @pytest.mark.parametrize("at_once", [0, -1, 1001])
    def test_refuses_parts_of_a_bulk_that_mean_nothing(self, at_once: int):
        """None at once would otherwise end as if all had been carried out."""
        billfold, transport = client()
        orders = [order(from_wallet_id="wal_1", to_wallet_id="wal_2", amount=Money(1, "EUR"))]
        with pytest.raises(ValueError, match="at_once"):
            next(billfold.transfers.bulk_each(orders, at_once=at_once))
        assert transport.requests == []

    def test_warns_of_a_secret_that_goes_unencrypted(self, caplog: pytest.LogCaptureFixture):
        """Plain HTTP to another machine is worth a word; to this one it isn't."""
        Billfold(**CREDENTIALS)
        assert not caplog.messages
        Billfold(**{**CREDENTIALS, "base_url": "http://wallet.example.com/t/x"})
        assert len(caplog.messages) == 1

    def test_shows_no_secret(self):
        """Neither the client nor anything that it holds shows the secret or the token."""
        billfold, _ = client(sample("TenantInfo"))
        billfold.tenant.get()
        shown = [repr(billfold), repr(billfold.wallets), repr(billfold.wallets.list()), repr(vars(billfold))]
        shown += [repr(billfold._session.tokens.auth), repr(billfold._session.tokens._store._token)]
        assert not any("s-e-c-r-e-t" in each or "at-1" in each for each in shown)


class TestAResource:
    @pytest.mark.parametrize("kind", [Billfold, AsyncBillfold, BillfoldPlatform, AsyncBillfoldPlatform])
    def test_is_of_the_kind_that_editors_are_told(self, kind: Any):
        """Each name that is declared is made when it is asked for, of its type, once; there are no others."""
        some = kind(**CREDENTIALS)
        declared = {name: said for name, said in vars(kind)["__annotations__"].items() if not name.startswith("_")}
        assert {name: type(getattr(some, name)).__name__ for name in declared} == declared
        assert all(getattr(some, name) is getattr(some, name) for name in declared)
        assert declared.keys() <= set(dir(some))

    def test_that_isnt_one_is_told_by_name(self):
        """A misspelt one is an attribute that isn't there."""
        with pytest.raises(AttributeError, match="'Billfold' object has no attribute 'wallet'"):
            Billfold(**CREDENTIALS).wallet  # type: ignore[attr-defined]  # noqa: B018 - that it fails is the point


class TestAnOrder:
    def test_carries_a_key_that_stays_the_same(self):
        """All attempts of one call have one key, and the next call has another."""
        lost = errors.ConnectionFailed("lost")
        billfold, transport = client(lost, lost, sample("Transfer"), sample("Transfer"))
        for _ in range(2):
            billfold.transfers.create(from_wallet_id="wal_1", to_wallet_id="wal_2", amount=Money(1250, "EUR"))
        keys = [headers["idempotency-key"] for _, _, headers, _ in transport.requests]
        assert (len(keys), len(set(keys[:3])), len(set(keys))) == (4, 1, 2)
        assert len({body for *_, body in transport.requests}) == 1

    def test_has_a_key_in_the_order_of_time(self):
        """Keys that are made for calls one after the other are sorted, so the server keeps them side by side."""
        billfold, transport = client(*[sample("Transfer")] * 5)
        for _ in range(5):
            billfold.transfers.create(from_wallet_id="wal_1", to_wallet_id="wal_2", amount=Money(1250, "EUR"))
        keys = [headers["idempotency-key"] for _, _, headers, _ in transport.requests]
        assert keys == sorted(set(keys))
        assert {UUID(key).version for key in keys} == {7}

    def test_says_what_the_contract_says(self):
        """The body has the contract's fields and nothing that wasn't given."""
        billfold, transport = client(sample("Transfer"))
        transfer = billfold.transfers.create(from_wallet_id="wal_1", to_wallet_id="wal_2", amount=("12.50", "EUR"))
        method, url, headers, body = transport.requests[0]
        assert (method, url) == ("POST", "http://127.0.0.1:1/t/sandbox/v1/transfers")
        assert headers["content-type"] == "application/json"
        assert json.loads(body or b"") == {
            "from_wallet_id": "wal_1",
            "to_wallet_id": "wal_2",
            "amount": {"amount_minor": 1250, "currency": "EUR"},
        }
        assert transfer.amount == Money(1250, "EUR")

    @pytest.mark.parametrize(
        ("give", "what"),
        [
            (
                lambda given: given.webhook_endpoints.create(url="https://p.example", event_types="transfer.posted"),
                "event_types",
            ),
            (lambda given: given.webhook_endpoints.update("whe_1", event_types="transfer.posted"), "event_types"),
            (lambda given: given.card_sessions.create(embed_origins="https://shop.example"), "embed_origins"),
            (lambda given: given.vault_tokens.detokenize("tok_1", purpose="p", reason="r"), "vault_token_ids"),
            (lambda given: given.vault_tokens.detokenize_cards("tok_1", purpose="p", reason="r"), "vault_token_ids"),
        ],
        ids=["created", "updated", "embedded", "told", "told as cards"],
    )
    def test_of_several_texts_is_none_of_one(self, give: Callable[[Billfold], object], what: str):
        """One text passes for a sequence of texts, its characters, where types are checked; it isn't sent so."""
        billfold, transport = client()
        with pytest.raises(TypeError, match=f"{what} are several"):
            give(billfold)
        assert transport.requests == []

    @pytest.mark.parametrize("name", ["hold.release", "platform.migrate"])
    def test_without_a_body_has_no_content_type(self, name: str):
        """Nothing to say is nothing sent."""
        billfold, transport = client(sample("Hold"))
        if name == "hold.release":
            billfold.holds.release("hld_1")
        else:
            platform = BillfoldPlatform(
                **{
                    **CREDENTIALS,
                    "base_url": "http://127.0.0.1:1",
                    "transport": (transport := Recording([sample("Tenant")])),
                }
            )
            platform.tenants.migrate("sandbox")
            assert transport.tokens[0][1] == "http://127.0.0.1:1/platform/oauth/token"
        assert ("content-type" in transport.requests[0][2], transport.requests[0][3]) == (False, None)


class TestAChange:
    def test_names_the_version_that_was_read(self):
        """The version goes as an entity tag, and None clears where absence leaves."""
        billfold, transport = client(sample("Party"))
        billfold.parties.update("par_1", name="Ada King", email=None, if_match=3)
        method, url, headers, body = transport.requests[0]
        assert (method, url.rpartition("/v1")[2], headers["if-match"]) == ("PATCH", "/parties/par_1", '"3"')
        assert json.loads(body or b"") == {"name": "Ada King", "email": None}

    def test_is_not_repeated_when_its_answer_is_lost(self):
        """A change has no key, so a doubt goes to the caller."""
        billfold, transport = client(errors.ConnectionFailed("lost"), sample("Party"))
        with pytest.raises(errors.ConnectionFailed):
            billfold.parties.update("par_1", name="Ada King")
        assert len(transport.requests) == 1

    def test_may_be_a_deletion(self):
        """A deletion answers nothing."""
        billfold, transport = client(ok(b"", 204))
        billfold.wallets.aliases.delete("wal_1", "als_1")
        assert transport.requests[0][:2] == ("DELETE", "http://127.0.0.1:1/t/sandbox/v1/wallets/wal_1/aliases/als_1")


def page(items: list[int], next_cursor: str | None) -> Response:
    """Return a page of events with these sequences."""
    event = json.loads((WIRE / "Event.json").read_bytes())
    data = [{**event, "sequence": each} for each in items]
    return ok(json.dumps({"data": data, "next_cursor": next_cursor, "of_tomorrow": 1}).encode())


class TestAList:
    PAGES = (page([1, 2], "c1"), page([], "c2"), page([3], None))

    def test_goes_through_all_pages(self):
        """Items come in order, across an empty page too, and each page is asked for by the cursor before."""
        billfold, transport = client(*self.PAGES)
        assert [event.sequence for event in billfold.events.list(after=0, limit=2)] == [1, 2, 3]
        queries = [url.partition("?")[2] for _, url, _, _ in transport.requests]
        assert queries == ["after=0&limit=2", "after=0&limit=2&cursor=c1", "after=0&limit=2&cursor=c2"]

    async def test_goes_through_all_pages_in_the_other_mode(self):
        """The asynchronous list does the same."""
        billfold, transport = async_client(*self.PAGES)
        assert [event.sequence async for event in billfold.events.list(type="transfer.posted")] == [1, 2, 3]
        assert [len(each.data) async for each in async_client(*self.PAGES)[0].events.list().pages()] == [2, 0, 1]
        assert len(transport.requests) == 3

    def test_asks_for_a_page_when_it_is_needed(self):
        """A list that isn't walked through asks for nothing, and one that is left early for no more than it gave."""
        billfold, transport = client(*self.PAGES)
        events = billfold.events.list()
        assert transport.requests == []
        assert next(iter(events)).sequence == 1
        assert len(transport.requests) == 1

    def test_shows_pages(self):
        """Pages can be had whole, all of them or the first alone."""
        assert [len(each.data) for each in client(*self.PAGES)[0].events.list().pages()] == [2, 0, 1]
        first = client(*self.PAGES)[0].events.list(cursor="c0").page()
        assert (len(first.data), first.next_cursor) == (2, "c1")

    def test_can_be_walked_through_again(self):
        """Each walk begins at the beginning."""
        billfold, transport = client(page([1], None))
        events = billfold.events.list()
        assert [len(list(events)), len(list(events))] == [1, 1]
        assert len(transport.requests) == 2

    def test_ends_when_its_cursor_stands_still(self):
        """A server that gives the same cursor twice doesn't make a program run for ever."""
        billfold, _ = client(page([1], "c1"), page([2], "c1"))
        with pytest.raises(errors.MalformedAnswer):
            list(billfold.events.list())


class TestFollowingEvents:
    async def test_goes_on_where_it_was(self, monkeypatch: pytest.MonkeyPatch):
        """Page after page at once, then after a while each, and longer ones while the server is away; in both modes."""
        gone = errors.ConnectionFailed("nobody listens", sent=False)
        answers = (page([1, 2], "c1"), page([3], None), gone, gone, page([], None), page([4], None))
        after = [0, 2, 3, 3, 3, 3]
        waits: list[float] = []

        async def wait(seconds: float) -> None:
            waits.append(seconds)

        monkeypatch.setattr("billfold.client._sync.tenant.sleep", waits.append)
        monkeypatch.setattr("billfold.client._async.tenant.sleep", wait)
        billfold, transport = client(*answers, max_retries=0)
        assert [
            each.sequence for each in islice(billfold.events.follow(after=0, interval=timedelta(seconds=0.5)), 4)
        ] == [1, 2, 3, 4]
        later, recorded = async_client(*answers, max_retries=0)
        found = later.events.follow(after=0, interval=timedelta(seconds=0.5))
        assert [(await anext(found)).sequence for _ in range(4)] == [1, 2, 3, 4]
        assert waits == [0.5, 0.5, 1.0, 0.5] * 2
        for requests in (transport.requests, recorded.requests):
            assert [url.partition("?")[2] for _, url, _, _ in requests] == [f"after={at}&limit=100" for at in after]

    def test_comes_back_when_it_is_asked_to(self, monkeypatch: pytest.MonkeyPatch):
        """Whoever is too eager waits for as long as the server says."""
        waits: list[float] = []
        monkeypatch.setattr("billfold.client._sync.tenant.sleep", waits.append)
        billfold, _ = client(problem(429, "rate_limited", retry_after="7"), page([1], None), max_retries=0)
        assert next(billfold.events.follow(after=0)).sequence == 1
        assert waits == [7]

    def test_ends_where_nothing_more_will_come(self):
        """What waiting doesn't mend is raised at once."""
        billfold, transport = client(problem(400, "event_type_unknown"))
        with pytest.raises(errors.EventTypeUnknown):
            next(billfold.events.follow(after=0, type="transfer.psted"))
        assert len(transport.requests) == 1

    def test_ends_where_what_was_read_is_undone(self):
        """Whoever follows has to know of it, and is told where to go on."""
        refusal = problem(409, "event_place_ahead")
        body = refusal.body.replace(b'"facts":{}', b'"facts":{"newest_sequence":7}')
        billfold, transport = client(Response(409, refusal.headers, body))
        with pytest.raises(errors.EventPlaceAhead) as caught:
            next(billfold.events.follow(after=9))
        assert (caught.value.newest_sequence, len(transport.requests)) == (7, 1)

    def test_may_begin_at_the_newest_one(self):
        """The server says where that is, to whoever asks for what comes after a place that no event has."""
        refusal = problem(409, "event_place_ahead")
        body = refusal.body.replace(b'"facts":{}', b'"facts":{"newest_sequence":41}')
        billfold, transport = client(Response(409, refusal.headers, body), ok(b'{"data":[],"next_cursor":null}'))
        assert billfold.events.newest() == 41
        assert len(transport.requests) == 1
        with pytest.raises(errors.MalformedAnswer):
            billfold.events.newest()

    def test_is_no_asking_without_end(self):
        """An interval in which nobody waits is refused before anybody is asked."""
        billfold, transport = client()
        with pytest.raises(ValueError, match=r"an interval is 0\.1 s or more"):
            next(billfold.events.follow(after=0, interval=timedelta(0)))
        assert not transport.requests


class TestTheClock:
    def test_is_advanced_by_a_while(self):
        """A while is counted where the clock is, which has gone on when somebody who has read it asks."""
        billfold, transport = client(sample("TenantClock"))
        billfold.clock.advance(timedelta(days=90, milliseconds=1))
        assert json.loads(transport.requests[0][3] or b"") == {"by_s": 7776000.001}

    def test_is_advanced_to_an_instant(self):
        """An instant is sent as it is, with no look at the clock before."""
        billfold, transport = client(sample("TenantClock"))
        billfold.clock.advance(to=datetime(2027, 1, 1, tzinfo=UTC), freeze=False)
        assert json.loads(transport.requests[0][3] or b"") == {"to": "2027-01-01T00:00:00Z", "freeze": False}

    @pytest.mark.parametrize(
        "arguments", [{}, {"by": timedelta(1), "to": datetime(2027, 1, 1, tzinfo=UTC)}, {"by": "90d"}], ids=repr
    )
    def test_is_advanced_in_one_way(self, arguments: dict[str, Any]):
        """Both or neither is a mistake of the program, and so is a while that is none."""
        with pytest.raises(TypeError, match="a clock is advanced by"):
            client()[0].clock.advance(**arguments)

    def test_has_ten_times_the_time(self):
        """Ninety days of jobs take longer than a transfer."""
        seen: list[float] = []
        hooks = Hooks(on_request=lambda request: seen.append(request.total_s))
        billfold, _ = client(sample("TenantClock"), hooks=hooks, timeout_s=3)
        billfold.clock.get()
        billfold.clock.advance(to=datetime(2027, 1, 1, tzinfo=UTC))
        assert [round(each) for each in seen] == [3, 30]


class TestImportingAStatement:
    def sources(self, path: Path) -> Iterator[Any]:
        """Yield a file in every way that it can be named."""
        yield from (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()))

    async def test_takes_a_path_bytes_or_an_open_file(self, tmp_path: Path):
        """The file goes as it is, however it is given, in both modes."""
        path = tmp_path / "statement.xml"
        path.write_bytes(b"\xef\xbb\xbf<Document/>")
        for mode in ("sync", "async"):
            for source in self.sources(path):
                if mode == "sync":
                    billfold, transport = client(sample("StatementImport"))
                    billfold.statements.import_file(source)
                else:
                    other, transport = async_client(sample("StatementImport"))  # type: ignore[assignment]
                    await other.statements.import_file(source)
                _, _, headers, body = transport.requests[0]
                assert (headers["content-type"], body) == ("application/octet-stream", path.read_bytes())

    def test_says_when_there_is_no_file(self, tmp_path: Path):
        """A file that isn't there is Python's own error, before anything is sent."""
        billfold, transport = client()
        with pytest.raises(FileNotFoundError):
            billfold.statements.import_file(tmp_path / "absent.xml")
        assert transport.requests == []


class TestOptionsForSomeCalls:
    def test_leave_the_client_as_it_is(self):
        """The other client has its own patience and headers, and shares all else."""
        seen: list[tuple[float, str | None]] = []
        hooks = Hooks(on_request=lambda request: seen.append((round(request.total_s), request.headers.get("x-trace"))))
        billfold, transport = client(sample("TenantInfo"), hooks=hooks)
        other = billfold.with_options(timeout_s=2, max_retries=0, headers={"X-Trace": "1"})
        for each in (billfold, other, billfold):
            each.tenant.get()
        assert seen == [(45, None), (2, "1"), (45, None)]
        assert (type(other), len(transport.tokens)) == (Billfold, 1)
        assert other._session.kit.budget is billfold._session.kit.budget

    @pytest.mark.parametrize(
        ("name", "value"), [("X-Key", "secret\n"), ("X-Key", "é"), ("X-Key", None), ("X Key", "1"), ("X-Key", " a")]
    )
    def test_take_headers_that_are_such(self, name: str, value: Any):
        """What can't be a header is refused where it is given, by its name alone, and nothing is sent."""
        billfold, transport = client(sample("TenantInfo"))
        with pytest.raises(ValueError, match=f"the header '{name}' needs") as caught:
            billfold.with_options(headers={name: value})
        assert "secret" not in str(caught.value)
        with pytest.raises(ValueError, match="header"):
            client(headers={name: value})
        assert transport.requests == []

    def test_hold_for_repetitions(self):
        """Without retries, the first failure is the last."""
        billfold, transport = client(problem(503, "overloaded"))
        with pytest.raises(errors.Overloaded):
            billfold.with_options(max_retries=0).tenant.get()
        assert len(transport.requests) == 1


class TestAnAccessToken:
    def test_is_asked_for_by_the_credentials(self):
        """The token endpoint gets HTTP Basic and a form, and the scopes that were asked for."""
        billfold, transport = client(sample("TenantInfo"), client_id="a b", client_secret="ü:", scopes=["x:read", "y"])
        billfold.tenant.get()
        method, url, headers, body = transport.tokens[0]
        assert (method, url) == ("POST", "http://127.0.0.1:1/t/sandbox/oauth/token")
        assert headers["authorization"] == "Basic YStiOiVDMyVCQyUzQQ=="
        assert body == b"grant_type=client_credentials&scope=x%3Aread+y"

    def test_is_asked_for_once_by_many_threads(self):
        """Threads that begin together share one token request."""
        billfold, transport = client(sample("TenantInfo"))
        start = threading.Barrier(16)

        def ask() -> None:
            start.wait()
            billfold.tenant.get()

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(transport.tokens), len(transport.requests)) == (1, 16)

    async def test_is_replaced_once_by_many_tasks(self):
        """Tasks whose token was revoked share one new one."""

        def answer(request: Request) -> Response:
            revoked = request.headers["authorization"] == "Bearer at-1"
            return problem(401, "invalid_token") if revoked else sample("TenantInfo")

        billfold, transport = async_client(answer)
        await asyncio.gather(*(billfold.tenant.get() for _ in range(50)))
        assert len(transport.tokens) == 2

    def test_is_asked_for_in_one_loop_after_the_other(self):
        """Tasks of a second event loop wait for the token just as those of the first did."""

        async def ask(billfold: AsyncBillfold) -> None:
            billfold._session.tokens._store._token = None
            await asyncio.gather(*(billfold.tenant.get() for _ in range(10)))

        billfold, transport = async_client(sample("TenantInfo"))
        for _ in range(2):
            asyncio.run(ask(billfold))
        assert (len(transport.tokens), len(transport.requests)) == (2, 20)

    def test_is_replaced_before_it_expires(self):
        """A token of ten minutes is used for nine."""
        now = 1000.0
        billfold, transport = client(sample("TenantInfo"))
        billfold._session.kit.monotonic = lambda: now
        for at in (1000.0, 1539.0, 1540.0, 1541.0):
            now = at
            billfold.tenant.get()
        assert len(transport.tokens) == 2

    def test_never_goes_into_logs_or_hooks(self, caplog: pytest.LogCaptureFixture):
        """At the most talkative level, and in every hook, neither secret nor token is seen."""
        caplog.set_level(logging.DEBUG)
        seen: list[str] = []
        hooks = Hooks(
            on_request=lambda request: seen.append(f"{request!r} {request.headers} {request.body!r}"),
            on_response=lambda request, response, _: seen.append(f"{request.headers} {response!r} {response.body!r}"),
        )
        billfold, _ = client(problem(401, "invalid_token"), sample("TenantInfo"), hooks=hooks)
        billfold.tenant.get()
        assert len(seen) == 4
        everything = caplog.text + "".join(seen)
        assert not any(secret in everything for secret in ("s-e-c-r-e-t", "at-1", "at-2", "Bearer", "Basic"))


class TestClosing:
    def test_is_done_by_the_context_manager(self):
        """Leaving the block gives back connections, after an error too."""
        billfold, transport = client()
        with pytest.raises(KeyError), billfold:
            raise KeyError
        assert transport.closed == 1

    async def test_is_done_by_the_context_manager_in_the_other_mode(self):
        """The asynchronous client does the same."""
        billfold, transport = async_client()
        async with billfold as same:
            assert isinstance(same, AsyncBillfold)
        assert transport.closed == 1
