"""The root of the command line: everything that a partner may say, and how it ends.

Where the server is installed, its own command line mounts ``partner`` beside its commands; else ``main`` runs it alone.
"""

import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from typing import Final

import click
import msgspec

import billfold
from billfold.cli.calling import RESOURCES, Resource, resource
from billfold.cli.failures import Exit, Failure, explain
from billfold.cli.running import PartnerCommand, PartnerGroup, run, tell

__all__ = ["OPERATORS", "main", "partner"]

_HOMES: Final = {
    **dict.fromkeys(("login", "logout", "profiles"), "logging_in"),
    **dict.fromkeys(("get", "post", "patch", "delete"), "asking"),
    "webhooks": "following",
}
"""In which module a command is, imported when it is used."""

_SENTENCES: Final = {
    "api": "Every resource of the API, also those whose names operators' commands have.",
    "completion": "Print the lines that let a shell complete billfold's commands.",
    "delete": "Delete what a path of the API names.",
    "get": "Ask a path of the API.",
    "login": "Log in to a tenant, and keep for the other commands how.",
    "logout": "Forget a profile, with its secret.",
    "patch": "Send a change to a path of the API.",
    "post": "Send an order to a path of the API, under an idempotency key.",
    "profiles": "List the profiles, and say which one is used; --use changes that.",
    "trigger": "Let something happen outside of a sandbox, as billfold simulations does.",
    "version": "Show the version of Billfold and of what it runs on.",
    "webhooks": "Try a receiver of webhooks on this machine.",
}

OPERATORS: Final = frozenset(
    {
        "adopt-keyring",
        "audit",
        "certs",
        "clients",
        "consents",
        "database-url",
        "directory",
        "doctor",
        "key-store-url",
        "keys",
        "ledger",
        "openapi",
        "partners",
        "portal",
        "sandbox",
        "signing-keys",
        "statements",
        "tenants",
        "up",
        "users",
        "vault",
        "version",
    }
)
"""What the server's command line has. The resources of these names are at ``billfold api`` alone."""


class _Api(PartnerGroup):
    """All resources."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - As click has it.
        """Return their names."""
        return sorted(RESOURCES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - As above.
        """Return one's commands."""
        return resource(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - As above.
        """List them without importing the client."""
        with formatter.section("Resources"):
            formatter.write_dl(sorted(RESOURCES.items()))


class _Partner(PartnerGroup):
    """The partner's commands, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - As above.
        """Return the names of all."""
        return sorted({*_SENTENCES, *(RESOURCES.keys() - OPERATORS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - As above.
        """Return a command, imported by now."""
        if cmd_name in _HOMES:
            module = importlib.import_module(f"billfold.cli.{_HOMES[cmd_name]}")
            commands: dict[str, click.Command] = {each.name: each for each in module.COMMANDS}
            return commands[cmd_name]
        if cmd_name in _OWN:
            # Beside the server's commands, its own one stands for this: whoever mounts us asks for those first.
            return _OWN[cmd_name]
        return None if cmd_name in OPERATORS else resource(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say where it is to be had."""
        name = args[0] if args else ""
        if name in OPERATORS and name not in _OWN:
            more = f" The API's {name} are at: billfold api {name}" if name in RESOURCES else ""
            raise _NeedsServer(name, more)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any, and without those that the server's stand for where it mounts us."""
        stood_for = frozenset() if ctx.command is self else OPERATORS
        with formatter.section("Commands"):
            formatter.write_dl(sorted((name, text) for name, text in _SENTENCES.items() if name not in stood_for))
        with formatter.section("Resources, as in billfold wallets list"):
            formatter.write_dl(sorted((name, text) for name, text in RESOURCES.items() if name not in OPERATORS))


class _NeedsServer(Failure):
    """A command runs or operates a server, which isn't installed."""

    def __init__(self, name: str, more: str) -> None:
        sentence = f"billfold {name} needs more than the SDK; install it with: pip install 'billfold[server,postgres]'"
        super().__init__("extra_missing", sentence + more, Exit.UNAVAILABLE, extra="server,postgres")


@click.group(
    cls=_Partner,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="billfold login first, or set BILLFOLD_BASE_URL, BILLFOLD_CLIENT_ID and BILLFOLD_CLIENT_SECRET. "
    "BILLFOLD_DEBUG=1 shows where a failure comes from.",
)
@click.version_option(billfold.__version__, prog_name="billfold", message="%(prog)s %(version)s")
def partner() -> None:
    """Work with a tenant of Billfold's."""


@click.command(cls=PartnerCommand, help=_SENTENCES["completion"])
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
@run
def completion(ctx: click.Context, shell: str) -> None:
    """Print the lines that let a shell complete billfold's commands."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - Only here.

    made = get_completion_class(shell)
    assert made is not None, "click knows these three"
    click.echo(made(ctx.find_root().command, {}, "billfold", "_BILLFOLD_COMPLETE").source())


@click.command(cls=PartnerCommand, help=_SENTENCES["version"])
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@run
def version(as_json: bool) -> None:  # noqa: FBT001 - click hands it over by name.
    """Show the version of Billfold and of what it runs on."""
    facts = {"python": platform.python_version(), "platform": platform.platform(), "billfold": billfold.__version__}
    for package in _LIBRARIES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "not installed"
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(facts)).decode())
    else:
        click.echo("\n".join(f"{name:<20} {value}" for name, value in facts.items()))


_LIBRARIES: Final = ("click", "cryptography", "httpx", "joserfc", "msgspec")
_OWN: Final[dict[str, click.Command]] = {
    "api": _Api("api", help=_SENTENCES["api"], no_args_is_help=True),
    "trigger": Resource(("simulations",), _SENTENCES["trigger"]),
    "completion": completion,
    "version": version,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the partner's command line alone, and end with an exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    try:
        code = partner.main(list(arguments), prog_name="billfold", standalone_mode=False) or 0
        if not code:
            # What waits to be written may be all that there is.
            sys.stdout.flush()
        sys.exit(code)
    except click.ClickException as error:
        if as_json:
            tell(Failure("usage", error.format_message(), Exit.USAGE), as_json=True)
        else:
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone, as `| head` does. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:  # noqa: BLE001 - The last place where it can be told in a sentence.
        failure = explain(error)
        tell(failure, as_json=as_json)
        sys.exit(int(failure.exit_code))
