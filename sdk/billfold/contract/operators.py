"""Operators: the people who run a deployment. They sign in at the platform, and at no tenant."""

from typing import Annotated

from msgspec import Meta

from billfold.contract.common import Instant, Request, Response, Text, UserId
from billfold.contract.users import Language, LoginName, UserState

__all__ = ["CreateOperator", "Operator"]


class CreateOperator(Request, frozen=True, kw_only=True):
    """A new operator, who may do whatever operators may."""

    login_name: LoginName
    display_name: Text
    language: Language | None = None


class Operator(Response, frozen=True, kw_only=True):
    """Somebody who runs the deployment. What they sign in by isn't shown to anybody."""

    id: UserId
    login_name: str
    display_name: str
    language: str | None
    state: UserState
    factors: Annotated[list[str], Meta(description="Kinds: ``password``, ``totp``, ``passkey``.")]
    locked_until: Annotated[
        Instant | None,
        Meta(
            description=(
                "Guesses are being refused until then; known devices may be let in all the same. The end of 9999 is "
                "until somebody unlocks the operator, or they get in by another way."
            )
        ),
    ]
    last_sign_in_at: Instant | None
    version: Annotated[int, Meta(description="Counts up at each change.")]
    created_at: Instant
    updated_at: Instant
