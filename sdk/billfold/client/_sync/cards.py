# Generated from billfold/client/_async/cards.py by tests/sdk/generate_sync.py. Change that one instead.

"""Vault tokens of cards: numbers leave this process encrypted to the tenant's key, and come back to one of our own."""

import builtins
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from billfold import errors
from billfold.client._problems import as_error
from billfold.client._sync.session import Session
from billfold.client._sync.vault_tokens import VaultTokens
from billfold.contract.tokens import DetokenizeVerdict, EncryptionKeys, VaultTokenCreated, VaultTokenMatches
from billfold.tokenization import Card, KeyCache, ResponseKeyPair, seal_card, seal_number

__all__ = ["CardTokens"]

_STALE = (errors.EncryptionKeyUnknown, errors.EncryptionKeyExpired)
"""What the server says where the tenant has replaced its key since we fetched it."""


class CardTokens(VaultTokens):
    """What the vault holds: ``billfold.vault_tokens``."""

    __slots__ = ("_keys",)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._keys = KeyCache()

    def create_card(
        self,
        *,
        number: str,
        expiry_month: int,
        expiry_year: int,
        holder: str | None = None,
        cvc: str | None = None,
        party_id: str | None = None,
        single_use: bool | None = None,
        expires_at: datetime | None = None,
        expires_in_s: int | None = None,
        metadata: Mapping[str, str] | None = None,
        dedup: Literal["none", "reuse"] | None = None,
    ) -> VaultTokenCreated:
        """Take a card into the vault, and get a token for it. The card is encrypted here.

        Each call encrypts anew, so it is another order; to repeat one, use ``tokenization.seal_card`` and ``create``.

        Args:
            number: The card's number; blanks and hyphens are left out.
            expiry_month: 1 to 12.
            expiry_year: With all four digits.
            holder: The name on the card.
            cvc: The code on it. It is kept for ten minutes, for one use, in the memory of one process.
            party_id: Whom the card belongs to. Erasing that party erases the card.
            single_use: Whether the token opens once and never again.
            expires_at: When it ends.
            expires_in_s: Or in how many seconds.
            metadata: The caller's own keys and values.
            dedup: ``reuse`` gives the token of the same card, if any; it is a search, and needs ``tokens:search``.

        Raises:
            errors.CardNumberInvalid: There can't be such a number.
            errors.CardBrandUnknown: Nobody that is known here issues such numbers.
            errors.CardExpired: The card isn't good any more.
            errors.Unprocessable: Something else can't be; narrower classes say what.
            errors.InsufficientScope: ``dedup`` is asked for without the scope that it needs.
            errors.SearchLimitReached: ``dedup`` was asked for, or values were searched for, too often.
            errors.KeysUnavailable: The keys can't be reached; nothing was taken in.
        """
        card = Card(number=number, expiry_month=expiry_month, expiry_year=expiry_year, holder=holder, cvc=cvc)
        for again in (False, True):
            jwe = seal_card(card, self._known_keys())
            try:
                return self.create(
                    kind="card",
                    jwe=jwe,
                    party_id=party_id,
                    single_use=single_use,
                    expires_at=expires_at,
                    expires_in_s=expires_in_s,
                    metadata=metadata,
                    dedup=dedup,
                )
            except _STALE:
                self._keys.forget()
                if again:
                    raise
        raise AssertionError("it returns or raises")

    def detokenize_card(self, vault_token_id: str, *, purpose: str, reason: str) -> Card:
        """Get a card back for a purpose that the tenant allows this caller. It comes encrypted, and is opened here.

        It isn't repeated by itself when the answer is lost: a token for one use may have been used up.

        Args:
            vault_token_id: Which one.
            purpose: A purpose of the tenant's manifest; it says which of the card's fields are told.
            reason: Why, for the audit.

        Raises:
            errors.PurposeNotAllowed: The caller may not have this purpose, or it shows masks alone.
            errors.NotFound: There is no such token of a card.
            errors.VaultTokenUsed: It was for one use, and is used up.
            errors.TokenForgotten: Its value was erased.
            errors.DetokenizationLimitReached: The purpose's limit is used up; nothing was told.
            errors.KeysUnavailable: The keys can't be reached; nothing was told or used up.
        """
        (found,) = self.detokenize_cards([vault_token_id], purpose=purpose, reason=reason)
        if isinstance(found, errors.ProblemError):
            raise found
        return found

    def detokenize_cards(
        self, vault_token_ids: Sequence[str], *, purpose: str, reason: str
    ) -> builtins.list[Card | errors.ProblemError]:
        """Get up to a hundred cards back, with the error of each that isn't told in its place.

        Args:
            vault_token_ids: Which ones.
            purpose: A purpose of the tenant's manifest.
            reason: Why, for the audit.

        Raises:
            errors.PurposeNotAllowed: The caller may not have this purpose.
            errors.DetokenizationLimitReached: The purpose's limit is used up; nothing was told.
            errors.KeysUnavailable: The keys can't be reached; nothing was told or used up.
        """
        pair = ResponseKeyPair()
        told = self.detokenize(vault_token_ids, purpose=purpose, reason=reason, response_key=pair.public)
        return [_card_of(verdict, pair) for verdict in told.results]

    def search_card(self, *, number: str) -> VaultTokenMatches:
        """Find the tokens of a card by its number, which is encrypted here; searches are counted and recorded.

        Args:
            number: The card's number; blanks and hyphens are left out.

        Raises:
            errors.CardNumberInvalid: There can't be such a number.
            errors.SearchLimitReached: The caller has searched too often.
            errors.KeysUnavailable: The keys can't be reached.
        """
        for again in (False, True):
            jwe = seal_number(number, self._known_keys())
            try:
                return self.search(kind="card", jwe=jwe)
            except _STALE:
                self._keys.forget()
                if again:
                    raise
        raise AssertionError("it returns or raises")

    def _known_keys(self) -> EncryptionKeys:
        return self._keys.current() or self._keys.keep(self.encryption_keys())


def _card_of(verdict: DetokenizeVerdict, pair: ResponseKeyPair) -> Card | errors.ProblemError:
    if verdict.problem is not None:
        return as_error(verdict.problem)
    if verdict.jwe is None:
        return errors.PurposeNotAllowed("the purpose lets nothing but the mask be seen")
    return pair.open_card(verdict.jwe, vault_token_id=verdict.vault_token_id)
