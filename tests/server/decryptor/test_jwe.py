"""What is taken of what is encrypted to a key, and what isn't."""

import base64
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe as foreign
from joserfc.jwk import ECKey

from billfold_server.decryptor import jwe
from billfold_server.decryptor.jwe import JweInvalid, ResponseKeyInvalid
from tests.shared_files import shared_path

KEY = ECKey.generate_key("P-256")
PAYLOAD = b'{"number":"4111111111111111"}'
HEADER = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": "enk_1", "aud": "https://wallet.example/t/alpha"}


_KNOWN = foreign.JWERegistry.algorithms
ANYTHING = foreign.JWERegistry(
    algorithms=[*_KNOWN["alg"], *_KNOWN["enc"], *_KNOWN["zip"]],
    strict_check_header=False,
)


def made(header: dict[str, Any] | None = None, payload: bytes = PAYLOAD, key: ECKey = KEY) -> str:
    """Return a JWE as a foreign library makes it."""
    return foreign.encrypt_compact(dict(header or HEADER), payload, key, registry=ANYTHING)


def opened(text: str, key: ECKey = KEY) -> bytes:
    """Return what it holds, read as ours."""
    return jwe.open_payload(jwe.read(text), private(key))


def private(key: ECKey) -> EllipticCurvePrivateKey:
    """Return a private key of the foreign library as ours."""
    raw = key.raw_value
    assert isinstance(raw, EllipticCurvePrivateKey)
    return raw


def changed(text: str, **members: Any) -> str:
    """Return a JWE whose header says something else, or no more says something."""
    head, *rest = text.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "==")) | members
    header = {name: value for name, value in header.items() if value is not None}
    return ".".join([b64(json.dumps(header).encode()), *rest])


def b64(data: bytes) -> str:
    """Return bytes in the base64 of JOSE."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TestAJweOpens:
    def test_that_was_made_as_documented(self):
        """What a foreign library makes is read."""
        assert opened(made()) == PAYLOAD
        assert jwe.read(made()).header.kid == "enk_1"

    def test_by_its_own_key_alone(self):
        """Another key of the same kind doesn't open it."""
        with pytest.raises(JweInvalid):
            opened(made(), ECKey.generate_key("P-256"))


class TestAJweIsRefused:
    @pytest.mark.parametrize(
        "members",
        [
            {"zip": "DEF"},
            {"crit": ["b64"], "b64": False},
            {"crit": []},
            {"b64": True},
            {"apu": "QWxpY2U"},
            {"apv": "Qm9i"},
            {"jku": "https://elsewhere.example/jwks.json"},
            {"jwk": {}},
            {"x5u": "https://elsewhere.example/x"},
            {"cty": "JWT"},
            {"p2c": 10_000_000},
            {"alg": "ECDH-ES+A256KW"},
            {"alg": "dir"},
            {"alg": "RSA-OAEP"},
            {"alg": None},
            {"enc": "A128GCM"},
            {"enc": "A256CBC-HS512"},
            {"enc": None},
            {"kid": None},
            {"kid": ["enk_1"]},
            {"kid": "x" * 65},
            {"aud": None},
            {"aud": ["https://wallet.example/t/alpha"]},
            {"epk": None},
            {"epk": {"kty": "EC", "crv": "P-384", "x": "A" * 64, "y": "A" * 64}},
            {"epk": {"kty": "OKP", "crv": "X25519", "x": "A" * 43}},
            {"epk": {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43, "d": "A" * 43}},
            {"epk": {"kty": "EC", "crv": "P-256", "x": "A" * 43}},
        ],
    )
    def test_whose_header_says_anything_else(self, members):
        """Nothing is computed with what a header says that it may not say."""
        with pytest.raises(JweInvalid):
            jwe.read(changed(made(), **members))

    @pytest.mark.parametrize("alg", ["ECDH-ES+A128KW", "ECDH-ES+A256KW"])
    def test_though_it_would_open(self, alg):
        """A sound JWE of another algorithm to the same key is refused."""
        with pytest.raises(JweInvalid):
            opened(made({**HEADER, "alg": alg}))

    def test_that_is_compressed(self):
        """A bomb isn't unpacked, though its tag is right."""
        with pytest.raises(JweInvalid):
            opened(made({**HEADER, "zip": "DEF"}, b"0" * 10_000_000))

    @pytest.mark.parametrize(
        "point", [("A" * 43, "A" * 43), ("_" * 42 + "8", "_" * 42 + "8"), ("A" * 42 + "E", "A" * 43)]
    )
    def test_whose_point_isnt_on_the_curve(self, point):
        """Points off the curve, the origin among them, are met with a refusal (RFC 8725, section 3.4)."""
        x, y = point
        with pytest.raises(JweInvalid):
            opened(changed(made(), epk={"kty": "EC", "crv": "P-256", "x": x, "y": y}))

    @pytest.mark.parametrize("at", range(5))
    def test_of_which_a_part_is_missing(self, at):
        """Every part but the empty key must be there."""
        parts = made().split(".")
        parts[at] = "" if parts[at] else "AAAA"
        with pytest.raises(JweInvalid):
            opened(".".join(parts))

    @pytest.mark.parametrize("length", range(12, 16))
    def test_whose_tag_was_shortened(self, length):
        """All 128 bits of the tag count."""
        head, empty, nonce, ciphertext, tag = made().split(".")
        short = b64(base64.urlsafe_b64decode(tag + "==")[:length])
        with pytest.raises(JweInvalid):
            opened(f"{head}.{empty}.{nonce}.{ciphertext}.{short}")

    @pytest.mark.parametrize("part", [0, 2, 3, 4])
    def test_of_which_a_bit_was_changed(self, part):
        """Header, nonce, ciphertext and tag are authentic together."""
        parts = made().split(".")
        data = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
        data[-1] ^= 1
        parts[part] = b64(bytes(data))
        with pytest.raises(JweInvalid):
            opened(".".join(parts))

    @pytest.mark.parametrize(
        "text",
        ["", ".", "....", "a.b.c.d.e", "é" * 100, made() + "\n", " " + made(), made() + "."],
        ids=["empty", "two", "five empty", "five", "no ASCII", "with a line's end", "after a space", "six"],
    )
    def test_of_another_form(self, text):
        """What isn't a compact JWE to the letter is refused."""
        with pytest.raises(JweInvalid):
            opened(text)

    def test_that_hides_bits(self):
        """The last characters have one form alone."""
        head, *rest = made({**HEADER, "aud": "https://wallet.example/t/a"}).split(".")
        assert len(head) % 4 in {2, 3}
        other = chr(ord(head[-1]) + 1)
        with pytest.raises(JweInvalid):
            jwe.read(".".join([head[:-1] + other, *rest]))

    def test_that_is_too_large(self):
        """A JWE of more than eight thousand characters isn't even read."""
        with pytest.raises(JweInvalid):
            jwe.read(made(payload=b"0" * 8_000))

    def test_that_nests_without_end(self):
        """Neither depth nor width of a header does any harm."""
        deep = b64(b'{"epk":' * 300 + b"1" + b"}" * 300)
        with pytest.raises(JweInvalid):
            jwe.read(f"{deep}..{'A' * 16}.AAAA.{'A' * 22}")

    @given(st.text(alphabet="AQgw-_.e", max_size=200))
    def test_whatever_it_is(self, text):
        """No text makes it fail otherwise."""
        with pytest.raises(JweInvalid):
            opened(text)


class TestAResponse:
    def test_opens_by_the_callers_key(self):
        """What goes out is read by a foreign library."""
        caller = ECKey.generate_key("P-256", {"kid": "mine"})
        text = jwe.seal_payload(PAYLOAD, jwe.public_key({**caller.as_dict(private=False), "use": "enc"}))
        found = foreign.decrypt_compact(text, caller, algorithms=["ECDH-ES", "A256GCM"])
        assert found.plaintext == PAYLOAD
        assert found.protected["kid"] == "mine"

    def test_is_another_one_each_time(self):
        """Each response has an ephemeral key and a nonce of its own."""
        key = jwe.public_key(ECKey.generate_key("P-256").as_dict(private=False))
        assert len({jwe.seal_payload(PAYLOAD, key).split(".")[part] for part in (0, 2, 3) for _ in range(20)}) == 60

    @pytest.mark.parametrize(
        "changes",
        [
            {"d": "A" * 43},
            {"kty": "RSA"},
            {"kty": "OKP", "crv": "X25519"},
            {"crv": "P-384"},
            {"crv": "secp256k1"},
            {"x": "A" * 43, "y": "A" * 43},
            {"x": "A" * 42 + "B"},
            {"x": "A" * 44},
            {"x": 1},
            {"y": None},
            {"use": "sig"},
            {"alg": "ES256"},
            {"alg": "ECDH-ES+A256KW"},
            {"key_ops": ["deriveKey"]},
            {"x5c": ["AAAA"]},
            {"kid": ""},
            {"kid": "x" * 201},
        ],
    )
    def test_goes_to_no_key_of_another_kind(self, changes):
        """Private keys, other curves, points off the curve, and keys for something else are refused."""
        jwk = {**ECKey.generate_key("P-256").as_dict(private=False), **changes}
        with pytest.raises(ResponseKeyInvalid):
            jwe.public_key({name: value for name, value in jwk.items() if value is not None})


def vectors(*kinds: str) -> list[Any]:
    """Return a group's key with each of its tests, of Wycheproof's vectors for JWE."""
    found = json.loads(shared_path("vectors", "wycheproof", "json_web_encryption_test.json").read_text())
    return [
        (group["private"], test)
        for group in found["testGroups"]
        if group["private"]["kty"] in kinds
        for test in group["tests"]
    ]


class TestWycheproof:
    def test_finds_nothing_that_opens_but_our_own_form(self):
        """Of all vectors to keys on curves, those opened are valid, and of the one algorithm; no invalid one opens."""
        opening, tried = [], 0
        for jwk, test in vectors("EC"):
            if jwk["crv"] != "P-256":
                continue
            tried += 1
            secret = private(ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y", "d")}))
            try:
                # The vectors have no audience, which our form has; all else of a header is read as ours.
                head, nonce, sealed = jwe.split(test["jwe"])
                said = {"kid": "enk_1", "aud": "nobody", **json.loads(base64.urlsafe_b64decode(head + "=="))}
                header = msgspec.convert(said, jwe.Header)
                jwe.open_payload(jwe.Jwe(header, head.encode(), nonce, sealed), secret)
            except (JweInvalid, ValueError):
                continue
            opening.append((test["result"], test["comment"]))
        assert tried > 40
        assert opening
        assert {result for result, _ in opening} == {"valid"}
        assert {comment for _, comment in opening} == {"acceptsEcdhEsA256Gcm"}

    def test_finds_no_vector_that_has_our_whole_form(self):
        """Every vector's header is refused, because none of them says for whom it is."""
        for _, test in vectors("EC", "RSA", "oct"):
            with pytest.raises(JweInvalid):
                jwe.read(test["jwe"])

    def test_finds_aes_gcm_right(self):
        """Tags and ciphertexts of AES-256-GCM with nonces of 96 bits are as in the vectors, right and wrong."""
        found = json.loads(shared_path("vectors", "wycheproof", "aes_gcm_test.json").read_text())
        groups = [
            each for each in found["testGroups"] if (each["keySize"], each["ivSize"], each["tagSize"]) == (256, 96, 128)
        ]
        tests = [test for group in groups for test in group["tests"]]
        assert len(tests) > 50
        for test in tests:
            key, nonce, aad, plain, ciphertext, tag = (
                bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
            )
            try:
                result = AESGCM(key).decrypt(nonce, ciphertext + tag, aad) == plain
            except Exception:  # noqa: BLE001 - Whatever it is, it isn't opened.
                result = False
            assert result is (test["result"] == "valid"), test["tcId"]
