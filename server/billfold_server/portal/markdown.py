"""What the portal has to read: Markdown beside this file, made into HTML.

Links to other pages are written ``portal:errors``. Texts are ours, nobody's input, and yet the renderer takes no HTML
in them, so that what looks like a tag in a snippet is never one. Addresses in them are of
``https://bank.example/t/yours``, in whose place each tenant's own stand; in a snippet whose language is followed by
``own``, the tenant's first currency takes the place of EUR.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from markupsafe import Markup

from billfold_server.http.routing import Call
from billfold_server.portal.pages import ROOT

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["BASE_URL", "Text", "make", "names", "read"]

BASE_URL: Final = "https://bank.example/t/yours"
"""What stands in a text where the tenant's base address goes."""

_FOLDER: Final = Path(__file__).parent / "texts"
_CURRENCY: Final = re.compile(r"\bEUR\b")
_NOT_A_NAME: Final = re.compile(r"[^a-z0-9]+")
_PORTAL: Final = "portal:"
_OWN: Final = "own"
_ENVIRONMENT: Final[dict[str, Any]] = {}


class Text(msgspec.Struct, frozen=True):
    """A text as a page shows it.

    Attributes:
        title: Its first heading.
        lead: Its first paragraph, in plain words.
        body: All that follows the title, as HTML.
        parts: Its headings of the second order, each with its anchor.
        snippets: Its snippets, each with its language.
    """

    title: str
    lead: str
    body: Markup
    parts: tuple[tuple[str, str], ...]
    snippets: tuple[tuple[str, str], ...]


def names(folder: str) -> list[str]:
    """Return the texts of a folder, by their files' names, in their order."""
    return sorted(path.stem for path in (_FOLDER / folder).glob("*.md"))


def read(call: Call, name: str) -> Text:
    """Return a text with the addresses and the currency of the tenant that shows it.

    Args:
        call: The request.
        name: Its file below ``texts``, without the suffix.
    """
    return _read(name, call.base_url, call.mount + ROOT, call.tenant.manifest.currencies[0])


@functools.lru_cache(maxsize=512)
def _read(name: str, base_url: str, root: str, currency: str) -> Text:
    source = (_FOLDER / f"{name}.md").read_text(encoding="utf-8").replace(BASE_URL, base_url)
    return make(source, root=root, currency=currency)


def make(source: str, *, root: str = ROOT, currency: str = "EUR") -> Text:
    """Make a text of Markdown.

    Args:
        source: The Markdown, which begins with a heading.
        root: Where the portal's pages begin.
        currency: What takes the place of EUR in snippets of the reader's own.
    """
    from markdown_it import MarkdownIt  # noqa: PLC0415 - Of 62 modules, for pages alone.

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("fence", _fence)
    markdown.add_render_rule("table_open", _table_open)
    markdown.add_render_rule("table_close", _table_close)
    tokens = markdown.parse(source)
    parts, snippets = [], []
    for place, token in enumerate(tokens):
        _place([each for each in token.children or () if each.type == "link_open"], root)
        if token.type == "heading_open":
            said = _plain(tokens[place + 1])
            token.attrSet("id", _NOT_A_NAME.sub("-", said.lower()).strip("-"))
            if token.tag == "h2":
                parts.append((str(token.attrs["id"]), said))
        elif token.type == "fence":
            language, _, flag = token.info.strip().partition(" ")
            if flag == _OWN:
                token.content = _CURRENCY.sub(currency, token.content)
            snippets.append((language, token.content))
    assert tokens[0].tag == "h1", "a text begins with its title"
    lead = next((_plain(each) for each in tokens[3:] if each.type == "inline"), "")
    body = Markup(markdown.renderer.render(tokens[3:], markdown.options, _ENVIRONMENT))  # noqa: S704 - Our own texts.
    return Text(_plain(tokens[1]), lead, body, tuple(parts), tuple(snippets))


def _plain(token: "Token") -> str:
    said = (" " if each.type == "softbreak" else each.content for each in token.children or ())
    return "".join(said)


def _fence(_: Any, tokens: "Sequence[Token]", place: int, options: Any, environment: Mapping[str, Any]) -> str:
    del options, environment
    token = tokens[place]
    language = token.info.strip().partition(" ")[0]
    # Whoever has no mouse scrolls what is wider than the screen once it has the focus.
    return str(Markup('<pre tabindex="0"><code class="language-{}">{}</code></pre>\n').format(language, token.content))


def _place(links: "Sequence[Token]", root: str) -> None:
    """Let links to the portal's own pages lead there."""
    for link in links:
        address = str(link.attrs["href"])
        if address.startswith(_PORTAL):
            link.attrSet("href", f"{root}/{address.removeprefix(_PORTAL)}")


def _table_open(*_: Any) -> str:
    return '<div class="wide-table" tabindex="0"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"
