"""The document and its page, served by each tenant for itself.

The page is made here, of the document: plain HTML with one style sheet, no script and nothing from elsewhere, so that
the strictest content security policy holds and it reads the same without JavaScript, on a phone and aloud.
"""

import functools
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from billfold import errors
from billfold_server.http import contract_page
from billfold_server.http.oauth_document import build_oauth_document
from billfold_server.http.openapi import build_document
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.open_banking.edge.document import build_open_banking_document

__all__ = [
    "DOCUMENTS",
    "Documents",
    "documents_of",
    "platform_routes",
    "prose",
    "render_changes",
    "render_page",
    "routes",
]

DOCUMENTS: Final = "documents"
"""Under which name ``build_app`` keeps the documents in ``Services.rooms``."""

OPEN_BANKING: Final = "open-banking.json"
"""Where a tenant's document of open banking is, beside ``openapi.json``."""
OAUTH: Final = "oauth.json"
"""Where the document of a tenant's authorization server is."""

_CSP: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE: Final = "text/html; charset=utf-8"
_STYLE: Final = "text/css; charset=utf-8"

routes = Routes(tag="Documentation", description="What you are reading.", audience="tenant-public")
platform_routes = Routes(tag="Documentation", description="What you are reading.", audience="platform-public")


class Documents:
    """Makes documents and pages, and keeps those that were asked for last.

    Args:
        rooms: All routes of the server, told late, because these routes are among them.
    """

    def __init__(self, rooms: Callable[[], Iterable[Routes]]) -> None:
        self.rooms = rooms
        self.document = functools.lru_cache(maxsize=64)(self._document)
        self.page = functools.lru_cache(maxsize=64)(self._page)
        self.open_banking = functools.lru_cache(maxsize=64)(self._open_banking)
        self.oauth = functools.lru_cache(maxsize=64)(self._oauth)

    def _document(self, base_url: str, title: str, *, platform: bool) -> bytes:
        return msgspec.json.encode(self._build(base_url, title, platform=platform))

    def _page(self, base_url: str, title: str, *, platform: bool, open_banking: bool = False) -> bytes:
        # The same again, an operation a page, which can be tried where the tenant is a sandbox.
        beside = [*([OPEN_BANKING] if open_banking else []), *([] if platform else [OAUTH, "portal/reference"])]
        return render_page(self._build(base_url, title, platform=platform), beside).encode()

    def _open_banking(self, base_url: str, title: str) -> bytes:
        return msgspec.json.encode(build_open_banking_document(list(self.rooms()), base_url=base_url, title=title))

    def _oauth(self, base_url: str, title: str) -> bytes:
        return msgspec.json.encode(build_oauth_document(list(self.rooms()), base_url=base_url, title=title))

    def _build(self, base_url: str, title: str, *, platform: bool) -> dict[str, Any]:
        realm = "platform" if platform else "tenant"
        server = base_url.removesuffix("/platform") if platform else base_url
        audiences = [realm, f"{realm}-public", *(["host"] if platform else [])]
        return build_document(list(self.rooms()), base_url=server, title=title, audiences=audiences)


def documents_of(call: Call) -> Documents:
    """Return what makes the documents of this process."""
    documents = call.services.rooms[DOCUMENTS]
    assert isinstance(documents, Documents)
    return documents


def _title(call: Call) -> str:
    tenant = call.tenant_or_none
    return "Billfold, for operators" if tenant is None else f"{tenant.manifest.brand.display_name} API"


def _document(call: Call) -> Reply[dict[str, Any]]:
    body = documents_of(call).document(call.base_url, _title(call), platform=call.tenant_or_none is None)
    return Reply(body=body, headers={"Cache-Control": "public, max-age=300"})


def _page(call: Call) -> Reply[bytes]:
    tenant = call.tenant_or_none
    served = tenant is not None and tenant.manifest.open_banking.enabled
    body = documents_of(call).page(call.base_url, _title(call), platform=tenant is None, open_banking=served)
    return Reply(body=body, headers={"Cache-Control": "public, max-age=300", "Content-Security-Policy": _CSP})


def _changes(call: Call) -> Reply[bytes]:
    body = render_changes(_title(call), contract_page.read_page()).encode()
    return Reply(body=body, headers={"Cache-Control": "public, max-age=300", "Content-Security-Policy": _CSP})


def _style(call: Call) -> Reply[bytes]:
    colors = "" if call.tenant_or_none is None else _colors(call.tenant_or_none.manifest.brand.colors)
    headers = {"Cache-Control": "public, max-age=300", "Content-Security-Policy": _CSP}
    return Reply(body=(STYLE + colors).encode(), headers=headers)


def _colors(colors: Any) -> str:
    """Return the tenant's own colours, whose form and contrast the manifest guarantees."""
    return f":root{{--primary:{colors.primary};--on-primary:{colors.on_primary}}}"


@routes.get("/openapi.json", in_document=False)
async def get_document(call: Call) -> Reply[dict[str, Any]]:
    """Show this document."""
    return _document(call)


@routes.get(f"/{OPEN_BANKING}", in_document=False)
async def get_open_banking_document(call: Call) -> Reply[dict[str, Any]]:
    """Show the document of what third parties use."""
    if not call.tenant.manifest.open_banking.enabled:
        raise errors.NotFound("the bank doesn't take third parties")
    body = documents_of(call).open_banking(call.base_url, f"{call.tenant.manifest.brand.display_name}: UK open banking")
    return Reply(body=body, headers={"Cache-Control": "public, max-age=300"})


@routes.get(f"/{OAUTH}", in_document=False)
async def get_oauth_document(call: Call) -> Reply[dict[str, Any]]:
    """Show the document of the authorization server."""
    title = f"{call.tenant.manifest.brand.display_name}: authorization server"
    return Reply(body=documents_of(call).oauth(call.base_url, title), headers={"Cache-Control": "public, max-age=300"})


@routes.get("/docs", in_document=False, response_media_type=_PAGE)
async def get_page(call: Call) -> Reply[bytes]:
    """Show this document as a page."""
    return _page(call)


@routes.get("/docs/changes", in_document=False, response_media_type=_PAGE)
async def get_changes(call: Call) -> Reply[bytes]:
    """Show what has changed from version to version."""
    return _changes(call)


@routes.get("/docs/style.css", in_document=False, response_media_type=_STYLE)
async def get_style(call: Call) -> Reply[bytes]:
    """Show the page's style sheet."""
    return _style(call)


@platform_routes.get("/platform/openapi.json", in_document=False)
async def get_platform_document(call: Call) -> Reply[dict[str, Any]]:
    """Show this document."""
    return _document(call)


@platform_routes.get("/platform/docs", in_document=False, response_media_type=_PAGE)
async def get_platform_page(call: Call) -> Reply[bytes]:
    """Show this document as a page."""
    return _page(call)


@platform_routes.get("/platform/docs/changes", in_document=False, response_media_type=_PAGE)
async def get_platform_changes(call: Call) -> Reply[bytes]:
    """Show what has changed from version to version."""
    return _changes(call)


@platform_routes.get("/platform/docs/style.css", in_document=False, response_media_type=_STYLE)
async def get_platform_style(call: Call) -> Reply[bytes]:
    """Show the page's style sheet."""
    return _style(call)


# The page.

_CODE = re.compile(r"``?([^`]+)``?")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")


def prose(text: str) -> str:
    """Return text as HTML, with the little Markdown that the document uses; everything else is escaped."""
    escaped = _STRONG.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", html.escape(text)))
    return "".join(f"<p>{paragraph}</p>" for paragraph in escaped.split("\n\n"))


def _example(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f'<pre tabindex="0"><code>{html.escape(text)}</code></pre>'


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    cells = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    return f'<div class="wide" tabindex="0"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(schema: Mapping[str, Any]) -> str:
    """Return a schema in a few words, with a link to what it refers to."""
    if "$ref" in schema:
        name = html.escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        return " or ".join(f"<code>{html.escape(str(each))}</code>" for each in schema["enum"])
    words = [str(schema.get("format") or schema.get("type") or "anything")]
    names = {"minimum": "at least", "maximum": "at most", "minLength": "at least", "maxLength": "at most"}
    words += [f"{names[key]} {schema[key]}" for key in names if key in schema]
    return html.escape(", ".join(words))


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    scopes = sorted({scope for each in operation["security"] for scopes in each.values() for scope in scopes})
    head = f'<h3><span class="method">{method.upper()}</span> <code>{html.escape(path)}</code></h3>'
    parts = [
        f'<section id="{operation["operationId"]}">{head}<p><strong>{html.escape(operation["summary"])}</strong></p>',
        prose(operation.get("description", "")),
        f"<p>Needs the scope <code>{html.escape(' '.join(scopes))}</code>.</p>" if scopes else "",
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (
                f"<code>{html.escape(each['name'])}</code>",
                f"{each['in']}{', required' if each.get('required') else ''}",
                _kind(each["schema"]),
                prose(each.get("description", "")),
            )
            for each in parameters
        ]
        parts.append("<h4>Parameters</h4>" + _table(("Name", "Where", "What", ""), rows))
    for content in operation.get("requestBody", {}).get("content", {}).values():
        parts.append(f"<h4>Body</h4><p>{_kind(content['schema'])}</p>")
        parts.append(_example(content["example"]) if "example" in content else "")
    parts.append("<h4>Answers</h4>" + _answers(operation["responses"]) + "</section>")
    return "".join(parts)


def _answers(responses: Mapping[str, Any]) -> str:
    rows = []
    for status, response in responses.items():
        content: Mapping[str, Any] = next(iter(response.get("content", {}).values()), {})
        codes = ", ".join(f"<code>{html.escape(code)}</code>" for code in content.get("examples", {}))
        rows.append(
            (status, codes or _kind(content.get("schema", {"type": "nothing"})), prose(response["description"]))
        )
    return _table(("Status", "What", ""), rows)


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (
            f"<code>{html.escape(field)}</code>",
            _kind(part) + ("" if field in required else ", optional"),
            prose(str(part.get("description", ""))),
        )
        for field, part in schema.get("properties", {}).items()
    ]
    body = _table(("Member", "What", ""), rows) if rows else f"<p>{_kind(schema)}</p>"
    return f'<section id="schema-{name}"><h3>{name}</h3>{prose(schema.get("description", ""))}{body}</section>'


def _events(webhooks: Mapping[str, Any]) -> str:
    """Return a table of what endpoints are told."""
    rows = []
    for name, item in webhooks.items():
        told = item["post"]["requestBody"]["content"]["application/json"]["schema"]["allOf"][1]["properties"]
        what = prose(item["post"]["summary"])
        rows.append((f"<code>{html.escape(name)}</code>", str(told["version"]["const"]), _kind(told["data"]), what))
    return _table(("Event", "Version", "Data", ""), rows)


def render_page(document: Mapping[str, Any], beside: Sequence[str] = ()) -> str:
    """Return a document as an HTML page, with links to it and to those beside it."""
    title = html.escape(document["info"]["title"])
    by_tag: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "servers":
                by_tag.setdefault(operation["tags"][0], []).append((method, path, operation))
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    contents = "".join(
        f"<li>{html.escape(tag)}<ul>"
        + "".join(
            f'<li><a href="#{op["operationId"]}">{html.escape(op["summary"])}</a></li>' for _, _, op in operations
        )
        + "</ul></li>"
        for tag, operations in by_tag.items()
    )
    rooms = "".join(
        f"<h2>{html.escape(tag)}</h2>{prose(described.get(tag, ''))}"
        + "".join(_operation(*each) for each in operations)
        for tag, operations in by_tag.items()
    )
    webhooks = document.get("webhooks", {})
    if webhooks:
        contents += '<li><a href="#webhooks">Webhooks, by event</a></li>'
        rooms += '<h2 id="webhooks">Webhooks, by event</h2>' + _events(webhooks)
    schemas = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    server = html.escape(document["servers"][0]["url"])
    links = "".join(f' · <a href="{each}">{each}</a>' for each in ("openapi.json", *beside))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="docs/style.css"></head><body>'
        f'<a class="skip" href="#main">To the operations</a><header><h1>{title}</h1>'
        f'<p><code>{server}</code>{links} · <a href="docs/changes">Changes</a></p></header>'
        f'<nav aria-label="Contents"><ul>{contents}<li><a href="#schemas">Schemas</a></li></ul></nav>'
        f'<main id="main">{prose(document["info"]["description"])}{rooms}<h2 id="schemas">Schemas</h2>{schemas}</main>'
        "</body></html>"
    )


def render_changes(title: str, text: str) -> str:
    """Return the page of changes, which is written in a little Markdown, as HTML."""
    parts: list[str] = []
    for block in text.strip().split("\n\n"):
        marks, _, rest = block.partition(" ")
        if block.startswith("#"):
            parts.append(f"<h{len(marks)}>{html.escape(rest)}</h{len(marks)}>")
        elif block.startswith("- "):
            lines = (_CODE.sub(r"<code>\1</code>", html.escape(line.removeprefix("- "))) for line in block.split("\n"))
            parts.append("<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>")
        else:
            parts.append(prose(block))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}: changes</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="style.css"></head><body>'
        f'<header><p>{html.escape(title)} · <a href="../docs">Reference</a></p></header><nav aria-label="Pages"></nav>'
        f'<main id="main">{"".join(parts)}</main></body></html>'
    )


STYLE: Final = """\
:root{--primary:#1d4ed8;--on-primary:#ffffff;--ink:#111827;--paper:#ffffff;--soft:#f3f4f6;--line:#d1d5db;--link:#1e40af}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:var(--paper);font:16px/1.5 system-ui,sans-serif;display:grid;
grid-template-columns:18rem minmax(0,1fr)}
header{grid-column:1/-1;background:var(--primary);color:var(--on-primary);padding:1rem 1.5rem}
header h1{margin:0}header a{color:inherit}
nav{padding:1rem;border-right:1px solid var(--line);font-size:.9rem}
nav>ul{position:sticky;top:0;max-height:100vh;overflow:auto}
nav ul{list-style:none;margin:0;padding-left:.75rem}
main{padding:1rem 1.5rem}a{color:var(--link)}
section{border-top:1px solid var(--line);padding:.5rem 0 1rem}
h3,h4{margin:.75rem 0 .25rem}.method{background:var(--soft);padding:.1rem .5rem;border-radius:.25rem}
code,pre{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
pre{background:var(--soft);padding:.75rem;overflow:auto}
.wide{overflow:auto}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid var(--line);padding:.25rem .5rem;text-align:left;vertical-align:top}td p{margin:0}
.skip{position:absolute;left:-999rem}.skip:focus{left:0;background:var(--paper);padding:.5rem}
@media(max-width:50rem){body{display:block}nav{border:0}nav>ul{position:static;max-height:none}}
@media(prefers-color-scheme:dark){:root{--ink:#f3f4f6;--paper:#111827;--soft:#1f2937;--line:#374151;--link:#93c5fd}}
"""
