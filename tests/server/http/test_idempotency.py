"""Requests with an idempotency key, against PostgreSQL and over HTTP."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import errors
from billfold.contract.common import Request
from billfold_server.http import idempotency
from billfold_server.http.idempotency import KeptAnswer, canonical, carry_out, expire, fingerprint, is_kept, read_key
from billfold_server.tenancy.context import IdempotencyRef
from billfold_server.tenancy.transaction import TenantTx
from tests.apart import apart
from tests.callers import CALLER
from tests.live import LiveServer
from tests.postgres import WAITS
from tests.server.http.copies_of_a_request import Done, doing, ref
from tests.tenants import Tenancy

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[3]


async def request(
    tenancy: Tenancy, work: Callable[[TenantTx], Awaitable[Any]], under: IdempotencyRef, *, now: datetime = NOW
) -> KeptAnswer:
    """Carry out a request in a transaction of its own."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return await carry_out(tx, under, work, status=201, request_id="req_1", now=now)


async def count_parties(tenancy: Tenancy) -> int:
    """Return how many parties there are."""
    async with tenancy.database.tx(tenancy.tenant) as tx:
        return int(await tx.fetchval("SELECT count(*) FROM parties"))


class TestARequestWithAKey:
    async def test_is_carried_out_once(self, tenancy: Tenancy):
        """Its copy gets the same status and the same bytes, marked as a replay."""
        count: list[int] = []
        first = await request(tenancy, doing(count), ref())
        second = await request(tenancy, doing(count), ref())
        assert (first.status, first.body, first.replayed) == (201, b'{"n":1}', False)
        assert second == msgspec.structs.replace(first, replayed=True)
        assert len(count) == await count_parties(tenancy) == 1

    async def test_is_refused_where_the_key_belongs_to_another(self, tenancy: Tenancy):
        """Another body under the same key is neither carried out nor answered from the store."""
        count: list[int] = []
        await request(tenancy, doing(count), ref())
        with pytest.raises(errors.IdempotencyKeyReused) as caught:
            await request(tenancy, doing(count), ref(body=b'{"other":1}'))
        assert caught.value.param == "Idempotency-Key"
        assert len(count) == 1

    async def test_shares_its_key_with_no_other_client(self, tenancy: Tenancy):
        """The same key of another client is another key."""
        count: list[int] = []
        await request(tenancy, doing(count), ref())
        await request(tenancy, doing(count), ref(client=UUID(int=7)))
        assert len(count) == 2

    @pytest.mark.parametrize("error", [errors.ExternalIdTaken, errors.Unprocessable])
    async def test_keeps_a_refusal_that_depends_on_state(self, tenancy: Tenancy, error: type[errors.ProblemError]):
        """The refusal is the answer to every copy, and what it had begun is undone."""
        count: list[int] = []
        first = await request(tenancy, doing(count, error("no")), ref())
        second = await request(tenancy, doing(count), ref())
        assert isinstance(first.error, error)
        assert (second.status, second.body, second.replayed) == (first.status, first.body, True)
        assert msgspec.json.decode(first.body)["code"] == error.code
        assert (len(count), await count_parties(tenancy)) == (1, 0)

    @pytest.mark.parametrize(
        "error",
        [
            errors.ValidationFailed,
            errors.InvalidToken,
            errors.InsufficientScope,
            errors.UnsupportedMediaType,
            errors.RateLimited,
            errors.InternalError,
            errors.DatabaseUnavailable,
            errors.RequestInFlight,
        ],
    )
    async def test_keeps_nothing_else(self, tenancy: Tenancy, error: type[errors.ProblemError]):
        """After a refusal that may go differently next time, the copy is carried out."""
        count: list[int] = []
        with pytest.raises(error):
            await request(tenancy, doing(count, error("no")), ref())
        answer = await request(tenancy, doing(count), ref())
        assert (answer.replayed, len(count), await count_parties(tenancy)) == (False, 2, 1)

    async def test_is_free_again_after_a_failure_of_the_work(self, tenancy: Tenancy):
        """A defect rolls back the key as well."""

        async def defect(_: TenantTx) -> Done:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await request(tenancy, defect, ref())
        assert (await request(tenancy, doing([]), ref())).replayed is False

    async def test_waits_for_the_copy_before_it(self, tenancy: Tenancy):
        """A copy in flight is waited for, and its answer is given."""
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_: TenantTx) -> Done:
            begun.set()
            await go_on.wait()
            return Done(1)

        first = asyncio.create_task(request(tenancy, slow, ref()))
        await begun.wait()
        second = apart(request(tenancy, doing([]), ref()))
        await blocked(tenancy)
        go_on.set()
        assert (await first).replayed is False
        assert (await second).replayed is True

    async def test_does_not_wait_for_ever(self, tenancy: Tenancy):
        """After the lock time-out the copy is told that the first one is still in flight."""
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_: TenantTx) -> Done:
            begun.set()
            await go_on.wait()
            return Done(1)

        first = asyncio.create_task(request(tenancy, slow, ref()))
        await begun.wait()
        with pytest.raises(errors.RequestInFlight):
            await apart(hurried(tenancy))
        go_on.set()
        await first

    async def test_is_forgotten_after_thirty_days(self, tenancy: Tenancy):
        """A key that is older is free again; a younger one is kept."""
        count: list[int] = []
        await request(tenancy, doing(count), ref("old"), now=NOW - timedelta(days=30, seconds=1))
        await request(tenancy, doing(count), ref("young"), now=NOW - timedelta(days=29))
        async with tenancy.database.tx(tenancy.tenant) as tx:
            assert await expire(tx, NOW - timedelta(days=30), 100) == 1
        assert (await request(tenancy, doing(count), ref("old"))).replayed is False
        assert (await request(tenancy, doing(count), ref("young"))).replayed is True

    async def test_is_kept_in_eight_partitions(self, tenancy: Tenancy):
        """Keys spread over all partitions of the table."""
        async with tenancy.database.tx(tenancy.tenant) as tx:
            await tx.executemany(
                "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES ($1, $2, $3, $4)",
                [(CALLER.client_id, f"k{n}", bytes(32), NOW) for n in range(400)],
            )
            rows = await tx.fetch("SELECT tableoid, count(*) AS n FROM idempotency_keys GROUP BY tableoid")
        assert len(rows) == 8
        assert min(row["n"] for row in rows) > 20


async def hurried(tenancy: Tenancy) -> KeptAnswer:
    """Carry out a request that doesn't wait for long."""
    async with tenancy.database.tx(tenancy.tenant, lock_timeout_ms=50) as tx:
        return await carry_out(tx, ref(), doing([]), status=201, request_id="req_2", now=NOW)


async def blocked(tenancy: Tenancy) -> None:
    """Wait until a session of the database waits for another one."""
    connection = await asyncpg.connect(tenancy.admin_dsn)
    try:
        while not await connection.fetchval(WAITS):
            pass
    finally:
        await connection.close()


class TestCopiesAtTheSameTime:
    async def test_are_carried_out_once_across_processes(self, tenancy: Tenancy):
        """Two hundred copies in two processes: one is carried out, and all get its answer."""
        processes = [await start_copies(tenancy.runtime_dsn, 100) for _ in range(2)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        printed = await asyncio.gather(*(process.communicate() for process in processes))
        lines = [line for out, _ in printed for line in out.decode().splitlines()]
        assert sorted(set(lines)) == ['201 {"n":1} False 1', '201 {"n":1} True 0']
        assert (len(lines), lines.count('201 {"n":1} False 1')) == (200, 1)
        assert await count_parties(tenancy) == 1


async def start_copies(dsn: str, copies: int) -> asyncio.subprocess.Process:
    """Start a process that is ready to send copies of one request."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.server.http.copies_of_a_request",
        dsn,
        str(copies),
        cwd=REPOSITORY,
        env={"PYTHONPATH": "sdk:server:."},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


class TestAKey:
    @pytest.mark.parametrize(
        ("header", "key"),
        [
            ("abc", "abc"),
            ('"abc"', "abc"),
            (' "abc"\t', "abc"),
            (r'"a\"b\\c"', r"a\"b\\c".replace(r"\"", '"').replace("\\\\", "\\")),
            ('a"b', 'a"b'),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("x" * 255, "x" * 255),
            ('"' + "x" * 255 + '"', "x" * 255),
        ],
    )
    def test_may_be_quoted_or_bare(self, header: str, key: str):
        """A string of RFC 8941 and the bare text name the same key."""
        assert read_key(header) == key

    @pytest.mark.parametrize(
        "header",
        [
            "",
            " ",
            '""',
            "a b",
            '"a b"',
            '"abc',
            'abc"x" y',
            r'"a\b"',
            '"a"b"',
            '"a";p=1',
            "x" * 256,
            "schlüssel",
            "a\tb",
        ],
    )
    def test_of_another_form_is_refused(self, header: str):
        """Empty, too long, with blanks, other scripts or unbalanced quotes: the header is to blame."""
        with pytest.raises(errors.ValidationFailed) as caught:
            read_key(header)
        assert caught.value.param == "Idempotency-Key"

    @given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=100))
    def test_survives_quoting(self, key: str):
        """Whatever visible text a key is, its quoted form names it."""
        escaped = key.replace("\\", "\\\\").replace('"', '\\"')
        assert read_key(f'"{escaped}"') == key


class Labelled(Request, frozen=True, kw_only=True):
    """A body with members that may be absent."""

    label: str
    note: str | None = None
    currencies: list[str] = msgspec.field(default_factory=list)
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class TestAFingerprint:
    def test_tells_requests_apart(self):
        """Method, path and body enter it, each for itself, and so does the secret."""
        asked = [("POST", "/a", b"bc"), ("POST", "/ab", b"c"), ("POS", "T/a", b"bc"), ("POST", "/a", b"")]
        prints = {fingerprint(secret, *request_) for secret in (b"one", b"two") for request_ in asked}
        assert len(prints) == 8
        assert {len(one) for one in prints} == {32}

    @pytest.mark.parametrize(
        "text",
        [
            '{"note": null, "label": "Everyday", "currencies": [], "metadata": {"b": "2", "a": "1"}}',
            '{"metadata":{"a":"1","b":"2"},"label":"Everyday"}',
            '{"label":"\\u0045veryday","note":null,"metadata":{"a":"1","b":"2"}}',
        ],
    )
    def test_is_of_what_a_body_says(self, text: str):
        """Spaces, order, escapes and defaults that are spelled out make no other request."""
        assert (
            canonical(msgspec.json.decode(text, type=Labelled)) == b'{"label":"Everyday","metadata":{"a":"1","b":"2"}}'
        )


class TestARefusal:
    def test_is_kept_by_its_family(self):
        """Of all errors there are, those that depend on the state of what they name are kept."""
        kept = {code for code, error in errors.ERRORS.items() if is_kept(error())}
        families = (errors.Conflict, errors.Unprocessable)
        assert kept == {code for code, error in errors.ERRORS.items() if issubclass(error, families)} - {
            "request_in_flight",
            "bulk_aborted",
        }


class TestOverHttp:
    def test_a_copy_is_answered_from_the_store(self, live: LiveServer):
        """Same status, same bytes, same place; the copy says that it is one."""
        with live.client("alpha") as client:
            first, second = (post_ada(client, "copy", "ada-1") for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.content == second.content
        assert first.headers["location"] == second.headers["location"]
        assert first.headers["etag"] == second.headers["etag"] == '"1"'
        assert "idempotent-replayed" not in first.headers
        assert second.headers["idempotent-replayed"] == "true"

    def test_a_refusal_is_answered_from_the_store(self, live: LiveServer):
        """A copy of a refused request gets the very same problem."""
        with live.client("alpha") as client:
            post_ada(client, "taken-1", "ada-2")
            first, second = (post_ada(client, "taken-2", "ada-2") for _ in range(2))
        assert (first.status_code, second.status_code) == (409, 409)
        assert first.content == second.content
        assert first.headers["content-type"] == second.headers["content-type"] == "application/problem+json"
        assert second.headers["idempotent-replayed"] == "true"

    def test_another_body_is_refused(self, live: LiveServer):
        """The key was used for another request: 422."""
        with live.client("alpha") as client:
            post_ada(client, "reused", "ada-3")
            answer = post_ada(client, "reused", "ada-4")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")

    def test_a_key_in_quotes_is_the_same_key(self, live: LiveServer):
        """The draft's form and the bare one meet."""
        with live.client("alpha") as client:
            first, second = post_ada(client, "quoted", "ada-5"), post_ada(client, '"quoted"', "ada-5")
        assert first.content == second.content


def post_ada(client: httpx.Client, key: str, external_id: str) -> httpx.Response:
    """Create a party under a key."""
    body = {"kind": "person", "name": "Ada", "external_id": external_id}
    return client.post("/v1/parties", json=body, headers={idempotency.HEADER: key})
