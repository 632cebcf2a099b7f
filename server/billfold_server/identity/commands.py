"""``billfold clients``: the API clients of a tenant, or the operators' of the platform, on the command line.

What is refused is raised as it is; ``cli.py`` tells it in one sentence.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from billfold_server.identity.rules import PLATFORM_SCOPES, TENANT_SCOPES
from billfold_server.identity.service import Client, create_client, list_clients, set_client_state
from billfold_server.tenancy.context import COMMAND_LINE

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["clients"]

OpenServices = Callable[[], AbstractAsyncContextManager["Services"]]
"""Opens the server's parts for a command, and closes them after."""

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


def _realm_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command say whose clients it is about."""
    tenant = click.option("--tenant", metavar="SLUG", help="The tenant whose client it is.")
    platform = click.option("--platform", is_flag=True, help="A client of the platform's operators.")
    return tenant(platform(command))


@asynccontextmanager
async def _realm(
    open_services: OpenServices, tenant: str | None, *, platform: bool
) -> AsyncIterator[tuple["Services", Any, str]]:
    """Open the services, a transaction of the realm, and its issuer."""
    if (tenant is None) is not platform:
        msg = "Name a tenant with --tenant, or say --platform."
        raise click.UsageError(msg)
    async with open_services() as services:
        found = None if tenant is None else await services.registry.get(tenant)
        scope = services.database.platform_tx() if found is None else services.database.tx(found)
        async with scope as tx:
            yield services, tx, services.identity.realm(found).issuer


@click.group()
def clients() -> None:
    """Create, list, enable and disable API clients."""


@clients.command()
@_realm_options
@click.option("--scope", "scopes", multiple=True, required=True, metavar="SCOPE", help="May be given often; or: all.")
@click.option("--name", default="API client", show_default=True, help="For people.")
@_json_option
@click.pass_obj
def create(  # noqa: PLR0917 - click hands over one argument for each option
    open_services: OpenServices,
    tenant: str | None,
    platform: bool,  # noqa: FBT001
    scopes: Sequence[str],
    name: str,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Create an API client, and print its id, its secret and where it gets its tokens.

    The secret is shown this once. Several scopes may stand in one --scope, with spaces or commas in between.
    """
    known = PLATFORM_SCOPES if platform else TENANT_SCOPES
    asked = [scope for text in scopes for scope in text.replace(",", " ").split()]
    wanted = sorted(known) if asked == ["all"] else asked

    async def run() -> dict[str, Any]:
        async with _realm(open_services, tenant, platform=platform) as (services, tx, issuer):
            client, secret = await create_client(
                tx,
                services.keyring,
                name=name,
                scopes=wanted,
                now=services.clock.now(),
                platform=platform,
                caller=COMMAND_LINE,
            )
        return {
            "client_id": client.client_id,
            "client_secret": secret,
            "token_url": f"{issuer}/oauth/token",
            "base_url": issuer,
            "name": client.name,
            "scope": " ".join(client.scopes),
        }

    made = asyncio.run(run())
    if as_json:
        click.echo(msgspec.json.encode(made).decode())
        return
    for label, key in (
        ("Client id", "client_id"),
        ("Client secret", "client_secret"),
        ("Token URL", "token_url"),
        ("Scope", "scope"),
    ):
        click.echo(f"{label + ':':15}{made[key]}")
    click.echo("Keep the secret now: it is not shown again.", err=True)


@clients.command("list")
@_realm_options
@_json_option
@click.pass_obj
def list_all(open_services: OpenServices, tenant: str | None, *, platform: bool, as_json: bool) -> None:
    """Show the API clients, without their secrets."""

    async def run() -> Sequence[Client]:
        async with _realm(open_services, tenant, platform=platform) as (_, tx, _issuer):
            return await list_clients(tx)

    found = asyncio.run(run())
    if as_json:
        click.echo(msgspec.json.encode([_shown(client) for client in found]).decode())
        return
    table = Table("Client id", "Name", "State", "Scopes", "Created")
    for client in found:
        table.add_row(
            client.client_id, client.name, client.state, " ".join(client.scopes), f"{client.created_at:%Y-%m-%d %H:%M}"
        )
    Console().print(table)


def _shown(client: Client) -> dict[str, Any]:
    """Return a client as JSON tells of it."""
    return {**msgspec.to_builtins(client), "id": client.client_id}


def _set_state(
    open_services: OpenServices, tenant: str | None, client_id: str, *, platform: bool, enabled: bool
) -> None:
    async def run() -> None:
        async with _realm(open_services, tenant, platform=platform) as (services, tx, _):
            await set_client_state(tx, client_id, enabled=enabled, now=services.clock.now(), caller=COMMAND_LINE)

    asyncio.run(run())


@clients.command()
@_realm_options
@click.argument("client_id")
@_json_option
@click.pass_obj
def disable(open_services: OpenServices, tenant: str | None, client_id: str, *, platform: bool, as_json: bool) -> None:
    """Disable a client: within a second its tokens open nothing any more."""
    _set_state(open_services, tenant, client_id, platform=platform, enabled=False)
    click.echo(msgspec.json.encode({"client_id": client_id, "state": "disabled"}).decode() if as_json else "Disabled.")


@clients.command()
@_realm_options
@click.argument("client_id")
@_json_option
@click.pass_obj
def enable(open_services: OpenServices, tenant: str | None, client_id: str, *, platform: bool, as_json: bool) -> None:
    """Let a disabled client in again."""
    _set_state(open_services, tenant, client_id, platform=platform, enabled=True)
    click.echo(msgspec.json.encode({"client_id": client_id, "state": "active"}).decode() if as_json else "Enabled.")
