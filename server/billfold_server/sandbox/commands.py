"""``billfold sandbox``: named sandboxes of partners, on the command line.

What is refused is raised as it is; ``cli.py`` tells it in one sentence.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import click
import msgspec

from billfold import errors, ids
from billfold.contract.platform import Slug, TenantState
from billfold.contract.sandbox import ResetSandbox, SandboxReset
from billfold.ids import Prefix
from billfold_server.commands import OpenServices, json_line, json_option
from billfold_server.db import agenda
from billfold_server.identity.service import TENANT_SCOPES, create_client
from billfold_server.sandbox import owned, seeding
from billfold_server.sandbox.making import carry_out
from billfold_server.sandbox.resetting import SEEDING
from billfold_server.sandbox.resetting import reset as bring_back
from billfold_server.tenancy.context import COMMAND_LINE, TenantRef
from billfold_server.tenancy.manifest import load_manifest
from billfold_server.tenancy.service import Record
from billfold_server.tenancy.shipped import find_folder

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["sandbox"]


_seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), help="From what its customers follow.  [default: 0, or as before]"
)
_TEMPLATE = "sandbox"


@click.group()
def sandbox() -> None:
    """Create, list and reset sandboxes."""


@sandbox.command()
@click.argument("name")
@click.option("--title", help="What people call it; its name where absent.")
@click.option("--empty", is_flag=True, help="Without customers and their months behind them.")
@_seed_option
@json_option
@click.pass_obj
def create(
    open_services: OpenServices, /, name: str, *, title: str | None, empty: bool, seed: int | None, as_json: bool
) -> None:
    """Create a sandbox called NAME, and print its address and an API client that may do everything in it.

    A partner can have several. Each has its own clock, customers and simulations, and knows nothing of the others. Its
    customers follow from the seed: the same seed makes the same ones. Their cards come once a server runs.
    """
    _refuse_seed_of_nobody(seed, empty=empty)
    _refuse_what_is_no_name(name)
    made = asyncio.run(_create(open_services, name, title or name, seeded=not empty, seed=seed))
    if as_json:
        click.echo(json_line(made))
        return
    for variable in ("base_url", "client_id", "client_secret"):
        click.echo(f"BILLFOLD_{variable.upper()}={made[variable]}")
    click.echo("Keep the secret now: it is not shown again.", err=True)


def _refuse_seed_of_nobody(seed: int | None, *, empty: bool) -> None:
    if empty and seed is not None:
        raise click.UsageError("There is nobody in an empty sandbox who would follow from a seed.")


def _refuse_what_is_no_name(name: str) -> None:
    try:
        msgspec.convert(name, Slug)
    except msgspec.ValidationError:
        raise click.BadParameter(
            "a sandbox's name is part of its address: 2 to 40 of a to z, 0 to 9, _ and -, from a letter on, and not "
            "with _ or - at its end. What people call it is --title.",
            param_hint="NAME",
        ) from None


async def _create(
    open_services: OpenServices, name: str, title: str, *, seeded: bool, seed: int | None
) -> dict[str, Any]:
    manifest = msgspec.structs.replace(load_manifest(find_folder(_TEMPLATE)), slug=name, name=title)
    # As if it had been written down: a title may be none.
    try:
        manifest = msgspec.convert(msgspec.to_builtins(manifest), type(manifest))
    except msgspec.ValidationError:
        raise click.BadParameter("What people call it has 1 to 100 characters.", param_hint="--title") from None
    async with open_services() as services:
        found = await services.registry.find(name)
        # One that was cut short while it was provisioned is nobody's yet, and is gone on with.
        if found is not None and not (found.state == TenantState.PROVISIONING and found.manifest.sandbox):
            raise errors.TenantExists(
                f"there is a tenant of this name already; billfold sandbox reset {name} begins a sandbox anew, and "
                f"billfold clients create --tenant {name} --scope all makes a further client of it",
                param="name",
            )
        await services.tenants.apply(manifest, caller=COMMAND_LINE)
        tenant = await services.registry.get(name)
        if seeded:
            await services.rooms[SEEDING](services, tenant, seed)
            await _wake(services, tenant)
        async with services.database.tx(tenant) as tx:
            client, secret = await create_client(
                tx, services.keyring, name="sandbox developer", scopes=sorted(TENANT_SCOPES), now=services.clock.now()
            )
        base_url = f"{services.settings.base_url}/t/{name}"
    return {"slug": name, "base_url": base_url, "client_id": client.client_id, "client_secret": secret}


async def _wake(services: "Services", tenant: TenantRef) -> None:
    """Tell whichever server runs that there is something to do: this process does no jobs."""
    async with services.database.platform_tx() as tx:
        await agenda.plan(tx, tenant.id, services.clock.now())


@sandbox.command("list")
@json_option
@click.pass_obj
def list_all(open_services: OpenServices, /, *, as_json: bool) -> None:
    """List the sandboxes that there are."""

    async def run() -> list[dict[str, Any]]:
        async with open_services() as services:
            everyone = await services.tenants.everyone()
            return [await _listed(services, each) for each in everyone if each.known is not None and each.known.sandbox]

    found = asyncio.run(run())
    if as_json:
        click.echo(json_line({"data": found}))
        return
    for each in found:
        customers = _CUSTOMERS[each["customers"]](each["seed"])
        line = f"{each['slug']:24}{each['state']:14}{customers:28}{each['name']}"
        click.echo(line if each["partner_id"] is None else f"{line} (of {each['partner_id']} at {each['tenant']})")


_CUSTOMERS: Final[dict[str, Callable[[int | None], str]]] = {
    "none": lambda _: "no customers",
    "without cards yet": lambda seed: f"seed {seed}, cards to come",
    "complete": lambda seed: f"seed {seed}",
}


async def _listed(services: "Services", record: Record) -> dict[str, Any]:
    begun, whose = None, record.view().sandbox_of
    tenant = record.ref(await services.database.deployment())
    if tenant.state == "active":
        async with services.database.tx(tenant) as tx:
            begun = await seeding.find(tx)
    customers = "none" if begun is None else "complete" if begun.done_at is not None else "without cards yet"
    return {
        "slug": tenant.slug,
        "name": tenant.manifest.name,
        "state": tenant.state,
        "customers": customers,
        "seed": None if begun is None else begun.seed,
        "tenant": None if whose is None else whose.tenant,
        "partner_id": None if whose is None else whose.partner_id,
    }


@sandbox.command("carry-out")
@json_option
@click.pass_obj
def carry_out_all(open_services: OpenServices, /, *, as_json: bool) -> None:
    """Make, reset and remove what partners have asked for of their sandboxes.

    Servers that have the administrator's database URL do it by themselves, at once. Where none has it, run this now and
    then, where tenants are migrated.
    """
    done, failed = asyncio.run(_carry_out_all(open_services))
    if as_json:
        click.echo(json_line({"data": done, "failed": failed}))
    else:
        click.echo(f"Done: {', '.join(done) or 'nothing'}.")
        for name, reason in failed.items():
            click.echo(f"{name}: {reason}", err=True)
    if failed:
        raise SystemExit(1)


async def _carry_out_all(open_services: OpenServices) -> tuple[list[str], dict[str, str]]:
    """Return what was done, and why the rest wasn't; what fails at one sandbox or tenant holds no other up."""
    done: list[str] = []
    failed: dict[str, str] = {}
    async with open_services() as services:
        # Partners of a sandbox have none of their own.
        asking = [each for each in await services.registry.everyone() if each.state == "active" and not each.owner_id]
        for tenant in asking:
            with _told(failed, tenant.slug):
                async with services.database.tx(tenant) as tx:
                    asked = await owned.unfinished(tx)
                for sandbox_id in asked:
                    name = ids.encode(Prefix.PARTNER_SANDBOX, sandbox_id)
                    with _told(failed, name):
                        await carry_out(services, tenant, sandbox_id)
                        done.append(name)
    return done, failed


@contextmanager
def _told(failed: dict[str, str], name: str) -> Iterator[None]:
    """Write down why something fails, instead of ending with it."""
    try:
        yield
    except errors.FeatureDisabled:
        # Without an administrator nothing of it can be done.
        raise
    except (errors.ProblemError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        failed[name] = str(error)


@sandbox.command()
@click.argument("name", default=_TEMPLATE)
@click.option("--seeded/--empty", default=None, help="With customers or without; as before where neither is said.")
@_seed_option
@json_option
@click.pass_obj
def reset(open_services: OpenServices, /, name: str, *, seeded: bool | None, seed: int | None, as_json: bool) -> None:
    """Bring the sandbox called NAME back to its beginning; its API clients, webhook endpoints and staff stay."""
    _refuse_seed_of_nobody(seed, empty=seeded is False)
    wanted = ResetSandbox(seeded=True if seed is not None else seeded, seed=seed)

    async def run() -> SandboxReset:
        async with open_services() as services:
            tenant = await services.registry.get(name)
            done = await bring_back(services, tenant, COMMAND_LINE, wanted)
            await _wake(services, tenant)
            return done

    done = asyncio.run(run())
    if as_json:
        click.echo(json_line(done))
        return
    customers = "without customers" if done.seed is None else f"with the customers of seed {done.seed}"
    click.echo(f"{name} is as it was at its beginning, {customers}.")
