"""Strong customer authentication of one action, linked to what it is (RTS on SCA, articles 4 and 5).

The payer is shown amount and payee, and the authentication code is made of them: a keyed digest over everything that
was shown is what a passkey signs, and what the code that an app's digits release is made of. ``use`` makes the digest
anew from what is really to be done; if amount or payee have changed, it is another one, and the authentication is void.
It is good once, and for five minutes. What was shown and signed is kept as evidence.

With an authenticator app, the element of knowledge is the password of the present session, which stays good within it
(EBA Q&A 2018_4141); the app is possession.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.ids import Prefix
from billfold_server.people import exemptions, factors, queries, rules
from billfold_server.people import sca_queries as rows
from billfold_server.people.desk import Desk, tell
from billfold_server.people.exemptions import History
from billfold_server.people.exemptions import Linked as LinkedAction
from billfold_server.people.passkeys import Shown
from billfold_server.people.queries import UserRow
from billfold_server.people.sca_queries import ChallengeRow
from billfold_server.people.sessions import Session
from billfold_server.tenancy.transaction import Tx

__all__ = ["Challenge", "LinkedAction", "ScaResult", "begin", "complete_with_code", "complete_with_passkey", "use"]

TTL: Final = timedelta(minutes=5)
_FAILURES: Final = 5
_NONCE_BYTES: Final = 32
DIGEST_BYTES: Final = 32


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is asked to agree to.

    Attributes:
        id: ``sca_…``; ``use`` is told it.
        action: What it is.
        state: ``open``, or ``exempted`` where nothing is asked.
        exemption: Why nothing is asked.
        expires_at: Until when it can be agreed to, and used.
    """

    id: str
    action: LinkedAction
    state: str
    exemption: str | None
    expires_at: datetime


class ScaResult(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody has agreed.

    Attributes:
        reference: The challenge's id.
        amr: How (RFC 8176).
        digest: What it is linked to, as hexadecimal digits.
    """

    reference: str
    amr: list[str]
    digest: str


def digest_of(
    key: bytes, action: LinkedAction, *, owner: str, user_id: UUID, challenge_id: UUID, nonce: bytes
) -> bytes:
    """Return what an authentication is linked to: everything that is shown, whose it is, and this one time."""
    said = msgspec.json.encode([owner, user_id, challenge_id, nonce, msgspec.structs.astuple(action)])
    return hmac.digest(key, said, "sha256")


def _key(desk: Desk) -> bytes:
    return desk.people.keyring.derive("dynamic linking")


async def begin(
    desk: Desk,
    tx: Tx,
    user_id: UUID,
    action: LinkedAction,
    *,
    return_to: str | None = None,
    replaces: UUID | None = None,
) -> Challenge:
    """Ask somebody to agree to an action, or record why they needn't.

    Of one action there is one agreement: earlier ones about the same object hold for nothing from now on.

    Args:
        desk: The request.
        tx: The tenant's transaction.
        user_id: Whom.
        action: What is to be done. What of it is shown can't change any more.
        return_to: Our own path to which the page of approval leads in the end.
        replaces: The challenge that was asked before in place of this one, whatever it was about.

    Raises:
        errors.NotFound: There is no such user.
    """
    user = await queries.lock_user(tx, user_id)
    if user is None:
        raise errors.NotFound("there is no such user", param="user_id")
    await rows.void_superseded(
        tx, user_id, kind=action.kind, object_id=action.object_id, challenge_id=replaces, now=desk.now
    )
    payee_key = _payee_key(desk, action)
    history = await _history(tx, user_id, action, payee_key)
    exempt = exemptions.exemption_for(desk.call.tenant.manifest.sca, action, history)
    challenge_id, nonce = ids.uuid7(), secrets.token_bytes(_NONCE_BYTES)
    row = ChallengeRow(
        id=challenge_id,
        user_id=user_id,
        kind=action.kind,
        object_id=action.object_id,
        amount_minor=action.amount_minor,
        currency=action.currency,
        payee=action.payee,
        payee_key=payee_key,
        terms=msgspec.json.encode(action.terms).decode() if action.terms else None,
        nonce=nonce,
        digest=digest_of(_key(desk), action, owner=desk.owner, user_id=user_id, challenge_id=challenge_id, nonce=nonce),
        exemption=None if exempt is None else exempt.kind,
        reason=None if exempt is None else exempt.reason,
        state="open" if exempt is None else "exempted",
        failures=0,
        return_to=return_to,
        created_at=desk.now,
        expires_at=desk.now + TTL,
        ended_at=None if exempt is None else desk.now,
        used_at=None,
    )
    await rows.insert(tx, row)
    if exempt is not None:
        await _tell_exemption(desk, tx, row, user)
    return challenge_of(row)


async def _tell_exemption(desk: Desk, tx: Tx, row: ChallengeRow, user: UserRow) -> None:
    facts = {**_facts(row), "exemption": row.exemption or ""}
    await tell(tx, desk.caller(user.id), events.USER_SCA_EXEMPTED, user, facts=facts, reason=row.reason)


def _payee_key(desk: Desk, action: LinkedAction) -> bytes | None:
    """Return by what a payee is known again: a keyed digest of the account, which need not be kept itself."""
    account = action.payee_account
    return None if account is None else desk.people.digest("payees", desk.owner, account)


async def _history(tx: Tx, user_id: UUID, action: LinkedAction, payee_key: bytes | None) -> History:
    if action.payee is None or action.currency is None or action.amount_minor is None:
        return History()
    number, sum_minor = await rows.exempted_since_sca(tx, user_id, action.currency)
    return History(
        exempted=number,
        exempted_minor=sum_minor,
        payee_is_trusted=payee_key is not None and await rows.is_trusted(tx, user_id, payee_key),
        series_is_known=payee_key is not None
        and await rows.is_known_series(
            tx,
            user_id,
            kind=exemptions.RECURRING,
            payee_key=payee_key,
            amount_minor=action.amount_minor,
            currency=action.currency,
        ),
    )


def action_of(row: ChallengeRow) -> LinkedAction:
    """Return what a challenge is about."""
    return LinkedAction(
        kind=row.kind,
        object_id=row.object_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
        payee=row.payee,
        terms=() if row.terms is None else msgspec.json.decode(row.terms, type=tuple[tuple[str, str], ...]),
    )


def challenge_of(row: ChallengeRow) -> Challenge:
    """Return a challenge as other rooms see it."""
    return Challenge(
        id=ids.encode(Prefix.SCA_CHALLENGE, row.id),
        action=action_of(row),
        state=row.state,
        exemption=row.exemption,
        expires_at=row.expires_at,
    )


def _facts(row: ChallengeRow) -> dict[str, str | int | list[str]]:
    """Return what may be told of a challenge: no payee, who may be a person."""
    return {"challenge_id": ids.encode(Prefix.SCA_CHALLENGE, row.id), "kind": row.kind}


async def find_own(tx: Tx, challenge_id: str, user_id: UUID, *, lock: bool) -> ChallengeRow | None:
    """Return this user's own challenge, whatever has become of it, and keep others from it where asked to; or None."""
    try:
        key = ids.decode(Prefix.SCA_CHALLENGE, challenge_id)
    except ids.InvalidIdError:
        return None
    row = await (rows.lock if lock else rows.find)(tx, key)
    return row if row is not None and row.user_id == user_id else None


def is_open(desk: Desk, row: ChallengeRow) -> bool:
    """Tell whether a challenge can still be agreed to."""
    return row.state == "open" and desk.now < row.expires_at


async def complete_with_passkey(
    desk: Desk, tx: Tx, row: ChallengeRow, user: UserRow, *, shown: Shown | None, answer: str
) -> ScaResult | None:
    """Take a passkey that has signed the digest, and return what came of it; None where it hasn't."""
    if shown is None or shown.user.id != user.id or shown.challenge[:DIGEST_BYTES] != row.digest:
        await _fail(desk, tx, row, user)
        return None
    evidence = {"signed": msgspec.json.decode(answer), "public_key": _text(shown.factor.public_key or b"")}
    return await _complete(desk, tx, row, user, [shown.method], shown.factor.id, evidence)


async def complete_with_code(
    desk: Desk, tx: Tx, row: ChallengeRow, user: UserRow, *, session: Session, code: str
) -> ScaResult | None:
    """Take an app's code beside the session's password, and return what came of it; None where it isn't right."""
    if "pwd" not in session.amr or session.acr != rules.ACR_SCA:
        return None
    used = await factors.use_code(desk, tx, user, code, recovery=False)
    if used is None:
        await _fail(desk, tx, row, user)
        return None
    made = hmac.digest(_key(desk), row.digest + b"\0" + hashlib.sha256(str(session.id).encode()).digest(), "sha256")
    evidence = {"authentication_code": made.hex(), "session_id": ids.encode(Prefix.SESSION, session.id)}
    return await _complete(desk, tx, row, user, ["pwd", "otp"], used.factor_id, evidence)


async def _complete(  # noqa: PLR0917 - what evidence consists of
    desk: Desk,
    tx: Tx,
    row: ChallengeRow,
    user: UserRow,
    methods: list[rules.Method],
    factor_id: UUID | None,
    evidence: dict[str, Any],
) -> ScaResult:
    amr = rules.amr_of(methods)
    await rows.complete(
        tx, row.id, amr=amr, factor_id=factor_id, evidence=msgspec.json.encode(evidence).decode(), now=desk.now
    )
    await tell(tx, desk.caller(user.id), events.USER_SCA_COMPLETED, user, facts=_facts(row) | {"amr": amr})
    return ScaResult(reference=ids.encode(Prefix.SCA_CHALLENGE, row.id), amr=amr, digest=row.digest.hex())


async def _fail(desk: Desk, tx: Tx, row: ChallengeRow, user: UserRow) -> None:
    """Count a failure; after five the challenge is void, and the payer begins anew (article 4(3)(b))."""
    await rows.fail(tx, row.id, void=row.failures + 1 >= _FAILURES, now=desk.now)
    await tell(tx, desk.caller(user.id), "user.sca_failed", user, facts=_facts(row))


async def use(desk: Desk, tx: Tx, reference: str, user_id: UUID, action: LinkedAction) -> bool:
    """Use an agreement for what is really being done, once, and tell whether it holds.

    It doesn't if amount, payee or anything else that was shown is another one by now; then it is void for good.

    Args:
        desk: The request.
        tx: The transaction in which the action is done.
        reference: The challenge.
        user_id: Who has agreed.
        action: What is being done.
    """
    try:
        key = ids.decode(Prefix.SCA_CHALLENGE, reference)
    except ids.InvalidIdError:
        return False
    row = await rows.lock(tx, key)
    if row is None or row.user_id != user_id or row.used_at is not None or desk.now >= row.expires_at:
        return False
    if row.state not in {"completed", "exempted"}:
        return False
    again = digest_of(_key(desk), action, owner=desk.owner, user_id=user_id, challenge_id=row.id, nonce=row.nonce)
    if not hmac.compare_digest(again, row.digest):
        await rows.void(tx, row.id, desk.now)
        user = await queries.find_user(tx, user_id)
        assert user is not None
        await tell(tx, desk.caller(user_id), events.USER_SCA_VOIDED, user, facts=_facts(row))
        return False
    await rows.use(tx, row.id, desk.now)
    return True


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
