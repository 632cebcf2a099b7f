"""``billfold statements``, on the database of a server that runs."""

import json
import secrets
import sys
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from billfold import errors
from billfold_server.app import open_services
from billfold_server.reconciliation.commands import statements
from billfold_server.serving.explaining import explain
from billfold_server.serving.failures import Exit
from tests.live import LiveServer
from tests.server.reconciliation.statement_files import Entry, Plan, camt053, mt940
from tests.tenants import manifest

PLAN = Plan([Entry(500, name="Ada"), Entry(-200, name="Bob")], opening_minor=1_000)


@pytest.fixture
def slug(live: LiveServer) -> str:
    """Return the slug of a tenant of the test's own."""
    name = f"bank_{secrets.token_hex(4)}"
    live.add_tenant(manifest(name))
    return name


def invoke(live: LiveServer, *words: str | Path) -> Result:
    """Call a command as ``billfold statements`` does."""
    return CliRunner().invoke(statements, [str(word) for word in words], obj=partial(open_services, live.settings))


class TestAnImportOnTheCommandLine:
    """An import on the command line."""

    def test_shows_a_row_per_statement(self, live: LiveServer, slug: str, tmp_path: Path) -> None:
        """Entries, balances, the cash account before and after, the verdict, and how many found their wallet."""
        file = tmp_path / "day.sta"
        file.write_bytes(mt940(PLAN))
        shown = invoke(live, "import", "--tenant", slug, file)
        assert shown.exit_code == 0
        row = next(line for line in shown.stdout.splitlines() if "day.sta" in line)
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        assert cells[3:10] == ["2", "0", "0", "0", "2", "0", "0"]
        assert cells[10:14] == ["10.00 EUR", "13.00 EUR", "0.00 EUR", "13.00 EUR"]
        assert cells[14].startswith("closes: ")
        assert "0 of 2 new entries found their wallet (0 %)" in shown.stdout
        assert "day.sta was imported as sti_" in shown.stdout

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("[b]day.sta", "[b]day.sta"),
            pytest.param(
                "day\udcff.sta",
                "day\N{REPLACEMENT CHARACTER}.sta",
                marks=pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no files of such names"),
            ),
        ],
    )
    def test_takes_a_file_of_any_name(
        self, live: LiveServer, slug: str, tmp_path: Path, *, name: str, told: str
    ) -> None:
        """What rich would read as markup stays, and bytes that are no UTF-8 are told with a mark in their place."""
        file = tmp_path / name
        file.write_bytes(mt940(PLAN))
        shown = invoke(live, "import", "--tenant", slug, file)
        assert (shown.exit_code, told in shown.stdout) == (0, True)
        report = json.loads(invoke(live, "import", "--tenant", slug, "--json", file).stdout)
        assert report["imported"][0]["file"] == str(tmp_path / told)

    def test_of_a_broken_file_holds_no_other_up(self, live: LiveServer, slug: str, tmp_path: Path) -> None:
        """With --json there is one document with what was imported and what was refused, and 1 is the exit code."""
        broken, sound = tmp_path / "broken.xml", tmp_path / "sound.xml"
        broken.write_bytes(camt053(PLAN)[:700])
        sound.write_bytes(camt053(PLAN))
        shown = invoke(live, "import", "--tenant", slug, broken, sound, sound, "--json")
        assert shown.exit_code == 1
        report = json.loads(shown.stdout)
        assert [one["code"] for one in report["refused"]] == ["statement_unreadable"]
        assert report["refused"][0]["facts"]["line"] > 0
        assert [one["import"]["statements"][0]["duplicates"] for one in report["imported"]] == [0, 2]
        assert (report["entries"], report["found_their_wallet"]) == (2, 0)

    def test_tells_in_one_sentence_why_a_file_was_refused(self, live: LiveServer, slug: str, tmp_path: Path) -> None:
        """Standard error has file, line and reason."""
        file = tmp_path / "foreign.xml"
        file.write_bytes(camt053(Plan(currency="SEK")))
        shown = invoke(live, "import", "--tenant", slug, file)
        assert (shown.exit_code, shown.stdout) == (1, "")
        assert str(file) in shown.stderr
        assert "SEK" in shown.stderr

    def test_is_refused_where_the_feature_is_off(self, live: LiveServer, tmp_path: Path) -> None:
        """In a sentence that says where it is turned on; nothing is imported."""
        name = f"bank_{secrets.token_hex(4)}"
        live.add_tenant(manifest(name, features=[]))
        file = tmp_path / "day.xml"
        file.write_bytes(camt053(PLAN))
        shown = invoke(live, "import", "--tenant", name, file)
        assert shown.stdout == ""
        assert shown.exception is not None
        failure = explain(shown.exception)
        assert (failure.code, failure.exit_code) == ("feature_disabled", Exit.REFUSED)
        assert "manifest doesn't list statements under features" in failure.sentence

    def test_shows_in_the_audit_trail(self, live: LiveServer, slug: str, tmp_path: Path) -> None:
        """Who imported is the operator at the command line."""
        file = tmp_path / "day.xml"
        file.write_bytes(camt053(PLAN))
        invoke(live, "import", "--tenant", slug, file)
        with live.client(slug) as client:
            [record] = client.get("/v1/audit-records", params={"action": "statement.imported"}).json()["data"]
        assert record["actor"] == "operator:command line"
        assert record["facts"] == {"statements": 1, "entries": 2, "duplicates": 0, "suspense": 2}


class TestTakingBackOnTheCommandLine:
    def test_says_what_was_taken_back(self, live: LiveServer, slug: str, tmp_path: Path) -> None:
        """The import by the id that importing has printed; a second time it is refused by its code."""
        file = tmp_path / "day.sta"
        file.write_bytes(mt940(PLAN))
        made = json.loads(invoke(live, "import", "--tenant", slug, "--json", file).stdout)["imported"][0]["import"]
        done = invoke(live, "reverse", "--tenant", slug, "--reason", "a test system's", "--json", made["id"])
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert (told["tenant"], told["import"]["id"], told["import"]["statements"]) == (
            slug,
            made["id"],
            made["statements"],
        )
        again = invoke(live, "reverse", "--tenant", slug, made["id"])
        assert isinstance(again.exception, errors.StatementImportNotReversible)
        assert again.exception.reason == "already_reversed"
        with live.client(slug) as client:
            [record] = client.get("/v1/audit-records", params={"action": "statement_import.reversed"}).json()["data"]
            assert (record["reason"], record["facts"]["entries"]) == ("a test system's", 2)

    def test_tells_people_how_much(self, live: LiveServer, slug: str, tmp_path: Path) -> None:
        """One sentence; what is no import's id is not found."""
        file = tmp_path / "day.sta"
        file.write_bytes(mt940(PLAN))
        made = json.loads(invoke(live, "import", "--tenant", slug, "--json", file).stdout)["imported"][0]["import"]
        done = invoke(live, "reverse", "--tenant", slug, made["id"])
        assert done.stdout == f"{made['id']} was taken back: 2 entries in 1 statement.\n"
        assert isinstance(invoke(live, "reverse", "--tenant", slug, "nothing").exception, errors.NotFound)
