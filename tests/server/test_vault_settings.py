"""Settings of Vault: complete for the way of logging in, or refused in a sentence."""

from pathlib import Path

import pytest

from billfold_server.settings import load_settings
from billfold_server.vault_settings import Credentials
from tests.server.test_settings import SAFE, mistakes_in

APPROLE = {
    "BILLFOLD_KEY_BACKEND": "vault",
    "BILLFOLD_VAULT_ADDRESS": "https://vault.internal:8200",
    "BILLFOLD_VAULT_LOGIN": "approle",
    "BILLFOLD_VAULT_ROLE_ID": "7f3a",
    "BILLFOLD_VAULT_SECRET_ID_FILE": "/run/secrets/vault",
}


def by(method: str, **changes: str) -> dict[str, str]:
    """Return an environment that logs in by some method."""
    base = {name: APPROLE[name] for name in ("BILLFOLD_KEY_BACKEND", "BILLFOLD_VAULT_ADDRESS")}
    return {
        **base,
        "BILLFOLD_VAULT_LOGIN": method,
        **{f"BILLFOLD_VAULT_{key.upper()}": changes[key] for key in changes},
    }


class TestTheSettingsOfVault:
    def test_are_complete_for_each_way_of_logging_in(self, tmp_path: Path) -> None:
        """What a method needs is enough; Kubernetes knows by itself where its token lies."""
        pem = tmp_path / "client.pem"
        pem.touch()
        for environ in (
            APPROLE,
            by("kubernetes", role="billfold"),
            by("cert", client_certificate=str(pem), client_key=str(pem)),
            by("token", token_file="/run/secrets/token"),
        ):
            assert load_settings(environ).key_backend == "vault"

    def test_are_taken_by_production(self) -> None:
        """Over TLS, with whatever login."""
        assert load_settings({**SAFE, **APPROLE}).vault_mount == "transit"

    def test_may_be_there_while_new_keys_are_local(self) -> None:
        """Who moves away from Vault needs it until all has moved."""
        assert load_settings({**APPROLE, "BILLFOLD_KEY_BACKEND": "local"}).vault_address is not None

    @pytest.mark.parametrize(
        ("environ", "keys"),
        [
            ({"BILLFOLD_KEY_BACKEND": "vault"}, {"vault_address"}),
            ({"BILLFOLD_KEY_BACKEND": "hsm"}, {"key_backend"}),
            ({"BILLFOLD_VAULT_LOGIN": "token"}, {"vault_login"}),
            ({"BILLFOLD_VAULT_MOUNT": "keys"}, {"vault_mount"}),
            ({**APPROLE, "BILLFOLD_VAULT_ADDRESS": "vault.internal:8200"}, {"vault_address"}),
            ({**APPROLE, "BILLFOLD_VAULT_ADDRESS": "https://me:secret@vault.internal"}, {"vault_address"}),
            ({**APPROLE, "BILLFOLD_VAULT_ADDRESS": "https://vault.internal/v1"}, {"vault_address"}),
            ({**APPROLE, "BILLFOLD_VAULT_ADDRESS": "https://vault.internal:99999"}, {"vault_address"}),
            ({**APPROLE, "BILLFOLD_VAULT_LOGIN": "ldap"}, {"vault_login"}),
            (by("approle"), {"vault_role_id", "vault_secret_id_file"}),
            (by("kubernetes"), {"vault_role"}),
            (by("cert"), {"vault_client_certificate", "vault_client_key"}),
            (by("token"), {"vault_token_file"}),
            (by("token", token_file="t", role_id="r"), {"vault_role_id"}),
            (by("token", token_file="t", cards_role_id="r"), {"vault_cards_role_id"}),
            (by("kubernetes", role="r", secret_id_wrapped="true"), {"vault_secret_id_wrapped"}),
            (by("cert", client_certificate="/no", client_key="/no"), {"vault_client_certificate", "vault_client_key"}),
            ({**APPROLE, "BILLFOLD_VAULT_CA_FILE": "/no"}, {"vault_ca_file"}),
            ({**APPROLE, "BILLFOLD_VAULT_MOUNT": "../sys"}, {"vault_mount"}),
            ({**APPROLE, "BILLFOLD_VAULT_NAMESPACE": "a?b"}, {"vault_namespace"}),
            ({**APPROLE, "BILLFOLD_VAULT_DEPLOYMENT": "Bank/One"}, {"vault_deployment"}),
            ({**SAFE, **APPROLE, "BILLFOLD_VAULT_ADDRESS": "http://vault.internal:8200"}, {"vault_address"}),
        ],
    )
    def test_are_refused_where_something_is_wrong_or_missing(self, environ: dict[str, str], keys: set[str]) -> None:
        """The sentence names the setting that is to blame."""
        assert mistakes_in(environ) == keys

    def test_let_the_decryptor_log_in_by_its_own(self) -> None:
        """For cards what is the decryptor's own wins, one by one; for the rest it's never used."""
        own = {"BILLFOLD_VAULT_CARDS_ROLE_ID": "cards", "BILLFOLD_VAULT_CARDS_SECRET_ID_FILE": "/run/secrets/cards"}
        settings = load_settings({**APPROLE, **own})
        assert settings.vault_credentials("data") == Credentials(role_id="7f3a", secret_id_file="/run/secrets/vault")
        assert settings.vault_credentials("cards") == Credentials(role_id="cards", secret_id_file="/run/secrets/cards")
        alone = {name: value for name, value in APPROLE.items() if "ROLE_ID" not in name and "SECRET" not in name}
        assert load_settings({**alone, **own}).vault_credentials("cards").role_id == "cards"
        assert load_settings(APPROLE).vault_credentials("cards").role_id == "7f3a"
