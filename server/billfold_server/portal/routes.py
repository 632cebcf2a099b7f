"""The portal's pages; importing their modules has declared them."""

from billfold_server.portal import home, operations
from billfold_server.portal.pages import routes

__all__ = ["PAGES", "routes"]

PAGES = (home, operations)
"""The modules whose pages these are."""
