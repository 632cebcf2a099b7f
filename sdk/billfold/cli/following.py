"""``billfold events tail`` and ``billfold webhooks listen``: what happens at a tenant, as it happens.

Both ask for the events behind the last one that was dealt with, so nothing is missed while a server restarts, and no
address of the developer's needs to be public. Standing at the end, they ask again after a short while.
"""

import base64
import difflib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from billfold import errors
from billfold.cli.calling import Answers, connected
from billfold.cli.failures import Exit, Failure
from billfold.cli.running import PartnerCommand, PartnerGroup, common_options, run

if TYPE_CHECKING:
    import httpx

    from billfold import Billfold

__all__ = ["COMMANDS", "Happened", "follow", "signed", "tail"]

_ALL: Final = "*"
_PAGE: Final = 100
_LONGEST_WAIT_S: Final = 10.0
_SECRET_BYTES: Final = 32
_SECRET: Final = "whsec_"  # noqa: S105 - What every secret begins with.
_ANSWER_S: Final = 30.0
_UNAVAILABLE: Final = range(500, 600)

Tell = Callable[[str], None]


class Happened(msgspec.Struct, frozen=True):
    """What is read of an event to follow them.

    Attributes:
        id: The event's own.
        sequence: Its place.
        type: What happened.
        object_id: To what.
        occurred_at: When.
        raw: All of it, as the server wrote it.
    """

    id: str
    sequence: int
    type: str
    object_id: str
    occurred_at: str
    raw: bytes = b""


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]


def follow(
    client: "Billfold",
    answers: Answers,
    *,
    after: int,
    wanted: Sequence[str] = (),
    interval_s: float = 1.0,
    tell: Tell = lambda _: None,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Happened]:
    """Yield events behind a place, in order and without end, whatever becomes of the server meanwhile.

    Args:
        client: By whom they are asked for; it shall not repeat by itself.
        answers: What it is answered.
        after: Behind which sequence.
        wanted: Only these types; ``transfer.*`` is all that begin so.
        interval_s: How long to wait at the end before asking again.
        tell: Is told in a sentence when the server goes away and comes back.
        wait: Waits for so many seconds.

    Raises:
        ProblemError: The server refuses for good.
    """
    alone = wanted[0] if len(wanted) == 1 and not wanted[0].endswith("*") else None
    away_s = 0.0
    while True:
        try:
            client.events.list(after=after, type=alone, limit=_PAGE).page()
        except (errors.TransportError, errors.ProblemError) as error:
            if not _passes(error):
                raise
            if not away_s:
                tell("The server doesn't answer; asking again until it does.")
            away_s = min(_LONGEST_WAIT_S, max(interval_s, away_s * 2))
            wait(away_s)
            continue
        if away_s:
            tell("The server is back.")
            away_s = 0.0
        page = msgspec.json.decode(answers.last, type=_Page).data
        for raw in page:
            event = msgspec.json.decode(raw, type=Happened)
            after = event.sequence
            if _is_wanted(event.type, wanted):
                yield msgspec.structs.replace(event, raw=bytes(raw))
        if len(page) < _PAGE:
            wait(interval_s)


def _passes(error: errors.BillfoldError) -> bool:
    """Tell whether waiting may mend it."""
    if isinstance(error, errors.ProblemError):
        return isinstance(error, errors.RateLimited | errors.Unavailable) or error.status in _UNAVAILABLE
    return not isinstance(error, errors.MalformedAnswer)


def _is_wanted(event_type: str, wanted: Sequence[str]) -> bool:
    return not wanted or any(
        each in {event_type, _ALL} or (each.endswith(".*") and event_type.startswith(each[:-1])) for each in wanted
    )


def _warn_of_unknown(wanted: Sequence[str]) -> None:
    """Say which filters fit no event that this version knows: who has misspelt one would wait for ever.

    They are followed all the same, since a newer server may have such events.
    """
    if not wanted:
        return
    from billfold.contract.events import EVENTS  # noqa: PLC0415 - All of the contract, and few narrow it down.

    for each in wanted:
        if not any(_is_wanted(known, [each]) for known in EVENTS):
            near = difflib.get_close_matches(each, EVENTS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            click.echo(f"billfold: This version knows no events of type {each}.{hint}", err=True)


def _following(command: click.Command) -> click.Command:
    """Add the options of both commands."""
    command.params += [
        click.Option(["--type", "wanted"], multiple=True, help="Only these; transfer.* is all that begin so."),
        click.Option(["--after"], type=click.IntRange(0), help="Begin behind this sequence; 0 is the very beginning."),
        click.Option(["--count"], type=click.IntRange(1), help="End after so many events."),
        click.Option(
            ["--interval", "interval_s"],
            type=click.FloatRange(0.1, 3600),
            default=1.0,
            show_default=True,
            help="Seconds between questions once nothing is new.",
        ),
    ]
    return common_options(command)


def _events(profile: str | None, given: dict[str, Any]) -> Iterator[Happened]:
    client, answers = connected(profile, max_retries=0)
    _warn_of_unknown(given["wanted"])
    with client:
        after = client.events.newest() if given["after"] is None else given["after"]
        # Whoever makes something happen in another terminal knows from here on that it will be heard of.
        click.echo(f"billfold: following what comes behind event {after}; Ctrl-C ends it.", err=True)
        events = follow(
            client,
            answers,
            after=after,
            wanted=given["wanted"],
            interval_s=given["interval_s"],
            tell=lambda sentence: click.echo(f"billfold: {sentence}", err=True),
        )
        for number, event in enumerate(events, 1):
            yield event
            if number == given["count"]:
                return


@run
def _tail(profile: str | None, as_json: bool, **given: Any) -> None:  # noqa: FBT001 - click hands it over by name.
    for event in _events(profile, given):
        if as_json:
            click.echo(event.raw.decode())
        else:
            at = event.occurred_at[11:19]
            click.echo(f"{event.sequence:>7}  {at}Z  {event.type:<26}  {event.object_id}")


tail = _following(
    PartnerCommand(
        "tail",
        callback=_tail,
        short_help="Print events as they happen.",
        help="""Print events as they happen, until Ctrl-C.

        Begins with what happens from now on, unless --after says where. With --json, each line is one event as the
        server wrote it. Goes on when the server was away, and leaves nothing out.""",
    )
)


def signed(event: Happened, secret: str, now_s: float) -> dict[str, str]:
    """Return the headers with which an event is delivered, as Standard Webhooks has it.

    Raises:
        Failure: The secret isn't one.
    """
    timestamp = str(int(now_s))
    content = b".".join((event.id.encode(), timestamp.encode(), event.raw))
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET), validate=True)
    except ValueError:
        key = b""
    if not (key and secret.startswith(_SECRET)):
        raise Failure("secret_invalid", "A webhook's secret is whsec_ and base64 after it.", Exit.SETTINGS)
    signature = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return {
        "content-type": "application/json",
        "webhook-id": event.id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


@run
def _listen(
    profile: str | None,
    as_json: bool,  # noqa: FBT001 - click hands it over by name.
    forward_to: str,
    secret_variable: str | None,
    **given: Any,
) -> None:
    import httpx  # noqa: PLC0415 - The client imports it too, when it asks for the first time.

    if not forward_to.startswith(("http://", "https://")):
        raise click.UsageError("--forward-to takes an address, such as http://localhost:9000/webhooks.")
    secret = _secret_of(secret_variable, as_json=as_json)
    with httpx.Client(timeout=_ANSWER_S, trust_env=False) as http:
        for event in _events(profile, given):
            began = time.monotonic()
            status = _forwarded(http, forward_to, event, secret)
            took_ms = (time.monotonic() - began) * 1000
            if as_json:
                said = {"event_id": event.id, "sequence": event.sequence, "type": event.type, "status": status}
                click.echo(msgspec.json.encode(said).decode())
                continue
            taken = click.style(f"{status}", fg="green" if status in range(200, 300) else "red")
            click.echo(f"{event.occurred_at[11:19]}Z  {event.type:<26}  {event.id}  {taken} in {took_ms:.0f} ms")


def _secret_of(variable: str | None, *, as_json: bool) -> str:
    if variable is None:
        secret = _SECRET + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        click.echo(msgspec.json.encode({"secret": secret}).decode() if as_json else f"Verify by this secret: {secret}")
        return secret
    if given := os.environ.get(variable):
        return given
    raise Failure("no_secret", f"{variable} isn't set; let it hold the secret (whsec_…).", Exit.SETTINGS)


def _forwarded(http: "httpx.Client", url: str, event: Happened, secret: str) -> int:
    """Deliver an event and return the receiver's status; one that isn't up yet is waited for."""
    import httpx  # noqa: PLC0415 - As above.

    away_s = 0.0
    while True:
        try:
            return http.post(url, content=event.raw, headers=signed(event, secret, time.time())).status_code
        except httpx.TransportError as error:
            if not away_s:
                name = type(error).__name__
                click.echo(f"billfold: {url} doesn't answer ({name}); trying again until it does.", err=True)
            away_s = min(_LONGEST_WAIT_S, max(0.5, away_s * 2))
            time.sleep(away_s)


_listen_command = _following(
    PartnerCommand(
        "listen",
        callback=_listen,
        params=[
            click.Option(["--forward-to"], required=True, metavar="URL", help="Where your receiver listens."),
            click.Option(
                ["--secret-variable"],
                metavar="NAME",
                help="The environment variable with the secret to sign by; one is made and shown where absent.",
            ),
        ],
        short_help="Deliver events to a receiver on this machine.",
        help="""Deliver events to a receiver on this machine as they happen, signed as webhooks are, until Ctrl-C.

        No public address is needed, and no webhook endpoint at the tenant. Each event is sent once, in order; a
        receiver that isn't up is waited for.""",
    )
)

webhooks = PartnerGroup("webhooks", help="Try a receiver of webhooks on this machine.", no_args_is_help=True)
webhooks.add_command(_listen_command)

COMMANDS: Final = (webhooks,)
