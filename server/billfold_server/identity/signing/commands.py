"""``billfold signing-keys``: the keys by which a tenant, or the platform, signs."""

import asyncio

import click

from billfold_server.commands import OpenServices, json_line, json_option
from billfold_server.identity.signing.service import KeyState
from billfold_server.listings import listing, print_listing
from billfold_server.tenancy.context import COMMAND_LINE

__all__ = ["signing_keys"]


@click.group("signing-keys")
def signing_keys() -> None:
    """Show and replace the keys by which tokens and records are signed."""


def _run(
    open_services: OpenServices, tenant: str | None, *, platform: bool, rotate: bool, withdraw: bool = False
) -> list[KeyState]:
    if (tenant is None) is not platform:
        msg = "Name a tenant with --tenant, or say --platform."
        raise click.UsageError(msg)

    async def run() -> list[KeyState]:
        async with open_services() as services:
            found = None if tenant is None else await services.registry.get(tenant)
            realm, signing = services.identity.realm(found), services.identity.signing
            if rotate:
                await signing.rotate(realm, withdraw=withdraw, caller=COMMAND_LINE)
            return await signing.states(realm)

    return asyncio.run(run())


def _print(states: list[KeyState], *, as_json: bool) -> None:
    if as_json:
        click.echo(json_line(states))
        return
    table = listing("Key", "Purpose", "Algorithm", "Generation", "State", "Signs from")
    for each in states:
        begins = f"{each.signs_from:%Y-%m-%d %H:%M}"
        table.add_row(
            each.kid,
            each.purpose,
            each.algorithm,
            str(each.generation),
            each.standing,
            begins,
        )
    print_listing(table)


_tenant = click.option("--tenant", metavar="SLUG", help="The tenant whose keys they are.")
_platform = click.option("--platform", is_flag=True, help="The keys of the platform.")


@signing_keys.command("list")
@_tenant
@_platform
@json_option
@click.pass_obj
def list_all(open_services: OpenServices, tenant: str | None, *, platform: bool, as_json: bool) -> None:
    """Show all keys that there ever were, and what each is good for now."""
    _print(_run(open_services, tenant, platform=platform, rotate=False), as_json=as_json)


@signing_keys.command()
@_tenant
@_platform
@click.option("--withdraw", is_flag=True, help="Somebody else may have the present keys: nothing they signed is taken.")
@json_option
@click.pass_obj
def rotate(open_services: OpenServices, tenant: str | None, *, platform: bool, withdraw: bool, as_json: bool) -> None:
    """Replace the keys before their time.

    The new ones are published at once and sign from an hour later, so that nobody notices. With --withdraw they sign at
    once, and within half a minute nothing that the former keys have signed is taken any more, on any worker.
    """
    _print(_run(open_services, tenant, platform=platform, rotate=True, withdraw=withdraw), as_json=as_json)
