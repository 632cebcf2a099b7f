"""What isn't kept any longer, and what is known by a new key."""

import asyncio
import contextvars
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx
import msgspec
import pytest

from billfold import errors, ids
from billfold.clock import SystemClock
from billfold.contract.tokens import CreateVaultToken, PersonalValue, VaultTokenCreated, VaultTokenKind
from billfold.ids import Prefix
from billfold_server.db.jobs import Job, JobRun, NewJob, enqueue
from billfold_server.db.personal import Erasing, Exported, Subject
from billfold_server.decryptor.service import Decryptor, Outgoing
from billfold_server.decryptor.values import purpose_of
from billfold_server.http.routing import Call
from billfold_server.keys.service import open_keys
from billfold_server.parties import service as parties
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import TenantRef
from billfold_server.tokens import retaining, service, taking, vault
from billfold_server.tokens.subjects import SUBJECTS
from billfold_server.tokens.tasks import REINDEX, RETAIN
from tests.callers import CALLER
from tests.live import LiveServer
from tests.server.tokens.banks import IBAN, TOKENIZATION, Bank
from tests.tenants import manifest


@pytest.fixture(scope="module")
def keeping(live: LiveServer) -> str:
    """A tenant that keeps tokens for ten days, and ended ones for one."""
    live.add_tenant(
        manifest("keeping", tokenization={**TOKENIZATION, "retention": {"unused_days": 10, "expired_days": 1}})
    )
    return "keeping"


def run_job(live: LiveServer, slug: str, kind: str) -> None:
    """Let the server do a job, and wait until it is done."""

    async def run() -> None:
        database, tenant = live.services.database, await live.services.registry.get(slug)
        job_id = ids.uuid7()
        async with database.tx(tenant) as tx:
            await enqueue(tx, NewJob(id=job_id, kind=kind, due_at=await tenant_now(tx)))
        while True:
            async with database.tx(tenant) as tx:
                row = await tx.fetchrow("SELECT last_error, status FROM jobs WHERE id = $1", job_id)
            if row is None:
                return
            assert row["last_error"] is None, row["last_error"]
            await asyncio.sleep(0.02)

    live.run(run())


class TestWhatIsNotKept:
    def test_is_deleted_by_itself(self, live: LiveServer, keeping: str) -> None:
        """Expired, used up and unused tokens go with their values, each told and recorded; the others stay."""
        with live.client(keeping) as client:
            bank = Bank(live, client, live.services.decryptor)
            tokens = {
                name: bank.account(IBAN, single_use=name == "used") for name in ("used", "expired", "unused", "kept")
            }
            aged = {
                "used": "used_at = now() - interval '2 days', claim = id",
                "expired": "expires_at = now() - interval '2 days'",
                "unused": "last_used_at = now() - interval '11 days'",
            }
            for name, change in aged.items():
                token_id = ids.decode(Prefix.VAULT_TOKEN, tokens[name]["id"])
                bank.sql(f"UPDATE vault_tokens SET {change} WHERE id = $1", token_id, slug=keeping)  # noqa: S608
            run_job(live, keeping, RETAIN)
            left = client.get("/v1/vault-tokens").json()["data"]
            assert [each["id"] for each in left] == [tokens["kept"]["id"]]
            why = {name: bank.records(token["id"])[0]["facts"].get("why") for name, token in tokens.items()}
            assert why == {"used": "expired", "expired": "expired", "unused": "unused", "kept": None}
            events = client.get("/v1/events", params={"type": "vault_token.deleted"}).json()["data"]
            ours = {token["id"] for token in tokens.values()}
            assert {each["object_id"] for each in events} & ours == {tokens[name]["id"] for name in aged}
            # The value is known for as long as one token stands for it.
            assert len(bank.sql("SELECT id FROM vault_fingerprints", slug=keeping)) == 1
            client.delete(f"/v1/vault-tokens/{tokens['kept']['id']}")
            assert bank.sql("SELECT id FROM vault_fingerprints", slug=keeping) == []

    def test_is_nothing_that_was_opened_lately(self, live: LiveServer, keeping: str) -> None:
        """Use is noted once a day, and what was opened again on that day is kept for as long after that."""
        with live.client(keeping) as client:
            bank = Bank(live, client, live.services.decryptor)
            token = bank.account(IBAN)
            token_id = ids.decode(Prefix.VAULT_TOKEN, token["id"])

            def pass_time(span: str) -> None:
                sql = "UPDATE vault_tokens SET last_used_at = last_used_at - $2::text::interval WHERE id = $1"
                bank.sql(sql, token_id, span, slug=keeping)

            def is_kept() -> bool:
                run_job(live, keeping, RETAIN)
                return client.get(f"/v1/vault-tokens/{token['id']}").status_code == 200

            for hours in ("23 hours", "218 hours"):
                assert bank.told(token["id"], purpose="payout")[0]["status"] == 200
                pass_time(hours)
            # It was opened nine days and two hours ago.
            assert is_kept()
            pass_time("23 hours")
            assert not is_kept()

    def test_is_nothing_that_was_given_out_anew(self, live: LiveServer, keeping: str) -> None:
        """Who brings a value again and gets its old token may count on it, though nobody has opened it for long."""
        with live.client(keeping) as client:
            bank = Bank(live, client, live.services.decryptor)
            token = bank.account(IBAN)
            token_id = ids.decode(Prefix.VAULT_TOKEN, token["id"])
            sql = "UPDATE vault_tokens SET last_used_at = now() - interval '12 days' WHERE id = $1"
            bank.sql(sql, token_id, slug=keeping)
            again = bank.account(IBAN, dedup="reuse")
            assert (again["id"], again["reused"]) == (token["id"], True)
            run_job(live, keeping, RETAIN)
            assert client.get(f"/v1/vault-tokens/{token['id']}").status_code == 200
            client.delete(f"/v1/vault-tokens/{token['id']}")


class TestWhatIsForgotten:
    def test_leaves_nothing_but_that_it_was(self, live: LiveServer, bank: Bank) -> None:
        """Value, mask, metadata and fingerprint are gone; the token answers 410 wherever it is named."""
        party = bank.party()
        token = bank.personal("10000000002", party_id=party, metadata={"note": "x"})
        other = bank.personal("10000000003")

        async def forget() -> int:
            tenant = await live.services.registry.get("alpha")
            async with live.services.database.tx(tenant) as tx:
                now, party_id = await tenant_now(tx), ids.decode(Prefix.PARTY, party)
                return await service.forget(tx, CALLER, party_id, now=now, reason="asked for")

        assert live.run(forget()) == 1
        shown = bank.client.get(f"/v1/vault-tokens/{token['id']}")
        changed = bank.client.patch(f"/v1/vault-tokens/{token['id']}", json={})
        told = bank.told(token["id"], other["id"], purpose="payout")
        assert [shown.status_code, changed.status_code, *(each["status"] for each in told)] == [410, 410, 410, 200]
        assert shown.json()["code"] == "token_forgotten"
        assert bank.client.get("/v1/vault-tokens", params={"party_id": party}).json()["data"] == []
        value = ids.decode(Prefix.FINGERPRINT, token["fingerprint"])
        assert bank.sql("SELECT FROM vault_fingerprints WHERE id = $1", value) == []
        actions = [each["action"] for each in bank.records(token["id"])]
        assert actions == ["vault_token.refused", "vault_token.forgotten", "vault_token.created"]


class TestOneWhoIsForgottenMeanwhile:
    def test_leaves_no_value_behind(self, live: LiveServer, bank: Bank) -> None:
        """What was sealed before somebody was forgotten, and is written after that, isn't; others' values are."""
        party, other = (ids.decode(Prefix.PARTY, bank.party()) for _ in range(2))
        items = [
            CreateVaultToken(
                kind=VaultTokenKind.PERSONAL,
                personal=PersonalValue(type="tax_id", value="10000000009"),
                party_id=ids.encode(Prefix.PARTY, each),
            )
            for each in (party, other)
        ]

        async def run() -> list[VaultTokenCreated | errors.ProblemError]:
            tenant = await live.services.registry.get("alpha")
            call = call_of(live, tenant)
            verdicts = await taking.seal(call, items)
            outside = contextvars.copy_context()
            async with call.tx() as tx:
                await parties.lock_party(tx, party)
                assert await parties.erase_party(tx, party, await tenant_now(tx))
                # A writer waits for the one who erases, and then finds the party forgotten.
                written = asyncio.create_task(write(call, verdicts), context=outside)
                done, _ = await asyncio.wait([written], timeout=0.2)
                assert not done
            return await written

        async def write(
            call: Call, verdicts: Sequence[taking.Verdict]
        ) -> list[VaultTokenCreated | errors.ProblemError]:
            async with call.tx() as tx:
                return await taking.keep(tx, CALLER, verdicts, fingerprint=True)

        refused, kept = live.run(run())
        assert isinstance(refused, errors.NotFound)
        assert isinstance(kept, VaultTokenCreated)
        assert bank.sql("SELECT FROM vault_tokens WHERE party_id = $1", party) == []


class TestANewKeyOfFingerprints:
    def test_finds_what_was_taken_in_before(self, live: LiveServer, bank: Bank) -> None:
        """Each value keeps its fingerprint and is found by both versions, though the first ones can't be read."""
        texts = {bank.personal(text)["fingerprint"]: text for text in ("10000000001", "10000000007")}
        value = max(ids.decode(Prefix.FINGERPRINT, each) for each in texts)
        fingerprint = ids.encode(Prefix.FINGERPRINT, value)
        # Done twice, it undoes itself.
        damage = (
            "UPDATE vault_tokens SET value = set_byte(value, 9, get_byte(value, 9) # 255) WHERE fingerprint_id < $1"
        )
        bank.sql(damage, value)
        rotate(live, "personal", "tax_id")
        deadline = time.monotonic() + 20
        versions: set[int] = set()
        while versions != {1, 2} and time.monotonic() < deadline:
            run_job(live, "alpha", REINDEX)
            rows = bank.sql("SELECT version FROM vault_fingerprints WHERE id = $1", value)
            versions = {row["version"] for row in rows}
            time.sleep(0.1)
        bank.sql(damage, value)
        assert versions == {1, 2}
        assert bank.personal(texts[fingerprint])["fingerprint"] == fingerprint
        body = {"kind": "personal", "personal": {"type": "tax_id", "value": texts[fingerprint]}}
        assert found(bank.client, body) == fingerprint

    def test_makes_nothing_known_of_who_is_forgotten_meanwhile(self, live: LiveServer, bank: Bank) -> None:
        """A digest that was made before somebody was forgotten, and would be written after that, isn't."""
        party = bank.party()
        token = bank.personal("10000000023", party_id=party)
        value, token_id = (
            ids.decode(Prefix.FINGERPRINT, token["fingerprint"]),
            ids.decode(Prefix.VAULT_TOKEN, token["id"]),
        )
        rotate(live, "personal", "tax_id")
        forgotten: list[int] = []

        async def reindex() -> None:
            tenant, database = await live.services.registry.get("alpha"), live.services.database
            decryptor = vault.decryptor_of(live.services)

            class Forgetting:
                """Somebody is forgotten while digests are made."""

                asked = 0

                async def refingerprint(self, tenant: TenantRef, sealed: Sequence[Outgoing]) -> Any:
                    made = await decryptor.refingerprint(tenant, sealed)
                    self.asked += 1
                    # What is asked first is only which versions there are.
                    if self.asked > 1 and token_id in {each.token_id for each in sealed}:
                        async with database.tx(tenant) as tx:
                            now, party_id = await tenant_now(tx), ids.decode(Prefix.PARTY, party)
                            forgotten.append(await service.forget(tx, CALLER, party_id, now=now))
                    return made

            job = Job(
                id=ids.uuid7(), kind=REINDEX, due_at=SystemClock().now(), payload=b"{}", attempt=1, token=ids.uuid7()
            )
            await retaining.reindex(JobRun(database, tenant, job), cast("Decryptor", Forgetting()))

        deadline = time.monotonic() + 20
        while not forgotten and time.monotonic() < deadline:
            live.run(reindex())
        assert forgotten == [1]
        assert bank.sql("SELECT version FROM vault_fingerprints WHERE id = $1", value) == []


def found(client: httpx.Client, body: dict[str, Any]) -> str:
    """Search, and return the fingerprint that was found."""
    return str(client.post("/v1/vault-tokens/search", json=body).json()["fingerprint"])


def rotate(live: LiveServer, kind: Any, personal_type: str) -> None:
    """Give a purpose a new key, as an operator does."""

    async def run() -> None:
        keys = open_keys(live.services.settings, live.services.keyring, domain="cards")
        try:
            await keys.rotate_purpose(await live.services.registry.get("alpha"), purpose_of(kind, personal_type))
        finally:
            await keys.close()

    live.run(run())


class TestAPersonWhoAsks:
    def test_is_told_of_every_token(self, live: LiveServer, bank: Bank) -> None:
        """Accounts and other values as they are, a card by what may be shown; each once, page by page."""
        party = bank.party()
        made = [bank.account(party_id=party), bank.card(party_id=party), bank.personal(party_id=party)]
        told = exported(live, party, 0)
        assert [each["id"] for each in told] == [each["id"] for each in made]
        assert (told[0]["value"]["iban"], told[2]["value"]) == (IBAN, "12345678901")
        assert (told[1]["value"], told[1]["card"]) == (None, made[1]["card"])

    def test_is_told_of_card_sessions_until_forgotten(self, live: LiveServer, bank: Bank) -> None:
        """Each once, page by page, with the metadata; erasing the person deletes theirs and nobody else's."""
        party, other = bank.party(), bank.party()
        made = [bank.post("/v1/card-sessions", {"party_id": party, "metadata": {"n": n}}).json() for n in "123"]
        theirs = bank.post("/v1/card-sessions", {"party_id": other}).json()
        told = exported(live, party, 1)
        assert sorted((each["id"], each["metadata"]["n"]) for each in told) == sorted(
            (each["id"], each["metadata"]["n"]) for each in made
        )

        async def erase() -> Mapping[str, int]:
            tenant = await live.services.registry.get("alpha")
            async with live.services.database.tx(tenant) as tx:
                now = await tenant_now(tx)
                subject = Subject(party_id=ids.decode(Prefix.PARTY, party))
                assert SUBJECTS.erase is not None
                return await SUBJECTS.erase(
                    tx, Erasing(subject=subject, caller=CALLER, reason="asked for", now=now, real_now=now)
                )

        assert live.run(erase()) == {"vault_tokens": 0, "card_sessions": 3}
        statuses = [bank.client.get(f"/v1/card-sessions/{each['id']}").status_code for each in (*made, theirs)]
        assert statuses == [404, 404, 404, 200]


def call_of(live: LiveServer, tenant: TenantRef, *scopes: str) -> Call:
    """Return a request of the tenant's, with scopes."""
    caller = msgspec.structs.replace(CALLER, scopes=frozenset(scopes))
    return Call(
        services=live.services, caller=caller, request_id="", method="", path="", headers={}, base_url="",
        tenant_or_none=tenant,
    )  # fmt: skip


def exported(live: LiveServer, party: str, part: int) -> list[dict[str, Any]]:
    """Return what one part of an export tells of a party, by pages of two."""

    async def export() -> list[Exported]:
        tenant = await live.services.registry.get("alpha")
        call = call_of(live, tenant, "tokens:detokenize")
        subject = Subject(party_id=ids.decode(Prefix.PARTY, party))
        found = list(await SUBJECTS.export[part](call, subject, None, 2))
        return found + list(await SUBJECTS.export[part](call, subject, found[-1].key, 2))

    return [dict(each.data) for each in live.run(export())]
