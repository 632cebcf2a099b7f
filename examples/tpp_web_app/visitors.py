"""Who is at the app, and what they have allowed. It lives in memory: a real app keeps tokens sealed, in a database."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from billfold.auth import Pending, UserTokens

Kind = Literal["accounts", "payment", "recurring"]


@dataclass
class Waiting:
    """A consent for which the customer is at the bank.

    Attributes:
        kind: What it is for.
        consent: As the bank has answered it.
        pending: What was begun.
    """

    kind: Kind
    consent: Any
    pending: Pending


@dataclass
class Link:
    """A consent that was given.

    Attributes:
        consent: As the bank has answered it.
        tokens: What it allows.
    """

    consent: Any
    tokens: UserTokens


@dataclass
class Visitor:
    """Somebody with a browser.

    Attributes:
        csrf: What this app's own forms hold, and no other site's.
        waiting: By the state of what was begun; each is used once.
        accounts: Access to accounts, by the id of the consent.
        recurring: Permissions for recurring payments, likewise.
        payments: The payments that were made, the last first: kind and id.
    """

    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    waiting: dict[str, Waiting] = field(default_factory=dict)
    accounts: dict[str, Link] = field(default_factory=dict)
    recurring: dict[str, Link] = field(default_factory=dict)
    payments: list[tuple[str, str]] = field(default_factory=list)


class Visitors:
    """All of them, by what their cookie says."""

    def __init__(self) -> None:
        self._by_cookie: dict[str, Visitor] = {}

    def find(self, cookie: str | None) -> Visitor | None:
        """Return who has a cookie, if anybody."""
        return None if cookie is None else self._by_cookie.get(cookie)

    def welcome(self) -> tuple[str, Visitor]:
        """Return somebody new, and their cookie."""
        cookie, visitor = secrets.token_urlsafe(32), Visitor()
        self._by_cookie[cookie] = visitor
        return cookie, visitor
