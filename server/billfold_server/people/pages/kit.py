"""Renders pages: template, tenant's looks, language, and the headers that keep a page from being abused.

A room shows a page by ``render`` and declares its routes with ``surface="page"``, so that what the pipeline refuses
becomes a page as well. A form holds ``{{ csrf_field() }}``, and whoever takes it calls ``check_csrf`` first.

The content security policy allows the kit's own style sheet and script files and nothing else: no inline script or
style, no frame, no third party (CSP Level 3).
"""

import base64
import functools
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast
from urllib.parse import urlencode

import jinja2
import msgspec
from markupsafe import Markup

from billfold import errors
from billfold.clock import Clock
from billfold_server.http import problems
from billfold_server.http.answers import Answer, on_the_wire
from billfold_server.http.context import RequestContext
from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.keys.service import Keyring
from billfold_server.people.onwards import leads_to
from billfold_server.people.pages import brand, cookies, forms, words
from billfold_server.tenancy.context import TenantRef

__all__ = [
    "MEDIA_TYPE",
    "SCRIPTS",
    "SHEETS",
    "Instead",
    "LoginRealm",
    "Pages",
    "answering",
    "check_csrf",
    "declare_page",
    "form_of",
    "is_known",
    "language_of",
    "page_error",
    "pages_of",
    "render",
    "root_of",
    "session_cookie",
    "sign_in_address",
]

MEDIA_TYPE: Final = "text/html; charset=utf-8"
_FORM: Final = "application/x-www-form-urlencoded"
H = TypeVar("H", bound=Callable[..., Awaitable[Reply[bytes]]])
LoginRealm = Literal["psu", "staff", "partner", "operator"]
"""Whose sign-in it is: a payment service user's, a bank's staff's, a partner's member's, or a platform operator's."""

SCRIPTS: Final = ("passkeys.js", "card.js")
"""What a page may load; most load nothing."""

SHEETS: Final = ("portal.css",)
"""Style sheets that rooms lay over the kit's own."""

_FOLDER: Final = Path(__file__).parent
_BROWSER: Final = "browser"
_LANGUAGE: Final = "language"
_LANGUAGE_AGE_S: Final = 365 * 24 * 3600
_BROWSER_CHARACTERS: Final = 43
_SPOKEN: Final = frozenset({400, 403, 404, 405, 408, 413, 415, 429, 503})
_ROOTS: Final[dict[LoginRealm, str]] = {"staff": "/auth/staff", "partner": "/auth/partner"}
"""Where the sign-ins are that aren't at ``/auth`` itself."""
_PORTAL: Final = "/portal"
_HEADERS: Final = {
    "Content-Type": MEDIA_TYPE,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "publickey-credentials-get=(self), publickey-credentials-create=(self), "
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
    ),
}


class Visit(msgspec.Struct, frozen=True, eq=False):
    """A browser's request, as far as a page depends on it.

    Attributes:
        tenant: Whose page it is; None is the platform's.
        headers: The request's headers.
        mount: What stands before the paths of tenant or platform.
        path: The path below that.
        memo: The request's own notes.
    """

    tenant: TenantRef | None
    headers: Mapping[str, str]
    mount: str
    path: str
    memo: dict[str, Any]

    @classmethod
    def of(cls, source: Call | RequestContext) -> "Visit":
        """Return the visit that a request is."""
        tenant = source.tenant_or_none if isinstance(source, Call) else source.tenant
        memo = source.memo if isinstance(source, Call) else {}
        return cls(tenant, source.headers, source.mount, source.path, memo)

    @property
    def realm(self) -> LoginRealm:
        """Return whose sign-in the page belongs to."""
        if self.tenant is None:
            return "operator"
        if self.path.startswith(_PORTAL):
            # Partners' members and the bank's staff look at the same pages: who is signed in, or was on this device.
            known = ("session-partner", "session-staff", "device-partner")
            found = next((name for name in known if self._has_cookie(name)), "")
            return "partner" if found.endswith("-partner") else "staff"
        return next((realm for realm, root in _ROOTS.items() if self.path.startswith(root)), "psu")

    def _has_cookie(self, name: str) -> bool:
        return any(each.endswith(f"billfold-{name}") for each in cookies.read(self.headers.get("cookie")))

    @property
    def root(self) -> str:
        """Return the path under which the pages of its realm lie."""
        return self.root_of(self.realm)

    def root_of(self, realm: LoginRealm) -> str:
        """Return the path under which the pages of a realm lie."""
        return self.mount + _ROOTS.get(realm, "/auth")

    @property
    def owner(self) -> str:
        """Return the name of tenant or platform, to which tokens are bound."""
        return "platform" if self.tenant is None else self.tenant.id.hex


class Pages:
    """What all pages of a process are made with; ``build_app`` keeps it in ``Services.rooms["pages"]``.

    Args:
        keyring: Keys the tokens of forms.
        clock: The real clock.
        base_url: How the world reaches the server.
    """

    def __init__(self, keyring: Keyring, clock: Clock, base_url: str) -> None:
        self._key = keyring.derive("forms of pages")
        self._clock = clock
        self.secure = base_url.startswith("https://")
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._style = (_FOLDER / "assets" / "kit.css").read_text(encoding="utf-8")
        self._scripts = {name: (_FOLDER / "assets" / name).read_bytes() for name in SCRIPTS}
        self._sheets = {name: (_FOLDER / "assets" / name).read_bytes() for name in SHEETS}

    def cookie(self, visit: Visit, name: str) -> str | None:
        """Return a cookie of ours, or None."""
        wanted = cookies.named(name, mount=visit.mount, secure=self.secure)
        return cookies.read(visit.headers.get("cookie")).get(wanted)

    def written(self, visit: Visit, name: str, value: str, *, max_age_s: int | None = None) -> str:
        """Return the header that sets a cookie of ours."""
        return cookies.written(name, value, mount=visit.mount, secure=self.secure, max_age_s=max_age_s)

    def browser(self, visit: Visit) -> str:
        """Return by what the browser is told from others; one that is new here is given it with the page."""
        known = self.cookie(visit, _BROWSER)
        if known is not None and len(known) == _BROWSER_CHARACTERS:
            return known
        fresh: str = visit.memo.setdefault(_BROWSER, secrets.token_urlsafe(32))
        return fresh

    def style(self, tenant: TenantRef | None) -> bytes:
        """Return the style sheet in a tenant's colours."""
        return (brand.style_of(brand.brand_of(tenant).colors) + self._style).encode()

    def sheet(self, name: str) -> bytes:
        """Return one of the further style sheets, whose colours are the kit's."""
        return self._sheets[name]

    def script(self, name: str) -> bytes:
        """Return one of the scripts: passkeys, and cards that are encrypted in the browser, can't do without."""
        return self._scripts[name]

    def language(self, visit: Visit, ui_locales: str | None = None, preferred: str | None = None) -> str:
        """Return a page's language: as was asked, as was chosen before, as the person likes it, as the browser says."""
        wishes = (ui_locales, self.cookie(visit, _LANGUAGE), preferred)
        return words.choose(wishes, visit.headers.get("accept-language"))

    def speak(self, visit: Visit, wish: str | None, *, max_age_s: int) -> tuple[str, ...]:
        """Return the header by which pages speak for a while as a client wishes, unless somebody has chosen here.

        Args:
            visit: The visit.
            wish: Languages, the preferred first.
            max_age_s: For how long.
        """
        language = words.spoken_of(wish)
        if language is None or self.cookie(visit, _LANGUAGE) is not None:
            return ()
        return (self.written(visit, _LANGUAGE, language, max_age_s=max_age_s),)

    def page(
        self,
        visit: Visit,
        template: str,
        view: Mapping[str, Any],
        *,
        status: int = 200,
        ui_locales: str | None = None,
        preferred: str | None = None,
        form_to: Sequence[str] | None = (),
        script: bool = False,
        framed_by: Sequence[str] = (),
    ) -> Reply[bytes]:
        """Return a page; ``render`` says what is what."""
        language = self.language(visit, ui_locales, preferred)
        browser = self.browser(visit)
        fresh: list[str] = []
        if browser != self.cookie(visit, _BROWSER):
            fresh.append(self.written(visit, _BROWSER, browser))
        if ui_locales is not None:
            fresh.append(self.written(visit, _LANGUAGE, language, max_age_s=_LANGUAGE_AGE_S))

        def csrf_field(realm: LoginRealm | None = None) -> Markup:
            value = forms.token(self._key, *self._bound(visit, browser, realm), now_s=self._now_s())
            return Markup('<input type="hidden" name="{}" value="{}">').format(forms.FIELD, value)

        def once_field() -> Markup:
            return Markup('<input type="hidden" name="{}" value="{}">').format(forms.ONCE, secrets.token_urlsafe(16))

        def say(key: str, /, **values: object) -> str:
            return words.text_of(language, key, **values)

        own = self._surroundings(visit, language)
        said = {**own, "t": say, "csrf_field": csrf_field, "once_field": once_field, **view}
        text = self._templates.get_template(template).render(said)
        policy = _policy(form_to, script=script, framed_by=framed_by)
        headers = {**_HEADERS, "Content-Language": language, "Content-Security-Policy": policy}
        if framed_by:
            # A page that isolates itself takes frames only from who says that they are for others (COEP).
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return Reply(body=text.encode(), status=status, headers=headers, cookies=tuple(fresh))

    def _surroundings(self, visit: Visit, language: str) -> dict[str, Any]:
        looks = brand.brand_of(visit.tenant)
        return {
            "language": language,
            "languages": words.LANGUAGES,
            "brand": looks,
            "root": visit.root,
            "root_of": visit.root_of,
            "mount": visit.mount,
            "assets": f"{visit.mount}/auth/assets",
            "version": self._version(visit.tenant),
            "realm": visit.realm,
            "person": None,
            "here": None,
            "start": _start_of(visit),
        }

    def _version(self, tenant: TenantRef | None) -> str:
        logo = brand.brand_of(tenant).logo_image or ""
        assets = [self.style(tenant), *self._sheets.values(), *self._scripts.values(), logo.encode()]
        return hashlib.sha256(b"".join(assets)).hexdigest()[:12]

    def check(self, visit: Visit, form: Mapping[str, str]) -> None:
        """Refuse a form that isn't ours; ``check_csrf`` says how."""
        browser = self.cookie(visit, _BROWSER)
        given = form.get(forms.FIELD, "")
        elsewhere = visit.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        bound = self._bound(visit, browser or "")
        if browser is None or elsewhere or not forms.stands(self._key, given, *bound, now_s=self._now_s()):
            raise errors.PermissionDenied("the form was made for another visit", param=forms.FIELD)

    def _bound(self, visit: Visit, browser: str, realm: LoginRealm | None = None) -> tuple[str, ...]:
        realm = realm or visit.realm
        session = self.cookie(visit, session_cookie(realm)) or ""
        return visit.owner, realm, browser, base64.b64encode(hashlib.sha256(session.encode()).digest()).decode()

    def _now_s(self) -> int:
        return int(self._clock.now().timestamp())

    def error(self, visit: Visit, key: str, status: int, *, headers: Mapping[str, str] | None = None) -> Reply[bytes]:
        """Return an error page; ``page_error`` says what is what."""
        view = {"title": f"{key}_title", "text": f"{key}_text", "request_id": None}
        reply = self.page(visit, "error.html", view, status=status)
        return msgspec.structs.replace(reply, headers={**reply.headers, **(headers or {})})

    def refusal(self, context: RequestContext, problem: errors.ProblemError) -> Answer:
        """Return the page for what any operation may refuse."""
        status = problems.status_of(type(problem))
        spoken = str(status) if status in _SPOKEN else "500"
        key = "form" if isinstance(problem, errors.PermissionDenied) and problem.param == forms.FIELD else spoken
        view = {"title": f"error.{key}_title", "text": f"error.{key}_text", "request_id": context.request_id}
        reply = self.page(Visit.of(context), "error.html", view, status=status)
        headers = {**reply.headers, **problems.problem_headers(problem)}
        headers.pop("WWW-Authenticate", None)
        set_cookies = [(b"set-cookie", each.encode("latin-1")) for each in reply.cookies]
        assert isinstance(reply.body, bytes)
        return Answer(status, reply.body, [*on_the_wire(headers), *set_cookies])


def _start_of(visit: Visit) -> str | None:
    """Return where somebody begins anew whom a page can't help; None where they are at somebody else's page."""
    if visit.path.startswith(_PORTAL):
        return visit.mount + _PORTAL
    # The platform's addresses are whole.
    below = visit.path.removeprefix(visit.mount) if visit.tenant is None else visit.path
    return f"{visit.root}/account" if below.startswith(("/auth", "/oauth")) else None


def _policy(form_to: Sequence[str] | None, *, script: bool, framed_by: Sequence[str]) -> str:
    # Where a policy names who may frame a page, browsers pass over X-Frame-Options (CSP Level 3, section 6.4.2.2).
    frames = " ".join(["frame-ancestors", *(framed_by or ["'none'"])])
    parts = ["default-src 'none'", "style-src 'self'", "img-src 'self'", "base-uri 'none'", frames]
    if form_to is not None:
        parts.append(" ".join(["form-action 'self'", *form_to]))
    if script:
        parts.append("script-src 'self'")
    return "; ".join([*parts, "require-trusted-types-for 'script'"])


def session_cookie(realm: LoginRealm) -> str:
    """Return the name of the cookie that holds a realm's session."""
    return f"session-{realm}"


def is_known(call: Call, realm: LoginRealm) -> bool:
    """Tell whether the browser brings a session's cookie, which says nothing about whether that still holds."""
    return pages_of(call).cookie(Visit.of(call), session_cookie(realm)) is not None


def pages_of(call: Call) -> Pages:
    """Return what makes the pages of this process."""
    pages = call.services.rooms["pages"]
    assert isinstance(pages, Pages)
    return pages


class Instead(Exception):
    """A visitor gets another answer than the page that they ask for, such as where to sign in first.

    Attributes:
        reply: Which.
    """

    def __init__(self, reply: Reply[bytes]) -> None:
        super().__init__()
        self.reply = reply


def answering(handler: H) -> H:
    """Return a page's handler that answers with another reply where it raises ``Instead``."""

    @functools.wraps(handler)
    async def page(*args: Any, **kwargs: Any) -> Reply[bytes]:
        try:
            return await handler(*args, **kwargs)
        except Instead as instead:
            return instead.reply

    return cast("H", page)


def declare_page(routes: Routes, method: Literal["GET", "POST"], path: str, *, prefix: str) -> Callable[[H], H]:
    """Declare a page, which no document shows: GET shows it, POST takes its form. Either may raise ``Instead``.

    Args:
        routes: Of which room.
        method: GET or POST.
        path: The whole path, from the tenant's on.
        prefix: How the operation's id begins; the handler's name follows.
    """

    def declare(handler: H) -> H:
        name = "".join(part.capitalize() for part in handler.__name__.split("_"))
        routes.operation(
            method,
            path,
            operation_id=prefix + name,
            in_document=False,
            surface="page",
            body_media_type=_FORM if method == "POST" else "application/json",
            response_media_type=MEDIA_TYPE,
        )(answering(handler))
        return handler

    return declare


def root_of(call: Call, realm: LoginRealm | None = None) -> str:
    """Return the path under which the pages of a realm lie, such as ``/t/sandbox/auth``; the request's where absent."""
    visit = Visit.of(call)
    return visit.root_of(realm or visit.realm)


def sign_in_address(call: Call, back: str) -> str:
    """Return where somebody signs in to come back to a page.

    Args:
        call: The request.
        back: The page, as an address below the tenant's: ``/portal/…``. One that isn't foreseen leads to the account,
            and what isn't in its query to the page without it.
    """
    if not leads_to(back):
        back = back.partition("?")[0]
    return f"{root_of(call)}/sign-in?{urlencode({'to': back})}"


def language_of(call: Call, *, ui_locales: str | None = None, preferred: str | None = None) -> str:
    """Return the language in which a page is shown to a visitor."""
    return pages_of(call).language(Visit.of(call), ui_locales, preferred)


def render(
    call: Call,
    template: str,
    view: Mapping[str, Any],
    *,
    status: int = 200,
    ui_locales: str | None = None,
    preferred: str | None = None,
    form_to: Sequence[str] | None = (),
    script: bool = False,
    framed_by: Sequence[str] = (),
) -> Reply[bytes]:
    """Return a page under the brand of the tenant, or of the platform.

    In the template, ``t(key, **values)`` says a text in the page's language, ``csrf_field()`` stands in each form (with
    a realm in one that goes to another realm's page), ``once_field()`` in one that counts once, ``root``, ``mount`` and
    ``assets`` begin addresses, and ``brand``, ``language`` and ``realm`` are what they say.

    Args:
        call: The request.
        template: A file of ``people/pages/templates``, which extends ``base.html``.
        view: What it shows; everything is escaped.
        status: The HTTP status.
        ui_locales: Languages that were asked for just now; the choice is remembered.
        preferred: The person's own language.
        form_to: Origins to which a form's answer may redirect, beside our own; None for any, because browsers hold
            the whole chain of redirects against ``form-action`` (CSP Level 3, section 6.4.2).
        script: Whether the page loads one of ``SCRIPTS``.
        framed_by: Origins whose pages may show it in a frame.
    """
    return pages_of(call).page(
        Visit.of(call),
        template,
        view,
        status=status,
        ui_locales=ui_locales,
        preferred=preferred,
        form_to=form_to,
        script=script,
        framed_by=framed_by,
    )


def page_error(call: Call, key: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> Reply[bytes]:
    """Return an error page, which says what to do next and nothing about who exists.

    Args:
        call: The request.
        key: ``topic.name``; the texts are ``topic.name_title`` and ``topic.name_text``.
        status: The HTTP status.
        headers: Further headers.
    """
    return pages_of(call).error(Visit.of(call), key, status, headers=headers)


def check_csrf(call: Call, form: Mapping[str, str]) -> None:
    """Refuse a form that wasn't made for this browser, session and realm, or was sent by another site.

    Raises:
        errors.PermissionDenied: Its ``param`` is ``csrf``.
    """
    pages_of(call).check(Visit.of(call), form)


def form_of(call: Call, body: bytes) -> dict[str, str]:
    """Return a form of ours.

    Raises:
        errors.MalformedBody: It is no form.
        errors.PermissionDenied: It wasn't made for this visit.
    """
    form = forms.read(body)
    check_csrf(call, form)
    return form
