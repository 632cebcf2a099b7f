"""Members of staff whom an app asks: signed in, and signed out, by their own sign-in."""

from tests.live import LiveServer
from tests.server.identity.flows import add_app, add_person, ask


class TestAMemberOfStaff:
    """A member of staff."""

    def test_signs_out_on_the_consent_page(self, profiled: LiveServer) -> None:
        """The button there ends their own session, and not that of a customer in the same browser."""
        app = add_app(profiled, "sandbox", login_realm="staff", scopes=["openid", "users:read"])
        member, customer = add_person(profiled, "sandbox", roles=["owner"]), add_person(profiled, "sandbox")
        browser = member.browser()
        customer.sign_in(browser)
        page = ask(browser, app)
        assert page.status_code == 200
        answer = browser.submit(page, "/auth/staff/sign-out")
        assert answer.headers["location"].endswith("/auth/staff/signed-out")
        assert browser.get("/auth/staff/account").headers["location"].endswith("/auth/staff/sign-in")
        assert browser.get("/auth/account").status_code == 200
