"""``billfold ledger``: a tenant's books on the command line."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, BinaryIO

import click
import msgspec
from rich.console import Console
from rich.table import Table

from billfold_server.invariants.service import Breach, check
from billfold_server.ledger.export import export_ledger

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["ledger"]

OpenServices = Callable[[], AbstractAsyncContextManager["Services"]]
"""Opens the server's parts for a command, and closes them after."""

_BROKEN = 1
_tenant_option = click.option("--tenant", required=True, metavar="SLUG", help="The tenant whose books they are.")
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


@click.group()
def ledger() -> None:
    """Verify and export a tenant's books."""


@ledger.command()
@_tenant_option
@_json_option
@click.pass_obj
def verify(open_services: OpenServices, tenant: str, *, as_json: bool) -> None:
    """Check that the books balance: every entry, every running balance, every hold, and no gap in the journal.

    Exits with 1 where something is broken, and names it.
    """

    async def run() -> list[Breach]:
        async with open_services() as services:
            return await check(services.database, await services.registry.get(tenant))

    breaches = asyncio.run(run())
    if as_json:
        document = {"tenant": tenant, "ok": not breaches, "breaches": breaches}
        click.echo(msgspec.json.encode(document).decode())
    elif breaches:
        table = Table("Invariant", "Object", "What was found", title=f"Books of {tenant}")
        for breach in breaches:
            table.add_row(breach.invariant, breach.object, breach.fact)
        Console().print(table)
    else:
        click.echo(f"The books of {tenant} balance.")
    if breaches:
        raise SystemExit(_BROKEN)


@ledger.command()
@_tenant_option
@click.option("--output", type=click.File("wb"), default="-", help="Where the lines go; standard output if absent.")
@click.option("--json", "as_json", is_flag=True, help="Has no effect: the export is JSON lines anyway.")
@click.pass_obj
def export(open_services: OpenServices, tenant: str, output: BinaryIO, *, as_json: bool) -> None:
    """Stream accounts, journal entries with their postings, and holds, as JSON lines and as of one moment.

    Progress goes to standard error. The last line counts the others, so that a file that was cut short shows.
    """
    del as_json

    async def run() -> None:
        async with open_services() as services:
            found = await services.registry.get(tenant)
            with Console(stderr=True).status("Exporting …") as status:
                number = 0
                async for line in export_ledger(services.database, found):
                    output.write(line + b"\n")
                    number += 1
                    if number % 10_000 == 0 and sys.stderr.isatty():
                        status.update(f"Exporting … {number:,} lines")

    asyncio.run(run())
