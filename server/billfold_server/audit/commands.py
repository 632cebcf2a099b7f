"""``billfold audit``: the chain of an audit trail on the command line."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO, Final

import click
import msgspec

from billfold import ids
from billfold.chain import TrailVerification
from billfold.contract.platform import AUDIT_HEAD_TYPE, AuditHead
from billfold.ids import Prefix
from billfold_server.audit import service
from billfold_server.audit.sealing import Sealed, seal
from billfold_server.audit.trail_reading import export_trail, verify_trail
from billfold_server.commands import OpenServices, counted, json_line, json_option, refuse
from billfold_server.findings import with_wire_ids
from billfold_server.heads import head_text, kept_head, kept_head_options
from billfold_server.listings import findings_of, print_listing
from billfold_server.private_files import open_output
from billfold_server.tenancy.context import COMMAND_LINE, TenantRef

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["audit"]


_BROKEN: Final = 1
_LATE: Final = timedelta(minutes=5)
"""After so long it is worth a look why something isn't sealed."""


def _trail_options(command: Callable[..., None]) -> Callable[..., None]:
    platform = click.option("--platform", is_flag=True, help="The platform's own trail: what operators did.")
    tenant = click.option("--tenant", metavar="SLUG", help="The tenant whose trail it is.")
    return tenant(platform(json_option(command)))


@click.group()
def audit() -> None:
    """Verify, seal and export audit trails."""


@audit.command()
@_trail_options
@kept_head_options("trail", "billfold audit head")
@click.pass_obj
def verify(
    open_services: OpenServices,
    tenant: str | None,
    trusted: str | None,
    kept: BinaryIO | None,
    *,
    platform: bool,
    as_json: bool,
) -> None:
    """Check that an audit trail is as it was written.

    Every record, and who ordered each transfer, is compared with the trail's hash chain; the first one that was edited,
    dropped, inserted or reordered is named. Records that were deleted after the time for which they are kept are
    counted. What isn't sealed yet can't be checked, and is counted, too. Exits with 1 where something is broken.
    """
    _check_trail(tenant, platform=platform)
    head = kept_head(trusted, kept, "billfold audit head")

    async def run() -> TrailVerification:
        async with open_services() as services:
            trail = await _find(services, tenant)
            found = await verify_trail(services.database, trail, trusted=head)
            async with services.database.tx_of(trail) as tx:
                return msgspec.structs.replace(found, findings=await with_wire_ids(tx, found.findings))

    found = asyncio.run(run())
    if as_json:
        document = {
            "tenant": tenant,
            "ok": found.ok,
            "head": {"number": found.head.number, "hash": found.head.hash.hex()},
            "findings": found.findings,
            "further": found.further,
            "counts": found.counts,
            "deleted": found.deleted,
            "deleted_to": found.deleted_to,
            "unsealed": found.unsealed,
            "unsealed_since": found.unsealed_since,
            "late": found.late,
            "late_ids": [ids.encode(Prefix.AUDIT_RECORD, each) for each in found.late_ids],
        }
        click.echo(json_line(document))
    else:
        _print(_name(tenant), found)
    if not found.ok:
        raise click.exceptions.Exit(_BROKEN)


def _print(name: str, found: TrailVerification) -> None:
    if found.ok:
        # What no link holds may be anything.
        sealed = found.counts.get("audit_record", 0) + found.counts.get("ordered", 0) - found.unsealed
        what = counted(sealed, "record or order of a transfer", "records and orders of transfers")
        counts = f"{what} in {counted(found.head.number, 'link')}"
        click.echo(f"The audit trail of {name} is as it was sealed: {counts}.")
        click.echo(f"Head: {head_text(found.head)}")
    else:
        table = findings_of(f"Audit trail of {name}")
        for finding in found.findings:
            table.add_row(finding.damage.value, f"{finding.record.replace('_', ' ')} {finding.id or ''}", finding.fact)
        if found.further:
            table.add_row("…", "", f"and {found.further:,} more")
        print_listing(table)
    if found.deleted_to is not None:
        to = found.deleted_to.date()
        gone = counted(found.deleted, f"record up to {to} was", f"records up to {to} were")
        click.echo(f"{gone} deleted, having been kept for long.")
    if found.late:
        click.echo(_late(found))
    if found.unsealed_since is not None:
        late = datetime.now(UTC) - found.unsealed_since > _LATE
        why = f"; look why no server seals {_them(found.unsealed)}, or do it by billfold audit seal" if late else ""
        what = counted(
            found.unsealed,
            "record or transfer isn't sealed yet,",
            "records and transfers aren't sealed yet, the oldest",
        )
        click.echo(f"{what} since {found.unsealed_since.isoformat()}{why}.")


def _late(found: TrailVerification) -> str:
    such, them = ids.encode(Prefix.AUDIT_RECORD, found.late_ids[0]), _them(found.late)
    what = counted(found.late, f"record, {such}, says that it was", f"records, such as {such}, say that they were")
    return (
        f"{what} made long before a sealing that didn't find {them}: somebody may have put {them} in, or a server's "
        "clock was wrong."
    )


def _them(number: int) -> str:
    return "it" if number == 1 else "them"


@audit.command("seal")
@_trail_options
@click.pass_obj
def seal_(open_services: OpenServices, tenant: str | None, *, platform: bool, as_json: bool) -> None:
    """Seal now what was recorded, rather than within the next minute.

    A server does so by itself about twice a minute.
    """
    _check_trail(tenant, platform=platform)

    async def run() -> Sealed:
        async with open_services() as services:
            return await seal(services.database, await _find(services, tenant), wait=True)

    done = asyncio.run(run())
    if as_json:
        click.echo(json_line(done))
    else:
        what = f"{counted(done.records, 'record')} and {counted(done.transfers, 'transfer')} of {_name(tenant)}"
        click.echo(f"Sealed {what} in {counted(done.links, 'link')}.")


@audit.command()
@_trail_options
@click.pass_obj
def head(open_services: OpenServices, tenant: str | None, *, platform: bool, as_json: bool) -> None:
    """Show the signed head of the trail's hash chain, to be kept or published.

    A trail that is changed later no longer leads to it: billfold audit verify --trusted NUMBER:HASH.
    """
    _check_trail(tenant, platform=platform)

    async def run() -> AuditHead:
        async with open_services() as services:
            found = await _find(services, tenant)
            async with services.database.tx_of(found) as tx:
                newest = await service.get_head(tx)
            realm = services.identity.realm(found)
            claims = service.head_claims(newest, realm.issuer)
            return service.signed_head(claims, await services.identity.attest(realm, AUDIT_HEAD_TYPE, claims))

    try:
        signed = asyncio.run(run())
    except service.HeadMissingError:
        sentence = f"Nothing is signed, since the head is gone: see billfold audit verify {_said(tenant)}."
        refuse("head_missing", sentence, as_json=as_json)
    if as_json:
        click.echo(json_line(signed))
    else:
        click.echo(f"Head:      {signed.number}:{signed.hash}")
        click.echo(f"Sealed:    {signed.sealed_at.isoformat()}")
        click.echo(f"Signature: {signed.jws}")


@audit.command()
@_trail_options
@click.option(
    "--output", type=click.Path(dir_okay=False), default="-", help="Where the lines go; standard output if absent."
)
@click.pass_obj
def export(open_services: OpenServices, tenant: str | None, output: str, *, platform: bool, as_json: bool) -> None:
    """Stream a whole audit trail as JSON lines, as of one moment.

    That is its chain, its records, and who ordered each transfer. billfold.chain.verify_trail_export verifies it
    without a server. It says who did what and why, so a file is made readable for its owner only. The export is JSON
    lines anyway; with --json it is also said as JSON why there is none.
    """
    _check_trail(tenant, platform=platform)

    async def run(stream: BinaryIO) -> None:
        async with open_services() as services:
            found = await _find(services, tenant)
            async with services.database.tx_of(found) as tx:
                of = "platform" if found is None else ids.encode(Prefix.TENANT, found.id)
                await service.record(tx, service.new_record(COMMAND_LINE, "audit.exported", of))
            async for line in export_trail(services.database, found):
                stream.write(line + b"\n")

    try:
        with open_output(output) as stream:
            asyncio.run(run(stream))
    except service.HeadMissingError:
        sentence = f"The export isn't whole, since the head is gone: see billfold audit verify {_said(tenant)}."
        refuse("head_missing", sentence, as_json=as_json)


def _check_trail(tenant: str | None, *, platform: bool) -> None:
    """See that exactly one trail was named, before anything is opened."""
    if (tenant is None) is not platform:
        msg = "name one trail: --tenant SLUG, or --platform"
        raise click.UsageError(msg)


async def _find(services: "Services", tenant: str | None) -> TenantRef | None:
    return None if tenant is None else await services.registry.get(tenant)


def _name(tenant: str | None) -> str:
    return "the platform" if tenant is None else tenant


def _said(tenant: str | None) -> str:
    """Return the option that names a trail."""
    return "--platform" if tenant is None else f"--tenant {tenant}"
