"""Settings: from a file and the environment, checked once at the start.

Each setting is a field of ``Settings``. The environment says ``BILLFOLD_`` and the field's name in capitals, and wins
over the TOML file that ``BILLFOLD_CONFIG`` names. A mistake is told in one sentence that says how to mend it, and all
mistakes are told together. What is unsafe in production refuses to start.
"""

import difflib
import ipaddress
import os
import re
import stat
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from billfold_server import database_urls, nats_settings
from billfold_server.db.embedded.folders import default_data_dir

__all__ = ["Mistake", "Secret", "Settings", "SettingsInvalid", "load_settings"]

PREFIX: Final = "BILLFOLD_"
CONFIG_VARIABLE: Final = "BILLFOLD_CONFIG"

_NOT_OURS: Final = frozenset(
    {
        "config",
        "base_url",
        "client_id",
        "client_secret",
        "token_url",
        "platform_url",
        "platform_client_id",
        "platform_client_secret",
        "shared",
        "restored_url",
    }
)
"""Names with our prefix that the SDK, the CLI or the tests read."""


class Secret:
    """A text that never shows itself, neither in logs nor in a traceback."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, at the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('…')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))


_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_PRIVATE_NETWORKS: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")

Port = Annotated[int, Meta(ge=0, le=65_535)]
Positive = Annotated[int, Meta(ge=1)]


class Settings(nats_settings.NatsSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a deployment can choose; what it can of Vault stands in the class above.

    Attributes:
        environment: ``production`` refuses what is only safe on a developer's machine.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        workers: How many processes serve.
        data_dir: Folder for the embedded database and the keyring; below the user's own folders where absent, and for
            root /var/lib/billfold.
        database_url: PostgreSQL to use, as the server's own login; the embedded one where absent.
        admin_database_url: The same database as a role that may create roles and schemas, for who sets up and migrates;
            a process without it serves tenants, but makes none.
        key_store_url: PostgreSQL database in which the keys to what is sealed lie, as the server's own login or as a
            role that may create roles and schemas, from which that login then follows. It is another one than
            ``database_url``, so that a copy of the data holds no keys. Where absent, one beside it, except in
            production.
        key_store_admin_url: The same database as a role that may create roles and schemas, for who sets it up.
        key_rotation_days: How old an epoch of keys may become before each tenant gets a new version of its key and a
            new epoch, to which all keys are then brought in the background; empty is never by itself.
        database_connections: How many connections one process may hold together. A tenant keeps one to itself while it
            is busy; with fewer than there are such tenants, each change of hands costs more than a small transaction
            does. Where absent, 20; with the embedded database, of which nobody else wants any, up to 120.
        isolation: How tenants are kept apart in the database, where a tenant doesn't say: by ``role``, or by a
            ``login`` of its own (the production default).
        public_url: How the world reaches the server; issuers and links are made of it.
        trusted_proxies: Networks whose ``X-Forwarded-*`` headers count. In production without a certificate of its own,
            the server serves nobody else but this machine; health is told to everybody.
        tls: Whether to serve HTTPS though no certificate is named, by one that the server makes itself: in development
            alone, and with a port for client certificates, too (8443).
        tls_certificate: PEM file with the server's certificate chain; read anew whenever it changes.
        tls_key: PEM file with its private key; read anew together with the certificate.
        client_ca_file: PEM file with the authorities that issue client certificates; read anew whenever it changes.
            Self-signed certificates need none.
        client_crl_file: PEM file with these authorities' lists of what they have revoked, one of each; read anew
            whenever it changes. Once one is out of date, no client of its authority is let in.
        client_certificate_header: In which header trusted proxies hand on client certificates, and of which they let
            nobody else's through: ``client-cert`` (RFC 9440) or ``x-ssl-client-cert`` (nginx's
            ``$ssl_client_escaped_cert``).
        mtls_port: Second port, on which HTTPS clients are asked for a certificate; 0 takes a free one.
        mtls_public_url: How the world reaches what asks for client certificates: that port, or a proxy's. Where absent,
            ``public_url`` with that port.
        keyring_file: Where the keyring lies; ``keyring.json`` in the data folder where absent.
        keyring_passphrase: Opens the keyring.
        access_token_ttl_s: How long an access token lives.
        body_limit_bytes: Largest JSON body.
        upload_limit_bytes: Largest uploaded file.
        body_timeout_s: How long a JSON body may take to come in, from its first byte to its last.
        upload_timeout_s: How long an uploaded file may take.
        rate_limit_per_s: Requests per second that one client may make in the long run, where its tenant doesn't say.
        rate_limit_burst: Requests that it may make at once.
        token_rate_limit_per_min: Failed token requests per minute from one address.
        metrics_networks: Networks that may read ``/metrics``. Where absent, this machine alone in production, and
            private networks, too, in development.
        log_level: Least severe level that is logged.
        access_log: Whether ``all`` requests are logged, or ``failures`` alone, which are answered 500 and above. A line
            costs as much as serving the request; metrics count each of them, and the level ``debug`` logs all.
        log_format: ``json``, or ``console`` for people; ``auto`` is the latter where somebody looks on at a terminal.
        shutdown_timeout_s: How long a stop waits for requests to end.
        hung_timeout_s: How long a process of the server's may stand still before it is killed and replaced; 0 is for
            ever, for whoever looks into one with a debugger.
    """

    environment: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    port: Port = 8000
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    data_dir: str = msgspec.field(default_factory=lambda: str(default_data_dir()))
    database_url: Secret | None = None
    admin_database_url: Secret | None = None
    key_store_url: Secret | None = None
    key_store_admin_url: Secret | None = None
    key_rotation_days: Annotated[int, Meta(ge=1, le=3660)] | None = 90
    database_connections: Annotated[int, Meta(ge=2, le=10_000)] | None = None
    isolation: Literal["role", "login"] | None = None
    public_url: str | None = None
    trusted_proxies: list[str] = msgspec.field(default_factory=list)
    tls: bool = False
    tls_certificate: str | None = None
    tls_key: str | None = None
    client_ca_file: str | None = None
    client_crl_file: str | None = None
    client_certificate_header: Literal["client-cert", "x-ssl-client-cert"] | None = None
    mtls_port: Port | None = None
    mtls_public_url: str | None = None
    keyring_file: str | None = None
    keyring_passphrase: Secret | None = None
    access_token_ttl_s: Annotated[int, Meta(ge=10, le=600)] = 600
    body_limit_bytes: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    upload_limit_bytes: Annotated[int, Meta(ge=1024, le=1024 * 1024 * 1024)] = 32 * 1024 * 1024
    body_timeout_s: Annotated[int, Meta(ge=1, le=600)] = 30
    upload_timeout_s: Annotated[int, Meta(ge=1, le=3600)] = 120
    rate_limit_per_s: Positive = 100
    rate_limit_burst: Positive = 200
    token_rate_limit_per_min: Positive = 60
    metrics_networks: list[str] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    access_log: Literal["all", "failures"] = "failures"
    log_format: Literal["auto", "json", "console"] = "auto"
    shutdown_timeout_s: Annotated[int, Meta(ge=1, le=600)] = 30
    hung_timeout_s: Annotated[int, Meta(ge=0, le=3600)] = 30

    @property
    def production(self) -> bool:
        """Tell whether this deployment serves real money."""
        return self.environment == "production"

    @property
    def serves_tls(self) -> bool:
        """Tell whether the server itself speaks HTTPS."""
        return self.tls or self.tls_certificate is not None

    @property
    def base_url(self) -> str:
        """Return how the world reaches the server, without a slash at the end."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        scheme = "https" if self.serves_tls else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def takes_certificates(self) -> bool:
        """Tell whether a client can show a certificate at all: to the server itself, or to a proxy before it."""
        return self.mtls_base_url is not None or self.client_certificate_header is not None

    @property
    def mtls_base_url(self) -> str | None:
        """Return how the world reaches the server with a client certificate, or None where nobody asks for one.

        No slash is at the end. The same paths are below it as below ``base_url``, which stays the canonical one.
        """
        if self.mtls_public_url is not None:
            return self.mtls_public_url.rstrip("/")
        if self.mtls_port is None:
            return None
        host = urlsplit(self.base_url).hostname or self.host
        return f"https://{f'[{host}]' if ':' in host else host}:{self.mtls_port}"

    @property
    def own_hosts(self) -> frozenset[str]:
        """Return the names of the deployment's own hosts, which are no tenant's."""
        urls = [each for each in (self.base_url, self.mtls_base_url) if each is not None]
        return frozenset(filter(None, (urlsplit(each).hostname for each in urls)))

    @property
    def default_isolation(self) -> Literal["role", "login"]:
        """Return how tenants are kept apart where a tenant doesn't say."""
        return self.isolation or ("login" if self.production else "role")

    @property
    def monitors(self) -> list[str]:
        """Return the networks that may read ``/metrics``.

        Neighbours on a network aren't trusted with what a bank's numbers tell; a monitor of one is named.
        """
        if self.metrics_networks is not None:
            return self.metrics_networks
        return [*_LOOPBACK, *(() if self.production else _PRIVATE_NETWORKS)]

    @property
    def keyring_path(self) -> Path:
        """Return where the keyring lies."""
        return Path(self.keyring_file) if self.keyring_file is not None else Path(self.data_dir) / "keyring.json"


class Mistake(msgspec.Struct, frozen=True):
    """One setting that is wrong.

    Attributes:
        key: The setting's name.
        sentence: What is wrong and how to mend it; holds no value of a secret.
    """

    key: str
    sentence: str


class SettingsInvalid(Exception):
    """The settings can't be used. ``mistakes`` says why, one sentence each."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(mistake.sentence for mistake in mistakes))
        self.mistakes = list(mistakes)


def load_settings(
    environ: Mapping[str, str] | None = None, *, file: str | Path | None = None, **overrides: Any
) -> Settings:
    """Read and check the settings.

    Args:
        environ: The environment; the process's own where absent.
        file: A TOML file; where absent, the one that ``BILLFOLD_CONFIG`` names.
        overrides: Settings from the command line, which win; None stands for "not given".

    Raises:
        SettingsInvalid: Something is wrong or unsafe.
    """
    environ = os.environ if environ is None else environ
    mistakes: list[Mistake] = []
    path = file if file is not None else environ.get(CONFIG_VARIABLE)
    read = {} if path is None else _from_file(Path(path), mistakes)
    values: dict[str, Any] = dict(read)
    values |= _from_environment(environ, mistakes)
    values |= {name: value for name, value in overrides.items() if value is not None}
    settings = _convert(values, mistakes)
    mistakes += _inconsistent(settings)
    if settings.production:
        mistakes += _unsafe(settings)
        mistakes += [] if path is None else _open_file(Path(path), read)
    if mistakes:
        raise SettingsInvalid(mistakes)
    return settings


_FIELDS: Final = typing.get_type_hints(Settings, include_extras=True)


def _from_file(path: Path, mistakes: list[Mistake]) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        mistakes.append(
            Mistake(
                "config",
                f"The settings file {path} can't be read ({error.strerror}); create it or unset {CONFIG_VARIABLE}.",
            )
        )
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        mistakes.append(Mistake("config", f"The settings file {path} isn't valid TOML ({error}); mend it there."))
        return {}
    mistakes += [
        Mistake(name, f"The settings file {path} has {name}, which is no setting{_meant(name)}; remove it.")
        for name in table.keys() - _FIELDS.keys()
    ]
    return {name: value for name, value in table.items() if name in _FIELDS}


def _open_file(path: Path, read: Mapping[str, Any]) -> list[Mistake]:
    """Return what production refuses in a settings file: that everybody may read a secret in it."""
    secrets = [name for name in read if Secret in _kinds(_FIELDS[name])]
    if not secrets or not path.stat().st_mode & stat.S_IRWXO:
        return []
    found = f"everybody on this machine may read the settings file, which holds {', '.join(secrets)}"
    return [Mistake("config", f"In production, {found}; run chmod o= {path}.")]


def _from_environment(environ: Mapping[str, str], mistakes: list[Mistake]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in _FIELDS:
            try:
                values[name] = _from_text(_FIELDS[name], text)
            except ValueError as error:
                mistakes.append(Mistake(name, f"{variable} must be {error}; change or unset it."))
        elif name not in _NOT_OURS and (meant := _meant(name)):
            mistakes.append(Mistake(name, f"{variable} is no setting{meant}; rename or unset it."))
    return values


def _meant(name: str) -> str:
    close = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.8)
    return f" (did you mean {close[0]}?)" if close else ""


_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0", ""})


def _from_text(annotation: Any, text: str) -> Any:
    """Return the value that a variable's text stands for."""
    kinds = _kinds(annotation)
    if list in kinds:
        return [part.strip() for part in text.split(",") if part.strip()]
    if bool in kinds:
        if text.lower() not in _TRUE | _FALSE:
            msg = "true or false"
            raise ValueError(msg)
        return text.lower() in _TRUE
    if types.NoneType in kinds and not text:
        return None
    if int in kinds:
        # How small it may be is said where the bounds are known.
        if not re.fullmatch(r"-?[0-9]{1,15}", text):
            msg = "a whole number"
            raise ValueError(msg)
        return int(text)
    return text


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that an annotation allows, without their parameters and bounds."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _kinds(typing.get_args(annotation)[0])
    if origin in {typing.Union, types.UnionType}:
        return set().union(*map(_kinds, typing.get_args(annotation)))
    return {origin or annotation}


def _decode(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is Secret and isinstance(value, Secret):
        return value
    msg = f"can't be read as {kind.__name__}"
    raise ValueError(msg)


def _convert(values: Mapping[str, Any], mistakes: list[Mistake]) -> Settings:
    """Return the settings made of what is right, and note what isn't."""
    good: dict[str, Any] = {}
    for name, value in values.items():
        if name not in _FIELDS:
            mistakes.append(Mistake(name, f"{name} is no setting{_meant(name)}; remove it."))
            continue
        try:
            good[name] = msgspec.convert(value, _FIELDS[name], dec_hook=_decode)
        except msgspec.ValidationError as error:
            # msgspec repeats an enumeration's value, which no setting with choices keeps secret.
            mistakes.append(
                Mistake(name, f"{name} is wrong ({_expected(name, error)}); set {PREFIX}{name.upper()} right.")
            )
    try:
        return Settings(**good)
    except RuntimeError:
        # Who isn't known to the system and has no HOME either, as a number in a container, has no folder by default.
        sentence = "This user has no home folder; name a folder for the data in BILLFOLD_DATA_DIR."
        mistakes.append(Mistake("data_dir", sentence))
        return Settings(**good, data_dir=os.curdir)


def _expected(name: str, error: msgspec.ValidationError) -> str:
    annotation = _FIELDS[name]
    for each in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(each) is Literal:
            return "choose " + " or ".join(str(choice) for choice in typing.get_args(each))
    return str(error).replace("`", "")


def _inconsistent(settings: Settings) -> list[Mistake]:
    """Return what contradicts itself in any environment."""
    mistakes: list[Mistake] = []
    mistakes += _empty(settings)
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        mistakes.append(
            Mistake(
                "tls_certificate",
                "TLS needs both BILLFOLD_TLS_CERTIFICATE and BILLFOLD_TLS_KEY; set the other one too.",
            )
        )
    for name in ("tls_certificate", "tls_key", "client_ca_file", "client_crl_file"):
        path = getattr(settings, name)
        if path is not None and not Path(path).is_file():
            mistakes.append(
                Mistake(name, f"{name} names a file that isn't there; set {PREFIX}{name.upper()} to a PEM file.")
            )
    mistakes += [Mistake(*each) for each in (*_unaskable(settings), *nats_settings.contradictions(settings))]
    mistakes += _not_networks(settings)
    if settings.public_url is not None and not _is_address(settings.public_url, "http", "https"):
        mistakes.append(
            Mistake("public_url", "public_url must be like https://wallet.example; set BILLFOLD_PUBLIC_URL.")
        )
    if settings.mtls_public_url is not None and not _is_address(settings.mtls_public_url, "https"):
        sentence = "mtls_public_url must be like https://mtls.wallet.example; set BILLFOLD_MTLS_PUBLIC_URL."
        mistakes.append(Mistake("mtls_public_url", sentence))
    for name in _DATABASES:
        url = getattr(settings, name)
        if url is not None and database_urls.parts(url.reveal()).scheme not in {"postgres", "postgresql"}:
            mistakes.append(
                Mistake(name, f"{name} must be one address that begins with postgresql://; set {PREFIX}{name.upper()}.")
            )
        elif url is not None and not database_urls.ports_are_right(url.reveal()):
            # What stands where the port should be may be part of a password.
            how = "write it like postgresql://user:password@host:5432/name, with what is special in the password as %XX"
            mistakes.append(Mistake(name, f"{name} has no port from 1 to 65535; {how}, in {PREFIX}{name.upper()}."))
    return mistakes


def _empty(settings: Settings) -> list[Mistake]:
    """Return what is set to nothing, which would stand for the current folder, or for every address of the machine."""
    wanted = {"data_dir": "a folder", "host": "an address, such as 127.0.0.1, or 0.0.0.0 for all"}
    empty = [name for name in wanted if not getattr(settings, name)]
    told = "{0} is empty; name {1} in {2}, or leave it out."
    return [Mistake(name, told.format(name, wanted[name], f"{PREFIX}{name.upper()}")) for name in empty]


def _unaskable(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what contradicts itself in how client certificates are asked for, as (setting, sentence)."""
    header = settings.client_certificate_header
    if settings.mtls_port is not None and not settings.serves_tls:
        how = "set BILLFOLD_TLS_CERTIFICATE and BILLFOLD_TLS_KEY, or in development BILLFOLD_TLS=true."
        yield "mtls_port", f"Client certificates need HTTPS; {how}"
    if settings.mtls_port and settings.mtls_port == settings.port:
        yield (
            "mtls_port",
            "Client certificates are asked for on a port of their own; set BILLFOLD_MTLS_PORT to another.",
        )
    if header is not None and not settings.trusted_proxies:
        sentence = "Only a proxy's headers count; name the proxy in BILLFOLD_TRUSTED_PROXIES."
        yield "client_certificate_header", sentence
    if settings.mtls_public_url is not None and settings.mtls_port is None and header is None and not settings.tls:
        how = "set BILLFOLD_MTLS_PORT, or BILLFOLD_CLIENT_CERTIFICATE_HEADER where a proxy does."
        yield "mtls_public_url", f"Nobody asks for client certificates there; {how}"
    if settings.client_crl_file is not None and settings.client_ca_file is None:
        yield "client_crl_file", "Nobody's certificates can be revoked; set BILLFOLD_CLIENT_CA_FILE, too."


def _is_address(text: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - Looked at for what it raises.
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and not parts.query and not parts.fragment


def _not_networks(settings: Settings) -> list[Mistake]:
    return [
        Mistake(name, f"{name} holds {network!r}, which is no network; write it like 10.0.0.0/8.")
        for name in ("trusted_proxies", "metrics_networks")
        for network in getattr(settings, name) or ()
        if not _is_network(network)
    ]


_GUESSABLE: Final = frozenset(
    {"passphrase", "password", "changeme", "secret", "billfold", "development", "example", "test"}
)
_LEAST_PASSPHRASE = 16


def _guessable(secret: Secret) -> bool:
    letters = re.sub(r"[^a-z]", "", secret.reveal().lower())
    return len(secret.reveal()) < _LEAST_PASSPHRASE or letters in _GUESSABLE or len(set(secret.reveal())) < 6  # noqa: PLR2004 - Repeats of one word.


def _unsafe(settings: Settings) -> list[Mistake]:
    """Return what production refuses."""
    mistakes: list[Mistake] = []

    def refuse(key: str, sentence: str) -> None:
        mistakes.append(Mistake(key, f"In production, {sentence}"))

    for key, sentence in (*_unsafe_databases(settings), *nats_settings.unsafe(settings)):
        refuse(key, sentence)
    if settings.tls and settings.tls_certificate is None:
        sentence = "no certificate is made by the server itself; set BILLFOLD_TLS_CERTIFICATE and BILLFOLD_TLS_KEY."
        refuse("tls", sentence)
    elif settings.tls_certificate is None and not settings.trusted_proxies:
        refuse(
            "tls_certificate",
            "TLS is needed; set BILLFOLD_TLS_CERTIFICATE and BILLFOLD_TLS_KEY, "
            "or name the proxy that ends TLS in BILLFOLD_TRUSTED_PROXIES.",
        )
    if any(ipaddress.ip_network(each).prefixlen == 0 for each in settings.trusted_proxies if _is_network(each)):
        refuse(
            "trusted_proxies",
            "the whole internet can't be trusted; name the proxy's own network in BILLFOLD_TRUSTED_PROXIES.",
        )
    if settings.public_url is None or not settings.public_url.startswith("https://"):
        refuse("public_url", "the public address must be an https:// one; set BILLFOLD_PUBLIC_URL.")
    if settings.keyring_passphrase is None:
        refuse("keyring_passphrase", "the keyring needs a passphrase; set BILLFOLD_KEYRING_PASSPHRASE.")
    elif _guessable(settings.keyring_passphrase):
        refuse(
            "keyring_passphrase",
            f"the keyring's passphrase must have {_LEAST_PASSPHRASE} characters and not be a default; "
            "set another BILLFOLD_KEYRING_PASSPHRASE.",
        )
    if settings.isolation == "role":
        refuse("isolation", "tenants are kept apart by logins; set BILLFOLD_ISOLATION to login or unset it.")
    return mistakes


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


_DATABASES: Final = ("database_url", "admin_database_url", "key_store_url", "key_store_admin_url")


def _unsafe_databases(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what production refuses in the databases' URLs, as (setting, sentence)."""
    if settings.database_url is None:
        sentence = "the embedded database isn't used; set BILLFOLD_DATABASE_URL to a PostgreSQL of your own."
        yield "database_url", sentence
    if settings.key_store_url is None and settings.key_store_admin_url is None:
        sentence = "keys lie apart from what they open; set BILLFOLD_KEY_STORE_URL to a database of its own."
        yield "key_store_url", sentence
    for name in _DATABASES:
        url, variable = getattr(settings, name), PREFIX + name.upper()
        if url is not None and database_urls.password(url.reveal()) in {"postgres", "password", "billfold", "changeme"}:
            yield name, f"the database's password can't be a well-known one; change it and {variable}."
        if name.startswith("key_store") and url is not None and _same(url, settings):
            sentence = (
                "the key store can't be the tenants' database, or a copy of that would hold the keys; name another"
            )
            yield name, f"{sentence} database in {variable}."
        if url is not None and not database_urls.stays_private(url.reveal()):
            sentence = "what goes to the database over a network must be encrypted; "
            yield (
                name,
                f"{sentence}add sslmode=verify-full and sslrootcert=FILE, or at least sslmode=require, to {variable}.",
            )


def _same(url: Secret, settings: Settings) -> bool:
    """Tell whether an address of the key store's says itself that it is the tenants' database."""
    others = [each for each in (settings.database_url, settings.admin_database_url) if each is not None]
    return database_urls.place(url.reveal()) in {database_urls.place(each.reveal()) for each in others}
