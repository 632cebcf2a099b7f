"""The vault over HTTP."""

import functools
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from billfold import errors, ids
from billfold.contract.common import FingerprintId, Page, PartyId, VaultTokenId
from billfold.contract.tokens import (
    CreateVaultToken,
    CreateVaultTokens,
    Detokenize,
    DetokenizedVaultTokens,
    EncryptionKeys,
    SearchVaultTokens,
    UpdateVaultToken,
    VaultToken,
    VaultTokenCreated,
    VaultTokenKind,
    VaultTokenMatches,
    VaultTokenVerdicts,
)
from billfold.ids import Prefix
from billfold_server.http.etags import check_if_match
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.tokens import service

__all__ = ["routes"]

routes = Routes(
    tag="Vault tokens",
    description="Stand-ins for card numbers, bank accounts and personal data, which the vault alone holds.",
)

_KIND = "vault_tokens"
_KEYS_MAX_AGE_S = 300
_Reason = Annotated[
    str, Meta(min_length=3, max_length=500, pattern="^[^\\u0000]*$", description="Why, for the audit. No card data.")
]
_VALUE_REFUSED = (
    errors.FeatureDisabled,
    errors.VaultTokenInvalid,
    errors.BankAccountInvalid,
    errors.PersonalTypeUnknown,
    errors.PersonalValueInvalid,
    errors.JweInvalid,
    errors.EncryptionKeyUnknown,
    errors.EncryptionKeyExpired,
    errors.CardNumberInvalid,
)
_ACCOUNT = {"kind": "bank_account", "bank_account": {"iban": "DE89370400440532013000"}}
_LED_TO = tuple(
    Link(operation_id=name, parameters={"vault_token_id": "$response.body#/id"})
    for name in ("getVaultToken", "updateVaultToken")
)


def _id(token_id: str) -> UUID:
    return ids.decode(Prefix.VAULT_TOKEN, token_id)


@routes.post(
    "/v1/vault-tokens",
    scope="tokens:write",
    hot=True,
    idempotency="optional",
    etag=True,
    location="/v1/vault-tokens/{id}",
    errors=(
        *_VALUE_REFUSED,
        errors.CardBrandUnknown,
        errors.CardCvcInvalid,
        errors.CardExpired,
        errors.CardExpiryInvalid,
        errors.CardHolderInvalid,
        errors.CardDataNotAllowed,
        errors.NotFound,
        errors.SearchLimitReached,
        errors.KeysUnavailable,
    ),
    links=_LED_TO,
    examples={"request": _ACCOUNT},
)
async def create_vault_token(call: Call, body: CreateVaultToken) -> Reply[VaultTokenCreated]:
    """Take a value in, and get a vault token for it.

    A card comes encrypted to one of the tenant's public keys, so that no program on its way sees the number. The token
    is random. Tokens of the same value have the same `fingerprint`; with `dedup` the one that is there already is
    answered, with status 201 as well and `reused` true. That tells whether a value is known, so `dedup` needs the scope
    `tokens:search`, and is counted and recorded as a search.
    """
    return await service.create(call, body)


@routes.post(
    "/v1/vault-tokens/bulk",
    scope="tokens:write",
    hot=True,
    idempotency="optional",
    status=200,
    errors=(errors.SearchLimitReached, errors.KeysUnavailable),
    examples={"request": {"vault_tokens": [_ACCOUNT]}},
)
async def create_vault_tokens(call: Call, body: CreateVaultTokens) -> Reply[VaultTokenVerdicts]:
    """Take many values in, with a verdict for each.

    A value that is refused fails none of its neighbours: it has the problem that it would have had alone, whose `param`
    names a member of the item. The others are written together. Each item with `dedup` is counted as a search; where
    there are too many, or the scope `tokens:search` is missing, the request is refused as a whole.
    """
    return await service.create_many(call, body.vault_tokens)


@routes.get("/v1/vault-tokens", scope="tokens:read")
async def list_vault_tokens(
    call: Call,
    *,
    party_id: PartyId | None = None,
    kind: VaultTokenKind | None = None,
    fingerprint: FingerprintId | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[VaultToken]:
    """List vault tokens, without their values.

    The newest comes first. Conditions narrow the list together; `fingerprint` needs the scope `tokens:search`.
    """
    after = call.cursors.decode(_KIND, cursor)
    async with call.tx() as tx:
        tokens = await service.list_tokens(
            tx,
            call.caller,
            party_id=None if party_id is None else ids.decode(Prefix.PARTY, party_id),
            kind=kind,
            fingerprint_id=None if fingerprint is None else ids.decode(Prefix.FINGERPRINT, fingerprint),
            before=UUID(str(after[0])) if after else None,
            limit=limit + 1,
        )
    page = call.page(_KIND, tokens, limit, key=lambda each: [str(each[0])])
    return Page(data=[token for _, token in page.data], next_cursor=page.next_cursor)


@routes.get(
    "/v1/vault-tokens/{vault_token_id}",
    scope="tokens:read",
    etag=True,
    errors=(errors.NotFound, errors.TokenForgotten),
)
async def get_vault_token(call: Call, vault_token_id: VaultTokenId) -> VaultToken:
    """Show a vault token, without its value."""
    async with call.tx() as tx:
        return await service.get(tx, call.caller, _id(vault_token_id))


@routes.patch(
    "/v1/vault-tokens/{vault_token_id}",
    scope="tokens:write",
    if_match=True,
    etag=True,
    errors=(
        errors.NotFound,
        errors.TokenForgotten,
        errors.VaultTokenExpired,
        errors.VaultTokenInvalid,
        errors.CardDataNotAllowed,
    ),
    examples={"request": {"metadata": {"order": "4711"}}},
)
async def update_vault_token(call: Call, vault_token_id: VaultTokenId, body: UpdateVaultToken) -> VaultToken:
    """Change what is said of a vault token, or when it ends.

    What is absent stays. With `If-Match` it is changed only if nobody has changed it since you read it.
    """
    check = functools.partial(check_if_match, call.if_match)
    async with call.tx() as tx:
        return await service.update(tx, call.caller, _id(vault_token_id), body, check_version=check)


@routes.delete(
    "/v1/vault-tokens/{vault_token_id}",
    scope="tokens:write",
    errors=(errors.NotFound, errors.CardDataNotAllowed),
)
async def delete_vault_token(call: Call, vault_token_id: VaultTokenId, *, reason: _Reason | None = None) -> None:
    """Delete a vault token with its value. Whoever asks for it afterwards hears that there is none."""
    async with call.tx() as tx:
        await service.delete(tx, call.caller, _id(vault_token_id), reason=reason)


@routes.post(
    "/v1/vault-tokens/detokenize",
    scope="tokens:detokenize",
    hot=True,
    status=200,
    errors=(
        errors.PurposeNotAllowed,
        errors.VaultTokenInvalid,
        errors.DetokenizationLimitReached,
        errors.ResponseKeyInvalid,
        errors.CardDataNotAllowed,
        errors.KeysUnavailable,
    ),
)
async def detokenize_vault_tokens(call: Call, body: Detokenize) -> DetokenizedVaultTokens:
    """Get values back, for a purpose that the tenant's manifest allows you, with a verdict for each.

    Who asks, what for and why is written down before anything is opened. A card comes as a JWE to `response_key`, and
    never otherwise. Tokens that aren't there, and those of others, have the same `not_found`.

    The answer isn't kept under any key. If it is lost, ask again; what was good for one use has been used up by then.
    """
    return await service.detokenize(call, body)


@routes.post(
    "/v1/vault-tokens/search",
    scope="tokens:search",
    status=200,
    errors=(*_VALUE_REFUSED, errors.SearchLimitReached, errors.KeysUnavailable),
    examples={"request": _ACCOUNT},
)
async def search_vault_tokens(call: Call, body: SearchVaultTokens) -> VaultTokenMatches:
    """Find the vault tokens of a value that you have.

    A card's number comes encrypted, as if it were taken in. Searches are counted and recorded: whoever may try many
    numbers can find the one behind a token.
    """
    return await service.search(call, body)


@routes.get("/v1/encryption-keys", audience="tenant-public", errors=(errors.KeysUnavailable,))
async def get_encryption_keys(call: Call) -> Reply[EncryptionKeys]:
    """Show the public keys to which cards are encrypted; the first one is the one to use."""
    keys = await service.encryption_keys(call)
    return Reply(body=keys, headers={"Cache-Control": f"public, max-age={_KEYS_MAX_AGE_S}"})
