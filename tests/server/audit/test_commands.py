"""Signed heads of audit trails over HTTP, and ``billfold audit`` on the command line."""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from billfold.chain import Head, TrailVerification, verify_trail_export
from billfold.contract.oauth import JwkSet
from billfold.contract.platform import AuditHead
from billfold.contract.sandbox import ResetSandbox
from billfold.proofs import InvalidProofError, verify_audit_head
from billfold_server.app import open_services
from billfold_server.audit import commands
from billfold_server.audit.commands import audit
from billfold_server.sandbox.resetting import reset
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.tenancy.rules import PLATFORM_SCHEMA
from tests.live import LiveServer
from tests.server.ledger.test_head_and_proof import Customer, as_owner
from tests.tenants import manifest

BANK = "whole-trail"


@pytest.fixture(scope="module", autouse=True)
def bank(live: LiveServer) -> LiveServer:
    """Return the server with a bank of this module's own, in which something was done."""
    live.add_tenant(manifest(BANK))
    with live.client(BANK) as client:
        Customer(client).top_up()
    return live


def invoke(live: LiveServer, *words: str) -> Result:
    """Call a command as ``billfold audit`` does, which knows the address of the server that runs."""
    settings = msgspec.structs.replace(live.settings, public_url=live.url)
    return CliRunner().invoke(audit, words, obj=partial(open_services, settings))


def document(done: Result) -> Any:
    """Return the document of a command that ended well."""
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@contextmanager
def no_sealing(live: LiveServer, slug: str | None) -> Iterator[None]:
    """Hold the head of a tenant's trail, or of the platform's, so that the server seals nothing meanwhile.

    It does so by itself time and again, and there is nearly always something that isn't sealed yet.
    """

    async def hold() -> "asyncpg.Connection[asyncpg.Record]":
        schema = PLATFORM_SCHEMA if slug is None else (await live.services.registry.get(slug)).schema
        assert live.settings.admin_database_url is not None
        connection = await asyncpg.connect(live.settings.admin_database_url.reveal())
        await connection.execute(f"SET search_path TO {schema}; BEGIN")
        await connection.execute("SELECT FROM audit_head FOR UPDATE")
        return connection

    connection = live.run(hold())
    try:
        yield
    finally:
        live.run(connection.close())


class TestTheHead:
    def test_is_signed_by_the_tenant(self, live: LiveServer) -> None:
        """The API and the command line show the same one, and the SDK verifies it by the tenant's keys alone."""
        invoke(live, "seal", "--tenant", BANK)
        with no_sealing(live, BANK):
            with live.client(BANK) as client:
                answer = client.get("/v1/audit-head")
            assert answer.status_code == 200, answer.text
            shown = msgspec.json.decode(answer.content, type=AuditHead)
            told = msgspec.json.decode(invoke(live, "head", "--tenant", BANK, "--json").stdout, type=AuditHead)
            line = invoke(live, "head", "--tenant", BANK).stdout
        assert (told.number, told.hash, told.sealed_at) == (shown.number, shown.hash, shown.sealed_at)
        keys = msgspec.json.decode(httpx.get(f"{live.base(BANK)}/.well-known/jwks.json").content, type=JwkSet)
        for head in (shown, told):
            assert verify_audit_head(head, keys, issuer=live.base(BANK)).hash.hex() == shown.hash
        with pytest.raises(InvalidProofError) as caught:
            verify_audit_head(msgspec.structs.replace(shown, number=99), keys, issuer=live.base(BANK))
        assert caught.value.fact == "head"
        with pytest.raises(InvalidProofError) as caught:
            verify_audit_head(shown, keys, issuer=live.base("alpha"))
        assert caught.value.fact == "signature"
        assert f"{shown.number}:{shown.hash}" in line

    def test_needs_the_scope_of_the_trail(self, live: LiveServer) -> None:
        """Who may read no records learns nothing of how many there are."""
        with live.client(BANK, ["ledger:read"]) as client:
            assert client.get("/v1/audit-head").status_code == 403

    def test_of_the_platform_is_signed_by_the_platform(self, live: LiveServer) -> None:
        """For operators, and on the command line."""
        document(invoke(live, "seal", "--platform", "--json"))
        told = msgspec.json.decode(invoke(live, "head", "--platform", "--json").stdout, type=AuditHead)
        keys = msgspec.json.decode(httpx.get(f"{live.url}/platform/.well-known/jwks.json").content, type=JwkSet)
        assert verify_audit_head(told, keys, issuer=f"{live.url}/platform").number == told.number > 0


class TestVerifying:
    def test_says_that_a_trail_is_whole(self, live: LiveServer, tmp_path: Path) -> None:
        """Also against a head that was kept in a file, or written down."""
        invoke(live, "seal", "--tenant", BANK)
        kept = tmp_path / "head.json"
        kept.write_text(invoke(live, "head", "--tenant", BANK, "--json").stdout)
        with live.client(BANK) as client:
            Customer(client).top_up()
        sealed = document(invoke(live, "seal", "--tenant", BANK, "--json"))
        assert sealed["records"] + sealed["transfers"] >= 0
        found = document(invoke(live, "verify", "--tenant", BANK, "--head", str(kept), "--json"))
        assert (found["ok"], found["findings"], found["unsealed"]) == (True, [], 0)
        written = f"{found['head']['number']}:{found['head']['hash']}"
        done = invoke(live, "verify", "--tenant", BANK, "--trusted", written)
        assert (done.exit_code, written in done.stdout, "aren't sealed" in done.stdout) == (0, True, False)

    def test_ends_with_1_where_a_head_is_not_in_the_trail(self, live: LiveServer) -> None:
        """One that is farther on, or another one at its place."""
        number = document(invoke(live, "verify", "--tenant", BANK, "--json"))["head"]["number"]
        for wrong in (f"{number}:{'11' * 32}", f"{number + 1}:{'11' * 32}"):
            done = invoke(live, "verify", "--tenant", BANK, "--json", "--trusted", wrong)
            assert (done.exit_code, json.loads(done.stdout)["findings"][0]["record"]) == (1, "link")

    def test_names_a_record_that_was_edited(self, live: LiveServer) -> None:
        """In a table, and ends with 1."""
        slug = "edited-trail"
        live.add_tenant(manifest(slug))
        with live.client(slug) as client:
            Customer(client).top_up()
        invoke(live, "seal", "--tenant", slug)
        as_owner(live, slug, "UPDATE audit_records SET actor = 'usr_1' WHERE action = 'wallet.created'")
        done = invoke(live, "verify", "--tenant", slug)
        assert (done.exit_code, done.stdout.count("edited │"), "Head:" in done.stdout) == (1, 1, False), done.stdout
        with live.client(slug) as client:
            (edited,) = client.get("/v1/audit-records?action=wallet.created").json()["data"]
        assert f"audit record {edited['id']}" in done.stdout
        as_owner(live, slug, "DELETE FROM audit_head")
        for words in (["verify"], ["head"], ["export"]):
            assert invoke(live, *words, "--tenant", slug).exit_code == 1, words
        with live.client(slug) as client:
            assert client.get("/v1/audit-head").status_code == 500
        for command in ("head", "export"):
            refused = invoke(live, command, "--tenant", slug, "--json")
            error = msgspec.json.decode(refused.stderr)["error"]
            assert (refused.exit_code, error["exit_code"], error["code"]) == (1, 1, "head_missing")
            assert f"billfold audit verify --tenant {slug}" in invoke(live, command, "--tenant", slug).stderr

    def test_tells_what_is_not_sealed(self, live: LiveServer) -> None:
        """After some minutes with what to do about it."""
        slug = "unsealed-trail"
        live.add_tenant(manifest(slug))
        with no_sealing(live, slug):
            with live.client(slug) as client:
                Customer(client).top_up()
            soon = invoke(live, "verify", "--tenant", slug)
            as_owner(live, slug, "UPDATE audit_records SET recorded_at = recorded_at - interval '1 hour'")
            late = invoke(live, "verify", "--tenant", slug)
        assert (soon.exit_code, "aren't sealed" in soon.stdout, "billfold audit seal" in soon.stdout) == (
            0,
            True,
            False,
        )
        assert (late.exit_code, "aren't sealed" in late.stdout, "billfold audit seal" in late.stdout) == (0, True, True)

    def test_of_the_platform_works_alike(self, live: LiveServer) -> None:
        """Its records are sealed and verified, too."""
        document(invoke(live, "seal", "--platform", "--json"))
        found = document(invoke(live, "verify", "--platform", "--json"))
        assert (found["ok"], found["tenant"], found["counts"]["audit_record"] > 0) == (True, None, True)
        assert "the platform" in invoke(live, "verify", "--platform").stdout

    @pytest.mark.parametrize(
        "words",
        [
            ("verify",),
            ("verify", "--tenant", BANK, "--platform"),
            ("verify", "--tenant", BANK, "--trusted", "nonsense"),
            ("verify", "--tenant", BANK, "--trusted", f"1:{'00' * 32}", "--head", __file__),
            ("verify", "--tenant", BANK, "--head", __file__),
            ("head",),
            ("seal",),
            ("export",),
        ],
    )
    def test_is_refused_without_one_trail_and_one_head(self, live: LiveServer, words: tuple[str, ...]) -> None:
        """It is a mistake of who calls."""
        assert invoke(live, *words).exit_code == 2


class TestASentence:
    def test_agrees_with_how_many_there_are(self, capsys: pytest.CaptureFixture[str]) -> None:
        """One record in one link, or several in several."""
        now = datetime.now(UTC)
        for number in (1, 2):
            found = TrailVerification(
                ok=True,
                findings=[],
                further=0,
                head=Head(number=number, hash=bytes(32)),
                counts={"audit_record": 2 * number},
                deleted=number,
                deleted_to=datetime(2025, 1, 1, tzinfo=UTC),
                unsealed=number,
                unsealed_since=now,
                late=number,
                late_ids=[UUID(int=1)],
            )
            commands._print("bank", found)
        said = capsys.readouterr().out.replace("aud_00000000000000000000000001", "ID").splitlines()
        head = "00" * 32
        wrong = ", or a server's clock was wrong."
        assert said == [
            "The audit trail of bank is as it was sealed: 1 record or order of a transfer in 1 link.",
            f"Head: 1:{head}",
            "1 record up to 2025-01-01 was deleted, having been kept for long.",
            "1 record, ID, says that it was made long before a sealing that didn't find it: somebody may have put it in"
            + wrong,
            f"1 record or transfer isn't sealed yet, since {now.isoformat()}.",
            "The audit trail of bank is as it was sealed: 2 records and orders of transfers in 2 links.",
            f"Head: 2:{head}",
            "2 records up to 2025-01-01 were deleted, having been kept for long.",
            "2 records, such as ID, say that they were made long before a sealing that didn't find them: somebody may "
            "have put them in" + wrong,
            f"2 records and transfers aren't sealed yet, the oldest since {now.isoformat()}.",
        ]


class TestASandboxThatBeginsAnew:
    def test_has_its_trail_sealed_anew(self, live: LiveServer) -> None:
        """What was audited stays, and transfers are gone with their leaves."""
        slug = "trail-anew"
        live.add_tenant(manifest(slug))
        with live.client(slug) as client:
            Customer(client).top_up()
        invoke(live, "seal", "--tenant", slug)
        before = document(invoke(live, "verify", "--tenant", slug, "--json"))
        tenant = live.run(live.services.registry.get(slug))
        live.run(reset(live.services, tenant, COMMAND_LINE, ResetSandbox(seeded=False)))
        invoke(live, "seal", "--tenant", slug)
        with live.client(slug) as client:
            Customer(client).top_up()
        invoke(live, "seal", "--tenant", slug)
        found = document(invoke(live, "verify", "--tenant", slug, "--json"))
        assert (found["ok"], found["unsealed"], found["counts"]["ordered"]) == (True, 0, 1), found["findings"]
        assert found["counts"]["audit_record"] > before["counts"]["audit_record"]
        kept = f"{before['head']['number']}:{before['head']['hash']}"
        assert invoke(live, "verify", "--tenant", slug, "--trusted", kept).exit_code == 1


class TestAnExport:
    @pytest.mark.parametrize("slug", [BANK, None], ids=["tenant", "platform"])
    def test_is_verified_without_a_server(self, live: LiveServer, tmp_path: Path, slug: str | None) -> None:
        """It is a private file, and leads to the same head."""
        trail = ("--platform",) if slug is None else ("--tenant", slug)
        invoke(live, "seal", *trail)
        path = tmp_path / "trail.jsonl"
        path.touch(mode=0o644)
        with no_sealing(live, slug):
            done = invoke(live, "export", *trail, "--output", str(path))
            assert (done.exit_code, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600), done.output
            found = verify_trail_export(path)
            told = document(invoke(live, "verify", *trail, "--json"))
        # The export itself is in the trail, and not sealed yet.
        assert (found.ok, found.head.hash.hex()) == (True, told["head"]["hash"]), found.findings
        assert found.counts["audit_record"] > 0
