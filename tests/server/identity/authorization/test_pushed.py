"""Pushed authorization requests: what is taken, and by which code each other one is refused."""

import base64
import json
import time
from typing import Any

import httpx
import pytest

from billfold import ids
from billfold.ids import Prefix
from billfold_server.identity.profiles import SigningAlgorithm
from tests.live import LiveServer
from tests.server.identity.clients_of import key_for, make, public_jwk
from tests.server.identity.flows import App, add_app, sign


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a refusal, which is JSON that nobody keeps."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()["error"]


def b64_text(**claims: Any) -> str:
    """Return a parameter that is JSON."""
    return json.dumps(claims)


class TestAPushedRequest:
    """A pushed request."""

    def test_gets_an_address_that_expires(self, app: App) -> None:
        """201, an address of 256 random bits, and the seconds that it is good (RFC 9126, section 2.2)."""
        answers = [app.push() for _ in range(2)]
        assert {answer.status_code for answer in answers} == {201}
        assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
        uris = {answer.json()["request_uri"] for answer in answers}
        assert len(uris) == 2
        assert {len(uri.removeprefix("urn:ietf:params:oauth:request_uri:")) for uri in uris} == {43}
        assert {answer.json()["expires_in"] for answer in answers} == {90}

    def test_is_the_platforms_too(self, profiled: LiveServer) -> None:
        """Operators are asked in the same way."""
        assert add_app(profiled, None).push(scope="platform:tenants:read").status_code == 201

    @pytest.mark.parametrize(
        "changes",
        [
            {"state": None, "nonce": None},
            {"nonce": "n" * 64},
            {"nonce": "n" * 2048, "state": "s" * 4096},
            {"scope": "openid wallets:read"},
            {"scope": "wallets:read openid"},
            {"response_mode": "query"},
            {"response_mode": "jwt"},
            {"response_mode": "query.jwt"},
            {"dpop_jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
            {"prompt": "login consent", "max_age": "0", "login_hint": "nobody@example.com", "ui_locales": "de en"},
            {"acr_values": "urn:a urn:b", "display": "page", "unheard_of": "x", "id_token_hint": ""},
            {"claims": b64_text(id_token={"acr": {"essential": True, "values": ["x"]}, "name": None}, other={})},
            {"claims": b64_text(userinfo={"email": {"value": "a@example.com", "strange": 1}})},
            {"redirect_uri": "https://app.example/cb?kept=1"},
            {"client_id": None},
        ],
    )
    def test_may_say_all_of_this(self, app: App, changes: dict[str, Any]) -> None:
        """Optional parameters, in any order, up to their bounds; what isn't known is ignored (RFC 6749, 3.1)."""
        answer = app.push(**changes)
        assert answer.status_code == 201, answer.text

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"response_type": None}, "invalid_request"),
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_type": "code id_token"}, "unsupported_response_type"),
            ({"response_type": "none"}, "unsupported_response_type"),
            ({"redirect_uri": None}, "invalid_request"),
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge_method": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"code_challenge_method": "s256"}, "invalid_request"),
            ({"code_challenge": "x" * 42}, "invalid_request"),
            ({"code_challenge": "x" * 43}, "invalid_request"),
            ({"code_challenge": "x" * 128}, "invalid_request"),
            ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
            ({"request_uri": "https://app.example/request"}, "invalid_request"),
            ({"state": "s" * 4097}, "invalid_request"),
            ({"state": "a\nb"}, "invalid_request"),
            ({"state": "caf\xe9"}, "invalid_request"),
            ({"nonce": "n" * 2049}, "invalid_request"),
            ({"nonce": "a\x00b"}, "invalid_request"),
            ({"scope": None}, "invalid_scope"),
            ({"scope": "wallets:write"}, "invalid_scope"),
            ({"scope": "openid  wallets:read"}, "invalid_scope"),
            ({"response_mode": "fragment"}, "invalid_request"),
            ({"response_mode": "form_post"}, "invalid_request"),
            ({"response_mode": "form_post.jwt"}, "invalid_request"),
            ({"dpop_jkt": "short"}, "invalid_request"),
            ({"prompt": "none login"}, "invalid_request"),
            ({"prompt": "create"}, "invalid_request"),
            ({"max_age": "-1"}, "invalid_request"),
            ({"max_age": "1e3"}, "invalid_request"),
            ({"max_age": "\uff11"}, "invalid_request"),
            ({"claims": "[]"}, "invalid_request"),
            ({"claims": "{"}, "invalid_request"),
            ({"claims": b64_text(id_token=[])}, "invalid_request"),
            ({"claims": b64_text(id_token={"acr": {"essential": "yes"}})}, "invalid_request"),
            ({"claims": b64_text(id_token={"acr": {"essential": True, "value": 2}})}, "invalid_request"),
            ({"claims": b64_text(id_token={"acr": {"values": ["urn:a", None]}})}, "invalid_request"),
            ({"claims": b64_text(id_token={str(n): None for n in range(101)})}, "invalid_request"),
            ({"claims": "[" * 4000}, "invalid_request"),
            ({"resource": "https://elsewhere.example"}, "invalid_target"),
            ({"resource": "not a uri"}, "invalid_target"),
            ({"resource": "http://["}, "invalid_target"),
            ({"authorization_details": "[]"}, "invalid_authorization_details"),
            ({"authorization_details": "{}"}, "invalid_authorization_details"),
            ({"authorization_details": '[{"type":"unheard_of"}]'}, "invalid_authorization_details"),
            ({"authorization_details": '[{"type":1}]'}, "invalid_authorization_details"),
            ({"authorization_details": "[{}]"}, "invalid_authorization_details"),
        ],
    )
    def test_is_refused_by_the_code_that_its_rfc_names(self, app: App, changes: dict[str, Any], error: str) -> None:
        """Every parameter is checked when it is pushed, where the client still can be told."""
        assert refusal(app.push(**changes)) == (400, error)

    @pytest.mark.parametrize(
        "uri",
        [
            "https://APP.example/cb",
            "https://app.example/CB",
            "https://app.example/cb/",
            "https://app.example/cb?",
            "https://app.example/cb#",
            "https://app.example/cb#x",
            "https://app.example/cb?kept=1&more=2",
            "https://app.example/cb?kept=2",
            "https://app.example/cb/../cb",
            "https://app.example/./cb",
            "https://app.example//cb",
            "https://app.example/%63b",
            "https://app.example/cb%2f..",
            "https://app.example:443/cb",
            "https://app.example:8443/cb",
            "https://app.example./cb",
            "https://user@app.example/cb",
            "https://app.example@evil.example/cb",
            "https://app.example.evil.example/cb",
            "https://evil.example/cb",
            "https://evil.example/https://app.example/cb",
            "https://evil.example\\@app.example/cb",
            "https://app.example/cb\t",
            " https://app.example/cb",
            "http://app.example/cb",
            "//app.example/cb",
            "/cb",
            "javascript:alert(1)//https://app.example/cb",
            "https://rival.example/cb",
        ],
    )
    def test_is_refused_for_an_address_that_isnt_registered_to_the_character(self, app: App, rival: App, uri) -> None:
        """Case, path, user, port, encoding, something appended, another client's: none is the one (RFC 9700, 4.1)."""
        assert "https://rival.example/cb" in rival.client.redirect_uris
        assert refusal(app.push(redirect_uri=uri)) == (400, "invalid_request")

    @pytest.mark.parametrize("name", ["redirect_uri", "state", "scope", "client_id", "code_challenge", "request"])
    def test_is_refused_when_a_parameter_occurs_twice(self, app: App, name: str) -> None:
        """Of two values one would be checked and the other used (RFC 6749, section 3.1)."""
        form = httpx.QueryParams({"request": "x", **app.request()}).add(name, "other")
        assert refusal(app.post("/oauth/par", str(form).encode())) == (400, "invalid_request")

    def test_may_name_its_resource_often(self, app: App) -> None:
        """``resource`` alone may occur often, and every one is checked (RFC 8707, section 2)."""
        audience = f"{app.base}/v1"
        form = httpx.QueryParams(app.request()).add("resource", audience)
        twice = form.add("resource", audience)
        assert app.post("/oauth/par", str(twice).encode()).status_code == 201
        hidden = str(form.add("resource", "https://elsewhere.example"))
        for spelled in (hidden, hidden.replace("resource=https%3A%2F%2Felse", "%72esource=https%3A%2F%2Felse")):
            assert refusal(app.post("/oauth/par", spelled.encode())) == (400, "invalid_target")

    def test_needs_its_client_to_authenticate(self, app: App, rival: App) -> None:
        """Nobody, a wrong secret, another one's secret, a client that doesn't exist: one answer."""
        url = f"{app.base}/oauth/par"
        mine, theirs = app.made.secret or "", rival.made.secret or ""
        pairs = [(app.client_id, "wrong"), (app.client_id, theirs), (ids.new(Prefix.CLIENT), mine)]
        answers = [httpx.post(url, data=app.request(client_id=pair[0]), auth=pair) for pair in pairs]
        assert {answer.text for answer in answers} == {answers[0].text}
        assert {refusal(answer) for answer in answers} == {(401, "invalid_client")}
        assert refusal(httpx.post(url, data=app.request())) == (401, "invalid_client")

    def test_is_made_for_nobody_else(self, app: App, rival: App) -> None:
        """A client can't push in another's name."""
        assert refusal(app.push(client_id=rival.client_id))[1] in {"invalid_request", "invalid_client"}

    def test_needs_a_client_that_asks_people(self, profiled: LiveServer) -> None:
        """A client that isn't registered for authorization codes is told so (RFC 6749, section 4.1.2.1)."""
        alone: dict[str, Any] = {
            "scopes": ["wallets:read"],
            "grant_types": ["client_credentials"],
            "response_types": [],
        }
        machine = App(profiled, "sandbox", make(profiled, "sandbox", "client_secret_basic", **alone))
        request = {**add_app(profiled, "sandbox").request(), "client_id": machine.client_id}
        assert refusal(machine.post("/oauth/par", request)) == (400, "unauthorized_client")

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
    def test_is_posted(self, app: App, method: str) -> None:
        """Any other method is 405 (RFC 9126, section 2.3)."""
        answer = httpx.request(method, f"{app.base}/oauth/par", headers=app.made.headers())
        assert answer.status_code == 405

    def test_of_another_tenant_is_unknown_here(self, app: App, profiled: LiveServer) -> None:
        """A client of one tenant doesn't exist at another, whatever it shows."""
        answer = httpx.post(f"{profiled.base('fapi2')}/oauth/par", data=app.request(), headers=app.made.headers())
        assert refusal(answer) == (401, "invalid_client")


class TestARequestObject:
    """A request object."""

    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256"])
    def test_is_taken_when_the_client_has_signed_it(self, profiled: LiveServer, algorithm: SigningAlgorithm) -> None:
        """By each algorithm of FAPI 2.0 (section 5.4.1)."""
        answer = add_app(profiled, "sandbox", alg=algorithm).push_signed()
        assert answer.status_code == 201, answer.text

    @pytest.mark.parametrize(
        "changes",
        [
            {"aud": "list"},
            {"nbf": +8},
            {"nbf": -3540, "exp": +50},
            {"nbf": 0, "exp": +3600},
            {"header": {"typ": None}},
            {"header": {"typ": "JWT"}},
            {"header": {"typ": "application/oauth-authz-req+jwt"}},
            {"header": {"kid": None}},
            {"max_age": 100, "claims": {"id_token": {"acr": None}}, "resource": []},
        ],
    )
    def test_may_be_like_this(self, app: App, changes: dict[str, Any]) -> None:
        """An audience among others, a clock that is 8 s ahead, an hour's life, JSON where it is JSON."""
        said = at_times(app, changes)
        answer = app.push_signed(app.object(**said))
        assert answer.status_code == 201, answer.text

    @pytest.mark.parametrize(
        "changes",
        [
            {"exp": None},
            {"nbf": None},
            {"exp": -300},
            {"nbf": +70, "exp": +300},
            {"nbf": 0, "exp": +3660},
            {"nbf": -3660, "exp": +60},
            {"nbf": -0.5, "exp": 10**400},
            {"exp": "soon"},
            {"nbf": True},
            {"aud": None},
            {"aud": "https://elsewhere.example"},
            {"aud": ["https://elsewhere.example"]},
            {"aud": "endpoint"},
            {"iss": None},
            {"iss": "cli_other"},
            {"client_id": None},
            {"client_id": "cli_other"},
            {"sub": "self"},
            {"request_uri": "urn:ietf:params:oauth:request_uri:x"},
            {"request": "x"},
            {"jti": ""},
            {"jti": 7},
            {"header": {"typ": "at+jwt"}},
            {"header": {"typ": "dpop+jwt"}},
            {"header": {"kid": "another"}},
            {"header": {"jku": "https://evil.example/jwks"}},
            {"header": {"x5u": "https://evil.example/x5u"}},
        ],
    )
    def test_is_refused_for_each_of_these(self, app: App, changes: dict[str, Any]) -> None:
        """Times, addressee, issuer, type and where its key would come from (FAPI 2.0 Message Signing, 5.3.1)."""
        assert refusal(app.push_signed(app.object(**at_times(app, changes)))) == (400, "invalid_request_object")

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"redirect_uri": None}, "invalid_request"),
            ({"redirect_uri": "https://evil.example/cb"}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"response_type": "code id_token"}, "unsupported_response_type"),
            ({"scope": "wallets:write"}, "invalid_scope"),
            ({"scope": ["openid"]}, "invalid_request"),
            ({"state": 5}, "invalid_request"),
            ({"max_age": True}, "invalid_request"),
            ({"claims": []}, "invalid_request"),
            ({"resource": [5]}, "invalid_target"),
            ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ],
    )
    def test_holds_parameters_that_are_checked_like_any(self, app: App, changes: dict[str, Any], error: str) -> None:
        """A signature makes no parameter right."""
        assert refusal(app.push_signed(app.object(**changes))) == (400, error)

    def test_alone_counts(self, app: App) -> None:
        """What stands beside it isn't read: neither helps nor harms (RFC 9101, section 6.3)."""
        beside = {"redirect_uri": "https://evil.example/cb", "scope": "wallets:write", "state": "outside"}
        assert app.push_signed(**beside).status_code == 201
        without = app.object(redirect_uri=None)
        right = app.client.redirect_uris[0]
        assert refusal(app.push_signed(without, redirect_uri=right)) == (400, "invalid_request")

    def test_is_good_once_when_it_has_an_id(self, app: App) -> None:
        """The same ``jti`` a second time is a copy; without one it may come again, as RFC 9101 lets it."""
        once = app.object(jti="once")
        assert app.push_signed(once).status_code == 201
        assert refusal(app.push_signed(once)) == (400, "invalid_request_object")
        often = app.object()
        assert [app.push_signed(often).status_code for _ in range(2)] == [201, 201]

    def test_is_refused_unsigned_or_signed_by_what_isnt_registered(self, app: App, rival: App) -> None:
        """Another's key, an unregistered key, ``none``, RS256, HS256 keyed by what is public: none counts."""
        claims = {**app.request(), "iss": app.client_id, "aud": app.base}
        now = int(time.time())
        claims |= {"nbf": now, "exp": now + 60}
        head, body, tag = app.object().split(".")
        rsa = key_for("PS256")
        forged = [
            app.object(key=rival.made.key),
            app.object(key=key_for("EdDSA")),
            app.object(key=key_for("ES256")),
            sign(claims, rsa, {"alg": "RS256", "kid": app.made.kid}),
            sign(claims, rsa, {"alg": "PS256", "kid": app.made.kid, "jwk": rsa.as_dict(private=False)}),
            f"{unsigned({'alg': 'none'})}.{body}.",
            f"{unsigned({'alg': 'none'})}.{body}.{tag}",
            f"{unsigned({'alg': 'HS256', 'kid': app.made.kid})}.{body}.{tag}",
            f"{head}.{body}.",
            f"{head}.{body}.{tag[:-4]}AAAA",
            f"{head}.{unsigned(claims)}.{tag}",
            f"{head}.{body}",
            f"{head}.{body}.{tag}.{tag}.{tag}",
            "x",
        ]
        refusals = {refusal(app.push_signed(each)) for each in forged}
        assert refusals == {(400, "invalid_request_object")}

    def test_is_signed_by_the_algorithm_that_the_client_registered(self, profiled: LiveServer) -> None:
        """Where a client has settled on one, its other keys sign nothing."""
        key = key_for("PS256")
        keys = [public_jwk(key, "ps")]
        settled = add_app(profiled, "sandbox", further_keys=keys, request_object_signing_alg="PS256")
        assert settled.push_signed(settled.object(key=key, kid="ps")).status_code == 201
        assert refusal(settled.push_signed(settled.object())) == (400, "invalid_request_object")

    @pytest.mark.parametrize("profile", ["fapi2-message-signing", "fapi1-advanced"])
    def test_is_required_where_the_profile_says_so(self, profiled: LiveServer, profile: str) -> None:
        """An unsigned request is refused there; a signed one is taken."""
        strict = add_app(profiled, profile)
        assert refusal(strict.push(response_mode="jwt")) == (400, "invalid_request")
        assert strict.push_signed(strict.object(response_mode="jwt")).status_code == 201
        assert strict.push_signed(strict.object()).status_code == 201
        assert refusal(strict.push_signed(strict.object(response_mode="query"))) == (400, "invalid_request")


def at_times(app: App, changes: dict[str, Any]) -> dict[str, Any]:
    """Turn seconds from now into instants, and words into what they stand for."""
    now = int(time.time())
    words = {
        "list": [app.base, "https://elsewhere.example"],
        "endpoint": f"{app.base}/oauth/par",
        "self": app.client_id,
    }
    said: dict[str, Any] = {}
    for name, value in changes.items():
        if name in {"exp", "nbf"} and isinstance(value, int | float) and not isinstance(value, bool):
            said[name] = now + value
        else:
            said[name] = words.get(value, value) if isinstance(value, str) else value
    return said


def unsigned(part: dict[str, Any]) -> str:
    """Return a segment of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
