"""The portal's pages of what waits for a second person: who sees it, who decides on it, and what comes of that."""

import re
from collections.abc import Iterator

import pytest

from billfold import errors
from billfold_server.portal.pages import ROOT
from tests.live import LiveServer
from tests.server.people.persons import Browser, Person
from tests.server.portal.visits import at, call_of
from tests.server.portal.waiting import Bank, opened, somebody

SLUG = "two_by_page"
HERE = f"{ROOT}/approvals"


@pytest.fixture(scope="module")
def bank(live: LiveServer) -> Iterator[Bank]:
    """That tenant."""
    with opened(live, SLUG) as bank:
        yield bank


@pytest.fixture(scope="module")
def approver(live: LiveServer, bank: Bank) -> Person:
    """Who decides."""
    assert bank
    return somebody(live, SLUG, "approver")


@pytest.fixture(scope="module")
def browser(approver: Person) -> Browser:
    """Their browser, signed in."""
    return at(approver)


async def asked_by(person: Person, wallet: str) -> str:
    """Let one of the staff order a large withdrawal, and return the id of its approval."""
    call = await call_of(person, "/v1/withdrawals", "transfers:write")
    body = {"wallet_id": wallet, "amount": {"amount_minor": 900, "currency": "EUR"}}
    with pytest.raises(errors.ApprovalRequired) as waiting:
        await person.live.services.approvals.ask(call, "createWithdrawal", {}, body)
    return waiting.value.approval_id


def csrf_of(browser: Browser) -> str:
    """Return the token that forms of this visit have; the one to sign out is on every page."""
    return str(re.findall(r'name="csrf" value="([^"]+)"', browser.get(HERE).text)[0])


class TestAnApprover:
    def test_agrees_to_what_they_have_seen(self, bank: Bank, approver: Person, browser: Browser) -> None:
        """It is listed with what it would do and who has asked; then it is done, and says so."""
        before, approval_id = bank.balance(), bank.withdraw()
        path = f"{HERE}/{approval_id}"
        assert f'href="/t/{SLUG}{path}"' in browser.get(HERE).text
        shown = browser.get(path)
        assert shown.headers["cache-control"] == "no-store"
        asked_by = bank.client.get(f"/v1/approvals/{approval_id}").json()["requested_by"]
        for told in (
            asked_by,
            "createWithdrawal",
            bank.wallet,
            "&#34;amount_minor&#34;: 900",
            "EUR\N{NO-BREAK SPACE}9.00",
        ):
            assert told in shown.text, told
        done = browser.submit(shown, f"{path}/approve", reason="Seen <the> invoice")
        assert done.headers["location"] == f"/t/{SLUG}{path}?notice=executed"
        assert bank.balance() == before - 900
        decided = bank.client.get(f"/v1/approvals/{approval_id}").json()
        assert (decided["status"], decided["decided_by"], decided["reason"]) == (
            "executed",
            approver.user_id,
            "Seen <the> invoice",
        )
        after = browser.get(f"{path}?notice=executed").text
        assert "Seen &lt;the&gt; invoice" in after
        assert "was carried out" in after
        assert 'name="reason"' not in after
        assert path not in browser.get(HERE).text
        assert path in browser.get(f"{HERE}?which=all").text

    def test_is_told_where_nothing_came_of_it(self, bank: Bank, browser: Browser) -> None:
        """What was refused when it was tried isn't said to be done: not at once, not later, and not in the list."""
        before = bank.balance()
        path = f"{HERE}/{bank.withdraw(before + 1)}"
        done = browser.submit(browser.get(path), f"{path}/approve", reason="")
        told = [browser.get(each).text for each in (done.headers["location"].removeprefix(f"/t/{SLUG}"), path)]
        told.append(browser.get(f"{HERE}?which=all").text)
        for page in told:
            assert "approved, but not done" in page
            assert "was carried out" not in page
        assert "insufficient_funds" in told[0]
        assert bank.balance() == before

    def test_rejects_it_and_nothing_is_done(self, bank: Bank, browser: Browser) -> None:
        """By the other button of the same form; a second decision is told that it is too late."""
        before, approval_id = bank.balance(), bank.withdraw()
        path = f"{HERE}/{approval_id}"
        assert f'formaction="/t/{SLUG}{path}/reject"' in browser.get(path).text
        form = {"csrf": csrf_of(browser), "reason": ""}
        rejected = browser.post(f"{path}/reject", data=form)
        assert rejected.headers["location"] == f"/t/{SLUG}{path}?notice=rejected"
        late = browser.post(f"{path}/approve", data=form)
        assert (late.status_code, "was decided on meanwhile" in late.text) == (409, True)
        assert bank.balance() == before

    def test_gives_a_reason_that_can_be_kept(self, bank: Bank, browser: Browser) -> None:
        """One that is too long comes back with what was typed, and nothing is decided."""
        path = f"{HERE}/{bank.withdraw()}"
        answer = browser.submit(browser.get(path), f"{path}/approve", reason="x" * 2001)
        assert (answer.status_code, "reason is too long" in answer.text) == (409, True)
        assert 'name="reason"' in answer.text

    def test_turns_the_pages_of_a_long_list(self, bank: Bank, browser: Browser) -> None:
        """A page has 25; the next one follows by a link."""
        asked = {bank.withdraw() for _ in range(26)}
        found, page = set[str](), browser.get(HERE)
        for _ in range(5):
            found.update(re.findall(r"approvals/(apr_[a-z0-9]+)", page.text))
            if not (more := re.findall(rf'href="(/t/{SLUG}{HERE}\?cursor=[^"]+)" rel="next"', page.text)):
                break
            page = browser.get(more[0].removeprefix(f"/t/{SLUG}"))
        assert asked <= found

    def test_finds_no_other_and_decides_by_a_form_of_this_visit_alone(self, bank: Bank, browser: Browser) -> None:
        """What isn't there isn't shown, and a form without the visit's token does nothing."""
        assert browser.get(f"{HERE}/apr_{'0' * 26}").status_code == 404
        path = f"{HERE}/{bank.withdraw()}"
        assert browser.post(f"{path}/approve", data={"reason": ""}).status_code == 403
        assert "Can be decided on until" in browser.get(path).text


class TestWhoHasAsked:
    def test_does_not_decide(self, live: LiveServer, bank: Bank) -> None:
        """Who asks and may decide as well sees that somebody else has to, whatever form they send."""
        both = somebody(live, SLUG, "approver", "operator")
        browser, path = at(both), f"{HERE}/{live.run(asked_by(both, bank.wallet))}"
        page = browser.get(path)
        assert "Ada Lovelace" in page.text
        assert "somebody else decides" in page.text
        assert 'name="reason"' not in page.text
        refused = browser.post(f"{path}/approve", data={"csrf": csrf_of(browser), "reason": ""})
        assert (refused.status_code, "nor who has made the program" in refused.text) == (409, True)


class TestWhoMayNotDecide:
    def test_sees_what_waits(self, live: LiveServer, bank: Bank) -> None:
        """An auditor reads it, with no button; who may not read it isn't shown that there is such a page."""
        path = f"{HERE}/{bank.withdraw()}"
        auditor = at(somebody(live, SLUG, "auditor"))
        assert 'name="reason"' not in auditor.get(path).text
        assert auditor.post(f"{path}/approve", data={"csrf": csrf_of(auditor), "reason": ""}).status_code == 403
        support = at(somebody(live, SLUG, "support"))
        assert support.get(path).status_code == 403
        assert f'{ROOT}/approvals"' not in support.get(ROOT).text
