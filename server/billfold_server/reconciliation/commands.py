"""``billfold statements``: bank statements on the command line."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from billfold import errors, ids, money
from billfold.contract.statements import ImportedStatement, StatementImport
from billfold.ids import InvalidIdError, Prefix
from billfold_server.commands import OpenServices, counted, json_line, json_option
from billfold_server.listings import PlainTable
from billfold_server.reconciliation.service import dedup_secret, import_file, reverse_import
from billfold_server.tenancy.context import COMMAND_LINE

__all__ = ["ImportedFile", "RefusedFile", "ReversedImport", "statements", "table_of"]


_REFUSED: Final = 1
_WIDTH_OF_A_FILE: Final = 240
"""How wide the table is where it goes into a file or a pipe, and nobody's terminal sets a limit."""


class ImportedFile(msgspec.Struct, frozen=True):
    """A file that was imported."""

    file: str
    statement_import: StatementImport = msgspec.field(name="import")


class RefusedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was refused, and changed nothing."""

    file: str
    code: str
    detail: str
    facts: dict[str, errors.Fact]


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    tenant: str
    imported: list[ImportedFile]
    refused: list[RefusedFile]
    entries: int
    found_their_wallet: int


class ReversedImport(msgspec.Struct, frozen=True):
    """An import that was taken back."""

    tenant: str
    statement_import: StatementImport = msgspec.field(name="import")


@click.group()
def statements() -> None:
    """Import bank statements, and take wrong ones back."""


@statements.command("import")
@click.option("--tenant", required=True, metavar="SLUG", help="The tenant whose bank statements they are.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.pass_obj
def import_files(open_services: OpenServices, tenant: str, files: Sequence[Path], *, as_json: bool) -> None:
    """Import bank statements: camt.053 (ISO 20022) or MT940 (SWIFT).

    Credits top up the wallets that they name, debits are withdrawals or show those that were ordered here, and what
    fits none waits in suspense. Each
    file is imported whole or not at all; one that is refused doesn't hold the others up. A file that was imported
    before changes nothing. Exits with 1 where a file was refused.
    """
    with _progress(len(files), shown=not as_json) as advance:
        outcomes = asyncio.run(_import_all(open_services, tenant, files, advance))
    report = _report(tenant, outcomes)
    if as_json:
        click.echo(json_line(report))
    else:
        _print(report)
    if report.refused:
        raise click.exceptions.Exit(_REFUSED)


@statements.command("reverse")
@click.option("--tenant", required=True, metavar="SLUG", help="The tenant whose bank statements they are.")
@click.option("--reason", metavar="TEXT", help="Why, for the audit trail.")
@json_option
@click.argument("statement_import_id", metavar="IMPORT")
@click.pass_obj
def reverse(
    open_services: OpenServices, tenant: str, statement_import_id: str, reason: str | None, *, as_json: bool
) -> None:
    """Take back the import of a wrong file as a whole, or not at all.

    IMPORT is the import's id (sti_...), as import prints it. What it has posted is undone by reversing entries, and the
    same file, or a corrected one, may be imported afterwards. Only the last import of a bank account is taken back, and
    what is in the way is named. No second person is asked, unlike over HTTP.
    """
    done = asyncio.run(_take_back(open_services, tenant, statement_import_id, reason))
    if as_json:
        click.echo(json_line(ReversedImport(tenant, done)))
    else:
        entries = counted(sum(one.entries for one in done.statements), "entry", "entries")
        click.echo(f"{done.id} was taken back: {entries} in {counted(len(done.statements), 'statement')}.")


async def _take_back(
    open_services: OpenServices, slug: str, statement_import_id: str, reason: str | None
) -> StatementImport:
    try:
        import_id = ids.decode(Prefix.STATEMENT_IMPORT, statement_import_id)
    except InvalidIdError:
        raise errors.NotFound("there is no such statement import") from None
    async with open_services() as services:
        tenant = await services.registry.get(slug)
        answer = await reverse_import(services.engine, tenant, import_id, caller=COMMAND_LINE, reason=reason)
    if answer.error is not None:
        raise answer.error
    return msgspec.json.decode(answer.body, type=StatementImport)


async def _import_all(
    open_services: OpenServices, slug: str, files: Sequence[Path], advance: Callable[[str], None]
) -> list[ImportedFile | RefusedFile]:
    outcomes: list[ImportedFile | RefusedFile] = []
    async with open_services() as services:
        tenant = await services.registry.get(slug)
        secret = dedup_secret(services.keyring, tenant)
        for file in files:
            data = await asyncio.to_thread(file.read_bytes)
            try:
                answer = await import_file(
                    services.engine,
                    services.database,
                    services.keys,
                    tenant,
                    data,
                    caller=COMMAND_LINE,
                    secret=secret,
                )
            except (errors.StatementUnreadable, errors.Conflict) as error:
                outcomes.append(_refused(file, error))
            else:
                outcomes.append(_done(file, answer.body) if answer.error is None else _refused(file, answer.error))
            advance(file.name)
    return outcomes


def _done(file: Path, body: bytes) -> ImportedFile:
    # A file's name may be any bytes.
    return ImportedFile(click.format_filename(file), msgspec.json.decode(body, type=StatementImport))


def _refused(file: Path, error: errors.ProblemError) -> RefusedFile:
    return RefusedFile(file=click.format_filename(file), code=error.code, detail=error.detail, facts=error.facts)


def _report(tenant: str, outcomes: Sequence[ImportedFile | RefusedFile]) -> _Report:
    imported = [outcome for outcome in outcomes if isinstance(outcome, ImportedFile)]
    done = [statement for outcome in imported for statement in outcome.statement_import.statements]
    found = sum(statement.topped_up + statement.withdrawn + statement.matched for statement in done)
    return _Report(
        tenant=tenant,
        imported=imported,
        refused=[outcome for outcome in outcomes if isinstance(outcome, RefusedFile)],
        entries=found + sum(statement.suspense - statement.matched for statement in done),
        found_their_wallet=found,
    )


def _print(report: _Report) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_A_FILE)
    if report.imported:
        console.print(table_of(report.imported))
    if report.entries:
        share = 100 * report.found_their_wallet / report.entries
        console.print(
            f"{report.found_their_wallet} of {report.entries} new entries found their wallet ({share:.0f} %); "
            "the others wait in suspense."
        )
    for one in report.imported:
        click.echo(f"{Path(one.file).name} was imported as {one.statement_import.id}.")
    for refused in report.refused:
        click.echo(f"{refused.file}: {refused.detail}; nothing was changed.", err=True)


def table_of(imported: Sequence[ImportedFile]) -> PlainTable:
    """Return the table of imported files: a row per statement, with what it did to the cash account and its verdict."""
    table = PlainTable("File", "Bank account", "Period")
    for heading in ("Entries", "Topped up", "Withdrawn", "Matched", "Suspense", "Duplicate", "Not booked"):
        table.add_column(heading, justify="right")
    for heading in ("Opening", "Closing", "Cash before", "Cash after"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Verdict", min_width=30)
    for one in imported:
        for statement in one.statement_import.statements:
            table.add_row(Path(one.file).name, *_cells(statement))
    return table


def _cells(one: ImportedStatement) -> Iterator[str]:
    yield one.bank_account
    yield f"{one.opening_date} {one.closing_date}"
    waiting = one.suspense - one.matched
    for number in (one.entries, one.topped_up, one.withdrawn, one.matched, waiting, one.duplicates, one.not_booked):
        yield str(number)
    balances = (one.opening_balance_minor, one.closing_balance_minor, one.cash_before_minor, one.cash_after_minor)
    for minor in balances:
        yield "-" if minor is None else f"{money.to_decimal(minor, one.currency)} {one.currency}"
    yield one.verdict


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[str], None]]:
    """Show how far the files have come, where somebody looks."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("Importing", total=total)
        yield lambda name: bar.update(task, advance=1, description=f"Importing, {name} done")
