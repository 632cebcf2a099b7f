"""The portal's pages; importing their modules has declared them."""

from billfold_server.portal import (
    approvals,
    clients,
    happenings,
    home,
    members,
    operations,
    problems,
    reading,
    requests,
    sandboxes,
    status,
    webhooks,
)
from billfold_server.portal.pages import routes

__all__ = ["PAGES", "routes"]

PAGES = (
    home,
    reading,
    operations,
    happenings,
    problems,
    status,
    approvals,
    clients,
    webhooks,
    requests,
    sandboxes,
    members,
)
"""The modules whose pages these are."""
