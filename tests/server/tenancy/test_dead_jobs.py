"""Jobs of a tenant that failed for good, as the platform's operators see them and have them tried again."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.app import open_services
from billfold_server.db import jobs
from billfold_server.db.jobs import JobKinds, JobRun, NewJob, RetryPolicy
from billfold_server.db.runner import JobRunner
from billfold_server.tenancy.commands import tenants as group
from billfold_server.tenancy.service import Tenants
from tests.live import LiveServer

pytestmark = pytest.mark.any_postgres

KIND = "test.letter"
TWICE = RetryPolicy(attempts=2, first_wait_s=0, timeout_s=30)
SECRET = "Ada Lovelace"
PATH = "/v1/tenants/alpha/dead-jobs"


class Desk:
    """Does jobs of a kind that no other process knows, and fails as long as it is told to."""

    def __init__(self, live: LiveServer) -> None:
        self.live = live
        self.broken = True
        self.done: list[str] = []

    async def handle(self, run: JobRun) -> None:
        """Do a job, or fail with words that nobody but the log may have."""
        if self.broken:
            raise errors.WalletFrozen(f"of {SECRET}", wallet_id="wal_x")
        self.done.append(ids.encode(Prefix.JOB, run.job.id))

    def ask(self, number: int, key: str | None = None) -> list[str]:
        """Ask for jobs, and return their ids."""
        payload = b'{"name": "Ada Lovelace"}'
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        new = [
            NewJob(id=ids.uuid7(), kind=KIND, due_at=long_ago, payload=payload, dedup_key=key) for _ in range(number)
        ]

        async def enqueue() -> None:
            async with self.live.services.database.tx(await self.live.services.registry.get("alpha")) as tx:
                await jobs.enqueue(tx, *new)

        self.live.run(enqueue())
        return [ids.encode(Prefix.JOB, each.id) for each in new]

    def work(self) -> None:
        """Do what is due."""

        async def run() -> None:
            kinds = JobKinds()
            kinds.register(KIND, self.handle, TWICE)
            runner = JobRunner(self.live.services.database, kinds, buried=self.live.services.metrics.job_buried)
            await runner.run(await self.live.services.registry.get("alpha"))

        self.live.run(run())


@pytest.fixture
def desk(live: LiveServer) -> Desk:
    """Return a desk at which all fails."""
    return Desk(live)


def mine(letters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what others' tests have buried."""
    return [each for each in letters if each["kind"] == KIND]


class TestAnOperator:
    def test_sees_what_has_failed_for_good_and_has_it_tried_again(self, live: LiveServer, desk: Desk) -> None:
        """A dead job tells its kind, attempts, times and error, and no words; retried, it is done and gone."""
        asked = desk.ask(2)
        desk.work()
        with live.client(None) as operator, live.client("alpha") as staff:
            page = operator.get(PATH, params={"limit": 100})
            letters = {each["id"]: each for each in mine(page.json()["data"])}
            assert [each for each in letters if each in asked] == asked
            letter = letters[asked[0]]
            assert set(letter) == {"id", "kind", "attempts", "due_at", "died_at", "last_error"}
            assert (letter["attempts"], letter["last_error"]) == (2, "wallet_frozen")
            assert SECRET not in page.text
            desk.broken = False
            assert operator.post(f"{PATH}/{asked[0]}/retry").status_code == 204
            again = operator.post(f"{PATH}/{asked[0]}/retry")
            assert (again.status_code, again.json()["code"]) == (409, "job_state_refuses")
            desk.work()
            assert desk.done == [asked[0]]
            gone = operator.post(f"{PATH}/{asked[0]}/retry")
            assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
            left = [each["id"] for each in mine(operator.get(PATH, params={"limit": 100}).json()["data"])]
            assert (asked[0] in left, asked[1] in left) == (False, True)
            (told,) = staff.get("/v1/audit-records", params={"object_id": asked[0]}).json()["data"]
            facts = {"kind": KIND, "attempts": 2, "last_error": "wallet_frozen"}
            assert (told["action"], told["facts"]) == ("job.retried", facts)
            assert told["actor"].startswith("cli_")

    def test_pages_through_them(self, live: LiveServer, desk: Desk) -> None:
        """Each is seen once, the oldest first, however small a page is."""
        asked = desk.ask(3)
        desk.work()
        seen: list[str] = []
        with live.client(None) as operator:
            query: dict[str, str | int] = {"limit": 2}
            while True:
                page = operator.get(PATH, params=query).json()
                assert len(page["data"]) <= 2
                seen += [each["id"] for each in page["data"]]
                if page["next_cursor"] is None:
                    break
                query["cursor"] = page["next_cursor"]
        assert seen == sorted(set(seen))
        assert [each for each in seen if each in asked] == asked

    def test_leaves_one_dead_whose_place_a_newer_one_has_taken(self, live: LiveServer, desk: Desk) -> None:
        """What would be done twice is refused, and nothing of it is in the audit trail."""
        (dead,) = desk.ask(1, key="once")
        desk.work()
        desk.ask(1, key="once")
        with live.client(None) as operator, live.client("alpha") as staff:
            refused = operator.post(f"{PATH}/{dead}/retry")
            assert (refused.status_code, refused.json()["code"]) == (409, "job_state_refuses")
            assert staff.get("/v1/audit-records", params={"object_id": dead}).json()["data"] == []
        desk.broken = False
        desk.work()

    def test_may_read_them_without_being_let_retry(self, live: LiveServer, desk: Desk) -> None:
        """Reading and retrying have scopes of their own, and a tenant's client has neither."""
        (dead,) = desk.ask(1)
        desk.work()
        with live.client(None, ["platform:tenants:read"]) as reader, live.client("alpha") as staff:
            assert reader.get(PATH).status_code == 200
            assert reader.post(f"{PATH}/{dead}/retry").status_code == 403
            headers = {"Authorization": staff.headers["Authorization"]}
            assert reader.get(PATH, headers=headers).status_code == 401

    def test_reaches_no_tenants_jobs_at_another(self, live: LiveServer, desk: Desk) -> None:
        """The tenant in the address is the one whose job it must be."""
        (dead,) = desk.ask(1)
        desk.work()
        with live.client(None) as operator:
            assert operator.post(f"/v1/tenants/beta/dead-jobs/{dead}/retry").status_code == 404
            assert dead not in operator.get("/v1/tenants/beta/dead-jobs").text
            assert operator.get("/v1/tenants/nobody/dead-jobs").json()["code"] == "unknown_tenant"

    def test_is_alarmed_by_a_count(self, live: LiveServer, desk: Desk) -> None:
        """Metrics count each job that died, by kind, and show the kinds of which none did."""
        value, labels = live.services.metrics.registry.get_sample_value, {"kind": KIND}
        before = value("billfold_jobs_dead_total", labels) or 0
        desk.ask(2)
        desk.work()
        assert value("billfold_jobs_dead_total", labels) == before + 2
        assert value("billfold_jobs_dead_total", {"kind": "webhooks.deliver"}) is not None


def command(live: LiveServer, *words: str) -> Result:
    """Call a command as ``billfold tenants`` does."""

    @asynccontextmanager
    async def open_tenants() -> AsyncIterator[Tenants]:
        async with open_services(live.settings) as services:
            yield services.tenants

    return CliRunner().invoke(group, words, obj=open_tenants)


class TestTheCommandLine:
    def test_shows_dead_jobs_and_has_them_tried_again(self, live: LiveServer, desk: Desk) -> None:
        """As HTTP shows them; those that can be are taken up, with the reason in the tenant's audit trail."""
        asked = desk.ask(3)
        desk.work()
        with live.client(None) as operator, live.client("alpha") as staff:
            shown = json.loads(command(live, "dead-jobs", "alpha", "--json").stdout)
            assert shown == operator.get(PATH, params={"limit": 100}).json()["data"]
            first = command(live, "dead-jobs", "alpha", f"--after={asked[0]}", "--limit=1", "--json")
            assert [each["id"] for each in json.loads(first.stdout)] == [asked[1]]
            assert f"--after={asked[1]}" in first.stderr
            last = command(live, "dead-jobs", "alpha", f"--after={asked[1]}")
            assert (last.exit_code, last.stderr) == (0, "")
            (row,) = (line.split() for line in last.stdout.splitlines() if asked[2] in line)
            assert (row[:3], row[-1]) == ([asked[2], KIND, "2"], "wallet_frozen")
            desk.broken = False
            assert command(live, "retry-jobs", "alpha", asked[0], "--reason", "mended").exit_code == 0
            words = (asked[0], asked[1], asked[1], ids.encode(Prefix.JOB, ids.uuid7()), "no-id", asked[2])
            retried = command(live, "retry-jobs", "alpha", *words, "--json")
            done = [(each["id"], each["error"]) for each in json.loads(retried.stdout)]
            (told,) = staff.get("/v1/audit-records", params={"object_id": asked[0]}).json()["data"]
        assert retried.exit_code == 1
        assert done == [
            (asked[0], "job_state_refuses"), (asked[1], None), (words[3], "not_found"), ("no-id", "not_found"),
            (asked[2], None),
        ]  # fmt: skip
        assert (told["action"], told["reason"], told["actor"]) == ("job.retried", "mended", "operator:command line")
        desk.work()
        assert desk.done == asked

    def test_says_that_there_is_no_such_tenant(self, live: LiveServer) -> None:
        """The refusal is of the whole command, not of each job."""
        job = ids.encode(Prefix.JOB, ids.uuid7())
        for words in (["dead-jobs", "nobody"], ["retry-jobs", "nobody", job]):
            assert isinstance(command(live, *words).exception, errors.UnknownTenant)
