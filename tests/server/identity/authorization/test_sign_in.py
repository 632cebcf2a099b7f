"""Whether a sign-in is good enough for what a client asks."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from billfold_server.identity.authorization.parameters import AuthorizationRequest, ClaimRequest, ClaimRequests
from billfold_server.identity.authorization.sign_in import ACR_SCA, judge

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASKS_FOR_SCA = AuthorizationRequest(
    redirect_uri="https://app.example/cb",
    response_mode="query",
    code_challenge="x",
    scopes=["openid"],
    claims=ClaimRequests(id_token={"acr": ClaimRequest(essential=True, value=ACR_SCA)}),
)


class Session(NamedTuple):
    """Who is signed in."""

    auth_time: datetime
    acr: str


class TestASignInThatIsTooWeak:
    """A sign-in that is too weak for an essential class."""

    def test_is_asked_for_once_more_and_is_unmet_then(self) -> None:
        """An older one is followed by another; who has signed in for this request, and as weakly, can't do better."""
        verdicts = [
            judge(ASKS_FOR_SCA, Session(BEGUN + timedelta(seconds=ago_s), "urn:openbanking:psd2:ca"),
                  begun_at=BEGUN, now=BEGUN + timedelta(minutes=1))
            for ago_s in (-60, 30)
        ]  # fmt: skip
        assert verdicts == ["sign_in", "unmet"]
