"""A sandbox that begins anew."""

import json
import secrets
import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from billfold import errors, ids
from billfold.contract.sandbox import ResetSandbox
from billfold.ids import Prefix
from billfold_server.app import open_services
from billfold_server.db import jobs
from billfold_server.db.jobs import NewJob
from billfold_server.invariants.service import check
from billfold_server.keys.service import list_forgotten
from billfold_server.privacy import service as privacy
from billfold_server.sandbox.commands import sandbox
from billfold_server.sandbox.resetting import KEPT, SEEDING, SHRED_JOB, Shred, reset
from billfold_server.serving.cast import cast_of
from billfold_server.serving.customers import ensure_customers
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import COMMAND_LINE
from tests.live import LiveServer
from tests.tenants import manifest

pytestmark = pytest.mark.any_postgres

POUNDS = {"currencies": ["GBP"], "limits": {"backdate_days": 3660}}


def everything(client: httpx.Client) -> dict[str, Any]:
    """Return all that follows from a seed: who is there, under which ids, and what has happened to them.

    Days are counted from the first one, and ids of entries hold the instant at which they were written.
    """
    wallets = client.get("/v1/wallets", params={"limit": 100}).json()["data"]
    lines = {
        each["id"]: client.get(f"/v1/wallets/{each['id']}/statement", params={"limit": 100}).json()["data"]
        for each in wallets
    }
    first = min(datetime.fromisoformat(line["effective_at"]) for every in lines.values() for line in every)
    return {
        "parties": [
            (each["id"], each["external_id"], each["name"], each["email"])
            for each in client.get("/v1/parties").json()["data"]
        ],
        "wallets": [(each["id"], each["party_id"], each["label"], each["metadata"]) for each in wallets],
        "balances": told(client),
        "lines": {
            wallet: [
                (
                    line["kind"],
                    line["amount_minor"],
                    line["description"],
                    line["balance_after_minor"],
                    # The last one is of the moment.
                    str(datetime.fromisoformat(line["effective_at"]) - first) if place else None,
                )
                for place, line in enumerate(every)
            ]
            for wallet, every in lines.items()
        },
        "cards": sorted(
            (each["party_id"], each["metadata"]["wallet_id"], sorted(each["card"].items())) for each in cards(client)
        ),
    }


def cards(client: httpx.Client) -> list[dict[str, Any]]:
    """Return the cards of two people, once they are in the vault."""
    until = time.monotonic() + 60
    while len(found := client.get("/v1/vault-tokens", params={"kind": "card"}).json()["data"]) < 2:
        assert time.monotonic() < until, "the cards don't come"
        time.sleep(0.05)
    return list(found)


def told(client: httpx.Client) -> list[tuple[object, ...]]:
    """Return what somebody sees who looks at wallets, without what differs from time to time."""
    wallets = client.get("/v1/wallets", params={"limit": 100}).json()["data"]
    return [
        (
            each["label"],
            [row["posted_minor"] for row in client.get(f"/v1/wallets/{each['id']}/balances").json()["data"]],
        )
        for each in wallets
    ]


class TestAReset:
    def test_brings_the_first_day_back(self, live: LiveServer):
        """Whatever was done to it and to its clock is gone, the customers are as they were, and clients go on."""
        live.add_tenant(manifest("anew", **POUNDS, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
        tenant = live.run(live.services.registry.get("anew"))
        live.run(ensure_customers(live.services, tenant))
        with live.client("anew") as client:
            first = told(client)
            url = {"url": "https://partner.example/webhooks", "event_types": ["third_party.blocked"]}
            endpoint = client.post("/v1/webhook-endpoints", json=url).json()["id"]
            now = datetime.fromisoformat(client.get("/v1/clock").json()["now"])
            client.post("/v1/clock/advance", json={"to": (now + timedelta(days=9)).isoformat(), "freeze": True})
            wallet = client.get("/v1/wallets").json()["data"][0]["id"]
            body, key = {"wallet_id": wallet, "amount": {"amount_minor": 7, "currency": "GBP"}}, secrets.token_hex(10)
            assert client.post("/v1/top-ups", json=body, headers={"Idempotency-Key": key}).status_code == 201
            client.post("/v1/sandbox/simulations/declines", json={})
            assert told(client) != first
            answer = client.post("/v1/sandbox/reset", json={})
            assert (answer.status_code, answer.json()["seeded"]) == (200, True)
            assert answer.elapsed.total_seconds() < 10
            assert told(client) == first
            clock = client.get("/v1/clock").json()
            assert (clock["frozen"], datetime.fromisoformat(clock["now"]) - now < timedelta(hours=1)) == (False, True)
            assert client.get("/v1/sandbox/simulations").json()["data"] == []
            assert client.get(f"/v1/webhook-endpoints/{endpoint}").status_code == 200
            # The wallet is there again under its id, and what was answered under a key is forgotten.
            again = client.post("/v1/top-ups", json=body, headers={"Idempotency-Key": key})
            assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (201, None)
            records = client.get("/v1/audit-records", params={"action": "sandbox.reset"}).json()["data"]
            assert len(records) == 1
        assert live.run(check(live.services.database, tenant)) == []

    def test_keeps_tables_that_there_are(self, live: LiveServer):
        """What is named as kept is a table, so that no other name keeps something by mistake."""
        live.add_tenant(manifest("kept"))

        async def names() -> set[str]:
            async with live.services.tenants.as_owner("kept") as owner:
                rows = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
            return {row["tablename"] for row in rows}

        assert live.run(names()) >= KEPT

    @pytest.mark.parametrize(
        "stuck",
        [
            "frozen_at = 'infinity'",
            "frozen_at = now(), advancing_to = 'infinity', advancing_freeze = false",
            "frozen_at = '9999-12-30Z'",
        ],
    )
    def test_brings_a_clock_back_from_the_end_of_the_calendar(self, live: LiveServer, stuck: str):
        """Former versions let it go there, where it stood for good."""
        slug = f"ended_{secrets.token_hex(4)}"
        live.add_tenant(manifest(slug))

        async def send_there() -> None:
            async with live.services.database.tx(await live.services.registry.get(slug)) as tx:
                await tx.execute(f"UPDATE tenant_clock SET {stuck}")  # noqa: S608 - constants
                await tx.execute("UPDATE job_schedules SET next_at = 'infinity'")

        with live.client(slug) as client:
            live.run(send_there())
            done = client.post("/v1/sandbox/reset", json={"seeded": False})
            assert done.status_code == 200, done.text
            now = client.get("/v1/clock").json()
            assert (now["frozen"], now["now"] < "2200") == (False, True)
            later = (datetime.fromisoformat(now["now"]) + timedelta(days=1)).isoformat()
            assert client.post("/v1/clock/advance", json={"to": later}).status_code == 200

    def test_leaves_no_month_that_was_detached(self, live: LiveServer):
        """Its name may be that of a month of what is imported then, which would never have partitions."""
        live.add_tenant(manifest("detached"))
        tables = [f"{table}_2025_01" for table in ("journal_entries", "postings")]

        async def tables_there(*statements: str) -> list[str]:
            async with live.services.tenants.as_owner("detached") as owner:
                for statement in statements:
                    await owner.execute(statement)
                rows = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
            return sorted({row["tablename"] for row in rows} & {*tables})

        made = [f"CREATE TABLE {table} (LIKE {table.removesuffix('_2025_01')} INCLUDING ALL)" for table in tables]
        assert live.run(tables_there(*made)) == tables
        with live.client("detached") as client:
            assert client.post("/v1/sandbox/reset", json={"seeded": False}).status_code == 200
        assert live.run(tables_there()) == []

    def test_is_left_to_a_newer_server_once_that_has_migrated_the_schema(self, live: LiveServer):
        """During an upgrade the others would empty tables that they don't know, and which of them were to be kept."""
        slug = f"ahead_{secrets.token_hex(4)}"
        live.add_tenant(manifest(slug))

        async def as_owner(sql: str) -> int:
            async with live.services.tenants.as_owner(slug) as owner:
                await owner.execute(sql)
                return int(await owner.fetchval("SELECT count(*) FROM audit_head"))

        with live.client(slug) as client:
            assert client.post("/v1/parties", json={"kind": "person", "name": "Ada"}).status_code == 201
            live.run(as_owner("INSERT INTO migration (name, app_name) VALUES ('tenant_9999_later', 'tenant')"))
            left = client.post("/v1/sandbox/reset", json={"seeded": False})
            assert (left.status_code, left.json()["code"]) == (503, "tenant_unreadable")
            assert len(client.get("/v1/parties").json()["data"]) == 1
            live.run(as_owner("DELETE FROM migration WHERE name = 'tenant_9999_later'"))
            # One of before has emptied what keeps the audit trail from being sealed ever again.
            assert live.run(as_owner("TRUNCATE audit_head, audit_links")) == 0
            assert client.post("/v1/sandbox/reset", json={"seeded": False}).status_code == 200
            assert client.get("/v1/parties").json()["data"] == []
            assert live.run(as_owner("SELECT 1")) == 1

    def test_can_leave_it_empty(self, live: LiveServer):
        """Nobody is there, where that is asked for; and where money is real, it is refused."""
        live.add_tenant(manifest("emptied"))
        live.add_tenant(manifest("not_emptied", sandbox=False))
        with live.client("emptied") as client:
            client.post("/v1/parties", json={"kind": "person", "name": "Ada"})
            assert client.post("/v1/sandbox/reset", json={"seeded": False}).json()["seeded"] is False
            assert client.get("/v1/parties").json()["data"] == []
        with live.client("not_emptied") as client:
            assert client.post("/v1/sandbox/reset", json={}).json()["code"] == "sandbox_only"


class TestTheKeysOfWhoIsGone:
    def test_are_destroyed(self, live: LiveServer):
        """Soon after, nobody can open what lies in a backup; the tenant's own keys are as they were."""
        live.add_tenant(manifest("shredded"))
        tenant = live.run(live.services.registry.get("shredded"))
        with live.client("shredded") as client:
            made = [client.post("/v1/parties", json={"kind": "person", "name": "Ada"}).json()["id"] for _ in range(3)]
            assert client.post("/v1/sandbox/reset", json={"seeded": False}).status_code == 200
        gone = {ids.decode(Prefix.PARTY, each) for each in made}

        async def forgotten() -> set[UUID]:
            return {
                ids.decode(Prefix.PARTY, each.party_id)
                for each in await list_forgotten(live.services.keys.store, tenant.id, limit=10)
            }

        until = time.monotonic() + 60
        while live.run(forgotten()) != gone:
            assert time.monotonic() < until, "the keys are still there"
            time.sleep(0.02)
        assert live.run(live.services.keys.sealer(tenant)) is not None

    def test_are_destroyed_also_where_jobs_were_to_do_it(self, live: LiveServer):
        """What an erasure or an earlier reset has left to a job isn't lost with the jobs that a reset takes away."""
        live.add_tenant(manifest("shredded_later"))
        tenant = live.run(live.services.registry.get("shredded_later"))
        gone = [ids.uuid7() for _ in range(3)]

        async def wait_for_keys() -> None:
            async with live.services.database.tx(tenant) as tx:
                payloads = {SHRED_JOB: Shred(gone[:2]), privacy.SHRED_JOB: privacy.Shred(gone[2])}
                for kind, payload in payloads.items():
                    later = await tenant_now(tx) + timedelta(hours=1)
                    job = NewJob(id=ids.uuid7(), kind=kind, due_at=later, payload=msgspec.json.encode(payload))
                    await jobs.enqueue(tx, job)

        async def forgotten() -> set[str]:
            return {each.party_id for each in await list_forgotten(live.services.keys.store, tenant.id, limit=10)}

        live.run(wait_for_keys())
        live.run(reset(live.services, tenant, COMMAND_LINE, ResetSandbox(seeded=False)))
        until = time.monotonic() + 60
        while live.run(forgotten()) != {ids.encode(Prefix.PARTY, each) for each in gone}:
            assert time.monotonic() < until, "the keys are still there"
            time.sleep(0.02)


class TestAResetThatDiesHalfWay:
    def test_is_gone_on_with(self, live: LiveServer, monkeypatch: pytest.MonkeyPatch):
        """Another one makes the customers that were asked for, and what partners have asked for is done meanwhile."""
        live.add_tenant(manifest("half_way", **POUNDS))
        tenant = live.run(live.services.registry.get("half_way"))
        with live.client("half_way") as client:
            partner = client.post("/v1/partners", json={"name": "Example Shop"}).json()["id"]
        seeds = []

        async def die(_: Any, __: Any, seed: int | None) -> None:
            seeds.append(seed)
            if len(seeds) == 1:
                raise ConnectionResetError

        async def ask_to_remove() -> None:
            columns = "id, partner_id, name, state, step, seeded, version, created_at, updated_at"
            values = "$1, $2, 'x', 'removing', 'queued', false, 1, now(), now()"
            async with live.services.database.tx(tenant) as tx:
                await tx.execute(
                    f"INSERT INTO partner_sandboxes ({columns}) VALUES ({values})",  # noqa: S608 - constants
                    ids.uuid7(),
                    ids.decode(Prefix.PARTNER, partner),
                )

        async def asked() -> int:
            async with live.services.database.tx(tenant) as tx:
                return int(await tx.fetchval("SELECT count(*) FROM partner_sandboxes"))

        monkeypatch.setitem(live.services.rooms, SEEDING, die)
        live.run(ask_to_remove())
        with pytest.raises(ConnectionResetError):
            live.run(reset(live.services, tenant, COMMAND_LINE, ResetSandbox(seed=8)))
        until = time.monotonic() + 60
        while live.run(asked()):
            assert time.monotonic() < until, "nobody does what was asked for"
            time.sleep(0.02)
        again = live.run(reset(live.services, tenant, COMMAND_LINE, ResetSandbox()))
        assert (again.seeded, again.seed, seeds) == (True, 8, [8, 8])


class TestASeed:
    def test_makes_the_same_people_anywhere(self, live: LiveServer):
        """Two sandboxes of one seed are alike to the ids; another seed, and then the first again, makes others."""
        made = json.loads(given(live, "create", "seeded_one", "--seed", "7", "--json").output)
        live.services.registry.expire()
        assert made["slug"] == "seeded_one"
        live.add_tenant(manifest("seeded_two", **POUNDS, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
        with live.client("seeded_one") as one, live.client("seeded_two") as two:
            answers = [two.post("/v1/sandbox/reset", json={"seed": seed}).json() for seed in (8, 7)]
            assert [(each["seeded"], each["seed"]) for each in answers] == [(True, 8), (True, 7)]
            seven = everything(one)
            assert everything(two) == seven
            listed = {each["slug"]: each for each in json.loads(given(live, "list", "--json").output)["data"]}
            assert {(listed[each]["seed"], listed[each]["customers"]) for each in ("seeded_one", "seeded_two")} == {
                (7, "complete")
            }
            assert "seeded_one" in given(live, "list").output
            refused = two.post("/v1/sandbox/reset", json={"seed": 8, "seeded": False})
            assert refused.status_code == 400
            assert json.loads(given(live, "reset", "seeded_two", "--seed", "9", "--json").output)["seed"] == 9
            nine = everything(two)
            assert all(nine[each] != seven[each] for each in nine)
            tenant = live.run(live.services.registry.get("seeded_two"))
            forgotten = ids.decode(Prefix.PARTY, nine["parties"][0][0])
            live.run(live.services.keys.forget(tenant, [forgotten], reason="It was asked for"))
            assert two.post("/v1/sandbox/reset", json={}).json()["seed"] == 9
            parties = two.get("/v1/parties").json()["data"]
            assert [each["name"] for each in parties] == [name for _, _, name, _ in nine["parties"]]
            assert [each["id"] == known for each, (known, *_) in zip(parties, nine["parties"], strict=True)] == [
                False,
                True,
                True,
            ]
            self.is_decided_once(live, two)
        assert given(live, "reset", "seeded_two", "--empty", "--seed", "9").exit_code == 2

    def is_decided_once(self, live: LiveServer, client: httpx.Client) -> None:
        """Of two resets at once one comes after the other; who was there before there were seeds stays alone."""
        tenant = live.run(live.services.registry.get("seeded_two"))
        wanted = [ResetSandbox(seed=seed) for seed in (0, 8)]
        resets = [live.begin(reset(live.services, tenant, COMMAND_LINE, each)) for each in wanted]
        assert [each.result(60).seed for each in resets] == [0, 8]
        casts = [{each.external_id for each in cast_of(seed).customers} for seed in (0, 8)]
        assert {each["external_id"] for each in client.get("/v1/parties").json()["data"]} in casts
        live.run(reset(live.services, tenant, COMMAND_LINE, wanted[0]))
        live.run(forget_seed(live))
        live.run(ensure_customers(live.services, tenant, 8))
        names = {each.external_id for each in cast_of(0).customers}
        assert {each["external_id"] for each in client.get("/v1/parties").json()["data"]} == names


async def forget_seed(live: LiveServer) -> None:
    """Let a sandbox be as one that got its customers before there were seeds."""
    async with live.services.tenants.as_owner("seeded_two") as owner:
        await owner.execute("DELETE FROM sandbox_seeds")


class TestACommand:
    def test_makes_a_sandbox_of_its_own_and_begins_it_anew(self, live: LiveServer):
        """What is printed opens it, a name is taken once, a reset keeps the client, and what was cut short is ended."""
        made = json.loads(given(live, "create", "partner_two", "--empty", "--json").output)
        live.services.registry.expire()
        form = {"grant_type": "client_credentials"}
        auth = (made["client_id"], made["client_secret"])
        for _ in range(2):
            answer = httpx.post(f"{live.base('partner_two')}/oauth/token", data=form, auth=auth)
            assert answer.status_code == 200
            assert json.loads(given(live, "reset", "partner_two", "--json").output)["seeded"] is False
        listed = json.loads(given(live, "list", "--json").output)["data"]
        facts = {"state": "active", "customers": "none", "seed": None, "tenant": None, "partner_id": None}
        assert {"slug": "partner_two", "name": "partner_two", **facts} in listed
        taken = given(live, "create", "partner_two")
        assert isinstance(taken.exception, errors.TenantExists)
        assert "billfold clients create --tenant partner_two" in str(taken.exception)
        # What was cut short is gone on with, but never a bank that somebody is just making.
        for slug, is_sandbox in (("cut_short", True), ("cut_bank", False)):
            live.run(live.services.tenants._write(manifest(slug, sandbox=is_sandbox), COMMAND_LINE))
        live.services.registry.expire()
        assert given(live, "create", "cut_short", "--empty").exit_code == 0
        assert isinstance(given(live, "create", "cut_bank", "--empty").exception, errors.TenantExists)
        live.run(live.services.tenants.delete("cut_bank", confirm="cut_bank"))
        for words in (["ünï"], ["x"], ["fine_name", "--title", "x" * 500]):
            assert given(live, "create", "--empty", *words).exit_code == 2, words


def given(live: LiveServer, *words: str) -> Result:
    """Give a command in a process that has no server of its own."""
    return CliRunner().invoke(sandbox, words, obj=partial(open_services, live.settings))
