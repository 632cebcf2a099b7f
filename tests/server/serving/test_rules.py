"""What the doctor makes of what it finds."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billfold_server.serving import rules

NOW = datetime(2026, 11, 20, tzinfo=UTC)
GIB = 1024**3


class TestTheDoctor:
    @pytest.mark.parametrize(
        ("version", "verdict"), [((3, 10), "fail"), ((3, 11), "ok"), ((3, 14), "ok"), ((3, 15), "warn")]
    )
    def test_judges_python(self, version: tuple[int, int], verdict: str):
        """Older than 3.11 can't be, and newer than 3.14 hasn't been tried."""
        assert rules.judge_python(version).verdict == verdict

    @pytest.mark.parametrize(("free", "verdict"), [(0.1 * GIB, "fail"), (1 * GIB, "warn"), (2 * GIB, "ok")])
    def test_judges_space(self, free: float, verdict: str):
        """A database needs some space to begin with, and more to live."""
        assert rules.judge_disk("/data", int(free)).verdict == verdict

    @pytest.mark.parametrize(("limit", "verdict"), [(256, "warn"), (1024, "ok")])
    def test_judges_open_files(self, limit: int, verdict: str):
        """Each connection is an open file."""
        assert rules.judge_files(limit).verdict == verdict

    @pytest.mark.parametrize(
        ("mode", "ours", "production", "verdict"),
        [
            (None, True, True, "ok"),
            (0o600, True, True, "ok"),
            (0o600, False, True, "warn"),
            (0o640, True, False, "warn"),
            (0o640, True, True, "fail"),
            (0o604, True, True, "fail"),
        ],
    )
    def test_judges_who_may_read_the_keyring(self, mode: int | None, *, ours: bool, production: bool, verdict: str):
        """Nobody but its owner may, and in production that is no mere advice."""
        assert rules.judge_keyring("/keyring", mode=mode, ours=ours, production=production).verdict == verdict

    @pytest.mark.parametrize(
        ("skew_s", "verdict"), [(0.9, "ok"), (-0.9, "ok"), (1.5, "warn"), (-29, "warn"), (31, "fail"), (-31, "fail")]
    )
    def test_judges_clocks(self, skew_s: float, verdict: str):
        """Ahead or behind, the database's clock should be ours."""
        assert rules.judge_skew(skew_s).verdict == verdict

    def test_tells_where_postgresql_has_no_room(self):
        """What PostgreSQL says of it is in the sentence."""
        assert rules.judge_space(None).verdict == "ok"
        found = rules.judge_space("No space left on device")
        assert (found.verdict, "No space left on device" in found.sentence) == ("fail", True)

    @pytest.mark.parametrize("off", ["fsync", "full_page_writes", "synchronous_commit"])
    def test_insists_on_durability(self, off: str):
        """Each of the three alone can lose what was acknowledged."""
        settings: dict[str, Any] = dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit"), True)
        assert rules.judge_durability(**settings).verdict == "ok"
        found = rules.judge_durability(**settings | {off: False})
        assert found.verdict == "fail"
        assert off in found.sentence

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("log_statement", "ddl"),
            ("log_min_duration_statement", "0"),
            ("log_min_error_statement", "error"),
            ("log_min_error_statement", "fatal"),
            ("log_error_verbosity", "default"),
        ],
    )
    def test_insists_on_a_log_without_what_people_write(self, name: str, value: str):
        """Each setting alone puts statements or rows into PostgreSQL's log: bad for real people, and told to others."""
        assert rules.judge_logging(rules.QUIET, production=True).verdict == "ok"
        for production, verdict in ((True, "fail"), (False, "warn")):
            found = rules.judge_logging(rules.QUIET | {name: value}, production=production)
            assert found.verdict == verdict
            assert f"{name} = {value}" in found.sentence
            assert f"set {name} to {rules.QUIET[name]}." in found.sentence
        keys = rules.judge_logging(rules.QUIET | {name: value}, production=True, name="keys_logging", what="keys")
        assert (keys.name, "may log keys (" in keys.sentence) == ("keys_logging", True)

    @pytest.mark.parametrize(
        ("buffers", "wal", "production", "verdict", "small"),
        [
            (8 * GIB, 16 * GIB, True, "ok", set()),
            (GIB // 8, 16 * GIB, True, "warn", {"shared_buffers"}),
            (8 * GIB, GIB, True, "warn", {"max_wal_size"}),
            (GIB // 8, GIB, True, "warn", {"shared_buffers", "max_wal_size"}),
            (GIB // 8 + 8192, GIB + 1, True, "ok", set()),
            (GIB // 8, GIB, False, "ok", set()),
        ],
    )
    def test_advises_to_size_the_database(
        self, buffers: int, wal: int, *, production: bool, verdict: str, small: set[str]
    ):
        """Production on PostgreSQL's defaults hears which; anybody else is told what there is."""
        found = rules.judge_sizes(buffers_bytes=buffers, most_wal_bytes=wal, production=production)
        assert found.verdict == verdict
        assert {name for name in ("shared_buffers", "max_wal_size") if name in found.sentence} == small

    @pytest.mark.parametrize(
        ("creates_roles", "owns_database", "prepared", "verdict"),
        [
            (True, True, False, "ok"),
            (True, True, True, "ok"),
            (True, False, False, "fail"),
            (True, False, True, "fail"),
            (False, False, True, "ok"),
            (False, False, False, "fail"),
            (False, True, False, "fail"),
            (False, True, True, "ok"),
        ],
    )
    def test_judges_rights(self, *, creates_roles: bool, owns_database: bool, prepared: bool, verdict: str):
        """Setting up needs both rights; a database that is set up can be served without either."""
        found = rules.judge_rights(
            role="app", creates_roles=creates_roles, owns_database=owns_database, prepared=prepared
        )
        assert found.verdict == verdict

    @pytest.mark.parametrize(
        ("platform", "tenants", "verdict"), [(0, [], "ok"), (1, [], "warn"), (0, ["alpha"], "warn")]
    )
    def test_judges_schemas(self, platform: int, tenants: list[str], verdict: str):
        """A schema that is behind can be served from, and should be migrated."""
        assert rules.judge_schemas(platform=platform, tenants=tenants).verdict == verdict

    def test_names_few_of_many_schemas(self):
        """With a thousand tenants behind, three are named and the rest is counted."""
        found = rules.judge_schemas(platform=0, tenants=[f"t{number}" for number in range(1000)])
        assert "t0, t1, t2, 997 more" in found.sentence

    def test_judges_what_is_stored_of_tenants(self):
        """One that this version can't read isn't served by it; three are named with the reason."""
        assert rules.judge_tenants({}).verdict == "ok"
        found = rules.judge_tenants({f"t{number}": "no slug" for number in range(5)})
        assert (found.verdict, "t0 (no slug)" in found.sentence, "2 more" in found.sentence) == ("fail", True, True)

    def test_judges_the_keys_that_vault_has(self):
        """Where it lacks some, nothing of theirs opens, though it answers."""
        assert rules.judge_wrapping([], of=3).verdict == "ok"
        lost = UUID(int=1)
        found = rules.judge_wrapping([lost], of=3)
        assert (found.verdict, str(lost) in found.sentence, "1 of 3" in found.sentence) == ("fail", True, True)

    @pytest.mark.parametrize(("minutes", "verdict"), [(9, "ok"), (11, "warn")])
    def test_judges_beginnings(self, minutes: int, verdict: str):
        """One that hasn't been made to its end for long is named, with what goes on with it."""
        assert rules.judge_beginnings({}, NOW).verdict == "ok"
        found = rules.judge_beginnings({"acme": NOW - timedelta(minutes=minutes)}, NOW)
        told = ("acme" in found.sentence, "tenants apply" in found.sentence)
        assert (found.verdict, *told) == (verdict, verdict == "warn", verdict == "warn")

    @pytest.mark.parametrize(("minutes", "verdict"), [(9, "ok"), (11, "warn")])
    def test_judges_deletions(self, minutes: int, verdict: str):
        """One that hasn't come to its end for long is named."""
        assert rules.judge_deletions({}, NOW).verdict == "ok"
        found = rules.judge_deletions({"acme": NOW - timedelta(minutes=minutes)}, NOW)
        assert (found.verdict, "acme" in found.sentence) == (verdict, verdict == "warn")

    @pytest.mark.parametrize(("lacking", "verdict"), [([], "ok"), (["alpha"], "warn")])
    def test_judges_partitions(self, lacking: list[str], verdict: str):
        """Without partitions for the next month everything goes on, and should be put right."""
        assert rules.judge_partitions(lacking).verdict == verdict

    @pytest.mark.parametrize(("left", "verdict"), [(-1, "fail"), (0, "fail"), (20, "warn"), (22, "ok")])
    def test_judges_certificates(self, left: int, verdict: str):
        """A certificate is renewed before it ends."""
        assert rules.judge_certificate(NOW + timedelta(days=left), NOW).verdict == verdict

    @pytest.mark.parametrize(
        ("mode", "production", "verdict"),
        [
            (0o600, True, "ok"),
            (0o640, True, "ok"),
            (0o644, True, "fail"),
            (0o644, False, "warn"),
            (0o602, True, "fail"),
        ],
    )
    def test_judges_keys(self, mode: int, production: bool, verdict: str):  # noqa: FBT001
        """A group may share the server's key, and everybody may not."""
        assert rules.judge_key("/key.pem", mode, production=production).verdict == verdict

    @pytest.mark.parametrize(
        ("host", "verdict"),
        [
            ("wallet.example", "ok"),
            ("a.wallets.example", "ok"),
            ("127.0.0.1", "ok"),
            ("wallets.example", "warn"),
            ("b.a.wallets.example", "warn"),
            ("127.0.0.2", "warn"),
        ],
    )
    def test_judges_hosts(self, host: str, verdict: str):
        """A certificate names the host by which the server is reached, or all that are one label below another."""
        assert rules.judge_hosts(host, ["wallet.example", "*.wallets.example", "127.0.0.1"]).verdict == verdict
