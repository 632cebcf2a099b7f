"""The portal's first page: what this is, where it is, and how to begin."""

from billfold_server.http.routing import Call, Reply
from billfold_server.portal.markdown import read
from billfold_server.portal.pages import page, render
from billfold_server.portal.viewers import guest

__all__: list[str] = []


@page("GET", "")
async def show_home(call: Call, *, ui_locales: str | None = None) -> Reply[bytes]:
    """Show where to begin: with a secret where the security profile takes one, else with a key."""
    manifest = call.tenant.manifest
    view = {
        "base_url": call.base_url,
        "sandbox": manifest.sandbox,
        "text": read(call, "start" if manifest.security_profile == "sandbox" else "start_keys"),
    }
    return render(call, "home.html", view, section="home", viewer=await guest(call), ui_locales=ui_locales)
