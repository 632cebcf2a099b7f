"""DPoP proofs: every check of RFC 9449, section 4.3, each with a proof that lacks just that."""

import base64
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from billfold_server.identity.tokens.dpop import Keys, Nonces, Proof, ProofRefused, check_proof, normalised
from tests.server.identity.tokens.proofs import Prover, ath_of, segment

URL = "https://wallet.example/t/alpha/oauth/token"
ALL = ("PS256", "ES256", "EdDSA")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
PROVER = Prover()


def check(proof: str, **changes: Any) -> Proof:
    """Check a proof of a POST to the token endpoint."""
    said: dict[str, Any] = {"method": "POST", "urls": {URL}, "algorithms": ALL, "now": NOW, **changes}
    return check_proof(proof, keys=Keys(), **said)


def made(url: str = URL, method: str = "POST", **changes: Any) -> str:
    """Return a proof, right but for the changes."""
    return PROVER.proof(method, url, **{"iat": NOW_S, **changes})


class TestAProof:
    @pytest.mark.parametrize("alg", [*ALL, "Ed25519"])
    def test_holds_by_each_algorithm_of_the_profiles(self, alg) -> None:
        """PS256, ES256 and EdDSA, by either of its names, sign; the answer names the key by its thumbprint."""
        prover = Prover(alg)
        proof = check(prover.proof("POST", URL, iat=NOW_S, jti="one", nonce="n"))
        assert (proof.jkt, proof.jti, proof.nonce) == (prover.jkt, "one", "n")
        assert proof.expires_at == NOW + timedelta(seconds=60)

    @pytest.mark.parametrize(
        "changes",
        [
            {"url": "HTTPS://WALLET.EXAMPLE:443/t/alpha/oauth/token"},
            {"url": URL + "?grant_type=x#y"},
            {"url": "https://wallet.example/t/%61lpha/oauth/token"},
            {"iat": NOW_S - 10},
            {"iat": NOW_S + 10},
            {"iat": NOW_S + 0.5},
            {"nbf": NOW_S, "exp": NOW_S + 60},
            {"header": {"kid": "mine", "jku": "https://elsewhere.example/keys"}},
            {"more": "of it"},
        ],
    )
    def test_holds_however_it_is_spelled(self, changes) -> None:
        """Addresses are compared after normalisation, without query and fragment; what isn't known is ignored."""
        assert check(made(**changes)).jkt == PROVER.jkt

    @pytest.mark.parametrize(
        "changes",
        [
            {"method": "GET"},
            {"method": "post"},
            {"url": "https://wallet.example/t/beta/oauth/token"},
            {"url": "http://wallet.example/t/alpha/oauth/token"},
            {"url": "https://wallet.example:8443/t/alpha/oauth/token"},
            {"url": "https://x@wallet.example/t/alpha/oauth/token"},
            {"url": "https://[wallet.example/t/alpha/oauth/token"},
            {"url": ""},
            {"iat": NOW_S - 61},
            {"iat": NOW_S + 16},
            {"iat": None},
            {"iat": str(NOW_S)},
            {"exp": NOW_S},
            {"exp": NOW_S - 300},
            {"nbf": NOW_S + 60},
            {"jti": None},
            {"jti": ""},
            {"jti": "x" * 257},
            {"jti": 7},
            {"header": {"typ": "jwt"}},
            {"header": {"typ": None}},
            {"header": {"jwk": None}},
            {"header": {"jwk": "x"}},
            {"header": {"crit": ["b64"], "b64": True}},
            {"header": {"jwk": PROVER.key.as_dict(private=True)}},
            {"header": {"jwk": ECKey.generate_key("P-256").as_dict(private=False)}},
            {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}},
        ],
    )
    def test_is_refused_where_it_lacks_something(self, changes) -> None:
        """Another method, address or time, no id, another type, extensions, a private key, or not its signature."""
        try:
            proof = made(**changes)
        except Exception:  # noqa: BLE001 - the library won't sign what it can't read itself
            header = {"typ": "dpop+jwt", "alg": "ES256", **changes.get("header", {})}
            proof = f"{segment(header)}.{segment({})}.AAAA"
        with pytest.raises(ProofRefused) as refused:
            check(proof)
        assert refused.value.error == "invalid_dpop_proof"

    def test_is_never_signed_by_what_the_server_doesnt_take(self) -> None:
        """RS256, a MAC by the public key, none, and what this profile doesn't take."""
        rsa = Prover("RS256")
        mac = PROVER.proof("POST", URL, iat=NOW_S)
        head, body, _ = mac.split(".")
        symmetric = OctKey.import_key("a secret that is long enough for it").as_dict(private=True)
        attempts = [
            rsa.proof("POST", URL, iat=NOW_S),
            f"{segment({'typ': 'dpop+jwt', 'alg': 'none', 'jwk': PROVER.key.as_dict(private=False)})}.{body}.",
            f"{segment({'typ': 'dpop+jwt', 'alg': 'none', 'jwk': PROVER.key.as_dict(private=False)})}.{body}.AA",
            f"{segment({'typ': 'dpop+jwt', 'alg': 'HS256', 'jwk': symmetric})}.{body}.AAAA",
            f"{segment({'typ': 'dpop+jwt', 'alg': 'ES256', 'jwk': symmetric})}.{body}.AAAA",
            f"{head}.{body}.",
            f"{head}.{body}",
            f"{mac}, {mac}",
            "x" * 9000,
            "",
        ]
        for attempt in attempts:
            with pytest.raises(ProofRefused):
                check(attempt)
        with pytest.raises(ProofRefused):
            check(Prover("EdDSA").proof("POST", URL, iat=NOW_S), algorithms=("PS256", "ES256"))

    def test_by_a_key_that_costs_too_much_is_refused(self) -> None:
        """A stranger's RSA key may be neither short nor huge, nor have an exponent that takes forever."""
        short = Prover("PS256")
        with warnings.catch_warnings(action="ignore"):
            short.key = RSAKey.generate_key(1024)
        usual = Prover("PS256").key.as_dict(private=False)
        slow = {**usual, "e": base64.urlsafe_b64encode(b"\x7f" * 128).rstrip(b"=").decode()}
        huge = {**usual, "n": base64.urlsafe_b64encode(b"\xff" * 1024).rstrip(b"=").decode()}
        attempts = [short.proof("POST", URL, iat=NOW_S)]
        attempts += [
            f"{segment({'typ': 'dpop+jwt', 'alg': 'PS256', 'jwk': jwk})}.{segment({})}.AAAA" for jwk in (slow, huge)
        ]
        for attempt in attempts:
            with pytest.raises(ProofRefused):
                check(attempt)

    def test_is_made_for_the_token_beside_it(self) -> None:
        """At a resource the proof holds the token's digest (section 4.3, item 12)."""
        assert check(made(token="one"), ath=ath_of("one")).jkt == PROVER.jkt
        for proof in (made(), made(token="two"), made(ath=ath_of("one")[:-1]), made(ath="é")):
            with pytest.raises(ProofRefused):
                check(proof, ath=ath_of("one"))


class TestANonce:
    def test_is_good_for_some_minutes_in_its_realm(self) -> None:
        """No worker remembers one; another realm's, another deployment's and tomorrow's are worth nothing."""
        nonces, other_worker = Nonces(b"key"), Nonces(b"key")
        nonce = nonces.current("alpha", NOW)
        assert nonce == other_worker.current("alpha", NOW)
        assert other_worker.is_valid(nonce, "alpha", NOW + timedelta(seconds=200))
        assert other_worker.is_valid(nonce, "alpha", NOW - timedelta(seconds=5))
        assert not other_worker.is_valid(nonce, "alpha", NOW + timedelta(seconds=301))
        assert not other_worker.is_valid(nonce, "alpha", NOW - timedelta(seconds=121))
        assert not other_worker.is_valid(nonce, "beta", NOW)
        assert not Nonces(b"other").is_valid(nonce, "alpha", NOW)
        assert not nonces.is_valid("é" + nonce[1:], "alpha", NOW)

    def test_is_in_the_characters_of_the_standard(self) -> None:
        """NQCHAR (RFC 9449, section 8.1), so that it fits into a header."""
        assert set(Nonces(b"key").current("alpha", NOW)) <= {chr(code) for code in range(0x21, 0x7F)} - {'"', "\\"}


class TestAnAddress:
    @pytest.mark.parametrize("url", ["ftp://a.example/", "/path", "https://", "https://a.example:x/", "javascript:1"])
    def test_that_cant_be_ours_equals_none(self, url) -> None:
        """It becomes empty."""
        assert normalised(url) == ""

    def test_has_one_spelling(self) -> None:
        """Case of scheme and host, the default port, an empty path, percent-encoding."""
        assert normalised("HTTPS://A.example:443") == normalised("https://a.example/") == "https://a.example/"
        assert normalised("http://[::1]:8000/%7Ex") == "http://[::1]:8000/~x"
