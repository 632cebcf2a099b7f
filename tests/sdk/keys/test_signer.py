"""How public keys are named and written (billfold.keys.signer)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk as joserfc_jwk

from billfold.keys import KeyUnusable, PemKey, thumbprint
from billfold.keys.signer import algorithm_of, b64url, bare, unb64url
from tests.shared_files import shared_path

RFC_7638 = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB"
    "ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-"
    "65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"
    "bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
RFC_8037 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC_9449 = {
    "kty": "EC",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    "crv": "P-256",
}


class TestAThumbprint:
    @pytest.mark.parametrize(
        ("jwk", "expected"),
        [
            (RFC_7638, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (RFC_8037, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
            (RFC_9449, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
        ],
        ids=["RFC 7638, section 3.1", "RFC 8037, appendix A.3", "RFC 9449, section 6.1"],
    )
    def test_is_that_of_the_rfcs(self, jwk: dict[str, str], expected: str):
        """The published examples of all three kinds of key."""
        assert thumbprint(jwk) == expected

    @pytest.mark.parametrize("algorithm", ["ES256", "PS256", "EdDSA"])
    def test_is_the_same_as_joserfc_finds(self, algorithm: Any):
        """Another library names a fresh key alike."""
        public = PemKey.generate(algorithm).public_jwk
        assert joserfc_jwk.import_key({**bare(public)}).thumbprint() == public["kid"]

    def test_does_not_depend_on_what_is_not_the_key(self):
        """Names, uses and the order of members change nothing."""
        turned = dict(reversed(RFC_9449.items()))
        assert thumbprint({"kid": "x", "use": "sig", **turned}) == thumbprint(RFC_9449)

    @pytest.mark.parametrize(
        "jwk", [{}, {"kty": "oct", "k": "AA"}, {"kty": "EC", "crv": "P-256", "x": "AA"}, {**RFC_9449, "y": 1}]
    )
    def test_is_of_whole_public_keys_only(self, jwk: dict[str, Any]):
        """A secret, half a key, and what isn't one are refused."""
        with pytest.raises(KeyUnusable):
            thumbprint(jwk)


class TestTheOneAlgorithmOfAKey:
    @pytest.mark.parametrize(
        ("jwk", "algorithm"),
        [
            (RFC_9449, "ES256"),
            (RFC_7638, "PS256"),
            (RFC_8037, "EdDSA"),
            ({**RFC_9449, "crv": "P-384"}, None),
            ({**RFC_8037, "crv": "X25519"}, None),
            ({"kty": "oct", "k": "AA"}, None),
            ({}, None),
        ],
    )
    def test_follows_from_its_kind(self, jwk: dict[str, Any], algorithm: str | None):
        """Whatever ``alg`` it or a signature claims, and none for a kind that isn't used."""
        assert algorithm_of(jwk) == algorithm


class TestBase64:
    @given(st.binary(max_size=200))
    def test_comes_back(self, data: bytes):
        """Any bytes survive."""
        assert unb64url(b64url(data)) == data

    @pytest.mark.parametrize("text", ["A", "AA==", "A A", "AB", "A+/A", "Ä", "AA\n"])
    def test_has_one_form_only(self, text: str):
        """Padding, other alphabets, spaces, and bits that nobody reads are refused."""
        with pytest.raises(ValueError):  # noqa: PT011  # Both of its kinds are meant.
            unb64url(text)


class TestPublishedKeys:
    def test_have_an_algorithm_or_none(self):
        """Of Wycheproof's public keys, only those of the three kinds get an algorithm, and all of these a name."""
        groups = json.loads(shared_path("vectors", "wycheproof", "json_web_signature_test.json").read_text())[
            "testGroups"
        ]
        keys = [group["public"] for group in groups if "public" in group]
        kinds = {(each["kty"], each.get("crv")): algorithm_of(each) for each in keys}
        assert kinds == {("EC", "P-256"): "ES256", ("EC", "P-521"): None, ("RSA", None): "PS256"}
        assert all(len(unb64url(thumbprint(each))) == 32 for each in keys)
