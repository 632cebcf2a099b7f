"""Attempts: counted before they are looked at, so that a thousand at once are a thousand.

Each is counted where it comes from, which slows it down, and in a sum over all such places, which stops for good: never
more than a hundred consecutive failures at one account (NIST SP 800-63B-4, section 3.2.2). The sum over strangers'
places is apart from that over devices on which the account's owner has signed in before. So strangers can use up their
own share, and the owner still gets in on a device of theirs, or with a passkey, which nobody guesses; whoever gets in
ends both sums. At names that nobody has it is the same.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from billfold_server.people import attempt_queries, rules
from billfold_server.people.desk import Desk
from billfold_server.people.queries import FOR_GOOD, OWN_DEVICES, STRANGERS, UserRow
from billfold_server.tenancy.transaction import Tx

__all__ = ["FOR_GOOD", "Attempt", "Blocked", "accounts_of", "begin", "forget", "give_back", "succeed"]


class Blocked(Exception):
    """No attempt is taken for now.

    Attributes:
        wait: For how long; None is until the account is unlocked.
    """

    def __init__(self, wait: timedelta | None) -> None:
        super().__init__()
        self.wait = wait


class Attempt(msgspec.Struct, frozen=True):
    """An attempt that is under way.

    Attributes:
        account: At which account.
        locks: Whether its failure begins a block.
        source: Where it comes from, as it was counted.
        total: The sum in which it was counted.
        until: Until when its failure lets nothing more be taken from there, where it does.
    """

    account: bytes
    locks: bool
    source: bytes
    total: bytes
    until: datetime | None


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
    now, source = desk.now, desk.source(device)
    failures, until = await attempt_queries.count_attempt(
        tx, account, source, now, forgotten_before=now - rules.FORGOTTEN
    )
    _check(until, now)
    wait = rules.blocked_for(failures)
    blocked = None if wait is None else now + wait
    if blocked is not None:
        await attempt_queries.block(tx, account, source, blocked)
    total = STRANGERS if device is None else OWN_DEVICES
    failures, until = await attempt_queries.count_attempt(tx, account, total, now, forgotten_before=None)
    _check(until, now)
    last = failures >= rules.bound(own_device=device is not None)
    if last:
        await attempt_queries.block(tx, account, total, FOR_GOOD)
    return Attempt(account, blocked is not None or last, source, total, blocked)


def _check(until: datetime | None, now: datetime) -> None:
    if until is not None and until > now:
        raise Blocked(None if until >= FOR_GOOD else until - now)


async def succeed(tx: Tx, attempt: Attempt) -> None:
    """Forget the failures: whoever guessed has been right, and consecutive failures begin anew."""
    await attempt_queries.forget_attempts(tx, attempt.account)


async def give_back(tx: Tx, attempt: Attempt) -> None:
    """Uncount an attempt that couldn't be judged, and end the blocks that it began; right or wrong are alike."""
    await attempt_queries.uncount_attempt(tx, attempt.account, attempt.source, attempt.until)
    await attempt_queries.uncount_attempt(tx, attempt.account, attempt.total, FOR_GOOD)


def accounts_of(desk: Desk, user: UserRow) -> Sequence[bytes]:
    """Return under which names attempts at somebody's account are counted."""
    return desk.account("password", user.login_name), desk.account("second factor", str(user.id))


async def forget(desk: Desk, tx: Tx, user: UserRow) -> None:
    """Forget all failures at somebody's account: they have got in, or have begun anew."""
    for account in accounts_of(desk, user):
        await attempt_queries.forget_attempts(tx, account)
