"""Each status that the document lists for an operation is seen at that operation."""

import asyncio
import base64
import contextlib
import functools
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from billfold import ids
from billfold.clock import ManualClock
from billfold.contract.statements import EntryOutcome
from billfold.contract.wallets import CreateWithdrawal
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.http.services import Services
from billfold_server.http.shares import PLATFORM, ROOM, Lines, Rules
from billfold_server.ledger import service as ledger
from billfold_server.ledger.detaching import detach
from billfold_server.reconciliation import service as statements
from billfold_server.settings import Secret
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.wallets import kinds as wallet_kinds
from tests.contract.conftest import COUNTS, TENANT
from tests.contract.documents import Operation, operations, read_document
from tests.contract.reaching import CONFLICTS, OF_OPERATORS, Reaching, contradict
from tests.contract.seeds import FRESH, Seeds
from tests.live import LiveServer, serve
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.giving import accepted
from tests.server.reconciliation.statement_files import Entry, Plan, camt053
from tests.tenants import manifest

EVERY = list(operations(read_document()))
# Success is what test_contract reaches.
PAIRS = [(each, status) for each in EVERY for status in each.statuses if status >= 400]
PATIENCE_S = 0.2


class Surroundings(msgspec.Struct):
    """Servers and tenants in states that refuse.

    Attributes:
        reaching: Sends well-formed requests to the server that is well.
        away: A server whose database can't be reached.
        strict: A server that lets everybody ask once.
        hasty: A server that doesn't wait for bodies.
        poor: Tokens without scopes that matter, of the tenant and of the platform.
        once: Tokens of clients that may ask once, of the tenant ``reach_limited`` and of the platform.
        detached: A token of the tenant ``reach_detached``, and what its path parameters name: all of it was posted in a
            month that has left the ledger.
    """

    reaching: Reaching
    away: LiveServer
    strict: LiveServer
    hasty: LiveServer
    poor: dict[bool, str]
    once: dict[bool, str]
    detached: tuple[str, dict[str, str]]
    live: LiveServer


@pytest.fixture(scope="module")
def surroundings(
    live: LiveServer,
    seeds: Seeds,
    client: httpx.Client,
    operator: httpx.Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Surroundings]:
    """Bring servers and tenants into states that refuse."""
    live.add_tenant(manifest("reach_limited", rate_limit_per_s=1, rate_limit_burst=1))
    live.add_tenant(manifest("reach_suspended"))
    live.run(live.services.tenants.suspend("reach_suspended", reason="test"))
    live.add_tenant(manifest("reach_plain", features=[]))
    live.add_tenant(manifest("reach_detached", limits={"retention_months": 1}))
    detached = live.run(_detach(live, "reach_detached"))
    base = msgspec.structs.replace(
        live.settings, public_url=live.url, keyring_file=str(Path(live.settings.data_dir) / "keyring.json")
    )
    away = msgspec.structs.replace(
        base,
        database_url=Secret("postgresql://nobody:x@127.0.0.1:1/nothing"),
        admin_database_url=None,
        data_dir=str(tmp_path_factory.mktemp("away")),
    )
    strict = msgspec.structs.replace(
        base,
        data_dir=str(tmp_path_factory.mktemp("strict")),
        rate_limit_per_s=1,
        rate_limit_burst=1,
        token_rate_limit_per_min=1,
    )
    hasty = msgspec.structs.replace(
        base, data_dir=str(tmp_path_factory.mktemp("hasty")), body_timeout_s=PATIENCE_S, upload_timeout_s=PATIENCE_S
    )
    tokens = {False: client.headers["Authorization"][7:], True: operator.headers["Authorization"][7:]}
    clients = {False: live.add_client(TENANT), True: live.add_client(None)}
    reaching = Reaching(
        seeds,
        live.base(TENANT),
        live.url,
        tokens,
        {key: (each.client_id, each.secret) for key, each in clients.items()},
    )
    live.add_tenant(manifest("reach_waits", approvals={"always": ["roles", "client_keys"]}))
    token = live.token("reach_waits", live.add_client("reach_waits"))
    reaching.waiting = {"base": live.base("reach_waits"), "token": token}
    reaching.in_flight = functools.partial(_in_flight, live, tokens[False])
    with serve(away) as away_server, serve(strict) as strict_server, serve(hasty) as hasty_server:
        yield Surroundings(
            reaching=reaching,
            away=away_server,
            strict=strict_server,
            hasty=hasty_server,
            poor={False: live.token(TENANT, live.add_client(TENANT, ["audit:read"])), True: ""},
            detached=(live.token("reach_detached", live.add_client("reach_detached")), detached),
            once={False: live.token("reach_limited", live.add_client("reach_limited")), True: tokens[True]},
            live=live,
        )


async def _detach(live: LiveServer, slug: str) -> dict[str, str]:
    """Post something in a month that is long past, let the month go, and return what names what was in it."""
    services = live.services
    tenant = await services.registry.get(slug)
    engine = open_engine(services.database, clock=ManualClock(datetime(2025, 1, 10, tzinfo=UTC)))
    bench = Bench(engine, services.database, tenant)
    await bench.add_wallets(2, ["EUR"])
    top_up = accepted(await bench.top_up(0, 1_000))
    transfer = accepted(await bench.transfer(0, 1, 100))
    out = CreateWithdrawal(wallet_id=bench.wallets[1], amount=Money(10, "EUR"))
    withdrawal = accepted(await bench.submit(wallet_kinds.WITHDRAW, wallet_kinds.withdrawal(out)))
    wallet_id = ids.decode(Prefix.WALLET, bench.wallets[0])
    async with services.database.tx(tenant) as tx:
        (account,) = (await ledger.list_wallet_accounts(tx, [wallet_id]))[wallet_id]
    entry_id = await _come_back(bench, services, withdrawal["id"])
    await engine.close()
    await detach(
        services.database,
        services.tenants,
        tenant,
        before=date(2025, 2, 1),
        archive=None,
        reason="test",
        caller=COMMAND_LINE,
    )
    return {
        "account_id": account.wire_id,
        "wallet_id": bench.wallets[0],
        "journal_entry_id": transfer["journal_entry_id"],
        "top_up_id": top_up["id"],
        "transfer_id": transfer["id"],
        "withdrawal_id": withdrawal["id"],
        "statement_entry_id": entry_id,
    }


async def _come_back(bench: Bench, services: Services, withdrawal_id: str) -> str:
    """Import a statement that shows a withdrawal to have left, and return the entry in which its money comes back."""
    data = camt053(Plan([Entry(-10, end_to_end_id=withdrawal_id), Entry(10, name="Somebody")], opening_minor=10))
    answer = await statements.import_file(
        bench.engine, bench.database, services.keys, bench.tenant, data, caller=COMMAND_LINE, secret=bytes(32)
    )
    assert answer.error is None, answer.error
    async with bench.database.tx(bench.tenant) as tx:
        (row,) = await statements.list_entries(tx, limit=9, before=None, import_id=None, outcome=EntryOutcome.SUSPENSE)
    return row.wire_id


def _base(server: LiveServer, operation: Operation, slug: str = TENANT) -> str:
    return server.url if operation.at_deployment else server.base(slug)


def malformed(around: Surroundings, operation: Operation) -> httpx.Response:
    """Ask for a parameter that no operation knows, or for a token without saying how."""
    if operation.media_type == "application/x-www-form-urlencoded":
        return around.reaching.send(operation, content=b"scope=x")
    return around.reaching.send(operation, query={"unknown": "1"})


def unauthenticated(around: Surroundings, operation: Operation) -> httpx.Response:
    """Show no token, or a wrong secret."""
    return around.reaching.send(operation, token=None, auth=None if operation.needs_token else ("nobody", "x"))


def forbidden(around: Surroundings, operation: Operation) -> httpx.Response:
    """Show a token that lacks the scope, or come to a suspended tenant."""
    if not operation.at_deployment:
        poor = operation.needs_token and operation.operation_id not in {"listAuditRecords", "getAuditHead"}
        if poor:
            return around.reaching.send(operation, token=around.poor[False])
        return around.reaching.send(operation, base=around.live.base("reach_suspended"))
    (scopes,) = (scopes for each in operation.definition["security"] for scopes in each.values())
    other = "platform:tenants:read" if scopes == ["platform:tenants:write"] else "platform:tenants:write"
    return around.reaching.send(operation, token=around.live.token(None, around.live.add_client(None, [other])))


def missing(around: Surroundings, operation: Operation) -> httpx.Response:
    """Name a tenant that isn't there."""
    if operation.at_deployment:
        return around.reaching.send(operation, path={"slug": "nobody"}, query=_confirmed(operation, "nobody"))
    return around.reaching.send(operation, base=f"{around.live.url}/t/nobody")


def _confirmed(operation: Operation, slug: str) -> dict[str, str] | None:
    return {"confirm": slug} if operation.operation_id == "deleteTenant" else None


def conflicting(around: Surroundings, operation: Operation) -> httpx.Response:
    """Ask for what the state of things refuses."""
    if operation.operation_id in CONFLICTS:
        return CONFLICTS[operation.operation_id](around.reaching, operation)
    if operation.operation_id in OF_OPERATORS:
        return OF_OPERATORS[operation.operation_id](around.reaching, operation)
    if operation.operation_id == "applyTenant":
        hosts = {"hosts": ["taken.example.com"]}
        around.live.add_tenant(manifest("reach_host", **hosts))
        body = around.reaching.example(operation)
        return around.reaching.send(operation, body={**body, "manifest": {**body["manifest"], **hosts}})
    if operation.operation_id == "deleteTenant":
        # It must be suspended first.
        return around.reaching.send(operation, path={"slug": "reach_plain"}, query={"confirm": "reach_plain"})
    around.live.run(_begin_to_delete(around.live, "reach_plain"))
    try:
        return around.reaching.send(operation, path={"slug": "reach_plain"})
    finally:
        around.live.run(_begin_to_delete(around.live, "reach_plain", state="active"))


async def _begin_to_delete(live: LiveServer, slug: str, state: str = "deleting") -> None:
    """Leave a tenant in a state in which a deletion that was cut short leaves it."""
    async with live.services.database.platform_tx() as tx:
        await tx.execute("UPDATE tenants SET state = $2 WHERE slug = $1", slug, state)


@contextlib.contextmanager
def _in_flight(live: LiveServer, token: str, key: str) -> Iterator[None]:
    """Hold an idempotency key of the client to whom a token was issued."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    client_id = ids.decode(Prefix.CLIENT, claims["client_id"])
    held, done = threading.Event(), asyncio.Event()

    async def hold() -> None:
        async with live.services.database.tx(await live.services.registry.get(TENANT)) as tx:
            await tx.execute(
                "INSERT INTO idempotency_keys (client_id, key, fingerprint, created_at) VALUES ($1, $2, $3, now())",
                client_id, key, bytes(32),
            )  # fmt: skip
            held.set()
            await done.wait()

    work = asyncio.run_coroutine_threadsafe(hold(), live._loop)
    assert held.wait(30)
    try:
        yield
    finally:
        live._loop.call_soon_threadsafe(done.set)
        work.result(30)


async def _forget(live: LiveServer, token_id: str) -> None:
    """Leave a vault token as erasing the party leaves it."""
    async with live.services.database.tx(await live.services.registry.get(TENANT)) as tx:
        await tx.execute(
            "UPDATE vault_tokens SET value = NULL, masked = '{}', metadata = '{}', fingerprint_id = NULL, "
            "forgotten_at = now() WHERE id = $1",
            ids.decode(Prefix.VAULT_TOKEN, token_id),
        )


def _repeated(around: Surroundings, operation: Operation) -> httpx.Response:
    """Repeat a request whose answer was forgotten with the party that it is about."""
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    body = {"kind": "person", "name": "Ada Lovelace"}
    party_id = None
    if operation.operation_id in {"createArrangement", "createPayment"}:
        party_id = str(around.reaching.seeds.post("/v1/parties", body)["id"])
        wallet = around.reaching.seeds.post("/v1/wallets", {"party_id": party_id})
        body = around.reaching.example(operation) | {"wallet_id": wallet["id"]}
        if "amount" in body:
            around.reaching.seeds.post("/v1/top-ups", {"wallet_id": wallet["id"], "amount": body["amount"]})
    if operation.operation_id == "createUser":
        party_id = str(around.reaching.seeds.post("/v1/parties", body)["id"])
        body = {"login_realm": "psu", "login_name": f"psu.{secrets.token_hex(6)}", "display_name": "x"}
        body["party_id"] = party_id
    made = around.reaching.send(operation, headers=headers, body=body)
    assert made.status_code == 201, made.text
    around.live.run(_shred(around.live, party_id or made.json()["id"]))
    return around.reaching.send(operation, headers=headers, body=body)


async def _shred(live: LiveServer, party_id: str) -> None:
    """Destroy the keys of a party."""
    tenant = await live.services.registry.get(TENANT)
    await live.services.keys.forget(tenant, [ids.decode(Prefix.PARTY, party_id)], reason="test")


def detached(around: Surroundings, operation: Operation) -> httpx.Response:
    """Ask for what has left the ledger, for balances as of a time before, or for what was erased."""
    if "vault_token_id" in operation.path:
        forgotten = FRESH["deleteVaultToken"](around.reaching.seeds)
        around.live.run(_forget(around.live, forgotten["vault_token_id"]))
        return around.reaching.send(operation, path=forgotten)
    if operation.operation_id in {"createArrangement", "createParty", "createPayment", "createUser"}:
        return _repeated(around, operation)
    token, path = around.detached
    changes: dict[str, Any] = {"base": around.live.base("reach_detached"), "token": token, "path": path}
    if operation.path.endswith(("/balance", "/balances")):
        changes["query"] = {"effective_at": "2024-12-01T00:00:00Z"}
    if operation.operation_id == "assignStatementEntry":
        changes["body"] = {"withdrawal_id": path["withdrawal_id"]}
    return around.reaching.send(operation, **changes)


def outdated(around: Surroundings, operation: Operation) -> httpx.Response:
    """Change what has changed since."""
    return around.reaching.send(operation, body={}, headers={"If-Match": '"999999"'})


def too_slow(around: Surroundings, operation: Operation) -> httpx.Response:
    """Send the first byte, and the next one when nobody waits for it any longer.

    A server that was held up itself takes what came meanwhile; it is asked once more, with far more time.
    """

    def body(pause_s: float) -> Iterator[bytes]:
        yield b" "
        threading.Event().wait(pause_s)
        yield b" "

    base = _base(around.hasty, operation)
    answer = around.reaching.send(operation, base=base, content=body(1.5 * PATIENCE_S))
    if answer.status_code == 408:
        return answer
    return around.reaching.send(operation, base=base, content=body(50 * PATIENCE_S))


def too_large(around: Surroundings, operation: Operation) -> httpx.Response:
    """Send more than the server takes."""
    upload = operation.media_type == "application/octet-stream"
    settings = around.live.settings
    limit = settings.upload_limit_bytes if upload else settings.body_limit_bytes
    return around.reaching.send(operation, content=b" " * (limit + 1))


def of_wrong_type(around: Surroundings, operation: Operation) -> httpx.Response:
    """Call the body something else."""
    return around.reaching.send(operation, content_type="text/plain")


def contradicting(around: Surroundings, operation: Operation) -> httpx.Response:
    """Send what contradicts something."""
    return contradict(around.reaching, operation)


def too_often(around: Surroundings, operation: Operation) -> httpx.Response:
    """Ask until it is too much."""
    base = _base(around.strict, operation, "reach_limited")
    changes: dict[str, Any] = {"token": around.once[operation.at_deployment]}
    if not operation.needs_token:
        changes = {"auth": ("nobody", "x")}
    for _ in range(20):
        answer = around.reaching.send(operation, base=base, **changes)
        if answer.status_code == 429:
            break
    return answer


def while_away(around: Surroundings, operation: Operation) -> httpx.Response:
    """Ask a server whose database can't be reached, or where what needs none has no place."""
    base = _base(around.away, operation)
    if _codes_of(operation, 503) != {"overloaded"}:
        return around.reaching.send(operation, base=base)
    with _crowded(around.away):
        return around.reaching.send(operation, base=base)


def _codes_of(operation: Operation, status: int) -> set[str]:
    content = operation.definition["responses"][str(status)]["content"]
    return {code for each in content.values() for code in each.get("examples", ())}


@contextlib.contextmanager
def _crowded(live: LiveServer) -> Iterator[None]:
    """Let the operators have one place, which is taken, and let nobody wait."""
    shares = live.services.rooms[ROOM]
    usual, now = shares.lines, time.monotonic()
    shares.lines = Lines(Rules(most=1, least=1, company_s=60.0, lease_s=60.0, patience_s=0.0))
    for name in ("somebody", PLATFORM):
        shares.lines.ask(name, [], now)
    try:
        yield
    finally:
        shares.lines = usual


WAYS: dict[int, Callable[[Surroundings, Operation], httpx.Response]] = {
    400: malformed,
    401: unauthenticated,
    403: forbidden,
    404: missing,
    408: too_slow,
    409: conflicting,
    410: detached,
    412: outdated,
    413: too_large,
    415: of_wrong_type,
    422: contradicting,
    429: too_often,
    503: while_away,
}
"""How each status is reached."""


class TestEveryDocumentedStatus:
    def test_has_a_way_to_be_reached(self) -> None:
        """The table of ways has each status of the document, and the table of conflicts each operation that has one."""
        assert {status for _, status in PAIRS} == set(WAYS)
        tenants = {each.operation_id for each, status in PAIRS if status == 409 and not each.at_deployment}
        assert tenants == set(CONFLICTS)

    @pytest.mark.parametrize(
        ("operation", "status"), PAIRS, ids=[f"{each.operation_id}-{status}" for each, status in PAIRS]
    )
    def test_is_seen(self, operation: Operation, status: int, surroundings: Surroundings) -> None:
        """The operation answers with the status, in the documented form and with a documented code."""
        answer = WAYS[status](surroundings, operation)
        assert answer.status_code == status, answer.text
        media_type = answer.headers["content-type"]
        content = operation.definition["responses"][str(status)]["content"][media_type]
        body = json.loads(answer.content)
        if media_type == "application/problem+json":
            assert body["code"] in content["examples"]
            assert body["request_id"] == answer.headers["x-request-id"]
        else:
            assert set(body) == {"error", "error_description"}
        assert status not in {429, 503} or int(answer.headers["retry-after"]) >= 0
        COUNTS["pairs of operation and refusal seen"] += 1
