"""The relay: hands events to publishers, in the order of their numbers.

Any number of processes may run it. A publisher's place in a tenant's stream belongs to one of them at a time. It is
called outside of any transaction and may be called again for what it has already sent: at least once, in order, and
the receiver knows an event by its id.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable
from uuid import UUID, uuid4

import msgspec
import structlog

from billfold.contract.platform import Event
from billfold_server.db import outbox
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["Measured", "Publisher", "Relay"]

log = structlog.get_logger(__name__)

PUBLISH_BATCH = 100

LEASE_S = 30
"""How long a publisher's place in a tenant's stream belongs to one process."""

PUBLISH_TIMEOUT_S = 20
"""How long a publisher may take for a batch; shorter than the lease, so that two never send at once."""

RETRY_FIRST_S, RETRY_LAST_S = 1.0, 300.0


class Publisher(Protocol):
    """Tells others about events: webhooks, a stream, a search index."""

    name: str
    """Under which its place in each tenant's stream is kept. It never changes."""

    question: str
    """SQL of one value of the tenant's, by which it knows what it wants; all publishers' are asked at once."""

    def wanted(self, tenant: TenantRef, answer: Any) -> Sequence[str] | None:
        """Return the types of a tenant's events that it is told of; None is all. The others cost next to nothing.

        Args:
            tenant: Whose events.
            answer: What the question's value is as JSON.
        """
        ...

    async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> int | None:
        """Send events, in order. If it raises, the same ones come again later.

        Returns:
            How many were sent, one at least, where there was no time for all: the others come at once. None is all.
        """
        ...


@runtime_checkable
class Measured(Protocol):
    """A publisher that tells how far it is behind, and so must hear of it when another process has caught up."""

    def caught_up(self, tenant: TenantRef) -> None:
        """Note that all of a tenant's events are published, whoever has done it."""
        ...

    def leave(self, tenant_id: UUID) -> None:
        """Note that nobody waits for a tenant's events any longer, because it isn't served."""
        ...


class Relay:
    """Publishes the events of any tenant.

    Args:
        database: The door to the tenants' tables.
        publishers: Who is told.
        publish_batch: How many events a publisher is given at once.
    """

    def __init__(
        self,
        database: Database,
        publishers: Sequence[Publisher] = (),
        *,
        publish_batch: int = PUBLISH_BATCH,
    ) -> None:
        self._database = database
        self._publishers = tuple(publishers)
        self._publish_batch = publish_batch
        self._all_behind_sql = _behind_sql(self._publishers)
        self._behind_sql = {each.name: _behind_sql([each]) for each in self._publishers}

    @property
    def has_publishers(self) -> bool:
        """Tell whether anybody is told."""
        return bool(self._publishers)

    async def run(
        self,
        tenant: TenantRef,
        *,
        up_to: int | None = None,
        deadline: float | None = None,
        turn_s: float | None = None,
    ) -> float | None:
        """Publish all that is there.

        Args:
            tenant: Whose events.
            up_to: The number behind which all may wait, so that this ends however much happens meanwhile.
            deadline: The monotonic clock's time at which this ends, wherever it is; what was being sent then is sent
                again, which is no publisher's failure.
            turn_s: After how many seconds a publisher that has had a batch gets no other: others have their turn.

        Returns:
            Seconds after which a further visit is wanted, because another process was at it, a publisher failed, or
            the time was up.
        """
        if _rest_s(deadline) <= 0:
            return 0.0
        ends_s = math.inf if turn_s is None else time.monotonic() + turn_s
        waits = [
            await self._publish_all(tenant, publisher, up_to=up_to, deadline=deadline, ends_s=ends_s)
            for publisher in await self._concerned(tenant, up_to)
        ]
        return min((wait for wait in waits if wait is not None), default=None)

    async def untold(self, tx: TenantTx, up_to: int | None = None) -> int | None:
        """Return up to which number publishers have still to be told, or None where they have been.

        One that is in trouble isn't waited for.

        Args:
            tx: The tenant's transaction.
            up_to: The number; that of the newest event where absent.
        """
        names = [each.name for each in self._publishers]
        number: int | None = await tx.fetchval(_UNTOLD, names, up_to) if names else None
        return number

    def leave(self, tenant_id: UUID) -> None:
        """Let go of a tenant that is served no longer: what it has left isn't late."""
        for publisher in self._publishers:
            if isinstance(publisher, Measured):
                publisher.leave(tenant_id)

    async def _concerned(self, tenant: TenantRef, up_to: int | None) -> list[Publisher]:
        """Return the publishers for which something new may be, and let all others pass it over at once.

        Most of what happens concerns nobody. With many tenants that each do a little there is such a visit after each
        change, and to claim every publisher's place for it, one after the other, would cost more than the change.
        """
        async with self._database.tx(tenant) as tx:
            rows = await tx.fetch(self._all_behind_sql, up_to) if self._publishers else []
            behind = {row["name"]: row for row in rows}
            seen = [
                _Seen(each.name, place["sequence"], place["head"], types)
                for each in self._publishers
                # One that has no place yet gets one by going the long way.
                if (place := behind.get(each.name)) is not None and place["sequence"] is not None
                if (types := _wanted(each, tenant, place["answer"])) is not None
            ]
            done = {row["publisher"] for row in await tx.fetch(_MOVE_ON, *_columns(seen))} if seen else set()
        for publisher in self._publishers:
            if publisher.name in done or publisher.name not in behind:
                _caught_up(publisher, tenant, up_to)
        # Who is concerned, whose place another process has, or who is in trouble, goes the long way.
        return [each for each in self._publishers if each.name in behind.keys() - done]

    async def _publish_all(
        self, tenant: TenantRef, publisher: Publisher, *, up_to: int | None, deadline: float | None, ends_s: float
    ) -> float | None:
        token = uuid4()
        while True:
            if (rest_s := _rest_s(deadline)) <= 0:
                return 0.0
            async with self._database.tx(tenant) as tx:
                behind = await tx.fetchrow(self._behind_sql[publisher.name], up_to)
                head = 0 if behind is None else int(behind["head"])
                place = None if behind is None else await _claim(tx, publisher.name, token)
                types = None if behind is None else _wanted(publisher, tenant, behind["answer"])
                events = [] if place is None else await self._read(tx, types, place, head)
                if place is not None and not events:
                    # Nothing of what is new concerns it. What comes after that wakes somebody again.
                    await _advance(tx, publisher.name, token, head)
                if behind is not None and place is None:
                    return await _free_in_s(tx, publisher.name)
            if behind is None or not events:
                _caught_up(publisher, tenant, up_to)
                return None
            try:
                async with asyncio.timeout(min(PUBLISH_TIMEOUT_S, rest_s)):
                    sent = await publisher.publish(tenant, events)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the events come again
                return await self._give_up(tenant, publisher, token, error, deadline)
            async with self._database.tx(tenant) as tx:
                all_of_it = sent is None and len(events) < self._publish_batch
                last = head if all_of_it else events[(sent or len(events)) - 1].sequence
                await _advance(tx, publisher.name, token, last)
            if time.monotonic() > ends_s:
                return 0.0

    async def _give_up(
        self, tenant: TenantRef, publisher: Publisher, token: UUID, error: Exception, deadline: float | None
    ) -> float:
        """Leave a batch that wasn't sent, or not surely, to a later visit; return after how many seconds."""
        if isinstance(error, TimeoutError) and deadline is not None and time.monotonic() >= deadline:
            async with self._database.tx(tenant) as tx:
                await tx.execute(_LEAVE, publisher.name, token)
            return 0.0
        log.warning("publisher_failed", publisher=publisher.name, tenant=tenant.slug, cause=type(error).__name__)
        async with self._database.tx(tenant) as tx:
            return await _put_off(tx, publisher.name, token)

    async def _read(self, tx: TenantTx, types: Sequence[str] | None, after: int, head: int) -> list[Event]:
        if types is not None and not types:
            return []
        return await outbox.list_events(tx, after=after, limit=self._publish_batch, up_to=head, event_types=types)


class _Seen(NamedTuple):
    """Where a publisher's place and the newest event were, and of which types it is told."""

    publisher: str
    sequence: int
    head: int
    types: Sequence[str]


# A publisher's place. It is claimed under a lease on the real clock, because what it does takes place outside of any
# transaction; the token fences whoever comes back after the lease has gone to another.

# Nobody writes a time so far ahead unless the clock of PostgreSQL was, and who put it right would else wait for as long
# as it had been wrong. Twice as far, for who waits for a row compares it with the time at which their tx began.
_FREE = f"""
(place.claimed_until IS NULL OR place.claimed_until <= now()
    OR place.claimed_until > now() + interval '{2 * LEASE_S} seconds')
AND (place.retry_at IS NULL OR place.retry_at <= now()
    OR place.retry_at > now() + interval '{2 * RETRY_LAST_S} seconds')
"""
_BEHIND = """
SELECT p.name, c.sequence, least(h.sequence, $1::bigint) AS head, CASE p.name {answers} END AS answer
FROM relay_head AS h CROSS JOIN (VALUES {names}) AS p (name)
LEFT JOIN publisher_cursors AS c ON c.publisher = p.name
WHERE h.id = 1 AND least(h.sequence, $1::bigint) > coalesce(c.sequence, 0)
"""
# Nothing between the two numbers concerns it, whoever finds that out. Rows that somebody else has are left to them, so
# that two processes never wait for one another. Types travel as one text for each, since none has a comma.
_MOVE_ON = f"""
UPDATE publisher_cursors AS c SET sequence = free.head, failures = 0, retry_at = now(), claimed_by = NULL,
    claimed_until = NULL
FROM (
    SELECT place.publisher, seen.head
    FROM publisher_cursors AS place
    JOIN unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[]) AS seen (publisher, sequence, head, types)
        USING (publisher)
    WHERE place.sequence = seen.sequence
      AND (seen.types = '' OR NOT EXISTS (
          SELECT FROM outbox_events AS e
          WHERE e.sequence > seen.sequence AND e.sequence <= seen.head
            AND e.type = ANY (string_to_array(seen.types, ','))))
      AND {_FREE}
    FOR UPDATE OF place SKIP LOCKED
) AS free
WHERE c.publisher = free.publisher
RETURNING c.publisher
"""  # noqa: S608 - constants
_UNTOLD = """
SELECT up_to.sequence
FROM (SELECT coalesce($2::bigint, (SELECT sequence FROM relay_head WHERE id = 1)) AS sequence) AS up_to
WHERE EXISTS (
    SELECT FROM unnest($1::text[]) AS p (name) LEFT JOIN publisher_cursors AS c ON c.publisher = p.name
    WHERE up_to.sequence > coalesce(c.sequence, 0) AND NOT coalesce(c.failures > 0 AND c.retry_at > now(), false)
)
"""
_ENSURE_PLACE = """
INSERT INTO publisher_cursors (publisher, sequence, failures) VALUES ($1, 0, 0) ON CONFLICT (publisher) DO NOTHING
"""
_CLAIM = f"""
UPDATE publisher_cursors AS place SET claimed_by = $2, claimed_until = now() + $3::int * interval '1 second'
WHERE publisher = $1 AND {_FREE}
RETURNING sequence
"""  # noqa: S608 - constants
# When it may be tried again, which is at once, also tells that it was at work: see ``outbox.sweep``.
_ADVANCE = """
UPDATE publisher_cursors
SET sequence = $3, failures = 0, retry_at = now(), claimed_by = NULL, claimed_until = NULL
WHERE publisher = $1 AND claimed_by = $2
"""
_PUT_OFF = """
UPDATE publisher_cursors
SET claimed_by = NULL, claimed_until = NULL, failures = failures + 1,
    retry_at = now() + least($3::float8 * power(2, least(failures, 20)), $4::float8) * interval '1 second'
WHERE publisher = $1 AND claimed_by = $2
RETURNING extract(epoch FROM retry_at - now())::float8
"""
# Who is at a place may be through with it at any moment.
_FREE_IN = """
SELECT extract(epoch FROM retry_at - now())::float8 FROM publisher_cursors
WHERE publisher = $1 AND (claimed_until IS NULL OR claimed_until <= now())
"""


_LEAVE = "UPDATE publisher_cursors SET claimed_by = NULL, claimed_until = NULL WHERE publisher = $1 AND claimed_by = $2"


def _behind_sql(publishers: Sequence[Publisher]) -> str:
    """Return the query of those whose place is behind, and of what each has to know of the tenant."""
    answers = [f"WHEN '{each.name}' THEN to_json(({each.question}))::text" for each in publishers]
    return _BEHIND.format(answers=" ".join(answers), names=", ".join(f"('{each.name}')" for each in publishers))


def _wanted(publisher: Publisher, tenant: TenantRef, answer: str | None) -> Sequence[str] | None:
    return publisher.wanted(tenant, None if answer is None else msgspec.json.decode(answer))


def _columns(seen: Sequence[_Seen]) -> tuple[list[str], list[int], list[int], list[str]]:
    names, places, heads, types = zip(*seen, strict=True)
    return list(names), list(places), list(heads), [",".join(each) for each in types]


def _caught_up(publisher: Publisher, tenant: TenantRef, up_to: int | None) -> None:
    if isinstance(publisher, Measured) and up_to is None:
        publisher.caught_up(tenant)


def _rest_s(deadline: float | None) -> float:
    return PUBLISH_TIMEOUT_S if deadline is None else deadline - time.monotonic()


async def _claim(tx: TenantTx, publisher: str, token: UUID) -> int | None:
    await tx.execute(_ENSURE_PLACE, publisher)
    place = await tx.fetchval(_CLAIM, publisher, token, LEASE_S)
    return None if place is None else int(place)


async def _advance(tx: TenantTx, publisher: str, token: UUID, sequence: int) -> None:
    await tx.execute(_ADVANCE, publisher, token, sequence)


async def _put_off(tx: TenantTx, publisher: str, token: UUID) -> float:
    """Leave a publisher in peace for a while, and return for how many seconds."""
    wait_s: float | None = await tx.fetchval(_PUT_OFF, publisher, token, RETRY_FIRST_S, RETRY_LAST_S)
    return RETRY_FIRST_S if wait_s is None else wait_s


async def _free_in_s(tx: TenantTx, publisher: str) -> float:
    """Return after how many seconds a place that can't be had now is worth a further look.

    Who looks sooner costs the database a transaction or two each time, for every tenant, for as long as a publisher's
    other end is away.
    """
    wait_s: float | None = await tx.fetchval(_FREE_IN, publisher)
    return RETRY_FIRST_S if wait_s is None else max(RETRY_FIRST_S, wait_s)
