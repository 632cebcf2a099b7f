"""Makes of a request that was seen what the log shows of it."""

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from billfold.contract.common import Problem
from billfold.contract.requests import UNKNOWN_MEMBERS, WITHHELD, LoggedBodyState, LoggedMessage
from billfold_server.http import problems
from billfold_server.http.expansion import PARAMETER
from billfold_server.http.reading import media_type
from billfold_server.request_log.rows import Exchange, RequestRow, Seen
from billfold_server.request_log.rules import ANSWERED, SENT, Left, Redaction, Show, shown_headers

if TYPE_CHECKING:
    from billfold_server.http.routing import Operation

__all__ = ["BODIES", "READ_BYTES", "Shower"]

BODIES: Final = "/v1/"
"""Below it bodies are kept, and nowhere else: what OAuth and open banking say is another contract's."""

READ_BYTES: Final = 128 * 1024
"""A body that is larger isn't looked at."""

_PARAMETER: Final = re.compile(r"\{([a-z_]+)\}")
_QUERY_CHARACTERS: Final = 2_000
_PATH_CHARACTERS: Final = 500
_PARAMETERS: Final = 50


class _OfOperation(msgspec.Struct, frozen=True, kw_only=True):
    """How messages of one operation are shown.

    Attributes:
        path: Finds the parameters in an address.
        bodies: Whether bodies are kept at all.
    """

    path: re.Pattern[str]
    in_path: Mapping[str, Show]
    in_query: Mapping[str, Show]
    body: Show | None
    answer: Show | None
    bodies: bool


class Shower:
    """Shows requests, each by the types of its operation.

    Args:
        personal: The names of members that tell of people.
    """

    def __init__(self, personal: Collection[str]) -> None:
        self._redaction = Redaction(personal)
        self._problem = self._redaction.of(Problem)
        self._of: dict[str, _OfOperation] = {}

    def row(self, seen: Seen) -> RequestRow:
        """Return the log's row of a request."""
        operation = seen.operation
        how = None if operation is None else self._how(operation)
        return RequestRow(
            id=seen.id,
            request_id=seen.request_id,
            method=seen.method[:20],
            operation=None if operation is None else operation.operation_id,
            path=None if operation is None or how is None else _path(operation, how, seen.path),
            status=seen.status,
            code=seen.code,
            client_id=seen.client_id,
            took_ms=seen.took_ms,
            exchange=msgspec.json.encode(self._exchange(seen, how)),
        )

    def _exchange(self, seen: Seen, how: _OfOperation | None) -> Exchange:
        answered = {name.decode("latin-1"): value.decode("latin-1") for name, value in seen.answered}
        refused = media_type(answered.get("content-type")) == problems.MEDIA_TYPE
        bodies = how is not None and how.bodies
        show = self._problem if refused else None if how is None else how.answer
        return Exchange(
            query={} if how is None else _query(seen.query, how.in_query),
            request=LoggedMessage(
                headers=shown_headers(seen.sent, SENT),
                **_body(seen.body, how.body if bodies and how is not None else None),
            ),
            response=LoggedMessage(
                headers=shown_headers(answered, ANSWERED),
                **_body(seen.answer, show if bodies or (refused and how is None) else None),
            ),
        )

    def _how(self, operation: "Operation") -> _OfOperation:
        how = self._of.get(operation.operation_id)
        if how is None:
            how = self._of[operation.operation_id] = self._made(operation)
        return how

    def _made(self, operation: "Operation") -> _OfOperation:
        signature = operation.signature
        bodies = operation.path.startswith(BODIES)
        pattern = _PARAMETER.sub(r"(?P<\1>[^/]+)", operation.path)
        parameter = self._redaction.of_parameter
        in_query = {name: parameter(name, kind) for name, kind in signature.query_types.items()}
        if operation.expansion is not None:
            in_query[PARAMETER] = _show_names(frozenset(operation.expansion.kinds))
        return _OfOperation(
            path=re.compile(pattern),
            in_path={name: parameter(name, kind) for name, kind in signature.path_types.items()},
            in_query=in_query,
            body=self._redaction.of(signature.body_type) if bodies and _is_read(signature.body_type) else None,
            answer=self._redaction.of(signature.response) if bodies and _is_read(signature.response) else None,
            bodies=bodies,
        )


def _show_names(known: frozenset[str]) -> Show:
    """Show names with commas between, if all of them are known."""
    return lambda value, _left: value if known.issuperset(value.split(",")) else WITHHELD


def _is_read(kind: Any) -> bool:
    return kind is not None and kind is not bytes


def _path(operation: "Operation", how: _OfOperation, path: str) -> str:
    """Return the operation's path with what is shown of its parameters."""
    found = how.path.fullmatch(path)
    given = {} if found is None else found.groupdict()
    shown = {name: str(show(given.get(name, ""), Left())) for name, show in how.in_path.items()}
    return _PARAMETER.sub(lambda match: shown.get(match[1], WITHHELD), operation.path)[:_PATH_CHARACTERS]


def _query(query: bytes, shows: Mapping[str, Show]) -> dict[str, Any]:
    """Return what is shown of a query; it may be of any form, as it may be the reason of a refusal."""
    shown: dict[str, Any] = {}
    unknown, left = 0, Left(_QUERY_CHARACTERS)
    for part in query.split(b"&")[:_PARAMETERS]:
        name, _, value = part.partition(b"=")
        show = shows.get(name.decode("latin-1"))
        if show is not None:
            shown[name.decode()] = show(_plain(value), left)
        elif part:
            unknown += 1
    return {**shown, UNKNOWN_MEMBERS: unknown} if unknown else shown


_ESCAPED: Final = re.compile(rb"%(3[aA]|2[bB])")


def _plain(value: bytes) -> str:
    """Return a value as it was meant: only times have characters that are escaped."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), value).decode("latin-1")


def _body(body: bytes | None, show: Show | None) -> dict[str, Any]:
    """Return what is shown of a body, and how much that is."""
    if body == b"":
        return {"body": None, "body_state": LoggedBodyState.NONE}
    if show is None:
        return {"body": None, "body_state": LoggedBodyState.WITHHELD}
    if body is None:
        return {"body": None, "body_state": LoggedBodyState.TOO_LARGE}
    left = Left()
    try:
        shown = show(msgspec.json.decode(body), left)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, ValueError):
        shown = None
    if type(shown) is not dict:
        return {"body": None, "body_state": LoggedBodyState.UNREADABLE}
    return {"body": shown, "body_state": LoggedBodyState.CUT if left.cut else LoggedBodyState.SHOWN}
