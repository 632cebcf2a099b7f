"""Signed tokens: which are believed, and which aren't (billfold.auth._jwt)."""

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.auth import _jwt as jwt
from billfold.keys import PemKey
from billfold.keys.signer import b64url
from tests.sdk.keys.made import ALGORITHMS, KEYS
from tests.shared_files import shared_path

SET = [KEYS[algorithm].public_jwk for algorithm in ALGORITHMS]
CLAIMS = {"iss": "https://h", "sub": "user-1"}


def token(key: PemKey = KEYS["ES256"], claims: Any = CLAIMS, **header: Any) -> str:
    """Return a token with any header."""
    head = {"alg": key.algorithm, "kid": key.kid, **header}
    data = ".".join(b64url(json.dumps(each).encode()) for each in (head, claims)).encode()
    return jwt.compact(data, key.sign(data))


def refused(text: str, keys: Any = SET, **options: Any) -> jwt.Rejected:
    """Return why a token isn't believed."""
    with pytest.raises(jwt.Rejected) as caught:
        jwt.verified(text, keys, **options)
    return caught.value


class TestAToken:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_is_believed_by_its_issuers_key(self, algorithm: str):
        """Each algorithm, found by its name among the others' keys."""
        assert jwt.verified(token(KEYS[algorithm]), SET) == CLAIMS

    def test_without_a_name_needs_a_key_alone(self):
        """One key of its kind is enough; of two, nobody knows which."""
        text = token(kid=None)
        bare = ".".join([b64url(json.dumps({"alg": "ES256"}).encode()), text.split(".")[1]])
        text = jwt.compact(bare.encode(), KEYS["ES256"].sign(bare.encode()))
        assert jwt.verified(text, SET) == CLAIMS
        assert not refused(text, [*SET, PemKey.generate("ES256").public_jwk]).unknown_key

    def test_of_an_unknown_key_says_so(self):
        """Then a newer set may help."""
        assert refused(token(PemKey.generate("ES256"))).unknown_key
        assert refused(token(), []).unknown_key

    def test_of_two_keys_of_one_name_is_refused(self):
        """Which of them is meant is nobody's guess."""
        twin = {**PemKey.generate("ES256").public_jwk, "kid": KEYS["ES256"].kid}
        assert not refused(token(), [*SET, twin]).unknown_key

    def test_that_is_refused_says_what_is_to_blame(self):
        """Its key, its signature, or what it is; who has to tell somebody else has a code for each."""
        other = token(claims={"iss": "https://other"})
        text = ".".join([*token().split(".")[:2], other.split(".")[2]])
        assert refused(text).because == "signature"
        assert {refused(token(), []).because, refused(token(alg="none")).because} == {"key"}
        assert {refused(token(crit=["x"])).because, refused("x").because} == {"form"}

    @given(st.integers(0, 2000), st.sampled_from("ABab01-_."))
    def test_is_spoiled_by_any_change(self, place: int, character: str):
        """Wherever a character is another, the signature or the form is wrong."""
        text = token()
        place %= len(text)
        changed = text[:place] + character + text[place + 1 :]
        if changed != text:
            refused(changed)

    @given(st.text(max_size=200))
    def test_is_never_an_error_of_another_kind(self, text: str):
        """Any text is refused, and none breaks the reader."""
        refused(text)
        refused(f"{b64url(text.encode())}.{b64url(text.encode())}.AA")


class TestAnAttack:
    def test_by_no_signature_fails(self):
        """``none`` in any spelling isn't among the algorithms."""
        body = token().split(".")[1]
        for name in ("none", "None", "NONE", "nOnE", ""):
            head = b64url(json.dumps({"alg": name, "kid": KEYS["ES256"].kid}).encode())
            for text in (f"{head}.{body}.", f"{head}.{body}.AA", f"{head}.{body}"):
                refused(text)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_by_the_public_key_as_a_secret_fails(self, algorithm: str):
        """HMAC with what everybody knows: the key, not the token, decides the algorithm."""
        public = KEYS[algorithm].public_jwk
        head = b64url(json.dumps({"alg": "HS256", "kid": public["kid"]}).encode())
        data = f"{head}.{token().split('.')[1]}".encode()
        for secret in (json.dumps(public).encode(), public.get("x", public.get("n", "")).encode()):
            refused(jwt.compact(data, hmac.digest(secret, data, "sha256")))

    @pytest.mark.parametrize("claimed", ["RS256", "ES384", "ES512", "PS384", "ES256K", "Ed25519", "PS256", "EdDSA"])
    def test_by_another_algorithm_fails(self, claimed: str):
        """A P-256 key verifies ES256 and nothing else, and nothing that isn't allowed is tried."""
        refused(token(alg=claimed))
        assert refused(token(KEYS["EdDSA"]), algorithms=["ES256"]).reason.startswith("its algorithm")

    def test_by_a_key_in_the_token_fails(self):
        """``jwk``, ``jku``, ``x5u`` and ``x5c`` are of whoever wrote them."""
        own = PemKey.generate("ES256")
        for header in (
            {"jwk": own.public_jwk},
            {"jku": "https://evil.example/jwks"},
            {"x5u": "https://evil.example/x"},
        ):
            refused(token(own, **header))
            refused(token(own, **{**header, "kid": KEYS["ES256"].kid}))
            assert jwt.verified(token(**header), SET) == CLAIMS

    @pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "", 7, ["a"], {"a": 1}, None])
    def test_by_a_keys_name_fails(self, kid: Any):
        """A name is compared and nothing else; None is no name, and fits the one key."""
        if kid is None:
            assert jwt.verified(token(kid=None), SET) == CLAIMS
        else:
            refused(token(kid=kid))

    @pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}])
    def test_by_an_extension_fails(self, header: dict[str, Any]):
        """What we don't know can't be honoured (RFC 7515, section 4.1.11; RFC 7797)."""
        refused(token(**header))

    @pytest.mark.parametrize(
        "jwk",
        [
            {"use": "enc"},
            {"key_ops": ["sign"]},
            {"alg": "ES384"},
            {"crv": "P-384"},
            {"y": KEYS["ES256"].public_jwk["x"]},
            {"x": "!"},
        ],
    )
    def test_by_a_key_for_something_else_fails(self, jwk: dict[str, Any]):
        """A key for encryption, for another algorithm, or off its curve."""
        refused(token(), [{**KEYS["ES256"].public_jwk, **jwk}])

    def test_by_a_small_rsa_key_fails(self):
        """Less than 2048 bits may have been factored."""
        refused(token(KEYS["PS256"]), [{**KEYS["PS256"].public_jwk, "n": KEYS["PS256"].public_jwk["n"][:171]}])

    @pytest.mark.parametrize(
        "part",
        [
            b'{"alg":"ES256","alg":"none"}',
            b"[]",
            b'"text"',
            b"{",
            b"\xff",
            b'{"a":NaN}',
            b"[" * 100_000,
        ],
    )
    def test_by_a_strange_part_fails(self, part: bytes):
        """Twins, what isn't an object, what isn't JSON: in the header, and in the claims although they are signed."""
        head, body, signature = token().split(".")
        refused(f"{b64url(part)}.{body}.{signature}")
        data = f"{head}.{b64url(part)}".encode()
        refused(jwt.compact(data, KEYS["ES256"].sign(data)))

    def test_by_another_kind_of_token_fails(self):
        """Where a kind is asked for, one of another kind isn't taken, signed as it is (RFC 8725, section 3.11)."""
        refused(token(typ="at+jwt"), typ=["token-introspection+jwt"])
        refused(token(), typ=["token-introspection+jwt"])
        assert jwt.verified(token(typ="application/Dpop+JWT"), SET, typ=["dpop+jwt"]) == CLAIMS

    def test_by_another_form_of_base64_fails(self):
        """Padding, standard characters, and bits that nobody reads would give one token two forms."""
        head, body, signature = token().split(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        for other in (f"{signature}==", base64.b64encode(raw).decode(), signature[:-1] + chr(ord(signature[-1]) + 1)):
            if other != signature:
                refused(f"{head}.{body}.{other}")

    def test_by_size_fails(self):
        """A token that is larger than any we know isn't looked at."""
        refused(token(claims={"a": "x" * 70_000}))


class TestPublishedSignatures:
    def test_of_wycheproof_are_told_apart(self):
        """Every invalid one is refused; every valid one of ours is believed, but for what isn't an object."""
        groups = json.loads(shared_path("vectors", "wycheproof", "json_web_signature_test.json").read_text())[
            "testGroups"
        ]
        checked = {"valid": 0, "invalid": 0}
        for group in groups:
            public = group.get("public", {})
            for test in group["tests"]:
                text = test["jws"] if isinstance(test["jws"], str) else json.dumps(test["jws"])
                # One of theirs is signed by another algorithm than its key is for, which we refuse.
                ours = public.get("alg") in ALGORITHMS and test["result"] == "valid" and test["comment"] != "Figure20"
                reason = refused(text, [public]).reason
                # Their payloads are bytes, not claims: one whose signature is right gets as far as that.
                believed = reason.startswith("its claims")
                assert believed or not ours, test
                assert not believed or test["result"] != "invalid", test
                checked[test["result"]] = checked.get(test["result"], 0) + 1
        assert checked["valid"] > 20
        assert checked["invalid"] > 100
