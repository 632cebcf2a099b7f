"""The Vault that comes with a data folder, for development (serving/vault), each a real OpenBao."""

import importlib.util
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from billfold_server.keys.backends import TenantKey
from billfold_server.keys.backends.vault.backend import VaultBackend, open_vault
from billfold_server.keys.rules import Domain
from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.vault.server import DevelopmentVault
from billfold_server.serving.vault.using import development_vault
from billfold_server.settings import Settings
from tests.openbao import binary

KEY = TenantKey(uuid4(), "data")


@asynccontextmanager
async def opened(settings: Settings, domain: Domain = "data") -> AsyncIterator[VaultBackend]:
    """Open the backend that the settings describe."""
    backend = open_vault(settings, domain, sealing_key=b"k" * 32)
    yield backend
    await backend.close()


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevelopmentVault]:
    """One that was started for the first time, and ended."""
    binary()
    made = DevelopmentVault(tmp_path_factory.mktemp("development"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def settings(vault: DevelopmentVault) -> Settings:
    """Settings whose data folder has a Vault, which doesn't run."""
    vault.stop()
    return Settings(data_dir=str(vault.files.home.parent))


@pytest.fixture
def copied(vault: DevelopmentVault, tmp_path: Path) -> DevelopmentVault:
    """A copy of it, which a test may break."""
    vault.stop()
    shutil.copytree(vault.files.home, tmp_path / "vault")
    return DevelopmentVault(tmp_path)


class TestADevelopmentVault:
    async def test_opens_at_the_next_start_what_it_has_wrapped(self, settings: Settings) -> None:
        """Asked for or not; who wants none has new keys wrapped by the keyring, and the old ones open."""
        async with development_vault(settings, wanted=True) as used, opened(used) as backend:
            assert used.key_backend == "vault"
            await backend.ensure(KEY)
            wrapped = await backend.wrap(KEY, b"p" * 32, b"epoch")
        for wanted, name in ((None, "vault"), (False, "local")):
            async with development_vault(settings, wanted=wanted) as used, opened(used) as backend:
                assert used.key_backend == name
                assert await backend.unwrap(KEY, wrapped, b"epoch") == b"p" * 32

    async def test_gives_each_kind_of_process_no_more_than_it_needs(self, settings: Settings) -> None:
        """Workers open no cards, the decryptor does, and who gives commands may destroy keys."""
        cards, key = TenantKey(uuid4(), "cards"), TenantKey(uuid4(), "data")
        async with development_vault(settings, wanted=True) as used:
            async with opened(used) as worker, opened(used, "cards") as decryptor:
                await decryptor.ensure(cards)
                with pytest.raises(Exception, match="not available") as caught:
                    await worker.versions(cards)
                assert caught.value.reason == "forbidden"  # type: ignore[attr-defined]
                await worker.ensure(key)
                with pytest.raises(Exception, match="not available"):
                    await worker.destroy(key)
            async with development_vault(settings, role="operator") as operators, opened(operators) as operator:
                await operator.destroy(key)
                await operator.destroy(cards)

    async def test_listens_on_the_loopback_and_keeps_its_files_to_itself(self, vault: DevelopmentVault) -> None:
        """Address and peers' address are 127.0.0.1, and nobody else may read what unseals it."""
        said = (vault.files.home / "server.json").read_text()
        assert said.count("127.0.0.1") == 4
        assert "0.0.0.0" not in said  # noqa: S104 - What isn't there.
        assert {path.stat().st_mode & 0o077 for path in vault.files.home.iterdir()} == {0}

    async def test_moves_where_another_program_has_its_port(self, copied: DevelopmentVault) -> None:
        """And opens what it has wrapped, there."""
        former = copied.files.ports()
        with socket.create_server(("127.0.0.1", former[0])):
            copied.start()
        assert copied.files.ports()[0] != former[0]
        copied.stop()

    def test_begins_anew_where_the_first_start_was_cut_short(self, copied: DevelopmentVault) -> None:
        """It has been initialized, and nobody has kept its token: nobody can have used it."""
        copied.files.root_token.unlink()
        copied.start()
        assert copied.files.root_token.exists()
        copied.stop()

    def test_says_what_is_missing(self, copied: DevelopmentVault, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its key, and the program itself."""
        (copied.files.home / "unseal.key").unlink()
        with pytest.raises(Failure) as caught:
            copied.start()
        assert (caught.value.code, caught.value.exit_code) == ("vault_key_missing", Exit.BAD_DATA)
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(Failure) as caught:
            copied.start()
        assert (caught.value.code, caught.value.exit_code) == ("openbao_missing", Exit.UNAVAILABLE)
        assert "billfold[vault-dev]" in caught.value.sentence

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"environment": "production"}, "vault_in_production"),
            ({"vault_address": "https://vault.internal"}, "vault_named"),
        ],
    )
    async def test_is_refused_where_there_is_to_be_another(
        self, settings: Settings, changes: dict[str, str], code: str
    ) -> None:
        """In production, and where one is named; there the folder's own is left alone unless somebody asks for it."""
        settings = msgspec.structs.replace(settings, **changes)
        with pytest.raises(Failure) as caught:
            async with development_vault(settings, wanted=True):
                pass
        assert caught.value.code == code
        async with development_vault(settings) as used:
            assert used is settings
