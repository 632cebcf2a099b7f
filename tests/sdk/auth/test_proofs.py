"""What is proven and how (billfold.auth._proofs), held against the published examples."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.auth import _jwt as jwt
from billfold.auth import _proofs as proofs
from billfold.auth.id_tokens import half_hash
from billfold.auth.sign_in import challenge
from billfold.client._message import Response
from billfold.keys import PemKey
from billfold.keys.signer import bare

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RFC_9449_KEY = {
    "kty": "EC",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    "crv": "P-256",
}
RFC_9449_PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0"
    "IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)


def response(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    """Return an answer."""
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


class TestThePublishedExamples:
    def test_of_a_proof_is_read(self):
        """RFC 9449, section 4.2: the signature is right, and the claims are those that we make."""
        claims = jwt.verified(RFC_9449_PROOF, [RFC_9449_KEY], typ=["dpop+jwt"])
        made = proofs.proof("POST", "https://server.example.com/token", claims["iat"])
        assert {**made, "jti": claims["jti"]} == claims

    def test_of_a_tokens_hash_is_met(self):
        """RFC 9449, section 7.1."""
        token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
        assert proofs.proof("GET", "https://x", 0, token=token)["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"

    def test_of_a_code_challenge_is_met(self):
        """RFC 7636, appendix B."""
        verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

    def test_of_half_hashes_are_met(self):
        """OpenID Connect Core, appendix A.3 and A.4."""
        assert half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"
        code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"
        assert half_hash(code, "RS256") == "LDktKdoQak3Pk0cnXxCltA"
        assert len(half_hash(code, "EdDSA")) == 43


class TestAProof:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://h/a?b=c", "https://h/a"),
            ("https://h/a#f", "https://h/a"),
            ("https://h", "https://h/"),
            ("http://127.0.0.1:8000/t/x/v1/wallets?limit=1", "http://127.0.0.1:8000/t/x/v1/wallets"),
            ("https://h/a%20b", "https://h/a%20b"),
        ],
    )
    def test_names_the_address_without_its_query(self, url: str, expected: str):
        """RFC 9449, section 4.2: neither query nor fragment."""
        assert proofs.htu(url) == expected

    def test_is_never_the_same_twice(self):
        """A thousand proofs and assertions have names of their own, of at least 128 bits."""
        made = [proofs.proof("GET", "https://h", 1)["jti"] for _ in range(1000)]
        made += [proofs.assertion("cli_1", "https://h", 1)["jti"] for _ in range(1000)]
        assert len(set(made)) == 2000
        assert min(map(len, made)) >= 22

    def test_holds_the_public_key_alone(self):
        """The key in its header has the members that RFC 7638 asks for, and nothing else."""
        key = PemKey.generate("ES256")
        data = jwt.signing_input(
            key, proofs.proof("GET", "https://h", 1), typ="dpop+jwt", header={"jwk": bare(key.public_jwk)}
        )
        header = jwt.unverified_header(jwt.compact(data, key.sign(data)))
        assert set(header) == {"typ", "alg", "jwk"}
        assert set(header["jwk"]) == {"kty", "crv", "x", "y"}

    def test_of_identity_is_for_one_server_and_for_a_minute(self):
        """The audience is the issuer as text, not a list (FAPI 2.0, section 5.3.3.1)."""
        claims = proofs.assertion("cli_1", "https://h/t/x", 1000.7)
        assert {name: claims[name] for name in ("iss", "sub", "aud")} == {
            "iss": "cli_1",
            "sub": "cli_1",
            "aud": "https://h/t/x",
        }
        assert (claims["iat"], claims["nbf"], claims["exp"]) == (1000, 1000, 1060)


class TestNonces:
    def test_are_kept_by_origin(self):
        """Each server has its own; addresses of one origin share it, whatever the port's form."""
        nonces = proofs.Nonces()
        nonces.learn("https://H.example/a", response(dpop_nonce="one"))
        nonces.learn("https://h.example:8443/a", response(dpop_nonce="two"))
        assert nonces.get("https://h.example:443/b?c") == "one"
        assert nonces.get("https://h.example:8443/") == "two"
        assert nonces.get("http://h.example/") is None

    @pytest.mark.parametrize("nonce", ["", "a b", 'a"b', "ä", "x" * 513, "a\nb"])
    def test_that_are_none_are_not_learned(self, nonce: str):
        """What can't be a nonce (RFC 9449, section 8.1) would only break the next proof."""
        nonces = proofs.Nonces()
        nonces.learn("https://h/", response(dpop_nonce=nonce))
        assert nonces.get("https://h/") is None

    def test_fill_no_memory(self):
        """However many origins there are, a few are kept, and these stay fresh."""
        nonces = proofs.Nonces()
        for number in range(100):
            nonces.learn(f"https://h{number}/", response(dpop_nonce="n"))
        nonces.learn("https://h0/", response(dpop_nonce="newer"))
        assert nonces.get("https://h0/") == "newer"
        assert sum(nonces.get(f"https://h{number}/") is not None for number in range(100)) == 32

    @pytest.mark.parametrize(
        ("answer", "asks"),
        [
            (response(400, b'{"error":"use_dpop_nonce"}', dpop_nonce="n"), True),
            (response(401, b'{"error":"use_dpop_nonce"}', dpop_nonce="n"), True),
            (response(401, b"{}", dpop_nonce="n", www_authenticate='DPoP error="use_dpop_nonce"'), True),
            (response(400, b'{"error":"use_dpop_nonce"}'), False),
            (response(400, b'{"error":"invalid_grant"}', dpop_nonce="n"), False),
            (response(401, b"{}", dpop_nonce="n", www_authenticate='DPoP error="invalid_token"'), False),
            (response(403, b'{"error":"use_dpop_nonce"}', dpop_nonce="n"), False),
            (response(400, b"[" * 100_000, dpop_nonce="n"), False),
            (response(400, b"[]", dpop_nonce="n"), False),
        ],
    )
    def test_are_asked_for_in_two_ways(self, answer: Response, *, asks: bool):
        """By the token endpoint's error and the API's challenge, and only when one is brought."""
        assert proofs.asks_for_nonce(answer) is asks


class TestTheServersClock:
    @given(off_s=st.integers(-80_000, 80_000))
    def test_is_learned_to_the_second(self, off_s: int):
        """What the server's Date says is added to our own time, unless it is next to nothing."""
        clock = proofs.ServerClock()
        clock.learn(response(date=format_datetime(NOW + timedelta(seconds=off_s), usegmt=True)), NOW)
        assert clock.off_s == (off_s if abs(off_s) > 2 else 0)
        assert clock.now(NOW) == NOW.timestamp() + clock.off_s

    @given(st.text(max_size=40), st.text(max_size=10))
    def test_survives_any_text(self, date: str, age: str):
        """Whatever the headers hold, the clock stays one."""
        clock = proofs.ServerClock()
        clock.learn(response(date=date, age=age), NOW)
        assert abs(clock.off_s) <= 24 * 3600

    @pytest.mark.parametrize("age", ["nan", "inf", "-inf", "1e308"])
    def test_survives_numbers_that_are_none(self, age: str):
        """A cache that has lost its mind moves no clock."""
        clock = proofs.ServerClock()
        clock.learn(response(date=format_datetime(NOW, usegmt=True), age=age), NOW)
        assert clock.off_s == 0

    def test_adds_what_a_cache_has_waited(self):
        """A cached answer's Date is as old as its Age says (RFC 9111, section 5.1)."""
        clock = proofs.ServerClock()
        clock.learn(response(date=format_datetime(NOW - timedelta(seconds=600), usegmt=True), age="600"), NOW)
        assert clock.off_s == 0

    def test_is_looked_at_now_and_then_and_after_a_refusal(self):
        """A date costs more to read than an answer, so most are passed by."""
        clock = proofs.ServerClock()
        clock.learn(response(date=format_datetime(NOW, usegmt=True)), NOW)
        later = format_datetime(NOW + timedelta(seconds=100), usegmt=True)
        clock.learn(response(date=later), NOW)
        assert (clock.off_s, clock.has_moved(0)) == (0, False)
        clock.learn(response(401, date=later), NOW)
        assert (clock.off_s, clock.has_moved(0)) == (100, True)
        clock.learn(response(date=format_datetime(NOW, usegmt=True)), NOW + timedelta(seconds=60))
        assert clock.off_s == -60
