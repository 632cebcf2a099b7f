"""Clients that register themselves, over HTTP (RFC 7591; RFC 7592).

The requests are JSON of RFC 7591's form, of which members that nobody knows are ignored; so the contract's document,
where everything is closed, doesn't show them. The metadata names the address.
"""

from typing import Any

import msgspec

from billfold.contract.oauth import OAuthError
from billfold_server.http.reading import media_type
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.identity.answers import refused
from billfold_server.identity.clients import registration
from billfold_server.identity.clients.registration import RegistrationTokenInvalid
from billfold_server.identity.rules import OAuthRefusal

__all__ = ["routes"]

routes = Routes(tag="Identity", description="Clients that register themselves.", audience="tenant-public")

_HEADERS = {"Cache-Control": "no-store", "Content-Type": "application/json"}


def _answer(information: dict[str, Any], status: int) -> Reply[bytes]:
    return Reply(body=msgspec.json.encode(information), status=status, headers=_HEADERS)


def _unauthorized(call: Call) -> Reply[bytes]:
    call.services.limits.count_failure(call.peer)
    body = OAuthError(error="invalid_token", error_description="the registration access token isn't valid here")
    challenge = {"WWW-Authenticate": 'Bearer realm="billfold", error="invalid_token"'}
    return Reply(body=msgspec.json.encode(body), status=401, headers=_HEADERS | challenge)


_SIGNED = ("application/jwt", "application/jose")


@routes.post("/oauth/register", surface="oauth", status=201, in_document=False, signed_media_types=_SIGNED)
async def register_client(call: Call, body: dict[str, Any]) -> Reply[bytes]:
    """Register the client that asks for it (RFC 7591), by a request that it may have signed (UK Open Banking)."""
    # Whoever registers is a stranger: each try counts, so that nobody fills the table.
    call.services.limits.check_address(call.peer)
    call.services.limits.count_failure(call.peer)
    realm = call.services.identity.realm(call.tenant)
    # A request that asks for nothing in particular is none that is signed.
    signed = media_type(call.headers.get("content-type")) in _SIGNED
    try:
        return _answer(await registration.register(call, realm, call.body if signed else body), 201)
    except OAuthRefusal as refusal:
        return refused(refusal, realm)


@routes.get("/oauth/register/{client_id}", surface="oauth", in_document=False)
async def get_registration(call: Call, client_id: str) -> Reply[bytes]:
    """Show a client its own registration (RFC 7592, section 2.1)."""
    call.services.limits.check_address(call.peer)
    try:
        return _answer(await registration.read_registration(call, client_id), 200)
    except RegistrationTokenInvalid:
        return _unauthorized(call)


@routes.operation("PUT", "/oauth/register/{client_id}", surface="oauth", in_document=False)
async def update_registration(call: Call, client_id: str, body: dict[str, Any]) -> Reply[bytes]:
    """Replace a client's own registration (RFC 7592, section 2.2)."""
    call.services.limits.check_address(call.peer)
    realm = call.services.identity.realm(call.tenant)
    try:
        return _answer(await registration.update_registration(call, realm, client_id, body), 200)
    except RegistrationTokenInvalid:
        return _unauthorized(call)
    except OAuthRefusal as refusal:
        return refused(refusal, realm)


@routes.delete("/oauth/register/{client_id}", surface="oauth", status=204, in_document=False)
async def delete_registration(call: Call, client_id: str) -> Reply[bytes]:
    """End a client's own registration (RFC 7592, section 2.3)."""
    call.services.limits.check_address(call.peer)
    try:
        await registration.deregister(call, client_id)
    except RegistrationTokenInvalid:
        return _unauthorized(call)
    return Reply(status=204, headers={"Cache-Control": "no-store"})
