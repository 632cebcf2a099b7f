"""``billfold get``, ``post``, ``patch`` and ``delete``: any path of the API, for what is newer than this command."""

import sys
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any, Final

import click
import msgspec

from billfold.cli import showing
from billfold.cli.arguments import JsonType, PairType
from billfold.cli.calling import connected
from billfold.cli.running import PartnerCommand, common_options, run

__all__ = ["COMMANDS"]

_METHODS: Final = {
    "get": "Ask a path of the API.",
    "post": "Send an order to a path of the API, under an idempotency key.",
    "patch": "Send a change to a path of the API.",
    "delete": "Delete what a path of the API names.",
}


def _command(name: str, sentence: str) -> click.Command:
    sends = name in {"post", "patch"}
    params: list[click.Parameter] = [
        click.Argument(["path"], metavar="PATH"),
        click.Option(["--query", "-q"], type=PairType(), multiple=True, help="A parameter of the question."),
    ]
    if sends:
        params.append(click.Option(["--data", "-d"], type=JsonType(Any), help="The body."))
    if name == "post":
        params.append(click.Option(["--idempotency-key"], help="The key; one is made where absent."))
    if name == "patch":
        params.append(click.Option(["--if-match"], help="The version that was read."))

    @run
    def callback(path: str, query: Sequence[tuple[str, str]], profile: str | None, as_json: bool, **given: Any) -> None:  # noqa: FBT001
        client, answers = connected(profile)
        with client, answers.awaited():
            _ask(client, name.upper(), _with(path, query), given)
            if answers.last:
                try:
                    document = answers.document()
                except msgspec.DecodeError:
                    sys.stdout.buffer.write(answers.last)
                    return
                showing.show(document, as_json=as_json)
            else:
                showing.show(None, as_json=as_json)

    about = f"{sentence}\n\nPATH is such as /v1/wallets."
    return common_options(PartnerCommand(name, params=params, callback=callback, help=about, short_help=sentence))


def _with(path: str, query: Sequence[tuple[str, str]]) -> str:
    if not path.startswith("/") or "#" in path:
        raise click.UsageError("A path begins with a slash, as in /v1/wallets.")
    return f"{path}{'&' if '?' in path else '?'}{urllib.parse.urlencode(query)}" if query else path


def _ask(client: Any, method: str, path: str, given: dict[str, Any]) -> None:
    """Send one request by the client's own flow: token, retries, time-outs."""
    from billfold.client._operations import Operation  # noqa: PLC0415 - With the client.
    from billfold.client._sync.resource import Resource  # noqa: PLC0415 - With the client.

    # An operation that the table doesn't know: its answer is shown as it comes.
    operation: Operation[None] = Operation(method, path, None)
    anything = Resource(client._session)  # noqa: SLF001 - Of the same package.
    data = given.get("data")
    body = None if data is None else msgspec.json.encode(data)
    send: Callable[[], None]
    if method == "GET":
        send = lambda: anything._ask(operation)  # noqa: SLF001, E731 - As above.
    elif method == "POST":
        send = lambda: anything._order(operation, body=body, idempotency_key=given["idempotency_key"])  # noqa: SLF001, E731
    else:
        send = lambda: anything._change(operation, body=body, if_match=given.get("if_match"))  # noqa: SLF001, E731
    send()


COMMANDS: Final = tuple(_command(name, sentence) for name, sentence in _METHODS.items())
