"""How the room declares its pages: once, for each of the four sign-ins."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar

from billfold_server.http.routing import Call, Reply, Routes
from billfold_server.people import sessions
from billfold_server.people.desk import Desk
from billfold_server.people.pages.kit import Instead, declare_page, form_of, root_of, sign_in_address
from billfold_server.people.queries import UserRow
from billfold_server.people.sessions import Session

__all__ = ["form_of", "go", "page", "platform_routes", "routes", "signed_in"]

routes = Routes(
    tag="Pages", description="What a tenant's people see when they sign in and agree.", audience="tenant-public"
)
platform_routes = Routes(tag="Pages", description="What operators see when they sign in.", audience="platform-public")

H = TypeVar("H", bound=Callable[..., Awaitable[Reply[bytes]]])


def page(method: Literal["GET", "POST"], path: str) -> Callable[[H], H]:
    """Declare a page of all four sign-ins.

    Args:
        method: GET shows, POST takes a form.
        path: Below the realm's root.
    """

    def declare(handler: H) -> H:
        for realm, room, root in (
            ("psu", routes, "/auth"),
            ("staff", routes, "/auth/staff"),
            ("partner", routes, "/auth/partner"),
            ("operator", platform_routes, "/platform/auth"),
        ):
            declare_page(room, method, root + path, prefix=realm)(handler)
        return handler

    return declare


def go(call: Call, path: str, *, cookies: Sequence[str] = (), absolute: bool = False) -> Reply[bytes]:
    """Send the browser to a page, by GET (RFC 9110, section 15.4.4).

    Args:
        call: The request.
        path: Below the realm's root.
        cookies: ``Set-Cookie`` headers.
        absolute: Whether the path isn't below the root, but complete.
    """
    location = path if absolute else root_of(call) + path
    return Reply(status=303, headers={"Location": location, "Cache-Control": "no-store"}, cookies=tuple(cookies))


async def signed_in(call: Call, *, back: str | None = None) -> tuple[Desk, Session, UserRow]:
    """Return who is signed in at the address's realm.

    Args:
        call: The request.
        back: To which page a sign-in leads back, where that isn't the account.

    Raises:
        Instead: Nobody is, or they have to enrol first.
    """
    desk = Desk(call)
    async with desk.tx() as tx:
        found = await sessions.current(desk, tx)
    if found is None:
        there = go(call, "/sign-in") if back is None else go(call, sign_in_address(call, back), absolute=True)
        raise Instead(there)
    if found[0].stage == "enrolling":
        raise Instead(go(call, "/enrol/steps"))
    return desk, *found
