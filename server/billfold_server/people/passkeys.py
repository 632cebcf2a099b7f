"""Passkeys: registered and used by WebAuthn (Level 3), with user verification, each challenge once.

A challenge travels in a ticket that is bound to realm and browser; whoever answers it spends it.
"""

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg
import msgspec

from billfold import ids
from billfold.contract import events
from billfold.ids import Prefix
from billfold_server.people import queries, sessions
from billfold_server.people.desk import TICKET_S, Desk, tell
from billfold_server.people.factors import Used, new_row, tell_enrolled
from billfold_server.people.pages import brand
from billfold_server.people.queries import FactorRow, UserRow
from billfold_server.people.rules import Method
from billfold_server.tenancy.transaction import Tx

if TYPE_CHECKING:
    from billfold_server.people.ceremonies import Seen

__all__ = ["Options", "Shown", "begin", "begin_registration", "register", "show"]

_CHALLENGE_BYTES: Final = 32


class Options(msgspec.Struct, frozen=True):
    """What a page gives to the browser.

    Attributes:
        json: The options of ``navigator.credentials``.
        ticket: Comes back with the answer.
        possible: Whether a browser would take a passkey at this page's address at all.
        here: To which host those that it takes belong.
        elsewhere: At which other host people may have made theirs, or None.
    """

    json: str
    ticket: str
    possible: bool
    here: str
    elsewhere: str | None


class _Challenge(msgspec.Struct, frozen=True):
    """What was asked, and of whom, where that is known."""

    challenge: str
    user_id: UUID | None


class Shown(msgspec.Struct, frozen=True):
    """A passkey that was shown.

    Attributes:
        user: Whose.
        factor: Which.
        method: What it is to tokens.
        challenge: What it has signed.
    """

    user: UserRow
    factor: FactorRow
    method: Method
    challenge: bytes


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _usable(factors: list[FactorRow], rp_id: str, now: datetime) -> list[FactorRow]:
    return [each for each in factors if each.rp_id == rp_id and each.is_good(now)]


def begin(
    desk: Desk,
    purpose: str,
    *,
    user: UserRow | None = None,
    factors: list[FactorRow] | None = None,
    challenge: bytes | None = None,
) -> Options:
    """Ask for a passkey: for anyone's, or for one of somebody who is known.

    Args:
        desk: The request.
        purpose: For which step.
        user: Whose, where that is known.
        factors: Theirs.
        challenge: What is signed; random where absent.
    """
    from billfold_server.people import ceremonies  # noqa: PLC0415 - Its library costs a tenth of a second.

    asked = challenge or secrets.token_bytes(_CHALLENGE_BYTES)
    options = ceremonies.options_to_show(desk.place, asked, _usable(factors or [], desk.place.rp_id, desk.now))
    ticket = desk.seal(_Challenge(_text(asked), None if user is None else user.id), f"passkey {purpose}")
    return _given(desk, options, ticket)


async def show(desk: Desk, tx: Tx, purpose: str, ticket: str | None, answer: str | None) -> Shown | None:
    """Check a passkey that was shown, and return whose it is; None where it isn't right.

    A counter that doesn't go up tells of a copy (WebAuthn, section 6.1.1); the passkey is then suspended.

    Args:
        desk: The request.
        tx: An open transaction, which must commit in any case.
        purpose: For which step.
        ticket: Of ``begin``.
        answer: What the browser said, as JSON.
    """
    from billfold_server.people import ceremonies  # noqa: PLC0415 - Its library costs a tenth of a second.

    asked = desk.open(ticket, _Challenge, f"passkey {purpose}")
    if asked is None or answer is None or not await _first_use(desk, tx, asked):
        return None
    given = ceremonies.read_shown(answer)
    if given is None:
        return None
    # First the user, whom nobody shuts out then until what follows from the passkey is done, and then what is theirs.
    owner_id = await queries.find_owner_of_passkey(tx, given.raw_id)
    user = None if owner_id is None else await queries.lock_user(tx, owner_id)
    factor = await queries.lock_passkey(tx, given.raw_id)
    if factor is None or user is None or not _fits(desk, asked, user, factor, given.response.user_handle):
        return None
    assert factor.public_key is not None
    assert factor.sign_count is not None
    seen = ceremonies.check_shown(desk.place, given, challenge=_raw(asked.challenge), public_key=factor.public_key)
    if seen is None:
        return None
    if (seen.sign_count or factor.sign_count) and seen.sign_count <= factor.sign_count:
        await queries.suspend_factor(tx, factor.id)
        facts = {"factor_id": ids.encode(Prefix.FACTOR, factor.id), "kind": "passkey"}
        await tell(tx, desk.caller(user.id), events.USER_FACTOR_SUSPENDED, user, facts=facts)
        await sessions.end_with_factor(desk, tx, user, factor.id, "a passkey may have been copied")
        return None
    await queries.use_passkey(tx, factor.id, seen.sign_count, desk.now, backed_up=seen.backed_up)
    return Shown(user, factor, _method_of(seen), _raw(asked.challenge))


def _method_of(seen: "Seen") -> Method:
    """Return what a passkey is to tokens: one that can leave its device is no hardware key (RFC 8176, section 2)."""
    return "swk" if seen.backed_up or seen.can_move else "hwk"


def _fits(desk: Desk, asked: _Challenge, user: UserRow, factor: FactorRow, handle: bytes | None) -> bool:
    return (
        user.login_realm == desk.realm
        and user.is_let_in
        and factor.is_good(desk.now)
        and factor.rp_id == desk.place.rp_id
        and (handle is None or secrets.compare_digest(handle, user.handle))
        # Where nobody was named, the passkey itself must say whose it is.
        and (handle is not None if asked.user_id is None else asked.user_id == user.id)
    )


async def _first_use(desk: Desk, tx: Tx, asked: _Challenge) -> bool:
    digest = desk.people.digest("passkey challenges", asked.challenge)
    return await queries.spend(tx, digest, desk.now + timedelta(seconds=2 * TICKET_S))


def begin_registration(desk: Desk, user: UserRow, factors: list[FactorRow]) -> Options:
    """Ask the browser to make a passkey for somebody."""
    from billfold_server.people import ceremonies  # noqa: PLC0415 - Its library costs a tenth of a second.

    asked = secrets.token_bytes(_CHALLENGE_BYTES)
    options = ceremonies.options_to_make(
        desk.place,
        user,
        rp_name=brand.brand_of(desk.call.tenant_or_none).display_name,
        challenge=asked,
        # One that still waits is on the device all the same.
        factors=_usable(factors, desk.place.rp_id, datetime.max.replace(tzinfo=UTC)),
    )
    ticket = desk.seal(_Challenge(_text(asked), user.id), "passkey registration")
    return _given(desk, options, ticket)


def _given(desk: Desk, options: str, ticket: str) -> Options:
    place = desk.place
    return Options(options, ticket, possible=place.has_name, here=place.rp_id, elsewhere=place.elsewhere)


async def register(
    desk: Desk,
    tx: Tx,
    user: UserRow,
    *,
    ticket: str | None,
    answer: str | None,
    label: str,
    good_from: datetime | None = None,
) -> Used | None:
    """Enrol a passkey that the browser has made, and return it, or None where anything about it was wrong.

    Args:
        desk: The request.
        tx: An open transaction.
        user: Whose passkey.
        ticket: Of ``begin_registration``.
        answer: What the browser said, as JSON.
        label: What its owner calls it.
        good_from: From when it counts; from now on where absent.
    """
    from billfold_server.people import ceremonies  # noqa: PLC0415 - Its library costs a tenth of a second.

    asked = desk.open(ticket, _Challenge, "passkey registration")
    if asked is None or answer is None or asked.user_id != user.id or not await _first_use(desk, tx, asked):
        return None
    made = ceremonies.check_made(desk.place, answer, challenge=_raw(asked.challenge))
    if made is None:
        return None
    factor_id = ids.uuid7()
    row = msgspec.structs.replace(
        new_row(factor_id, user, "passkey", label, now=desk.now, good_from=good_from),
        credential_id=made.id,
        public_key=made.public_key,
        sign_count=made.seen.sign_count,
        rp_id=desk.place.rp_id,
        transports=made.transports,
        backed_up=made.seen.backed_up,
    )
    await tx.execute("SAVEPOINT passkey")
    try:
        await queries.insert_factor(tx, row)
    except asyncpg.UniqueViolationError:
        await tx.execute("ROLLBACK TO SAVEPOINT passkey")
        return None
    await tell_enrolled(desk, tx, user, row)
    return Used(_method_of(made.seen), factor_id)
