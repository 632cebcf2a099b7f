"""Attempts: counted before they are looked at, so that a thousand at once are a thousand."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from billfold_server.people import queries, rules
from billfold_server.people.desk import Desk
from billfold_server.people.queries import Tx

__all__ = ["Attempt", "Blocked", "begin", "succeed"]

_ANYWHERE: Final = bytes(32)


class Blocked(Exception):
    """No attempt is taken for now.

    Attributes:
        wait: For how long.
    """

    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.wait = wait


class Attempt(msgspec.Struct, frozen=True):
    """An attempt that is under way.

    Attributes:
        account: At which account.
        sources: From where.
        locks: Whether its failure begins a block.
    """

    account: bytes
    sources: Sequence[bytes]
    locks: bool


async def begin(desk: Desk, tx: Tx, account: bytes, device: str | None) -> Attempt:
    """Count an attempt as failed until it has succeeded. The transaction must commit.

    Args:
        desk: The request.
        tx: An open transaction.
        account: At which account, whether or not there is one.
        device: The device, where the account's owner has signed in on it before; its attempts are counted apart.

    Raises:
        Blocked: There were too many. Let it pass, so that this one isn't counted.
    """
    sources = [desk.source(device), *([] if device else [_ANYWHERE])]
    locks = False
    for source in sources:
        failures, until = await queries.count_attempt(
            tx, account, source, desk.now, forgotten_before=desk.now - rules.FORGOTTEN
        )
        if until is not None and until > desk.now:
            raise Blocked(until - desk.now)
        wait = rules.blocked_for(failures, anywhere=source == _ANYWHERE)
        if wait is not None:
            locks = True
            await queries.block(tx, account, source, desk.now + wait)
    return Attempt(account, sources, locks)


async def succeed(tx: Tx, attempt: Attempt) -> None:
    """Forget the failures from here: whoever guessed has been right."""
    await queries.forget_attempts(tx, attempt.account, attempt.sources)
