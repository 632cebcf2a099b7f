"""A tenant's looks: its colours as custom properties of the style sheet, and its logo.

The manifest guarantees two legible pairs. Everything else that a page needs, such as lines and hints, is mixed of these
until its contrast is what WCAG 2.2 asks for.
"""

import base64
import functools
import html
from pathlib import Path
from typing import Final, NamedTuple

from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.manifest import LOGO_TYPES, Brand, Colors, contrast
from billfold_server.tenancy.shipped import shipped_tenants

__all__ = ["OPERATORS", "Logo", "brand_of", "logo_of", "style_of"]

OPERATORS: Final = Brand(
    display_name="Billfold",
    colors=Colors(primary="#1e3a5f", on_primary="#ffffff", background="#ffffff", text="#14202e"),
)
"""How the platform shows itself to its operators."""

_LEGIBLE: Final = 4.5
_VISIBLE: Final = 3.0
_STEPS: Final = 20
_ALARMING: Final = ("#b42318", "#8c1d13", "#ffb4a8", "#ffd9d2")
_REASSURING: Final = ("#1a7f4b", "#0f5132", "#8fe3b4", "#c8f5da")


class Logo(NamedTuple):
    """A picture as it goes over the wire."""

    media_type: str
    content: bytes


def brand_of(tenant: TenantRef | None) -> Brand:
    """Return the looks of a tenant, or (None) of the platform."""
    return OPERATORS if tenant is None else tenant.manifest.brand


@functools.lru_cache(maxsize=1024)
def style_of(colors: Colors) -> str:
    """Return the custom properties that the style sheet's rules are made of."""
    text, paper = colors.text, colors.background
    values = {
        "primary": colors.primary,
        "on-primary": colors.on_primary,
        "paper": paper,
        "ink": text,
        "quiet": _mixed(text, paper, _LEGIBLE + 0.5),
        "edge": _mixed(text, paper, _VISIBLE + 0.2),
        "line": _mix(text, paper, 0.16),
        "soft": _mix(text, paper, 0.05),
        "alarm": _legible(_ALARMING, paper, text),
        "fine": _legible(_REASSURING, paper, text),
        "accent": colors.primary if contrast(colors.primary, paper) >= _VISIBLE else text,
    }
    return ":root{" + ";".join(f"--{name}:{value}" for name, value in values.items()) + "}\n"


def _mix(front: str, back: str, share: float) -> str:
    channels = (
        round(share * int(front[at : at + 2], 16) + (1 - share) * int(back[at : at + 2], 16)) for at in (1, 3, 5)
    )
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def _mixed(front: str, back: str, least: float) -> str:
    """Return the palest mix of two colours that is still told apart from the second."""
    mixes = (_mix(front, back, step / _STEPS) for step in range(6, _STEPS))
    return next((mix for mix in mixes if contrast(mix, back) >= least), front)


def _legible(candidates: tuple[str, ...], paper: str, text: str) -> str:
    return next((color for color in candidates if contrast(color, paper) >= _LEGIBLE), text)


@functools.lru_cache(maxsize=256)
def logo_of(slug: str | None, path: str | None, brand: Brand) -> Logo:
    """Return a tenant's logo, or its initial on its colour where it has none at hand.

    Args:
        slug: The tenant; None is the platform.
        path: Where the manifest says that the logo is, beside itself.
        brand: Its name and colours.
    """
    if brand.logo_image is not None:
        described, _, encoded = brand.logo_image.partition(";base64,")
        return Logo(described.removeprefix("data:"), base64.b64decode(encoded))
    if slug is not None and path is not None:
        # A tenant that was applied over the API names a file that only those have that come with Billfold.
        file: Path = shipped_tenants() / slug / path
        if file.is_file():
            return Logo(LOGO_TYPES[file.suffix], file.read_bytes())
    initial = html.escape(brand.display_name.strip()[:1].upper() or "·")
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        f'<rect x="4" y="4" width="56" height="56" rx="14" fill="{brand.colors.primary}"/>'
        f'<text x="32" y="43" text-anchor="middle" font-family="system-ui,sans-serif" font-size="32" font-weight="600"'
        f' fill="{brand.colors.on_primary}">{initial}</text></svg>'
    )
    return Logo(LOGO_TYPES[".svg"], drawn.encode())
