"""Somebody at the command line shows who they are: by name, password and the code of their authenticator app.

Whoever may run commands on the server's machine is nobody in particular. What takes two people therefore asks each of
them here, with the same limits and the same audit as the pages of signing in.
"""

from datetime import timedelta
from typing import Final, NoReturn
from uuid import UUID

import msgspec

from billfold import errors
from billfold.contract import events
from billfold_server.audit import service as audit
from billfold_server.http.routing import Call
from billfold_server.people import attempts, factors, queries, rules
from billfold_server.people.attempts import Attempt, Blocked
from billfold_server.people.desk import Desk, tell, user_id_of
from billfold_server.people.pages.kit import LoginRealm
from billfold_server.people.queries import UserRow
from billfold_server.people.standing import scopes_of

__all__ = ["Identified", "identify"]

_DAY: Final = timedelta(days=1)
"""What is said where attempts are taken only once the account is unlocked."""
_SENTENCE: Final = "name, password and code must be those of somebody who is let in here"


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has shown who they are.

    Attributes:
        user_id: Who.
        actor: How the audit names them.
        scopes: What they may do; None is everything, which is an operator's.
    """

    user_id: UUID
    actor: str
    scopes: frozenset[str] | None


async def identify(call: Call, realm: LoginRealm, name: str, password: str, code: str) -> Identified:
    """Return who shows a name, a password and the code of an authenticator app.

    A recovery code isn't taken: it stands in for a second factor, and so isn't one. Whether there is such a person
    can't be told from the refusal or its time.

    Args:
        call: What is done here, at the tenant or the platform.
        realm: Whose sign-in they have.
        name: As it was typed.
        password: As it was typed.
        code: As it was typed.

    Raises:
        errors.PersonRequired: They don't belong together, or to nobody who is let in.
        errors.RateLimited: There were too many attempts.
    """
    desk = Desk(call, realm)
    known = rules.login_name(name)
    # An attempt that nobody could look at isn't counted.
    await desk.have_secrets()
    user, attempt = await _begin(desk, known)
    kept = user.password_hash if user is not None and user.is_let_in else None
    right = await desk.people.passwords.verify(password, kept)
    async with desk.tx() as tx:
        # The code is looked at whatever came of the password, and counted with it.
        used = await factors.use_code(desk, tx, user if right else None, code, recovery=False)
        if user is not None and used is not None:
            await attempts.forget(desk, tx, user)
    if user is None or used is None:
        await _fail(desk, user, attempt)
    scopes = scopes_of(user.login_realm, user.roles)
    return Identified(user_id=user.id, actor=user_id_of(user.id), scopes=scopes)


async def _begin(desk: Desk, name: str | None) -> tuple[UserRow | None, Attempt]:
    try:
        async with desk.tx() as tx:
            user = None if name is None else await queries.find_by_name(tx, desk.realm, name)
            return user, await attempts.begin(desk, tx, desk.account("password", name or ""), None)
    except Blocked as blocked:
        sentence = "there were too many wrong attempts"
        wait = _DAY if blocked.wait is None else blocked.wait
        raise errors.RateLimited(sentence, retry_after_s=int(wait.total_seconds()) + 1) from None


async def _fail(desk: Desk, user: UserRow | None, attempt: Attempt) -> NoReturn:
    """Record a failure as the pages do, and refuse."""
    async with desk.tx() as tx:
        if user is None:
            await audit.record(tx, audit.new_record(desk.caller(), "user.sign_in_failed", "nobody"))
        else:
            facts: dict[str, str | int | list[str]] = {"step": "command line"}
            await tell(tx, desk.caller(), "user.sign_in_failed", user, facts=facts)
            if attempt.locks:
                await tell(tx, desk.caller(), events.USER_LOCKED, user, facts=facts)
    raise errors.PersonRequired(_SENTENCE)
