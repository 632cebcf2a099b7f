"""Whom the command line talks to: profiles, each a tenant's address and by what to prove who asks.

They lie in one file that its owner alone may read. A secret need not be in it, and may stay in an environment
variable; a key stays in the file that it is in. Whoever sets ``BILLFOLD_BASE_URL``,
``BILLFOLD_CLIENT_ID`` and ``BILLFOLD_CLIENT_SECRET``, as programs do, needs no profile.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from billfold.cli.failures import Exit, Failure

if TYPE_CHECKING:
    from billfold import Billfold, Hooks
    from billfold.auth import ClientAuthentication

__all__ = ["Profile", "Profiles", "chosen", "connect", "path", "read", "write"]

FILE_VARIABLE: Final = "BILLFOLD_PROFILES_FILE"
PROFILE_VARIABLE: Final = "BILLFOLD_PROFILE"
_CREDENTIALS: Final = ("BILLFOLD_BASE_URL", "BILLFOLD_CLIENT_ID", "BILLFOLD_CLIENT_SECRET")


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tenant, and one of its API clients.

    Attributes:
        base_url: Where the tenant is served.
        client_id: ``cli_…``.
        secret: The client's secret.
        secret_variable: The environment variable that holds it instead.
        key: A PEM file with the key that signs instead of a secret.
        dpop: Whether access tokens are bound to that key.
        certificate: A PEM file with the certificate that connections are made with instead.
        certificate_key: Its private key.
        ca: A PEM file with the authorities to trust for the server.
    """

    base_url: str
    client_id: str
    secret: str | None = None
    secret_variable: str | None = None
    key: str | None = None
    dpop: bool = False
    certificate: str | None = None
    certificate_key: str | None = None
    ca: str | None = None

    def __repr__(self) -> str:
        """Show whose it is, and no secret."""
        return f"Profile({self.base_url!r}, {self.client_id!r})"

    @property
    def proves(self) -> str:
        """By what it proves who asks, in words."""
        if self.key is not None:
            return f"key {self.key}{' (DPoP)' if self.dpop else ''}"
        if self.certificate is not None:
            return f"certificate {self.certificate}"
        return f"variable {self.secret_variable}" if self.secret_variable else "secret, kept in the file"


class Profiles(msgspec.Struct, kw_only=True):
    """What the file holds.

    Attributes:
        default: Which profile is used where none is named.
        profiles: By name.
    """

    default: str | None = None
    profiles: dict[str, Profile] = {}


def path() -> Path:
    """Return where the profiles lie: ``BILLFOLD_PROFILES_FILE``, or a file among the user's settings.

    Raises:
        Failure: The user has no home, as in a container that runs as a number that nobody has.
    """
    told, settings = os.environ.get(FILE_VARIABLE), os.environ.get("XDG_CONFIG_HOME")
    try:
        if told:
            return Path(told).expanduser()
        return (Path(settings) if settings else Path.home() / ".config") / "billfold" / "profiles.json"
    except RuntimeError:
        sentence = f"This user has no home folder; name the file with the profiles in {FILE_VARIABLE}."
        raise Failure("no_home", sentence, Exit.SETTINGS) from None


def read() -> Profiles:
    """Return the profiles that there are.

    Raises:
        Failure: The file can't be read, others may read it too, or it isn't what was written.
    """
    file = path()
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read()
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise Failure("profiles_unreadable", f"{file} can't be read ({error.strerror}).", Exit.SETTINGS) from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        sentence = f"Others may read the secrets in {file}; take that from them: chmod 600 {file}"
        raise Failure("profiles_exposed", sentence, Exit.SETTINGS)
    try:
        return msgspec.json.decode(content, type=Profiles)
    except msgspec.DecodeError as error:
        sentence = f"{file} isn't what billfold login writes ({error}); mend or delete it."
        raise Failure("profiles_unreadable", sentence, Exit.SETTINGS) from None


def write(profiles: Profiles) -> None:
    """Write the profiles, whole or not at all, readable by their owner alone from the first byte on.

    Raises:
        Failure: They can't be written.
    """
    file = path()
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(msgspec.json.format(msgspec.json.encode(profiles)) + b"\n")
        beside.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise Failure("profiles_unwritable", f"{file} can't be written ({error.strerror}).", Exit.SETTINGS) from None


def chosen(name: str | None, environ: Mapping[str, str] | None = None) -> Profile:
    """Return the profile that a command is given for.

    The one that is named (``--profile``, ``BILLFOLD_PROFILE``) comes first, then what programs are told by the
    environment, then the one that was logged in last.

    Raises:
        Failure: There is none of that name, or none at all.
    """
    environ = os.environ if environ is None else environ
    name = name or environ.get(PROFILE_VARIABLE)
    base_url, client_id, secret = (environ.get(each) for each in _CREDENTIALS)
    if name is None and base_url and client_id and secret:
        return Profile(base_url=base_url, client_id=client_id, secret=secret)
    kept = read()
    name = name or kept.default
    if name is None:
        raise Failure("not_logged_in", "Nobody is logged in: run billfold login first.", Exit.SETTINGS)
    if name not in kept.profiles:
        known = ", ".join(sorted(kept.profiles)) or "none"
        sentence = f"There is no profile {name}; there are: {known}."
        raise Failure("no_such_profile", sentence, Exit.SETTINGS, profile=name)
    return kept.profiles[name]


def connect(profile: Profile, *, hooks: "Hooks | None" = None, max_retries: int | None = None) -> "Billfold":
    """Return a client for a profile; it asks nothing yet.

    Raises:
        Failure: The profile refers to something that isn't there.
        ValueError: The address isn't one.
    """
    from billfold import Billfold, HttpxTransport  # noqa: PLC0415 - Costs more than all of this.

    return Billfold(
        base_url=profile.base_url,
        auth=_authentication(profile),
        hooks=hooks,
        max_retries=max_retries,
        transport=HttpxTransport(verify=_trust(profile)),
    )


def _trust(profile: Profile) -> Any:
    import ssl  # noqa: PLC0415 - Loaded by httpx later on in any case.

    if profile.certificate is not None:
        return _certificate(profile).context
    if profile.ca is not None:
        return ssl.create_default_context(cafile=profile.ca)
    # Without TLS nobody is trusted, and reading the world's authorities would take longer than the request.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if profile.base_url.startswith("http://") else None


def _certificate(profile: Profile) -> Any:
    from billfold.auth import ClientCertificate  # noqa: PLC0415 - Only those who have one need it.

    assert profile.certificate is not None
    return ClientCertificate(profile.certificate, profile.certificate_key, ca=profile.ca)


def _authentication(profile: Profile) -> "ClientAuthentication":
    from billfold.auth import ClientCredentials, MutualTLS, PrivateKeyJWT  # noqa: PLC0415 - As above.

    if profile.certificate is not None:
        return MutualTLS(profile.client_id, _certificate(profile))
    if profile.key is not None:
        from billfold.keys import PemKey  # noqa: PLC0415 - As above.

        key = PemKey(profile.key)
        return PrivateKeyJWT(profile.client_id, key, dpop=key if profile.dpop else None)
    secret = profile.secret or os.environ.get(profile.secret_variable or "")
    if not secret:
        sentence = f"{profile.secret_variable or 'The secret'} isn't set; set it, or run billfold login again."
        raise Failure("no_secret", sentence, Exit.SETTINGS)
    return ClientCredentials(profile.client_id, secret)
