"""``billfold tenants`` on the command line."""

import asyncio
import json
import secrets
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from billfold import errors
from billfold_server.tenancy import commands
from billfold_server.tenancy.commands import tenants as group
from billfold_server.tenancy.service import Tenants
from tests.postgres import copying, execute
from tests.tenants import in_database, open_tenancy

pytestmark = pytest.mark.any_postgres

Run = Callable[..., Result]

TOML = """
slug = "acme"
name = "Acme"
currencies = ["EUR"]
isolation = "role"
[brand]
display_name = "Acme Pay"
"""


@pytest.fixture
def dsn(postgres_dsn: str, tenancy_template: str) -> Iterator[str]:
    """Return the administrator's DSN of a database with the tenant ``testbank``."""
    name = f"test_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_dsn, copying(name, tenancy_template)))
    yield in_database(postgres_dsn, name)
    asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def run(dsn: str) -> Run:
    """Return a function that runs a command on a database with the tenant ``testbank``."""

    @asynccontextmanager
    async def open_tenants() -> AsyncIterator[Tenants]:
        opened = await open_tenancy(dsn)
        try:
            yield opened.tenants
        finally:
            await opened.database.close()

    def invoke(*words: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(group, [*words], obj=open_tenants, input=answer)

    return invoke


@pytest.fixture
def acme(tmp_path: Path) -> str:
    """Return the folder of a tenant."""
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "tenant.toml").write_text(TOML)
    return str(folder)


def document(result: Result) -> Any:
    """Return what a command printed as JSON."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class TestTheCommands:
    def test_create_show_suspend_resume_and_delete_a_tenant(self, run: Run, acme: str) -> None:
        """The life of a tenant, each step with one JSON document."""
        assert [each["change"] for each in document(run("apply", acme, "--json"))] == ["created"]
        assert [each["change"] for each in document(run("apply", acme, "--json"))] == ["unchanged"]
        assert [each["slug"] for each in document(run("list", "--json"))] == ["acme", "testbank"]
        shown = document(run("show", "acme", "--json"))
        assert (shown["state"], shown["manifest"]["brand"]["display_name"]) == ("active", "Acme Pay")
        assert document(run("suspend", "acme", "--reason", "test", "--json"))["state"] == "suspended"
        assert document(run("resume", "acme", "--reason", "test", "--json"))["state"] == "active"
        document(run("suspend", "acme", "--reason", "test", "--json"))
        assert document(run("delete", "acme", "--confirm", "acme", "--json")) == {"slug": "acme", "deleted": True}
        assert [each["slug"] for each in document(run("list", "--json"))] == ["testbank"]

    def test_migrate_every_tenant(self, run: Run) -> None:
        """A tenant that is up to date is passed over, and reported with its version."""
        assert [each["slug"] for each in document(run("migrate", "--json"))] == ["testbank"]

    def test_print_tables_for_people(self, run: Run, acme: str) -> None:
        """Without ``--json`` the same is told in a table."""
        for words in (
            ["apply", acme],
            ["list"],
            ["show", "testbank"],
            ["migrate"],
            ["suspend", "acme", "--reason", "x"],
        ):
            result = run(*words)
            assert result.exit_code == 0
            assert "testbank" in result.stdout or "acme" in result.stdout

    def test_apply_tenants_that_come_with_billfold_by_name(self, run: Run) -> None:
        """``billfold tenants apply sandbox demo_bank`` needs no path."""
        applied = document(run("apply", "sandbox", "demo_bank", "--json"))
        assert [(each["slug"], each["isolation"]) for each in applied] == [("sandbox", "role"), ("demo_bank", "login")]

    def test_show_each_tenant_in_a_line_where_no_terminal_does(self, run: Run, acme: str) -> None:
        """However much there is to say of it, a program that reads lines finds it in one."""
        path = Path(acme) / "tenant.toml"
        host = f"{'wallets-' * 6}of.acme.example"
        path.write_text(path.read_text().replace("[brand]", f'hosts = ["{host}"]\n[brand]'))
        applied, listed = run("apply", acme), run("list")
        for result in (applied, listed):
            (line,) = [each for each in result.stdout.splitlines() if "acme" in each]
            assert ("Acme" in line, "active" in line, host in line) == (True, True, True)

    def test_read_every_manifest_before_they_change_anything(self, run: Run, acme: str, tmp_path: Path) -> None:
        """A mistake in the second folder leaves the first one alone."""
        (tmp_path / "wrong").mkdir()
        (tmp_path / "wrong" / "tenant.toml").write_text("slug = 1")
        result = run("apply", acme, str(tmp_path / "wrong"))
        assert isinstance(result.exception, errors.ManifestInvalid)
        assert [each["slug"] for each in document(run("list", "--json"))] == ["testbank"]

    def test_show_what_was_applied_before_one_was_refused(self, run: Run, tmp_path: Path) -> None:
        """Nobody has to find out which of several manifests were applied, nor which one was refused."""
        folders = [tmp_path / slug for slug in ("acme", "other")]
        for folder in folders:
            folder.mkdir()
            text = TOML.replace('"acme"', f'"{folder.name}"').replace("[brand]", 'hosts = ["pay.example"]\n[brand]')
            (folder / "tenant.toml").write_text(text)
        words = ("apply", *map(str, folders))
        refused = run(*words, "--json")
        assert isinstance(refused.exception, errors.TenantExists)
        assert [(each["slug"], each["change"]) for each in json.loads(refused.stdout)] == [("acme", "created")]
        told = run(*words)
        assert ("acme" in told.stdout, "Not applied to its end: other" in told.stderr) == (True, True)

    def test_show_all_that_were_applied_where_they_are_interrupted_at_the_end(
        self, run: Run, acme: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None is named as cut short, as there is none."""
        told: list[str] = []

        @contextmanager
        def progress(_: str, total: int, *, shown: bool) -> Iterator[Callable[[str], None]]:
            yield told.append
            assert shown
            raise InterruptedError(total)

        monkeypatch.setattr(commands, "_progress", progress)
        result = run("apply", acme, "sandbox")
        assert isinstance(result.exception, InterruptedError)
        assert told == ["acme", "sandbox"]
        assert ("acme" in result.stdout, "sandbox" in result.stdout, result.stderr) == (True, True, "")

    def test_ask_before_they_delete(self, run: Run, acme: str) -> None:
        """Without ``--confirm`` the slug has to be typed, and a wrong one deletes nothing."""
        document(run("apply", acme, "--json"))
        document(run("suspend", "acme", "--reason", "test", "--json"))
        refused = run("delete", "acme", answer="yes\n")
        assert isinstance(refused.exception, errors.ValidationFailed)
        assert run("delete", "acme", answer="acme\n").exit_code == 0
        assert [each["slug"] for each in document(run("list", "--json"))] == ["testbank"]

    def test_refuse_a_tenant_that_is_unknown(self, run: Run) -> None:
        """The error is the service's own, which the command line tells in one sentence."""
        for words in (["show", "nobody"], ["suspend", "nobody", "--reason", "x"], ["migrate", "nobody"]):
            assert isinstance(run(*words).exception, errors.UnknownTenant)

    def test_all_have_json(self) -> None:
        """Every command of the group can be read by a program."""
        assert {name for name, command in group.commands.items() if "as_json" in {p.name for p in command.params}} == {
            "apply", "dead-jobs", "delete", "list", "migrate", "resume", "retry-jobs", "show", "suspend",
        }  # fmt: skip

    def test_take_what_the_file_says(self, run: Run, acme: str) -> None:
        """What is shown is the manifest as it was written."""
        document(run("apply", acme, "--json"))
        manifest = document(run("show", "acme", "--json"))["manifest"]
        assert {key: manifest[key] for key in ("slug", "name", "currencies")} == {
            key: tomllib.loads(TOML)[key] for key in ("slug", "name", "currencies")
        }


class TestATenantThatCannotBeRead:
    def test_is_named_and_stops_no_other(self, run: Run, acme: str, dsn: str) -> None:
        """It is listed with the reason, by another exit code; it is migrated, and mended by applying it again."""
        document(run("apply", acme, "--json"))
        asyncio.run(execute(dsn, "UPDATE billfold_platform.tenants SET manifest = '{}' WHERE slug = 'acme'"))
        listed = run("list", "--json")
        assert (listed.exit_code, "tenant_unreadable" in listed.stderr) == (1, True)
        shown = {each["slug"]: each["unreadable"] for each in json.loads(listed.stdout)}
        assert shown["testbank"] is None
        assert "slug" in shown["acme"], "what is missing"
        one = run("show", "acme", "--json")
        assert (one.exit_code, json.loads(one.stdout)["manifest"]) == (1, None)
        assert (run("list").exit_code, run("show", "acme").exit_code) == (1, 1)
        assert [each["error"] for each in document(run("migrate", "--json"))] == [None, None]
        assert document(run("suspend", "acme", "--reason", "x", "--json"))["state"] == "suspended"
        document(run("apply", acme, "--json"))
        assert document(run("list", "--json"))[0]["unreadable"] is None
