"""Forgetting somebody for good: it takes two people, every worker follows, and an old backup proves it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.db.embedded import DEFAULT_MAJOR, EmbeddedPostgres
from billfold_server.keys import commands, destruction
from billfold_server.keys.shredding import tidy
from billfold_server.parties import service as parties
from billfold_server.serving.explaining import explain
from billfold_server.serving.failures import Exit
from billfold_server.settings import load_settings
from billfold_server.tenancy.context import Caller, TenantRef
from tests.live import LiveServer
from tests.pace import until
from tests.postgres import binaries, create_database, drop_database, query
from tests.server.approvals.waiting import waits
from tests.server.keys.forgetting import SLUG, Bank, shred
from tests.server.people.persons import Person, a_person, an_operator, enrol, let_in
from tests.tenants import manifest


@pytest.fixture(scope="module")
def bank(live: LiveServer) -> Bank:
    """Serve a tenant whose manifest asks for no second person, ever."""
    return Bank(live)


@pytest.fixture(scope="module")
def operator(bank: Bank) -> Iterator[httpx.Client]:
    """Somebody who may ask."""
    with bank.person("operator") as client:
        yield client


@pytest.fixture(scope="module")
def approver(bank: Bank) -> Iterator[httpx.Client]:
    """Somebody who may agree."""
    with bank.person("approver") as client:
        yield client


class TestDestroyingAPartysKeys:
    def test_waits_whatever_the_manifest_says(self, bank: Bank, operator: httpx.Client) -> None:
        """Nothing has happened until another person has agreed."""
        party = bank.party()
        waits(shred(operator, party))
        assert bank.read(party) == b"secret of " + party.encode()

    def test_happens_once_another_agrees(self, bank: Bank, operator: httpx.Client, approver: httpx.Client) -> None:
        """The keys of both domains are gone at once, and audit and events say so, with the reason."""
        party, key = bank.party(), uuid4().hex
        approval = waits(shred(operator, party, key))
        decided = approver.post(f"/v1/approvals/{approval}/approve", json={"reason": "seen"})
        assert (decided.status_code, decided.json()["outcome_status"]) == (200, 200), decided.text
        copy = shred(operator, party, key)
        assert (copy.status_code, copy.json()["keys_destroyed"]) == (200, 2)
        with pytest.raises(errors.SubjectForgotten):
            bank.read(party)
        with bank.person("auditor") as auditor:
            (record,) = auditor.get(
                "/v1/audit-records", params={"object_id": party, "action": "data_keys.shredded"}
            ).json()["data"]
            events = auditor.get("/v1/events", params={"type": "data_keys.shredded", "limit": 100}).json()["data"]
            listed = auditor.get("/v1/data-keys/forgotten-subjects").json()["data"]
            assert auditor.get("/v1/data-keys").json()["forgotten_subjects"] == len(listed)
        assert (record["reason"], record["facts"]["keys"], record["actor"][:4]) == ("asked for it", 2, "usr_")
        assert party in [event["object_id"] for event in events]
        assert party in [each["party_id"] for each in listed]

    def test_takes_their_tokens_along(self, bank: Bank, operator: httpx.Client, approver: httpx.Client) -> None:
        """Tokens that open nothing any more say so and are told of, and the same value is found at others' alone."""
        value = {"iban": "DE89370400440532013000"}
        with bank.live.client(SLUG) as client:

            def token(party: str) -> str:
                body = {"kind": "bank_account", "bank_account": value, "party_id": party}
                made = client.post("/v1/vault-tokens", json=body, headers={"Idempotency-Key": uuid4().hex})
                return str(made.raise_for_status().json()["id"])

            forgotten, kept = bank.party(), bank.party()
            gone, stays = token(forgotten), token(kept)
            approval = waits(shred(operator, forgotten))
            assert approver.post(f"/v1/approvals/{approval}/approve", json={}).status_code == 200
            until(lambda: client.get(f"/v1/vault-tokens/{gone}").status_code == 410)
            assert client.get(f"/v1/vault-tokens/{gone}").json()["code"] == "token_forgotten"
            found = client.post("/v1/vault-tokens/search", json={"kind": "bank_account", "bank_account": value})
            assert [each["id"] for each in found.raise_for_status().json()["data"]] == [stays]

            def told() -> list[str]:
                answer = client.get("/v1/events", params={"type": "vault_token.forgotten", "limit": 100})
                return [event["object_id"] for event in answer.json()["data"]]

            until(lambda: gone in told())
            assert stays not in told()

    def test_takes_the_name_out_of_what_is_looked_for(
        self, bank: Bank, operator: httpx.Client, approver: httpx.Client
    ) -> None:
        """Nobody can try any more whether it was somebody's; the external id, which lies plain, still finds them."""
        with bank.live.client(SLUG) as client:

            def found(word: str) -> list[str]:
                return [each["id"] for each in client.get("/v1/parties", params={"q": word}).json()["data"]]

            body = {"kind": "person", "name": "Hypatia", "external_id": "nr-415"}
            party = client.post("/v1/parties", json=body, headers={"Idempotency-Key": uuid4().hex}).json()["id"]
            assert (found("Hypatia"), found("nr-415")) == ([party], [party])
            assert approver.post(f"/v1/approvals/{waits(shred(operator, party))}/approve", json={}).status_code == 200
            until(lambda: found("Hypatia") == [])
            bank.live.run(parties.reindex(bank.live.services.database, bank.live.services.keys, bank.tenant, batch=100))
            assert (found("Hypatia"), found("nr-415"), client.get(f"/v1/parties/{party}").json()["name"]) == (
                [],
                [party],
                None,
            )

    def test_is_never_approved_by_who_has_asked(self, bank: Bank) -> None:
        """One person with both roles is one person."""
        party = bank.party()
        with bank.person("operator", "approver") as both:
            approval = waits(shred(both, party))
            own = both.post(f"/v1/approvals/{approval}/approve", json={})
        assert (own.status_code, own.json()["code"]) == (403, "maker_may_not_decide")
        assert bank.read(party)

    def test_isnt_asked_for_by_a_program(self, bank: Bank) -> None:
        """A program may be the approver's own, who then would be both."""
        with bank.live.client(SLUG) as program:
            answer = shred(program, bank.party())
        assert (answer.status_code, answer.json()["code"]) == (403, "person_required")

    def test_of_nobody_is_refused_before_anybody_is_asked(self, operator: httpx.Client) -> None:
        """Nobody approves what can't be done."""
        assert shred(operator, ids.new(Prefix.PARTY)).status_code == 404

    def test_lets_no_new_key_be_made(self, bank: Bank, operator: httpx.Client, approver: httpx.Client) -> None:
        """Whoever is forgotten stays so: nothing is sealed for them any more."""
        party = bank.party()
        approval = waits(shred(operator, party))
        approver.post(f"/v1/approvals/{approval}/approve", json={})
        with pytest.raises(errors.SubjectForgotten):
            bank.note(party)


class TestTheProof:
    def test_fails_to_read_the_forgotten_and_reads_another(
        self, bank: Bank, postgres: EmbeddedPostgres, tmp_path: Path, operator: httpx.Client, approver: httpx.Client
    ) -> None:
        """A backup of before, restored, with all keys of today: this subject can't be read, another can."""
        forgotten, other = bank.party(), bank.party()
        dump = tmp_path / "before.sql"
        _tool(
            "pg_dump",
            "--no-owner",
            "--no-privileges",
            f"--schema={bank.tenant.schema}",
            f"--file={dump}",
            bank.admin,
        )
        approval = waits(shred(operator, forgotten))
        assert approver.post(f"/v1/approvals/{approval}/approve", json={}).status_code == 200
        restored = create_database(postgres)
        try:
            _tool("psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}", restored)
            report = _verified(bank, forgotten, restored)
            assert (report["proven"], report["keys_left"]) == (True, 0), report
            assert {(each["column"], each["outcome"]) for each in report["values"]} == {
                (column, "forgotten") for column in ("text", "card", "sealed_profile", "body")
            }
            assert all(each["keys_tried"] > 0 for each in report["values"])
            assert {(each["column"], each["opened"]) for each in report["controls"]} >= {("text", True), ("card", True)}
            refuted = _verified(bank, other, restored, exit_code=1)
            assert (refuted["proven"], refuted["keys_left"]) == (False, 2)
            assert {each["outcome"] for each in refuted["values"]} == {"opened"}
        finally:
            drop_database(postgres, restored)

    def test_isnt_given_where_there_is_nothing_to_read(self, bank: Bank, postgres: EmbeddedPostgres) -> None:
        """An empty database proves nothing."""
        empty = create_database(postgres)
        try:
            assert _verified(bank, ids.new(Prefix.PARTY), empty, exit_code=1)["proven"] is False
        finally:
            drop_database(postgres, empty)

    def test_outlasts_a_lost_key_store_whatever_became_of_the_tenants(
        self, bank: Bank, operator: httpx.Client, approver: httpx.Client, tmp_path: Path
    ) -> None:
        """While one can't be read, nothing comes back; what is half made or half deleted keeps nothing away."""
        party, file = bank.party(), str(tmp_path / "keys.jsonl")
        assert bank.invoke("backup", file).exit_code == 0
        approval = waits(shred(operator, party))
        assert approver.post(f"/v1/approvals/{approval}/approve", json={}).status_code == 200
        store = bank.live.settings.key_store_url.reveal()  # type: ignore[union-attr]
        for table in ("purpose_keys", "subject_keys", "key_epochs", "local_tenant_keys", "forgotten_subjects"):
            query(store, f"DELETE FROM billfold_keys.{table}")  # noqa: S608
        tenants, mine = "billfold_platform.tenants", f"WHERE slug = '{SLUG}'"
        query(bank.admin, f"UPDATE {tenants} SET manifest = 'x' || manifest {mine}")  # noqa: S608
        refused = bank.invoke("restore", file)
        query(bank.admin, f"UPDATE {tenants} SET manifest = substring(manifest FROM 2) {mine}")  # noqa: S608
        assert isinstance(refused.exception, errors.TenantUnreadable)
        for state in ("provisioning", "deleting"):
            query(
                bank.admin,
                f"INSERT INTO {tenants} (id, slug, state, manifest, revision, created_at, updated_at) "  # noqa: S608
                f"SELECT gen_random_uuid(), '{state}', '{state}', manifest, 0, now(), now() FROM {tenants} {mine}",
            )
        done = bank.invoke("restore", file)
        query(bank.admin, f"DELETE FROM {tenants} WHERE slug IN ('provisioning', 'deleting')")  # noqa: S608
        assert done.exit_code == 0, done.exception
        with pytest.raises(errors.SubjectForgotten):
            bank.read(party)

    @pytest.mark.parametrize(
        ("restored", "said"),
        [
            ("postgresql://nobody:tulip@127.0.0.1:1/none", "doesn't answer"),
            ("{cluster}/there_is_none", "no database of that name"),
            ("mysql://nobody:tulip@127.0.0.1/none", "write it like"),
        ],
    )
    def test_says_what_is_wrong_with_the_backup(
        self, bank: Bank, monkeypatch: pytest.MonkeyPatch, restored: str, said: str
    ) -> None:
        """Named by the variable, as whoever has a password in it does, it is no mistake of ours and shows none."""
        named = restored.format(cluster=bank.admin.rpartition("/")[0])
        monkeypatch.setenv("BILLFOLD_RESTORED_URL", named)
        done = bank.invoke("verify-shredded", "--tenant", SLUG, "--party", ids.new(Prefix.PARTY))
        assert done.exception is not None
        failure = explain(done.exception)
        assert (failure.code, failure.exit_code) == ("backup_unreadable", Exit.UNAVAILABLE)
        assert said in failure.sentence
        assert "tulip" not in failure.sentence
        assert load_settings(os.environ)


def _tool(name: str, *args: str) -> None:
    major = int(os.environ.get("BILLFOLD_TEST_POSTGRES") or DEFAULT_MAJOR)
    subprocess.run([str(binaries(major) / name), *args], check=True, capture_output=True)


def _verified(bank: Bank, party: str, restored: str, *, exit_code: int = 0) -> dict[str, Any]:
    done = bank.invoke("verify-shredded", "--tenant", SLUG, "--party", party, "--restored", restored, "--json")
    assert done.exit_code == exit_code, (done.output, done.exception)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def maker(bank: Bank) -> Person:
    """Somebody with both roles, who can sign in."""
    person = a_person(bank.live, SLUG, realm="staff", roles=("operator", "approver"))
    enrol(person)
    return person


@pytest.fixture(scope="module")
def second(bank: Bank) -> Person:
    """Another one."""
    person = a_person(bank.live, SLUG, realm="staff", roles=("approver",))
    enrol(person)
    return person


def typed(person: Person) -> str:
    """Return what somebody types to show who they are."""
    return f"{person.password}\n{person.code()}\n"


class TestAtTheCommandLine:
    def test_two_people_destroy_a_partys_keys(self, bank: Bank, maker: Person, second: Person) -> None:
        """Each shows who they are; who has asked can't agree, whatever their roles, and the other one can."""
        party = bank.party()
        words = ["shred", "--tenant", SLUG, "--party", party, "--reason", "asked for it", "--as", maker.name, "--json"]
        asked = bank.invoke(*words, answers=typed(maker))
        assert asked.exit_code == 0, (asked.output, asked.exception)
        approval = json.loads(asked.stdout.splitlines()[-1])["approval_id"]
        approve = ["approve", approval, "--tenant", SLUG, "--json", "--as"]
        own = bank.invoke(*approve, maker.name, answers=typed(maker))
        assert isinstance(own.exception, errors.MakerMayNotDecide)
        assert bank.read(party)
        done = bank.invoke(*approve, second.name, answers=typed(second))
        assert done.exit_code == 0, (done.output, done.exception)
        decided = json.loads(done.stdout.splitlines()[-1])
        assert (decided["status"], decided["outcome_status"], decided["decided_by"]) == (
            "executed",
            200,
            second.user_id,
        )
        bank.live.run(bank.live.services.keys.evictions._look())
        with pytest.raises(errors.SubjectForgotten):
            bank.read(party)

    def test_what_else_waits_is_left_to_the_api(
        self, bank: Bank, second: Person, operator: httpx.Client, approver: httpx.Client
    ) -> None:
        """A command that can't carry something out doesn't decide on it, and it goes on waiting."""
        approval = waits(shred(operator, bank.party()))
        query(
            bank.admin,
            f"UPDATE {bank.tenant.schema}.approvals "  # noqa: S608
            "SET request = convert_to(replace(convert_from(request, 'UTF8'), 'shredSubject', 'other'), 'UTF8') "
            "WHERE id = $1",
            ids.decode(Prefix.APPROVAL, approval),
        )
        words = ["approve", approval, "--tenant", SLUG, "--as", second.name]
        assert isinstance(bank.invoke(*words, answers=typed(second)).exception, errors.NotFound)
        assert approver.get(f"/v1/approvals/{approval}").json()["status"] == "pending"

    def test_nobody_asks_without_the_role(self, bank: Bank, second: Person) -> None:
        """Who may only approve asks for nothing."""
        words = ["shred", "--tenant", SLUG, "--party", bank.party(), "--reason", "x", "--as", second.name]
        assert isinstance(bank.invoke(*words, answers=typed(second)).exception, errors.InsufficientScope)

    def test_two_operators_destroy_all_keys_of_a_tenant(self, bank: Bank, live: LiveServer) -> None:
        """The tenant must be suspended first; one operator alone gets nowhere, nor for one who is none any more."""
        slug, operators = "doomed_keys", [an_operator(live) for _ in range(2)]
        for each in operators:
            enrol(each)
        live.add_tenant(manifest(slug))
        tenant = live.run(live.services.registry.get(slug))
        live.run(live.services.keys.sealer(tenant))
        destroy = ["destroy", "--tenant", slug, "--reason", "left us", "--json", "--as", operators[0].name]
        early = bank.invoke(*destroy, answers=typed(operators[0]))
        assert isinstance(early.exception, errors.TenantStateRefuses)
        live.run(live.services.tenants.suspend(slug, reason="left us"))
        asked = bank.invoke(*destroy, answers=typed(operators[0]))
        assert asked.exit_code == 0, (asked.output, asked.exception)
        approve = ["approve", json.loads(asked.stdout.splitlines()[-1])["id"], "--platform", "--json", "--as"]
        for enabled, refusal in ((False, errors.MakerLacksPermission), (True, errors.MakerMayNotDecide)):
            let_in(operators[0], enabled=enabled)
            by = operators[int(not enabled)]
            assert isinstance(bank.invoke(*approve, by.name, answers=typed(by)).exception, refusal)
        count = "SELECT count(*) FROM key_epochs WHERE tenant_id = $1"
        assert live.run(live.services.keys.store.fetch(count, tenant.id))[0]["count"] == 1
        done = bank.invoke(*approve, operators[1].name, answers=typed(operators[1]))
        assert json.loads(done.stdout.splitlines()[-1])["state"] == "done", (done.output, done.exception)
        assert live.run(live.services.keys.store.fetch(count, tenant.id))[0]["count"] == 0
        named = bank.invoke(*destroy, "--removed-sandboxes", answers=typed(operators[0]))
        assert isinstance(named.exception, SystemExit), "one tenant, or all removed sandboxes"
        removed = ["destroy", "--removed-sandboxes", "--reason", "gone", "--as", operators[0].name]
        live.add_tenant(manifest("left_keys"))
        live.run(live.services.tenants.suspend("left_keys", reason="left us"))
        live.run(live.services.tenants.delete("left_keys", confirm="left_keys"))
        # Other tests may have removed some; once those are asked for there are none.
        bank.invoke(*removed, answers=typed(operators[0]))
        nothing = bank.invoke(*removed, answers=typed(operators[0]))
        assert isinstance(nothing.exception, errors.NotFound)
        assert "deleted tenants of which no destruction was asked for" in nothing.output
        listed = json.loads(bank.invoke("destructions", "--json").stdout)
        assert (slug, "done") in [(each["slug"], each["state"]) for each in listed]

    def test_what_is_left_of_deleted_tenants_is_shown(self, bank: Bank, live: LiveServer) -> None:
        """Nothing, where the keyring is all that keeps keys; of a tenant that was never deleted nothing is told."""
        live.add_tenant(manifest("gone_keys"))
        tenant = live.run(live.services.registry.get("gone_keys"))
        live.run(live.services.keys.sealer(tenant))
        live.run(live.services.tenants.suspend("gone_keys", reason="left us"))
        early = bank.invoke("verify-destroyed", "--tenant", "gone_keys")
        assert isinstance(early.exception, errors.UnknownTenant)
        live.run(live.services.tenants.delete("gone_keys", confirm="gone_keys"))
        told = bank.invoke("verify-destroyed", "--tenant", "gone_keys", "--json")
        assert told.exit_code == 0, (told.output, told.exception)
        (left,) = json.loads(told.stdout)
        assert (left["slug"], left["rows"], left["keys"], left["unknown"]) == ("gone_keys", 0, [], [])
        assert "gone_keys" in bank.invoke("verify-destroyed").stdout

    def test_status_rotation_and_rewrap_are_shown(self, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
        """As text and as JSON, and the audit knows who has rotated."""
        monkeypatch.setattr(commands, "GRACE_S", 0)
        bank.party()
        rotated = json.loads(bank.invoke("rotate", "--tenant", SLUG, "--reason", "drill", "--json").stdout)
        assert [each["domain"] for each in rotated] == ["data", "cards"]
        outcome = json.loads(bank.invoke("rewrap", "--tenant", SLUG, "--json").stdout)
        # The server's own background may have moved some before.
        assert [each["left"] for each in outcome] == [0, 0]
        shown = json.loads(bank.invoke("status", "--tenant", SLUG, "--json").stdout)
        assert [(each["domain"], each["awaiting_rewrap"]) for each in shown["domains"]] == [("data", 0), ("cards", 0)]
        text = bank.invoke("status", "--tenant", SLUG)
        assert (text.exit_code, "Forgotten subjects" in text.stdout) == (0, True)
        assert (shown["rotate_days"], "every 90 days" in text.stdout) == (90, True)
        with bank.live.client(SLUG) as client:
            records = client.get("/v1/audit-records", params={"action": "data_keys.rotated"}).json()["data"]
        assert {record["reason"] for record in records} == {"drill"}

    def test_the_inventory_says_where_keys_are_used(
        self, bank: Bank, operator: httpx.Client, approver: httpx.Client, tmp_path: Path
    ) -> None:
        """Every sealed column with its counts, and every key with what it has sealed, destroyed ones too."""
        party, forgotten = bank.party(), bank.party()
        approval = waits(shred(operator, forgotten))
        assert approver.post(f"/v1/approvals/{approval}/approve", json={}).status_code == 200
        file = tmp_path / "inventory.json"
        assert bank.invoke("export-inventory", "--tenant", SLUG, "--output", str(file)).stdout == ""
        found = json.loads(bank.invoke("export-inventory", "--tenant", SLUG, "--json").stdout)
        assert json.loads(file.read_bytes()) | {"made_at": found["made_at"]} == found
        columns = {f"{each['table']}.{each['column']}": each for each in found["columns"]}
        assert columns["notes.card"]["domain"] == "cards"
        assert columns["parties.sealed_profile"]["category"] is not None
        of_party = {each["domain"]: each["values"] for each in found["keys"] if each["party_id"] == party}
        assert of_party["cards"] == {"notes.card": 1}
        assert of_party["data"]["notes.text"] == 1
        assert any(each["forgotten_at"] is not None and each["values"] for each in found["keys"])


class TestRotatingOverHttp:
    def test_reaches_personal_data_alone(self, bank: Bank, operator: httpx.Client) -> None:
        """An API worker leaves the keys of cards alone, and says so to whoever asks for them."""
        bank.party()
        before = _numbers(operator.get("/v1/data-keys"))
        refused = operator.post("/v1/data-keys/rotate", json={"domain": "cards"})
        assert (refused.status_code, refused.json()["code"]) == (403, "feature_disabled")
        rotated = operator.post("/v1/data-keys/rotate", json={"reason": "drill"})
        assert _numbers(rotated) == {"data": before["data"] + 1, "cards": before["cards"]}


def _numbers(answer: httpx.Response) -> dict[str, int]:
    """Return the newest epoch's number by domain."""
    assert answer.status_code == 200, answer.text
    return {each["domain"]: max(epoch["number"] for epoch in each["epochs"]) for each in answer.json()["domains"]}


class TestDestroyingAllKeysOfATenant:
    def test_spares_one_that_serves_again(self, live: LiveServer) -> None:
        """Whoever agrees is refused where the tenant serves by then, and its keys stay."""
        tenant, asked = _asked_for(live, "spared_keys")
        assert _in_state(live, tenant, "active")
        with pytest.raises(errors.TenantStateRefuses):
            _approve(live, asked)
        assert live.run(live.services.keys.store.fetch(_EPOCHS, tenant.id))
        assert _in_state(live, tenant, "suspended")
        assert _approve(live, asked).state == "done"

    def test_lets_nobody_resume_it(self, live: LiveServer) -> None:
        """Neither while it waits for another operator, nor when it is done."""
        tenant, asked = _asked_for(live, "resumed_keys")
        with pytest.raises(errors.TenantStateRefuses):
            live.run(live.services.tenants.resume(tenant.slug, reason="back"))
        _approve(live, asked)
        with pytest.raises(errors.TenantStateRefuses):
            live.run(live.services.tenants.resume(tenant.slug, reason="back"))

    def test_that_was_refused_is_in_nobodys_way(self, live: LiveServer) -> None:
        """The tenant serves again."""
        tenant, asked = _asked_for(live, "refused_keys")

        async def reject() -> None:
            async with live.services.database.platform_tx() as tx:
                await destruction.reject(tx, _an_operator(), asked.id, now=live.services.clock.now())

        live.run(reject())
        live.run(live.services.tenants.resume(tenant.slug, reason="back"))


_EPOCHS = "SELECT id FROM key_epochs WHERE tenant_id = $1"


def _an_operator() -> Caller:
    return Caller(actor="operator:somebody", client_id=uuid4(), user_id=uuid4())


def _asked_for(live: LiveServer, slug: str) -> tuple[TenantRef, destruction.Destruction]:
    """Make a suspended tenant with keys, whose destruction one operator has asked for."""
    live.add_tenant(manifest(slug))
    tenant: TenantRef = live.run(live.services.registry.get(slug))
    live.run(live.services.keys.sealer(tenant))
    live.run(live.services.tenants.suspend(slug, reason="left us"))

    async def ask() -> destruction.Destruction:
        async with live.services.database.platform_tx() as tx:
            return await destruction.ask(
                tx, _an_operator(), tenant_id=tenant.id, slug=slug, reason="left us", now=live.services.clock.now()
            )

    asked: destruction.Destruction = live.run(ask())
    return tenant, asked


def _approve(live: LiveServer, asked: destruction.Destruction) -> destruction.Destruction:
    services = live.services
    now = services.clock.now()
    done: destruction.Destruction = live.run(
        destruction.approve(services.database, services.keys, _an_operator(), asked.id, now=now)
    )
    return done


def _in_state(live: LiveServer, tenant: TenantRef, state: str) -> bool:
    """Put a tenant into a state, as nobody but its row's owner can."""

    async def put() -> bool:
        async with live.services.database.platform_tx() as tx:
            changed: str = await tx.execute("UPDATE tenants SET state = $2 WHERE id = $1", tenant.id, state)
            return changed == "UPDATE 1"

    done: bool = live.run(put())
    return done


class TestDestroyedRows:
    def test_are_vacuumed_by_the_servers_own_login(self, bank: Bank) -> None:
        """From PostgreSQL 17 the login may, and the table's dead rows are gone."""
        live = bank.live

        async def vacuumed() -> bool:
            return await tidy(live.services.keys.store)

        assert live.run(vacuumed())
        seen = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'subject_keys'"
        version = query(bank.admin, "SHOW server_version_num")[0][0]
        if int(version) >= 170_000:
            assert query(bank.admin, seen)[0]["vacuum_count"] > 0
