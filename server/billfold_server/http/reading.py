"""Reads what strangers send: bodies, parameters and headers, strictly and without ever failing with a 500.

Everything that arrives is hostile until it has been read here. A body has a known content type, a size that was
counted while it came in, and is one JSON text in UTF-8 without NUL, duplicate keys or deep nesting (RFC 8259 leaves
these open, RFC 7493 closes them: two readers must not be able to read two different orders of payment out of one
body). A parameter occurs once, is known, and is spelled in the one documented way. What was sent is never repeated
in the refusal.
"""

import asyncio
import functools
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import inspect as msgspec_inspect

from billfold import errors
from billfold.clock import ensure_utc
from billfold.contract.common import Request, Violation
from billfold_server.http.fields import known_fields, known_values, unknown_field
from billfold_server.http.receiving import ClientGoneError, Receiving
from billfold_server.http.shown import find_fault

__all__ = [
    "JSON",
    "MAX_DEPTH",
    "Parameters",
    "as_sent",
    "bounds_depth",
    "canonical",
    "check_content_type",
    "decode_json",
    "media_type",
    "read_body",
    "read_json",
    "split_query",
    "validation_failed",
]

R = TypeVar("R", bound=Request)

JSON: Final = "application/json"

MAX_DEPTH: Final = 32
"""How deep a body may nest. The contract's deepest needs six; PostgreSQL and Python would take a thousand."""

# A string that never ends goes to the end of the body and gives nothing back (possessive), or a body of quotes would be
# read once from each of them, and a megabyte would keep this process busy for hours.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(each for each in range(256) if each not in b"[]{}")
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def validation_failed(param: str, reason: str) -> errors.ValidationFailed:
    """Return the error that blames one value. ``reason`` is ours; nothing of the value goes in."""
    error = errors.ValidationFailed(f"{param}: {reason}", param=param)
    error.__dict__["violations"] = [Violation(param=param, reason=reason)]
    return error


# The body.


def media_type(header: str | None) -> str:
    """Return the media type that a ``Content-Type`` names, in lower case and without its parameters."""
    return (header or "").partition(";")[0].strip().lower()


def check_content_type(header: str | None, expected: str) -> None:
    """Refuse a body whose content type isn't the one that the operation takes.

    ``charset`` may be given for JSON if it is UTF-8 (RFC 8259, section 8.1 knows no other); other parameters are
    ignored.

    Raises:
        errors.UnsupportedMediaType: The header is absent or names something else.
    """
    if header == expected:
        return
    media_type, *parameters = [part.strip() for part in (header or "").lower().split(";")]
    if media_type != expected:
        raise errors.UnsupportedMediaType(f"the body's content type must be {expected}", param="Content-Type")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in {"utf-8", "utf8"}:
            raise errors.UnsupportedMediaType("the body's charset must be utf-8", param="Content-Type")


async def read_body(receiving: Receiving, content_length: str | None, limit_bytes: int, limit_s: int) -> bytes:
    """Read a body and stop as soon as it is too large, whatever its announced length says, or takes too long.

    The time is for all of it: a byte now and then would keep a connection, and what waits behind it, for ever.

    Raises:
        errors.BodyTooSlow: It hasn't all come in after ``limit_s`` seconds.
        errors.BodyTooLarge: It is announced, or turns out, to be larger than ``limit_bytes``.
        ClientGoneError: Who was sending it has gone.
    """
    # A length that is no number never gets here: the HTTP parser refuses it, since it decides where a request ends.
    if content_length is not None and content_length.isascii() and content_length.isdigit():
        digits = content_length.lstrip("0")
        if len(digits) > len(str(limit_bytes)) or int(digits or "0") > limit_bytes:
            raise _too_large(limit_bytes)
    body = receiving.at_hand()
    if body is None:
        try:
            async with asyncio.timeout(limit_s):
                body = await _collect(receiving, limit_bytes)
        except TimeoutError:
            raise errors.BodyTooSlow(f"the body may take at most {limit_s} seconds", limit_s=limit_s) from None
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    return body


async def _collect(receiving: Receiving, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= limit_bytes:
        message = await receiving()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    return b"".join(parts)


def _too_large(limit_bytes: int) -> errors.BodyTooLarge:
    return errors.BodyTooLarge(f"the body may have at most {limit_bytes} bytes", limit_bytes=limit_bytes)


_CANONICAL: Final = msgspec.json.Encoder(order="deterministic")


def canonical(body: Any) -> bytes:
    """Return what a body says, in the one way of writing it.

    Spaces, the order of members, and whether a member is absent or given its default make no other request. So what is
    asked for alone and what is asked for among others, in any program's JSON, are known as the same.

    Args:
        body: What was read from it: a ``Request`` of the contract, which leaves out its defaults.
    """
    return _CANONICAL.encode(body)


def decode_json(body: bytes, decoder: "msgspec.json.Decoder[Any]") -> Any:
    """Read one JSON text into the decoder's type.

    Raises:
        errors.MalformedBody: It is no JSON text in UTF-8 as RFC 7493 wants it, or nests too deep.
        errors.ValidationFailed: It is one, but not of the documented form.
    """
    return read_json(body, decoder)[0]


def as_sent(body: R) -> R:
    """Return a request that was made in Python as if it had come in: what is typed as a command is held to the same.

    Raises:
        errors.MalformedBody: As of ``decode_json``.
        errors.ValidationFailed: As of ``decode_json``.
    """
    try:
        said = msgspec.json.encode(body)
    except UnicodeEncodeError:
        # Arguments of a command may be any bytes (PEP 383).
        raise errors.MalformedBody("a text isn't valid UTF-8", param="body") from None
    return cast("R", decode_json(said, msgspec.json.Decoder(type(body))))


def read_json(body: bytes, decoder: "msgspec.json.Decoder[Any]") -> tuple[Any, bytes | None]:
    """Read one JSON text into the decoder's type, and return with it what it says, ``canonical``, where that is known.

    Raises:
        errors.MalformedBody: As of ``decode_json``.
        errors.ValidationFailed: As of ``decode_json``.
    """
    _check_text(body)
    type_: Any = decoder.type
    tells = tells_members(type_)
    bounded = tells or bounds_depth(type_)
    if not bounded:
        _check_depth(body)
    if not tells:
        _check_duplicates(body)
    try:
        read = decoder.decode(body)
    except msgspec.ValidationError as error:
        if tells:
            _check_duplicates(body)
        if bounded:
            _check_depth(body)
        raise _translated(error, "body", type_) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        if tells:
            _check_duplicates(body)
        raise errors.MalformedBody("the body isn't valid JSON", param="body") from None
    said = canonical(read) if tells else None
    if said is not None and not _says_as_much(body, said):
        _check_duplicates(body)
    if (fault := find_fault(type_, body, read)) is not None:
        raise validation_failed(*fault)
    return read, said


def _check_text(body: bytes) -> None:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        raise errors.MalformedBody("the body isn't valid UTF-8", param="body") from None
    if b"\x00" in body or (b"\\u0000" in body and _ESCAPED_NUL.search(body)):
        raise errors.MalformedBody("the body holds a NUL character", param="body")


@functools.cache
def bounds_depth(type_: Any) -> bool:
    """Tell whether what is of a type can't nest deeper than the type itself, so that nobody needs to look.

    True of the contract's closed requests, where it saves a thousand items a look at each of their texts.
    """
    return _is_bounded(msgspec_inspect.type_info(type_), ())


_PLAIN: Final = (
    msgspec_inspect.BoolType,
    msgspec_inspect.DateTimeType,
    msgspec_inspect.DateType,
    msgspec_inspect.EnumType,
    msgspec_inspect.IntType,
    msgspec_inspect.LiteralType,
    msgspec_inspect.NoneType,
    msgspec_inspect.StrType,
)


def _is_bounded(kind: msgspec_inspect.Type, within: tuple[type, ...]) -> bool:
    """Look into a type; what isn't known to be bounded isn't, and neither is what holds itself."""
    if isinstance(kind, msgspec_inspect.Metadata):
        return _is_bounded(kind.type, within)
    if isinstance(kind, msgspec_inspect.UnionType):
        return all(_is_bounded(each, within) for each in kind.types)
    if isinstance(kind, msgspec_inspect.ListType):
        return _is_bounded(kind.item_type, within)
    if isinstance(kind, msgspec_inspect.DictType):
        return _is_bounded(kind.value_type, within)
    if isinstance(kind, msgspec_inspect.StructType):
        inside = (*within, kind.cls)
        closed = kind.forbid_unknown_fields and kind.cls not in within
        return closed and all(_is_bounded(field.type, inside) for field in kind.fields)
    return isinstance(kind, _PLAIN)


def _check_depth(body: bytes) -> None:
    # Counting is quick; only a body with very many brackets is looked at further.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deeper(body, MAX_DEPTH):
        raise errors.MalformedBody(f"the body nests deeper than {MAX_DEPTH} levels", param="body")


def _is_deeper(body: bytes, levels: int) -> bool:
    """Tell whether a body nests deeper, or its brackets don't match: peel off the innermost pairs, level by level.

    Looking at the brackets one by one would take a third of a second for a megabyte of them.
    """
    # Which kind of bracket it is matters to the parser alone.
    brackets = _STRINGS.sub(b"", body).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(levels):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


@functools.cache
def tells_members(type_: Any) -> bool:
    """Tell whether what is of a type, written by ``canonical``, has no member that wasn't in the text it was read from.

    True of the contract's requests: what was absent has its default, and defaults are left out.
    """
    return bounds_depth(type_) and _leaves_out_defaults(msgspec_inspect.type_info(type_))


_LEFT_OUT: Final = (msgspec.NODEFAULT, list, dict, set)
"""What makes defaults that msgspec recognizes; what anything else makes is always written."""


def _leaves_out_defaults(kind: msgspec_inspect.Type, within: type | None = None) -> bool:
    """Look into a type that is bounded, of a field of a Struct or not."""
    if isinstance(kind, msgspec_inspect.Metadata):
        return _leaves_out_defaults(kind.type, within)
    if isinstance(kind, msgspec_inspect.UnionType):
        return all(_leaves_out_defaults(each, within) for each in kind.types)
    if isinstance(kind, msgspec_inspect.ListType | msgspec_inspect.DictType):
        return _leaves_out_defaults(kind.value_type if isinstance(kind, msgspec_inspect.DictType) else kind.item_type)
    if isinstance(kind, msgspec_inspect.DateTimeType):
        # An offset such as +0200 would be written with a colon, but those of requests are brought to UTC.
        return within is not None and issubclass(within, Request)
    if not isinstance(kind, msgspec_inspect.StructType):
        return True
    leaves = kind.cls.__struct_config__.omit_defaults
    return kind.tag is None and all(
        (field.required or (leaves and field.default_factory in _LEFT_OUT))
        and _leaves_out_defaults(field.type, kind.cls)
        for field in kind.fields
    )


def _says_as_much(body: bytes, said: bytes) -> bool:
    """Tell whether that alone proves that no member is there twice; it takes next to nothing where ``said`` is known.

    Each member has a colon, and where nothing is escaped, texts have as many in one as in the other; instants in UTC
    have the fewest that an instant can have. So there are no more colons in what is said than in the text. If there are
    as many, no member was lost when it was read.
    """
    return b"\\" not in body and said.count(b":") == body.count(b":")


class _DuplicateKeyError(ValueError):
    """An object has two members of one name."""


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _DuplicateKeyError


def _ignore(_digits: str) -> None:
    """Numbers are read by msgspec; here they would only cost time, or fail on 5,000 digits."""


_PAIRS = json.JSONDecoder(object_pairs_hook=_refuse_duplicates, parse_int=_ignore, parse_float=_ignore)


def _check_duplicates(body: bytes) -> None:
    if _has_as_many_members_as_colons(body):
        return
    try:
        _PAIRS.decode(body.decode())
    except _DuplicateKeyError:
        raise errors.MalformedBody("an object has two members of one name", param="body") from None
    except (ValueError, RecursionError):
        raise errors.MalformedBody("the body isn't valid JSON", param="body") from None


_FEW_COLONS: Final = 32
"""Bodies with more are lists of many things, in which it can't be told so cheaply."""


def _has_as_many_members_as_colons(body: bytes) -> bool:
    """Tell whether that alone proves that no member is there twice; it takes a fifth of the time of looking.

    Each member has a colon, whether or not another one of its name follows; strings may have more. So there are at
    least as many colons as members in the text, and as members that are left once it is read. If these are all of the
    colons, none was lost.
    """
    colons = body.count(b":")
    if colons > _FEW_COLONS:
        return False
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):
        return False
    count, left = 0, [read]
    while left:
        each = left.pop()
        if type(each) is dict:
            count += len(each)
            left += [value for value in each.values() if type(value) in _NESTING]
        elif type(each) is list:
            left += [value for value in each if type(value) in _NESTING]
    return count == colons


_NESTING: Final = frozenset({dict, list})

_AT = re.compile(r" - at `(?:key in )?(\$[^`]*)`$")
_IN_OUR_WORDS = (
    # These would hold something of what was sent.
    (re.compile(r"^Integer value out of range"), "is out of range"),
    # And these would leave it to a guess what is wanted.
    (
        re.compile(r"^Invalid RFC3339 encoded datetime|^Expected `datetime` with a timezone"),
        "must be a date and time with its time zone, such as 2026-11-20T12:00:00Z",
    ),
    (re.compile(r"^Invalid RFC3339 encoded date"), "must be a date, such as 2026-11-20"),
)
_ONE_OF = re.compile(r"^must name exactly one of [a-z_]+(?:, [a-z_]+)* and [a-z_]+$")
"""What a request says itself that may name either of two things; it holds nothing of what was sent."""
_NO_SUCH_VALUE = re.compile(r"^Invalid (?:enum )?value")
_BACKQUOTED_TYPE = re.compile(r"^Expected `[^`]*`, got `[^`]*`|^Expected `[^`]*`|^Invalid [A-Za-z0-9 ]+$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*?)`(?: - at `(\$[^`]*)`)?\Z", re.DOTALL)
_PATTERN = re.compile(r" matching regex .*", re.DOTALL)
_NO_ID = re.compile(r"^Expected `str` matching regex '\^([a-z]+_)\[0-7\]\[")
_MISSING = re.compile(r"^Object missing required field `([^`]*)`")


def _translated(error: msgspec.ValidationError, root: str, type_: Any) -> errors.ValidationFailed:
    """Return the refusal for what msgspec found, with the field's path, and without anything that the caller sent."""
    message = str(error)
    if (unknown := _UNKNOWN.match(message)) is not None:
        return _unknown(unknown[1], unknown[2] or "$", root, type_)
    path, place = root, "$"
    if (at := _AT.search(message)) is not None:
        place = at.group(1)
        message = message[: at.start()]
        # `$.a[0].b` becomes `a[0].b`; `[...]` stands for a key that the caller chose.
        path = at.group(1).removeprefix("$").removeprefix(".") or root
    if (missing := _MISSING.match(message)) is not None:
        field = missing.group(1)
        path = field if path == root else f"{path}.{field}"
        return validation_failed(path, "is required")
    return validation_failed(path, _reason(message, type_, place))


def _reason(message: str, type_: Any, place: str) -> str:
    """Return what is wrong with a value, from what msgspec says of it."""
    if (no_id := _NO_ID.match(message)) is not None:
        return f"is no id that begins with {no_id[1]} and has 26 characters after that"
    if _NO_SUCH_VALUE.match(message):
        # It would repeat what was sent; what there is helps more.
        known = ", ".join(known_values(type_, place))
        return f"is not one of the documented values{known and f': {known}'}"
    for pattern, reason in _IN_OUR_WORDS:
        if pattern.match(message):
            return reason
    # A pattern of ours says nothing to who sends something.
    message = _PATTERN.sub(" of the documented form", message)
    if _ONE_OF.match(message):
        return message
    if _BACKQUOTED_TYPE.match(message):
        return message[0].lower() + message[1:].replace("`", "")
    return "is not of the documented form"


def _unknown(sent: str, at: str, root: str, type_: Any) -> errors.ValidationFailed:
    """Return the refusal of a field that there isn't, which may have been named so that it looks like a place."""
    known = known_fields(type_, at)
    if known is None:
        return validation_failed(root, "unknown field")
    return validation_failed(at.removeprefix("$").removeprefix(".") or root, unknown_field(sent, known))


# Parameters.

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_BOOLEANS: Final = {"true": True, "false": False}
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})?")


def split_query(query_string: bytes) -> dict[str, str]:
    """Return the parameters of a query string, each of which may occur once.

    Raises:
        errors.ValidationFailed: A parameter is repeated, isn't UTF-8, or a percent sign stands alone.
    """
    parameters: dict[str, str] = {}
    for part in query_string.split(b"&"):
        if not part:
            continue
        raw_name, _, raw_value = part.partition(b"=")
        name, value = _unquote(raw_name), _unquote(raw_value)
        if name in parameters:
            raise validation_failed("query", "a parameter may occur only once")
        parameters[name] = value
    return parameters


def _unquote(raw: bytes) -> str:
    def character(match: re.Match[bytes]) -> bytes:
        digits = match.group(1)
        if digits is None:
            raise validation_failed("query", "holds a percent sign that stands alone")
        return bytes([int(digits, 16)])

    try:
        text = _PERCENT.sub(character, raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise validation_failed("query", "isn't valid UTF-8") from None
    if "\x00" in text:
        raise validation_failed("query", "holds a NUL character")
    return text


def _read_integer(text: str) -> int:
    # `int()` would also take " 1 ", "1_0" and the digits of every script.
    if not _INTEGER.fullmatch(text):
        msg = "Expected `int`"
        raise msgspec.ValidationError(msg)
    return int(text)


def _read_boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        msg = "Expected `bool`"
        raise msgspec.ValidationError(msg)
    return _BOOLEANS[text]


def _reader(annotation: Any) -> Callable[[str], Any]:
    """Return what turns a parameter's text into the JSON value that msgspec checks."""
    kind = msgspec_inspect.type_info(annotation)
    if isinstance(kind, msgspec_inspect.Metadata):
        kind = kind.type
    kinds = kind.types if isinstance(kind, msgspec_inspect.UnionType) else (kind,)
    wanted = [each for each in kinds if not isinstance(each, msgspec_inspect.NoneType | msgspec_inspect.Metadata)]
    if any(isinstance(each, msgspec_inspect.Metadata) for each in kinds):
        wanted += [each.type for each in kinds if isinstance(each, msgspec_inspect.Metadata)]
    if len(wanted) != 1:
        msg = f"a parameter has one type, not {annotation}"
        raise TypeError(msg)
    if isinstance(wanted[0], msgspec_inspect.IntType):
        return _read_integer
    if isinstance(wanted[0], msgspec_inspect.BoolType):
        return _read_boolean
    text_types = (
        msgspec_inspect.StrType,
        msgspec_inspect.DateTimeType,
        msgspec_inspect.DateType,
        msgspec_inspect.EnumType,
        msgspec_inspect.LiteralType,
        msgspec_inspect.UUIDType,
    )
    if not isinstance(wanted[0], text_types):
        msg = f"a parameter can't be {annotation}"
        raise TypeError(msg)
    return str


class Parameters:
    """Reads the parameters of one operation, from the path or from the query.

    Args:
        types: Each parameter's name with its type, as the handler's signature states it.
    """

    def __init__(self, types: Mapping[str, Any]) -> None:
        self._readers = {name: (_reader(annotation), annotation) for name, annotation in types.items()}

    def read(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the values of the parameters that were given.

        Raises:
            errors.ValidationFailed: One is unknown, or not of its documented form.
        """
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name not in self._readers:
                raise validation_failed("query", "holds a parameter that this operation doesn't know")
            reader, annotation = self._readers[name]
            try:
                value = msgspec.convert(reader(text), annotation)
                values[name] = ensure_utc(value) if isinstance(value, datetime) else value
            except msgspec.ValidationError as error:
                raise _translated(error, name, annotation) from None
            except ValueError:
                raise validation_failed(name, "isn't within the years 1 to 9999 in UTC") from None
        return values
