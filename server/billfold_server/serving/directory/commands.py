"""``billfold directory``: the test third parties of the development directory, on the command line.

The group finds in its context what opens the ``Directory`` of the data folder, put there by ``cli.py``.
"""

import json
from collections.abc import Callable

import click
import msgspec

from billfold_server.commands import json_option, print_json
from billfold_server.serving.directory.directory import Directory, Listed

__all__ = ["directory"]

OpenDirectory = Callable[[], Directory]


@click.group()
def directory() -> None:
    """Look at the test third parties of open banking, and at the sandbox's customers.

    Each has a signing key, a transport certificate and a software statement, with which it registers itself at the
    sandbox. In production, name the directory that you believe in the tenant's manifest, under registration.publishers.
    """


@directory.command("list")
@json_option
@click.pass_obj
def list_(open_directory: OpenDirectory, as_json: bool) -> None:  # noqa: FBT001
    """List the software that the directory knows."""
    found = open_directory().ensure()
    if as_json:
        print_json(found)
        return
    for each in found:
        click.echo(f"{click.style(f'{each.name:<8}', bold=True)}{','.join(each.roles):<17}{each.client_name}")


@directory.command("show")
@click.argument("name")
@json_option
@click.pass_obj
def show(open_directory: OpenDirectory, name: str, as_json: bool) -> None:  # noqa: FBT001
    """Show the software NAME, and where its keys and its statement lie."""
    found = open_directory().find(name)
    if as_json:
        print_json(found)
    else:
        click.echo(_text(found))


@directory.command("statement")
@click.argument("name")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where answers may be sent besides.")
@click.option(
    "--role",
    "roles",
    type=click.Choice(["AISP", "PISP", "CBPII"]),
    multiple=True,
    help="Only these of its roles.  [default: all that it has]",
)
@json_option
@click.pass_obj
def statement(
    open_directory: OpenDirectory,
    name: str,
    redirect_uris: tuple[str, ...],
    roles: tuple[str, ...],
    as_json: bool,  # noqa: FBT001
) -> None:
    """Print a software statement of NAME, signed now: what it sends when it registers itself."""
    text = open_directory().statement(name, redirect_uris=redirect_uris, roles=roles or None)
    if as_json:
        print_json({"software_statement": text})
    else:
        click.echo(text)


@directory.command("publisher")
@json_option
@click.pass_obj
def publisher(open_directory: OpenDirectory, as_json: bool) -> None:  # noqa: FBT001
    """Print what a tenant's manifest says to believe this directory, under [registration]."""
    found = open_directory().publisher()
    if as_json:
        print_json(found)
        return
    keys = ", ".join(_inline(key) for key in found.jwks["keys"])
    click.echo(
        "\n".join(["[[registration.publishers]]", f'issuer = "{found.issuer}"', f"jwks = {{ keys = [{keys}] }}"])
    )


@directory.command("customers")
@json_option
@click.pass_obj
def customers(open_directory: OpenDirectory, as_json: bool) -> None:  # noqa: FBT001
    """Show by what the customers of the folder's sandboxes sign in, with the code that each one's app shows now."""
    from billfold_server.serving.sign_ins import codes_now, read_sign_ins  # noqa: PLC0415 - Others need no app.
    from billfold_server.serving.welcome import CUSTOMERS_FILE  # noqa: PLC0415

    folder = open_directory().folder.parent
    found = [(each, codes_now(each)) for each in read_sign_ins(folder)]
    if as_json:
        print_json([{**msgspec.structs.asdict(each), "codes": list(codes)} for each, codes in found])
        return
    if not found:
        click.echo(
            f"Nobody in {folder / CUSTOMERS_FILE}: billfold up makes the customers of that folder's tenant sandbox; "
            "name another folder with --data-dir.",
            err=True,
        )
    for each, codes in found:
        click.echo(click.style(each.display_name, bold=True))
        click.echo(f"  Name       {each.name}\n  Password   {each.password}\n  Code       {codes[0]}, then {codes[1]}")


def _inline(members: dict[str, object]) -> str:
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in members.items()) + " }"


def _text(found: Listed) -> str:
    rows = {
        "Software id": found.software_id,
        "People see": found.client_name,
        "Run by": f"{found.organisation} ({found.organisation_id})",
        "Roles": ", ".join(found.roles),
        "Answers go to": "\n                   ".join(found.redirect_uris),
        "Signing key": found.signing_key,
        "Key's name": found.kid,
        "Certificate": found.transport_certificate,
        "Its key": found.transport_key,
        "Its subject": found.certificate_subject,
        "Statement": found.statement,
    }
    return "\n".join([click.style(found.name, bold=True), *(f"  {name:<16} {value}" for name, value in rows.items())])
