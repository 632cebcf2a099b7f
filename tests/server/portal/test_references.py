"""What is generated: errors and events are all there, each with what to do or an example, and can be linked to."""

import html
import re
import tomllib

import httpx
import msgspec
import pytest

from billfold import errors
from billfold import events as sdk_events
from billfold.contract.events import EVENTS
from billfold.contract.platform import Event
from billfold_server.http.problems import problem_type, status_of
from billfold_server.portal import happenings, problems
from tests.live import LiveServer

IDS = re.compile(r' id="([^"]+)"')


class TestTheErrors:
    def test_are_all_there(self, live: LiveServer) -> None:
        """Each code of the registry has an anchor, its title, its meaning and something to do."""
        page = httpx.get(f"{live.base('alpha')}/portal/errors")
        assert set(errors.ERRORS) <= set(IDS.findall(page.text))
        assert len(IDS.findall(page.text)) == len(set(IDS.findall(page.text)))
        for each in problems.entries():
            kind = errors.ERRORS[each.code]
            assert (each.status, each.title, each.type) == (status_of(kind), kind.title, problem_type(each.code))
            assert each.meaning.endswith(".")
            assert each.advice.endswith(".")
        assert {each.code for each in problems.entries()} == set(errors.ERRORS)

    def test_are_advised_on_by_codes_that_exist(self) -> None:
        """Nothing is said of a code or a status that there isn't."""
        said = tomllib.loads(problems._ADVICE.read_text(encoding="utf-8"))
        assert set(said["codes"]) <= set(errors.ERRORS)
        assert set(said["statuses"]) == {str(status_of(each)) for each in errors.ERRORS.values()}

    def test_say_which_facts_come_along(self) -> None:
        """What a program may read of an error stands there by its name."""
        told = {each.code: each.facts for each in problems.entries()}
        assert told["insufficient_funds"] == ("account_id", "available_minor", "currency", "required_minor")

    @pytest.mark.parametrize("text", ["wallet_frozen", "urn:billfold:problem:wallet_frozen", " Wallet_Frozen "])
    def test_are_found_by_what_a_problem_says(self, live: LiveServer, text: str) -> None:
        """Code and type lead to the anchor, from the form and from an address."""
        base = f"{live.base('alpha')}/portal/errors"
        answer = httpx.get(base, params={"code": text})
        assert (answer.status_code, answer.headers["location"]) == (303, "/t/alpha/portal/errors#wallet_frozen")
        if " " not in text:
            assert httpx.get(f"{base}/{text}").headers["location"] == "/t/alpha/portal/errors#wallet_frozen"

    def test_that_there_arent_are_said_not_to_be(self, live: LiveServer) -> None:
        """The page says so, and shows what was typed as text."""
        page = httpx.get(f"{live.base('alpha')}/portal/errors", params={"code": "<b>nothing"})
        assert (page.status_code, 'role="alert"' in page.text) == (200, True)
        assert html.escape("<b>nothing") in page.text
        assert "<b>nothing" not in page.text
        assert httpx.get(f"{live.base('alpha')}/portal/errors/nothing").status_code == 404


class TestTheEvents:
    def test_are_all_there(self, live: LiveServer) -> None:
        """Each type of the registry has an anchor, and what it says is told."""
        page = httpx.get(f"{live.base('alpha')}/portal/events")
        assert set(EVENTS) <= set(IDS.findall(page.text))
        assert len(IDS.findall(page.text)) == len(set(IDS.findall(page.text)))
        assert [each.name for each in happenings.entries()] == sorted(EVENTS)
        assert all(each.about in html.unescape(page.text) for each in EVENTS.values())

    @pytest.mark.parametrize("entry", happenings.entries(), ids=lambda each: each.name)
    def test_have_an_example_that_is_one(self, entry: happenings.Entry) -> None:
        """It is a whole event, with data of its type, which the SDK reads under the name that the page gives."""
        event = msgspec.json.decode(entry.example, type=Event)
        kind = getattr(sdk_events, entry.constant)
        data = sdk_events.data_of(event, kind)
        assert (event.type, event.version) == (kind.name, kind.version)
        assert type(msgspec.json.decode(msgspec.json.encode(event.data), type=kind.data)).__name__ == entry.data
        assert data is not None
        assert not isinstance(sdk_events.read(event), sdk_events.UnknownData)
        # What a type says no more of than that it is a text says something all the same.
        assert '"text"' not in entry.example


class TestTheChanges:
    def test_are_those_of_the_contract(self, live: LiveServer) -> None:
        """The portal and the reference's page of changes say the same."""
        base = live.base("alpha")
        portal, docs = httpx.get(f"{base}/portal/changes"), httpx.get(f"{base}/docs/changes")
        told = [set(re.findall(r"<h2[^>]*>([^<]+)</h2>", page.text)) for page in (portal, docs)]
        assert told[0] == told[1]
        assert "2026-11-20" in told[0]
