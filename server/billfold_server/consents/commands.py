"""``billfold consents``: what customers have allowed third parties, on the command line.

What is refused is raised as it is; ``cli.py`` tells it in one sentence.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click
import msgspec
from rich.console import Console

from billfold import errors, ids
from billfold.contract.consents import BlockedThirdParty, Consent, ConsentRecord, NamedOrganisation
from billfold.ids import Prefix
from billfold_server.commands import OpenServices, json_line, json_option
from billfold_server.consents import evidence, queries, service, staff
from billfold_server.consents.queries import Organisation
from billfold_server.consents.rules import KINDS, STATUSES
from billfold_server.listings import PlainTable, listing, print_listing
from billfold_server.tenancy.context import COMMAND_LINE, TenantRef
from billfold_server.tenancy.transaction import TenantTx

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["consents"]

T = TypeVar("T")

_tenant = click.option("--tenant", metavar="SLUG", required=True, help="The bank.")
_reason = click.option("--reason", required=True, help="Why, for the history and the audit; name no customer.")
_client = click.argument("client_id", required=False)
_organisation = click.option("--organisation", metavar="ID", help="The organisation, as its directory names it.")
_directory = click.option(
    "--directory", metavar="ISSUER", help="Whose name that is; needn't be said where the bank believes one directory."
)
_MOST = 1_000


@click.group()
def consents() -> None:
    """List, show and revoke customers' consents, and block third parties."""


@asynccontextmanager
async def _opened(open_services: OpenServices, tenant: str) -> AsyncIterator[tuple["Services", TenantRef]]:
    async with open_services() as services:
        yield services, await services.registry.get(tenant)


async def _in_tx(open_services: OpenServices, tenant: str, work: Callable[[TenantTx], Awaitable[T]]) -> T:
    async with _opened(open_services, tenant) as (services, found), services.database.tx(found) as tx:
        return await work(tx)


def _id(prefix: Prefix, text: str) -> UUID:
    try:
        return ids.decode(prefix, text)
    except ids.InvalidIdError as error:
        raise click.UsageError(str(error)) from None


@consents.command("list")
@_tenant
@click.option("--client", "client_id", help="Only those that this third party has asked for.")
@click.option("--party", "party_id", help="Only those that this customer has given.")
@click.option("--kind", type=click.Choice(KINDS), help="Only those for this.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those that stand there.")
@click.option("--limit", type=click.IntRange(1, _MOST), default=100, show_default=True, help="How many at most.")
@json_option
@click.pass_obj
def list_all(open_services: OpenServices, /, tenant: str, *, limit: int, as_json: bool, **asked: Any) -> None:
    """List consents, the newest first."""
    client = None if asked["client_id"] is None else _id(Prefix.CLIENT, asked["client_id"])
    party = None if asked["party_id"] is None else _id(Prefix.PARTY, asked["party_id"])

    async def work(tx: TenantTx) -> list[Consent]:
        found = await service.list_for_staff(
            tx, client_id=client, party_id=party, kind=asked["kind"], status=asked["status"], limit=limit
        )
        return [staff.shown(each) for each in found]

    found = asyncio.run(_in_tx(open_services, tenant, work))
    if as_json:
        click.echo(json_line(found))
        return
    table = listing("Consent", "Kind", "Status", "Third party", "Customer", "Asked for", "Ends")
    for each in found:
        created, ends = f"{each.created_at:%Y-%m-%d %H:%M}", f"{each.ended_at or each.ends_at:%Y-%m-%d %H:%M}"
        table.add_row(each.id, each.kind, each.status, each.client_id, each.party_id or "", created, ends)
    print_listing(table)


@consents.command()
@_tenant
@click.argument("consent_id")
@json_option
@click.pass_obj
def show(open_services: OpenServices, tenant: str, consent_id: str, *, as_json: bool) -> None:
    """Show a consent, with its history and what the customer was shown."""

    async def run() -> ConsentRecord:
        async with _opened(open_services, tenant) as (services, found):
            async with services.database.tx(found) as tx:
                kept = await staff.load(tx, _id(Prefix.CONSENT, consent_id))
            return await staff.record(services, found, kept)

    record = asyncio.run(run())
    if as_json:
        click.echo(json_line(record))
        return
    permits = " ".join(record.permissions)
    for label, value in (
        ("Consent", record.id),
        ("Kind", record.kind),
        ("Status", record.status),
        ("Why", record.status_reason),
        ("Third party", record.client_id),
        ("Customer", record.party_id),
        ("Wallets", " ".join(record.wallet_ids)),
        ("Permits", permits),
        ("Ends", record.ended_at or record.ends_at),
    ):
        if value:
            click.echo(f"{label + ':':13}{value}")
    table = PlainTable("When", "What", "From", "To", "By", "Who", "Times", "Why")
    for step in record.history:
        to = step.to_status or "refused"
        when = f"{step.happened_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            when, step.event, step.from_status, to, step.done_by, step.actor, str(step.times), step.reason or ""
        )
    Console().print(table)


@consents.command()
@_tenant
@click.argument("consent_id")
@_reason
@json_option
@click.pass_obj
def revoke(open_services: OpenServices, tenant: str, consent_id: str, reason: str, *, as_json: bool) -> None:
    """End a consent: from the third party's next request on it opens nothing."""
    which = _id(Prefix.CONSENT, consent_id)
    ended = _stepped(open_services, tenant, lambda tx: staff.revoke_one(tx, COMMAND_LINE, which, reason), reason)
    if as_json:
        click.echo(json_line(ended))
    else:
        click.echo(f"Ended: {ended.status}.")


@consents.command("require-reauthentication")
@_tenant
@click.argument("consent_id")
@_reason
@json_option
@click.pass_obj
def rest(open_services: OpenServices, tenant: str, consent_id: str, reason: str, *, as_json: bool) -> None:
    """Let a consent rest until its customer has authenticated for it again."""
    which = _id(Prefix.CONSENT, consent_id)
    resting = _stepped(open_services, tenant, lambda tx: staff.rest_one(tx, COMMAND_LINE, which, reason), reason)
    if as_json:
        click.echo(json_line(resting))
    else:
        click.echo("It rests until its customer comes back.")


def _stepped(
    open_services: OpenServices, tenant: str, work: Callable[[TenantTx], Awaitable[Consent]], reason: str
) -> Consent:
    """Do something to a consent; a step that is refused is written down, with the reason that was given."""

    async def run() -> Consent:
        async with _opened(open_services, tenant) as (services, found):
            try:
                async with services.database.tx(found) as tx:
                    return await work(tx)
            except errors.ConsentTransitionRefused as refusal:
                await service.record_refused(services.database, found, COMMAND_LINE, refusal, by="staff", reason=reason)
                raise

    return asyncio.run(run())


def _whom(
    client_id: str | None, organisation: str | None, directory: str | None
) -> Callable[[TenantTx], UUID | Organisation]:
    """Return how to tell whom a command names, once it is known at which bank."""
    if (client_id is None) is (organisation is None):
        raise click.UsageError("name a third party by CLIENT_ID or by --organisation, and not by both")
    if client_id is not None:
        if directory is not None:
            raise click.UsageError("--directory goes with --organisation")
        which = _id(Prefix.CLIENT, client_id)
        return lambda _: which
    try:
        named = msgspec.convert(organisation, NamedOrganisation)
    except msgspec.ValidationError:
        raise click.BadParameter("isn't how a directory names an organisation", param_hint="--organisation") from None
    return lambda tx: Organisation(directory=directory or _only(staff.believed(tx.tenant)), organisation_id=named)


def _only(directories: list[str]) -> str:
    if len(directories) != 1:
        raise click.UsageError(f"the bank believes {len(directories)} directories: say which by --directory")
    return directories[0]


@consents.command()
@_tenant
@_client
@_organisation
@_directory
@_reason
@json_option
@click.pass_obj
def block(
    open_services: OpenServices,
    tenant: str,
    client_id: str | None,
    *,
    organisation: str | None,
    directory: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Keep a third party out: from its next request on nothing works for it. Its consents stay.

    CLIENT_ID is any of its clients. Where a directory vouches for that one, the whole organisation is kept out with
    all its software, and can't register again; otherwise the client alone. Who has no client here is named by
    --organisation, and is refused when it comes to register.
    """
    whom = _whom(client_id, organisation, directory)
    blocked = asyncio.run(_in_tx(open_services, tenant, lambda tx: staff.keep_out(tx, COMMAND_LINE, whom(tx), reason)))
    if as_json:
        click.echo(json_line(blocked))
    else:
        whole = blocked.organisation_id or blocked.software_id
        click.echo(
            "Blocked: this client." if whole is None else f"Blocked: {whole} of {blocked.directory}, as a whole."
        )


@consents.command()
@_tenant
@click.option("--limit", type=click.IntRange(1, _MOST), default=100, show_default=True, help="How many at most.")
@json_option
@click.pass_obj
def blocked(open_services: OpenServices, tenant: str, *, limit: int, as_json: bool) -> None:
    """List the third parties that are kept out, with what lets them in again."""

    async def work(tx: TenantTx) -> list[BlockedThirdParty]:
        return [staff.shown_block(each) for each in await queries.list_blocks(tx, after=None, limit=limit)]

    found = asyncio.run(_in_tx(open_services, tenant, work))
    if as_json:
        click.echo(json_line(found))
        return
    table = listing("Client", "Third party", "Directory", "Since", "By", "Why")
    for each in found:
        whole = each.organisation_id or each.software_id or "this client alone"
        since = f"{each.blocked_at:%Y-%m-%d %H:%M}"
        table.add_row(each.client_id or "", whole, each.directory or "", since, each.blocked_by, each.reason)
    print_listing(table)


@consents.command()
@_tenant
@_client
@_organisation
@_directory
@json_option
@click.pass_obj
def unblock(
    open_services: OpenServices,
    tenant: str,
    client_id: str | None,
    *,
    organisation: str | None,
    directory: str | None,
    as_json: bool,
) -> None:
    """Let a third party in again. CLIENT_ID is any of its clients; --organisation names it as its directory does."""
    whom = _whom(client_id, organisation, directory)
    asyncio.run(_in_tx(open_services, tenant, lambda tx: staff.unblock(tx, COMMAND_LINE, whom(tx))))
    if as_json:
        named = {"client_id": client_id} if organisation is None else {"organisation_id": organisation}
        click.echo(json_line({**named, "blocked": False}))
    else:
        click.echo("Let in again.")


@consents.command()
@_tenant
@json_option
@click.pass_obj
def verify(open_services: OpenServices, tenant: str, *, as_json: bool) -> None:
    """Verify the chain of evidence: that no link was changed, dropped or made up."""

    async def run() -> evidence.Verified:
        async with _opened(open_services, tenant) as (services, found):
            return await evidence.verify(services, found)

    verified = asyncio.run(run())
    if as_json:
        click.echo(json_line(verified))
    elif verified.broken_at is None:
        click.echo(f"{verified.links} links, {verified.opened} of them opened: nothing was changed.")
    else:
        click.echo(f"Broken at link {verified.broken_at}: {verified.why}.", err=True)
    if verified.broken_at is not None:
        raise SystemExit(1)
