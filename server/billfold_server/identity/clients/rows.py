"""A registered client, and the SQL of its table, which each tenant's schema and the platform's have.

What is kept of secrets stands beside the client, not in it, so that whoever is handed a client can't show or log them.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.db.row_locks import lock_rows
from billfold_server.identity.profiles import ClientAuthentication, SigningAlgorithm
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = [
    "MOST_EARLIER",
    "Client",
    "ClientState",
    "Kept",
    "LoginRealm",
    "Registered",
    "client_in",
    "client_sql",
    "count_active",
    "delete_clients",
    "find_client",
    "find_clients",
    "find_surplus",
    "insert_client",
    "list_clients",
    "lock_client",
    "lock_clients",
    "narrow_clients",
    "update_client",
]

MOST_EARLIER: Final = 3
"""How many secrets are taken beside the present and the former one, at most."""

LoginRealm = Literal["psu", "staff", "operator"]
"""Whose sign-in it is, as people's pages have them."""

ClientState = Literal["active", "disabled", "deleted"]
"""Whether a client is let in; one that is deleted stays as a row, because audit and consents name it."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A registered client (RFC 7591, section 2).

    Attributes:
        id: The row's id.
        client_id: The same on the wire, ``cli_…``.
        name: For people; what a consent page shows.
        organisation: Who runs it, where a software statement or an operator said so.
        state: Whether it is let in.
        authentication: The one way in which it authenticates.
        scopes: What it may ask for.
        redirect_uris: Where answers may go, compared as exact texts.
        post_logout_redirect_uris: Where a browser may go after sign-out.
        grant_types: By which grants it may ask for tokens.
        response_types: ``code``, where it sends people to sign in.
        jwks: Its public keys, as it registered them.
        tls_subject_dn: Its certificate's subject (RFC 4514), for ``tls_client_auth``; or one of the four that follow.
        tls_san_dns: A DNS name in its certificate.
        tls_san_uri: A URI in its certificate.
        tls_san_ip: An IP address in its certificate.
        tls_san_email: An e-mail address in its certificate.
        request_object_alg: By which algorithm alone its request objects are signed; None is any of its keys'.
        assertion_alg: By which algorithm alone its assertions are signed; None is any of its keys'.
        id_token_alg: By which algorithm ID tokens for it are signed; None is the realm's first.
        authorization_response_alg: The same for JARM.
        introspection_alg: The same for signed introspection.
        dpop_bound: Whether it always binds its tokens by DPoP (RFC 9449, section 5.2).
        certificate_bound: Whether its tokens are bound to its certificate (RFC 8705, section 3.4).
        authorization_details_types: Which types of RFC 9396 it may use.
        contacts: Whom to write to about it.
        client_uri: Its home page.
        policy_uri: What it says about data.
        tos_uri: Its terms.
        organisation_id: Who runs it, as a directory of third parties names them.
        software_id: Which software it is an instance of.
        software_version: Of which version.
        registered_by: ``operator``, ``partner``, ``open`` or the issuer of the software statement by which it came.
        login_realm: Whom it asks to sign in: customers, the bank's staff, or operators of the platform.
        version: Counts its changes.
        created_at: When it was registered.
        updated_at: When it was changed last.
        partner_id: The partner organisation to which it belongs.
        suspended: Whether that is suspended, as it was when this was read.
    """

    id: UUID
    client_id: str
    name: str
    organisation: str | None = None
    state: ClientState = "active"
    authentication: ClientAuthentication
    scopes: list[str]
    redirect_uris: list[str] = []
    post_logout_redirect_uris: list[str] = []
    grant_types: list[str] = []
    response_types: list[str] = []
    jwks: dict[str, Any] | None = None
    tls_subject_dn: str | None = None
    tls_san_dns: str | None = None
    tls_san_uri: str | None = None
    tls_san_ip: str | None = None
    tls_san_email: str | None = None
    request_object_alg: SigningAlgorithm | None = None
    assertion_alg: SigningAlgorithm | None = None
    id_token_alg: SigningAlgorithm | None = None
    authorization_response_alg: SigningAlgorithm | None = None
    introspection_alg: SigningAlgorithm | None = None
    dpop_bound: bool = False
    certificate_bound: bool = False
    authorization_details_types: list[str] = []
    contacts: list[str] = []
    client_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    organisation_id: str | None = None
    software_id: str | None = None
    software_version: str | None = None
    registered_by: str = "operator"
    login_realm: LoginRealm = "psu"
    version: int = 1
    created_at: datetime
    updated_at: datetime
    partner_id: UUID | None = None
    suspended: bool = False

    @property
    def is_let_in(self) -> bool:
        """Tell whether it gets and keeps access."""
        return self.state == "active" and not self.suspended


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Keyed digests of what a client shows.

    Attributes:
        secret_digest: Of its secret, where it has one.
        former_secret_digest: Of the secret before that, while both are taken.
        former_secret_until: Until when the former one is taken.
        earlier_secret_digests: Of those before that, which are taken as well, the newest first.
        earlier_secrets_until: Until when each of these is taken.
        registration_digest: Of its registration access token (RFC 7592), where it has one.
    """

    secret_digest: bytes | None = None
    former_secret_digest: bytes | None = None
    former_secret_until: datetime | None = None
    earlier_secret_digests: Sequence[bytes] = ()
    earlier_secrets_until: Sequence[datetime] = ()
    registration_digest: bytes | None = None

    def __repr__(self) -> str:
        return "Kept(…)"

    def replaced(self, digest: bytes, *, now: datetime, until: datetime) -> "Kept":
        """Return what is kept once the secret is another one.

        A secret that was promised to be taken for some time yet is, for the client may know nothing newer: of a
        rotation whose answer got lost nobody has the secret. But none is taken for longer than is asked for now.

        Args:
            digest: Of the secret from now on.
            now: The real time.
            until: Until when the one before is taken as well.
        """
        ending = [(each, min(end, until)) for each, end in self.ending() if end > now][:MOST_EARLIER]
        return msgspec.structs.replace(
            self,
            secret_digest=digest,
            former_secret_digest=self.secret_digest,
            former_secret_until=until,
            earlier_secret_digests=[each for each, _ in ending],
            earlier_secrets_until=[end for _, end in ending],
        )

    def ending(self) -> list[tuple[bytes, datetime]]:
        """Return the digests of secrets before the present one, the newest first, and until when each is taken.

        That is never longer than the former one is: an older process that replaces a secret, perhaps at once because it
        is known to somebody, doesn't know of those before the former one, and leaves them as they were.
        """
        if self.former_secret_digest is None or self.former_secret_until is None:
            return []
        until = self.former_secret_until
        earlier = zip(self.earlier_secret_digests, self.earlier_secrets_until, strict=True)
        return [(self.former_secret_digest, until), *((digest, min(end, until)) for digest, end in earlier)]


class Registered(msgspec.Struct, frozen=True):
    """A client with what is kept of its secrets.

    Attributes:
        client: The client.
        kept: The digests.
    """

    client: Client
    kept: Kept


_READ_ONLY: Final = frozenset({"client_id", "partner_id", "suspended"})
_OF_CLIENT: Final = tuple(name for name in Client.__struct_fields__ if name not in _READ_ONLY)
_OF_KEPT: Final = Kept.__struct_fields__
_ALL: Final = (*_OF_CLIENT, *_OF_KEPT)
_COLUMNS: Final = ", ".join(_ALL)
_NEVER_CHANGED: Final = frozenset({"id", "created_at", "registered_by", "login_realm"})

# One place says whether a partner is let in: its own row, which is read with each of its clients.
_OF_PARTNER: Final = """partner_id, (
    SELECT p.state FROM partners AS p WHERE p.id = api_clients.partner_id
) IS NOT DISTINCT FROM 'suspended' AS suspended"""
_FIND: Final = "SELECT {columns} FROM api_clients WHERE id = $1"
_FIND_ALL: Final = "SELECT {columns} FROM api_clients WHERE id = ANY($1::uuid[])"
_LIST: Final = """
SELECT {columns} FROM api_clients
WHERE state <> 'deleted' AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2
"""
_LIST_OF_PARTNER: Final = """
SELECT {columns} FROM api_clients
WHERE state <> 'deleted' AND ($1::uuid IS NULL OR id > $1) AND partner_id = $3 ORDER BY id LIMIT $2
"""
# There may be no row yet that whoever counts could take.
_TAKE_TURN: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1::text || ' ' || $2::text, 1703))"
_SURPLUS: Final = """
SELECT id FROM api_clients WHERE state = 'active' AND registered_by = $1 ORDER BY id DESC OFFSET $2 LIMIT 1
"""
_NARROW: Final = """
UPDATE api_clients SET scopes = ARRAY(SELECT s FROM unnest(scopes) AS s WHERE s = ANY($2::text[]) ORDER BY s),
    version = version + 1, updated_at = $3
WHERE partner_id = $1 AND state <> 'deleted' AND NOT scopes <@ $2::text[]
RETURNING id
"""
# Of whatever state: that none is active has been seen before, and if one were, it would go too.
_DELETE_OF_PARTNER: Final = """
UPDATE api_clients SET state = 'deleted', version = version + 1, updated_at = $2
WHERE partner_id = $1 AND state <> 'deleted'
RETURNING id
"""
_UPDATE: Final = (
    "UPDATE api_clients SET "  # noqa: S608 - constants
    + ", ".join(f"{name} = ${at}" for at, name in enumerate(_ALL, start=1) if name not in _NEVER_CHANGED)
    # Every parameter must occur, and those of what never changes say what must still hold.
    + " WHERE "
    + " AND ".join(f"{name} = ${at}" for at, name in enumerate(_ALL, start=1) if name in _NEVER_CHANGED)
)


def _values(registered: Registered) -> list[Any]:
    client = registered.client
    values = [getattr(client, name) for name in _OF_CLIENT]
    values[_OF_CLIENT.index("jwks")] = None if client.jwks is None else msgspec.json.encode(client.jwks).decode()
    return values + [getattr(registered.kept, name) for name in _OF_KEPT]


def _read(row: Any) -> Registered:
    columns = dict(row)
    kept = Kept(**{name: columns.pop(name) for name in _OF_KEPT})
    if columns["jwks"] is not None:
        columns["jwks"] = msgspec.json.decode(columns["jwks"])
    return Registered(Client(client_id=ids.encode(Prefix.CLIENT, columns["id"]), **columns), kept)


def _for(tx: Tx, sql: str) -> str:
    """Return the SQL of a realm: the platform has no partners."""
    return sql.format(columns=f"{_COLUMNS}, {_OF_PARTNER}" if isinstance(tx, TenantTx) else _COLUMNS)


async def insert_client(tx: Tx, registered: Registered) -> None:
    """Write a new client.

    Raises:
        asyncpg.ForeignKeyViolationError: There is no such partner.
    """
    names, values = list(_ALL), _values(registered)
    if isinstance(tx, TenantTx):
        names, values = [*names, "partner_id"], [*values, registered.client.partner_id]
    places = ", ".join(f"${at}" for at in range(1, len(names) + 1))
    await tx.execute(f"INSERT INTO api_clients ({', '.join(names)}) VALUES ({places})", *values)  # noqa: S608 - constants


def client_sql(tx: Tx) -> str:
    """Return the query of the client whose id is ``$1``, for who asks something else with it."""
    return _for(tx, _FIND)


def client_in(row: Any, *beside: str) -> Client:
    """Return the client that a row of ``client_sql`` holds, which has further columns beside."""
    return _read({name: value for name, value in row.items() if name not in beside}).client


async def find_client(tx: Tx, client_id: UUID) -> Registered | None:
    """Return a client, whatever its state, or None."""
    row = await tx.fetchrow(client_sql(tx), client_id)
    return None if row is None else _read(row)


async def find_clients(tx: Tx, client_ids: Sequence[UUID]) -> list[Registered]:
    """Return those of the clients that there are, whatever their state."""
    return [_read(row) for row in await tx.fetch(_for(tx, _FIND_ALL), list(client_ids))]


async def lock_client(tx: Tx, client_id: UUID) -> Registered | None:
    """Return a client that nobody else changes until the transaction ends, or None."""
    row = await tx.fetchrow(f"{_for(tx, _FIND)} FOR UPDATE", client_id)
    return None if row is None else _read(row)


async def lock_clients(tx: Tx, client_ids: Collection[UUID], *, staying: Collection[UUID]) -> dict[UUID, Client]:
    """Return clients that nobody else changes until the transaction ends, as far as there are such, by their ids.

    Args:
        tx: An open transaction.
        client_ids: Those that are to change.
        staying: Those that only have to stay as they are.
    """
    locked = await lock_rows(tx, client_sql(tx), client_ids, staying=staying)
    return {client.id: client for client in map(client_in, locked)}


async def list_clients(
    tx: Tx, *, after: UUID | None = None, limit: int | None = None, partner_id: UUID | None = None
) -> Sequence[Client]:
    """Return the clients that aren't deleted, the oldest first.

    Args:
        tx: An open transaction.
        after: The client after which to go on.
        limit: How many at most; None is all.
        partner_id: Only those of this partner of a tenant.
    """
    if partner_id is not None:
        rows = await tx.fetch(_for(tx, _LIST_OF_PARTNER), after, limit, partner_id)
    else:
        rows = await tx.fetch(_for(tx, _LIST), after, limit)
    return [_read(row).client for row in rows]


async def find_surplus(tx: TenantTx, registered_by: str, most: int) -> UUID | None:
    """Return the active client after the newest ones, of those that somebody has let in; None where there are fewer.

    Until the transaction ends nobody else is told of the same ones.
    """
    await tx.execute(_TAKE_TURN, str(tx.tenant.id), registered_by)
    # Only a later statement sees what whoever had the turn before has added.
    found: UUID | None = await tx.fetchval(_SURPLUS, registered_by, most)
    return found


async def narrow_clients(tx: TenantTx, partner_id: UUID, scopes: Collection[str], now: datetime) -> list[UUID]:
    """Take from a partner's clients what isn't among these scopes, with one statement, and return which have changed.

    Args:
        tx: The tenant's transaction.
        partner_id: Whose clients.
        scopes: What they may still have.
        now: The real time.
    """
    return [row["id"] for row in await tx.fetch(_NARROW, partner_id, sorted(scopes), now)]


async def count_active(tx: TenantTx, partner_id: UUID) -> int:
    """Return how many clients a partner has that aren't disabled."""
    sql = "SELECT count(*) FROM api_clients WHERE partner_id = $1 AND state = 'active'"
    return int(await tx.fetchval(sql, partner_id))


async def delete_clients(tx: TenantTx, partner_id: UUID, now: datetime) -> list[UUID]:
    """Delete a partner's clients, with one statement, and return which there were; ``now`` is the real time."""
    return [row["id"] for row in await tx.fetch(_DELETE_OF_PARTNER, partner_id, now)]


async def update_client(tx: Tx, registered: Registered) -> None:
    """Write what has changed of a client that is locked."""
    await tx.execute(_UPDATE, *_values(registered))
