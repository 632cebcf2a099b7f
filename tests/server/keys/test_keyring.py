"""The keyring: made once, opened by its passphrase, and unsealing only for the right owner."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from billfold_server.keys.service import Keyring, KeyringUnusable, open_keyring
from billfold_server.settings import Secret, Settings

PASSPHRASE = "nine tall ships sail at dawn"


def settings(folder: Path, passphrase: str | None = None, environment: str = "development") -> Settings:
    """Return settings whose keyring lies in a folder."""
    secret = None if passphrase is None else Secret(passphrase)
    made = Settings(keyring_file=str(folder / "keys" / "keyring.json"), keyring_passphrase=secret)
    return msgspec.structs.replace(made, environment=environment)


class TestTheKeyring:
    def test_is_made_once_and_stays_the_same(self, tmp_path: Path) -> None:
        """A second start derives the same keys, and only the owner may read the file."""
        first, second = open_keyring(settings(tmp_path)), open_keyring(settings(tmp_path))
        assert first.derive("cursors") == second.derive("cursors")
        assert stat.S_IMODE((tmp_path / "keys" / "keyring.json").stat().st_mode) == 0o600
        assert [path.name for path in (tmp_path / "keys").iterdir()] == ["keyring.json"]

    def test_is_one_for_all_workers_that_start_at_once(self, tmp_path: Path) -> None:
        """Of sixteen that make it at the same time, all end up with one secret."""
        with ThreadPoolExecutor(16) as pool:
            keyrings = list(pool.map(lambda _: open_keyring(settings(tmp_path)), range(16)))
        assert len({keyring.derive("cursors") for keyring in keyrings}) == 1

    def test_derives_a_key_of_its_own_for_each_purpose(self) -> None:
        """Purposes don't share keys, and none is the secret."""
        keyring = Keyring(b"s" * 32)
        assert len({keyring.derive("a"), keyring.derive("b"), b"s" * 32}) == 3

    def test_opens_by_its_passphrase_only(self, tmp_path: Path) -> None:
        """The right passphrase opens it; none, a wrong one, and a changed file don't."""
        keyring = open_keyring(settings(tmp_path, PASSPHRASE))
        assert open_keyring(settings(tmp_path, PASSPHRASE)).derive("x") == keyring.derive("x")
        for passphrase in (None, "another passphrase"):
            with pytest.raises(KeyringUnusable):
                open_keyring(settings(tmp_path, passphrase))
        path = tmp_path / "keys" / "keyring.json"
        content = json.loads(path.read_text())
        for n in (2**14, 2**18, 40_000, 2**40):
            content["scrypt"]["n"] = n
            path.write_text(json.dumps(content))
            with pytest.raises(KeyringUnusable):
                open_keyring(settings(tmp_path, PASSPHRASE))

    @pytest.mark.parametrize(
        "text", ["", "{}", '{"format": 2, "secret": "AAAA"}', '{"format": 1, "secret": "AAAA"}', "\xff"]
    )
    def test_is_refused_when_it_is_no_keyring(self, tmp_path: Path, text: str) -> None:
        """A file of another form is told about, not replaced."""
        path = tmp_path / "keys" / "keyring.json"
        path.parent.mkdir()
        path.write_text(text)
        with pytest.raises(KeyringUnusable, match="no keyring"):
            open_keyring(settings(tmp_path, PASSPHRASE))
        assert path.read_text() == text

    def test_is_refused_open_in_production(self, tmp_path: Path) -> None:
        """Production needs a passphrase, and doesn't take over a keyring that a developer left open."""
        with pytest.raises(KeyringUnusable):
            open_keyring(settings(tmp_path, None, "production"))
        assert not (tmp_path / "keys").exists()
        open_keyring(settings(tmp_path))
        with pytest.raises(KeyringUnusable):
            open_keyring(settings(tmp_path, PASSPHRASE, "production"))

    def test_shows_no_secret(self) -> None:
        """Its text is a fingerprint."""
        assert "ssss" not in repr(Keyring(b"s" * 32))
