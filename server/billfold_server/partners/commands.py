"""``billfold partners``: a tenant's partner organisations and their members, on the command line.

What is refused is raised as it is; ``cli.py`` tells it in one sentence. API clients of a partner are made by
``billfold clients create --partner``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
import msgspec

from billfold import errors, ids
from billfold.contract.partners import CreatePartner, CreatePartnerMember, Partner, PartnerState, UpdatePartner
from billfold.contract.roles import PartnerRole
from billfold.contract.users import EnrolmentCode, User
from billfold.ids import Prefix
from billfold_server.commands import OpenServices, json_line, json_option
from billfold_server.http.reading import as_sent
from billfold_server.identity.service import GIVEABLE_SCOPES
from billfold_server.listings import listing, print_listing
from billfold_server.partners import rules, service
from billfold_server.people.service import Realm
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.tenancy.transaction import TenantTx

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["partners"]


_MOST = 10_000


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command say whose partners it is about, and how it prints."""
    tenant = click.option("--tenant", required=True, metavar="SLUG", help="The tenant whose partners these are.")
    return tenant(json_option(command))


@asynccontextmanager
async def _opened(open_services: OpenServices, slug: str) -> AsyncIterator[tuple["Services", Realm, TenantTx]]:
    async with open_services() as services:
        tenant = await services.registry.get(slug)
        async with services.database.tx(tenant) as tx:
            yield services, Realm.of(services, tenant), tx


def _id(text: str, prefix: Prefix, what: str) -> UUID:
    try:
        return ids.decode(prefix, text)
    except ids.InvalidIdError:
        raise errors.NotFound(f"there is no such {what}") from None


def _scopes(given: Sequence[str]) -> list[str]:
    asked = [scope for text in given for scope in text.replace(",", " ").split()]
    return sorted(set(GIVEABLE_SCOPES) - rules.OF_BANK) if asked == ["all"] else asked


_scope_option = click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="What its API clients may be allowed. Often; or: all."
)


@click.group()
def partners() -> None:
    """Create, change, list, suspend, resume and delete partner organisations, and look after their members."""


def _show(partner: Partner, *, as_json: bool) -> None:
    if as_json:
        click.echo(json_line(partner))
        return
    for label, value in (
        ("Partner id", partner.id),
        ("Name", partner.name),
        ("State", partner.state.value),
        ("May give", " ".join(partner.client_scopes)),
    ):
        click.echo(f"{label + ':':13}{value}")


@partners.command()
@click.argument("name")
@click.option("--external-id", help="Your own id of it.")
@_scope_option
@_options
@click.pass_obj
def create(
    open_services: OpenServices,
    /,
    *,
    name: str,
    external_id: str | None,
    scopes: Sequence[str],
    tenant: str,
    as_json: bool,
) -> None:
    """Create a partner organisation, and print its id. Several scopes may stand in one --scope."""
    body = as_sent(CreatePartner(name=name, external_id=external_id, client_scopes=_scopes(scopes)))

    async def run() -> Partner:
        async with _opened(open_services, tenant) as (_, _realm, tx):
            return await service.create(tx, COMMAND_LINE, body, known=GIVEABLE_SCOPES, unlimited=True)

    _show(asyncio.run(run()), as_json=as_json)


@partners.command()
@click.argument("partner_id")
@click.option("--name", help="What it is called from now on.")
@_scope_option
@_options
@click.pass_obj
def update(
    open_services: OpenServices,
    /,
    *,
    partner_id: str,
    name: str | None,
    scopes: Sequence[str],
    tenant: str,
    as_json: bool,
) -> None:
    """Change a partner's name, or what its API clients may be allowed; they lose at once what it loses."""
    changes: dict[str, Any] = {} if name is None else {"name": name}
    if scopes:
        changes["client_scopes"] = _scopes(scopes)
    body = as_sent(UpdatePartner(**changes))

    async def run() -> Partner:
        async with _opened(open_services, tenant) as (services, _realm, tx):
            return await service.update(
                tx,
                COMMAND_LINE,
                _id(partner_id, Prefix.PARTNER, "partner"),
                body,
                known=GIVEABLE_SCOPES,
                check_version=lambda _version: None,
                real_now=services.clock.now(),
                unlimited=True,
            )

    _show(asyncio.run(run()), as_json=as_json)


@partners.command("list")
@_options
@click.pass_obj
def list_all(open_services: OpenServices, /, *, tenant: str, as_json: bool) -> None:
    """Show the partner organisations."""

    async def run() -> list[Partner]:
        async with _opened(open_services, tenant) as (_, _realm, tx):
            return await service.list_partners(tx, COMMAND_LINE, limit=_MOST)

    found = asyncio.run(run())
    if as_json:
        click.echo(json_line(found))
        return
    table = listing("Partner id", "Name", "State", "Own id", "Created")
    for each in found:
        table.add_row(each.id, each.name, each.state.value, each.external_id or "", f"{each.created_at:%Y-%m-%d %H:%M}")
    print_listing(table)


def _change_state(name: str, text: str, state: PartnerState) -> None:
    """Make a command that changes the state of a partner."""

    def command(open_services: OpenServices, /, *, partner_id: str, tenant: str, as_json: bool) -> None:
        async def run() -> Partner:
            async with _opened(open_services, tenant) as (services, _realm, tx):
                key = _id(partner_id, Prefix.PARTNER, "partner")
                return await service.set_state(tx, COMMAND_LINE, key, state, real_now=services.clock.now())

        _show(asyncio.run(run()), as_json=as_json)

    command.__doc__ = text
    partners.command(name)(click.argument("partner_id")(_options(click.pass_obj(command))))


_change_state(
    "suspend",
    "Keep a partner out: its members' sessions and its clients' tokens end within a second.",
    PartnerState.SUSPENDED,
)
_change_state("resume", "Let a suspended partner in again.", PartnerState.ACTIVE)


@partners.command()
@click.argument("partner_id")
@_options
@click.pass_obj
def delete(open_services: OpenServices, /, *, partner_id: str, tenant: str, as_json: bool) -> None:
    """Remove a suspended partner for good.

    Its members, webhook endpoints and sandboxes must be gone, and its API clients disabled; they are deleted with it.
    """

    async def run() -> None:
        async with _opened(open_services, tenant) as (services, _realm, tx):
            key = _id(partner_id, Prefix.PARTNER, "partner")
            now = services.clock.now()
            await service.remove(tx, COMMAND_LINE, key, check_version=lambda _version: None, real_now=now)

    asyncio.run(run())
    click.echo(json_line({"partner_id": partner_id, "done": "delete"}) if as_json else "Removed.")


@partners.command()
@click.argument("partner_id")
@click.argument("login_name")
@click.option("--name", "display_name", required=True, help="How pages address them.")
@click.option("--role", required=True, type=click.Choice([role.value for role in PartnerRole]), help="What they do.")
@_options
@click.pass_obj
def invite(
    open_services: OpenServices,
    /,
    *,
    partner_id: str,
    login_name: str,
    display_name: str,
    role: str,
    tenant: str,
    as_json: bool,
) -> None:
    """Create a member of a partner, and print the one-time link by which they enrol."""
    body = as_sent(CreatePartnerMember(login_name=login_name, display_name=display_name, role=PartnerRole(role)))

    async def run() -> tuple[User, EnrolmentCode]:
        async with _opened(open_services, tenant) as (_, realm, tx):
            key = _id(partner_id, Prefix.PARTNER, "partner")
            made = await service.create_member(realm, tx, COMMAND_LINE, key, body)
            user = ids.decode(Prefix.USER, made.id)
            return made, await service.invite_member(realm, tx, COMMAND_LINE, key, user)

    made, enrolment = asyncio.run(run())
    if as_json:
        said = {"user_id": made.id, **msgspec.structs.asdict(enrolment)}
        click.echo(json_line(said))
        return
    click.echo(f"{'User id:':16}{made.id}")
    click.echo(f"{'Enrolment link:':16}{enrolment.url}")
    click.echo(f"{'Good until:':16}{enrolment.expires_at:%Y-%m-%d %H:%M} UTC")
    click.echo("Hand the link to them over a channel that you trust: it is not shown again.", err=True)


@partners.command()
@click.argument("partner_id")
@_options
@click.pass_obj
def members(open_services: OpenServices, /, *, partner_id: str, tenant: str, as_json: bool) -> None:
    """Show the members of a partner."""

    async def run() -> list[User]:
        async with _opened(open_services, tenant) as (_, realm, tx):
            key = _id(partner_id, Prefix.PARTNER, "partner")
            return await service.list_members(realm, tx, COMMAND_LINE, key, limit=_MOST)

    found = asyncio.run(run())
    if as_json:
        click.echo(json_line(found))
        return
    table = listing("User id", "Login name", "Name", "Role", "State")
    for each in found:
        role = "" if each.partner_role is None else each.partner_role.value
        table.add_row(each.id, each.login_name, each.display_name, role, each.state.value)
    print_listing(table)


@partners.command()
@click.argument("partner_id")
@click.argument("user_id")
@_options
@click.pass_obj
def remove(open_services: OpenServices, /, *, partner_id: str, user_id: str, tenant: str, as_json: bool) -> None:
    """Remove a member of a partner, who is signed out for good and forgotten."""

    async def run() -> None:
        async with _opened(open_services, tenant) as (_, realm, tx):
            key, user = _id(partner_id, Prefix.PARTNER, "partner"), _id(user_id, Prefix.USER, "member")
            await service.remove_member(realm, tx, COMMAND_LINE, key, user)

    asyncio.run(run())
    click.echo(json_line({"user_id": user_id, "done": "remove"}) if as_json else "Removed.")
