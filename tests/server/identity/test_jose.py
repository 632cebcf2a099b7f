"""Signing and verifying: which algorithm and which key, and what a header can't change."""

import base64
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from billfold_server.identity import jose
from billfold_server.identity.profiles import SigningAlgorithm

KEYS: dict[SigningAlgorithm, jose.SigningKey] = {
    "PS256": RSAKey.generate_key(2048),
    "ES256": ECKey.generate_key("P-256"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
}
ALGORITHMS: list[SigningAlgorithm] = list(KEYS)
CLAIMS = {"sub": "cli_1", "n": 1}


def with_header(token: str, **changes: Any) -> str:
    """Return a token whose header says something else; its signature covers the old one."""
    header, rest = token.split(".", 1)
    said = json.loads(base64.urlsafe_b64decode(header + "==")) | changes
    return f"{base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip('=')}.{rest}"


@pytest.mark.parametrize("alg", ALGORITHMS)
class TestAToken:
    def test_is_verified_by_the_key_that_signed_it(self, alg: SigningAlgorithm) -> None:
        """Each algorithm signs and verifies, and says whose key it was."""
        token = jose.read(jose.sign(CLAIMS, KEYS[alg], alg=alg, kid="k", typ="at+jwt"))
        public = jose.import_key(KEYS[alg].as_dict(private=False))
        assert (token.alg, token.kid, token.typ) == (alg, "k", "at+jwt")
        assert jose.verify(token, public, alg=alg, types={"at+jwt"}) == CLAIMS

    def test_is_refused_by_another_algorithm_than_the_key_has(self, alg: SigningAlgorithm) -> None:
        """What the header says is compared, never followed."""
        token = jose.read(jose.sign(CLAIMS, KEYS[alg], alg=alg, kid="k", typ="at+jwt"))
        for other in set(ALGORITHMS) - {alg}:
            for key in (KEYS[alg], KEYS[other]):
                with pytest.raises(jose.SignatureInvalid):
                    jose.verify(token, key, alg=other, types={"at+jwt"})

    @pytest.mark.parametrize("said", ["none", "HS256", "RS256", "ES384", "Ed25519", "ps256", ""])
    def test_that_names_another_algorithm_is_refused(self, alg: SigningAlgorithm, said: str) -> None:
        """Whatever it is called, it isn't the key's algorithm."""
        token = jose.read(with_header(jose.sign(CLAIMS, KEYS[alg], alg=alg, kid="k", typ="at+jwt"), alg=said))
        with pytest.raises(jose.SignatureInvalid):
            jose.verify(token, KEYS[alg], alg=alg, types={"at+jwt"})

    def test_of_another_type_is_refused(self, alg: SigningAlgorithm) -> None:
        """A token for one use passes for none of another; the media type's prefix and case don't matter."""
        for typ, accepted in (("at+jwt", True), ("application/AT+JWT", True), ("JWT", False), ("dpop+jwt", False)):
            token = jose.read(jose.sign(CLAIMS, KEYS[alg], alg=alg, kid="k", typ=typ))
            if accepted:
                assert jose.verify(token, KEYS[alg], alg=alg, types={"at+jwt"}) == CLAIMS
            else:
                with pytest.raises(jose.SignatureInvalid):
                    jose.verify(token, KEYS[alg], alg=alg, types={"at+jwt"})


class TestAHeader:
    @pytest.mark.parametrize(
        "tricks",
        [
            {"jku": "https://attacker.example/jwks"},
            {"x5u": "https://attacker.example/cert"},
            {"x5c": ["MIIB"]},
            {"jwk": {"kty": "oct", "k": "AA"}},
            {"crit": ["b64"]},
            {"b64": False},
            {"zip": "DEF"},
            {"kid": 1},
            {"alg": None},
        ],
    )
    def test_that_tries_to_choose_is_refused(self, tricks: dict[str, Any]) -> None:
        """What brings a key, says where one is or changes how the token is read isn't even looked at."""
        with pytest.raises(jose.SignatureInvalid):
            jose.read(with_header(jose.sign(CLAIMS, KEYS["ES256"], alg="ES256", kid="k", typ="JWT"), **tricks))

    @pytest.mark.parametrize(
        "text", ["", ".", "a.b", "a.b.c", "e30.e30.", "e30.e30.e30.e30.e30", "é.é.é", "W10.e30.AA"]
    )
    def test_that_is_none_is_refused(self, text: str) -> None:
        """Anything may come from outside."""
        with pytest.raises(jose.SignatureInvalid):
            jose.read(text)
