"""The SQL of people. The same tables are in each tenant's schema and in the platform's."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from billfold_server.db.filters import Filter
from billfold_server.db.personal import counted
from billfold_server.db.row_locks import lock_rows
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = ["FOR_GOOD", "OWN_DEVICES", "STRANGERS", "FactorRow", "SessionRow", "UserRow"]

STRANGERS: Final = bytes(32)
OWN_DEVICES: Final = bytes([1]) * 32
FOR_GOOD: Final = datetime.max.replace(microsecond=0, tzinfo=UTC)
"""Until when no attempt is taken where only the bank, or who gets in by another way, can end it."""
TOTALS: Final = (STRANGERS, OWN_DEVICES)
"""Under which sources failures are summed up over all places, which no digest of a place can be but by chance."""


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who signs in.

    Attributes:
        roles: What a member of staff does; or a partner's member, who has one role.
        partner_id: The partner organisation whose member they are.
        suspended: Whether that is suspended, as it was when this was read.
        partner_scopes: What its API clients may be allowed at most, as that was then.
    """

    id: UUID
    login_realm: str
    login_name: str
    display_name: str
    party_id: UUID | None
    language: str | None
    roles: list[str]
    state: str
    handle: bytes
    password_hash: str | None
    password_changed_at: datetime | None
    last_sign_in_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    partner_id: UUID | None = None
    suspended: bool = False
    partner_scopes: list[str] | None = None

    @property
    def is_let_in(self) -> bool:
        """Tell whether they may sign in, and what they have allowed counts."""
        return self.state == "active" and not self.suspended

    @property
    def is_removed(self) -> bool:
        """Tell whether nothing is left of them but their id."""
        return self.login_name == f"forgotten:{self.id}"

    def __repr__(self) -> str:
        return f"UserRow(id={self.id!s}, state={self.state!r})"


class FactorRow(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody proves it by, beside a password."""

    id: UUID
    user_id: UUID
    kind: str
    label: str
    state: str
    sealed_secret: bytes | None
    last_step: int | None
    credential_id: bytes | None
    public_key: bytes | None
    sign_count: int | None
    rp_id: str | None
    transports: list[str] | None
    backed_up: bool | None
    good_from: datetime
    created_at: datetime
    last_used_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        """Tell whether it proves anything: it isn't suspended, and doesn't wait any more."""
        return self.state == "active" and now >= self.good_from

    def __repr__(self) -> str:
        return f"FactorRow(id={self.id!s}, kind={self.kind!r})"


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session; of its cookie there is only a digest."""

    id: UUID
    digest: bytes
    user_id: UUID
    stage: str
    amr: list[str]
    acr: str
    factor_ids: list[UUID]
    new_password_hash: str | None
    auth_time: datetime
    confirmed_at: datetime | None
    last_seen_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    device: str
    created_at: datetime

    def __repr__(self) -> str:
        return f"SessionRow(id={self.id!s}, stage={self.stage!r})"


_OF_ALL = tuple(name for name in UserRow.__struct_fields__ if name not in {"partner_id", "suspended", "partner_scopes"})
_OPERATOR = ", ".join(_OF_ALL)
# One place says whether a partner is let in: its own row, which is read with each of its members.
_SUSPENDED = "(SELECT p.state FROM partners AS p WHERE p.id = users.partner_id) IS NOT DISTINCT FROM 'suspended'"
_USER = f"""{_OPERATOR}, partner_id, {_SUSPENDED} AS suspended,
    (SELECT p.client_scopes FROM partners AS p WHERE p.id = users.partner_id) AS partner_scopes"""  # noqa: S608 - constants
_STANDINGS_OF_OPERATORS = """
SELECT id AS person_id, state AS person_state, login_realm AS person_login_realm, roles AS person_roles,
    party_id AS person_party_id
FROM users
"""
_STANDINGS = _STANDINGS_OF_OPERATORS.replace(
    "FROM users",
    f""", partner_id AS person_partner_id, {_SUSPENDED} AS person_suspended,
    (SELECT p.client_scopes FROM partners AS p WHERE p.id = users.partner_id) AS person_partner_scopes
FROM users""",  # noqa: S608 - constants
)
_FACTOR = ", ".join(FactorRow.__struct_fields__)
_SESSION = ", ".join(SessionRow.__struct_fields__)


def _places(row: type[msgspec.Struct]) -> str:
    return ", ".join(f"${number}" for number in range(1, len(row.__struct_fields__) + 1))


# Users. The platform has no partners.


def _user(tx: Tx) -> str:
    return _USER if isinstance(tx, TenantTx) else _OPERATOR


async def insert_user(tx: Tx, row: UserRow) -> None:
    """Write a new user.

    Raises:
        asyncpg.UniqueViolationError: The realm has the login name already.
    """
    names = (*_OF_ALL, "partner_id") if isinstance(tx, TenantTx) else _OF_ALL
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    sql = f"INSERT INTO users ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - constants
    await tx.execute(sql, *(getattr(row, name) for name in names))


async def find_user(tx: Tx, user_id: UUID) -> UserRow | None:
    """Return a user, or None."""
    row = await tx.fetchrow(f"SELECT {_user(tx)} FROM users WHERE id = $1", user_id)  # noqa: S608 - constants
    return None if row is None else UserRow(**dict(row))


def standings_sql(tx: Tx) -> str:
    """Return the query of what decides what users may do, with columns named ``person_…``."""
    return _STANDINGS if isinstance(tx, TenantTx) else _STANDINGS_OF_OPERATORS


async def lock_user(tx: Tx, user_id: UUID) -> UserRow | None:
    """Return a user whose row nobody else may change meanwhile, or None."""
    row = await tx.fetchrow(f"SELECT {_user(tx)} FROM users WHERE id = $1 FOR UPDATE", user_id)  # noqa: S608 - constants
    return None if row is None else UserRow(**dict(row))


async def lock_users(tx: Tx, user_ids: Collection[UUID], *, staying: Collection[UUID]) -> list[UserRow]:
    """Return users whose rows nobody else changes until the transaction ends, as far as there are such.

    Args:
        tx: An open transaction.
        user_ids: Those that are to change.
        staying: Those that only have to stay as they are.
    """
    sql = f"SELECT {_user(tx)} FROM users WHERE id = $1"  # noqa: S608 - constants
    return [UserRow(**dict(row)) for row in await lock_rows(tx, sql, user_ids, staying=staying)]


async def find_by_name(tx: Tx, login_realm: str, login_name: str) -> UserRow | None:
    """Return the user of a realm who signs in by this name, or None."""
    sql = f"SELECT {_user(tx)} FROM users WHERE login_realm = $1 AND login_name = $2"  # noqa: S608 - constants
    row = await tx.fetchrow(sql, login_realm, login_name)
    return None if row is None else UserRow(**dict(row))


async def list_users(
    tx: Tx,
    *,
    login_realm: str | None,
    state: str | None,
    party_id: UUID | None,
    login_name: str | None,
    before: UUID | None,
    limit: int,
) -> list[UserRow]:
    """Return users that meet all conditions given, the newest first."""
    where = Filter()
    where.add_word("login_realm", login_realm)
    where.add_word("state", state)
    where.add("party_id = $", party_id)
    where.add("login_name = $", login_name)
    where.add("id < $", before)
    sql = f"SELECT {_user(tx)} FROM users WHERE {where} ORDER BY id DESC LIMIT {limit:d}"  # noqa: S608 - constants
    return [UserRow(**dict(row)) for row in await tx.fetch(sql, *where.values)]


async def list_members(tx: Tx, partner_id: UUID, *, before: UUID | None, limit: int) -> list[UserRow]:
    """Return the users who are a partner's members and weren't removed, the newest first."""
    sql = f"""
        SELECT {_USER} FROM users
        WHERE partner_id = $1 AND login_name <> 'forgotten:' || id::text AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC LIMIT $3
    """  # noqa: S608 - constants
    return [UserRow(**dict(row)) for row in await tx.fetch(sql, partner_id, before, limit)]


async def count_members(tx: Tx, partner_id: UUID) -> int:
    """Return how many users are a partner's members and weren't removed."""
    sql = "SELECT count(*) FROM users WHERE partner_id = $1 AND login_name <> 'forgotten:' || id::text"
    return int(await tx.fetchval(sql, partner_id))


async def set_state(tx: Tx, user_id: UUID, state: str, now: datetime) -> None:
    """Change a user's state."""
    sql = "UPDATE users SET state = $2, version = version + 1, updated_at = $3 WHERE id = $1"
    await tx.execute(sql, user_id, state, now)


async def set_roles(tx: Tx, user_id: UUID, roles: Sequence[str], now: datetime) -> None:
    """Change a user's roles."""
    sql = "UPDATE users SET roles = $2, version = version + 1, updated_at = $3 WHERE id = $1"
    await tx.execute(sql, user_id, roles, now)


async def list_users_of(tx: Tx, party_id: UUID) -> list[UUID]:
    """Return the ids of the users that a party is."""
    return [row["id"] for row in await tx.fetch("SELECT id FROM users WHERE party_id = $1 ORDER BY id", party_id)]


async def erase_users(tx: Tx, user_ids: Sequence[UUID], handles: Sequence[bytes], now: datetime) -> int:
    """Leave of users what the audit needs, so that nobody signs in as them again, and return how many there were.

    Args:
        tx: A transaction.
        user_ids: Who.
        handles: A new random handle for each, by which no passkey knows them.
        now: The real time.
    """
    sql = """
        UPDATE users AS u SET login_name = 'forgotten:' || u.id::text, display_name = '-', language = NULL,
            state = 'disabled', handle = n.handle, password_hash = NULL, password_changed_at = NULL,
            last_sign_in_at = NULL, version = u.version + 1, updated_at = $3
        FROM unnest($1::uuid[], $2::bytea[]) AS n (id, handle) WHERE u.id = n.id
    """
    return int((await tx.execute(sql, user_ids, handles, now)).rpartition(" ")[2])


# In this order, because these rows name users.
_THEIRS: Final = ("factors", "recovery_codes", "sessions", "enrolment_codes")
_BLANK_CHALLENGES: Final = """
UPDATE sca_challenges SET payee = NULL, terms = NULL, evidence = NULL
WHERE user_id = ANY($1) AND (payee IS NOT NULL OR terms IS NOT NULL OR evidence IS NOT NULL)
"""


async def forget_users(tx: Tx, user_ids: Sequence[UUID], handles: Sequence[bytes], now: datetime) -> dict[str, int]:
    """Sign users of a tenant out for good and forget who they were; return how many rows that was of each table.

    Args:
        tx: A tenant's transaction.
        user_ids: Who.
        handles: A new random handle for each.
        now: The real time.
    """
    users, forgotten = list(user_ids), {}
    for table in _THEIRS:
        done = await tx.execute(f"DELETE FROM {table} WHERE user_id = ANY($1)", users)  # noqa: S608 - constants
        forgotten[table] = counted(done)
    forgotten["sca_challenges"] = counted(await tx.execute(_BLANK_CHALLENGES, users))
    return forgotten | {"users": await erase_users(tx, users, handles, now)}


async def set_password(tx: Tx, user_id: UUID, password_hash: str, now: datetime) -> None:
    """Keep a new password's hash."""
    sql = """
        UPDATE users SET password_hash = $2, password_changed_at = $3, version = version + 1, updated_at = $3
        WHERE id = $1
    """
    await tx.execute(sql, user_id, password_hash, now)


async def set_signed_in(tx: Tx, user_id: UUID, now: datetime) -> None:
    """Note when somebody signed in."""
    await tx.execute("UPDATE users SET last_sign_in_at = $2 WHERE id = $1", user_id, now)


# Factors and recovery codes.


async def list_factors(tx: Tx, user_id: UUID, *, lock: bool = False) -> list[FactorRow]:
    """Return a user's factors, oldest first."""
    sql = f"SELECT {_FACTOR} FROM factors WHERE user_id = $1 ORDER BY id{' FOR UPDATE' if lock else ''}"  # noqa: S608
    return [FactorRow(**dict(row)) for row in await tx.fetch(sql, user_id)]


async def kinds_of_factors(tx: Tx, user_ids: Sequence[UUID], now: datetime) -> dict[UUID, list[str]]:
    """Return which kinds of factor users have that are good by now."""
    sql = """
        SELECT user_id, kind FROM factors WHERE user_id = ANY($1) AND state = 'active' AND good_from <= $2 ORDER BY id
    """
    kinds: dict[UUID, list[str]] = {}
    for row in await tx.fetch(sql, user_ids, now):
        kinds.setdefault(row["user_id"], []).append(row["kind"])
    return kinds


async def find_owner_of_passkey(tx: Tx, credential_id: bytes) -> UUID | None:
    """Return whose the passkey of this credential is, or None; the user is locked before it."""
    found: UUID | None = await tx.fetchval("SELECT user_id FROM factors WHERE credential_id = $1", credential_id)
    return found


async def lock_passkey(tx: Tx, credential_id: bytes) -> FactorRow | None:
    """Return the passkey of this credential, or None."""
    sql = f"SELECT {_FACTOR} FROM factors WHERE credential_id = $1 FOR UPDATE"  # noqa: S608 - constants
    row = await tx.fetchrow(sql, credential_id)
    return None if row is None else FactorRow(**dict(row))


async def insert_factor(tx: Tx, row: FactorRow) -> None:
    """Write a new factor.

    Raises:
        asyncpg.UniqueViolationError: The credential is registered already.
    """
    await tx.execute(
        f"INSERT INTO factors ({_FACTOR}) VALUES ({_places(FactorRow)})",  # noqa: S608 - constants
        *msgspec.structs.astuple(row),
    )


async def use_totp(tx: Tx, factor_id: UUID, step: int, now: datetime) -> bool:
    """Spend a time step of a TOTP secret, and tell whether it was unspent."""
    sql = "UPDATE factors SET last_step = $2, last_used_at = $3 WHERE id = $1 AND last_step < $2"
    return await tx.execute(sql, factor_id, step, now) == "UPDATE 1"


async def use_passkey(tx: Tx, factor_id: UUID, sign_count: int, now: datetime, *, backed_up: bool) -> None:
    """Note what a passkey said of itself when it was used."""
    sql = "UPDATE factors SET sign_count = $2, backed_up = $3, last_used_at = $4 WHERE id = $1"
    await tx.execute(sql, factor_id, sign_count, backed_up, now)


async def suspend_factor(tx: Tx, factor_id: UUID) -> None:
    """Let a factor prove nothing any more."""
    await tx.execute("UPDATE factors SET state = 'suspended' WHERE id = $1", factor_id)


async def delete_factor(tx: Tx, user_id: UUID, factor_id: UUID) -> FactorRow | None:
    """Remove a factor of a user, and return what it was."""
    sql = f"DELETE FROM factors WHERE id = $1 AND user_id = $2 RETURNING {_FACTOR}"  # noqa: S608 - constants
    row = await tx.fetchrow(sql, factor_id, user_id)
    return None if row is None else FactorRow(**dict(row))


async def replace_recovery_codes(tx: Tx, user_id: UUID, digests: Sequence[bytes], now: datetime) -> None:
    """Keep new recovery codes in place of all others."""
    await tx.execute("DELETE FROM recovery_codes WHERE user_id = $1", user_id)
    sql = "INSERT INTO recovery_codes (user_id, digest, created_at) SELECT $1, d, $3 FROM unnest($2::bytea[]) AS d"
    await tx.execute(sql, user_id, digests, now)


async def use_recovery_code(tx: Tx, user_id: UUID, digest: bytes, now: datetime) -> bool:
    """Spend a recovery code, and tell whether it was there and unspent."""
    sql = "UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND digest = $2 AND used_at IS NULL"
    return await tx.execute(sql, user_id, digest, now) == "UPDATE 1"


async def count_recovery_codes(tx: Tx, user_id: UUID) -> int:
    """Return how many recovery codes are left."""
    return int(await tx.fetchval("SELECT count(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL", user_id))


# Sessions.


async def insert_session(tx: Tx, row: SessionRow) -> None:
    """Write a new session."""
    await tx.execute(
        f"INSERT INTO sessions ({_SESSION}) VALUES ({_places(SessionRow)})",  # noqa: S608 - constants
        *msgspec.structs.astuple(row),
    )


async def find_session(tx: Tx, digest: bytes) -> tuple[SessionRow, UserRow] | None:
    """Return the session of a cookie that hasn't been ended, with its user, or None."""
    session = await tx.fetchrow(
        f"SELECT {_SESSION} FROM sessions WHERE digest = $1 AND ended_at IS NULL",  # noqa: S608 - constants
        digest,
    )
    user = None if session is None else await find_user(tx, session["user_id"])
    return None if session is None or user is None else (SessionRow(**dict(session)), user)


async def is_session_open(tx: Tx, session_id: UUID, *, hold: bool) -> bool:
    """Tell whether a session is open: at this moment, or, held, until the transaction ends."""
    sql = f"SELECT true FROM sessions WHERE id = $1 AND ended_at IS NULL{' FOR UPDATE' if hold else ''}"  # noqa: S608
    return await tx.fetchval(sql, session_id) is not None


async def list_sessions(tx: Tx, user_id: UUID, now: datetime) -> list[SessionRow]:
    """Return a user's sessions that haven't ended, the newest first."""
    sql = f"""
        SELECT {_SESSION} FROM sessions
        WHERE user_id = $1 AND ended_at IS NULL AND ends_at > $2 AND stage = 'signed_in' ORDER BY id DESC
    """  # noqa: S608 - constants
    return [SessionRow(**dict(row)) for row in await tx.fetch(sql, user_id, now)]


async def see_session(tx: Tx, session_id: UUID, now: datetime) -> None:
    """Note a session's last request, unless another one has the session: that one is noted, or ends it."""
    sql = """
        UPDATE sessions SET last_seen_at = $2
        WHERE id = (SELECT id FROM sessions WHERE id = $1 AND last_seen_at < $2 FOR NO KEY UPDATE SKIP LOCKED)
    """
    await tx.execute(sql, session_id, now)


async def elevate_session(
    tx: Tx,
    session_id: UUID,
    digest: bytes,
    *,
    amr: Sequence[str],
    acr: str,
    factor_ids: Sequence[UUID],
    ends_at: datetime,
    now: datetime,
) -> None:
    """Give a session another cookie and more that it may; whoever has enrolled is signed in from now on."""
    sql = """
        UPDATE sessions SET digest = $2, stage = 'signed_in', amr = $3, acr = $4, factor_ids = $5, ends_at = $6,
            confirmed_at = $7, last_seen_at = $7, new_password_hash = NULL,
            auth_time = CASE WHEN stage = 'enrolling' THEN $7 ELSE auth_time END
        WHERE id = $1 AND ended_at IS NULL
    """
    await tx.execute(sql, session_id, digest, amr, acr, factor_ids, ends_at, now)


async def keep_new_password(tx: Tx, session_id: UUID, password_hash: str) -> None:
    """Keep the password that somebody who enrols has chosen, with the session until they have finished."""
    sql = "UPDATE sessions SET amr = '{pwd}', new_password_hash = $2 WHERE id = $1 AND stage = 'enrolling'"
    await tx.execute(sql, session_id, password_hash)


async def find_new_password(tx: Tx, session_id: UUID) -> str | None:
    """Return the password's hash that somebody who enrols has chosen, or None."""
    sql = "SELECT new_password_hash FROM sessions WHERE id = $1 AND ended_at IS NULL AND stage = 'enrolling' FOR UPDATE"
    found: str | None = await tx.fetchval(sql, session_id)
    return found


async def end_session(tx: Tx, user_id: UUID, session_id: UUID, reason: str, now: datetime) -> bool:
    """End a session of a user, and tell whether it was open."""
    sql = "UPDATE sessions SET ended_at = $4, end_reason = $3 WHERE id = $2 AND user_id = $1 AND ended_at IS NULL"
    return await tx.execute(sql, user_id, session_id, reason, now) == "UPDATE 1"


async def end_sessions(tx: Tx, user_id: UUID, reason: str, now: datetime, *, but: UUID | None = None) -> int:
    """End all sessions of a user, or all but one, and return how many were open."""
    sql = """
        UPDATE sessions SET ended_at = $3, end_reason = $2
        WHERE user_id = $1 AND ended_at IS NULL AND ($4::uuid IS NULL OR id <> $4)
    """
    return int((await tx.execute(sql, user_id, reason, now, but)).rpartition(" ")[2])


async def end_sessions_of_factor(tx: Tx, user_id: UUID, factor_id: UUID, reason: str, now: datetime) -> int:
    """End all sessions of a user that rest on a factor, and return how many were open."""
    sql = """
        UPDATE sessions SET ended_at = $4, end_reason = $3
        WHERE user_id = $1 AND ended_at IS NULL AND $2 = ANY(factor_ids)
    """
    return int((await tx.execute(sql, user_id, factor_id, reason, now)).rpartition(" ")[2])


async def end_enrolments(tx: Tx, user_id: UUID, now: datetime) -> None:
    """End what a user has begun by an earlier enrolment code."""
    sql = """
        UPDATE sessions SET ended_at = $2, end_reason = 'another code was made'
        WHERE user_id = $1 AND ended_at IS NULL AND stage = 'enrolling'
    """
    await tx.execute(sql, user_id, now)


# Enrolment codes, what may be used once, and what has expired.


async def insert_enrolment_code(
    tx: Tx, code_id: UUID, user_id: UUID, digest: bytes, *, now: datetime, expires_at: datetime
) -> None:
    """Keep a new enrolment code in place of earlier ones."""
    await delete_enrolment_codes(tx, user_id)
    sql = "INSERT INTO enrolment_codes (id, user_id, digest, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)"
    await tx.execute(sql, code_id, user_id, digest, now, expires_at)


async def delete_enrolment_codes(tx: Tx, user_id: UUID) -> None:
    """End what somebody could still begin anew with."""
    await tx.execute("DELETE FROM enrolment_codes WHERE user_id = $1 AND used_at IS NULL", user_id)


async def find_owner_of_enrolment_code(tx: Tx, digest: bytes) -> UUID | None:
    """Return whose an enrolment code is, or None; the user is locked before it."""
    found: UUID | None = await tx.fetchval("SELECT user_id FROM enrolment_codes WHERE digest = $1", digest)
    return found


async def lock_enrolment_code(tx: Tx, digest: bytes, now: datetime) -> UUID | None:
    """Return whose an enrolment code is, and keep others from spending it; None if there is none that is good."""
    sql = """
        SELECT user_id FROM enrolment_codes WHERE digest = $1 AND used_at IS NULL AND expires_at > $2
        FOR NO KEY UPDATE
    """
    found: UUID | None = await tx.fetchval(sql, digest, now)
    return found


async def spend_enrolment_code(tx: Tx, digest: bytes, now: datetime) -> None:
    """Spend an enrolment code."""
    await tx.execute("UPDATE enrolment_codes SET used_at = $2 WHERE digest = $1", digest, now)


async def spend(tx: Tx, digest: bytes, expires_at: datetime) -> bool:
    """Note that something has been used, and tell whether this was the first time."""
    sql = "INSERT INTO spent_challenges (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    return await tx.execute(sql, digest, expires_at) == "INSERT 0 1"


async def give_back(tx: Tx, digest: bytes) -> None:
    """Take it that something hasn't been used yet."""
    await tx.execute("DELETE FROM spent_challenges WHERE digest = $1", digest)


async def sweep(
    tx: Tx, *, now: datetime, sessions_before: datetime, failures_before: datetime, totals_before: datetime
) -> None:
    """Forget what has expired."""
    await tx.execute("DELETE FROM spent_challenges WHERE expires_at < $1", now)
    # Where failures end for good, an end that passes by itself would be none.
    sql = """
        DELETE FROM sign_in_failures
        WHERE last_at < $1 AND (source <> ALL($2) OR last_at < $3) AND blocked_until IS DISTINCT FROM $4::timestamptz
    """
    await tx.execute(sql, failures_before, TOTALS, totals_before, FOR_GOOD)
    await tx.execute("DELETE FROM sessions WHERE ends_at < $1", sessions_before)
    await tx.execute("DELETE FROM enrolment_codes WHERE expires_at < $1", sessions_before)
