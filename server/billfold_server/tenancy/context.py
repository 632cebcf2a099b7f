"""Who is asking, and for which tenant: the two things that every service is told."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold.contract.platform import TenantState
from billfold.contract.versions import LATEST
from billfold.errors import ProblemError
from billfold_server.tenancy.manifest import Manifest

__all__ = ["COMMAND_LINE", "SYSTEM", "WITH_SCHEMA", "Agreed", "Caller", "IdempotencyRef", "OneUse", "Own", "TenantRef"]

WITH_SCHEMA: Final = frozenset({TenantState.ACTIVE, TenantState.SUSPENDED})
"""In which states a tenant has all of its roles, schema and tables."""


class TenantRef(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as the registry knew it when the request came in.

    Attributes:
        id: The tenant's id; the names of its roles and schema are made of it, not of the slug.
        slug: The tenant's name in addresses.
        schema: Its PostgreSQL schema.
        runtime_role: The role that may read and write its rows.
        owner_role: The role that owns its tables.
        state: ``active``, ``suspended`` and so on (``contract.platform.TenantState``).
        manifest: The tenant as data.
        revision: Counts up whenever the registry's row changes; caches compare it.
        owner_id: The tenant whose partner's sandbox it is, where it is one.
        is_behind: Whether its schema lacks a migration of this version.
    """

    id: UUID
    slug: str
    schema: str
    runtime_role: str
    owner_role: str
    state: str
    manifest: Manifest
    revision: int
    owner_id: UUID | None = None
    is_behind: bool = False


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """What is a customer's own, beyond which no client may look in their name.

    Attributes:
        party_id: The party that they are.
        balances_of: Those of its wallets of which balances may be seen; None is all of them.
        entries_of: Those of which may be seen what has happened; None is all of them.
    """

    party_id: UUID
    balances_of: frozenset[UUID] | None = None
    entries_of: frozenset[UUID] | None = None

    def has_wallet(self, wallet_id: UUID, party_id: UUID, *, entries: bool = False) -> bool:
        """Tell whether a party's wallet is among those of which balances, or entries, may be seen."""
        chosen = self.entries_of if entries else self.balances_of
        return party_id == self.party_id and (chosen is None or wallet_id in chosen)


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """What a consent of open banking says that doesn't change any more once it was given.

    Whether it stands is another matter, which whoever acts by it reads at that moment.

    Attributes:
        kind: For what it is.
        party_id: Whose it is.
        terms: What else was agreed, as JSON, as it was at most a second ago: those of a single payment never change.
        seen: All of it as it stood then, without what was asked for. Who acts on that must see, when they write, that
            it's the same still; None where it didn't stand.
    """

    kind: str
    party_id: UUID
    terms: bytes
    seen: Any = None


class OneUse(msgspec.Struct, eq=False):
    """What a request has shown that counts once, and that nobody has remembered yet.

    Attributes:
        digest: By which it is known.
        late_at: From when on it counts no more, whoever has it: what it was shown for has taken too long, and who had
            shown it before may be forgotten soon.
        expires_at: Until when it is remembered.
        refusal: Makes what is answered where it was shown before, or comes too late.
        taken: Whether somebody has undertaken to remember it.
        settled: Whether it is remembered, or was by another.
    """

    digest: bytes
    late_at: datetime
    expires_at: datetime
    refusal: Callable[[], ProblemError]
    taken: bool = False
    settled: bool = False


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is acting.

    Attributes:
        actor: How the audit names it: ``cli_…`` for an API client, ``operator:…``, ``job:…`` or ``system``.
        client_id: The API client, to which idempotency keys and rate limits belong; the nil UUID for jobs and the CLI.
        request_id: The request in which it acts, ``req_…``, where there is one.
        scopes: What its access token allows.
        user_id: The user for whom the client acts, where one has allowed it something.
        grant_id: What that user has allowed; ``Call.tx()`` sees that it still stands.
        token_digest: By which its access token would be revoked; ``Call.tx()`` sees that it wasn't.
        consent_id: By which consent of open banking, where it was allowed so; ``consents.service.use`` reads it.
        agreed: What that consent says for good.
        api_version: Which version of the contract it keeps to, unless a request asks for another.
        own: What is that user's own, where it is a customer; staff works with everybody's, as far as its roles allow.
        partner_id: The partner organisation for which it acts: API clients, webhook endpoints, members and requests of
            others aren't there for it.
        shown: What the request has shown that counts once, where its command is to be carried out only with that.
    """

    actor: str
    client_id: UUID
    request_id: str | None = None
    scopes: frozenset[str] = frozenset()
    user_id: UUID | None = None
    grant_id: UUID | None = None
    token_digest: bytes | None = None
    consent_id: UUID | None = None
    agreed: Agreed | None = None
    own: Own | None = None
    api_version: str = LATEST
    partner_id: UUID | None = None
    shown: OneUse | None = None

    def is_of(self, partner_id: UUID | None) -> bool:
        """Tell whether what belongs to a partner, or (None) to the tenant itself, is there for who is acting."""
        return self.partner_id is None or self.partner_id == partner_id


SYSTEM: Final = Caller(actor="system", client_id=UUID(int=0))
"""The server itself, where nobody has asked."""

COMMAND_LINE: Final = Caller(actor="operator:command line", client_id=UUID(int=0))
"""Whoever may run commands on the server's machine."""


class IdempotencyRef(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Under which key a request may be repeated.

    Attributes:
        client_id: The client to which the key belongs.
        key: The text of ``Idempotency-Key``.
        fingerprint: Keyed digest of method, path and body; another one under the same key is refused.
    """

    client_id: UUID
    key: str
    fingerprint: bytes
