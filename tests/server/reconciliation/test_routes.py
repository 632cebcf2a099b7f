"""Bank statements over HTTP (reconciliation.routes)."""

import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.live import LiveServer
from tests.server.reconciliation.statement_files import Entry, Plan, camt053, mt940
from tests.tenants import manifest

BYTES = "application/octet-stream"


@pytest.fixture
def client(live: LiveServer) -> Iterator[httpx.Client]:
    """Return a client of a tenant of the test's own."""
    slug = f"bank_{secrets.token_hex(4)}"
    live.add_tenant(manifest(slug, rate_limit_per_s=100_000, rate_limit_burst=1_000_000))
    with live.client(slug) as opened:
        yield opened


def send(client: httpx.Client, data: bytes, key: str | None = None, content_type: str = BYTES) -> httpx.Response:
    """Import a file."""
    headers = {"Content-Type": content_type, "Idempotency-Key": key or secrets.token_hex(16)}
    return client.post("/v1/statement-imports", content=data, headers=headers)


def listed(client: httpx.Client, **filters: str) -> list[dict[str, Any]]:
    """Return statement entries, newest first."""
    answer = client.get("/v1/statement-entries", params=filters)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


PLAN = Plan([Entry(500, name="Ada"), Entry(-200, name="Bob")], opening_minor=1_000)


class TestAnImportOverHttp:
    """An import over HTTP."""

    def test_is_created_and_found_again(self, client: httpx.Client) -> None:
        """201 with its place; it is in the list, and its entries are found by import and by outcome."""
        answer = send(client, camt053(PLAN))
        assert answer.status_code == 201
        made = answer.json()
        assert answer.headers["Location"].endswith(f"/v1/statement-imports/{made['id']}")
        assert client.get(f"/v1/statement-imports/{made['id']}").json() == made
        assert client.get("/v1/statement-imports").json() == {"data": [made], "next_cursor": None}
        again = send(client, camt053(PLAN)).json()
        assert [one["outcome"] for one in listed(client, statement_import_id=made["id"])] == ["suspense"] * 2
        assert [one["outcome"] for one in listed(client, statement_import_id=again["id"])] == ["duplicate"] * 2
        assert len(listed(client, outcome="suspense")) == 2
        assert len(listed(client)) == 4

    def test_is_replayed_under_its_key(self, client: httpx.Client) -> None:
        """The same key and file give the same bytes; another file under it is refused."""
        first = send(client, camt053(PLAN), "once")
        second = send(client, camt053(PLAN), "once")
        assert (second.content, second.headers["Idempotent-Replayed"]) == (first.content, "true")
        other = send(client, mt940(PLAN), "once")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")

    def test_of_a_broken_file_is_refused_with_line_and_reason(self, client: httpx.Client) -> None:
        """422 with the facts that a program needs, and nothing is there."""
        answer = send(client, camt053(PLAN)[:900])
        assert (answer.status_code, answer.json()["code"]) == (422, "statement_unreadable")
        assert answer.json()["facts"]["line"] > 0
        assert answer.json()["facts"]["reason"]
        assert client.get("/v1/statement-imports").json()["data"] == []

    def test_needs_a_key_and_bytes(self, client: httpx.Client) -> None:
        """Without a key it is 400, with another content type 415."""
        answer = client.post("/v1/statement-imports", content=b"x", headers={"Content-Type": BYTES})
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
        assert send(client, camt053(PLAN), content_type="application/xml").status_code == 415

    def test_pages_through_entries(self, client: httpx.Client) -> None:
        """A cursor leads to the older entries, and each comes once."""
        send(client, camt053(Plan([Entry(amount) for amount in range(1, 8)])))
        seen: list[int] = []
        cursor: dict[str, str] = {}
        while True:
            page = client.get("/v1/statement-entries", params={"limit": "3", **cursor}).json()
            seen += [one["amount_minor"] for one in page["data"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert sorted(seen) == list(range(1, 8))

    def test_is_closed_to_a_tenant_without_statements(self, live: LiveServer) -> None:
        """Where the manifest doesn't turn statements on, every operation is 403 with the feature's name."""
        slug = f"bank_{secrets.token_hex(4)}"
        live.add_tenant(manifest(slug, features=[]))
        with live.client(slug) as client:
            nothing = "ste_01m7w9tnzcejq9b78b81gh4nmw"
            order = {"wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw"}
            for answer in (
                send(client, camt053(PLAN)),
                client.get("/v1/statement-imports"),
                client.get("/v1/statement-imports/sti_01m7w9tnzcejq9b78b81gh4nmw"),
                client.post(
                    "/v1/statement-imports/sti_01m7w9tnzcejq9b78b81gh4nmw/reversal",
                    json={},
                    headers={"Idempotency-Key": "k"},
                ),
                client.get("/v1/statement-entries"),
                client.get(f"/v1/statement-entries/{nothing}"),
                client.post(f"/v1/statement-entries/{nothing}/assign", json=order, headers={"Idempotency-Key": "k"}),
            ):
                assert (answer.status_code, answer.json()["facts"]) == (403, {"feature": "statements"})


def take_back(client: httpx.Client, import_id: str, key: str | None = None) -> httpx.Response:
    """Take an import back as a whole."""
    headers = {"Idempotency-Key": key or secrets.token_hex(16)}
    return client.post(f"/v1/statement-imports/{import_id}/reversal", json={"reason": "wrong file"}, headers=headers)


class TestAReversalOverHttp:
    """Taking an import back over HTTP."""

    def test_is_told_by_answer_list_event_and_audit(self, client: httpx.Client) -> None:
        """The import says when, its entries that they were taken back; the file is new when it comes again."""
        made = send(client, camt053(PLAN)).json()
        done = take_back(client, made["id"], "once")
        assert done.status_code == 200, done.text
        assert {**done.json(), "reversed_at": None} == made
        assert done.json()["reversed_at"] is not None
        assert take_back(client, made["id"], "once").content == done.content
        assert client.get(f"/v1/statement-imports/{made['id']}").json() == done.json()
        told = [(one["outcome"], one["taken_back"]) for one in listed(client, statement_import_id=made["id"])]
        assert told == [("reversed", True)] * 2
        assert len(listed(client, outcome="reversed")) == 2
        assert listed(client, outcome="suspense") == []
        [event] = client.get("/v1/events", params={"type": "statement_import.reversed"}).json()["data"]
        assert event["data"] == done.json()
        [record] = client.get("/v1/audit-records", params={"action": "statement_import.reversed"}).json()["data"]
        assert (record["reason"], record["facts"]) == ("wrong file", {"statements": 1, "entries": 2})
        again = send(client, camt053(PLAN)).json()
        assert [one["outcome"] for one in listed(client, statement_import_id=again["id"])] == ["suspense"] * 2

    def test_names_what_is_in_the_way(self, client: httpx.Client) -> None:
        """409 with the later import; each fact is there, whether it says something or not."""
        made, later = (send(client, camt053(PLAN)).json()["id"] for _ in range(2))
        refused = take_back(client, made)
        assert (refused.status_code, refused.json()["code"]) == (409, "statement_import_not_reversible")
        assert refused.json()["facts"] == {
            "statement_import_id": made,
            "reason": "later_import",
            "later_statement_import_id": later,
            "statement_entry_id": None,
            "journal_entry_id": None,
        }
        assert take_back(client, "sti_01m7w9tnzcejq9b78b81gh4nmw").status_code == 404


class TestAnEntryOverHttp:
    """An entry over HTTP."""

    def test_is_assigned_and_shown(self, client: httpx.Client) -> None:
        """The answer is the entry as it is then; a repeat under the key is the same, a further one is 409."""
        send(client, camt053(PLAN))
        party = client.post("/v1/parties", json={"kind": "person", "name": "Ada"}).json()
        wallet = client.post("/v1/wallets", json={"party_id": party["id"]}).json()
        [waiting] = [one for one in listed(client, outcome="suspense") if one["amount_minor"] > 0]
        path = f"/v1/statement-entries/{waiting['id']}"
        assert client.get(path).json() == waiting
        order = {"wallet_id": wallet["id"]}
        done = client.post(f"{path}/assign", json=order, headers={"Idempotency-Key": "a"})
        assert (done.status_code, done.json()["outcome"]) == (200, "assigned")
        assert client.get(path).json() == done.json()
        assert client.post(f"{path}/assign", json=order, headers={"Idempotency-Key": "a"}).content == done.content
        refused = client.post(f"{path}/assign", json=order, headers={"Idempotency-Key": "b"})
        assert (refused.status_code, refused.json()["code"]) == (409, "statement_entry_not_in_suspense")
        shown = client.get(f"/v1/wallets/{wallet['id']}/statement").json()["data"]
        assert [(line["kind"], line["amount_minor"]) for line in shown] == [("statement_assignment", 500)]

    def test_is_assigned_to_the_top_up_that_it_shows(self, client: httpx.Client) -> None:
        """Answer, event and audit name the top-up; of another amount it is refused with what is still on its way."""
        send(client, camt053(PLAN))
        party = client.post("/v1/parties", json={"kind": "person", "name": "Ada"}).json()
        wallet = client.post("/v1/wallets", json={"party_id": party["id"]}).json()["id"]
        top_ups = [
            client.post(
                "/v1/top-ups",
                json={"wallet_id": wallet, "amount": {"amount_minor": minor, "currency": "EUR"}},
                headers={"Idempotency-Key": secrets.token_hex(16)},
            ).json()["id"]
            for minor in (499, 500)
        ]
        [waiting] = [one for one in listed(client, outcome="suspense") if one["amount_minor"] > 0]
        path = f"/v1/statement-entries/{waiting['id']}/assign"
        refused, done = (
            client.post(path, json={"top_up_id": each}, headers={"Idempotency-Key": secrets.token_hex(16)})
            for each in top_ups
        )
        assert (refused.status_code, refused.json()["code"]) == (409, "top_up_differs")
        assert refused.json()["facts"] == {"top_up_id": top_ups[0], "currency": "EUR", "remaining_minor": 499}
        assert (done.status_code, done.json()["top_up_id"], done.json()["wallet_id"]) == (200, top_ups[1], wallet)
        [event] = client.get("/v1/events", params={"type": "statement_entry.assigned"}).json()["data"]
        assert event["data"]["top_up_id"] == top_ups[1]
        [record] = client.get("/v1/audit-records", params={"action": "statement_entry.assigned"}).json()["data"]
        assert record["facts"] == {"top_up_id": top_ups[1]}

    def test_is_assigned_to_an_account_and_told_of(self, client: httpx.Client) -> None:
        """Answer, list, event and audit name the account; without exactly one of wallet and account it is refused."""
        send(client, camt053(PLAN))
        account = client.post("/v1/accounts", json={"code": "fees", "type": "expense", "currency": "EUR"}).json()["id"]
        [fee] = [one for one in listed(client, outcome="suspense") if one["amount_minor"] < 0]
        path = f"/v1/statement-entries/{fee['id']}/assign"
        for order in ({}, {"wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw", "account_id": account}):
            refused = client.post(path, json=order, headers={"Idempotency-Key": secrets.token_hex(16)})
            reason = "must name exactly one of wallet_id, account_id, withdrawal_id and top_up_id"
            told = [{"param": "body", "reason": reason}]
            assert (refused.status_code, refused.json()["violations"]) == (400, told)
        done = client.post(path, json={"account_id": account}, headers={"Idempotency-Key": "a"})
        assert (done.status_code, done.json()["account_id"], done.json()["wallet_id"]) == (200, account, None)
        assert listed(client, outcome="assigned") == [done.json()]
        [event] = client.get("/v1/events", params={"type": "statement_entry.assigned"}).json()["data"]
        assert (event["data"]["account_id"], event["data"]["wallet_id"]) == (account, None)
        [record] = client.get("/v1/audit-records", params={"action": "statement_entry.assigned"}).json()["data"]
        assert record["facts"] == {"account_id": account}

    def test_that_is_not_there_is_404(self, client: httpx.Client) -> None:
        """Imports and entries that don't exist are not found."""
        assert client.get("/v1/statement-imports/sti_01m7w9tnzcejq9b78b81gh4nmw").status_code == 404
        assert client.get("/v1/statement-entries/ste_01m7w9tnzcejq9b78b81gh4nmw").status_code == 404
