"""Fixtures: a server with a disposable tenant, full of what operations need, and the summary of what was seen."""

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from _pytest.terminal import TerminalReporter

from billfold import ids
from billfold.contract.roles import StaffRole
from billfold.ids import Prefix
from billfold_server.db.outbox import list_events
from billfold_server.identity.rules import PLATFORM_SCOPES, TENANT_SCOPES
from billfold_server.parties import service as parties
from tests.contract.dead_jobs import DeadJobs
from tests.contract.deviations import Deviating
from tests.contract.documents import read_document, told_otherwise
from tests.contract.operators import Operators
from tests.contract.paying import contradict, pay
from tests.contract.preparing import Approved, Preparing
from tests.contract.seeds import DIRECTORY, Seeds, Tenants
from tests.live import LiveServer, serve, settings_for
from tests.postgres import execute
from tests.server.consents.consenting import ask_live, give_live
from tests.server.identity.clients_of import key_for, public_jwk
from tests.server.identity.flows import add_app, add_person, tokens_of
from tests.server.tokens.banks import TOKENIZATION
from tests.tenants import in_database, manifest

SUMMARY: list[str] = []
"""Lines about what this process has seen."""
COUNTS: Counter[str] = Counter()
"""How often it has seen what, where that is said once for all processes."""
TENANT = "contract"
UNLIMITED = {"rate_limit_per_s": 100_000, "rate_limit_burst": 1_000_000}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what one process of several has seen to the one that prints it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["contract"] = (SUMMARY, dict(COUNTS))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what another process has seen; one that died has nothing to hand over."""
    lines, counts = getattr(node, "workeroutput", {}).get("contract", ([], {}))
    SUMMARY.extend(lines)
    COUNTS.update(counts)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print what the contract tests have seen."""
    if SUMMARY or COUNTS:
        terminalreporter.section("contract")
        for line in [*sorted(SUMMARY), *(f"{what}: {count}" for what, count in sorted(COUNTS.items()))]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def quiet() -> None:
    """Log what goes wrong only; there are thousands of requests."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """Return the exported document."""
    return read_document()


@pytest.fixture(scope="session")
def live(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve a tenant that is made for these tests and thrown away after them."""
    name = f"contract_{secrets.token_hex(4)}"
    asyncio.run(execute(postgres_dsn, f"CREATE DATABASE {name}"))
    settings = settings_for(
        tmp_path_factory.mktemp("contract"),
        in_database(postgres_dsn, name),
        rate_limit_per_s=100_000,
        rate_limit_burst=1_000_000,
        token_rate_limit_per_min=1_000_000,
    )
    with serve(settings, wrap=Deviating) as server:
        approvals = {"always": ["overdraft_limit"]}
        made = manifest(
            TENANT,
            features=["statements"],
            approvals=approvals,
            tokenization=TOKENIZATION,
            # Each is a tenant of its own, which takes a moment to make.
            partners={"sandboxes": 1},
            registration={
                "publishers": [{"issuer": DIRECTORY, "jwks": {"keys": [public_jwk(key_for("ES256"), "dir")]}}]
            },
            **UNLIMITED,
        )
        server.add_tenant(made)
        yield server
        names = server.run(_told(server))
        COUNTS["kinds of events that were looked at"] += len(names)
    asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


async def _told(live: LiveServer) -> list[str]:
    """See that what the tenant's stream says is what the document says of it, and return which types it has."""
    tenant = await live.services.registry.get(TENANT)
    async with live.services.database.tx(tenant) as tx:
        names = [row["type"] for row in await tx.fetch("SELECT DISTINCT type FROM outbox_events")]
        events = [each for name in names for each in await list_events(tx, event_type=name, limit=20)]
    for event in events:
        problems = told_otherwise(msgspec.to_builtins(event))
        assert not problems, (event.type, problems)
    return names


@pytest.fixture(scope="session")
def deviating(live: LiveServer) -> Deviating:
    """Return what can make the server deviate."""
    assert isinstance(live.outermost, Deviating)
    return live.outermost


@contextlib.contextmanager
def _for_the_session(live: LiveServer) -> Iterator[None]:
    """Let tokens live longer than may be set: people's are got once, and a slow machine takes more than ten minutes."""
    identity = live.services.identity
    usual, identity.token_ttl_s = identity.token_ttl_s, 3_600
    yield
    identity.token_ttl_s = usual


@pytest.fixture(scope="session")
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """Return a client with every scope, in the name of a member of staff: some things only a person may do."""
    scopes = sorted(TENANT_SCOPES)
    app = add_app(live, TENANT, "client_secret_basic", login_realm="staff", scopes=scopes)
    with _for_the_session(live):
        tokens = tokens_of(app, add_person(live, TENANT, roles=[*StaffRole]), scope=" ".join(scopes))
    assert sorted(tokens["scope"].split(" ")) == scopes, "every scope is some role's"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    with httpx.Client(base_url=live.base(TENANT), headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def seeds(live: LiveServer) -> Iterator[Seeds]:
    """Return what the tenant holds, made by a program: what waits for approval is nobody's own."""
    with live.client(TENANT) as maker:
        seeds = Seeds(maker, partial(ask_live, live, TENANT), partial(give_live, live, TENANT))
        seeds.plant()
        # Now, that is: later on some test may have blocked their third party.
        seeds.sent = pay(live, TENANT, seeds, outside=True)
        seeds.contradicted, *payments = (pay(live, TENANT, seeds) for _ in range(3))
        contradict(live, TENANT, seeds.contradicted)
        seeds.replace("pay", payments)
        seeds.ownerless = _ownerless(live, seeds)
        yield seeds


def _ownerless(live: LiveServer, seeds: Seeds) -> str:
    """Close a wallet, forget its owner, and return its id."""
    party = seeds.post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"})["id"]
    wallet = str(seeds.post("/v1/wallets", {"party_id": party})["id"])
    seeds.post(f"/v1/wallets/{wallet}/close", {"reason": "test"})

    async def forget() -> None:
        async with live.services.database.tx(await live.services.registry.get(TENANT)) as tx:
            await parties.erase_party(tx, ids.decode(Prefix.PARTY, party), datetime.now(UTC))

    live.run(forget())
    return wallet


@pytest.fixture(scope="session")
def operator(live: LiveServer) -> Iterator[httpx.Client]:
    """Return a client of the platform with every scope, in an operator's name: some things only a person may do."""
    scopes = sorted(PLATFORM_SCOPES)
    app = add_app(live, None, "client_secret_basic", scopes=scopes)
    with _for_the_session(live):
        tokens = tokens_of(app, add_person(live, None), scope=" ".join(scopes))
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    with httpx.Client(base_url=live.base(None), headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def approved(live: LiveServer, seeds: Seeds, client: httpx.Client) -> dict[str, Approved]:
    """Return what always waits for another person, asked for by the client's and approved by another one.

    So does, in a way, a payment that needs somebody.
    """
    app = add_app(live, TENANT, "client_secret_basic", login_realm="staff", scopes=["approvals:decide"])
    tokens = tokens_of(app, add_person(live, TENANT, roles=["approver"]), scope="approvals:decide")
    shredded, erased = (seeds.post("/v1/parties", {"kind": "person", "name": "Ada"})["id"] for _ in range(2))

    def agreed(path: str, body: dict[str, str], **in_path: str) -> Approved:
        key = secrets.token_hex(10)
        answer = client.post(path.format(**in_path), json=body, headers={"Idempotency-Key": key})
        assert answer.json()["code"] == "approval_required", answer.text
        decide = f"/t/{TENANT}/v1/approvals/{answer.json()['facts']['approval_id']}/approve"
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        decided = httpx.post(live.url + decide, json={}, headers=headers)
        assert decided.json()["outcome_status"] == 200, decided.text
        return Approved(body, key, in_path)

    noted = {"outcome": "noted", "reason": "the rail was wrong"}
    reason = {"reason": "asked to be forgotten"}
    return {
        "shredSubject": agreed("/v1/data-keys/shred", {"party_id": shredded, **reason}),
        "eraseParty": agreed("/v1/parties/{party_id}/erasure", reason, party_id=erased),
        "resolvePayment": Approved(noted, secrets.token_hex(10), {"payment_id": seeds.contradicted}),
    }


@pytest.fixture(scope="session")
def preparing(live: LiveServer, seeds: Seeds, operator: httpx.Client, approved: dict[str, Approved]) -> Preparing:
    """Return what makes cases name things that exist."""
    return Preparing(seeds, Tenants(operator, Operators(live), DeadJobs(live, "spare_active")), approved)
