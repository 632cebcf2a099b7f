"""What the start of a server does about TLS: it makes certificates for development, and looks at all that is named."""

import ipaddress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from billfold_server.http.certificates import read_trust
from billfold_server.serving.tls import issuing
from billfold_server.serving.tls.authority import LOCAL_NAMES, Authority
from billfold_server.serving.tls.contexts import server_side
from billfold_server.serving.tls.identity import read_identity
from billfold_server.settings import Mistake, Settings, SettingsInvalid

__all__ = ["CLIENT", "MTLS_PORT", "DevelopmentFiles", "check_tls", "ensure_certificates", "with_certificates"]

MTLS_PORT: Final = 8443
"""On which port clients are asked for certificates in development, where nobody says."""

CLIENT: Final = "sandbox"
"""The client's certificate that developers find made."""


class DevelopmentFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What was made for developers.

    Attributes:
        ca_file: The authority that their clients are to trust.
        client_certificate: A client's certificate to show.
        client_key: Its key.
    """

    ca_file: str
    client_certificate: str
    client_key: str


def ensure_certificates(settings: Settings) -> Settings:
    """Return settings that name certificates which are there, and good for a month and more.

    Args:
        settings: With a data folder that is there, and TLS asked for without a certificate of its own.

    Raises:
        Failure: The folder holds something else under their names.
    """
    authority = Authority(Path(settings.data_dir))
    hosts = [settings.host, urlsplit(settings.base_url).hostname or ""]
    server = authority.ensure_server([*LOCAL_NAMES, *(host for host in hosts if _can_be_named(host))])
    authority.ensure_client(CLIENT)
    asked_at = settings.mtls_port
    if asked_at is None and settings.mtls_public_url is None:
        asked_at = 0 if settings.port == 0 else MTLS_PORT
    return msgspec.structs.replace(
        settings,
        tls_certificate=server.certificate,
        tls_key=server.key,
        client_ca_file=settings.client_ca_file or str(authority.file),
        mtls_port=asked_at,
    )


def with_certificates(settings: Settings) -> tuple[Settings, DevelopmentFiles | None]:
    """Return settings by which the server can speak TLS if it shall, and what was made for that.

    Raises:
        Failure: What is to be made can't be.
        SettingsInvalid: A certificate, a key or an authority can't be used.
    """
    files = None
    if settings.tls and settings.tls_certificate is None:
        settings = ensure_certificates(settings)
        folder = Authority(Path(settings.data_dir)).folder
        client = folder / "clients" / f"{CLIENT}.pem"
        files = DevelopmentFiles(
            ca_file=str(folder / "ca.pem"),
            client_certificate=str(client),
            client_key=str(client.with_suffix(".key")),
        )
    check_tls(settings)
    return settings, files


def check_tls(settings: Settings) -> None:
    """See that all files of TLS can be used, before anybody depends on it.

    Raises:
        SettingsInvalid: Some can't.
    """
    mistakes: list[Mistake] = []
    if settings.tls_certificate is not None:
        try:
            server_side(read_identity(settings))
        except SettingsInvalid as error:
            mistakes += error.mistakes
    if settings.client_ca_file is not None:
        try:
            read_trust(settings)
        except SettingsInvalid as error:
            mistakes += error.mistakes
    if mistakes:
        raise SettingsInvalid(mistakes)


def _can_be_named(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return issuing.may_name(host)
    return host not in LOCAL_NAMES and issuing.may_name(host)
