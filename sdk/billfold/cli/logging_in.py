"""``billfold login``, ``logout`` and ``profiles``: whom the other commands talk to, and as whom."""

import re
import shlex
import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from billfold.cli import profiles, showing
from billfold.cli.failures import Exit, Failure
from billfold.cli.profiles import Profile
from billfold.cli.running import PartnerCommand, run

__all__ = ["COMMANDS"]

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
_profile_option = click.option("--profile", default="default", show_default=True, help="How to call it.")
_existing = click.Path(exists=True, dir_okay=False, resolve_path=True)


@click.command(cls=PartnerCommand)
@click.option("--base-url", envvar="BILLFOLD_BASE_URL", help="The tenant, such as https://bank.example/t/demo_bank.")
@click.option("--client-id", envvar="BILLFOLD_CLIENT_ID", help="The API client, such as cli_….")
@click.option("--secret-variable", metavar="NAME", help="The environment variable that has the secret, and keeps it.")
@click.option("--key", type=_existing, help="A PEM file with the key to sign with, instead of a secret.")
@click.option("--dpop/--no-dpop", default=True, help="Whether tokens are bound to that key.  [default: they are]")
@click.option("--certificate", type=_existing, help="A PEM file with the certificate to show, instead of a secret.")
@click.option("--certificate-key", type=_existing, help="Its private key, where that is in another file.")
@click.option("--ca", type=_existing, help="A PEM file with the authorities to trust for the server.")
@click.option("--credentials", type=_existing, help="A file of lines NAME=value, such as billfold up keeps.")
@_profile_option
@_json_option
@run
def login(  # noqa: PLR0917 - click hands over one argument for each option
    base_url: str | None,
    client_id: str | None,
    secret_variable: str | None,
    key: str | None,
    dpop: bool,  # noqa: FBT001
    certificate: str | None,
    certificate_key: str | None,
    ca: str | None,
    credentials: str | None,
    profile: str,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Log in to a tenant, and keep for the other commands how.

    A secret is asked for, or read from standard input; it is never an argument, where histories and process lists would
    keep it. It is kept in a file that nobody else may read, unless --secret-variable says where it stays. What is kept
    has been tried before.
    """
    secret = None
    if credentials is not None:
        told = _lines(Path(credentials))
        base_url, client_id = told.get("BILLFOLD_BASE_URL"), told.get("BILLFOLD_CLIENT_ID")
        secret = told.get("BILLFOLD_CLIENT_SECRET")
    made = Profile(
        base_url=base_url or _asked("Base URL"),
        client_id=client_id or _asked("Client id"),
        secret_variable=secret_variable,
        key=key,
        dpop=dpop and key is not None,
        certificate=certificate,
        certificate_key=certificate_key,
        ca=ca,
    )
    _check(made)
    if secret_variable is None and key is None and certificate is None:
        made = msgspec.structs.replace(made, secret=secret or _secret())
    name = _tried(made)
    kept = profiles.read()
    kept.profiles[profile] = made
    kept.default = profile
    profiles.write(kept)
    said = {"profile": profile, "tenant": name, "base_url": made.base_url, "client_id": made.client_id}
    if as_json:
        showing.show(said, as_json=True)
    else:
        click.echo(f"Logged in to {name or made.base_url} as {made.client_id} (profile {profile}).")


def _check(profile: Profile) -> None:
    """Refuse what can't be meant.

    Raises:
        UsageError: More than one way to prove who asks, or no variable's name.
    """
    if sum(each is not None for each in (profile.secret_variable, profile.key, profile.certificate)) > 1:
        raise click.UsageError("Name one of --secret-variable, --key and --certificate.")
    if profile.secret_variable is not None and not _VARIABLE.fullmatch(profile.secret_variable):
        # Its value may be a secret that was meant to be named, so it isn't repeated.
        raise click.UsageError("--secret-variable takes the name of an environment variable, not the secret.")
    if profile.certificate_key is not None and profile.certificate is None:
        raise click.UsageError("--certificate-key goes with --certificate.")


def _asked(what: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"Say --{what.lower().replace(' ', '-')}.")
    return str(click.prompt(what))


def _secret() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Client secret", hide_input=True))
    if secret := sys.stdin.readline().strip():
        return secret
    raise Failure("no_secret", "Type the secret when asked, or pipe it in.", Exit.USAGE)


def _lines(file: Path) -> dict[str, str]:
    """Return what a file sets as a shell would: ``NAME=value``, with or without ``export``."""
    words = (
        word for line in file.read_text(encoding="utf-8").splitlines() for word in shlex.split(line, comments=True)
    )
    return {name: value for name, equals, value in (word.partition("=") for word in words) if equals}


def _tried(profile: Profile) -> str | None:
    """Ask the tenant for its name, which shows that the credentials are good; None where they may not ask that.

    Raises:
        ProblemError: They aren't.
    """
    from billfold import errors  # noqa: PLC0415 - With the client.

    with profiles.connect(profile, max_retries=0) as client:
        try:
            return client.tenant.get().name
        except errors.PermissionDenied:
            return None


@click.command(cls=PartnerCommand)
@click.option("--profile", help="Which; the one that was logged in last where absent.")
@_json_option
@run
def logout(profile: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Forget a profile, with its secret."""
    kept = profiles.read()
    name = profile or kept.default
    if name is None or kept.profiles.pop(name, None) is None:
        raise Failure("no_such_profile", f"There is no profile {name or 'to forget'}.", Exit.REFUSED)
    if kept.default == name:
        kept.default = next(iter(sorted(kept.profiles)), None)
    profiles.write(kept)
    if as_json:
        showing.show({"profile": name, "default": kept.default}, as_json=True)
    else:
        click.echo(f"Forgot {name}." + (f" Others talk to {kept.default} now." if kept.default else ""))


@click.command("profiles", cls=PartnerCommand)
@click.option("--use", metavar="NAME", help="Let the other commands talk to this one.")
@_json_option
@run
def profiles_(use: str | None, as_json: bool) -> None:  # noqa: FBT001
    """List the profiles, and say which one is used; --use changes that."""
    kept = profiles.read()
    if use is not None:
        profiles.chosen(use, {})
        kept.default = use
        profiles.write(kept)
    rows = [
        {
            "name": name,
            "used": name == kept.default,
            "base_url": each.base_url,
            "client_id": each.client_id,
            "proves_by": each.proves,
        }
        for name, each in sorted(kept.profiles.items())
    ]
    if as_json:
        showing.show({"profiles": rows}, as_json=True)
        return
    for row in rows:
        mark = click.style("*", fg="green") if row["used"] else " "
        click.echo(f"{mark} {click.style(str(row['name']), bold=True)}")
        click.echo(f"    {row['base_url']}\n    {row['client_id']}, by {row['proves_by']}")
    if not rows:
        click.echo("Nobody is logged in: billfold login.", err=True)


COMMANDS: Final = (login, logout, profiles_)
