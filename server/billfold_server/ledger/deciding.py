"""How a batch is decided: item by item, each on what the items before it leave.

Nothing here waits for anything. What isn't pure is the clock, and what is random in ids and salts.
"""

import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold import errors
from billfold.clock import Clock
from billfold.errors import ProblemError
from billfold.ids import uuid7, uuid7_at
from billfold_server.http import idempotency as keys_of_requests
from billfold_server.ledger import batches
from billfold_server.ledger.books import Books, Draft, Key, StoredAnswer
from billfold_server.ledger.protocol import Answer
from billfold_server.ledger.queue import Item, turns
from billfold_server.ledger.rows import GrantRow
from billfold_server.tenancy.context import TenantRef

__all__ = ["Answers", "Decider", "RenderRefusal"]

_FIRST_REFUSAL = 400
_SALTS, _SALT_BYTES = 256, 16
# Fetched by the page from the kernel, which costs more for each than all else that is done with one.
_salts: list[bytes] = []
os.register_at_fork(after_in_child=_salts.clear)

Answers = list[Answer | ProblemError]

RenderRefusal = Callable[[ProblemError, str | None], tuple[int, bytes]]
"""Turns a refusal into the status and body that are answered and kept, given the request id."""


class Decider:
    """Decides batches.

    Args:
        clock: The real clock, which ``recorded_at`` follows.
        render_refusal: Encodes a refusal for the answer and for its idempotency record.
    """

    def __init__(self, clock: Clock, render_refusal: RenderRefusal) -> None:
        self._clock = clock
        self._render_refusal = render_refusal

    def decide(
        self, tenant: TenantRef, books: Books, batch: Sequence[Item], opening: batches.Opening
    ) -> tuple[Answers, list[StoredAnswer]]:
        """Return a batch's answers, and which of them are to be kept under their keys."""
        known = opening.answers
        answers: list[Answer | ProblemError] = []
        fresh: list[StoredAnswer] = []
        clock_now = self._clock.now()
        for turn in turns(batch):
            first = turn[0]
            if first.together is None and first.key in known:
                answers.append(_replay(first, known[first.key]))
                continue
            draft = Draft(
                books,
                now=opening.now,
                latest=opening.latest,
                clock_now=clock_now,
                caller=first.caller,
                manifest=tenant.manifest,
                chance=_CHANCE,
            )
            if first.together is None:
                answer = self._decide_one(first, draft)
                decided, refused = [answer], _refuses(answer)
            else:
                decided = self._decide_together(turn, draft, known)
                refused = any(map(_refuses, decided))
            if not refused:
                books.merge(draft)
            for item, answer in zip(turn, decided, strict=True):
                record = _record(item, answer, clock_now)
                if record is not None:
                    assert item.key is not None
                    known[item.key] = record
                    fresh.append(record)
            answers += decided
        return answers, fresh

    def _decide_together(
        self, turn: Sequence[Item], draft: Draft, known: Mapping[Key, StoredAnswer]
    ) -> list[Answer | ProblemError]:
        """Decide commands on one draft, which is accepted if none of them is refused.

        What is known from before is answered first, so that a request with a key that was refused moves nothing.
        """
        answers = {
            place: _replay(item, known[item.key])
            for place, item in enumerate(turn)
            if item.key is not None and item.key in known
        }
        replays = dict(answers)
        refused = next((place for place, answer in replays.items() if _refuses(answer)), None)
        first: dict[Key | None, StoredAnswer] = {}
        for place, item in enumerate(turn):
            if refused is not None:
                break
            if place in replays:
                continue
            copied = first.get(item.key)
            answer = self._decide_one(item, draft) if copied is None else _replay(item, copied)
            answers[place] = answer
            if _refuses(answer):
                refused = place
            elif (record := _record(item, answer, draft.clock_now)) is not None:
                first[item.key] = record
        if refused is None:
            return [answers[place] for place in range(len(turn))]
        aborted = errors.BulkAborted(refused_item=refused)
        told = {**replays, refused: answers[refused]}
        return [told.get(place, aborted) for place in range(len(turn))]

    def _decide_one(self, item: Item, draft: Draft) -> Answer | ProblemError:
        try:
            if (grant := item.grant) is not None and draft.find(GrantRow, grant) is None:
                raise errors.InvalidToken("the access token isn't valid here and now")
            reply = item.kind.decide(draft, item.body)
        except ProblemError as error:
            if not keys_of_requests.is_kept(error):
                return error
            status, body = self._render_refusal(error, item.caller.request_id)
            return Answer(status=status, body=body, error=error)
        body = b"" if reply.response is None else _encode(reply.response)
        # Most events tell of what is answered, which is then encoded once.
        draft.encode(lambda data: body if data is reply.response else _encode(data))
        return Answer(status=reply.status, body=body)


class _Chance:
    """Where decisions get what is random."""

    def new_id(self) -> UUID:
        """Return a new id."""
        return uuid7()

    def id_at(self, instant: datetime) -> UUID:
        """Return a new id that holds an instant."""
        return uuid7_at(instant)

    def salt(self) -> bytes:
        """Return 16 random bytes."""
        try:
            return _salts.pop()
        except IndexError:
            random = os.urandom(_SALTS * _SALT_BYTES)
            _salts.extend(random[at : at + _SALT_BYTES] for at in range(0, len(random), _SALT_BYTES))
            return _salts.pop()


_CHANCE = _Chance()
_encode = msgspec.json.Encoder().encode


def _replay(item: Item, stored: StoredAnswer) -> Answer | ProblemError:
    """Return the stored answer, or refuse a key that was used for something else."""
    if item.idempotency is None or not hmac.compare_digest(item.idempotency.fingerprint, stored.fingerprint):
        return errors.IdempotencyKeyReused(param=keys_of_requests.HEADER)
    return Answer(status=stored.status, body=stored.body, replayed=True)


def _refuses(answer: Answer | ProblemError) -> bool:
    return isinstance(answer, ProblemError) or answer.status >= _FIRST_REFUSAL


def _record(item: Item, answer: Answer | ProblemError, now: datetime) -> StoredAnswer | None:
    """Return what is to be kept of an answer; nothing of one that is kept already, or that may go differently."""
    if item.idempotency is None or isinstance(answer, ProblemError) or answer.replayed:
        return None
    return StoredAnswer(
        client_id=item.idempotency.client_id,
        key=item.idempotency.key,
        fingerprint=item.idempotency.fingerprint,
        status=answer.status,
        body=answer.body,
        created_at=now,
    )
