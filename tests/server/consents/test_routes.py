"""Consents over HTTP and on the command line, as the bank's staff has them."""

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner, Result

from billfold import ids
from billfold.ids import Prefix
from billfold_server.app import open_services
from billfold_server.consents.commands import consents
from tests.live import LiveServer
from tests.server.consents.consenting import ask_live, give_live

SLUG = "alpha"


@pytest.fixture(scope="module")
def staff(live: LiveServer) -> Iterator[httpx.Client]:
    """Who may look at consents and end them."""
    with live.client(SLUG, ["consents:read", "consents:write", "events:read", "audit:read"]) as client:
        yield client


def order(client: httpx.Client, path: str, **body: Any) -> httpx.Response:
    """Post under a key of its own."""
    return client.post(path, json=body, headers={"Idempotency-Key": uuid4().hex})


class TestAConsent:
    def test_is_shown_with_history_and_evidence(self, live: LiveServer, staff: httpx.Client) -> None:
        """What was asked for and what the page said is opened; both steps are there."""
        shown = staff.get(f"/v1/consents/{give_live(live, SLUG)}").json()
        assert shown["request"]["Data"]["Permissions"] == ["ReadAccountsBasic", "ReadBalances"]
        assert [(each["event"], each["to_status"]) for each in shown["history"]] == [
            ("create", "AWAU"),
            ("authorise", "AUTH"),
        ]
        assert [each["shown"] for each in shown["evidence"]] == [{"title": "Allow it?"}]
        assert staff.get(f"/v1/consents/{ids.new(Prefix.CONSENT)}").status_code == 404

    def test_is_listed_by_what_is_asked(self, live: LiveServer, staff: httpx.Client) -> None:
        """Third party, status and kind narrow the list; its pages go on where they ended."""
        client_id = ids.uuid7()
        mine = [ask_live(live, SLUG, client_id) for _ in range(3)] + [give_live(live, SLUG, client_id)]
        query: dict[str, Any] = {"client_id": ids.encode(Prefix.CLIENT, client_id), "limit": 2}
        first = staff.get("/v1/consents", params=query).json()
        second = staff.get("/v1/consents", params=query | {"cursor": first["next_cursor"]}).json()
        assert [each["id"] for each in first["data"] + second["data"]] == mine[::-1]
        assert second["next_cursor"] is None
        given = staff.get("/v1/consents", params=query | {"status": "AUTH", "kind": "account_access"}).json()
        assert [each["id"] for each in given["data"]] == mine[3:]

    def test_is_revoked_once(self, live: LiveServer, staff: httpx.Client) -> None:
        """It ends with reason and side; a second time is refused, and that is written down."""
        consent_id = give_live(live, SLUG)
        ended = order(staff, f"/v1/consents/{consent_id}/revoke", reason="They called.").json()
        assert (ended["status"], ended["ended_by"], ended["status_reason"]) == ("CANC", "staff", "They called.")
        again = order(staff, f"/v1/consents/{consent_id}/revoke", reason="Again.")
        assert (again.status_code, again.json()["code"]) == (409, "consent_transition_refused")
        assert again.json()["facts"] == {"consent_status": "CANC", "event": "revoke", "consent_id": consent_id}
        last = staff.get(f"/v1/consents/{consent_id}").json()["history"][-1]
        assert (last["event"], last["to_status"], last["times"], last["reason"]) == ("revoke", None, 1, "Again.")
        assert order(staff, f"/v1/consents/{consent_id}/revoke", reason="Once more.").status_code == 409
        last = staff.get(f"/v1/consents/{consent_id}").json()["history"][-1]
        assert (last["to_status"], last["times"], last["reason"]) == (None, 2, "Once more.")
        entries = staff.get("/v1/audit-records", params={"object_id": consent_id}).json()["data"]
        refused = [each["reason"] for each in entries if each["action"] == "consent.step_refused"]
        assert refused == ["Again."]

    def test_rests_until_its_customer_comes_back(self, live: LiveServer, staff: httpx.Client) -> None:
        """It stays authorised, with a time that has come; one that nobody has authorised can't rest."""
        path = "/v1/consents/{}/require-reauthentication"
        resting = order(staff, path.format(give_live(live, SLUG)), reason="It looks like fraud.").json()
        assert (resting["status"], resting["status_reason"]) == ("AUTH", "It looks like fraud.")
        assert resting["reauthenticate_by"] == resting["status_updated_at"]
        waiting = ask_live(live, SLUG)
        refused = order(staff, path.format(waiting), reason="x")
        assert (refused.status_code, refused.json()["facts"]["event"]) == (409, "require_reauthentication")
        assert staff.get(f"/v1/consents/{waiting}").json()["history"][-1]["to_status"] is None

    def test_is_nobodys_without_the_scope(self, live: LiveServer) -> None:
        """Reading doesn't allow ending."""
        consent_id = ask_live(live, SLUG)
        with live.client(SLUG, ["consents:read"]) as reader:
            refused = order(reader, f"/v1/consents/{consent_id}/revoke", reason="x")
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


class TestAThirdParty:
    def test_is_kept_out_and_let_in_again(self, live: LiveServer, staff: httpx.Client) -> None:
        """Blocking it twice is blocking it once; what isn't blocked can't be let in."""
        client_id = live.add_client(SLUG, ["tenant:read"]).client_id
        for _ in range(2):
            blocked = order(staff, "/v1/blocked-third-parties", client_id=client_id, reason="No licence.")
            assert (blocked.status_code, blocked.json()["reason"]) == (201, "No licence.")
        listed = staff.get("/v1/blocked-third-parties", params={"limit": 100}).json()["data"]
        assert [each["client_id"] for each in listed].count(client_id) == 1
        assert staff.delete(f"/v1/blocked-third-parties/{client_id}").status_code == 204
        assert staff.delete(f"/v1/blocked-third-parties/{client_id}").status_code == 404
        stranger = order(staff, "/v1/blocked-third-parties", client_id=ids.new(Prefix.CLIENT), reason="x")
        assert stranger.status_code == 404


class TestAClientThatIsDisabled:
    def test_loses_its_consents(self, live: LiveServer, staff: httpx.Client) -> None:
        """What customers have allowed it ends, by a job, and doesn't come back when it is enabled."""
        client_id = live.add_client(SLUG, ["tenant:read"]).client_id
        consent_id = give_live(live, SLUG, ids.decode(Prefix.CLIENT, client_id))
        with live.client(SLUG, ["clients:write", "tenant:read"]) as owner:
            for what in ("disable", "enable"):
                assert owner.post(f"/v1/clients/{client_id}/{what}").status_code == 200
        until = time.monotonic() + 20
        while (shown := staff.get(f"/v1/consents/{consent_id}").json())["status"] != "CANC":
            assert time.monotonic() < until, shown
            time.sleep(0.02)
        assert shown["ended_by"] == "system"


_USAGE = 2


def invoke(live: LiveServer, *words: str) -> Result:
    """Call a command as ``billfold consents`` does."""
    return CliRunner().invoke(consents, [*words, "--tenant", SLUG, "--json"], obj=partial(open_services, live.settings))


class TestTheCommandLine:
    def test_does_what_staff_does(self, live: LiveServer) -> None:
        """A consent is listed, shown and revoked, a third party blocked and let in, and the evidence verified."""
        client = live.add_client(SLUG, ["tenant:read"]).client_id
        consent_id = give_live(live, SLUG, ids.decode(Prefix.CLIENT, client))
        assert [each["id"] for each in json.loads(invoke(live, "list", "--client", client).stdout)] == [consent_id]
        resting = json.loads(invoke(live, "require-reauthentication", consent_id, "--reason", "x").stdout)
        assert resting["reauthenticate_by"] == resting["status_updated_at"]
        assert json.loads(invoke(live, "revoke", consent_id, "--reason", "x").stdout)["status"] == "CANC"
        assert invoke(live, "revoke", consent_id, "--reason", "Too late.").exit_code != 0
        steps = json.loads(invoke(live, "show", consent_id).stdout)["history"]
        assert [each["to_status"] for each in steps] == ["AWAU", "AUTH", "AUTH", "CANC", None]
        assert steps[-1]["reason"] == "Too late."
        kept_out = json.loads(invoke(live, "block", client, "--reason", "x").stdout)
        assert kept_out["client_id"] == client
        assert kept_out in json.loads(invoke(live, "blocked").stdout)
        assert json.loads(invoke(live, "unblock", client).stdout) == {"client_id": client, "blocked": False}
        assert kept_out not in json.loads(invoke(live, "blocked").stdout)
        for words in ((), (client, "--organisation", "org"), (client, "--directory", "d"), ("--organisation", "a b")):
            assert invoke(live, "block", *words, "--reason", "x").exit_code == _USAGE
        # No directory is believed here, so whose name it is can't be left out, nor be anybody's.
        named = ("--organisation", "org")
        assert invoke(live, "block", *named, "--reason", "x").exit_code == _USAGE
        assert invoke(live, "block", *named, "--directory", "d", "--reason", "x").exit_code != 0
        verified = json.loads(invoke(live, "verify").stdout)
        assert verified["broken_at"] is None
        assert verified["links"] >= 1
