"""Logging in keeps by what the other commands are allowed in, where nobody else finds it."""

import json
import stat
from pathlib import Path

import pytest

from tests.sdk.cli.answering import SECRET, Answering, give

TENANT = {"slug": "sandbox", "name": "Demo", "brand": {}, "currencies": ["EUR"], "features": [], "sandbox": True}


def login(server: Answering, *arguments: str, typed: str = SECRET) -> str:
    """Log in, and return all that was said."""
    server.say(TENANT)
    done = give(None, "login", "--base-url", server.url, "--client-id", "cli_1", *arguments, typed=typed)
    assert done.exit_code == 0, done.output
    return done.output


class TestLoggingIn:
    def test_keeps_the_secret_for_its_owner_alone(self, server: Answering, profiles_file: Path):
        """It is read from standard input, tried, written where no one else reads it, and shown nowhere."""
        said = login(server)
        assert SECRET not in said
        assert "Demo" in said
        assert stat.S_IMODE(profiles_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(profiles_file.parent.stat().st_mode) == 0o700
        assert [each.name for each in profiles_file.parent.iterdir()] == [profiles_file.name]
        assert json.loads(give(None, "tenant", "get", "--json").stdout) == TENANT
        assert SECRET not in give(None, "profiles").output + give(None, "profiles", "--json").output

    def test_leaves_a_secret_where_it_is(self, server: Answering, profiles_file: Path, monkeypatch: pytest.MonkeyPatch):
        """A profile may name the environment variable that holds it; unset, nothing is asked."""
        monkeypatch.setenv("MY_SECRET", SECRET)
        login(server, "--secret-variable", "MY_SECRET", typed="")
        assert SECRET not in profiles_file.read_text(encoding="utf-8")
        assert give(None, "tenant", "get").exit_code == 0
        monkeypatch.delenv("MY_SECRET")
        server.say(TENANT)
        refused = give(None, "tenant", "get", "--json")
        assert (json.loads(refused.stderr)["error"]["code"], refused.exit_code) == ("no_secret", 78)
        assert server.requests == []

    def test_reads_what_a_server_has_kept(self, server: Answering, tmp_path: Path):
        """The file of credentials that `billfold up` writes is enough."""
        file = tmp_path / "sandbox.env"
        file.write_text("".join(f"export {name}='{value}'\n" for name, value in server.environment.items()), "utf-8")
        server.say(TENANT)
        assert give(None, "login", "--credentials", str(file)).exit_code == 0

    def test_keeps_nothing_that_is_refused(self, server: Answering, profiles_file: Path):
        """Credentials that aren't taken aren't written, and the exit code says whose fault it is."""
        server.say((401, {"type": "x", "title": "x", "status": 401, "code": "unauthenticated", "detail": "x"}))
        done = give(None, "login", "--base-url", server.url, "--client-id", "cli_1", typed="wrong")
        assert done.exit_code == 77
        assert not profiles_file.exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--secret-variable", "s-e-c-r-e-t"),
            ("--secret-variable", "A", "--key", __file__),
            ("--certificate-key", __file__),
        ],
    )
    def test_takes_one_way_to_prove_who_asks(self, server: Answering, arguments: tuple[str, ...]):
        """What can't be meant is refused before anything is asked, without repeating what may be a secret."""
        done = give(None, "login", "--base-url", server.url, "--client-id", "cli_1", *arguments)
        assert (done.exit_code, server.requests) == (2, [])
        assert SECRET not in done.output


class TestAProfile:
    def test_is_the_one_that_is_named(self, server: Answering):
        """The last one that was logged in counts, unless another is named, or made to count."""
        login(server, "--profile", "one")
        login(server, "--profile", "two")
        listed = json.loads(give(None, "profiles", "--use", "one", "--json").stdout)["profiles"]
        assert {each["name"]: each["used"] for each in listed} == {"one": True, "two": False}
        assert give(None, "tenant", "get", "--profile", "none").exit_code == 78
        assert give(None, "tenant", "get", BILLFOLD_PROFILE="two").exit_code == 0
        assert json.loads(give(None, "logout", "--json").stdout) == {"profile": "one", "default": "two"}
        assert give(None, "logout", "--profile", "one").exit_code == 1

    def test_gives_way_to_what_programs_are_told(self, server: Answering, profiles_file: Path):
        """The environment's credentials come before the last profile, as they do for programs."""
        profiles_file.parent.mkdir()
        profiles_file.write_text("{}", encoding="utf-8")
        profiles_file.chmod(0o600)
        server.say(TENANT)
        assert give(server, "tenant", "get").exit_code == 0
        refused = give(None, "tenant", "get", "--json")
        assert (json.loads(refused.stderr)["error"]["code"], refused.exit_code) == ("not_logged_in", 78)

    @pytest.mark.parametrize(("content", "mode"), [("{}", 0o644), ("{", 0o600), ('{"profiles": 1}', 0o600)])
    def test_is_read_from_a_file_that_is_sound(self, profiles_file: Path, content: str, mode: int):
        """A file that others may read, or that nobody wrote so, is told and left alone."""
        profiles_file.parent.mkdir()
        profiles_file.write_text(content, encoding="utf-8")
        profiles_file.chmod(mode)
        assert give(None, "tenant", "get").exit_code == 78
        assert profiles_file.read_text(encoding="utf-8") == content

    def test_needs_a_home_or_a_name(self, monkeypatch: pytest.MonkeyPatch):
        """Whom the system doesn't know, as a number in a container, is told what to name."""

        def home(_: type[Path]) -> Path:
            raise RuntimeError("Could not determine home directory.")

        for name in ("BILLFOLD_PROFILES_FILE", "XDG_CONFIG_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(Path, "home", classmethod(home))
        refused = give(None, "tenant", "get", "--json")
        error = json.loads(refused.stderr)["error"]
        assert (error["code"], refused.exit_code) == ("no_home", 78)
        assert "BILLFOLD_PROFILES_FILE" in error["detail"]
