"""What a third party asks a bank, without input or output: an order, who asks, and how it goes over the wire."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import msgspec

from billfold import errors
from billfold.client._encoding import segment
from billfold.client._flow import Call, Timeouts
from billfold.client._message import Response
from billfold.clock import ensure_utc
from billfold.consents.refusals import INTERACTION, refusal_of

if TYPE_CHECKING:
    from billfold.keys.signer import Signer

__all__ = ["Customer", "Manner", "Order", "call_of", "next_query", "path_of", "query_of"]

T = TypeVar("T")

Area = Literal["aisp", "pisp", "cbpii", "events"]

VERSION: Final = "/open-banking/v4.0"
_MAX_KEY: Final = 40


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """The person on whose behalf a call is made, where they are there. The bank may ask less of who is present.

    Attributes:
        ip_address: Where they are, as we see it.
        user_agent: With what.
        signed_in_at: When they last signed in with us.
    """

    ip_address: str | None = None
    user_agent: str | None = None
    signed_in_at: datetime | None = None

    def headers(self) -> dict[str, str]:
        """Return how the standard tells the bank."""
        date = None
        if self.signed_in_at is not None:
            from email.utils import format_datetime  # noqa: PLC0415  # Takes as long to import as half of the SDK.

            date = format_datetime(ensure_utc(self.signed_in_at), usegmt=True)
        given = {
            "x-fapi-customer-ip-address": self.ip_address,
            "x-customer-user-agent": self.user_agent,
            "x-fapi-auth-date": date,
        }
        return {name: value for name, value in given.items() if value is not None}


class Manner:
    """How a third party speaks.

    Attributes:
        signer: The key that signs orders, or None.
        issuer: Who signs, as its directory names it.
        trust_anchor: Whose directory knows the key.
        verifies: Whether answers have to be signed by the bank, where the standard says that they are.
        customer: On whose behalf.
    """

    __slots__ = ("customer", "issuer", "signer", "trust_anchor", "verifies")

    def __init__(
        self, *, signer: "Signer | None", issuer: str, trust_anchor: str, verifies: bool, customer: Customer | None
    ) -> None:
        self.signer = signer
        self.issuer = issuer
        self.trust_anchor = trust_anchor
        self.verifies = verifies
        self.customer = customer

    def on_behalf_of(self, customer: Customer) -> "Manner":
        """Return the same for a customer."""
        return Manner(
            signer=self.signer,
            issuer=self.issuer,
            trust_anchor=self.trust_anchor,
            verifies=self.verifies,
            customer=customer,
        )


class Order(Generic[T]):
    """One thing that is asked of a bank.

    Args:
        method: The HTTP method.
        area: The part of the interface.
        path: Below the part's address, with ids in it already.
        answer: The contract's class of what comes back; None where nothing does.
        body: What is sent.
        query: Parameters.
        key: The idempotency key, which makes it safe to repeat.
        signed: Whether what is sent is signed.
        answer_signed: Whether what comes back is.
        repeatable: Whether it is safe to repeat anyway.
        accept: In what form the answer shall come.
        patience_s: How much longer than usual the bank may take.
    """

    __slots__ = (
        "accept",
        "answer",
        "answer_signed",
        "area",
        "body",
        "key",
        "method",
        "path",
        "patience_s",
        "query",
        "repeatable",
        "signed",
    )

    def __init__(
        self,
        method: str,
        area: Area,
        path: str,
        answer: type[T],
        *,
        body: msgspec.Struct | None = None,
        query: Mapping[str, str] | None = None,
        key: str | None = None,
        signed: bool = False,
        answer_signed: bool = False,
        repeatable: bool | None = None,
        accept: str = "application/json",
        patience_s: float = 0.0,
    ) -> None:
        self.method = method
        self.area = area
        self.path = path
        self.answer = answer
        self.body = None if body is None else msgspec.json.encode(body)
        self.query = dict(query or {})
        self.key = key
        self.signed = signed
        self.answer_signed = answer_signed
        self.repeatable = (method == "GET" or key is not None) if repeatable is None else repeatable
        self.accept = accept
        self.patience_s = patience_s


def new_key(given: str | None) -> str:
    """Return an idempotency key: the caller's, or a new one.

    Raises:
        ValueError: It has more than forty characters, or ones that a header can't hold.
    """
    if given is None:
        return uuid4().hex
    if not 1 <= len(given) <= _MAX_KEY or not given.isascii() or not given.isprintable() or " " in given:
        raise ValueError("an idempotency key of open banking has 1 to 40 visible ASCII characters")
    return given


def path_of(*parts: str) -> str:
    """Return a path of an address's fixed parts and ids: ``path_of("accounts", account_id, "balances")``.

    Raises:
        ValueError: An id is empty, or would lead elsewhere.
    """
    return "".join(f"/{segment(part)}" for part in parts)


def query_of(**values: datetime | str | None) -> dict[str, str]:
    """Return parameters; what is None is left out. Instants are sent in UTC, since banks pass over the zone."""
    return {
        name: ensure_utc(value).astimezone(UTC).isoformat().replace("+00:00", "Z")
        if isinstance(value, datetime)
        else value
        for name, value in values.items()
        if value is not None
    }


def root_of(area: Area) -> str:
    """Return where an area's operations are, below the bank's base."""
    return VERSION if area == "events" else f"{VERSION}/{area}"


def call_of(
    order: Order[Any], base_url: str, *, headers: Mapping[str, str], timeouts: Timeouts, manner: Manner
) -> Call:
    """Return an order as a call, which gives the whole response; its signature is still missing."""
    path = f"{root_of(order.area)}{order.path}"
    suffix = f"?{urlencode(order.query)}" if order.query else ""
    own = {**headers, "accept": order.accept, INTERACTION: str(uuid4())}
    if manner.customer is not None:
        own |= manner.customer.headers()
    if order.body is not None:
        own["content-type"] = "application/json; charset=utf-8"
    if order.key is not None:
        own["x-idempotency-key"] = order.key
    if order.patience_s:
        timeouts = Timeouts(
            connect_s=timeouts.connect_s,
            read_s=timeouts.read_s + order.patience_s,
            total_s=timeouts.total_s + order.patience_s,
        )
    return Call(
        order.method,
        f"{base_url}{path}{suffix}",
        name=f"{order.method} {path}",
        headers=own,
        body=order.body,
        read=_unused,
        receive=_whole,
        fail=refusal_of,
        timeouts=timeouts,
        repeatable=order.repeatable,
    )


def _unused(_body: bytes) -> None:
    return None


def _whole(response: Response) -> Response:
    return response


def next_query(link: object, order: Order[Any], present: Mapping[str, str]) -> dict[str, str] | None:
    """Return the parameters of the page that follows, or None after the last.

    Only the query is taken from the bank's link, so that it leads nowhere else than where the list itself is.

    Args:
        link: What the bank says.
        order: The list.
        present: The parameters of the page that says so.

    Raises:
        errors.MalformedAnswer: It leads to another place, or back to the same page.
    """
    if not isinstance(link, str):
        return None
    parts = urlsplit(link)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not parts.path.endswith(f"{root_of(order.area)}{order.path}"):
        raise errors.MalformedAnswer("the link to the next page leads to another place")
    if query == dict(present):
        raise errors.MalformedAnswer("the link to the next page leads back to the same")
    return query
