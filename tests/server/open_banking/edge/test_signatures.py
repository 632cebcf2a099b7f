"""Detached signatures of messages: what is taken, and everything that isn't."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from joserfc.jwk import ECKey, RSAKey

from billfold import errors
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.detached import DetachedRefused, detached, read_detached, to_sign
from billfold_server.identity.signing.signer import sign_digest
from billfold_server.open_banking.edge.signatures import CRITICAL, IAT, ISS, TAN, check_claims
from tests.server.identity.clients_of import public_jwk
from tests.server.open_banking.signing import header_of, signature_of, verified

BODY: Final = b'{"Data":{},"Risk":{}}'
ISSUER: Final = "https://bank.example/t/alpha"
SOFTWARE: Final = "org/software-1"
NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_S: Final = int(NOW.timestamp())
HUGE: Final = 10**400
"""An integer that no float can hold."""
EC: Final = ECKey.generate_key("P-256")


@pytest.fixture(scope="module")
def key() -> RSAKey:
    """Return a third party's private key."""
    return RSAKey.generate_key(2048)


@pytest.fixture(scope="module")
def jwks(key: RSAKey) -> dict[str, Any]:
    """Return its public keys, as they are registered."""
    return {"keys": [public_jwk(key, "good"), public_jwk(EC, "ec"), {**public_jwk(key, "for-enc"), "use": "enc"}]}


def fault_of(text: str, jwks: dict[str, Any], body: bytes = BODY) -> str | None:
    """Return what is found wrong with a signature; None is nothing."""
    return wrong_with(text, jwks, body)[0]


def wrong_with(text: str, jwks: dict[str, Any], body: bytes = BODY) -> tuple[str | None, tuple[str, ...]]:
    """Return what is found wrong with a signature, and with which claims of its header."""
    try:
        read_detached(text, critical=CRITICAL).verify(body, jwks)
    except DetachedRefused as refused:
        return refused.fault, refused.claims
    return None, ()


class TestASignature:
    def test_is_taken_from_its_key(self, key: RSAKey, jwks: dict[str, Any]) -> None:
        """What the standard asks for is taken."""
        assert fault_of(signature_of(BODY, key, header_of("good", SOFTWARE)), jwks) is None

    def test_is_taken_without_what_may_be_absent(self, key: RSAKey, jwks: dict[str, Any]) -> None:
        """Type and content type needn't be said, and critical claims have no order."""
        header = header_of("good", SOFTWARE, typ=None, cty=None, crit=[TAN, IAT, ISS])
        assert fault_of(signature_of(BODY, key, header), jwks) is None

    def test_of_the_bank_is_one_of_those(self, key: RSAKey, jwks: dict[str, Any]) -> None:
        """What the server makes is what it takes, and what other code verifies."""
        head, signed = to_sign(BODY, kid="good", claims={IAT: 1, ISS: "bank", TAN: "bank.example"})
        text = detached(head, sign_digest(cast("RSAPrivateKey", key.private_key), hashlib.sha256(signed).digest()))
        assert fault_of(text, jwks) is None
        assert verified(text, BODY, {"keys": jwks["keys"][:1]})[ISS] == "bank"

    @pytest.mark.parametrize(
        ("changes", "fault", "claim"),
        [
            ({"alg": "none"}, "claim_invalid", "alg"),
            ({"alg": "RS256"}, "claim_invalid", "alg"),
            ({"alg": "HS256"}, "claim_invalid", "alg"),
            ({"alg": "ES256", "kid": "ec"}, "claim_invalid", "alg"),
            ({"alg": None}, "claim_missing", "alg"),
            ({"kid": None}, "claim_missing", "kid"),
            ({"kid": 1}, "claim_invalid", "kid"),
            ({"kid": "unknown"}, "claim_invalid", "kid"),
            ({"kid": "ec"}, "claim_invalid", "kid"),
            ({"kid": "for-enc"}, "claim_invalid", "kid"),
            ({"crit": None}, "claim_missing", "crit"),
            ({"crit": []}, "claim_invalid", "crit"),
            ({"crit": [IAT, ISS]}, "claim_invalid", "crit"),
            ({"crit": [IAT, ISS, TAN, TAN]}, "claim_invalid", "crit"),
            ({"crit": [IAT, ISS, TAN, "b64"]}, "claim_invalid", "crit"),
            ({"crit": [IAT, ISS, 1]}, "claim_invalid", "crit"),
            ({"crit": "iat iss tan"}, "claim_invalid", "crit"),
            ({IAT: None}, "claim_missing", IAT),
            ({ISS: None}, "claim_missing", ISS),
            ({TAN: None}, "claim_missing", TAN),
            ({"b64": False}, "claim_invalid", "b64"),
            ({"jku": "https://evil.example/jwks"}, "claim_invalid", "jku"),
            ({"jwk": {"kty": "RSA"}}, "claim_invalid", "jwk"),
            ({"x5u": "https://evil.example/x5u"}, "claim_invalid", "x5u"),
            ({"x5c": ["MII"]}, "claim_invalid", "x5c"),
            ({"zip": "DEF"}, "claim_invalid", "zip"),
            ({"x5t": 1}, "claim_invalid", "x5t"),
        ],
        ids=str,
    )
    def test_is_refused_for_its_header(
        self, changes: dict[str, Any], fault: str, claim: str, key: RSAKey, jwks: dict[str, Any]
    ) -> None:
        """Another algorithm, a key of its own, what changes how it is read, and claims that aren't critical."""
        text = signature_of(BODY, key, header_of("good", SOFTWARE, **changes))
        assert wrong_with(text, jwks) == (fault, (claim,))

    def test_is_refused_for_every_claim_that_it_lacks(self, key: RSAKey, jwks: dict[str, Any]) -> None:
        """They are all named; what else a header holds is not, since that name is its sender's."""
        lacking = signature_of(BODY, key, header_of("good", SOFTWARE, **{IAT: None, TAN: None}))
        assert wrong_with(lacking, jwks) == ("claim_missing", (IAT, TAN))
        more = signature_of(BODY, key, header_of("good", SOFTWARE, canary="x"))
        assert wrong_with(more, jwks) == ("claim_invalid", ())

    def test_is_refused_for_its_body(self, key: RSAKey, jwks: dict[str, Any]) -> None:
        """One byte more, less or other makes it another message."""
        text = signature_of(BODY, key, header_of("good", SOFTWARE))
        for other in (BODY + b" ", BODY[:-1], BODY.replace(b"Risk", b"risk"), b""):
            assert fault_of(text, jwks, other) == "invalid"

    def test_is_refused_of_a_body_that_is_not_encoded(self, key: RSAKey, jwks: dict[str, Any]) -> None:
        """The way of signing that was taken out of the standard isn't taken by accident."""
        assert fault_of(signature_of(BODY, key, header_of("good", SOFTWARE), payload=BODY), jwks) == "invalid"

    def test_is_refused_of_another_key(self, jwks: dict[str, Any]) -> None:
        """Who signs under the name of a key that they don't have is refused; so are keys that nobody registered."""
        stranger = RSAKey.generate_key(2048)
        text = signature_of(BODY, stranger, header_of("good", SOFTWARE))
        assert fault_of(text, jwks) == "invalid"
        assert fault_of(text, {"keys": []}) == "claim_invalid"
        assert read_detached(text, critical=CRITICAL).header["kid"] == "good"

    def test_is_refused_where_it_is_none(self, key: RSAKey, jwks: dict[str, Any]) -> None:
        """What isn't two parts with nothing between them is none; nor is what nests or never ends."""
        good = signature_of(BODY, key, header_of("good", SOFTWARE))
        head, _, tail = good.split(".")
        deep = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 2_000 + b"]" * 2_000 + b"}").rstrip(b"=").decode()
        payload = base64.urlsafe_b64encode(BODY).rstrip(b"=").decode()
        two = [f"{head}.{tail}", f"{head}.{payload}.{tail}", f"{head}...{tail}", f"{good}.", f" {good}", f"{good}\n"]
        no_base64url = [
            f"{head}==..{tail}",
            f"{head}..{tail}é",
            f"{head}..{tail[:-1]}!",
            f"{head}..{tail}{'A' * 9_000}",
        ]
        no_header = [f"{deep}..{tail}", f"W10..{tail}", f"bnVsbA..{tail}"]
        for text in ("", ".", "..", *two, *no_base64url, *no_header):
            assert fault_of(text, jwks) == "malformed", text[:80]
        assert fault_of(f"{head}..{tail[:-4]}", jwks) == "invalid"
        assert fault_of(f"e30..{tail}", jwks) == "claim_missing"


def client_of(**changes: Any) -> Client:
    """Return a client that is registered by a directory."""
    now = datetime.now(UTC)
    said: dict[str, Any] = {
        "client_id": "cli_1",
        "organisation_id": "org",
        "software_id": "software-1",
        "registered_by": "https://directory.example/",
        **changes,
    }
    return Client(
        id=UUID(int=1),
        name="",
        state="active",
        authentication="private_key_jwt",
        scopes=[],
        version=1,
        created_at=now,
        updated_at=now,
        **said,
    )


class TestItsClaims:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {IAT: NOW_S + 5},
            {IAT: NOW_S - 3600},
            {ISS: "cli_1"},
            {ISS: "software-1"},
            {TAN: "directory.example"},
            {TAN: "bank.example"},
            {TAN: "OpenBanking.org.uk"},
            {"cty": "json"},
        ],
        ids=str,
    )
    def test_are_true(self, changes: dict[str, Any]) -> None:
        """Who signs, when, and who vouches for the key may be said in any of these ways."""
        header = header_of("good", SOFTWARE, **{IAT: NOW_S, **changes})
        check_claims(header, client_of(), issuer=ISSUER, now=NOW)

    @pytest.mark.parametrize(
        "changes",
        [
            {IAT: NOW_S + 600},
            {IAT: NOW_S - 30 * 3600},
            {IAT: str(NOW_S)},
            {IAT: True},
            {IAT: float("1e300")},
            {IAT: HUGE},
            {IAT: -HUGE},
            {ISS: "org/software-2"},
            {ISS: "other/software-1"},
            {ISS: "other/org/software-1"},
            {ISS: "/software-1"},
            {ISS: "software-1/org"},
            {ISS: ""},
            {ISS: ["software-1"]},
            {TAN: "evil.example"},
            {TAN: "openbanking.org.uk.evil.example"},
            {TAN: 1},
            {"typ": "JWT"},
            {"cty": "text/html"},
            {"cty": []},
            {"cty": {}},
        ],
        ids=lambda changes: str(changes)[:60],
    )
    def test_are_not_true(self, changes: dict[str, Any]) -> None:
        """Another time, another one's name or anchor, another type: each is refused as a claim that isn't true."""
        header = header_of("good", SOFTWARE, **{IAT: NOW_S, **changes})
        with pytest.raises(errors.MessageSignatureInvalid) as refused:
            check_claims(header, client_of(), issuer=ISSUER, now=NOW)
        (blamed,) = refused.value.__dict__["violations"]
        assert (refused.value.fault, blamed.param) == ("claim_invalid", next(iter(changes)))

    def test_name_no_organisation_that_nobody_has_registered(self) -> None:
        """Of a client whose organisation isn't known, none can be claimed."""
        header, client = header_of("good", SOFTWARE, **{IAT: NOW_S}), client_of(organisation_id=None)
        with pytest.raises(errors.MessageSignatureInvalid):
            check_claims(header, client, issuer=ISSUER, now=NOW)
        check_claims({**header, ISS: "software-1"}, client, issuer=ISSUER, now=NOW)
