# Generated from billfold/client/_async/vault_tokens.py by tests/sdk/generate_sync.py. Change that one instead.

"""Vault tokens: stand-ins for card numbers, bank accounts and personal data."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._sync.resource import Pages, Resource
from billfold.contract.tokens import (
    BankAccount,
    CreateVaultToken,
    DetokenizedVaultTokens,
    EncryptionKeys,
    PersonalValue,
    ResponseKey,
    VaultToken,
    VaultTokenCreated,
    VaultTokenKind,
    VaultTokenMatches,
    VaultTokenVerdicts,
)

__all__ = ["VaultTokens"]

_Kind = VaultTokenKind | Literal["card", "bank_account", "personal"]
_Dedup = Literal["none", "reuse"]


class VaultTokens(Resource):
    """What the vault holds: ``billfold.vault_tokens``."""

    __slots__ = ()

    def create(
        self,
        *,
        kind: _Kind,
        jwe: str | None = None,
        bank_account: BankAccount | None = None,
        personal: PersonalValue | None = None,
        party_id: str | None = None,
        single_use: bool | None = None,
        expires_at: datetime | None = None,
        expires_in_s: int | None = None,
        metadata: Mapping[str, str] | None = None,
        dedup: _Dedup | None = None,
        idempotency_key: str | None = None,
    ) -> VaultTokenCreated:
        """Take a value into the vault, and get a token for it.

        Args:
            kind: ``card``, ``bank_account`` or ``personal``.
            jwe: A card, encrypted to the tenant's key.
            bank_account: An IBAN, or a sort code with an account number.
            personal: A value of a type that the tenant declares.
            party_id: Whom the value is about. Erasing that party erases the value.
            single_use: Whether the token opens once and never again.
            expires_at: When it ends.
            expires_in_s: Or in how many seconds.
            metadata: The caller's own keys and values.
            dedup: ``reuse`` answers with the token that stands for the same value already, where there is one. It needs
                the scope ``tokens:search``, and counts as a search.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.Unprocessable: The value isn't what it is said to be; narrower classes say what is wrong.
            errors.CardDataNotAllowed: The metadata holds what looks like a card's number.
            errors.NotFound: There is no such party.
            errors.InsufficientScope: ``dedup`` is asked for without the scope that it needs.
            errors.SearchLimitReached: ``dedup`` was asked for, or values were searched for, too often.
            errors.KeysUnavailable: The keys can't be reached; nothing was taken in.
        """
        body = encoding.fields(
            kind=kind,
            jwe=jwe,
            bank_account=bank_account,
            personal=personal,
            party_id=party_id,
            single_use=single_use,
            expires_at=expires_at,
            expires_in_s=expires_in_s,
            metadata=metadata,
            dedup=dedup,
        )
        return self._order(operations.CREATE_VAULT_TOKEN, body=body, idempotency_key=idempotency_key)

    def bulk(
        self, vault_tokens: Sequence[CreateVaultToken], *, idempotency_key: str | None = None
    ) -> VaultTokenVerdicts:
        """Take up to a hundred values in, with a verdict for each.

        Args:
            vault_tokens: The values.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.KeysUnavailable: The keys can't be reached; nothing was taken in.
        """
        body = encoding.fields(vault_tokens=list(vault_tokens))
        return self._order(operations.CREATE_VAULT_TOKENS, body=body, idempotency_key=idempotency_key)

    def get(self, vault_token_id: str) -> VaultToken:
        """Return a token, without its value.

        Raises:
            errors.NotFound: There is none with this id.
            errors.TokenForgotten: Its value was erased.
        """
        return self._ask(operations.GET_VAULT_TOKEN, vault_token_id)

    def list(
        self,
        *,
        party_id: str | None = None,
        kind: _Kind | None = None,
        fingerprint: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Pages[VaultToken]:
        """List tokens without their values, the newest first.

        Args:
            party_id: Only those whose values are about this party.
            kind: Only ``card``, ``bank_account`` or ``personal``.
            fingerprint: Only those of this value, by the ``fingerprint`` of one of its tokens.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(party_id=party_id, kind=kind, fingerprint=fingerprint, limit=limit, cursor=cursor)
        return self._list(operations.LIST_VAULT_TOKENS, query=query)

    def update(
        self,
        vault_token_id: str,
        *,
        metadata: Mapping[str, str] | UnsetType = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
        if_match: int | str | None = None,
    ) -> VaultToken:
        """Change what is said of a token. What isn't given stays, None clears; without an end it lasts.

        Args:
            vault_token_id: Which one.
            metadata: The caller's own keys and values, replaced as a whole.
            expires_at: When it ends.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.PreconditionFailed: The token has changed since that version.
            errors.VaultTokenExpired: It has expired, which is for good.
        """
        body = encoding.changes(metadata=metadata, expires_at=expires_at)
        return self._change(operations.UPDATE_VAULT_TOKEN, vault_token_id, body=body, if_match=if_match)

    def delete(self, vault_token_id: str, *, reason: str | None = None) -> None:
        """Delete a token with its value, for a reason that the audit keeps.

        Raises:
            errors.NotFound: There is none with this id.
        """
        query = encoding.query(reason=reason)
        self._change(operations.DELETE_VAULT_TOKEN, vault_token_id, query=query)

    def detokenize(
        self,
        vault_token_ids: Sequence[str],
        *,
        purpose: str,
        reason: str,
        response_key: ResponseKey | Mapping[str, Any] | None = None,
    ) -> DetokenizedVaultTokens:
        """Get values back for a purpose that the tenant allows this caller, with a verdict for each token.

        It isn't repeated by itself when the answer is lost: a token for one use may have been used up.

        Args:
            vault_token_ids: Up to a hundred tokens.
            purpose: A purpose of the tenant's manifest.
            reason: Why, for the audit.
            response_key: The caller's public key, P-256, to which values are encrypted; cards never come otherwise.

        Raises:
            errors.PurposeNotAllowed: The caller may not have this purpose.
            errors.DetokenizationLimitReached: The purpose's limit is used up; nothing was told.
            errors.KeysUnavailable: The keys can't be reached; nothing was told or used up.
        """
        body = encoding.fields(
            vault_token_ids=encoding.several(vault_token_ids, "vault_token_ids"),
            purpose=purpose,
            reason=reason,
            response_key=response_key,
        )
        return self._change(operations.DETOKENIZE_VAULT_TOKENS, body=body)

    def search(
        self,
        *,
        kind: _Kind,
        jwe: str | None = None,
        bank_account: BankAccount | None = None,
        personal: PersonalValue | None = None,
    ) -> VaultTokenMatches:
        """Find the tokens of a value; searches are counted and recorded.

        Args:
            kind: ``card``, ``bank_account`` or ``personal``.
            jwe: A card, encrypted to the tenant's key.
            bank_account: An IBAN, or a sort code with an account number.
            personal: A value of a type that the tenant declares as searchable.

        Raises:
            errors.SearchLimitReached: The caller has searched too often.
            errors.KeysUnavailable: The keys can't be reached.
        """
        body = encoding.fields(kind=kind, jwe=jwe, bank_account=bank_account, personal=personal)
        return self._change(operations.SEARCH_VAULT_TOKENS, body=body, repeatable=True)

    def encryption_keys(self) -> EncryptionKeys:
        """Return the tenant's public keys to which cards are encrypted; the first one is the one to use.

        Raises:
            errors.KeysUnavailable: The keys can't be reached.
        """
        return self._ask(operations.GET_ENCRYPTION_KEYS)
