"""The settings that say whether, and where, tenants' events are published to NATS JetStream."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from billfold_server import vault_settings
from billfold_server.vault_settings import VaultSettings

__all__ = ["NatsSettings", "contradictions", "unsafe"]


class NatsSettings(VaultSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the stream of events is reached. ``settings.py`` takes them in, as it does those of Vault.

    Attributes:
        nats_url: Where NATS is, like tls://nats.internal:4222, several with commas between them; every tenant's events
            are published to its JetStream. Nothing is where absent.
        nats_stream: The stream's name. The server makes it where it isn't there, and leaves alone the one that is.
        nats_subject: How subjects begin; the tenant's name and the type of event follow.
        nats_user: As whom to log in.
        nats_password_file: File with the password; read at every login.
        nats_ca_file: PEM file with the authorities that may have issued the server's certificate; where absent, those
            that the world trusts.
        nats_client_certificate: PEM file with a certificate to show.
        nats_client_key: PEM file with its private key.
    """

    nats_url: str | None = None
    nats_stream: str = "BILLFOLD"
    nats_subject: str = "billfold"
    nats_user: str | None = None
    nats_password_file: str | None = None
    nats_ca_file: str | None = None
    nats_client_certificate: str | None = None
    nats_client_key: str | None = None

    @property
    def nats_servers(self) -> list[str]:
        """Return where NATS is, one address each."""
        return [] if self.nats_url is None else [each.strip() for each in self.nats_url.split(",")]


_STREAM: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_SUBJECT: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,3}", re.ASCII)
_PAIRS: Final = (("nats_user", "nats_password_file"), ("nats_client_certificate", "nats_client_key"))


def contradictions(settings: NatsSettings) -> Iterator[tuple[str, str]]:
    """Yield what contradicts itself in any environment, of Vault's settings too, as (setting, sentence)."""
    yield from vault_settings.contradictions(settings)
    if settings.nats_url is None:
        for name in (*(name for pair in _PAIRS for name in pair), "nats_ca_file"):
            if getattr(settings, name) is not None:
                sentence = f"{name} is set, and nobody says where NATS is; set BILLFOLD_NATS_URL or unset "
                yield name, f"{sentence}BILLFOLD_{name.upper()}."
        return
    if not all(vault_settings.is_address(each, {"nats", "tls"}) for each in settings.nats_servers):
        yield "nats_url", "nats_url must be like tls://nats.internal:4222, without a password; set BILLFOLD_NATS_URL."
    if importlib.util.find_spec("nats") is None:
        sentence = "Publishing to NATS needs a package more: pip install 'billfold[nats]', "
        yield "nats_url", f"{sentence}or unset BILLFOLD_NATS_URL."
    yield from _misspelt(settings)


def _misspelt(settings: NatsSettings) -> Iterator[tuple[str, str]]:
    if not _STREAM.fullmatch(settings.nats_stream):
        sentence = "nats_stream must be of letters, digits, hyphens and underscores, 64 at most; "
        yield "nats_stream", f"{sentence}set BILLFOLD_NATS_STREAM."
    if not _SUBJECT.fullmatch(settings.nats_subject):
        sentence = "nats_subject must be of letters, digits, hyphens and underscores, four words at most; "
        yield "nats_subject", f"{sentence}set BILLFOLD_NATS_SUBJECT."
    for one, other in _PAIRS:
        if (getattr(settings, one) is None) != (getattr(settings, other) is None):
            yield one, f"NATS needs both {one} and {other}, or neither; set BILLFOLD_{one.upper()} and the other one."
    for name in ("nats_password_file", "nats_ca_file", "nats_client_certificate", "nats_client_key"):
        path = getattr(settings, name)
        if path is not None and not Path(path).is_file():
            yield name, f"{name} names a file that isn't there; set BILLFOLD_{name.upper()}."


def unsafe(settings: NatsSettings) -> Iterator[tuple[str, str]]:
    """Yield what production refuses, of Vault's settings too, as (setting, sentence)."""
    yield from vault_settings.unsafe(settings)
    if any(urlsplit(each).scheme != "tls" for each in settings.nats_servers):
        yield "nats_url", "what goes to NATS must be encrypted; set BILLFOLD_NATS_URL to a tls:// one."
