"""Detached signatures of open banking: made for others to verify, and verified as strictly as others should."""

import base64
import json
from typing import Any

import pytest
from joserfc import jwk, jws

from billfold.auth import _jwt as jwt
from billfold.consents import signatures
from billfold.keys import PemKey
from tests.sdk.keys.made import KEYS

KEY = KEYS["PS256"]
BODY = '{"Data":{"Reference":"Müller"}}'.encode()
NOW = 1_795_000_000.0
IAT, ISS, TAN = (f"http://openbanking.org.uk/{name}" for name in ("iat", "iss", "tan"))


def b64(data: bytes) -> str:
    """Return bytes in the base64 of JOSE."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(body: bytes = BODY, key: PemKey = KEY) -> str:
    """Return the signature of a body."""
    data = signatures.signing_input(key, body, issuer="org/software", trust_anchor="openbanking.org.uk", now=NOW)
    return signatures.detached(data, key.sign(data))


def forged(key: PemKey = KEY, body: bytes = BODY, **changes: Any) -> str:
    """Return a signature by the right key, with another header. A member that is None is left out."""
    header = {
        "alg": "PS256",
        "kid": key.kid,
        "crit": [IAT, ISS, TAN],
        IAT: int(NOW),
        ISS: "https://bank.example",
        TAN: "bank.example",
        **changes,
    }
    head = b64(json.dumps({name: value for name, value in header.items() if value is not None}).encode())
    return f"{head}..{b64(key.sign(f'{head}.{b64(body)}'.encode()))}"


class TestASignature:
    def test_is_one_that_others_verify(self):
        """Joserfc finds the key's signature over header and body, in base64url both, without ``b64``."""
        head, middle, signature = signed().split(".")
        header = json.loads(base64.urlsafe_b64decode(head + "=="))
        assert (middle, header["alg"], header["kid"], header["typ"]) == ("", "PS256", KEY.kid, "JOSE")
        assert header["crit"] == [IAT, ISS, TAN]
        assert (header[IAT], header[ISS], header[TAN]) == (int(NOW), "org/software", "openbanking.org.uk")
        data = f"{head}.{b64(BODY)}".encode()
        public = jwk.import_key(dict(KEY.public_jwk))
        assert jws.JWSRegistry.algorithms["PS256"].verify(data, base64.urlsafe_b64decode(signature + "=="), public)

    def test_is_verified(self):
        """What was made here is believed here, until a byte of the body is another."""
        header = signatures.verify(signed(), BODY, KEY.jwks()["keys"], now=NOW)
        assert header[ISS] == "org/software"
        with pytest.raises(jwt.Rejected):
            signatures.verify(signed(), BODY + b" ", KEY.jwks()["keys"], now=NOW)

    def test_needs_a_key_for_it(self):
        """A key on a curve signs nothing here."""
        with pytest.raises(ValueError, match="PS256"):
            signed(key=PemKey.generate("ES256"))

    def test_of_a_large_body_is_verified(self):
        """The bound on tokens isn't one on bodies."""
        body = b'"' + b"x" * 200_000 + b'"'
        assert signatures.verify(signed(body), body, KEY.jwks()["keys"], now=NOW)


class TestAForgedSignature:
    @pytest.mark.parametrize(
        "changes",
        [
            {"alg": "none"},
            {"alg": "RS256"},
            {"alg": "HS256"},
            {"b64": False},
            {"crit": None},
            {"crit": [IAT]},
            {"crit": [IAT, ISS, TAN, "exp"]},
            {"crit": "x"},
            {ISS: None},
            {TAN: None},
            {IAT: None},
            {IAT: "now"},
            {IAT: int(NOW) + 3600},
            {"kid": "other"},
        ],
        ids=str,
    )
    def test_is_not_believed(self, changes: dict[str, Any]):
        """Neither another algorithm, nor an extension more or less, nor a time that is yet to come."""
        assert signatures.verify(forged(), BODY, KEY.jwks()["keys"], now=NOW)
        with pytest.raises(jwt.Rejected):
            signatures.verify(forged(**changes), BODY, KEY.jwks()["keys"], now=NOW)

    def test_by_another_key_of_the_same_name_is_not_believed(self):
        """The name of a key is not the key."""
        other = PemKey.generate("PS256")
        with pytest.raises(jwt.Rejected):
            signatures.verify(forged(other, kid=KEY.kid), BODY, KEY.jwks()["keys"], now=NOW)

    @pytest.mark.parametrize("text", ["", "..", "a.b.c", "x..y", "....", "é..e", "." * 9000], ids=lambda text: text[:9])
    def test_of_no_form_is_not_believed(self, text: str):
        """Whatever comes in the header is refused in one way."""
        with pytest.raises(jwt.Rejected):
            signatures.verify(text, BODY, KEY.jwks()["keys"], now=NOW)

    def test_by_a_key_that_is_not_known_yet_asks_for_newer_keys(self):
        """A bank that has a new key is asked for it, once."""
        with pytest.raises(jwt.Rejected) as caught:
            signatures.verify(forged(), BODY, [], now=NOW)
        assert caught.value.unknown_key
