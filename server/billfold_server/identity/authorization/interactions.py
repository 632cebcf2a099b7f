"""Interactions: one browser on its way from the authorize endpoint through sign-in to its answer.

An interaction is known by a random id, which stands in addresses, and by a random cookie, which is in one browser only.
Whoever has lured somebody to an address of their own interaction, or has seen somebody else's address, lacks the other
half, so no consent can be given in the wrong browser (RFC 9700, section 4.7; OpenID Connect Core, section 16).
"""

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from billfold_server.identity.authorization import pushed
from billfold_server.identity.authorization.codes import digest_of
from billfold_server.identity.authorization.pushed import Pushed
from billfold_server.tenancy.transaction import Tx

__all__ = ["TTL", "Interaction", "Started", "cookie_of", "end_others", "find", "note_challenge", "note_user", "start"]

TTL: Final = timedelta(minutes=15)
"""How long a person may take, from the first look at the sign-in page to the answer."""

_BYTES: Final = 32
_LENGTH: Final = 43
_NAMED: Final = 8
_MOST: Final = 30


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that has brought a pushed request.

    Attributes:
        digest: Of its id.
        pushed: What it has brought.
        user_id: Who has been shown the consent page.
        challenge_id: The strong authentication that was begun for it, where it moves money.
        choice: What they have answered on the page of a consent, as JSON, until that is done.
        created_at: When the browser came; who must sign in afresh has signed in after that.
        expires_at: Until when it may be answered.
    """

    digest: bytes
    pushed: Pushed
    user_id: UUID | None
    challenge_id: UUID | None
    choice: str | None
    created_at: datetime
    expires_at: datetime


class Started(msgspec.Struct, frozen=True):
    """What a browser is given.

    Attributes:
        id: Stands in addresses.
        cookie: The cookie's value.
    """

    id: str
    cookie: str


def cookie_of(interaction_id: str) -> str:
    """Return the name of an interaction's cookie: each has its own, so that two open tabs don't disturb each other."""
    return f"interaction-{interaction_id[:_NAMED]}"


async def start(tx: Tx, pushed_digest: bytes, now: datetime) -> Started | None:
    """Write a new interaction, and return both of its halves; None where a request was brought too often.

    Whoever has a request's address can bring it as often as they like, and each time a row is written.
    """
    rows = await tx.fetch("SELECT digest FROM interactions WHERE request_digest = $1 LIMIT $2", pushed_digest, _MOST)
    if len(rows) >= _MOST:
        return None
    started = Started(secrets.token_urlsafe(_BYTES), secrets.token_urlsafe(_BYTES))
    await tx.execute(
        "INSERT INTO interactions (digest, browser_digest, request_digest, created_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        digest_of(started.id), digest_of(started.cookie), pushed_digest, now, now + TTL,
    )  # fmt: skip
    return started


async def find(tx: Tx, interaction_id: str, cookie: str | None, now: datetime) -> Interaction | None:
    """Return the interaction that both halves name, if it can still be answered.

    Args:
        tx: The realm's transaction.
        interaction_id: From the address.
        cookie: From the browser.
        now: The real time.
    """
    if len(interaction_id) != _LENGTH or not interaction_id.isascii() or cookie is None:
        return None
    row = await tx.fetchrow(
        "SELECT i.digest AS interaction, i.browser_digest, i.user_id, i.challenge_id, i.choice::text AS choice,"
        " i.created_at AS begun_at,"
        " i.expires_at AS ends_at, p.digest, p.client_id, p.request, p.expires_at, p.completed_at"
        " FROM interactions AS i JOIN pushed_requests AS p ON p.digest = i.request_digest WHERE i.digest = $1",
        digest_of(interaction_id),
    )  # fmt: skip
    if row is None or not hmac.compare_digest(row["browser_digest"], digest_of(cookie)) or row["ends_at"] <= now:
        return None
    return Interaction(
        digest=row["interaction"],
        pushed=pushed.of_row(row),
        user_id=row["user_id"],
        challenge_id=row["challenge_id"],
        choice=row["choice"],
        created_at=row["begun_at"],
        expires_at=row["ends_at"],
    )


async def note_user(tx: Tx, interaction: Interaction, user_id: UUID) -> None:
    """Note who is shown the consent page, for nobody else can answer it."""
    await tx.execute("UPDATE interactions SET user_id = $2 WHERE digest = $1", interaction.digest, user_id)


async def note_challenge(
    tx: Tx, interaction: Interaction, challenge_id: UUID | None, choice: str | None = None
) -> None:
    """Note the strong authentication that was begun for it, and what was answered before."""
    await tx.execute(
        "UPDATE interactions SET challenge_id = $2, choice = $3 WHERE digest = $1",
        interaction.digest, challenge_id, choice,
    )  # fmt: skip


async def end_others(tx: Tx, interaction: Interaction) -> None:
    """Forget what else has come with a request that was answered: what is left is where the answer went."""
    await tx.execute(
        "DELETE FROM interactions WHERE request_digest = $1 AND digest <> $2",
        interaction.pushed.digest, interaction.digest,
    )  # fmt: skip
