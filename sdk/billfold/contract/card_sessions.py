"""Card sessions: a page, or a frame in a page of the partner's, at which somebody enters a card for the vault."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from billfold.contract.common import (
    CardSessionId,
    Instant,
    Metadata,
    PartyId,
    Request,
    Response,
    VaultTokenId,
)

__all__ = ["CardSession", "CardSessionStatus", "CreateCardSession"]

_HOST = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
_LOOPBACK = r"(?:localhost|127\.0\.0\.1|\[::1\])"
_ORIGIN = rf"(?:https://{_HOST}|http://{_LOOPBACK})(?::[0-9]{{1,5}})?"

Origin = Annotated[
    str,
    Meta(
        max_length=270,
        pattern=rf"^{_ORIGIN}$(?!\n)",
        description="Scheme, host and port (RFC 6454); HTTP on the machine's own loopback alone.",
        examples=["https://shop.example"],
    ),
]
ReturnUrl = Annotated[
    str,
    Meta(
        max_length=2000,
        pattern=rf"^{_ORIGIN}(?:/[!-~]*)?$(?!\n)",
        description="HTTPS, or HTTP on the machine's own loopback.",
        examples=["https://shop.example/checkout/cards"],
    ),
]


class CardSessionStatus(StrEnum):
    """Where a card session stands."""

    OPEN = "open"
    COMPLETED = "completed"
    EXPIRED = "expired"


class CreateCardSession(Request, frozen=True, kw_only=True):
    """What a card is entered for."""

    party_id: Annotated[PartyId, Meta(description="Whose card it is. Erasing that party erases the card.")] | None = (
        None
    )
    return_url: (
        Annotated[
            ReturnUrl, Meta(description="Where the page leads in the end, with ``card_session`` added to its query.")
        ]
        | None
    ) = None
    embed_origins: Annotated[
        list[Origin],
        Meta(max_length=10, description="Whose pages may show it in a frame; nobody else may."),
    ] = []
    single_use: Annotated[bool, Meta(description="Whether the token opens once and never again.")] = False
    expires_in_s: Annotated[int, Meta(ge=60, le=86_400, description="How long a card may be entered.")] = 1800
    metadata: Annotated[Metadata, Meta(description="Becomes the token's.")] = {}


class CardSession(Response, frozen=True, kw_only=True):
    """A page at which one card may be entered, once."""

    _secrets = frozenset({"frame_url", "url"})

    id: CardSessionId
    status: CardSessionStatus
    url: Annotated[str, Meta(description="The page, for the browser of whoever enters the card, and for nobody else.")]
    frame_url: Annotated[str | None, Meta(description="The same for a frame, where ``embed_origins`` names any.")]
    party_id: PartyId | None
    return_url: str | None
    embed_origins: list[str]
    single_use: bool
    metadata: Metadata
    vault_token_id: Annotated[VaultTokenId | None, Meta(description="The card's token, once it was entered.")]
    created_at: Instant
    expires_at: Instant
    completed_at: Instant | None
