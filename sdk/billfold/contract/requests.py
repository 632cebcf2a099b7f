"""The log of requests: what programs have asked of a tenant, and what they were answered, without anybody's data.

What is shown is decided by the contract itself: ids, amounts, times and the words of its closed lists are. Everything
else is ``[withheld]``: texts, secrets, card and account numbers, whatever tells of people, and all that the contract
doesn't know.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from billfold.contract.common import ClientId, Instant, Response

__all__ = [
    "CUT",
    "UNKNOWN_MEMBERS",
    "WITHHELD",
    "LoggedBodyState",
    "LoggedMessage",
    "LoggedRequest",
    "LoggedRequestRecord",
    "RequestId",
    "RequestMethod",
    "StatusClass",
]

WITHHELD: Final = "[withheld]"
"""Stands for a value that isn't shown."""

CUT: Final = "[cut]"
"""Stands for what is left out because it is too long; as the name of a member, for how many are."""

UNKNOWN_MEMBERS: Final = "[unknown]"
"""Under this name stands how many members there were that the contract doesn't know."""

RequestId = Annotated[
    str,
    Meta(
        min_length=8,
        max_length=64,
        pattern=r"^[A-Za-z0-9_.:-]+$(?!\n)",
        description="Id of a request, as `X-Request-Id` and problems tell it.",
        examples=["req_01m7w9tnzcejq9b78b81gh4nmw"],
    ),
]
RequestMethod = Literal["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"]
StatusClass = Literal["2xx", "3xx", "4xx", "5xx"]


class LoggedBodyState(StrEnum):
    """How much of a body is shown."""

    NONE = "none"
    SHOWN = "shown"
    CUT = "cut"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    WITHHELD = "withheld"


class LoggedRequest(Response, frozen=True, kw_only=True):
    """A request that was answered."""

    request_id: RequestId
    answered_at: Annotated[Instant, Meta(description="When it was answered, in real time.")]
    took_ms: int
    method: str
    operation: Annotated[
        str | None,
        Meta(description="The operation of this document; null where there is none.", examples=["createTransfer"]),
    ]
    path: Annotated[
        str | None,
        Meta(
            description="The operation's path with the ids in it; null where there is no operation.",
            examples=["/v1/wallets/wal_01m7w9tnzcejq9b78b81gh4nmw"],
        ),
    ]
    status: Annotated[int, Meta(description="The status of the answer; 499 where nobody waited for one.")]
    code: Annotated[str | None, Meta(description="The code of the problem.", examples=["insufficient_funds"])]
    client_id: Annotated[ClientId | None, Meta(description="Who asked; null where that isn't known.")]


class LoggedMessage(Response, frozen=True, kw_only=True):
    """What was sent, or what was answered."""

    headers: Annotated[
        dict[str, str], Meta(description="The headers that are kept, those with values that aren't as `[withheld]`.")
    ]
    body: Annotated[
        dict[str, Any] | None,
        Meta(
            description="The JSON body. In it, `[withheld]` stands for what isn't shown, `[cut]` for what is left out "
            "because it is too long, and `[unknown]` is how many members the contract doesn't know."
        ),
    ]
    body_state: Annotated[
        LoggedBodyState,
        Meta(
            description="`none`: there was no body. `shown`: it is shown. `cut`: its beginning is, as it is longer "
            "than what is kept. `too_large`: it was too large to be looked at. `unreadable`: it was no JSON object. "
            "`withheld`: bodies of this operation aren't kept."
        ),
    ]


class LoggedRequestRecord(LoggedRequest, frozen=True, kw_only=True):
    """A request that was answered, with what was sent and what was answered."""

    query: Annotated[dict[str, Any], Meta(description="The parameters of the query.")]
    request: LoggedMessage
    response: LoggedMessage
