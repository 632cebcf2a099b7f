"""Where somebody goes on to once they have signed in: back to a client's request, to a page of ours, or to the account.

Both are taken from addresses and forms, so what isn't of the one form that each has leads nowhere but to the account.
"""

import re
from typing import Final
from urllib.parse import urlencode

import msgspec

from billfold_server.http.routing import Call

__all__ = ["ACCOUNT", "Onward", "leads_to", "onward"]

_INTERACTION: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_PLACE: Final = re.compile(
    r"(?:/portal(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){0,6}|/oauth/(?:apps|consents(?:/one)?)|/auth/approve)"
    r"(?:\?[A-Za-z0-9_.=&-]{1,400})?"
)
"""Pages of the developer portal, of who has access, and of approval: all below the tenant's own address."""


class Onward(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a sign-in leads.

    Attributes:
        interaction: The client's request that waits for it.
        to: The page that it was asked for.
    """

    interaction: str | None = None
    to: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """Return what addresses and forms carry on from step to step."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}

    @property
    def query(self) -> str:
        """Return the same as the end of an address."""
        return f"?{urlencode(self.fields)}" if self.fields else ""

    def address(self, call: Call) -> str | None:
        """Return where it is; None is the account."""
        if self.interaction is not None:
            return f"{call.mount}/oauth/authorize/resume?interaction={self.interaction}"
        return None if self.to is None else call.mount + self.to


ACCOUNT: Final = Onward()


def leads_to(to: str) -> bool:
    """Tell whether a sign-in leads to a page, by its address below the tenant's."""
    return _PLACE.fullmatch(to) is not None


def onward(interaction: str | None, to: str | None) -> Onward:
    """Return where a sign-in leads by what an address or a form says; a client's request goes before a page."""
    if interaction and _INTERACTION.fullmatch(interaction):
        return Onward(interaction=interaction)
    return Onward(to=to) if to and leads_to(to) else ACCOUNT
