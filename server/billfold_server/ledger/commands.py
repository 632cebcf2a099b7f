"""``billfold ledger``: a tenant's books on the command line."""

import asyncio
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import asyncpg
import click
from msgspec.structs import replace
from rich.console import Console

from billfold import errors, ids
from billfold.chain import ERA, Verification
from billfold.contract.ledger import LEDGER_HEAD_TYPE, LedgerHead
from billfold.ids import Prefix
from billfold_server.account_statements import service as account_statements
from billfold_server.audit import service as audit
from billfold_server.commands import OpenServices, counted, json_line, json_option, refuse
from billfold_server.findings import with_wire_ids
from billfold_server.heads import head_text, kept_head, kept_head_options
from billfold_server.invariants.service import Breach, check
from billfold_server.ledger import queries, service
from billfold_server.ledger.archives import ArchiveVerification, verify_archives
from billfold_server.ledger.detaching import Detached, DetachRefusedError, detach
from billfold_server.ledger.export import (
    STATEMENT_TIMEOUT_MS,
    UnreadableError,
    count_sealed,
    export_ledger,
    verify_ledger,
)
from billfold_server.ledger.importing import ImportRefusedError, import_ledger
from billfold_server.ledger.recording import NotRecordedError, Recorded, record_terms
from billfold_server.listings import PlainTable, findings_of, print_listing
from billfold_server.private_files import open_output
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.tenancy.service import AHEAD, Partitioned

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["ledger"]


_BROKEN: Final = 1
_EVERY: Final = 10_000
_HEAD: Final = "billfold ledger head"
_tenant_option = click.option("--tenant", required=True, metavar="SLUG", help="The tenant whose books they are.")


@click.group()
def ledger() -> None:
    """Verify, export and import a tenant's books."""


@ledger.command()
@_tenant_option
@kept_head_options("ledger", _HEAD)
@click.option(
    "--archive",
    "archives",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of a month that was detached; may be given several times.",
)
@json_option
@click.pass_obj
def verify(
    open_services: OpenServices,
    tenant: str,
    trusted: str | None,
    kept: BinaryIO | None,
    archives: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Check that the books are as they were written, and that they balance.

    Every record is compared with the hash chain, and the first one that was edited, dropped, inserted or reordered is
    named; every entry, running balance, hold and reference is checked. An archive is compared with the checkpoint that
    seals its month, with the chain's links, and with the month's transfers, reversals and captures in the tenant; where
    all archives are given, what was reversed of detached entries is exact. Exits with 1 where something is broken.
    """
    head = kept_head(trusted, kept, _HEAD)

    async def run() -> tuple[Verification, list[Breach], dict[str, ArchiveVerification]]:
        async with open_services() as services:
            found = await services.registry.get(tenant)
            with _progress("Verifying …"):
                verification = await verify_ledger(services.database, found, trusted=head)
                looked = await verify_archives(services.database, found, archives)
            async with services.database.tx(found) as tx:
                verification = replace(verification, findings=await with_wire_ids(tx, verification.findings))
                for path, each in looked.items():
                    looked[path] = replace(each, findings=await with_wire_ids(tx, each.findings))
            return verification, await check(services.database, found), looked

    verification, breaches, looked = asyncio.run(run())
    ok = verification.ok and not breaches and all(each.ok for each in looked.values())
    if as_json:
        document = {
            "tenant": tenant,
            "ok": ok,
            "head": _head_of(verification),
            "findings": verification.findings,
            "further": verification.further,
            "unrecorded": verification.unrecorded,
            "era": verification.era,
            "breaches": breaches,
            "archives": looked,
        }
        click.echo(json_line(document))
    elif ok:
        _print_whole(tenant, verification, looked)
    else:
        _print_findings(tenant, verification, breaches, looked)
    if not ok:
        raise click.exceptions.Exit(_BROKEN)


def _print_whole(tenant: str, verification: Verification, archives: Mapping[str, ArchiveVerification]) -> None:
    counts = f"{_entries(verification.sequence)} in {counted(verification.head.number, 'link')}"
    click.echo(f"The books of {tenant} balance, and are as they were written: {counts}.")
    click.echo(f"Head: {head_text(verification.head)}")
    if verification.era < ERA and verification.head.number:
        what = counted(
            verification.unrecorded,
            "wallet or account the chain doesn't say whose it is",
            "wallets and accounts the chain doesn't say whose they are",
        )
        click.echo(
            f"Of {what}, and one that is put in wouldn't show. As found, that is recorded by: "
            f"billfold ledger record-terms --tenant {tenant} --reason 'recorded as found'"
        )
    for path, each in archives.items():
        click.echo(f"{path} is {each.month} as it was detached: {_entries(each.journal_entries)}.")


def _entries(number: int) -> str:
    return counted(number, "journal entry", "journal entries")


def _head_of(verification: Verification) -> dict[str, object]:
    head = verification.head
    return {"number": head.number, "hash": head.hash.hex(), "sequence": verification.sequence}


def _print_findings(
    tenant: str,
    verification: Verification,
    breaches: Sequence[Breach],
    archives: Mapping[str, ArchiveVerification],
) -> None:
    table = findings_of(f"Books of {tenant}")
    looked: dict[str, Verification | ArchiveVerification] = {"": verification, **archives}
    for place, found in looked.items():
        for finding in found.findings:
            sequence = "" if finding.sequence is None else f" (number {finding.sequence})"
            name = f"{finding.record.replace('_', ' ')} {finding.id or ''}{sequence}"
            table.add_row(finding.damage.value, f"{place} {name}".strip(), finding.fact)
        if found.further:
            table.add_row("…", place, f"and {found.further:,} more")
    for breach in breaches:
        table.add_row(breach.invariant, breach.object, breach.fact)
    print_listing(table)


@ledger.command()
@_tenant_option
@json_option
@click.pass_obj
def head(open_services: OpenServices, tenant: str, *, as_json: bool) -> None:
    """Show the signed head of the ledger's hash chain, to be kept or published.

    Books that are changed later no longer lead to it: billfold ledger verify --trusted NUMBER:HASH.
    """

    async def run() -> LedgerHead:
        async with open_services() as services:
            found = await services.registry.get(tenant)
            async with services.database.tx(found) as tx:
                newest = await queries.get_head(tx)
            realm = services.identity.realm(found)
            claims = service.head_claims(newest, realm.issuer)
            return service.signed_head(claims, await services.identity.attest(realm, LEDGER_HEAD_TYPE, claims))

    try:
        signed = asyncio.run(run())
    except UnreadableError as unreadable:
        sentence = f"Nothing is signed, since {unreadable}: see billfold ledger verify --tenant {tenant}."
        refuse("ledger_unreadable", sentence, as_json=as_json, tenant=tenant, record=unreadable.record)
    if as_json:
        click.echo(json_line(signed))
    else:
        click.echo(f"Head:      {signed.number}:{signed.hash}")
        click.echo(f"Entries:   {signed.sequence:,}")
        click.echo(f"Recorded:  {signed.recorded_at.isoformat()}")
        click.echo(f"Signature: {signed.jws}")


@ledger.command()
@_tenant_option
@click.option(
    "--output", type=click.Path(dir_okay=False), default="-", help="Where the lines go; standard output if absent."
)
@click.option("--json", "as_json", is_flag=True, help="Say as JSON why there is none; the export is JSON lines anyway.")
@click.pass_obj
def export(open_services: OpenServices, tenant: str, output: str, *, as_json: bool) -> None:
    """Stream the whole ledger as JSON lines, as of one moment: all that an import needs.

    That is parties, wallets, aliases and accounts, the chain with its journal entries, transfers, reversals, holds and
    their movements, imported bank statements, payments, and idempotency keys. Of these, the ones whose answers are
    sealed stay behind; standard error says how many. An export holds personal data, so a file is made readable for its
    owner only. Progress goes to standard error. The last line counts the others, so that a file that was cut short
    shows.
    """

    async def run(stream: BinaryIO) -> None:
        async with open_services() as services:
            found = await services.registry.get(tenant)
            async with services.database.tx(found) as tx:
                record = audit.new_record(COMMAND_LINE, "ledger.exported", ids.encode(Prefix.TENANT, found.id))
                await audit.record(tx, record)
                sealed = await count_sealed(tx)
            if sealed:
                stay = counted(
                    sealed,
                    "idempotency key stays behind: its answer is",
                    "idempotency keys stay behind: their answers are",
                )
                click.echo(f"{stay} sealed.", err=True)
            with _progress("Exporting …") as advance:
                number = 0
                async for line in export_ledger(services.database, found):
                    stream.write(line + b"\n")
                    number += 1
                    if number % _EVERY == 0:
                        advance(number)

    try:
        with open_output(output) as stream:
            asyncio.run(run(stream))
    except UnreadableError as unreadable:
        sentence = f"The export isn't whole, since {unreadable}: see billfold ledger verify --tenant {tenant}."
        refuse("ledger_unreadable", sentence, as_json=as_json, tenant=tenant, record=unreadable.record)


@ledger.command("import")
@_tenant_option
@kept_head_options("export", _HEAD)
@json_option
@click.argument("file", type=click.File("rb"))
@click.pass_obj
def import_(
    open_services: OpenServices,
    tenant: str,
    trusted: str | None,
    kept: BinaryIO | None,
    file: BinaryIO,
    *,
    as_json: bool,
) -> None:
    """Make an export the ledger of a tenant that is still empty; - reads from standard input.

    Everything is verified while it is read, must balance as billfold ledger verify asks for, and is written whole or
    not at all. The tenant's head is then that of the export, and with the administrator's database URL its months have
    partitions of their own. Exits with 1, and says why, where the tenant isn't empty or the export isn't whole.
    """
    head = kept_head(trusted, kept, _HEAD)

    async def run() -> tuple[Verification, bool]:
        async with open_services() as services:
            found = await services.registry.get(tenant)
            with _progress("Importing …", shown=not as_json) as advance:
                done = await import_ledger(
                    services.database, found, file, caller=COMMAND_LINE, trusted=head, advance=advance
                )
                return done, await _divide(services, tenant)

    try:
        verification, is_divided = asyncio.run(run())
    except ImportRefusedError as refused:
        others = [f"{breach.invariant}: {breach.object}: {breach.fact}" for breach in refused.breaches[1:]]
        sentence = "\n".join([f"Nothing was imported: {refused.fact}.", *others])
        found = {"finding": refused.finding, "breaches": refused.breaches}
        refuse(refused.reason, sentence, as_json=as_json, tenant=tenant, **found)
    if as_json:
        document = {"tenant": tenant, "head": _head_of(verification), "counts": verification.counts}
        click.echo(json_line(document))
    else:
        click.echo(f"Imported {_entries(verification.sequence)} into {tenant}.")
        click.echo(f"Head: {head_text(verification.head)}")
    if not is_divided:
        which = f"billfold ledger partitions --tenant {tenant}"
        click.echo(f"Before anything is posted, let its months have partitions of their own: {which}", err=True)


async def _divide(services: "Services", tenant: str) -> bool:
    """Let what was imported lie in partitions of its months, and tell whether it does.

    Nothing is posted while it is moved there, so it is done before anybody wants to, and not when the next month is
    made.
    """
    if not services.tenants.may_administer:
        return False
    try:
        await services.tenants.partition(tenant)
    except (errors.ProblemError, asyncpg.PostgresError):
        # What was imported is there all the same.
        return False
    return True


@ledger.command("record-terms")
@_tenant_option
@click.option("--reason", required=True, help="Why, for the audit.")
@json_option
@click.pass_obj
def record_terms_(open_services: OpenServices, tenant: str, reason: str, *, as_json: bool) -> None:
    """Record whose wallets and accounts are that were opened before the chain said so, as they are found.

    From then on whatever was opened without a record is damage, so all processes of the server must run this version.
    The books are verified first. Doing it twice changes nothing. Exits with 1, and says why, where they aren't whole.
    """

    async def run() -> Recorded:
        async with open_services() as services:
            found = await services.registry.get(tenant)
            with _progress("Recording …", shown=not as_json):
                return await record_terms(services.database, services.engine, found, reason=reason, caller=COMMAND_LINE)

    try:
        done = asyncio.run(run())
    except NotRecordedError as refused:
        refuse("books_broken", f"Nothing was recorded: {refused.fact}.", as_json=as_json, tenant=tenant)
    if as_json:
        click.echo(json_line(done))
    else:
        what = f"{counted(done.wallets, 'wallet')} and {counted(done.accounts, 'account')}"
        click.echo(f"Recorded {what} of {tenant} as found.")


@ledger.command("partitions")
@click.option("--tenant", metavar="SLUG", help="The tenant whose ledger it is.")
@click.option("--all", "everyone", is_flag=True, help="The ledgers of all tenants.")
@click.option(
    "--ahead", type=click.IntRange(1, 120), default=AHEAD, show_default=True, help="Months to make ahead of this one."
)
@json_option
@click.pass_obj
def partitions_(open_services: OpenServices, tenant: str | None, ahead: int, *, everyone: bool, as_json: bool) -> None:
    """Make the months of a ledger that are missing, and show what there is of each.

    What was posted in a month that had no partitions yet is moved into them. A running embedded server does this every
    day by itself. Needs the administrator's database URL. With --all, a ledger that fails doesn't hold up the others:
    the command exits with 1 then, and doing it again goes on.
    """
    if (tenant is None) != everyone:
        message = "name a tenant, or say --all"
        raise click.UsageError(message)

    failed: list[dict[str, str]] = []

    async def run() -> list[Partitioned]:
        async with open_services() as services:
            if tenant is not None:
                return [await services.tenants.partition(tenant, ahead=ahead)]
            done = []
            for slug in await services.tenants.slugs_with_schema():
                try:
                    done.append(await services.tenants.partition(slug, ahead=ahead))
                except errors.DatabaseUnavailable:
                    raise
                except errors.ProblemError as error:
                    failed.append({"tenant": slug, "code": error.code, "detail": error.detail})
            return done

    _print_partitioned(asyncio.run(run()), as_json=as_json)
    if failed:
        text = [f"The months of {each['tenant']} can't be made now: {each['detail']}." for each in failed]
        click.echo(json_line({"failed": failed}) if as_json else "\n".join(text), err=True)
        raise click.exceptions.Exit(_BROKEN)


def _print_partitioned(found: Sequence[Partitioned], *, as_json: bool) -> None:
    if as_json:
        click.echo(json_line(found))
        return
    table = PlainTable("Tenant", "Month", "Journal entries", "Bytes", "")
    for one in found:
        for month in one.months:
            new = "made now" if month.month in one.made else ""
            table.add_row(one.slug, month.month, f"{month.journal_entries:,}", f"{month.bytes:,}", new)
    Console().print(table)


@ledger.command("detach")
@_tenant_option
@click.option(
    "--before", required=True, type=click.DateTime(["%Y-%m"]), metavar="MONTH", help="The first month that stays."
)
@click.option(
    "--archive",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the months' files; without it they stay in the database, where the server can't see them.",
)
@click.option("--reason", required=True, help="Why, for the audit.")
@json_option
@click.pass_obj
def detach_(
    open_services: OpenServices, tenant: str, before: datetime, archive: Path | None, reason: str, *, as_json: bool
) -> None:
    """Take whole months out of a ledger, oldest first, and seal a checkpoint for each.

    Balances, and what was posted since, stay as they are and can be verified as before. The tenant's manifest says how
    many months must stay. The ledger is verified first, customers' account statements that are due are made, and each
    month is read back from its file before it goes. Needs the administrator's database URL. Exits with 1, and says why,
    where something speaks against it; the months that had left before are shown all the same.
    """
    gone: list[Detached] = []

    async def run() -> None:
        async with open_services() as services:
            found = await services.registry.get(tenant)
            patient = functools.partial(services.database.tx, found, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
            await detach(
                services.database,
                services.tenants,
                found,
                before=before.date(),
                archive=archive,
                reason=reason,
                caller=COMMAND_LINE,
                stated=functools.partial(account_statements.made_until, patient, COMMAND_LINE),
                left=gone.append,
            )

    try:
        asyncio.run(run())
    except DetachRefusedError as refused:
        if gone:
            _print_detached(gone, as_json=as_json)
        sentence = f"{'Nothing more' if gone else 'Nothing'} was detached: {refused.fact}."
        refuse(refused.reason, sentence, as_json=as_json, tenant=tenant)
    except BaseException:
        if gone:
            _print_detached(gone, as_json=as_json)
        raise
    _print_detached(gone, as_json=as_json)


def _print_detached(gone: Sequence[Detached], *, as_json: bool) -> None:
    """Show which months have left, also where something has stopped it: their tables are gone."""
    if as_json:
        click.echo(json_line(gone))
        return
    table = PlainTable("Month", "Journal entries", "Checkpoint", "Archive")
    for each in gone:
        table.add_row(each.month, f"{each.journal_entries:,}", str(each.checkpoint or "-"), each.archive or "-")
    Console().print(table)


@contextmanager
def _progress(what: str, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Show on standard error that something goes on, and how many lines it has come; on a terminal only."""
    if not shown or not sys.stderr.isatty():
        yield _pass
        return
    with Console(stderr=True).status(what) as status:

        def advance(number: int) -> None:
            status.update(f"{what} {number:,} lines")

        yield advance


def _pass(number: int) -> None:
    """Show nothing."""
