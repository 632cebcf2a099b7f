"""What ``billfold doctor`` says of Vault (serving/vault/examining.py), on a real OpenBao."""

from pathlib import Path

import pytest

from billfold_server.serving.vault.examining import examine_vault
from billfold_server.settings import Settings
from tests.openbao import OpenBao
from tests.ports import held
from tests.server.keys.vault.kit import approle


def named(folder: Path, address: str, **settings: str) -> Settings:
    """Return settings that name a Vault."""
    return Settings(key_backend="vault", data_dir=str(folder), vault_address=address, **settings)  # type: ignore[arg-type]


class TestAVaultThatIsNamed:
    @pytest.mark.parametrize(
        ("policy", "verdict"), [("billfold-worker", "ok"), ("billfold-operator", "warn"), ("default", "fail")]
    )
    async def test_must_allow_what_is_needed_and_no_more(
        self, openbao: OpenBao, tmp_path: Path, policy: str, verdict: str
    ):
        """A worker's policy is right, the operators' says too much, and one that says nothing says so."""
        (check,) = await examine_vault(named(tmp_path, openbao.url, **approle(openbao, tmp_path, policy)))
        assert (check.name, check.verdict) == ("vault", verdict)

    async def test_is_told_apart_from_none_and_from_one_that_is_away(self, tmp_path: Path):
        """Without a Vault there is no check; what is away fails, unless new keys are wrapped elsewhere."""
        assert await examine_vault(Settings(data_dir=str(tmp_path))) == []
        token = {"vault_login": "token", "vault_token_file": str(tmp_path / "token")}
        (tmp_path / "token").write_text("t")
        with held(1) as (port,):
            (check,) = await examine_vault(named(tmp_path, f"http://127.0.0.1:{port}", **token))
        assert (check.verdict, "BILLFOLD_VAULT_ADDRESS" in check.sentence) == ("fail", True)
        wrapped = named(tmp_path, "https://vault.invalid", vault_secret_id_wrapped=True)  # type: ignore[arg-type]
        assert [each.verdict for each in await examine_vault(wrapped)] == ["ok"]
