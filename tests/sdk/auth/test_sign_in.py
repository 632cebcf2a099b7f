"""The rules of signing in, without input or output (billfold.auth.sign_in, discovery, refusals)."""

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import auth, errors
from billfold.auth import (
    AuthorizationFailed,
    AuthorizationRefused,
    CallbackInvalid,
    DiscoveryFailed,
    IdTokenInvalid,
    Pending,
    ResponseInvalid,
    StateMismatch,
    UserTokens,
    discovery,
    sign_in,
)

ISSUER = "https://bank.example/t/bank"
PENDING = sign_in.begun(
    issuer=ISSUER,
    client_id="cli_1",
    redirect_uri="https://shop.example/callback",
    now=1_800_000_000.5,
    lifetime_s=900,
    scope="openid",
    response_mode="query",
    dpop_jkt=None,
    max_age_s=None,
    acr_values=(),
)
METADATA = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/oauth/token",
    "mtls_endpoint_aliases": {"token_endpoint": "https://bank.example:8443/t/bank/oauth/token"},
}


def metadata(**changes: Any) -> discovery.AuthorizationServer:
    """Read metadata with some of them changed."""
    return discovery.read(json.dumps({**METADATA, **changes}).encode(), ISSUER)


class TestASignIn:
    def test_has_secrets_of_its_own(self):
        """State, nonce and verifier are random, of more than 128 bits, and of a verifier's length (RFC 7636, 4.1)."""
        assert len({PENDING.state, PENDING.nonce, PENDING.code_verifier}) == 3
        assert min(len(PENDING.state), len(str(PENDING.nonce))) >= 43
        assert 43 <= len(PENDING.code_verifier) <= 128
        assert PENDING.expires_at == 1_800_000_900

    def test_is_read_from_text_of_an_older_release(self):
        """Sessions outlive upgrades: what is kept now is read by later releases, whatever they add."""
        kept = (
            '{"issuer":"https://bank.example/t/bank","client_id":"cli_1","redirect_uri":"https://shop.example/callback",'
            '"state":"s","code_verifier":"v","expires_at":1800000900,"of_tomorrow":1}'
        )
        assert Pending.load(kept).expires_at == 1_800_000_900
        tokens = '{"access_token":"a","expires_at":1,"issuer":"i","client_id":"c","of_tomorrow":1}'
        assert UserTokens.load(tokens).access_token == "a"

    @given(st.text(max_size=60))
    def test_is_answered_with_its_own_state_alone(self, state: str):
        """Any other text, and the own one with something more, belongs to another."""
        for each in {state, PENDING.state[:-1], f"{PENDING.state}{state}x", PENDING.state.lower() + "-"}:
            with pytest.raises(StateMismatch):
                sign_in.code_of({"state": each, "iss": ISSUER, "code": "c"}, PENDING)
        assert sign_in.code_of({"state": PENDING.state, "iss": ISSUER, "code": "c"}, PENDING) == "c"


class TestAnAnswer:
    @given(st.text(max_size=300))
    def test_is_read_or_refused(self, text: str):
        """Any text is parameters or a typed error."""
        for each in (text, f"https://shop.example/callback?{text}"):
            try:
                found = sign_in.read_callback(each)
            except ResponseInvalid:
                continue
            assert all(isinstance(value, str) for value in found.values())

    @given(
        st.dictionaries(
            st.text(max_size=10),
            st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text(), max_size=3)),
            max_size=5,
        )
    )
    def test_of_a_framework_is_read_or_refused(self, mapping: dict[str, Any]):
        """Any mapping is parameters or a typed error; nothing is taken from a list of several."""
        try:
            found = sign_in.read_callback(mapping)
        except ResponseInvalid:
            return
        assert found == {
            name: value[0] if isinstance(value, list) else value for name, value in mapping.items() if value != []
        }

    @pytest.mark.parametrize("text", ["a=b&" * 51, "code=" + "x" * 70_000])
    def test_that_is_too_much_is_refused(self, text: str):
        """Nobody needs so many parameters, or one so long."""
        with pytest.raises(ResponseInvalid):
            sign_in.read_callback(text)


class TestAnAddress:
    def test_keeps_the_query_that_it_has(self):
        """An authorization endpoint may have one (RFC 6749, section 3.1)."""
        assert sign_in.with_query("https://h/a?x=1&y=", b="c d") == "https://h/a?x=1&y=&b=c+d"


class TestMetadata:
    def test_say_where_certificates_are_asked_for(self):
        """The API lies beside the endpoints, at the address that stands for the issuer's."""
        server = metadata()
        assert server.endpoint("token_endpoint", mtls=True) == "https://bank.example:8443/t/bank/oauth/token"
        assert server.endpoint("token_endpoint", mtls=False) == f"{ISSUER}/oauth/token"
        assert server.mtls_base() == "https://bank.example:8443/t/bank"

    @pytest.mark.parametrize(
        "changes",
        [
            {"mtls_endpoint_aliases": {}},
            {"mtls_endpoint_aliases": {"token_endpoint": None}},
            {"mtls_endpoint_aliases": {"token_endpoint": "https://mtls.example/other"}},
            {"token_endpoint": "https://elsewhere.example/oauth/token"},
        ],
    )
    def test_may_say_nothing_of_it(self, changes: dict[str, Any]):
        """Then the API is called where it is."""
        assert metadata(**changes).mtls_base() is None

    @pytest.mark.parametrize(
        "url",
        [
            "http://bank.example/oauth/token",
            "ftp://bank.example/x",
            "//bank.example/x",
            "https://",
            "https://u:p@bank.example/x",
            "https://bank.example/x#f",
            "javascript:alert(1)",
            "https://[bank/x",
            "",
        ],
    )
    @pytest.mark.parametrize("name", ["token_endpoint", "authorization_endpoint", "jwks_uri", "alias"])
    def test_lead_nowhere_without_tls(self, name: str, url: str):
        """An issuer with TLS has no endpoint without, and none that isn't an address."""
        changes = {"mtls_endpoint_aliases": {"token_endpoint": url}} if name == "alias" else {name: url}
        with pytest.raises(DiscoveryFailed):
            metadata(**changes)

    @pytest.mark.parametrize(
        "issuer", [f"{ISSUER}/", "https://BANK.example/t/bank", "https://bank.example/t/bank2", ""]
    )
    def test_of_another_issuer_are_not_taken(self, issuer: str):
        """Issuers are compared as texts, character by character (RFC 8414, section 3.3)."""
        with pytest.raises(DiscoveryFailed):
            metadata(issuer=issuer)


class TestARefusal:
    @pytest.mark.parametrize(
        "error",
        [
            AuthorizationRefused("access_denied", "no"),
            IdTokenInvalid("nonce"),
            StateMismatch("x"),
            DiscoveryFailed("x"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_crosses_a_process_boundary(self, error: AuthorizationFailed):
        """With its facts."""
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  # Our own.
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))

    def test_has_a_code_of_its_own(self):
        """Every class of the tree has one, and no two the same."""
        classes = [getattr(auth, name) for name in auth.__all__]
        own = [each for each in classes if isinstance(each, type) and issubclass(each, AuthorizationFailed)]
        assert len({each.code for each in own}) == len(own) > 10
        assert all(issubclass(each, errors.BillfoldError) for each in own)
        assert issubclass(StateMismatch, CallbackInvalid)
