"""Keys in files (billfold.keys.PemKey): made, saved, read back, and signed with."""

import copy
import logging
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from hypothesis import given, settings
from hypothesis import strategies as st

from billfold.keys import KeyUnusable, PemKey, Signer
from tests.sdk.keys.checking import verifies
from tests.sdk.keys.made import ALGORITHMS, KEYS


def pem_of(key: PrivateKeyTypes) -> bytes:
    """Return a private key in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class TestAKey:
    def test_is_a_signer(self, algorithm: str):
        """It has what the protocol asks for, and waits for nothing."""
        key = KEYS[algorithm]
        assert isinstance(key, Signer)
        assert (key.algorithm, key.blocks) == (algorithm, False)

    @given(data=st.binary(max_size=300))
    @settings(max_examples=20, deadline=None)
    def test_signs_what_its_public_half_verifies(self, algorithm: str, data: bytes):
        """Any bytes; and one byte more is another message."""
        key = KEYS[algorithm]
        signature = key.sign(data)
        assert verifies(key.public_jwk, data, signature)
        assert not verifies(key.public_jwk, data + b"x", signature)

    @pytest.mark.parametrize("passphrase", [None, "correct horse", b"\xff\x00"])
    def test_comes_back_from_its_file(self, algorithm: str, passphrase: str | bytes | None, tmp_path: Path):
        """The same key, whether by path, by text or by bytes, with a passphrase or without."""
        path = KEYS[algorithm].save(tmp_path / "key.pem", passphrase=passphrase)
        for source in (path, str(path), path.read_bytes()):
            assert PemKey(source, passphrase=passphrase).public_jwk == KEYS[algorithm].public_jwk

    def test_is_saved_for_its_owner_alone(self, algorithm: str, tmp_path: Path):
        """The file's mode is 0600, whatever the umask allows."""
        before = os.umask(0)
        try:
            path = KEYS[algorithm].save(tmp_path / "key.pem")
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_shows_its_public_half_alone(self, algorithm: str):
        """Neither what is registered nor what is printed holds a private member."""
        key = KEYS[algorithm]
        assert not set(key.public_jwk) & {"d", "p", "q", "dp", "dq", "qi", "k"}
        assert key.jwks() == {"keys": [key.public_jwk]}
        assert (key.public_jwk["alg"], key.public_jwk["use"], key.public_jwk["kid"]) == (algorithm, "sig", key.kid)
        assert repr(key) == f"PemKey({algorithm}, kid={key.kid!r})"

    def test_is_not_pickled_but_shared_by_copies(self, algorithm: str):
        """A private key doesn't travel by chance."""
        key = KEYS[algorithm]
        with pytest.raises(TypeError):
            pickle.dumps(key)
        assert copy.copy(key) is key
        assert copy.deepcopy({"key": key})["key"] is key


class TestAKeyOfADirectory:
    def test_goes_by_the_name_that_it_was_given(self, tmp_path: Path):
        """Where keys are registered under names of a directory's, these are shown, and not the thumbprint."""
        key = PemKey(KEYS["ES256"].save(tmp_path / "key.pem"), kid="directory-7")
        assert (key.kid, key.public_jwk["kid"]) == ("directory-7", "directory-7")


class TestSaving:
    def test_overwrites_nothing(self, tmp_path: Path):
        """A file that is there may be the only copy of another key."""
        path = KEYS["ES256"].save(tmp_path / "key.pem")
        before = path.read_bytes()
        with pytest.raises(FileExistsError):
            KEYS["EdDSA"].save(path)
        assert path.read_bytes() == before


class TestReading:
    @pytest.mark.parametrize("source", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
    def test_refuses_what_is_no_key(self, source: bytes):
        """Bytes that aren't a private key in PEM are a typed error, without the bytes in it."""
        with pytest.raises(KeyUnusable) as caught:
            PemKey(source)
        assert (caught.value.code, caught.value.__cause__) == ("key_unusable", None)

    @pytest.mark.parametrize("given_passphrase", [None, "wrong"])
    def test_refuses_the_wrong_passphrase(self, given_passphrase: str | None, tmp_path: Path):
        """A missing and a wrong passphrase are typed errors that don't repeat it."""
        path = KEYS["ES256"].save(tmp_path / "key.pem", passphrase="right")
        with pytest.raises(KeyUnusable) as caught:
            PemKey(path, passphrase=given_passphrase)
        assert "wrong" not in str(caught.value).replace("the passphrase is wrong", "")

    def test_refuses_a_passphrase_for_a_key_without(self, tmp_path: Path):
        """Who believes that a key is encrypted is told that it isn't."""
        with pytest.raises(KeyUnusable):
            PemKey(KEYS["ES256"].save(tmp_path / "key.pem"), passphrase="needless")

    @pytest.mark.parametrize(
        "made",
        [
            lambda: ec.generate_private_key(ec.SECP384R1()),
            lambda: ec.generate_private_key(ec.SECP256K1()),
            lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024),  # noqa: S505  # Refused, that is the point.
            lambda: dsa.generate_private_key(key_size=2048),
        ],
        ids=["P-384", "secp256k1", "RSA-1024", "DSA"],
    )
    def test_refuses_other_kinds(self, made: Callable[[], PrivateKeyTypes]):
        """Other curves, other kinds, and RSA of less than 2048 bits."""
        pem = pem_of(made())
        with pytest.raises(KeyUnusable):
            PemKey(pem)

    def test_warns_of_a_file_that_everybody_reads(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        """A mode of 0644 is worth a line in the log, with the file's name and nothing of what it holds."""
        path = KEYS["ES256"].save(tmp_path / "client.pem")
        with caplog.at_level(logging.WARNING, logger="billfold"):
            PemKey(path)
            assert caplog.messages == []
            path.chmod(0o644)
            PemKey(path)
        assert len(caplog.messages) == 1
        assert "client.pem" in caplog.messages[0]

    def test_knows_three_algorithms(self):
        """Making a key of another is an error that names those that there are."""
        with pytest.raises(ValueError, match="ES256, PS256, EdDSA"):
            PemKey.generate("RS256")  # type: ignore[arg-type]
