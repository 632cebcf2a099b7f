"""Which client it is that asks: the one way by which it is registered, and no other (RFC 6749, section 2.3).

The answer is the same whether a client doesn't exist, is disabled, is registered for another way or shows something
wrong; and so is the effort.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from billfold import ids
from billfold.clock import Clock
from billfold.ids import Prefix
from billfold_server.identity.clients import client_secret, rows
from billfold_server.identity.clients.rows import Client, Kept
from billfold_server.identity.profiles import ClientAuthentication
from billfold_server.identity.realms import Realm
from billfold_server.identity.rules import OAuthRefusal
from billfold_server.keys.service import Keyring
from billfold_server.tenancy.transaction import Database

__all__ = ["Evidence", "Parts", "authenticate"]

_NOBODY: Final = UUID(int=0)


class Parts(Protocol):
    """What authentication works with; ``http.services.Services`` has it."""

    database: Database
    keyring: Keyring
    clock: Clock


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a request brings by which a client can prove who it is.

    Attributes:
        form: Its parameters.
        authorization: Its ``Authorization`` header.
        certificate: The client's TLS certificate as DER, where there is one.
    """

    form: Mapping[str, str]
    authorization: str | None = None
    certificate: bytes | None = None


def _refusal(*, basic: bool = False) -> OAuthRefusal:
    return OAuthRefusal("invalid_client", "the client isn't authenticated", basic=basic)


async def authenticate(parts: Parts, realm: Realm, evidence: Evidence) -> Client:
    """Return the client that the evidence proves.

    Raises:
        OAuthRefusal: ``invalid_client``: none is proven. ``invalid_request``: two ways at once.
    """
    form, authorization = evidence.form, evidence.authorization
    if authorization is not None:
        if "client_secret" in form:
            raise OAuthRefusal("invalid_request", "the client authenticates in two ways at once")
        shown = client_secret.read_basic(authorization, form)
        return await _by_secret(parts, realm, shown, "client_secret_basic")
    if "client_id" not in form or "client_secret" not in form:
        raise OAuthRefusal("invalid_client", "the client must authenticate")
    shown = client_secret.Shown(form["client_id"], form["client_secret"])
    return await _by_secret(parts, realm, shown, "client_secret_post")


async def _by_secret(parts: Parts, realm: Realm, shown: client_secret.Shown, way: ClientAuthentication) -> Client:
    try:
        client_id = ids.decode(Prefix.CLIENT, shown.client_id)
    except ids.InvalidIdError:
        client_id = _NOBODY
    async with transaction(parts, realm) as tx:
        found = await rows.find_client(tx, client_id)
    kept = Kept() if found is None else found.kept
    digest = client_secret.digest(parts.keyring, client_id, shown.secret)
    proven = client_secret.matches(digest, kept, parts.clock.now())
    if found is None or not proven or found.client.state != "active":
        raise _refusal(basic=way == "client_secret_basic")
    return found.client


def transaction(parts: Parts, realm: Realm) -> AbstractAsyncContextManager[Any]:
    """Open a transaction of a realm."""
    return parts.database.platform_tx() if realm.tenant is None else parts.database.tx(realm.tenant)
