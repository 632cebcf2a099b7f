"""The settings that say where Vault is and how to log in to it.

``settings.py`` takes them in, so they are read and told as all others. They may stand there though ``key_backend`` is
``local``: a deployment that moves from one to the other needs both for a while.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

__all__ = [
    "SERVICE_ACCOUNT_TOKEN",
    "Credentials",
    "LoginMethod",
    "VaultSettings",
    "contradictions",
    "is_address",
    "unsafe",
]

LoginMethod = Literal["approle", "kubernetes", "cert", "token"]

SERVICE_ACCOUNT_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - Where Kubernetes puts it.


class VaultSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the keys' backend is chosen and reached.

    Attributes:
        key_backend: Where new key epochs are wrapped: ``local``, by the keyring, or ``vault``, by HashiCorp Vault or
            OpenBao. Those of before stay where they are until they are moved.
        vault_address: Where Vault is, like https://vault.internal:8200.
        vault_namespace: The namespace in which everything lies; the root namespace where absent.
        vault_ca_file: PEM file with the authorities that may have issued Vault's certificate; where absent, those that
            the world trusts.
        vault_mount: Where the transit engine is mounted.
        vault_deployment: How the names of this deployment's keys in the transit engine begin. Two deployments that
            share an engine need two.
        vault_login: How the server logs in: ``approle``, ``kubernetes``, ``cert`` (a client certificate) or ``token``.
        vault_login_mount: Where that auth method is mounted; under its own name where absent.
        vault_role_id: The AppRole's role id.
        vault_secret_id_file: File with its secret id, or with a token that this is wrapped in; read at every login.
        vault_secret_id_wrapped: Whether that file holds the token of a response-wrapped secret id. It is unwrapped
            once, and kept in the data folder, sealed by the keyring.
        vault_role: The role to log in as by ``kubernetes``, or by ``cert`` where there are several.
        vault_jwt_file: File with the service account's token, for ``kubernetes``; read at every login.
        vault_client_certificate: PEM file with the certificate that ``cert`` shows.
        vault_client_key: PEM file with its private key.
        vault_token_file: File with a token, for ``token``; read at every login. It is renewed as long as Vault does.
        vault_cards_role_id: The decryptor's role id, where it logs in by another AppRole than the API's workers; so
            these needn't be able to open cards.
        vault_cards_secret_id_file: The decryptor's own, likewise.
        vault_cards_role: The decryptor's own, likewise.
        vault_cards_jwt_file: The decryptor's own, likewise.
        vault_cards_client_certificate: The decryptor's own, likewise.
        vault_cards_client_key: The decryptor's own, likewise.
        vault_cards_token_file: The decryptor's own, likewise.
    """

    key_backend: Literal["local", "vault"] = "local"
    vault_address: str | None = None
    vault_namespace: str | None = None
    vault_ca_file: str | None = None
    vault_mount: str = "transit"
    vault_deployment: str = "billfold"
    vault_login: LoginMethod | None = None
    vault_login_mount: str | None = None
    vault_role_id: str | None = None
    vault_secret_id_file: str | None = None
    vault_secret_id_wrapped: bool = False
    vault_role: str | None = None
    vault_jwt_file: str | None = None
    vault_client_certificate: str | None = None
    vault_client_key: str | None = None
    vault_token_file: str | None = None
    vault_cards_role_id: str | None = None
    vault_cards_secret_id_file: str | None = None
    vault_cards_role: str | None = None
    vault_cards_jwt_file: str | None = None
    vault_cards_client_certificate: str | None = None
    vault_cards_client_key: str | None = None
    vault_cards_token_file: str | None = None

    def vault_credentials(self, domain: Literal["data", "cards"]) -> "Credentials":
        """Return by what to log in for one domain: for cards by the decryptor's own, where it has them."""
        found: dict[str, str | None] = {}
        for name in Credentials.__struct_fields__:
            own = getattr(self, f"vault_cards_{name}") if domain == "cards" else None
            found[name] = own if own is not None else getattr(self, f"vault_{name}")
        return Credentials(**found)


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """By what one process logs in to Vault; each as the setting of that name says."""

    role_id: str | None = None
    secret_id_file: str | None = None
    role: str | None = None
    jwt_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    token_file: str | None = None


_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "approle": ("role_id", "secret_id_file"),
    "kubernetes": ("role",),
    "cert": ("client_certificate", "client_key"),
    "token": ("token_file",),
}
_TAKEN: Final[dict[str, frozenset[str]]] = {
    "approle": frozenset({"role_id", "secret_id_file"}),
    "kubernetes": frozenset({"role", "jwt_file"}),
    "cert": frozenset({"client_certificate", "client_key", "role"}),
    "token": frozenset({"token_file"}),
}
_PATH: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*/?", re.ASCII)
_DEPLOYMENT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


def contradictions(settings: VaultSettings) -> Iterator[tuple[str, str]]:
    """Yield what contradicts itself in any environment, as (setting, sentence)."""
    if settings.key_backend == "vault" and settings.vault_address is None:
        sentence = "The keys' backend is Vault, and nobody says where that is; set BILLFOLD_VAULT_ADDRESS, or for "
        yield "vault_address", f"{sentence}development start with billfold up --vault."
    if settings.vault_address is None:
        yield from _without_address(settings)
        return
    if not is_address(settings.vault_address, {"http", "https"}):
        sentence = "vault_address must be like https://vault.internal:8200; set BILLFOLD_VAULT_ADDRESS."
        yield "vault_address", sentence
    yield from _misspelt(settings)
    if settings.vault_login is None:
        how = "set BILLFOLD_VAULT_LOGIN to approle, kubernetes, cert or token."
        yield "vault_login", f"Nobody says how to log in to Vault; {how}"
    else:
        yield from _incomplete(settings, settings.vault_login)


def _without_address(settings: VaultSettings) -> Iterator[tuple[str, str]]:
    defaults = VaultSettings()
    for name in VaultSettings.__struct_fields__:
        if name not in {"key_backend", "vault_address"} and getattr(settings, name) != getattr(defaults, name):
            sentence = f"{name} is set, and nobody says where Vault is; set BILLFOLD_VAULT_ADDRESS or unset "
            yield name, f"{sentence}BILLFOLD_{name.upper()}."


def is_address(text: str, schemes: Collection[str]) -> bool:
    """Tell whether a text is the address of a server, by one of some schemes: no path, and no password in it."""
    parts = urlsplit(text)
    try:
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username or parts.password or parts.path.strip("/"))
    return parts.scheme in schemes and bool(parts.hostname) and port_is_one and plain


def _misspelt(settings: VaultSettings) -> Iterator[tuple[str, str]]:
    for name in ("vault_mount", "vault_login_mount", "vault_namespace"):
        value = getattr(settings, name)
        if value is not None and not _PATH.fullmatch(value):
            yield name, f"{name} must be a path of Vault's, like a/b; set BILLFOLD_{name.upper()}."
    if not _DEPLOYMENT.fullmatch(settings.vault_deployment):
        sentence = "vault_deployment must be of small letters, digits and hyphens, 40 at most; "
        yield "vault_deployment", f"{sentence}set BILLFOLD_VAULT_DEPLOYMENT."
    for name in ("vault_ca_file", "vault_client_certificate", "vault_client_key"):
        path = getattr(settings, name)
        if path is not None and not Path(path).is_file():
            yield name, f"{name} names a file that isn't there; set BILLFOLD_{name.upper()} to a PEM file."


def _incomplete(settings: VaultSettings, method: LoginMethod) -> Iterator[tuple[str, str]]:
    for name in _NEEDED[method]:
        if getattr(settings, f"vault_{name}") is None and getattr(settings, f"vault_cards_{name}") is None:
            sentence = f"To log in to Vault by {method}, vault_{name} is needed; set BILLFOLD_VAULT_{name.upper()}."
            yield f"vault_{name}", sentence
    for name in Credentials.__struct_fields__:
        for setting in (f"vault_{name}", f"vault_cards_{name}"):
            if name not in _TAKEN[method] and getattr(settings, setting) is not None:
                sentence = f"{setting} isn't used to log in to Vault by {method}; unset BILLFOLD_{setting.upper()} or "
                yield setting, f"{sentence}choose another BILLFOLD_VAULT_LOGIN."
    if settings.vault_secret_id_wrapped and method != "approle":
        sentence = f"Nothing is wrapped where Vault is logged in to by {method}; "
        yield "vault_secret_id_wrapped", f"{sentence}unset BILLFOLD_VAULT_SECRET_ID_WRAPPED."


def unsafe(settings: VaultSettings) -> Iterator[tuple[str, str]]:
    """Yield what production refuses, as (setting, sentence)."""
    if settings.vault_address is not None and urlsplit(settings.vault_address).scheme != "https":
        yield "vault_address", "what goes to Vault must be encrypted; set BILLFOLD_VAULT_ADDRESS to an https:// one."
