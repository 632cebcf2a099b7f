"""The portal's pages; importing their modules has declared them."""

from billfold_server.portal import happenings, home, operations, problems, reading, status
from billfold_server.portal.pages import routes

__all__ = ["PAGES", "routes"]

PAGES = (home, reading, operations, happenings, problems, status)
"""The modules whose pages these are."""
