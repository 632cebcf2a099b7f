"""People for tests: made as a bank makes them, and signed in over HTTP as a browser does it."""

import re

import httpx

from tests.live import LiveServer

__all__ = ["Browser"]

_HIDDEN = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">')


class Browser(httpx.Client):
    """A browser without scripts: it keeps cookies, follows nothing by itself, and sends the hidden fields of forms.

    Args:
        live: The server.
        slug: The tenant; None is the platform.
    """

    def __init__(self, live: LiveServer, slug: str | None) -> None:
        super().__init__(base_url=live.base(slug), timeout=30)

    def submit(self, page: httpx.Response, path: str, **fields: str) -> httpx.Response:
        """Send a form of a page, with its hidden fields and these."""
        return self.post(path, data={**dict(_HIDDEN.findall(page.text)), **fields})
