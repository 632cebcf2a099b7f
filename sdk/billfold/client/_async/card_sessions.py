"""Card sessions: pages and frames at which people enter cards."""

from collections.abc import Mapping, Sequence

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncResource
from billfold.contract.card_sessions import CardSession

__all__ = ["AsyncCardSessions"]


class AsyncCardSessions(AsyncResource):
    """Pages at which a card is entered, encrypted in the browser: ``billfold.card_sessions``."""

    __slots__ = ()

    async def create(
        self,
        *,
        party_id: str | None = None,
        return_url: str | None = None,
        embed_origins: Sequence[str] | None = None,
        single_use: bool | None = None,
        expires_in_s: int | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> CardSession:
        """Open a page at which one card is entered; send a browser to its ``url``, or show ``frame_url`` in a frame.

        Args:
            party_id: Whose card it is. Erasing that party erases the card.
            return_url: Where the page leads in the end, with ``card_session`` added to its query.
            embed_origins: Origins of pages that may show it in a frame, such as ``https://shop.example``.
            single_use: Whether the token opens once and never again.
            expires_in_s: How long a card may be entered; half an hour where absent.
            metadata: The caller's own keys and values, which become the token's.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.NotFound: There is no such party.
            errors.CardDataNotAllowed: The metadata or the address holds what looks like a card's number.
        """
        body = encoding.fields(
            party_id=party_id,
            return_url=return_url,
            embed_origins=None if embed_origins is None else encoding.several(embed_origins, "embed_origins"),
            single_use=single_use,
            expires_in_s=expires_in_s,
            metadata=metadata,
        )
        return await self._order(operations.CREATE_CARD_SESSION, body=body, idempotency_key=idempotency_key)

    async def get(self, card_session_id: str) -> CardSession:
        """Return a session; once a card was entered, with its ``vault_token_id``.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_CARD_SESSION, card_session_id)
