"""What is read from top to bottom: guides, and what has changed in the contract."""

import functools

from billfold import errors
from billfold_server.http.contract_page import read_page
from billfold_server.http.routing import Call, Reply
from billfold_server.portal.markdown import Text, make, names, read
from billfold_server.portal.pages import ROOT, page, render
from billfold_server.portal.viewers import guest

__all__ = ["GUIDES"]

GUIDES = ("embedding", "webhooks", "idempotency", "tokenization", "consents", "going_live")
"""The guides, in the order in which most need them."""


@page("GET", "/guides")
async def show_guides(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show which guides there are."""
    view = {"guides": [(name, read(call, f"guides/{name}")) for name in GUIDES]}
    return render(call, "guides.html", view, section="guides", viewer=await guest(call), ui_locales=ui_locales)


@page("GET", "/guides/{name}")
async def show_guide(call: Call, name: str, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show a guide."""
    if name not in GUIDES:
        raise errors.NotFound("there is no such guide")
    place = GUIDES.index(name)
    view = {
        "text": read(call, f"guides/{name}"),
        "next": None if name == GUIDES[-1] else (GUIDES[place + 1], read(call, f"guides/{GUIDES[place + 1]}").title),
    }
    return render(call, "guide.html", view, section="guides", viewer=await guest(call), ui_locales=ui_locales)


@page("GET", "/changes")
async def show_changes(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show what has changed in the contract."""
    view = {"text": _changes(call.mount + ROOT)}
    return render(call, "changes.html", view, section="changes", viewer=await guest(call), ui_locales=ui_locales)


@functools.lru_cache(maxsize=512)
def _changes(root: str) -> Text:
    """Return the changes, made once for each place where a portal begins: they stay as they were shipped."""
    return make(read_page(), root=root)


assert set(GUIDES) <= set(names("guides")), "each guide is written"
