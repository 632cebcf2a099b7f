"""A third party that the bank keeps out: by its directory's word, whatever it has registered and will register."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from click.testing import CliRunner

from billfold import ids
from billfold.ids import Prefix
from billfold_server.app import open_services
from billfold_server.consents import service
from billfold_server.consents.commands import consents
from billfold_server.consents.stores import STORES
from billfold_server.identity import jose
from billfold_server.tenancy.migrations.tenant import (
    tenant_0047_blocks_of_third_parties,
    tenant_0051_blocks_of_organisations,
)
from billfold_server.tenancy.transaction import TenantTx
from tests.live import LiveServer
from tests.server.consents.consenting import give_live
from tests.server.identity import clients_of
from tests.tenants import Tenancy, manifest

SLUG = "blocking"
DIRECTORY = "https://directory.example"
PUBLISHER = clients_of.key_for("PS256")
JWKS = {"keys": [clients_of.public_jwk(clients_of.key_for("ES256"), "mine")]}


@pytest.fixture(scope="module")
def staff(live: LiveServer) -> Iterator[httpx.Client]:
    """Who keeps third parties out, at a bank that believes a directory, where others may register, too."""
    publishers = [{"issuer": DIRECTORY, "jwks": {"keys": [clients_of.public_jwk(PUBLISHER, "dir")]}}]
    believing = {"mode": "open", "publishers": publishers, "scopes": ["tenant:read"]}
    live.add_tenant(manifest(SLUG, registration=believing))
    with live.client(SLUG, ["consents:read", "consents:write", "audit:read"]) as client:
        yield client


def register(live: LiveServer, **claims: Any) -> httpx.Response:
    """Register by a statement of the directory; without claims, by none."""
    return httpx.post(f"{live.base(SLUG)}/oauth/register", json=metadata(**claims))


def metadata(**claims: Any) -> dict[str, Any]:
    """Return what a client asks for."""
    if not claims:
        return {"scope": "tenant:read"}
    now = int(time.time())
    said = {"iss": DIRECTORY, "iat": now, "exp": now + 600, "jwks": JWKS, **claims}
    return {"scope": "tenant:read", "software_statement": jose.sign(said, PUBLISHER, alg="PS256", kid="dir", typ="JWT")}


def registered(live: LiveServer, **claims: Any) -> str:
    """Register, and return the client's id."""
    answer = register(live, **claims)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["client_id"])


def block(staff: httpx.Client, client_id: str, reason: str = "No licence.") -> httpx.Response:
    """Keep a third party out."""
    body = {"client_id": client_id, "reason": reason}
    return staff.post("/v1/blocked-third-parties", json=body, headers={"Idempotency-Key": uuid4().hex})


def block_organisation(staff: httpx.Client, organisation_id: str, directory: str = DIRECTORY) -> httpx.Response:
    """Keep a third party out as its directory names it."""
    body = {"directory": directory, "organisation_id": organisation_id, "reason": "No licence."}
    return staff.post("/v1/blocked-third-parties", json=body, headers={"Idempotency-Key": uuid4().hex})


def unblock_organisation(staff: httpx.Client, organisation_id: str) -> int:
    """Let one in again in the same way."""
    named = {"directory": DIRECTORY, "organisation_id": organisation_id}
    return staff.delete("/v1/blocked-third-parties", params=named).status_code


def unblock(staff: httpx.Client, client_id: str) -> int:
    """Let a third party in again."""
    return staff.delete(f"/v1/blocked-third-parties/{client_id}").status_code


def admitted(live: LiveServer, *client_ids: str) -> list[bool]:
    """Tell which of these clients may still do anything."""

    async def look() -> list[bool]:
        async with live.services.database.tx(await live.services.registry.get(SLUG)) as tx:
            return [await service.is_admitted(tx, ids.decode(Prefix.CLIENT, each)) for each in client_ids]

    found: list[bool] = live.run(look())
    return found


def in_tx(live: LiveServer, work: Callable[[TenantTx], Any]) -> Any:
    """Do something in a transaction of the tenant's."""

    async def run() -> Any:
        async with live.services.database.tx(await live.services.registry.get(SLUG)) as tx:
            return await work(tx)

    return live.run(run())


class TestAThirdPartyOfADirectory:
    def test_is_blocked_with_all_that_it_has_registered(self, live: LiveServer, staff: httpx.Client) -> None:
        """The organisation's other software, and the same once more, are kept out with it; other organisations not."""
        org = uuid4().hex
        first = registered(live, organisation_id=org, software_id="sw-1")
        again = registered(live, org_id=org, software_id="sw-1")
        other = registered(live, organisation_id=org, software_id="sw-2")
        stranger = registered(live, organisation_id=uuid4().hex, software_id="sw-1")
        said = block(staff, again).json()
        assert (said["client_id"], said["directory"], said["organisation_id"], said["software_id"]) == (
            again,
            DIRECTORY,
            org,
            None,
        )
        assert admitted(live, first, again, other, stranger) == [False, False, False, True]

    def test_cant_register_again_until_it_is_let_in(self, live: LiveServer, staff: httpx.Client) -> None:
        """Nothing of what is refused remains; any client of it names it, to block it twice and to let it in."""
        org = uuid4().hex
        first, other = (registered(live, organisation_id=org, software_id=each) for each in ("sw-1", "sw-2"))
        assert block(staff, first).status_code == 201
        assert block(staff, other, reason="Another reason.").json()["client_id"] == first
        count = in_tx(live, lambda tx: tx.fetchval("SELECT count(*) FROM api_clients"))
        for software in ("sw-1", "sw-3"):
            refused = register(live, organisation_id=org, software_id=software)
            assert (refused.status_code, refused.json()["error"]) == (400, "unapproved_software_statement")
        assert in_tx(live, lambda tx: tx.fetchval("SELECT count(*) FROM api_clients")) == count
        assert unblock(staff, other) == 204
        assert unblock(staff, first) == 404
        assert admitted(live, first, other, registered(live, organisation_id=org, software_id="sw-3")) == [True] * 3

    def test_cant_become_another_by_its_registration(self, live: LiveServer, staff: httpx.Client) -> None:
        """A registration that is replaced while it is blocked, or by a statement of who is blocked, is refused."""
        org, elsewhere = uuid4().hex, uuid4().hex
        blocked = register(live, organisation_id=org, software_id="sw-1").json()
        moving = register(live, organisation_id=elsewhere, software_id="sw-1").json()
        assert block(staff, blocked["client_id"]).status_code == 201
        for made, to in ((blocked, elsewhere), (moving, org)):
            answer = httpx.put(
                made["registration_client_uri"],
                headers={"Authorization": f"Bearer {made['registration_access_token']}"},
                json={"client_id": made["client_id"], **metadata(organisation_id=to, software_id="sw-1")},
            )
            assert (answer.status_code, answer.json()["error"]) == (400, "unapproved_software_statement")
        assert admitted(live, blocked["client_id"], moving["client_id"]) == [False, True]

    def test_is_its_software_where_no_organisation_is_named(self, live: LiveServer, staff: httpx.Client) -> None:
        """A directory needn't say whose the software is."""
        one, another = uuid4().hex, uuid4().hex
        first, again, other = (registered(live, software_id=each) for each in (one, one, another))
        said = block(staff, first).json()
        assert (said["directory"], said["organisation_id"], said["software_id"]) == (DIRECTORY, None, one)
        assert admitted(live, first, again, other) == [False, False, True]
        assert register(live, software_id=one).json()["error"] == "unapproved_software_statement"

    def test_is_told_of_and_audited_with_its_name(self, live: LiveServer, staff: httpx.Client) -> None:
        """Blocked and let in: each once, under the client by which it was blocked."""
        org = uuid4().hex
        first, other = (registered(live, organisation_id=org, software_id=each) for each in ("sw-1", "sw-2"))
        block(staff, first)
        block(staff, other)
        assert unblock(staff, other) == 204
        named = {"directory": DIRECTORY, "organisation_id": org}
        until = time.monotonic() + 20
        while len(told := in_tx(live, lambda tx: tx.fetch(_TOLD, first))) < 2:
            assert time.monotonic() < until, told
            time.sleep(0.02)
        assert [row["type"] for row in told] == ["third_party.blocked", "third_party.unblocked"]
        data = {"client_id": first, "software_id": None, **named}
        assert [json.loads(row["data"]) for row in told] == [data, data]
        entries = staff.get("/v1/audit-records", params={"object_id": first}).json()["data"]
        facts = {each["action"]: each["facts"] for each in entries}
        assert facts["third_party.blocked"] == facts["third_party.unblocked"] == named

    def test_finds_no_way_in_while_it_is_blocked(self, live: LiveServer, staff: httpx.Client) -> None:
        """Many register while staff blocks by two clients at once: one block, and whoever got in is kept out."""
        org = uuid4().hex
        first, other = (registered(live, organisation_id=org, software_id=each) for each in ("sw-1", "sw-2"))
        with ThreadPoolExecutor(10) as pool:
            tries = [
                pool.submit(register, live, organisation_id=org, software_id=f"sw-{each % 4}") for each in range(8)
            ]
            blocks = [pool.submit(block, staff, each) for each in (first, other)]
            answers = [each.result() for each in tries]
        assert len({each.result().json()["client_id"] for each in blocks}) == 1
        let_in = [each.json()["client_id"] for each in answers if each.status_code == 201]
        assert {each.json()["error"] for each in answers if each.status_code != 201} <= {
            "unapproved_software_statement"
        }
        assert admitted(live, first, other, *let_in) == [False] * (2 + len(let_in))
        listed = staff.get("/v1/blocked-third-parties", params={"limit": 100}).json()["data"]
        assert [each["organisation_id"] for each in listed].count(org) == 1

    def test_uses_no_consent_of_another_client_of_its(self, live: LiveServer, staff: httpx.Client) -> None:
        """Also not in a batch of the ledger, which loads it as blocked, or finds that what it remembered is past."""
        org = uuid4().hex
        first, other = (registered(live, organisation_id=org, software_id=each) for each in ("sw-1", "sw-2"))
        consent_id = ids.decode(Prefix.CONSENT, give_live(live, SLUG, ids.decode(Prefix.CLIENT, other)))
        before = in_tx(live, lambda tx: state(tx, consent_id))
        block(staff, first)
        blocked = in_tx(live, lambda tx: state(tx, consent_id))
        unblock(staff, first)
        assert (before, blocked, in_tx(live, lambda tx: state(tx, consent_id))) == (
            (True, False, True),
            (False, True, False),
            (True, False, True),
        )


async def state(tx: TenantTx, consent_id: UUID) -> tuple[bool, bool, bool]:
    """Tell of a consent whether it stands, is loaded as blocked, and may be written by who has loaded it."""
    looked = (await service.look(tx, [consent_id]))[consent_id]
    store = STORES[0]
    row = (await store.load(tx, [consent_id]))[consent_id]
    guard = store.guard([row])
    return looked.stands, row.blocked, bool(await tx.fetchval(f"SELECT {guard.sql}", *guard.arguments))


class TestAnOrganisationThatHasNoClient:
    def test_is_refused_when_it_comes_to_register(self, live: LiveServer, staff: httpx.Client) -> None:
        """Whatever software it comes with, from the first time on, until it is let in; others may register."""
        org = uuid4().hex
        said = block_organisation(staff, org)
        assert (said.status_code, said.json()["client_id"]) == (201, None)
        assert (said.json()["directory"], said.json()["organisation_id"]) == (DIRECTORY, org)
        for claims in ({"organisation_id": org, "software_id": "sw-1"}, {"org_id": org, "software_id": "sw-2"}):
            refused = register(live, **claims)
            assert (refused.status_code, refused.json()["error"]) == (400, "unapproved_software_statement")
        assert in_tx(live, lambda tx: tx.fetchval(_COUNT, org)) == 0
        stranger = registered(live, organisation_id=uuid4().hex, software_id="sw-1")
        assert unblock_organisation(staff, org) == 204
        assert unblock_organisation(staff, org) == 404
        assert admitted(live, stranger, registered(live, organisation_id=org, software_id="sw-1")) == [True, True]

    def test_is_blocked_once_however_it_is_named(self, live: LiveServer, staff: httpx.Client) -> None:
        """By its directory's word or by a client, it is one block, which either of the two ends."""
        one, another = uuid4().hex, uuid4().hex
        clients = [registered(live, organisation_id=each, software_id="sw-1") for each in (one, another)]
        assert block_organisation(staff, one).json()["client_id"] is None
        assert block(staff, clients[0]).json()["client_id"] is None
        assert block(staff, clients[1]).json()["client_id"] == clients[1]
        assert block_organisation(staff, another).json()["client_id"] == clients[1]
        assert admitted(live, *clients) == [False, False]
        assert (unblock(staff, clients[0]), unblock_organisation(staff, another)) == (204, 204)
        assert admitted(live, *clients) == [True, True]

    def test_is_let_in_with_clients_that_were_blocked_alone(self, live: LiveServer, staff: httpx.Client) -> None:
        """Of blocks from before a client of the organisation may have one of its own; another organisation's stays."""
        org = uuid4().hex
        client_ids = [registered(live, organisation_id=each, software_id="sw-1") for each in (org, uuid4().hex)]
        alone = [ids.decode(Prefix.CLIENT, each) for each in client_ids]
        in_tx(live, lambda tx: tx.execute(_ALONE, alone))
        block_organisation(staff, org)
        assert unblock_organisation(staff, org) == 204
        assert admitted(live, *client_ids) == [True, False]

    def test_is_named_in_full_by_a_directory_that_is_believed(self, staff: httpx.Client) -> None:
        """What could keep nobody out is refused, and so is what names two third parties, or half of one."""
        client_id, org = ids.new(Prefix.CLIENT), uuid4().hex
        unknown = block_organisation(staff, org, directory="https://elsewhere.example")
        assert (unknown.status_code, unknown.json()["param"]) == (404, "directory")
        for body, param in (
            ({}, "directory"),
            ({"directory": DIRECTORY}, "organisation_id"),
            ({"organisation_id": org}, "directory"),
            ({"client_id": client_id, "organisation_id": org}, "organisation_id"),
            ({"client_id": client_id, "directory": DIRECTORY}, "directory"),
            *(({"directory": DIRECTORY, "organisation_id": each}, "organisation_id") for each in _NO_NAMES),
        ):
            answer = staff.post("/v1/blocked-third-parties", json={"reason": "x", **body})
            assert (answer.status_code, answer.json()["param"]) == (400, param), body
        for query in ({}, {"directory": DIRECTORY}, {"organisation_id": org}):
            assert staff.delete("/v1/blocked-third-parties", params=query).status_code == 400

    def test_is_told_of_by_its_name(self, live: LiveServer, staff: httpx.Client) -> None:
        """Events and the audit have it where a client would be; a long name is cut there, and whole beside it."""
        org = uuid4().hex + "x" * 100
        block_organisation(staff, org)
        assert unblock_organisation(staff, org) == 204
        named = {"directory": DIRECTORY, "organisation_id": org}
        told = in_tx(live, lambda tx: tx.fetch("SELECT type, data FROM outbox_events WHERE object_id = $1", org[:100]))
        assert {row["type"] for row in told} == {"third_party.blocked", "third_party.unblocked"}
        assert [json.loads(row["data"]) for row in told] == [{"client_id": None, "software_id": None, **named}] * 2
        entries = staff.get("/v1/audit-records", params={"object_id": org[:100]}).json()["data"]
        assert [(each["action"], each["facts"]) for each in entries] == [
            ("third_party.unblocked", named),
            ("third_party.blocked", named),
        ]

    def test_is_listed_with_the_others_page_by_page(self, live: LiveServer, staff: httpx.Client) -> None:
        """Every block is on one page, whether it has a client or not."""
        orgs = {uuid4().hex for _ in range(3)}
        for each in orgs:
            block_organisation(staff, each)
        client_id = registered(live)
        block(staff, client_id)
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 1}
        while True:
            page = staff.get("/v1/blocked-third-parties", params=query).json()
            found += page["data"]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert orgs <= {each["organisation_id"] for each in found if each["client_id"] is None}
        assert client_id in {each["client_id"] for each in found}
        assert len(found) == in_tx(live, lambda tx: tx.fetchval("SELECT count(*) FROM blocked_third_parties"))

    @pytest.mark.usefixtures("staff")
    def test_is_named_on_the_command_line(self, live: LiveServer) -> None:
        """Whose name it is needn't be said where the bank believes one directory."""
        org = uuid4().hex
        said = json.loads(call(live, "block", "--organisation", org, "--reason", "x"))
        assert (said["client_id"], said["directory"], said["organisation_id"]) == (None, DIRECTORY, org)
        assert said in json.loads(call(live, "blocked", "--limit", "1000"))
        let_in = json.loads(call(live, "unblock", "--organisation", org, "--directory", DIRECTORY))
        assert let_in == {"organisation_id": org, "blocked": False}


def call(live: LiveServer, *words: str) -> str:
    """Call a command as ``billfold consents`` does, and return what it prints."""
    obj = partial(open_services, live.settings)
    done = CliRunner().invoke(consents, [*words, "--tenant", SLUG, "--json"], obj=obj)
    assert done.exit_code == 0, done.output
    return done.stdout


class TestAClientForWhichNobodyVouches:
    def test_is_blocked_alone(self, live: LiveServer, staff: httpx.Client) -> None:
        """It says itself who it is, so that nothing else is known by that."""
        first, other = registered(live), registered(live)
        said = block(staff, first).json()
        assert (said["directory"], said["organisation_id"], said["software_id"]) == (None, None, None)
        assert admitted(live, first, other, registered(live)) == [False, True, True]


class TestBlocksFromBefore:
    async def test_become_those_of_the_third_party(self, tenancy: Tenancy) -> None:
        """The oldest of one organisation stands for it, the others go on for their clients, and none is lost."""
        clients = [ids.uuid7() for _ in range(4)]
        connection = await asyncpg.connect(tenancy.admin_dsn)
        try:
            await connection.execute(f"BEGIN; SET LOCAL search_path TO {tenancy.tenant.schema}")
            for statement in _AS_IT_WAS:
                await connection.execute(statement)
            for at, (client_id, by) in enumerate(zip(clients, (DIRECTORY, DIRECTORY, "operator", None), strict=True)):
                if by is not None:
                    await connection.execute(_CLIENT, client_id, by)
                await connection.execute(_BLOCKED, client_id, at)
            for step in (tenant_0047_blocks_of_third_parties, tenant_0051_blocks_of_organisations):
                for statement in (await step.forwards()).statements:
                    await connection.execute(statement)
            rows = await connection.fetch(
                "SELECT third_party ->> 'organisation_id' FROM blocked_third_parties ORDER BY blocked_at"
            )
            assert [row[0] for row in rows] == ["org", None, None, None]
        finally:
            await connection.close()


_TOLD = "SELECT type, data FROM outbox_events WHERE object_id = $1 ORDER BY sequence"
_CLIENT = """
INSERT INTO api_clients (id, name, state, authentication, scopes, redirect_uris, post_logout_redirect_uris, grant_types,
    response_types, dpop_bound, certificate_bound, authorization_details_types, contacts, organisation_id,
    registered_by, login_realm, version, created_at, updated_at)
VALUES ($1, 'x', 'active', 'private_key_jwt', '{}', '{}', '{}', '{}', '{}', FALSE, FALSE, '{}', '{}', 'org', $2, 'psu',
    1, now(), now())
"""
_BLOCKED = "INSERT INTO blocked_third_parties VALUES ($1, 'x', 'x', now() + make_interval(hours => $2))"
_AS_IT_WAS = (
    "ALTER TABLE blocked_third_parties DROP COLUMN named",
    "ALTER TABLE blocked_third_parties DROP COLUMN third_party",
    "DROP INDEX blocked_third_parties_of_clients",
    "ALTER TABLE blocked_third_parties ADD PRIMARY KEY (client_id)",
)
_ALONE = """
INSERT INTO blocked_third_parties (client_id, reason, blocked_by, blocked_at)
SELECT each, 'x', 'x', now() FROM unnest($1::uuid[]) AS each
"""
_COUNT = "SELECT count(*) FROM api_clients WHERE organisation_id = $1"
_NO_NAMES = ("", " ", "a b", "a\n", "é", "x" * 201)
