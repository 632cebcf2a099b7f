"""``billfold tenants``: what operators do with tenants, on the command line.

The group finds an ``OpenTenants`` in its context, put there by ``cli.py``, which knows settings and database and
tells refusals. Results go to standard output, as a table or, with ``--json``, as one JSON document; progress goes to
standard error, so that a script can read the one without the other.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from billfold import errors, ids
from billfold.contract.platform import DeadJob, Tenant
from billfold.ids import Prefix
from billfold_server.commands import print_json
from billfold_server.listings import PlainTable, listing, print_listing
from billfold_server.tenancy import dead_jobs
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.tenancy.manifest import load_manifest
from billfold_server.tenancy.service import Applied, Migrated, Tenants
from billfold_server.tenancy.shipped import find_folder

__all__ = ["OpenTenants", "tenants"]

OpenTenants = Callable[[], AbstractAsyncContextManager[Tenants]]
"""Opens the database for a command, and closes it after."""

P = ParamSpec("P")
R = TypeVar("R")

_FAILED = 1
_MOST = 1_000


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of a dead job that was to be tried again.

    Attributes:
        id: Which one.
        error: The code of the error for which it wasn't taken up, if so.
        detail: That error in words.
    """

    id: str
    error: str | None = None
    detail: str | None = None


@click.group()
def tenants() -> None:
    """Create, show, change, suspend and delete tenants."""


def _command(name: str) -> Callable[[Callable[Concatenate[Tenants, bool, P], Awaitable[None]]], click.Command]:
    """Make a coroutine a command, which finds the database open."""

    def wrap(work: Callable[Concatenate[Tenants, bool, P], Awaitable[None]]) -> click.Command:
        @functools.wraps(work)
        def command(open_tenants: OpenTenants, as_json: bool, *args: P.args, **kwargs: P.kwargs) -> None:  # noqa: FBT001
            async def run() -> None:
                async with open_tenants() as opened:
                    await work(opened, as_json, *args, **kwargs)

            asyncio.run(run())

        option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
        return tenants.command(name)(click.pass_obj(option(command)))

    return wrap


@_command("apply")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
async def apply(opened: Tenants, as_json: bool, folders: Sequence[str]) -> None:  # noqa: FBT001
    """Create tenants, or change them to what their tenant.toml says.

    FOLDER is a tenant's folder, or the name of one that comes with Billfold. All of them are read before anything is
    changed. What was cut short is continued by applying again; those that were done before are shown all the same.
    """
    manifests = [load_manifest(find_folder(folder)) for folder in folders]
    done: list[Applied] = []
    try:
        with _progress("Applying", len(manifests), shown=not as_json) as advance:
            for manifest in manifests:
                done.append(await opened.apply(manifest, caller=COMMAND_LINE))
                advance(manifest.slug)
    except BaseException:
        if len(manifests) > 1:
            # What was done before stays done, and the refusal itself needn't say of which one it is.
            _print_applied(done, as_json=as_json)
            if not as_json and len(done) < len(manifests):
                click.echo(f"Not applied to its end: {manifests[len(done)].slug}; what follows wasn't begun.", err=True)
        raise
    _print_applied(done, as_json=as_json)


def _print_applied(done: Sequence[Applied], *, as_json: bool) -> None:
    if as_json:
        print_json([{"change": applied.change, **_plain(applied.tenant.view())} for applied in done])
    else:
        _print_tenants([applied.tenant.view() for applied in done], extra=("Change", [a.change for a in done]))


@_command("list")
async def list_all(opened: Tenants, as_json: bool) -> None:  # noqa: FBT001
    """Show every tenant. Exits with 1 where this version can't read one; the others are shown all the same."""
    views = [record.view() for record in await opened.everyone()]
    if as_json:
        print_json([_plain(view) for view in views])
    else:
        _print_tenants(views)
    _tell_unreadable(views)


@_command("show")
@click.argument("slug")
async def show(opened: Tenants, as_json: bool, slug: str) -> None:  # noqa: FBT001
    """Show one tenant with its manifest. Exits with 1 where this version can't read it."""
    record = await opened.get(slug)
    document = {**_plain(record.view()), "manifest": None if record.known is None else _plain(record.known)}
    if as_json:
        print_json(document)
    else:
        table = PlainTable("Key", "Value")
        for key, value in document.items():
            text = value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value)).decode()
            table.add_row(key, text)
        Console().print(table)
    _tell_unreadable([record.view()])


@_command("migrate")
@click.argument("slugs", nargs=-1, metavar="[SLUG]...")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Tenants at a time.")
async def migrate(opened: Tenants, as_json: bool, slugs: Sequence[str], concurrency: int) -> None:  # noqa: FBT001
    """Bring the schemas of all tenants, or of those that are named, up to date.

    A tenant that fails doesn't hold the others up; run it again, and those that are done are passed over.
    """
    total = len(slugs) or len(await opened.everyone())
    with _progress("Migrating", total, shown=not as_json) as advance:
        results = await opened.migrate(
            slugs or None,
            concurrency=concurrency,
            progress=lambda result: advance(result.slug),
            caller=COMMAND_LINE,
        )
    if as_json:
        print_json([_plain(result) for result in results])
    else:
        _print_migrated(results)
    if any(result.error is not None for result in results):
        raise click.exceptions.Exit(_FAILED)


@_command("suspend")
@click.argument("slug")
@click.option("--reason", required=True, help="Why, for the records.")
async def suspend(opened: Tenants, as_json: bool, slug: str, reason: str) -> None:  # noqa: FBT001
    """Stop serving a tenant. Its data stays as it is."""
    _print_one((await opened.suspend(slug, reason=reason, caller=COMMAND_LINE)).view(), as_json=as_json)


@_command("resume")
@click.argument("slug")
@click.option("--reason", required=True, help="Why, for the records.")
async def resume(opened: Tenants, as_json: bool, slug: str, reason: str) -> None:  # noqa: FBT001
    """Serve a suspended tenant again."""
    _print_one((await opened.resume(slug, reason=reason, caller=COMMAND_LINE)).view(), as_json=as_json)


@_command("delete")
@click.argument("slug")
@click.option("--confirm", help="The slug once more; asked for where it isn't given.")
@click.option("--reason", help="Why, for the records.")
async def delete(opened: Tenants, as_json: bool, slug: str, confirm: str | None, reason: str | None) -> None:  # noqa: FBT001
    """Delete a suspended tenant with all of its data, for good."""
    if confirm is None:
        confirm = click.prompt(f"This deletes all data of {slug}. Type its slug to go on", err=True)
    await opened.delete(slug, confirm=confirm, reason=reason, caller=COMMAND_LINE)
    if as_json:
        print_json({"slug": slug, "deleted": True})
    else:
        click.echo(f"Deleted {slug}.")


@_command("dead-jobs")
@click.argument("slug")
@click.option("--after", metavar="JOB_ID", help="Go on after this one.")
@click.option("--limit", type=click.IntRange(1, _MOST), default=100, show_default=True, help="How many at most.")
async def list_dead_jobs(opened: Tenants, as_json: bool, slug: str, after: str | None, limit: int) -> None:  # noqa: FBT001
    """Show a tenant's jobs that have failed as often as they may, the oldest first.

    Nobody tries these again by itself: mend what they failed for, and give them to billfold tenants retry-jobs.
    """
    async with opened.tx(slug) as tx:
        page = await dead_jobs.list_page(tx, after=None if after is None else _job(after), limit=limit + 1)
    found = page[:limit]
    if as_json:
        print_json([_plain(each) for each in found])
    else:
        _print_dead(found)
    if len(page) > limit:
        click.echo(f"There are more: billfold tenants dead-jobs {slug} --after={found[-1].id}", err=True)


@_command("retry-jobs")
@click.argument("slug")
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...")
@click.option("--reason", help="Why, for the records.")
async def retry_jobs(opened: Tenants, as_json: bool, slug: str, job_ids: Sequence[str], reason: str | None) -> None:  # noqa: FBT001
    """Have dead jobs tried again at once, with all their attempts.

    Where the tenant is suspended, that waits until it is served again. One that can't be taken up, because it isn't
    dead any more or a newer one does the same, doesn't hold the others up; the command exits with 1 then.
    """
    # That there is no such tenant is said once, and not of each job.
    await opened.opened(slug)
    done = [await _retried(opened, slug, job_id, reason) for job_id in dict.fromkeys(job_ids)]
    if as_json:
        print_json([_plain(each) for each in done])
    else:
        table = listing("Job", "Outcome")
        for each in done:
            table.add_row(each.id, "is tried again" if each.error is None else f"{each.error}: {each.detail}")
        print_listing(table)
    if any(each.error is not None for each in done):
        raise click.exceptions.Exit(_FAILED)


async def _retried(opened: Tenants, slug: str, job_id: str, reason: str | None) -> Retried:
    try:
        async with opened.tx(slug) as tx:
            await dead_jobs.retry(tx, _job(job_id), caller=COMMAND_LINE, reason=reason)
    except (errors.NotFound, errors.JobStateRefuses) as error:
        return Retried(id=job_id, error=error.code, detail=error.detail)
    return Retried(id=job_id)


def _job(text: str) -> UUID:
    """Return a job's id from what was typed.

    Raises:
        errors.NotFound: It is none.
    """
    try:
        return ids.decode(Prefix.JOB, text)
    except ids.InvalidIdError:
        raise errors.NotFound("there is no such job") from None


def _print_dead(found: Sequence[DeadJob]) -> None:
    table = listing("Job", "Kind", "Attempts", "Failed at", "Last error")
    for each in found:
        table.add_row(each.id, each.kind, str(each.attempts), f"{each.died_at:%Y-%m-%d %H:%M}", each.last_error or "")
    print_listing(table)


@contextmanager
def _progress(what: str, total: int, *, shown: bool) -> Iterator[Callable[[str], None]]:
    """Show how far a long command has come, where somebody looks."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda slug: bar.update(task, advance=1, description=f"{what} {slug}")


def _plain(value: object) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def _print_one(view: Tenant, *, as_json: bool) -> None:
    if as_json:
        print_json(_plain(view))
    else:
        _print_tenants([view])


def _print_tenants(views: Sequence[Tenant], *, extra: tuple[str, Sequence[str]] | None = None) -> None:
    table = PlainTable(Column("Slug", no_wrap=True), "Name", "State", "Isolation", "Version", "Hosts", "Sandbox of")
    if extra is not None:
        table.add_column(extra[0])
    for number, view in enumerate(views):
        whose = "" if view.sandbox_of is None else f"{view.sandbox_of.tenant} {view.sandbox_of.partner_id}"
        row = [view.slug, view.name, view.state.value, view.isolation, view.schema_version or "-", " ".join(view.hosts)]
        row.append(whose)
        table.add_row(*row, *([extra[1][number]] if extra is not None else []))
    print_listing(table)


def _tell_unreadable(views: Sequence[Tenant]) -> None:
    """Say of which tenants this version can't read what is stored, and why; it serves none of them."""
    found = [view for view in views if view.unreadable is not None]
    for view in found:
        click.echo(f"{view.slug} can't be read by this version (tenant_unreadable): {view.unreadable}", err=True)
    if found:
        raise click.exceptions.Exit(_FAILED)


def _print_migrated(results: Sequence[Migrated]) -> None:
    table = PlainTable("Slug", "Version", "Error")
    for result in results:
        table.add_row(result.slug, result.schema_version or "-", result.error or "")
    print_listing(table)
