"""The server's certificate and key: what can be shown, and what is refused with a sentence."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa, x25519

from billfold_server.serving.tls.contexts import server_side
from billfold_server.serving.tls.identity import read_identity
from billfold_server.settings import Settings, SettingsInvalid
from tests.server.certificates import DAY, SERVER, Pair, authority, issue

GOOD = issue("localhost", authority("between", authority("root")), purposes=[SERVER])


def settings_of(folder: Path, pair: Pair = GOOD, **changes: Any) -> Settings:
    """Return settings that name a certificate and its key."""
    certificate, key = pair.write(folder, "server")
    return Settings(**{"tls_certificate": certificate, "tls_key": key, **changes})


def mistakes_in(settings: Settings) -> set[str]:
    """Return which settings are refused."""
    with pytest.raises(SettingsInvalid) as caught:
        server_side(read_identity(settings))
    for mistake in caught.value.mistakes:
        assert mistake.sentence.endswith("."), mistake
        assert "\n" not in mistake.sentence
    return {mistake.key for mistake in caught.value.mistakes}


class TestAnIdentity:
    def test_is_a_certificate_with_its_chain_and_key(self, tmp_path: Path):
        """It ends when the first of its chain does, and says for which hosts it is."""
        identity = read_identity(settings_of(tmp_path))
        assert identity.chain == [each.certificate for each in (GOOD, *GOOD.above)]
        assert identity.ends_at == min(each.not_valid_after_utc for each in identity.chain)
        assert "PRIVATE" not in repr(identity)

    @pytest.mark.parametrize(
        ("pair", "key"),
        [
            (Pair(GOOD.certificate, issue().key), "tls_key"),
            (issue(purposes=[SERVER], ends=datetime.now(UTC) - DAY / 2), "tls_certificate"),
            (issue(purposes=[SERVER], begins=datetime.now(UTC) + DAY), "tls_certificate"),
            (issue("for clients"), "tls_certificate"),
            (issue("weak", purposes=[SERVER], key=rsa.generate_private_key(65537, 1024)), "tls_certificate"),  # noqa: S505
            (Pair(GOOD.certificate, GOOD.key, [issue(ends=datetime.now(UTC) - DAY / 2)]), "tls_certificate"),
        ],
    )
    def test_is_refused_where_clients_would_refuse_it(self, tmp_path: Path, pair: Pair, key: str):
        """A key of another certificate, dates, purpose, strength: each is a sentence about its own setting."""
        assert mistakes_in(settings_of(tmp_path, pair)) == {key}

    @pytest.mark.parametrize(
        "text",
        [b"", b"no PEM", GOOD.pem(), GOOD.key_pem().replace(b"A", b"B")],
        ids=["empty", "no PEM", "a certificate", "broken"],
    )
    def test_is_refused_without_a_key(self, tmp_path: Path, text: bytes):
        """A file that holds no private key is named."""
        settings = settings_of(tmp_path)
        assert settings.tls_key is not None
        Path(settings.tls_key).write_bytes(text)
        assert mistakes_in(settings) == {"tls_key"}

    @pytest.mark.parametrize(
        "text", [b"", b"no PEM", GOOD.key_pem(), GOOD.pem()[:200]], ids=["empty", "no PEM", "a key", "too short"]
    )
    def test_is_refused_without_a_certificate(self, tmp_path: Path, text: bytes):
        """A file that holds no certificate is named."""
        settings = settings_of(tmp_path)
        assert settings.tls_certificate is not None
        Path(settings.tls_certificate).write_bytes(text)
        assert mistakes_in(settings) == {"tls_certificate"}

    def test_has_a_key_without_a_passphrase_and_of_a_known_kind(self, tmp_path: Path):
        """Nobody could type a passphrase, and no key for other purposes signs."""
        settings = settings_of(tmp_path)
        assert settings.tls_key is not None
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        locked = GOOD.key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"open sesame"))
        foreign = x25519.X25519PrivateKey.generate().private_bytes(pem, pkcs8, serialization.NoEncryption())
        for text in (locked, foreign):
            Path(settings.tls_key).write_bytes(text)
            assert mistakes_in(settings) == {"tls_key"}

    def test_is_refused_in_production_when_everybody_may_read_its_key(self, tmp_path: Path):
        """A key for a group is taken, one for everybody isn't; development takes both."""
        settings = settings_of(tmp_path, environment="production")
        assert settings.tls_key is not None
        for mode, refused in ((0o640, False), (0o644, True)):
            Path(settings.tls_key).chmod(mode)
            if refused:
                assert mistakes_in(settings) == {"tls_key"}
            else:
                read_identity(settings)
        read_identity(settings_of(tmp_path))
