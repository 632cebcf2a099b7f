"""Payments that are asked for in authorization details: approved by strong authentication, linked to what they are."""

import html
import json
import re
from typing import Any, Literal

import httpx
import msgspec
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.authorization import details
from billfold_server.identity.authorization.codes import digest_of
from billfold_server.identity.authorization.details import Kind, Line, Payment
from billfold_server.people.pages.words import text_of
from tests.live import LiveServer
from tests.server.identity.flows import App, add_app, answer_of, bring, decide, follow, stranger, tx_of
from tests.server.people import persons


class TestPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a room that moves money would register."""

    __test__ = False

    type: Literal["test_payment"]
    amount_minor: int
    currency: str
    payee: str


async def _is_theirs(_tx: Any, _owner: Any, _details: Any) -> bool:
    """Take every payer for the right one."""
    return True


def _payment(given: TestPayment) -> Payment:
    return Payment(kind="payment", amount_minor=given.amount_minor, currency=given.currency, payee=given.payee)


KIND: Kind[TestPayment] = Kind(
    name="test_payment",
    form=TestPayment,
    describe=lambda given: [Line(text="consent.other", facts={"scope": f"a payment of {given.amount_minor}"})],
    is_theirs=_is_theirs,
    payment=_payment,
)


@pytest.fixture(scope="module")
def payer(profiled: LiveServer) -> App:
    """A client that may ask for payments."""
    details.register(KIND)
    return add_app(profiled, "sandbox", authorization_details_types=["test_payment"])


@pytest.fixture(scope="module")
def customer(profiled: LiveServer) -> persons.Person:
    """A customer with password and app."""
    return persons.a_psu(profiled, "sandbox")


def pay(amount_minor: int = 123456, payee: str = "Books & Co") -> str:
    """Return authorization details."""
    said = {"type": "test_payment", "amount_minor": amount_minor, "currency": "EUR", "payee": payee}
    return json.dumps([said])


class Visit:
    """A customer who is signed in, at our pages and at those of sign-in: one browser."""

    def __init__(self, customer: persons.Person) -> None:
        self.customer = customer
        self.pages = customer.sign_in()
        self.browser = stranger(customer.live, customer.slug)
        self.browser.cookies = self.pages.cookies

    def ask(self, app: App, asked: str) -> httpx.Response:
        """Come with a request, and return the consent page."""
        uri = app.uri(scope=None, authorization_details=asked)
        return follow(self.browser, bring(self.browser, app, uri))

    def approve(self, page: httpx.Response, code: str | None = None) -> httpx.Response:
        """Type the app's code on the page of approval."""
        self.pages.cookies = self.browser.cookies
        answer = self.pages.submit(page, "/approve", code=code or self.customer.code())
        self.browser.cookies = self.pages.cookies
        return answer


class TestAPayment:
    """A payment."""

    def test_is_shown_and_approved_before_there_is_a_code(self, payer: App, customer: persons.Person) -> None:
        """Amount and payee are on both pages; the client gets its code once the person has shown their factors."""
        visit = Visit(customer)
        page = visit.ask(payer, pay())
        assert "1,234.56" in page.text
        assert "Books &amp; Co" in page.text
        approval = follow(visit.browser, decide(visit.browser, page))
        assert approval.url.path.endswith("/auth/approve")
        assert "1,234.56" in approval.text
        back = visit.approve(approval)
        assert set(answer_of(payer, follow(visit.browser, back))) == {"code", "state"}

    def test_comes_to_the_client_also_where_the_button_is_pressed_twice(self, payer: App, customer: persons.Person):
        """A browser follows the answer to the second press, which finds it approved and goes on as the first does."""
        visit = Visit(customer)
        approval = follow(visit.browser, decide(visit.browser, visit.ask(payer, pay(payee="Twice"))))
        code = customer.code()
        visit.approve(approval, code)
        back = visit.approve(approval, code)
        assert set(answer_of(payer, follow(visit.browser, back))) == {"code", "state"}

    def test_isnt_allowed_by_the_button_alone(self, payer: App, customer: persons.Person) -> None:
        """Whoever comes back without having approved it is asked again, and the client has got nothing."""
        visit = Visit(customer)
        page = visit.ask(payer, pay())
        assert follow(visit.browser, decide(visit.browser, page)).status_code == 200
        again = visit.browser.get(str(page.url), headers={"Accept": "text/html"})
        assert "/oauth/authorize/decision" in again.text
        assert answer_of(payer, decide(visit.browser, again, "refuse"))["error"] == "access_denied"

    def test_is_asked_for_again_in_words_where_it_came_too_late(self, payer: App, customer: persons.Person) -> None:
        """Whoever has typed a code in vain reads why the first page is there again; who goes back reads nothing."""
        visit = Visit(customer)
        approval = follow(visit.browser, decide(visit.browser, visit.ask(payer, pay(payee="Late"))))
        (back,) = re.findall(r'<a class="button second" href="([^"]+)"', approval.text)
        address = visit.browser.base_url.join(html.unescape(back))
        assert text_of("en", "approve.over") not in visit.browser.get(address, headers={"Accept": "text/html"}).text
        (challenge,) = re.findall(r"challenge=(sca_\w+)", str(approval.url))

        async def expire() -> None:
            async with tx_of(payer.live, payer.slug) as tx:
                sql = "UPDATE sca_challenges SET expires_at = created_at WHERE id = $1"
                await tx.execute(sql, ids.decode(Prefix.SCA_CHALLENGE, challenge))

        payer.live.run(expire())
        again = follow(visit.browser, visit.approve(approval))
        assert text_of("en", "approve.over") in again.text
        approval = follow(visit.browser, decide(visit.browser, again))
        assert "code" in answer_of(payer, follow(visit.browser, visit.approve(approval)))

    def test_may_still_be_refused_on_the_page_of_approval(self, payer: App, customer: persons.Person) -> None:
        """A link leads back to where it is refused, so that the client hears of it and nobody is left behind."""
        visit = Visit(customer)
        approval = follow(visit.browser, decide(visit.browser, visit.ask(payer, pay(payee="Regretted"))))
        (back,) = re.findall(r'<a class="button second" href="([^"]+)"', approval.text)
        again = visit.browser.get(visit.browser.base_url.join(html.unescape(back)), headers={"Accept": "text/html"})
        assert answer_of(payer, decide(visit.browser, again, "refuse"))["error"] == "access_denied"

    def test_isnt_allowed_by_the_approval_of_another(self, payer: App, customer: persons.Person) -> None:
        """An approval is linked to amount and payee: shown for another payment it is void (article 5)."""
        visit = Visit(customer)
        small, large = visit.ask(payer, pay(100, "Ada")), visit.ask(payer, pay(99_999, "Eve"))
        approval = follow(visit.browser, decide(visit.browser, small))
        visit.approve(approval)
        swap(payer, str(small.url), str(large.url))
        page = visit.browser.get(str(large.url), headers={"Accept": "text/html"})
        assert "/oauth/authorize/decision" in page.text

    def test_is_one_in_a_request(self, payer: App) -> None:
        """One approval can't be linked to two amounts."""
        two = json.dumps(json.loads(pay()) * 2)
        assert payer.push(scope=None, authorization_details=two).json()["error"] == "invalid_authorization_details"


def swap(app: App, of: str, to: str) -> None:
    """Put the approval of one interaction into another, as nobody but whoever writes rows could."""
    keys = [digest_of(httpx.URL(each).params["interaction"]) for each in (of, to)]

    async def work() -> None:
        async with tx_of(app.live, app.slug) as tx:
            await tx.execute(
                "UPDATE interactions SET challenge_id = (SELECT challenge_id FROM interactions WHERE digest = $1)"
                " WHERE digest = $2",
                *keys,
            )

    app.live.run(work())
