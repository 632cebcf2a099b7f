"""Settings: read strictly, told in sentences, and safe in production."""

import traceback
from pathlib import Path

import pytest

from billfold_server.settings import Secret, Settings, SettingsInvalid, load_settings

SAFE = {
    "BILLFOLD_ENVIRONMENT": "production",
    "BILLFOLD_DATABASE_URL": "postgresql://app:q7Jd02kfh3@db.internal/billfold?sslmode=verify-full",
    "BILLFOLD_KEY_STORE_URL": "postgresql://keys:q7Jd02kfh3@db.internal/keys?sslmode=verify-full",
    "BILLFOLD_PUBLIC_URL": "https://wallet.example",
    "BILLFOLD_TRUSTED_PROXIES": "10.1.0.0/16, 10.2.0.1",
    "BILLFOLD_KEYRING_PASSPHRASE": "nine tall ships sail at dawn",
}


def mistakes_in(environ: dict[str, str], *, file: Path | None = None) -> set[str]:
    """Return the keys that are refused."""
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environ, file=file)
    for mistake in caught.value.mistakes:
        assert mistake.sentence.endswith("."), mistake
        assert "\n" not in mistake.sentence
    return {mistake.key for mistake in caught.value.mistakes}


class TestSettings:
    def test_have_defaults_fit_for_a_developer(self) -> None:
        """Without environment or file, the server listens on loopback with the embedded database."""
        assert load_settings({}) == Settings()
        assert load_settings({}).base_url == "http://127.0.0.1:8000"

    def test_read_the_environment_over_the_file_and_the_command_line_over_both(self, tmp_path: Path) -> None:
        """The nearer source wins, setting by setting."""
        file = tmp_path / "billfold.toml"
        file.write_text('port = 1\nworkers = 2\nhost = "10.0.0.5"\ntrusted_proxies = ["10.0.0.0/8"]')
        settings = load_settings({"BILLFOLD_CONFIG": str(file), "BILLFOLD_PORT": "3", "BILLFOLD_WORKERS": "4"}, port=5)
        assert (settings.port, settings.workers, settings.host) == (5, 4, "10.0.0.5")
        assert settings.trusted_proxies == ["10.0.0.0/8"]

    @pytest.mark.parametrize(
        ("environ", "address"),
        [
            ({}, None),
            ({"BILLFOLD_TLS": "true"}, None),
            ({"BILLFOLD_TLS": "true", "BILLFOLD_MTLS_PORT": "8443"}, "https://127.0.0.1:8443"),
            ({"BILLFOLD_TLS": "true", "BILLFOLD_MTLS_PORT": "8443", "BILLFOLD_HOST": "::1"}, "https://[::1]:8443"),
            (
                {"BILLFOLD_TLS": "on", "BILLFOLD_MTLS_PORT": "8443", "BILLFOLD_PUBLIC_URL": "https://wallet.example/"},
                "https://wallet.example:8443",
            ),
            (
                {
                    "BILLFOLD_TRUSTED_PROXIES": "10.0.0.0/8",
                    "BILLFOLD_CLIENT_CERTIFICATE_HEADER": "client-cert",
                    "BILLFOLD_MTLS_PUBLIC_URL": "https://mtls.wallet.example/",
                },
                "https://mtls.wallet.example",
            ),
        ],
    )
    def test_say_where_client_certificates_are_asked_for(self, environ: dict[str, str], address: str | None) -> None:
        """The address for client certificates follows from the port or is given; without either there is none."""
        assert load_settings(environ).mtls_base_url == address

    def test_split_lists_at_commas(self) -> None:
        """A list in the environment is written with commas."""
        assert load_settings(SAFE).trusted_proxies == ["10.1.0.0/16", "10.2.0.1"]

    @pytest.mark.parametrize(
        ("environ", "key"),
        [
            ({"BILLFOLD_PORT": "80a"}, "port"),
            ({"BILLFOLD_PORT": " 80"}, "port"),
            ({"BILLFOLD_PORT": "٨٠"}, "port"),
            ({"BILLFOLD_PORT": "70000"}, "port"),
            ({"BILLFOLD_ENVIRONMENT": "staging"}, "environment"),
            ({"BILLFOLD_ACCESS_TOKEN_TTL_S": "3600"}, "access_token_ttl_s"),
            ({"BILLFOLD_DATABSE_URL": "postgresql://x"}, "databse_url"),
            ({"BILLFOLD_DATABASE_URL": "mysql://x"}, "database_url"),
            ({"BILLFOLD_DATABASE_URL": "postgresql://app:q7@127.0.0.1:abc/x"}, "database_url"),
            ({"BILLFOLD_DATABASE_URL": "postgresql://app:q/7@127.0.0.1/x"}, "database_url"),
            ({"BILLFOLD_ADMIN_DATABASE_URL": "postgresql://app:q7@[::1]:0/x"}, "admin_database_url"),
            ({"BILLFOLD_KEY_STORE_URL": "postgresql://app:q7@db:5432,db2:99999/x"}, "key_store_url"),
            ({"BILLFOLD_KEY_STORE_ADMIN_URL": "postgresql://app:q7@/x?host=db&port=99999"}, "key_store_admin_url"),
            ({"BILLFOLD_DATA_DIR": ""}, "data_dir"),
            ({"BILLFOLD_HOST": ""}, "host"),
            ({"BILLFOLD_TLS_KEY": "/nowhere.pem"}, "tls_key"),
            ({"BILLFOLD_TRUSTED_PROXIES": "proxy"}, "trusted_proxies"),
            ({"BILLFOLD_PUBLIC_URL": "wallet.example"}, "public_url"),
            ({"BILLFOLD_PUBLIC_URL": "https://wallet.example:abc"}, "public_url"),
            ({"BILLFOLD_MTLS_PUBLIC_URL": "http://mtls.wallet.example"}, "mtls_public_url"),
            ({"BILLFOLD_MTLS_PUBLIC_URL": "https://mtls.wallet.example"}, "mtls_public_url"),
            ({"BILLFOLD_MTLS_PORT": "8443"}, "mtls_port"),
            ({"BILLFOLD_TLS": "true", "BILLFOLD_MTLS_PORT": "8000"}, "mtls_port"),
            ({"BILLFOLD_TLS": "maybe"}, "tls"),
            ({"BILLFOLD_CLIENT_CA_FILE": "/nowhere.pem"}, "client_ca_file"),
            ({"BILLFOLD_CLIENT_CRL_FILE": __file__}, "client_crl_file"),
            ({"BILLFOLD_CLIENT_CERTIFICATE_HEADER": "client-cert"}, "client_certificate_header"),
            ({"BILLFOLD_CLIENT_CERTIFICATE_HEADER": "x-forwarded-for"}, "client_certificate_header"),
            ({"BILLFOLD_CONFIG": "/nowhere.toml"}, "config"),
        ],
    )
    def test_are_refused_with_their_name(self, environ: dict[str, str], key: str) -> None:
        """Each mistake names its setting and ends as a sentence."""
        assert key in mistakes_in(environ)

    def test_say_how_small_a_number_may_be(self) -> None:
        """A negative number is a whole one all the same."""
        with pytest.raises(SettingsInvalid) as caught:
            load_settings({"BILLFOLD_SHUTDOWN_TIMEOUT_S": "-1"})
        (mistake,) = caught.value.mistakes
        assert ">= 1" in mistake.sentence

    def test_take_nothing_for_a_number_that_may_be_absent(self) -> None:
        """Keys aren't rotated by themselves where nothing is said of how often, on purpose."""
        assert load_settings({"BILLFOLD_KEY_ROTATION_DAYS": ""}).key_rotation_days is None

    def test_name_a_folder_where_the_user_has_no_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A number that is nobody's, as containers have them, is told so; with a folder of its own it needs none."""

        def home(_: type[Path]) -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", classmethod(home))
        monkeypatch.setattr("os.geteuid", lambda: 12345)
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
        assert mistakes_in({}) == {"data_dir"}
        assert load_settings({"BILLFOLD_DATA_DIR": "/srv/billfold"}).data_dir == "/srv/billfold"

    def test_are_refused_together(self) -> None:
        """All mistakes are told at once, whichever source they come from."""
        assert mistakes_in({"BILLFOLD_PORT": "x", "BILLFOLD_LOG_LEVEL": "loud"}) == {"port", "log_level"}

    def test_in_a_file_are_refused_with_their_name(self, tmp_path: Path) -> None:
        """An unknown key and a wrong type in the file are mistakes too."""
        file = tmp_path / "billfold.toml"
        file.write_text('prot = 1\nworkers = "2"')
        assert mistakes_in({}, file=file) == {"prot", "workers"}


class TestProduction:
    def test_starts_when_everything_is_safe(self) -> None:
        """With TLS at a trusted proxy, a database and a passphrase, production starts, isolated by login."""
        settings = load_settings(SAFE)
        assert settings.production
        assert settings.default_isolation == "login"

    @pytest.mark.parametrize(
        ("change", "key"),
        [
            ({"BILLFOLD_DATABASE_URL": None}, "database_url"),
            ({"BILLFOLD_DATABASE_URL": "postgresql://app:postgres@db/x"}, "database_url"),
            ({"BILLFOLD_DATABASE_URL": "postgresql://app:q7Jd02kfh3@db.internal/billfold"}, "database_url"),
            ({"BILLFOLD_DATABASE_URL": "postgresql://app:q7Jd02kfh3@localhost,db.internal/x"}, "database_url"),
            ({"BILLFOLD_DATABASE_URL": "postgresql://app:q7Jd02kfh3@/x?host=db.internal"}, "database_url"),
            ({"BILLFOLD_DATABASE_URL": "postgresql://app:q7Jd02kfh3@db.internal/x?host=localhost"}, "database_url"),
            ({"BILLFOLD_DATABASE_URL": "postgresql://app:q7Jd02kfh3@[fd00::7]:5432/x?sslmode=prefer"}, "database_url"),
            (
                {"BILLFOLD_ADMIN_DATABASE_URL": "postgresql://boss:q7Jd02kfh3@db/x?sslmode=disable"},
                "admin_database_url",
            ),
            ({"BILLFOLD_ADMIN_DATABASE_URL": "postgresql://boss:postgres@127.0.0.1/x"}, "admin_database_url"),
            ({"BILLFOLD_KEY_STORE_URL": None}, "key_store_url"),
            (
                {"BILLFOLD_KEY_STORE_URL": "postgresql://k:q7@db.internal:5432/billfold?sslmode=require"},
                "key_store_url",
            ),
            ({"BILLFOLD_KEY_STORE_URL": "postgresql://k:q7Jd02kfh3@db.internal/keys"}, "key_store_url"),
            ({"BILLFOLD_PUBLIC_URL": None}, "public_url"),
            ({"BILLFOLD_PUBLIC_URL": "http://wallet.example"}, "public_url"),
            ({"BILLFOLD_TRUSTED_PROXIES": None}, "tls_certificate"),
            ({"BILLFOLD_TLS": "true"}, "tls"),
            ({"BILLFOLD_TRUSTED_PROXIES": "0.0.0.0/0"}, "trusted_proxies"),
            ({"BILLFOLD_KEYRING_PASSPHRASE": None}, "keyring_passphrase"),
            ({"BILLFOLD_KEYRING_PASSPHRASE": "changeme"}, "keyring_passphrase"),
            ({"BILLFOLD_KEYRING_PASSPHRASE": "change-me-12345678"}, "keyring_passphrase"),
            ({"BILLFOLD_KEYRING_PASSPHRASE": "aaaaaaaaaaaaaaaaaaaa"}, "keyring_passphrase"),
            ({"BILLFOLD_ISOLATION": "role"}, "isolation"),
        ],
    )
    def test_refuses_what_is_unsafe(self, change: dict[str, str | None], key: str) -> None:
        """Each unsafe setting is refused by itself, and development takes the same."""
        environ = {name: value for name, value in (SAFE | change).items() if value is not None}
        assert mistakes_in(environ) == {key}
        load_settings(environ | {"BILLFOLD_ENVIRONMENT": "development"})

    def test_refuses_a_file_of_secrets_that_everybody_may_read(self, tmp_path: Path) -> None:
        """Its owner and a group may read it; without a secret in it, or elsewhere, anybody may."""
        file = tmp_path / "billfold.toml"
        open_ones = SAFE | {"BILLFOLD_CONFIG": str(file)}
        file.write_text(f'keyring_passphrase = "{SAFE["BILLFOLD_KEYRING_PASSPHRASE"]}"')
        file.chmod(0o644)
        assert mistakes_in(open_ones) == {"config"}
        load_settings(open_ones | {"BILLFOLD_ENVIRONMENT": "development"})
        file.chmod(0o640)
        assert load_settings(open_ones).production
        file.write_text("workers = 2")
        file.chmod(0o644)
        assert load_settings(open_ones).production

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://app:q7Jd02kfh3@db.internal/x?sslmode=require",
            "postgresql://app:q7Jd02kfh3@localhost/x",
            "postgresql://app:q7Jd02kfh3@127.0.0.1:5433,localhost:5434/x",
            "postgresql://app:q7Jd02kfh3@[::1]:5434/x",
            "postgresql://app:q7Jd02kfh3@/x",
            "postgresql://app:q7Jd02kfh3@/x?host=/run/postgresql",
            "postgresql://app:q7Jd02kfh3@%2Frun%2Fpostgresql/x",
        ],
    )
    def test_takes_a_database_that_nobody_can_listen_to(self, url: str) -> None:
        """TLS is needed over a network, and not on this machine."""
        assert load_settings(SAFE | {"BILLFOLD_DATABASE_URL": url}).production


class TestASecret:
    def test_never_shows_itself(self) -> None:
        """Neither the settings' text nor a traceback with them holds the secret."""
        settings = load_settings(SAFE)
        assert settings.keyring_passphrase == Secret("nine tall ships sail at dawn")
        shown = "".join(traceback.format_exception(ValueError(settings)))
        shown += repr(settings) + str(settings.keyring_passphrase)
        assert "ships" not in shown
        assert "q7Jd02kfh3" not in shown

    def test_is_not_shown_by_a_mistake(self) -> None:
        """A refused secret isn't repeated."""
        with pytest.raises(SettingsInvalid) as caught:
            load_settings(SAFE | {"BILLFOLD_KEYRING_PASSPHRASE": "hunter2", "BILLFOLD_DATABASE_URL": "http://s3cr3t@x"})
        assert "hunter2" not in str(caught.value)
        assert "s3cr3t" not in str(caught.value)
        with pytest.raises(SettingsInvalid) as caught:
            load_settings({"BILLFOLD_DATABASE_URL": "postgresql://app:s3c/r3t@db.internal/x"})
        assert "s3c" not in str(caught.value)
