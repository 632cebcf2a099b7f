"""The months of a ledger on the command line."""

from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from billfold import errors
from billfold.clock import ManualClock
from billfold.contract.wallets import CreateTopUp
from billfold.money import Money
from billfold_server.app import open_services
from billfold_server.ledger.commands import ledger
from billfold_server.tenancy.service import Partitioned, Tenants
from billfold_server.wallets import kinds
from tests.live import LiveServer
from tests.server.ledger.books import Bench, open_engine
from tests.server.ledger.giving import accepted
from tests.tenants import manifest

SHORT = {"retention_months": 12, "backdate_days": 3660}


def invoke(live: LiveServer, *words: str) -> Result:
    """Run a command with the server's own settings."""
    settings = msgspec.structs.replace(
        live.settings, public_url=live.url, keyring_file=str(Path(live.settings.data_dir) / "keyring.json")
    )
    return CliRunner().invoke(ledger, [*words], obj=partial(open_services, settings))


async def post(live: LiveServer, slug: str, month: int = 1) -> None:
    """Post something in a month that is long past."""
    tenant = await live.services.registry.get(slug)
    then = datetime(2025, month, 10, tzinfo=UTC)
    bench = Bench(open_engine(live.services.database, clock=ManualClock(then)), live.services.database, tenant)
    await bench.add_wallets(1)
    body = CreateTopUp(wallet_id=bench.wallets[-1], amount=Money(100, "EUR"), effective_at=then)
    accepted(await bench.submit(kinds.TOP_UP, kinds.top_up(body)))
    await bench.engine.close()


class TestTheCommandLine:
    """The command line."""

    def test_makes_months_and_shows_them(self, live: LiveServer) -> None:
        """For one tenant or for all, as a table or as JSON."""
        live.add_tenant(manifest("months"))
        made = invoke(live, "partitions", "--tenant", "months", "--ahead", "4", "--json")
        assert made.exit_code == 0, made.output
        (found,) = msgspec.json.decode(made.stdout)
        assert found["slug"] == "months"
        assert len(found["made"]) == 3
        assert [each["journal_entries"] for each in found["months"]] == [0] * 6
        shown = invoke(live, "partitions", "--all")
        assert shown.exit_code == 0
        assert found["made"][0] in shown.stdout

    def test_makes_those_of_the_others_where_one_ledger_cant_be_had(
        self, live: LiveServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who does it for all once a month learns which one to do again, and has the rest."""
        for slug in ("aside", "beside"):
            live.add_tenant(manifest(slug))
        partition = Tenants.partition

        async def taken(tenants: Tenants, slug: str, *, ahead: int) -> Partitioned:
            if slug == "aside":
                raise errors.Busy("a lock on the schema wasn't to be had in time", retry_after_s=5)
            return await partition(tenants, slug, ahead=ahead)

        monkeypatch.setattr(Tenants, "partition", taken)
        made = invoke(live, "partitions", "--all", "--json")
        assert made.exit_code == 1
        slugs = {each["slug"] for each in msgspec.json.decode(made.stdout)}
        assert ("aside" in slugs, "beside" in slugs) == (False, True)
        (failed,) = msgspec.json.decode(made.stderr)["failed"]
        assert (failed["tenant"], failed["code"]) == ("aside", errors.Busy.code)
        shown = invoke(live, "partitions", "--all")
        assert "beside" in shown.stdout
        assert "The months of aside can't be made now" in shown.stderr

    def test_has_made_the_months_of_what_was_imported(
        self, live: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else they would be moved when the next month is made, and nobody could post meanwhile."""
        for slug in ("moving", "moved_in", "moved_since"):
            live.add_tenant(manifest(slug, limits=SHORT))
        live.run(post(live, "moving"))
        file = str(tmp_path / "moving.jsonl")
        assert invoke(live, "export", "--tenant", "moving", "--output", file).exit_code == 0
        done = invoke(live, "import", "--tenant", "moved_in", file)
        assert (done.exit_code, done.stderr) == (0, "")
        (found,) = msgspec.json.decode(invoke(live, "partitions", "--tenant", "moved_in", "--json").stdout)
        assert (found["made"], found["months"][0]["month"], found["months"][0]["journal_entries"]) == ([], "2025-01", 1)
        # Whoever hasn't the administrator's rights is told what to run with them.
        monkeypatch.setattr(Tenants, "may_administer", False)
        done = invoke(live, "import", "--tenant", "moved_since", file)
        assert (done.exit_code, "billfold ledger partitions --tenant moved_since" in done.stderr) == (0, True)

    def test_asks_whose_months_they_are(self, live: LiveServer) -> None:
        """One tenant's, or everyone's; neither is guessed."""
        assert invoke(live, "partitions").exit_code == 2
        assert invoke(live, "partitions", "--all", "--tenant", "x").exit_code == 2

    def test_detaches_months(self, live: LiveServer, tmp_path: Path) -> None:
        """Each into a file, and tells which checkpoint seals it."""
        live.add_tenant(manifest("leaving", limits=SHORT))
        live.run(post(live, "leaving"))
        words = ("--tenant", "leaving", "--reason", "test", "--archive", str(tmp_path), "--json")
        gone = invoke(live, "detach", "--before", "2025-02", *words)
        assert gone.exit_code == 0, gone.output
        file = tmp_path / "leaving-2025-01.jsonl"
        assert msgspec.json.decode(gone.stdout) == [
            {"month": "2025-01", "journal_entries": 1, "checkpoint": 1, "archive": str(file)}
        ]
        assert file.exists()
        assert invoke(live, "verify", "--tenant", "leaving").exit_code == 0
        verified = invoke(live, "verify", "--tenant", "leaving", "--archive", str(file))
        assert (verified.exit_code, f"{file} is 2025-01" in verified.stdout) == (0, True)
        file.write_bytes(file.read_bytes() + b"{}")
        spoiled = invoke(live, "verify", "--tenant", "leaving", "--archive", str(file), "--json")
        document = msgspec.json.decode(spoiled.stdout)
        assert (spoiled.exit_code, document["ok"], document["findings"]) == (1, False, [])
        assert not document["archives"][str(file)]["ok"]

    def test_shows_which_months_have_left_where_another_one_stays(self, live: LiveServer, tmp_path: Path) -> None:
        """Whoever is refused half-way learns what is gone, and where it is; doing it again says nothing of that."""
        live.add_tenant(manifest("halfway", limits=SHORT))
        for month in (1, 2):
            live.run(post(live, "halfway", month))
        (tmp_path / "halfway-2025-02.jsonl").write_text("another one")
        words = ("--tenant", "halfway", "--reason", "test", "--archive", str(tmp_path), "--before", "2025-03")
        refused = invoke(live, "detach", *words, "--json")
        assert refused.exit_code == 1
        assert [each["month"] for each in msgspec.json.decode(refused.stdout)] == ["2025-01"]
        assert msgspec.json.decode(refused.stderr)["error"]["code"] == "archive_exists"
        again = invoke(live, "detach", *words)
        assert (again.exit_code, again.stdout) == (1, "")
        assert "Nothing was detached: " in again.stderr

    def test_says_why_months_stay(self, live: LiveServer) -> None:
        """The tenant's retention is named, and nothing has changed."""
        live.add_tenant(manifest("staying"))
        words = ("--tenant", "staying", "--reason", "test", "--before", f"{date(2025, 2, 1):%Y-%m}")
        refused = invoke(live, "detach", *words, "--json")
        assert refused.exit_code == 1
        assert msgspec.json.decode(refused.stderr)["error"]["code"] == "retention"
        assert "limits.retention_months" in invoke(live, "detach", *words).stderr
