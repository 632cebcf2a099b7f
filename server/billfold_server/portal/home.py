"""The portal's first page: what this is, where it is, and how to begin."""

from billfold_server.http.routing import Call, Reply
from billfold_server.portal.pages import page, render
from billfold_server.portal.viewers import guest

__all__: list[str] = []


@page("GET", "")
async def show_home(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show where to begin."""
    view = {"base_url": call.base_url, "sandbox": call.tenant.manifest.sandbox}
    return render(call, "home.html", view, section="home", viewer=await guest(call), ui_locales=ui_locales)
