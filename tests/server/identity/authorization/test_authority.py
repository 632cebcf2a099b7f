"""What a person may allow, and what they are shown of it."""

import json
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.authorization import codes, details
from billfold_server.identity.authorization.details import Kind, Line
from billfold_server.identity.authorization.wallet_access import WALLET_ACCESS
from billfold_server.identity.grants.service import find_grant
from billfold_server.people.pages.words import text_of
from tests.live import LiveServer
from tests.server.identity.flows import App, Person, add_app, add_person, answer_of, ask, decide, tx_of


def granted(app: App, code: str) -> Any:
    """Return the grant that a code stands for."""

    async def work() -> Any:
        async with tx_of(app.live, app.slug) as tx:
            claimed = await codes.claim(tx, code, app.live.services.clock.now(), client_id=app.client.id)
            assert isinstance(claimed, codes.Code)
            grant = await find_grant(tx, claimed.grant_id)
            assert grant is not None
            assert grant.scopes == claimed.scopes
            return grant

    return app.live.run(work())


@pytest.fixture(scope="module")
def looker(profiled: LiveServer) -> App:
    """A client that may ask to look at wallets."""
    return add_app(profiled, "sandbox", authorization_details_types=["wallet_access"])


def wallet_of(person: Person) -> str:
    """Open a wallet of a person's."""
    assert person.party_id is not None
    with person.live.client(person.slug) as client:
        body = {"party_id": ids.encode(Prefix.PARTY, person.party_id), "currencies": ["EUR"]}
        answer = client.post("/v1/wallets", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def access(*wallet_ids: str, actions: tuple[str, ...] = ("balances",), **more: Any) -> str:
    """Return authorization details."""
    return json.dumps([{"type": "wallet_access", "actions": actions, "wallet_ids": wallet_ids, **more}])


class TestACustomer:
    """A customer."""

    def test_cant_give_away_what_is_everybodys(self, app: App, person: Person) -> None:
        """A scope of the API is about all customers: it isn't shown to one, and isn't in the grant."""
        browser = person.browser()
        page = ask(browser, app, scope="openid holds:read")
        assert "holds:read" not in page.text
        assert granted(app, answer_of(app, decide(browser, page))["code"]).scopes == ["openid"]

    def test_isnt_asked_where_nothing_is_theirs_to_allow(self, app: App, person: Person) -> None:
        """If nothing is left, the client is told that it is denied."""
        assert answer_of(app, ask(person.browser(), app, scope="holds:read"))["error"] == "access_denied"

    def test_may_let_others_look_at_their_own_wallets(self, looker: App, person: Person) -> None:
        """What is asked in detail is shown, and is in the grant as it was shown (RFC 9396)."""
        wallet_id = wallet_of(person)
        browser = person.browser()
        asked = access(wallet_id, actions=("entries", "balances"))
        page = ask(browser, looker, scope=None, authorization_details=asked)
        for action in ("balances", "entries"):
            assert text_of("en", f"consent.wallet_{action}", wallets=wallet_id) in page.text
        grant = granted(looker, answer_of(looker, decide(browser, page))["code"])
        assert (grant.scopes, grant.details) == ([], json.loads(asked))

    def test_cant_let_anybody_look_at_others_wallets(self, looker: App, person: Person, profiled: LiveServer) -> None:
        """Another customer's, one that there isn't, one among one's own: denied, and nothing is shown."""
        other = wallet_of(add_person(profiled, "sandbox"))
        mine = wallet_of(person)
        for wallet_ids in ((other,), (mine, other), (ids.new(Prefix.WALLET),)):
            answer = ask(person.browser(), looker, authorization_details=access(*wallet_ids))
            assert answer_of(looker, answer)["error"] == "access_denied"


class TestAuthorizationDetails:
    """Authorization details."""

    @pytest.mark.parametrize(
        "text",
        [
            access(),
            access("wal_x"),
            access(*["wal_" + "0" * 26] * 21),
            access("wal_" + "0" * 26, actions=("pay",)),
            access("wal_" + "0" * 26, actions=()),
            access("wal_" + "0" * 26, surprise=1),
            '[{"type":"wallet_access"}]',
            json.dumps(json.loads(access("wal_" + "0" * 26)) * 11),
        ],
    )
    def test_are_read_strictly(self, looker: App, text: str) -> None:
        """What the page can't show nobody can have allowed (RFC 9396, section 5)."""
        answer = looker.push(authorization_details=text)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_authorization_details")

    def test_are_of_types_that_the_client_is_registered_for(self, app: App, looker: App) -> None:
        """Another client can't use them, in a form or signed."""
        asked = access("wal_" + "0" * 26)
        assert looker.push(authorization_details=asked).status_code == 201
        assert looker.push_signed(looker.object(authorization_details=json.loads(asked))).status_code == 201
        answers: list[httpx.Response] = [
            app.push(authorization_details=asked),
            app.push_signed(app.object(authorization_details=json.loads(asked))),
        ]
        assert {answer.json()["error"] for answer in answers} == {"invalid_authorization_details"}

    def test_have_one_kind_to_a_name(self) -> None:
        """A name can't be taken over, and saying the same again changes nothing."""
        known = WALLET_ACCESS
        details.register(known)
        details.register(known)
        assert details.kinds()["wallet_access"] is known
        twin: Kind[Any] = Kind(
            name=known.name, form=known.form, describe=lambda _: [Line(text="x")], is_theirs=known.is_theirs
        )
        with pytest.raises(ValueError, match="wallet_access"):
            details.register(twin)
