"""What ``billfold doctor`` says of the NATS that the settings name."""

from typing import Final

from billfold_server.serving.rules import Check
from billfold_server.settings import Settings
from billfold_server.streams.examining import Finding, State, examine

__all__ = ["examine_nats"]

_GOOD: Final[dict[State, str]] = {
    "there": "NATS answers, lets us in, and has the stream {stream}.",
    "makeable": "NATS answers and lets us in; the server makes the stream {stream}, if it may.",
}
_MENDED: Final[dict[State, str]] = {
    "full": "NATS at {server} has no room for another stream: make {stream} there, or raise the account's max_streams.",
    "no_jetstream": "NATS at {server} lets us in, and JetStream doesn't answer us: enable it for this account, and let "
    "BILLFOLD_NATS_USER publish to $JS.API.>.",
    "refused": "NATS at {server} doesn't let us in: correct BILLFOLD_NATS_USER and its password file, or name a client "
    "certificate.",
    "taken": "At {server} another stream, {said}, has the subjects below {subject}: name it in BILLFOLD_NATS_STREAM, "
    "or others in BILLFOLD_NATS_SUBJECT.",
    "unreachable": "NATS can't be reached at {server}: start it, or correct BILLFOLD_NATS_URL.",
    "untrusted": "The certificate of NATS at {server} isn't one that we trust: name its authority in "
    "BILLFOLD_NATS_CA_FILE.",
}
_UNREAD: Final = (
    "What NATS is to be shown can't be read: see that this user may read the files that BILLFOLD_NATS_PASSWORD_FILE, "
    "BILLFOLD_NATS_CA_FILE, BILLFOLD_NATS_CLIENT_CERTIFICATE and BILLFOLD_NATS_CLIENT_KEY name, and what is in them."
)


async def examine_nats(settings: Settings) -> list[Check]:
    """Connect as a worker does, and see whether it could publish; no check where nothing is published.

    Nothing of it fails: a server runs without NATS, and keeps what it would publish.
    """
    if settings.nats_url is None:
        return []
    try:
        found = await examine(settings)
    except (OSError, ValueError):
        return [Check("nats", "warn", _UNREAD)]
    bad = next((each for each in found if each.state not in _GOOD), None)
    sentence = _MENDED[bad.state] if bad is not None else _GOOD[found[0].state]
    return [Check("nats", "ok" if bad is None else "warn", _filled(sentence, bad or found[0], settings))]


def _filled(sentence: str, finding: Finding, settings: Settings) -> str:
    return sentence.format(
        server=finding.server, said=finding.said, stream=settings.nats_stream, subject=settings.nats_subject
    )
