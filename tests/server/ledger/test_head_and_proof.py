"""Signed heads and proofs over HTTP, and ``billfold ledger`` on the command line."""

import json
import shlex
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from billfold import ids
from billfold.chain import ERA, Damage, Head, verify_export
from billfold.contract.ledger import Account, JournalEntry, JournalEntryProof, LedgerHead
from billfold.contract.oauth import JwkSet
from billfold.ids import Prefix
from billfold.proofs import InvalidProofError, verify_head, verify_proof
from billfold_server.app import open_services
from billfold_server.identity.tokens.access_tokens import key_id_of
from billfold_server.ledger import commands
from billfold_server.ledger.commands import ledger
from tests.live import LiveServer
from tests.tenants import manifest

BANK = "whole-books"


def invoke(live: LiveServer, *words: str, given: bytes | None = None) -> Result:
    """Call a command as ``billfold ledger`` does, which knows the address of the server that runs."""
    settings = msgspec.structs.replace(live.settings, public_url=live.url)
    return CliRunner().invoke(ledger, words, obj=partial(open_services, settings), input=given)


def keys_of(live: LiveServer, slug: str) -> JwkSet:
    """Return a tenant's public keys."""
    return msgspec.json.decode(httpx.get(f"{live.base(slug)}/.well-known/jwks.json").content, type=JwkSet)


def asked(client: httpx.Client, path: str, type_: Any) -> Any:
    """Return an answer."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=type_)


class Customer:
    """A client that moves money at a tenant."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        party = self._post("/v1/parties", {"kind": "person", "name": "Ada Lovelace"})
        self.wallet = self._post("/v1/wallets", {"party_id": party["id"]})["id"]

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(path, json=body, headers={"Idempotency-Key": ids.new(Prefix.REQUEST)})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def top_up(self, **facts: Any) -> str:
        """Fund the wallet, and return the journal entry's id."""
        body = {"wallet_id": self.wallet, "amount": {"amount_minor": 1250, "currency": "EUR"}, **facts}
        return str(self._post("/v1/top-ups", body)["journal_entry_id"])


@pytest.fixture(scope="module", autouse=True)
def bank(live: LiveServer) -> LiveServer:
    """Return the server with a bank whose books nobody else writes to, so that all of them hold."""
    live.add_tenant(manifest(BANK))
    return live


@pytest.fixture
def customer(bank: LiveServer) -> Iterator[Customer]:
    """Return a customer of the bank."""
    with bank.client(BANK) as client:
        yield Customer(client)


class TestTheHead:
    """The head."""

    def test_is_signed_by_the_tenant(self, live: LiveServer, customer: Customer) -> None:
        """It is verified by the tenant's JWKS, and stands for what has just been posted."""
        customer.top_up()
        before = asked(customer.client, "/v1/ledger/head", LedgerHead)
        customer.top_up()
        after = asked(customer.client, "/v1/ledger/head", LedgerHead)
        keys, issuer = keys_of(live, BANK), live.base(BANK)
        assert verify_head(after, keys, issuer=issuer) == Head(number=after.number, hash=bytes.fromhex(after.hash))
        assert (after.sequence, after.number) == (before.sequence + 1, before.number + 1)
        with pytest.raises(InvalidProofError):
            verify_head(after, keys_of(live, "beta"), issuer=live.base("beta"))

    def test_opens_nothing(self, live: LiveServer, customer: Customer) -> None:
        """Its signature isn't an access token, though the same key signs both."""
        jws = asked(customer.client, "/v1/ledger/head", LedgerHead).jws
        answer = httpx.get(f"{live.base('alpha')}/v1/accounts", headers={"Authorization": f"Bearer {jws}"})
        assert answer.status_code == 401
        with pytest.raises(Exception, match="valid"):
            key_id_of(jws)

    def test_is_for_who_may_read_the_ledger(self, live: LiveServer) -> None:
        """The scope is that of journal entries."""
        with live.client(BANK, ["wallets:read"]) as client:
            assert client.get("/v1/ledger/head").status_code == 403


class TestAProof:
    """A proof."""

    def test_shows_that_an_entry_is_in_the_ledger(self, live: LiveServer, customer: Customer) -> None:
        """The SDK verifies it by the public keys, and the entry's facts and text by what is committed to."""
        entry_id = customer.top_up(description="Pocket money")
        for _ in range(5):
            customer.top_up()
        entry = asked(customer.client, f"/v1/journal-entries/{entry_id}", JournalEntry)
        proof = asked(customer.client, f"/v1/journal-entries/{entry_id}/proof", JournalEntryProof)
        keys, issuer = keys_of(live, BANK), live.base(BANK)
        accounts = [asked(customer.client, f"/v1/accounts/{each.account_id}", Account) for each in entry.postings]
        proven = verify_proof(proof, keys, issuer=issuer, entry=entry, accounts=accounts)
        assert (proven.id, proven.kind, proven.sequence) == (entry_id, "top_up", entry.sequence)
        assert [posting.amount_minor for posting in proven.postings] == [1250, -1250]
        other = msgspec.structs.replace(entry, description="Rent")
        with pytest.raises(InvalidProofError) as refused:
            verify_proof(proof, keys, issuer=issuer, entry=other, accounts=accounts)
        assert refused.value.fact == "text"

    def test_is_there_for_entries_that_are_there(self, customer: Customer) -> None:
        """An entry that doesn't exist has none."""
        nothing = ids.new(Prefix.JOURNAL_ENTRY)
        assert customer.client.get(f"/v1/journal-entries/{nothing}/proof").status_code == 404

    def test_is_not_made_for_an_entry_that_was_edited(self, live: LiveServer) -> None:
        """Where the books were changed behind its back, the server fails rather than prove what isn't so."""
        live.add_tenant(manifest("damaged"))
        with live.client("damaged") as client:
            entry_id = Customer(client).top_up()
            edited = ids.decode(Prefix.JOURNAL_ENTRY, entry_id)
            as_owner(live, "damaged", f"UPDATE journal_entries SET kind = 'x' WHERE id = '{edited}'")  # noqa: S608
            assert client.get(f"/v1/journal-entries/{entry_id}/proof").status_code == 500
        done = invoke(live, "verify", "--tenant", "damaged", "--json")
        document = json.loads(done.stdout)
        assert (done.exit_code, document["ok"]) == (1, False)
        found = document["findings"][0]
        assert (found["damage"], found["record"]) == (Damage.EDITED, "journal_entry")
        assert found["id"] == entry_id, "what was found can be asked for"
        assert "edited" in invoke(live, "verify", "--tenant", "damaged").stdout
        refused = invoke(live, "record-terms", "--tenant", "damaged", "--reason", "upgrade", "--json")
        assert (refused.exit_code, str(edited) in json.loads(refused.stderr)["error"]["detail"]) == (1, True)

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM ledger_head",
            "ALTER TABLE ledger_head ALTER hash DROP NOT NULL; UPDATE ledger_head SET hash = NULL",
        ],
    )
    def test_is_not_made_where_the_head_is_gone(self, live: LiveServer, statement: str) -> None:
        """Every command says so and ends as it does with other damage, and the invariants miss the head, too."""
        slug = f"headless-{len(statement)}"
        live.add_tenant(manifest(slug))
        with live.client(slug) as client:
            entry_id = Customer(client).top_up()
            as_owner(live, slug, statement)
            assert client.get(f"/v1/journal-entries/{entry_id}/proof").status_code == 500
        done = invoke(live, "verify", "--tenant", slug, "--json")
        document = json.loads(done.stdout)
        assert (done.exit_code, document["ok"]) == (1, False)
        assert [(each["damage"], each["record"]) for each in document["findings"]] == [(Damage.MALFORMED, "head")]
        assert "chain_ends_at_the_head" in {each["invariant"] for each in document["breaches"]}
        for words in (["verify"], ["export"], ["head"], ["record-terms", "--reason", "upgrade"]):
            ended = invoke(live, words[0], "--tenant", slug, *words[1:])
            assert (ended.exit_code, "head" in ended.output) == (1, True), words


def as_owner(live: LiveServer, slug: str, statement: str) -> None:
    """Run SQL as the owner of a tenant's tables."""

    async def run() -> None:
        tenant = await live.services.registry.get(slug)
        assert live.settings.admin_database_url is not None
        connection = await asyncpg.connect(live.settings.admin_database_url.reveal())
        try:
            await connection.execute(f"SET ROLE {tenant.owner_role}; SET search_path TO {tenant.schema}; {statement}")
        finally:
            await connection.close()

    live.run(run())


class TestTheCommandLine:
    """The command line."""

    def test_shows_the_head_that_the_api_shows(self, live: LiveServer, customer: Customer, tmp_path: Path) -> None:
        """And verifies the books against one that was kept."""
        customer.top_up()
        shown = msgspec.json.decode(invoke(live, "head", "--tenant", BANK, "--json").stdout, type=LedgerHead)
        assert shown.hash == asked(customer.client, "/v1/ledger/head", LedgerHead).hash
        verify_head(shown, keys_of(live, BANK), issuer=live.base(BANK))
        assert f"{shown.number}:{shown.hash}" in invoke(live, "head", "--tenant", BANK).stdout
        customer.top_up()
        words = ("verify", "--tenant", BANK, "--json", "--trusted")
        right = invoke(live, *words, f"{shown.number}:{shown.hash}")
        assert (right.exit_code, json.loads(right.stdout)["ok"]) == (0, True)
        kept = tmp_path / "head.json"
        kept.write_text(invoke(live, "head", "--tenant", BANK, "--json").stdout)
        assert json.loads(invoke(live, *words[:-1], "--head", str(kept)).stdout)["ok"]
        wrong = invoke(live, *words, f"{shown.number}:{'11' * 32}")
        assert (wrong.exit_code, json.loads(wrong.stdout)["findings"][0]["link"]) == (1, shown.number)
        for strange in ("nonsense", f"-5:{'00' * 32}", f"{shown.number}:{shown.hash[:-2]}"):
            assert invoke(live, *words, strange).exit_code == 2

    def test_says_that_the_books_are_whole(self, live: LiveServer, customer: Customer) -> None:
        """In a sentence, with the head to write down."""
        customer.top_up()
        done = invoke(live, "verify", "--tenant", BANK)
        assert done.exit_code == 0, done.output
        assert asked(customer.client, "/v1/ledger/head", LedgerHead).hash in done.stdout
        assert "record-terms" not in done.stdout
        recorded = invoke(live, "record-terms", "--tenant", BANK, "--reason", "upgrade", "--json")
        assert json.loads(recorded.stdout) == {"wallets": 0, "accounts": 0}
        assert "0 wallets" in invoke(live, "record-terms", "--tenant", BANK, "--reason", "upgrade").stdout

    def test_says_how_what_isnt_recorded_is_recorded(
        self, live: LiveServer, customer: Customer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The command that is shown runs as pasted."""
        customer.top_up()
        monkeypatch.setattr(commands, "ERA", ERA + 1)
        shown = invoke(live, "verify", "--tenant", BANK).stdout.partition("billfold ledger ")[2]
        done = invoke(live, *shlex.split(shown.splitlines()[0]))
        assert (done.exit_code, shown.startswith("record-terms")) == (0, True), done.output

    def test_moves_a_ledger_to_another_tenant(self, live: LiveServer, customer: Customer, tmp_path: Path) -> None:
        """The export is a private file, the SDK verifies it, and the import has the same head."""
        customer.top_up(description="Pocket money")
        live.add_tenant(manifest("target"))
        path = tmp_path / "books.jsonl"
        path.touch(mode=0o644)
        assert invoke(live, "export", "--tenant", BANK, "--output", str(path)).exit_code == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert verify_export(path).ok
        assert invoke(live, "export", "--tenant", BANK).stdout_bytes == path.read_bytes()
        done = invoke(live, "import", "--tenant", "target", "--json", "-", given=path.read_bytes())
        assert done.exit_code == 0, done.output
        head = asked(customer.client, "/v1/ledger/head", LedgerHead)
        assert json.loads(done.stdout)["head"] == {
            "number": head.number,
            "hash": head.hash,
            "sequence": head.sequence,
        }
        again = invoke(live, "import", "--tenant", "target", "--json", str(path))
        assert (again.exit_code, json.loads(again.stderr)["error"]["code"]) == (1, "tenant_not_empty")
        assert json.loads(invoke(live, "verify", "--tenant", "target", "--json").stdout)["ok"]
        with live.client("target") as client:
            assert Customer(client).top_up()

    def test_says_how_many_keys_an_export_leaves_behind(self, live: LiveServer) -> None:
        """Answers that tell of people are sealed where they lie, and no key of theirs is in the export."""
        live.add_tenant(manifest("sealing"))
        with live.client("sealing") as client:
            for number in (1, 2):
                body = {"kind": "person", "name": "Ada Lovelace"}
                answer = client.post("/v1/parties", json=body, headers={"Idempotency-Key": f"sealed-{number}"})
                assert answer.status_code == 201
                exported = invoke(live, "export", "--tenant", "sealing")
                stay = "key stays behind: its answer is" if number == 1 else "keys stay behind: their answers are"
                assert exported.stderr.startswith(f"{number} idempotency {stay} sealed.")
                assert b"idempotency_key" not in exported.stdout_bytes
                assert verify_export(exported.stdout_bytes.splitlines()).ok

    def test_says_that_an_export_isnt_whole(self, live: LiveServer, tmp_path: Path) -> None:
        """A row that can't be read ends it, and is named; verification says the same. An export of before stays."""
        live.add_tenant(manifest("illegible"))
        with live.client("illegible") as client:
            body = {"kind": "person", "name": "Ada Lovelace"}
            assert client.post("/v1/parties", json=body, headers={"Idempotency-Key": "one"}).status_code == 201

        async def spoil() -> None:
            async with live.services.database.tx(await live.services.registry.get("illegible")) as tx:
                await tx.execute("UPDATE parties SET updated_at = 'infinity'")

        live.run(spoil())
        exported = invoke(live, "export", "--tenant", "illegible")
        assert (exported.exit_code, "since party" in exported.stderr) == (1, True)
        error = json.loads(invoke(live, "export", "--tenant", "illegible", "--json").stderr.splitlines()[-1])["error"]
        assert (error["code"], error["facts"]) == ("ledger_unreadable", {"tenant": "illegible", "record": "party"})
        path = tmp_path / "books.jsonl"
        path.write_bytes(b"yesterday's")
        for tenant in ("illegible", "mistyped"):
            assert invoke(live, "export", "--tenant", tenant, "--output", str(path)).exit_code == 1
        assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [(path.name, b"yesterday's")]
        verified = json.loads(invoke(live, "verify", "--tenant", "illegible", "--json").stdout)
        assert [(each["damage"], each["record"]) for each in verified["findings"]] == [("malformed", "party")]

    def test_names_what_is_wrong_with_an_export(self, live: LiveServer, customer: Customer, tmp_path: Path) -> None:
        """Nothing is imported, and the damaged record is named with its line."""
        customer.top_up()
        live.add_tenant(manifest("spared"))
        path = tmp_path / "books.jsonl"
        invoke(live, "export", "--tenant", BANK, "--output", str(path))
        path.write_bytes(path.read_bytes().replace(b'"amount_minor":1250', b'"amount_minor":1251'))
        refused = invoke(live, "import", "--tenant", "spared", "--json", str(path))
        error = json.loads(refused.stderr)["error"]
        damage = error["facts"]["finding"]["damage"]
        assert (error["exit_code"], error["code"], damage) == (refused.exit_code, "export_damaged", "edited")
        assert "is edited" in invoke(live, "import", "--tenant", "spared", str(path)).stderr
        verified = json.loads(invoke(live, "verify", "--tenant", "spared", "--json").stdout)
        assert (verified["ok"], verified["head"]["sequence"]) == (True, 0)
