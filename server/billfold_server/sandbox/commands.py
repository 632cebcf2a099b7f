"""``billfold sandbox``: named sandboxes of partners, on the command line.

What is refused is raised as it is; ``cli.py`` tells it in one sentence.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from billfold import errors
from billfold.contract.sandbox import ResetSandbox, SandboxReset
from billfold_server.identity.service import TENANT_SCOPES, create_client
from billfold_server.sandbox.resetting import SEEDING
from billfold_server.sandbox.resetting import reset as bring_back
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.tenancy.manifest import load_manifest
from billfold_server.tenancy.shipped import find_folder

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["sandbox"]

OpenServices = Callable[[], AbstractAsyncContextManager["Services"]]
"""Opens the server's parts for a command, and closes them after."""

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
_TEMPLATE = "sandbox"


@click.group()
def sandbox() -> None:
    """Create, list and reset sandboxes."""


@sandbox.command()
@click.argument("name")
@click.option("--title", help="What people call it; its name where absent.")
@click.option("--empty", is_flag=True, help="Without customers and their months behind them.")
@_json
@click.pass_obj
def create(open_services: OpenServices, /, name: str, *, title: str | None, empty: bool, as_json: bool) -> None:
    """Create a sandbox called NAME, and print its address and an API client that may do everything in it.

    A partner can have several. Each has its own clock, customers and simulations, and knows nothing of the others.
    """
    made = asyncio.run(_create(open_services, name, title or name, seeded=not empty))
    if as_json:
        click.echo(msgspec.json.encode(made).decode())
        return
    for variable in ("base_url", "client_id", "client_secret"):
        click.echo(f"BILLFOLD_{variable.upper()}={made[variable]}")
    click.echo("Keep the secret now: it is not shown again.", err=True)


async def _create(open_services: OpenServices, name: str, title: str, *, seeded: bool) -> dict[str, Any]:
    manifest = msgspec.structs.replace(load_manifest(find_folder(_TEMPLATE)), slug=name, name=title)
    # As if it had been written down: a name may be none.
    manifest = msgspec.convert(msgspec.to_builtins(manifest), type(manifest))
    async with open_services() as services:
        if await services.registry.find(name) is not None:
            raise errors.TenantExists("there is a tenant of this name already", param="name")
        await services.tenants.apply(manifest, caller=COMMAND_LINE)
        tenant = await services.registry.get(name)
        if seeded:
            await services.rooms[SEEDING](services, tenant)
        async with services.database.tx(tenant) as tx:
            client, secret = await create_client(
                tx, services.keyring, name="sandbox developer", scopes=sorted(TENANT_SCOPES), now=services.clock.now()
            )
        base_url = f"{services.settings.base_url}/t/{name}"
    return {"slug": name, "base_url": base_url, "client_id": client.client_id, "client_secret": secret}


@sandbox.command("list")
@_json
@click.pass_obj
def list_all(open_services: OpenServices, /, *, as_json: bool) -> None:
    """List the sandboxes that there are."""

    async def run() -> list[dict[str, Any]]:
        async with open_services() as services:
            everyone = await services.registry.everyone()
            return [
                {"slug": each.slug, "name": each.manifest.name, "state": each.state}
                for each in everyone
                if each.manifest.sandbox
            ]

    found = asyncio.run(run())
    if as_json:
        click.echo(msgspec.json.encode({"data": found}).decode())
        return
    for each in found:
        click.echo(f"{each['slug']:24}{each['state']:14}{each['name']}")


@sandbox.command()
@click.argument("name", default=_TEMPLATE)
@click.option("--seeded/--empty", default=None, help="With customers or without; as before where neither is said.")
@_json
@click.pass_obj
def reset(open_services: OpenServices, /, name: str, *, seeded: bool | None, as_json: bool) -> None:
    """Bring the sandbox called NAME back to its beginning; its API clients, webhook endpoints and staff stay."""

    async def run() -> SandboxReset:
        async with open_services() as services:
            tenant = await services.registry.get(name)
            return await bring_back(services, tenant, COMMAND_LINE, ResetSandbox(seeded=seeded))

    done = asyncio.run(run())
    if as_json:
        click.echo(msgspec.json.encode(done).decode())
        return
    click.echo(f"{name} is as it was at its beginning, {'with' if done.seeded else 'without'} customers.")
