"""``billfold keys``: what operators do with the keys of personal and card data, on the command line.

What is refused is raised as it is; ``cli.py`` tells it in one sentence. What destroys keys is in ``commands_of_two``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args
from uuid import UUID

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from billfold import errors
from billfold.contract.data_keys import DataKeyStatus
from billfold.contract.events import DATA_KEYS_ROTATED
from billfold_server.audit import service as audit
from billfold_server.commands import OpenServices, json_line, json_option
from billfold_server.keys import backups, commands_of_two, destruction, rotation, upkeep_queries, usage, verifying
from billfold_server.keys.backends import BackendName
from billfold_server.keys.rewrapping import GRACE_S, Outcome, Rewrap
from billfold_server.keys.service import DOMAINS, PLATFORM_KEYS, Domain, Keys, open_keys
from billfold_server.keys.shredding import forgotten_by_tenants
from billfold_server.keys.standing import standing
from billfold_server.listings import PlainTable
from billfold_server.private_files import EVERYBODY, open_output
from billfold_server.tenancy.context import COMMAND_LINE, WITH_SCHEMA, TenantRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from billfold_server.http.services import Services

__all__ = ["keys"]

T = TypeVar("T")

_FAILED: Final = 1


@click.group()
def keys() -> None:
    """Look at, rotate, rewrap, move, back up and destroy the keys of personal and card data."""


for _command in commands_of_two.COMMANDS:
    keys.add_command(_command)

_tenant = click.option("--tenant", metavar="SLUG", help="The tenant whose keys they are.")
_platform = click.option("--platform", is_flag=True, help="The keys of the platform.")
_domain = click.option(
    "--domain", "only", type=click.Choice(DOMAINS), help="The keys of one domain alone; otherwise of both."
)
_all = click.option("--all", "everybody", is_flag=True, help="The keys of all tenants, and of the platform.")


class _Opened:
    """The server's parts, with the keys of every domain.

    Attributes:
        services: The parts.
        keys: The keys by domain.
    """

    def __init__(self, services: "Services", by_domain: dict[Domain, Keys]) -> None:
        self.services = services
        self.keys = by_domain

    async def owner(self, tenant: str | None, *, platform: bool) -> UUID:
        """Return whose keys a command is about."""
        if (tenant is None) is not platform:
            msg = "Name a tenant with --tenant, or say --platform."
            raise click.UsageError(msg)
        return PLATFORM_KEYS.id if tenant is None else (await self.services.registry.get(tenant)).id

    async def work(
        self, tenant: str | None, only: str | None, *, platform: bool, everybody: bool
    ) -> list[tuple[UUID, Domain]]:
        """Return whose keys, and of which domains, are there to be worked on."""
        domains = [domain for domain in DOMAINS if only in {None, domain}]
        if everybody and (tenant is not None or platform):
            msg = "Say --all, or whose keys."
            raise click.UsageError(msg)
        chosen = None if everybody else await self.owner(tenant, platform=platform)
        found: list[tuple[UUID, Domain]] = []
        for domain in domains:
            rows = await self.keys[domain].store.fetch(upkeep_queries.TENANTS, domain)
            found += [(row["tenant_id"], domain) for row in rows if chosen in {None, row["tenant_id"]}]
        return found

    async def tell_rotated(self, tenant_id: UUID, made: Sequence[rotation.Rotated], reason: str | None) -> None:
        """Record rotations in the audit of the tenant, or of the platform."""
        tenant = await self.tenant_of(tenant_id)
        if tenant is not None:
            async with self.services.database.tx(tenant) as tx:
                await rotation.tell_rotated(tx, COMMAND_LINE, made, reason=reason)
            return
        async with self.services.database.platform_tx() as platform_tx:
            for each in made:
                facts = msgspec.to_builtins(each)
                what = DATA_KEYS_ROTATED.name
                record = audit.new_record(COMMAND_LINE, what, str(tenant_id), reason=reason, facts=facts)
                await audit.record(platform_tx, record)

    async def tenant_of(self, tenant_id: UUID) -> TenantRef | None:
        """Return the tenant with an id, or None where it is the platform, or is or is being deleted."""
        everyone = await self.services.registry.everyone()
        return next((each for each in everyone if each.id == tenant_id and each.state in WITH_SCHEMA), None)


@asynccontextmanager
async def _opened(open_services: OpenServices) -> AsyncIterator[_Opened]:
    async with open_services() as services:
        others = {
            domain: open_keys(services.settings, services.keyring, domain=domain)
            for domain in DOMAINS
            if domain != services.keys.domain
        }
        try:
            yield _Opened(services, {services.keys.domain: services.keys, **others})
        finally:
            for each in others.values():
                await each.close()


def _run(open_services: OpenServices, work: Callable[[_Opened], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with _opened(open_services) as opened:
            return await work(opened)

    return asyncio.run(run())


@keys.command()
@_tenant
@_platform
@json_option
@click.pass_obj
def status(open_services: OpenServices, tenant: str | None, *, platform: bool, as_json: bool) -> None:
    """Show where keys stand: versions, epochs with what lies under them still, and what waits to be rewrapped."""

    async def work(opened: _Opened) -> DataKeyStatus:
        owner = await opened.owner(tenant, platform=platform)
        any_keys = opened.services.keys
        days = opened.services.settings.key_rotation_days
        return await standing(any_keys.store, any_keys.backends, owner, rotate_days=days)

    shown = _run(open_services, work)
    if as_json:
        click.echo(json_line(shown))
    else:
        _print_standing(shown)


def _print_standing(shown: DataKeyStatus) -> None:
    console = Console()
    domains = PlainTable(
        "Domain", "Backend", "Tenant key", "Subjects", "Keys", "Generations", "Seals reserved", "To rewrap"
    )
    epochs = PlainTable("Domain", "Epoch", "", "Backend", "Version", "Subject keys", "Since")
    for each in shown.domains:
        versions = "?" if each.tenant_key_latest is None else f"{each.tenant_key_least} to {each.tenant_key_latest}"
        numbers = (each.subjects, each.subject_keys, each.generations, each.seals_reserved, each.awaiting_rewrap)
        domains.add_row(each.domain, each.backend, versions, *(f"{number:,}" for number in numbers))
        for epoch in each.epochs:
            epochs.add_row(
                each.domain,
                str(epoch.number),
                "current" if epoch.current else "",
                epoch.backend,
                str(epoch.tenant_key_version),
                f"{epoch.subject_keys:,}",
                f"{epoch.created_at:%Y-%m-%d %H:%M}",
            )
    console.print(domains)
    console.print(epochs)
    console.print(f"Forgotten subjects: {shown.forgotten_subjects:,}")
    if not isinstance(shown.rotate_days, int):
        console.print("Keys are replaced when somebody says so.")
    else:
        known = ((each.domain, each.rotates_at) for each in shown.domains)
        due = ", ".join(f"{domain} on {at:%Y-%m-%d}" for domain, at in known if isinstance(at, datetime))
        console.print(f"Keys are replaced every {shown.rotate_days:,} days: {due or 'none yet'}")


@keys.command()
@_tenant
@_platform
@_domain
@click.option("--reason", help="Why, for the audit.")
@json_option
@click.pass_obj
def rotate(  # noqa: PLR0917 - click hands over one argument for each option
    open_services: OpenServices,
    tenant: str | None,
    platform: bool,  # noqa: FBT001
    only: str | None,
    reason: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Give a tenant a new version of its key and a new epoch.

    Every worker uses them within seconds. What lies under former ones stays readable, and a running server brings it
    along in the background; billfold keys rewrap does it at once.
    """

    async def work(opened: _Opened) -> list[rotation.Rotated]:
        owner = await opened.owner(tenant, platform=platform)
        chosen = [opened.keys[domain] for domain in DOMAINS if only in {None, domain}]
        made = [await rotation.rotate(each.store, each.backends, owner, each.domain) for each in chosen]
        await opened.tell_rotated(owner, made, reason)
        return made

    _print_rotated(_run(open_services, work), as_json=as_json)


def _print_rotated(made: list[rotation.Rotated], *, as_json: bool) -> None:
    if as_json:
        click.echo(json_line(made))
        return
    table = PlainTable("Domain", "Epoch", "Backend", "Version of the tenant key")
    for each in made:
        table.add_row(each.domain, str(each.number), each.backend, str(each.tenant_key_version))
    Console().print(table)


@keys.command("rotate-fingerprints")
@click.option("--tenant", required=True, metavar="SLUG", help="The tenant whose fingerprints they are.")
@click.option("--purpose", metavar="NAME", help="Those of one purpose, as this command calls it; otherwise all.")
@click.option("--reason", help="Why, for the audit.")
@json_option
@click.pass_obj
def rotate_fingerprints(
    open_services: OpenServices, tenant: str, purpose: str | None, reason: str | None, *, as_json: bool
) -> None:
    """Give a tenant new keys for the fingerprints by which sealed values are found.

    Every worker uses them within seconds. What was stored before is found by the former keys, and a running server
    makes it known by the new ones: parties every six hours, vault tokens once a day.
    """

    async def work(opened: _Opened) -> list[rotation.RotatedFingerprints]:
        found = await opened.services.registry.get(tenant)
        purposes = await rotation.purposes_of(opened.services.keys.store, found.id, purpose=purpose)
        made: list[rotation.RotatedFingerprints] = []
        try:
            for domain, name in purposes:
                version = await opened.keys[domain].rotate_purpose(found, name)
                made.append(rotation.RotatedFingerprints(domain=domain, purpose=name, version=version))
        finally:
            # The keys of one domain may be in reach while those of the other aren't.
            if made:
                async with opened.services.database.tx(found) as tx:
                    await rotation.tell_rotated_fingerprints(tx, COMMAND_LINE, made, reason=reason)
        return made

    made = _run(open_services, work)
    if as_json:
        click.echo(json_line(made))
        return
    table = PlainTable("Domain", "Purpose", "Version of the key")
    for each in made:
        table.add_row(each.domain, each.purpose, str(each.version))
    Console().print(table)


@keys.command()
@_tenant
@_platform
@_all
@_domain
@json_option
@click.pass_obj
def rewrap(  # noqa: PLR0917
    open_services: OpenServices,
    tenant: str | None,
    platform: bool,  # noqa: FBT001
    everybody: bool,  # noqa: FBT001
    only: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Bring every key to the newest epoch now, and let go of what nothing needs then.

    Requests are served meanwhile. What is cut short is taken up by the next one, or by a running server.
    """

    async def work(opened: _Opened) -> list[Outcome]:
        chosen = await opened.work(tenant, only, platform=platform, everybody=everybody)
        return await _rewrapped(opened, chosen, shown=not as_json)

    _print_outcomes(_run(open_services, work), as_json=as_json)


async def _rewrapped(opened: _Opened, chosen: Sequence[tuple[UUID, Domain]], *, shown: bool) -> list[Outcome]:
    works: list[tuple[Rewrap, Outcome]] = []
    with _bar(shown=shown) as progress:
        for tenant_id, domain in chosen:
            store, backends = opened.keys[domain].store, opened.keys[domain].backends
            work = Rewrap(store, backends, tenant_id, domain, progress=progress)
            works.append((work, await work.run()))
    # Whoever has moved the keys, somebody may be between a row that he has read and the version that it names.
    if any([await work.has_to_let_go() for work, _ in works]):
        await asyncio.sleep(GRACE_S)
    return [await work.let_go() for work, _ in works]


def _print_outcomes(outcomes: list[Outcome], *, as_json: bool) -> None:
    if as_json:
        click.echo(json_line(outcomes))
        return
    table = PlainTable("Domain", "Epoch", "Moved", "Left", "Epochs retired", "Versions retired")
    for each in outcomes:
        below = ", ".join(f"{name} below {version}" for name, version in each.retired_below.items())
        epochs = ", ".join(map(str, each.retired_epochs))
        table.add_row(each.domain, str(each.epoch or ""), f"{each.moved:,}", f"{each.left:,}", epochs, below)
    Console().print(table)


@contextmanager
def _bar(*, shown: bool) -> "Iterator[Callable[[int, int], None] | None]":
    """Show how far it is, where somebody looks."""
    if not shown:
        yield None
        return
    columns = (TextColumn("Rewrapping"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rewrap", total=None)
        yield lambda moved, left: bar.update(task, completed=moved, total=moved + left)


@keys.command()
@click.option("--to", "to", type=click.Choice(get_args(BackendName)), required=True, help="Where the keys shall be.")
@_tenant
@_platform
@_all
@_domain
@json_option
@click.pass_obj
def move(  # noqa: PLR0917
    open_services: OpenServices,
    to: BackendName,
    tenant: str | None,
    platform: bool,  # noqa: FBT001
    everybody: bool,  # noqa: FBT001
    only: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Move keys from one backend to the other, while requests are served; and back, in the same way.

    A new epoch is made in the other backend, and every key is brought to it. Both must be configured, in every process,
    until this is done.
    """

    async def work(opened: _Opened) -> list[Outcome]:
        chosen = await opened.work(tenant, only, platform=platform, everybody=everybody)
        for tenant_id, domain in chosen:
            store, backends = opened.keys[domain].store, opened.keys[domain].backends
            # One that is there already is only rewrapped: an earlier move may have been cut short.
            if await rotation.backend_of(store, backends, tenant_id, domain) != to:
                made = await rotation.rotate(store, backends, tenant_id, domain, to=to)
                await opened.tell_rotated(tenant_id, [made], f"moved to {to}")
        return await _rewrapped(opened, chosen, shown=not as_json)

    _print_outcomes(_run(open_services, work), as_json=as_json)


@keys.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def backup(open_services: OpenServices, file: Path, *, as_json: bool) -> None:
    """Write the key store to FILE, in the place of the backup that lies there.

    It holds wrapped keys alone, which open nothing without Vault or the keyring. Keep no other copy: one from before
    somebody was forgotten still has their keys.
    """

    async def work(opened: _Opened) -> backups.Backup:
        return await backups.back_up(opened.services.keys.store, opened.services.keyring, file)

    done = _run(open_services, work)
    if as_json:
        click.echo(json_line(done))
    else:
        click.echo(f"{done.rows:,} rows, as of {done.taken_at:%Y-%m-%d %H:%M:%S} UTC, are in {done.file}.")


@keys.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="What the key store holds may go.")
@json_option
@click.pass_obj
def restore(open_services: OpenServices, file: Path, *, replace: bool, as_json: bool) -> None:
    """Bring the key store back from FILE.

    Whoever was forgotten since is forgotten again in the same step, as the store that is replaced and the tenants' own
    records say; so is a tenant of which all keys were destroyed. Nothing is brought back while there is a tenant that
    this version can't read.
    """

    async def work(opened: _Opened) -> backups.Restored:
        services = opened.services
        forgotten = forgotten_by_tenants(services.database, await _who_tell(services))

        async def destroyed(tenants: Collection[UUID]) -> Collection[UUID]:
            async with services.database.platform_tx() as tx:
                return await destruction.find_destroyed(tx, tenants)

        return await backups.bring_back(
            services.keys.store, services.keyring, file, forgotten=forgotten, destroyed=destroyed, replace=replace
        )

    done = _run(open_services, work)
    if as_json:
        click.echo(json_line(done))
    else:
        click.echo(
            f"The key store is as of {done.taken_at:%Y-%m-%d %H:%M:%S} UTC, with {done.rows:,} rows; "
            f"{done.forgotten_again:,} subjects were forgotten again."
        )


async def _who_tell(services: "Services") -> list[TenantRef]:
    """Return the tenants whose records say who was forgotten.

    One that isn't made to its end has none, and one that is being deleted needs no keys any more.

    Raises:
        errors.TenantUnreadable: The records of one can't be read, and who was forgotten there would be read again.
    """
    records = [each for each in await services.tenants.everyone() if each.state in WITH_SCHEMA]
    strange = next((each.slug for each in records if each.known is None), None)
    if strange is not None:
        msg = f"who was forgotten at {strange} since the backup can't be told, so nothing was brought back"
        raise errors.TenantUnreadable(msg, retry_after_s=60)
    deployment = await services.database.deployment()
    return [each.ref(deployment) for each in records]


@keys.command("verify-shredded")
@click.option("--tenant", required=True, metavar="SLUG", help="The tenant whose backup it is.")
@click.option("--party", required=True, metavar="ID", help="The party that was forgotten.")
@click.option(
    "--restored",
    required=True,
    envvar="BILLFOLD_RESTORED_URL",
    metavar="URL",
    help="The database into which an old backup of the tenant's data was restored; or BILLFOLD_RESTORED_URL.",
)
@json_option
@click.pass_obj
def verify_shredded(open_services: OpenServices, tenant: str, party: str, restored: str, *, as_json: bool) -> None:
    """Prove that a party was forgotten: try to read what an old backup holds of it, with all keys of today.

    Exits with 1 unless there are sealed values of the party, none of them opens, and one of somebody else does.
    """

    async def work(opened: _Opened) -> verifying.Report:
        found = await opened.services.registry.get(tenant)
        party_id = commands_of_two.party_id_of(party)
        return await verifying.verify_shredded(opened.keys, found, party_id, restored)

    report = _run(open_services, work)
    if as_json:
        click.echo(json_line(report))
    else:
        _print_report(report)
    raise click.exceptions.Exit(0 if report.proven else _FAILED)


def _print_report(report: verifying.Report) -> None:
    table = PlainTable("Table", "Column", "Row", "Whose", "Outcome", "Keys tried")
    for each in report.values:
        table.add_row(each.table, each.column, each.row, report.party_id, each.outcome, f"{each.keys_tried:,}")
    for control in report.controls:
        table.add_row(control.table, control.column, control.row, "another's", "opened", "")
    Console().print(table)
    click.echo(report.sentence)


@keys.command("verify-destroyed")
@click.option("--tenant", metavar="SLUG", help="The tenant that was deleted; every deleted one where absent.")
@json_option
@click.pass_obj
def verify_destroyed(open_services: OpenServices, tenant: str | None, *, as_json: bool) -> None:
    """Prove that nothing is left of the keys of tenants that were deleted: in the key store, the keyring and Vault.

    Exits with 1 where something is left or can't be told. Two operators destroy what is left in Vault, by
    billfold keys destroy and billfold keys approve --platform.
    """

    async def work(opened: _Opened) -> list[destruction.Remains]:
        found: list[destruction.Remains] = []
        async with opened.services.database.platform_tx() as tx:
            page = await destruction.list_deleted(tx, slug=tenant)
        if tenant is not None and not page:
            raise errors.UnknownTenant("no tenant with this slug was deleted")
        while page:
            found += [await destruction.remains(opened.services.keys, *each) for each in page]
            async with opened.services.database.platform_tx() as tx:
                page = await destruction.list_deleted(tx, slug=tenant, after=page[-1][0])
        return found

    found = _run(open_services, work)
    if as_json:
        click.echo(json_line(found))
    else:
        table = PlainTable("Tenant", "Id", "Rows", "Keys left", "Not told by")
        for each in found:
            row = (each.slug, str(each.tenant_id), f"{each.rows:,}", ", ".join(each.keys), ", ".join(each.unknown))
            table.add_row(*row)
        Console().print(table)
    raise click.exceptions.Exit(0 if all(each.nothing for each in found) else _FAILED)


@keys.command("export-inventory")
@click.option("--tenant", required=True, metavar="SLUG", help="The tenant whose keys they are.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file, instead of standard output.")
@json_option
@click.pass_obj
def export_inventory(open_services: OpenServices, tenant: str, output: Path | None, *, as_json: bool) -> None:
    """Export which keys there are, and where each is used: table, column, kind of data, and how many values.

    Text shows the columns; --json has every key as well.
    """

    async def work(opened: _Opened) -> usage.KeyInventory:
        found = await opened.services.registry.get(tenant)
        return await usage.key_inventory(opened.services, opened.services.keys.store, found)

    found = _run(open_services, work)
    if as_json or output is not None:
        text = json_line(found)
        if output is None:
            click.echo(text)
        else:
            with open_output(str(output), mode=EVERYBODY) as stream:
                stream.write(text.encode() + b"\n")
        return
    table = PlainTable("Table", "Column", "Category", "Domain", "Sealed values", "Keys", "Epochs")
    for each in found.columns:
        epochs = ", ".join(map(str, each.epochs))
        numbers = (f"{each.values:,}", f"{each.keys:,}")
        table.add_row(each.table, each.column, each.category or "", each.domain or "", *numbers, epochs)
    Console().print(table)
