"""Pages for people: what all of them load."""

from billfold_server.http.routing import Call, Reply
from billfold_server.people import account, enrolling, signing_in
from billfold_server.people.hosting import platform_routes, routes
from billfold_server.people.pages import brand
from billfold_server.people.pages.kit import pages_of

__all__ = ["STEPS", "platform_routes", "routes"]

STEPS = (signing_in, enrolling, account)
"""The modules whose pages these are; importing them has declared them."""

_FOR_GOOD = "public, max-age=604800, immutable"
"""Addresses of assets change with what is there."""

_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""A logo is a bank's own file; opened by itself it can run nothing either."""


def _asset(body: bytes, media_type: str, policy: str = "default-src 'none'") -> Reply[bytes]:
    headers = {
        "Content-Type": media_type,
        "Cache-Control": _FOR_GOOD,
        "Content-Security-Policy": policy,
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return Reply(body=body, headers=headers)


async def get_page_style(call: Call, *, v: str | None = None) -> Reply[bytes]:
    """Show the style sheet of the pages, in the tenant's colours."""
    del v  # It is there so that browsers keep each version apart.
    return _asset(pages_of(call).style(call.tenant_or_none), "text/css; charset=utf-8")


async def get_page_script(call: Call, *, v: str | None = None) -> Reply[bytes]:
    """Show the script by which pages use passkeys."""
    del v
    return _asset(pages_of(call).script(), "text/javascript; charset=utf-8")


async def get_page_logo(call: Call, *, v: str | None = None) -> Reply[bytes]:
    """Show the logo."""
    del v
    tenant = call.tenant_or_none
    looks = brand.brand_of(tenant)
    logo = brand.logo_of(None if tenant is None else tenant.slug, looks.logo, looks)
    return _asset(logo.content, logo.media_type, _PICTURE_POLICY)


for _name, _handler, _media_type in (
    ("kit.css", get_page_style, "text/css; charset=utf-8"),
    ("passkeys.js", get_page_script, "text/javascript; charset=utf-8"),
    ("logo", get_page_logo, "image/svg+xml"),
):
    routes.get(
        f"/auth/assets/{_name}", in_document=False, by_itself=True, response_media_type=_media_type, surface="page"
    )(_handler)
    platform_routes.get(
        f"/platform/auth/assets/{_name}",
        in_document=False,
        by_itself=True,
        response_media_type=_media_type,
        surface="page",
        operation_id=f"getPlatform{_handler.__name__.removeprefix('get_').title().replace('_', '')}",
    )(_handler)
