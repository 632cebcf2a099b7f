"""``billfold users``: a tenant's customers and staff, and the platform's operators, on the command line.

What is refused is raised as it is; ``cli.py`` tells it in one sentence.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import click
import msgspec

from billfold import errors, ids
from billfold.contract.operators import CreateOperator
from billfold.contract.roles import StaffRole
from billfold.contract.users import CreateUser, EnrolmentCode, LoginRealm
from billfold.ids import Prefix
from billfold_server.commands import OpenServices, json_line, json_option
from billfold_server.http.reading import as_sent
from billfold_server.listings import listing, print_listing
from billfold_server.people import service
from billfold_server.people.service import Realm
from billfold_server.tenancy.context import COMMAND_LINE

__all__ = ["users"]


def _realm_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command say whose users it is about."""
    tenant = click.option("--tenant", metavar="SLUG", help="The tenant whose customers and staff these are.")
    platform = click.option("--platform", is_flag=True, help="The platform's operators.")
    return tenant(platform(json_option(command)))


@asynccontextmanager
async def _opened(
    open_services: OpenServices, tenant: str | None, *, platform: bool
) -> AsyncIterator[tuple[Realm, Any]]:
    """Open a transaction of the realm."""
    if (tenant is None) is not platform:
        msg = "Name a tenant with --tenant, or say --platform."
        raise click.UsageError(msg)
    async with open_services() as services:
        found = None if tenant is None else await services.registry.get(tenant)
        async with services.database.tx_of(found) as tx:
            yield Realm.of(services, found), tx


@click.group()
def users() -> None:
    """Create, invite, list, disable, enable, unlock and sign out the people who sign in."""


def _show(enrolment: EnrolmentCode, user_id: str, *, as_json: bool) -> None:
    said = {"user_id": user_id, **msgspec.structs.asdict(enrolment)}
    if as_json:
        click.echo(json_line(said))
        return
    click.echo(f"{'User id:':16}{user_id}")
    click.echo(f"{'Enrolment link:':16}{enrolment.url}")
    click.echo(f"{'Good until:':16}{enrolment.expires_at:%Y-%m-%d %H:%M} UTC")
    click.echo("Hand the link to them over a channel that you trust: it is not shown again.", err=True)


@users.command()
@click.argument("login_name")
@click.option("--name", "display_name", required=True, help="How pages address them.")
@click.option("--staff", is_flag=True, help="Somebody who works at the bank.")
@click.option("--role", "roles", multiple=True, type=click.Choice([role.value for role in StaffRole]), help="Of staff.")
@click.option("--party", "party_id", metavar="ID", help="The party that a customer is.")
@_realm_options
@click.pass_obj
def create(  # noqa: PLR0917 - click hands over one argument for each option
    open_services: OpenServices,
    login_name: str,
    display_name: str,
    staff: bool,  # noqa: FBT001
    roles: Sequence[str],
    party_id: str | None,
    tenant: str | None,
    platform: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Create somebody, and print the one-time link by which they enrol.

    A customer names the --party; --staff has roles; with --platform it is an operator.
    """
    if platform and (staff or roles or party_id is not None):
        msg = "An operator of the platform has no roles and is no party's: leave out --staff, --role and --party."
        raise click.UsageError(msg)
    operator = as_sent(CreateOperator(login_name=login_name, display_name=display_name))
    body = as_sent(
        CreateUser(
            login_realm=LoginRealm.STAFF if staff else LoginRealm.PSU,
            login_name=login_name,
            display_name=display_name,
            party_id=party_id,
            roles=[StaffRole(role) for role in roles],
        )
    )
    if not platform and not staff and (roles or party_id is None):
        msg = "Say whose login it is: a customer's by --party, or that of somebody who works at the bank by --staff."
        raise click.UsageError(msg)

    async def run() -> tuple[EnrolmentCode, str]:
        async with _opened(open_services, tenant, platform=platform) as (realm, tx):
            if platform:
                made = await service.create_operator(
                    realm, tx, COMMAND_LINE, login_name=operator.login_name, display_name=operator.display_name
                )
            else:
                made = _id((await service.create_user(realm, tx, COMMAND_LINE, body)).id)
            enrolment = await service.new_enrolment_code(realm, tx, COMMAND_LINE, made)
            return enrolment, ids.encode(Prefix.USER, made)

    enrolment, user_id = asyncio.run(run())
    _show(enrolment, user_id, as_json=as_json)


def _id(user_id: str) -> UUID:
    try:
        return ids.decode(Prefix.USER, user_id)
    except ids.InvalidIdError:
        raise errors.NotFound("there is no such user") from None


@users.command()
@click.argument("user_id")
@_realm_options
@click.pass_obj
def invite(open_services: OpenServices, user_id: str, tenant: str | None, *, platform: bool, as_json: bool) -> None:
    """Print a new one-time link, by which somebody enrols or enrols anew."""

    async def run() -> EnrolmentCode:
        async with _opened(open_services, tenant, platform=platform) as (realm, tx):
            return await service.new_enrolment_code(realm, tx, COMMAND_LINE, _id(user_id))

    _show(asyncio.run(run()), user_id, as_json=as_json)


@users.command("list")
@_realm_options
@click.pass_obj
def list_all(open_services: OpenServices, tenant: str | None, *, platform: bool, as_json: bool) -> None:
    """Show the users."""

    async def run() -> list[service.Listed]:
        async with _opened(open_services, tenant, platform=platform) as (_, tx):
            return await service.list_briefly(tx)

    found = asyncio.run(run())
    if as_json:
        click.echo(json_line(found))
        return
    table = listing("User id", "Realm", "Login name", "Name", "State", "Roles", "Last sign-in")
    for user in found:
        last = "" if user.last_sign_in_at is None else f"{user.last_sign_in_at:%Y-%m-%d %H:%M}"
        table.add_row(
            user.id, user.login_realm, user.login_name, user.display_name, user.state, " ".join(user.roles), last
        )
    print_listing(table)


def _change(name: str, text: str, done: str, work: Callable[[Realm, Any, UUID], Any]) -> None:
    """Make a command that changes one user."""

    def command(
        open_services: OpenServices, user_id: str, tenant: str | None, *, platform: bool, as_json: bool
    ) -> None:
        async def run() -> None:
            async with _opened(open_services, tenant, platform=platform) as (realm, tx):
                await work(realm, tx, _id(user_id))

        asyncio.run(run())
        click.echo(json_line({"user_id": user_id, "done": name}) if as_json else done)

    command.__doc__ = text
    users.command(name)(click.argument("user_id")(_realm_options(click.pass_obj(command))))


_change(
    "disable",
    "Disable somebody, who is signed out everywhere.",
    "Disabled.",
    lambda realm, tx, user_id: service.set_user_state(realm, tx, COMMAND_LINE, user_id, enabled=False),
)
_change(
    "enable",
    "Let somebody in again.",
    "Enabled.",
    lambda realm, tx, user_id: service.set_user_state(realm, tx, COMMAND_LINE, user_id, enabled=True),
)
_change(
    "unlock",
    "Take somebody's attempts again, where too many have failed.",
    "Unlocked.",
    lambda realm, tx, user_id: service.unlock_user(realm, tx, COMMAND_LINE, user_id),
)
_change(
    "sign-out",
    "Sign somebody out everywhere.",
    "Signed out everywhere.",
    lambda realm, tx, user_id: service.sign_out_everywhere(realm, tx, COMMAND_LINE, user_id),
)
