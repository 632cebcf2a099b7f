"""What all of a partner's commands have in common: their options, and how they end when something is refused."""

import functools
import os
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from billfold.cli.failures import Failure, explain

__all__ = ["PartnerCommand", "PartnerGroup", "common_options", "run", "tell"]

C = TypeVar("C", bound=click.Command)


class PartnerCommand(click.Command):
    """A command that talks to a server as a partner does."""


class PartnerGroup(click.Group):
    """A group of such commands."""

    command_class = PartnerCommand


def common_options(command: C) -> C:
    """Add what every command has."""
    command.params += [
        click.Option(["--profile"], help="Whom to talk to, instead of who was logged in last."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document instead of text."),
    ]
    return command


def run(callback: Callable[..., None]) -> Callable[..., None]:
    """Let what a command raises end it with a sentence and an exit code, wherever it is mounted."""

    @functools.wraps(callback)
    def wrapped(*args: Any, **given: Any) -> None:
        try:
            callback(*args, **given)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - The last place where it can be told in a sentence.
            failure = explain(error)
            tell(failure, as_json=bool(given.get("as_json")))
            raise click.exceptions.Exit(int(failure.exit_code)) from None

    return wrapped


def tell(failure: Failure, *, as_json: bool) -> None:
    """Say on standard error why a command ends."""
    if os.environ.get("BILLFOLD_DEBUG") == "1":
        traceback.print_exc()
    if as_json:
        click.echo(msgspec.json.encode({"error": failure.document()}).decode(), err=True)
        return
    click.echo("\n".join(f"billfold: {line}" for line in failure.sentence.splitlines()), err=True)
    if request_id := failure.facts.get("request_id"):
        click.echo(f"billfold: {failure.code}, request {request_id}", err=True)
