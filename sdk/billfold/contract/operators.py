"""Operators: the people who run a deployment. They sign in at the platform, and at no tenant."""

from typing import Annotated

from msgspec import Meta

from billfold.contract.common import Instant, Request, Response, Text, UserId
from billfold.contract.users import Factors, Language, LockedUntil, LoginName, UserState

__all__ = ["CreateOperator", "EnrolmentHalf", "Operator"]


class CreateOperator(Request, frozen=True, kw_only=True):
    """A new operator, who may do whatever operators may."""

    login_name: LoginName
    display_name: Text
    language: Language | None = None


class EnrolmentHalf(Response, frozen=True, kw_only=True):
    """Half of the code by which an operator enrols, once: hand it to them over a channel that you trust.

    Another operator gets the other half. Whoever has both enrols.
    """

    _secrets = frozenset({"half", "url"})

    url: Annotated[str, Meta(description="The page on which both halves are typed, one after the other in any order.")]
    half: Annotated[str, Meta(description="It is shown this once.")]
    complete: Annotated[bool, Meta(description="Whether another operator has got the other half already.")]
    expires_at: Annotated[
        Instant, Meta(description="Until when another operator must ask, or else until when the code is good.")
    ]


class Operator(Response, frozen=True, kw_only=True):
    """Somebody who runs the deployment. What they sign in by isn't shown to anybody."""

    id: UserId
    login_name: str
    display_name: str
    language: str | None
    state: UserState
    factors: Factors
    locked_until: LockedUntil
    last_sign_in_at: Instant | None
    version: Annotated[int, Meta(description="Counts up at each change.")]
    created_at: Instant
    updated_at: Instant
