"""Reading: what strangers send costs no more than its size."""

import itertools
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import msgspec
import pytest
from msgspec import inspect

from billfold import errors
from billfold.contract.common import Request, WalletId
from billfold.contract.ledger import CreateJournalEntry
from billfold.contract.parties import CreateParty, UpdateParty
from billfold.contract.platform import ApplyTenant
from billfold.contract.wallets import CreateTransfer, CreateTransfers, CreateWallet
from billfold_server.http import reading
from billfold_server.http.fields import unknown_field
from billfold_server.rooms import operations


def nested(chance: random.Random, depth: int) -> Any:
    """Return a random JSON value, whose texts are full of brackets, quotes and backslashes."""
    if depth == 0 or chance.random() < 0.2:
        return chance.choice(['a"[{', "\\", '\\"]}', 1, None, "é"])
    if chance.random() < 0.5:
        return [nested(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return {chance.choice('["\\k') + str(number): nested(chance, depth - 1) for number in range(chance.randint(0, 3))}


def depth_of(value: Any) -> int:
    """Return how deep lists and objects nest."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


MANY_VALUES = Literal["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"]


class Nested(msgspec.Struct, forbid_unknown_fields=True):
    """A body that may hold itself."""

    inner: "Nested | None" = None


class TestAFieldThatThereIsnt:
    @pytest.mark.parametrize(
        ("type_", "body", "param", "reason"),
        [
            (CreateTransfers, {"transfers": [{"from_walet_id": 1}]}, "transfers[0]", "did you mean from_wallet_id?"),
            (CreateTransfers, {"amuont": 3}, "body", "there are mode, transfers"),
            (CreateTransfer, {"amuont": 3}, "body", "did you mean amount?"),
            (CreateTransfer, {"amount": {"currrency": "EUR"}}, "amount", "did you mean currency?"),
            (CreateTransfer, {"x` - at `$.secret": 3}, "body", ""),
            (CreateTransfer, {"x - at `$.secret": 3}, "body", "there are "),
        ],
    )
    def test_is_answered_by_ours(self, type_: Any, body: Any, param: str, reason: str) -> None:
        """The nearest field of its object is named or else all are, and never what was sent, however it is made up."""
        with pytest.raises(errors.ValidationFailed) as refused:
            reading.decode_json(json.dumps(body).encode(), msgspec.json.Decoder(type_))
        assert refused.value.param == param
        (violation,) = refused.value.violations
        assert violation.reason.startswith("unknown field")
        assert reason in violation.reason
        assert "secret" not in violation.reason

    def test_is_answered_briefly(self) -> None:
        """Where there are many fields, some are listed and the others counted."""
        known = [f"field_{number}" for number in range(40)]
        said = unknown_field("z" * 1_000_000, known)
        assert "field_11 and 28 more" in said
        assert len(said) < 200


class TestAValueOfFew:
    @pytest.mark.parametrize(
        ("type_", "body", "param", "reason"),
        [
            (CreateParty, {"kind": "secret"}, "kind", "is not one of the documented values: person, company"),
            (
                list[CreateParty],
                [{"kind": "secret"}],
                "[0].kind",
                "is not one of the documented values: person, company",
            ),
            (dict[str, Literal["a", "b"]], {"secret": "c"}, "[...]", "is not one of the documented values: a, b"),
            (Literal["a"] | None, "secret", "body", "is not one of the documented values: a"),
            (MANY_VALUES, "secret", "body", "is not one of the documented values"),
        ],
        ids=["member", "item", "table", "body", "many"],
    )
    def test_is_named_where_another_was_sent(self, type_: Any, body: Any, param: str, reason: str) -> None:
        """Those that there are stand in the refusal, unless they are many, and never what was sent."""
        with pytest.raises(errors.ValidationFailed) as refused:
            reading.decode_json(json.dumps(body).encode(), msgspec.json.Decoder(type_))
        (violation,) = refused.value.violations
        assert (refused.value.param, violation.param, violation.reason) == (param, param, reason)

    def test_is_named_of_a_parameter_too(self) -> None:
        """In a query as in a body."""
        with pytest.raises(errors.ValidationFailed) as refused:
            reading.Parameters({"mode": Literal["each", "atomic"] | None}).read({"mode": "secret"})
        assert refused.value.detail == "mode: is not one of the documented values: atomic, each"


class TestAnId:
    def test_is_asked_for_in_words(self) -> None:
        """Whoever sends something else is told how such an id begins, not by which regular expression it is known."""
        with pytest.raises(errors.ValidationFailed) as refused:
            reading.Parameters({"wallet_id": WalletId}).read({"wallet_id": "wal_x"})
        assert refused.value.param == "wallet_id"
        (violation,) = refused.value.violations
        assert "wal_ and has 26 characters" in violation.reason


class TestATypeOfBodies:
    @pytest.mark.parametrize("type_", [CreateTransfers, CreateJournalEntry, CreateWallet, UpdateParty])
    def test_that_is_closed_bounds_the_depth(self, type_: Any) -> None:
        """What can be of the type needn't be looked at for its depth."""
        assert reading.bounds_depth(type_)

    @pytest.mark.parametrize(
        "type_", [dict, Any, dict[str, Any], list[Any], ApplyTenant, Nested, msgspec.Raw], ids=repr
    )
    def test_that_is_open_does_not(self, type_: Any) -> None:
        """What may hold anything, or itself, is looked at."""
        assert not reading.bounds_depth(type_)

    def test_refuses_what_nests_too_deep_in_the_same_words(self) -> None:
        """Whether the type bounds it or not, it is no body."""
        body = b'{"a":' * 40 + b"1" + b"}" * 40
        for type_ in (CreateWallet, dict):
            with pytest.raises(errors.MalformedBody) as refused:
                reading.decode_json(body, msgspec.json.Decoder(type_))
            assert "deeper" in refused.value.detail


class TestABody:
    @pytest.mark.parametrize("repeated", [b'\\"', b'"', b'""', b'"\\', b"\\", b"\\\\u0000", b"[", b"{}", b'["'])
    def test_of_quotes_and_brackets_is_refused_in_no_time(self, repeated: bytes) -> None:
        """A string that never ends is read once, not once from each of its characters."""
        body = b"[" * (reading.MAX_DEPTH + 1) + b'"' + repeated * 30_000
        began = time.process_time()
        with pytest.raises(errors.MalformedBody):
            reading.decode_json(body, msgspec.json.Decoder(dict))
        # It takes milliseconds; a reader that begins anew at each quote takes half a minute.
        assert time.process_time() - began < 3

    def test_nests_as_deep_as_its_brackets_outside_of_texts(self) -> None:
        """The depth that is counted is the one that a parser finds."""
        chance = random.Random(7)
        values = [nested(chance, 6) for _ in range(500)]
        assert {depth_of(value) for value in values} >= {0, 1, 3, 6}
        for value in values:
            body, depth = json.dumps(value).encode(), depth_of(value)
            assert not reading._is_deeper(body, depth)
            assert depth == 0 or reading._is_deeper(body, depth - 1)

    @pytest.mark.parametrize("around", ["%s", '{"a": %s}', '[1, {"b": [%s]}]', '{"a": {"b": {"c": [[%s, "d:e"]]}}}'])
    def test_has_no_two_members_of_one_name_however_deep(self, around: str) -> None:
        """A reader that took the last of them would see another body than one that took the first."""
        decoder = msgspec.json.Decoder(Any)
        good = (around % '{"x": 1, "y": "z:"}').encode()
        assert reading.decode_json(good, decoder) == json.loads(good)
        for twice in ('{"x": 1, "x": 1}', '{"x": 1, "\\u0078": {"x": 2}}'):
            with pytest.raises(errors.MalformedBody):
                reading.decode_json((around % twice).encode(), decoder)


def written(value: Any, chance: random.Random, twice: int = -1) -> str:
    """Return a value as JSON, in any order and with any spaces, and in its ``twice``-th object a member once more."""
    objects = itertools.count()

    def text(value: Any) -> str:
        space = chance.choice(["", "", " ", "\n"])
        if isinstance(value, list):
            return f"[{','.join(space + text(each) for each in value)}]"
        if not isinstance(value, dict):
            said = json.dumps(value, ensure_ascii=chance.random() < 0.5)
            return said.replace(":", "\\u003a") if chance.random() < 0.2 else said
        # What has no members can't have one of them twice.
        number = next(objects) if value else None
        members = [(name, text(each)) for name, each in value.items()]
        if number == twice:
            members.append(chance.choice(members))
        chance.shuffle(members)
        return f"{{{','.join(f'{space}{json.dumps(name)}{space}:{each}' for name, each in members)}}}"

    return text(value)


def objects_in(value: Any) -> int:
    """Return how many objects with members there are in a value."""
    if isinstance(value, dict):
        return bool(value) + sum(map(objects_in, value.values()))
    return sum(map(objects_in, value)) if isinstance(value, list) else 0


def transfer(chance: random.Random) -> dict[str, Any]:
    """Return an order as somebody might write it: with defaults or without, and with colons wherever they may be."""
    order = {
        "from_wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw",
        "to_wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmx",
        "amount": {"amount_minor": 1250, "currency": "EUR"},
        "description": chance.choice([None, "Invoice", "a:b", '"quoted":', "é:"]),
        "effective_at": chance.choice([None, *(f"2026-11-20T12:00:00{zone}" for zone in ("Z", "+02:00", "+0200"))]),
        "metadata": chance.choice([{}, {"a": "1"}, {"a:b": ":", "c": "\\"}]),
    }
    wanted = ("from_wallet_id", "to_wallet_id", "amount")
    return {name: value for name, value in order.items() if name in wanted or chance.random() < 0.5}


class TestARequest:
    @pytest.mark.parametrize("bulk", [False, True])
    def test_has_no_two_members_of_one_name_whatever_else_it_says(self, *, bulk: bool) -> None:
        """In whichever of its objects a member stands twice, it is refused; where none does, it is read."""
        chance = random.Random(11)
        decoder = msgspec.json.Decoder[Any](CreateTransfers if bulk else CreateTransfer)
        for _ in range(300):
            order = transfer(chance)
            if bulk:
                keyed = [{"idempotency_key": f"key:{at}", **transfer(chance)} for at in range(chance.randint(1, 3))]
                order = {"mode": "each", "transfers": keyed}
            good = written(order, chance).encode()
            read, said = reading.read_json(good, decoder)
            assert read == decoder.decode(good)
            assert said == reading.canonical(read)
            for number in range(objects_in(order)):
                with pytest.raises(errors.MalformedBody):
                    reading.read_json(written(order, chance, twice=number).encode(), decoder)

    def test_has_every_instant_in_utc(self) -> None:
        """What is said is compared by its colons, of which another zone may bring one that wasn't sent."""
        east = datetime(2026, 11, 20, 12, tzinfo=timezone(timedelta(hours=2)))
        seen = set()
        for cls, field in instants():
            made = cls(**{each.name: None for each in msgspec.structs.fields(cls) if each.required} | {field: east})
            assert getattr(made, field).tzinfo is UTC, (cls, field)
            seen.add(cls)
        assert CreateTransfer in seen

    def test_that_gets_what_was_not_sent_is_looked_at(self) -> None:
        """Defaults that are made, or written, and instants of any zone, might stand for a member that was lost."""
        for type_ in (CreateTransfer, CreateTransfers, CreateJournalEntry):
            assert reading.tells_members(type_)
        for open_ in (Any, dict, MakesDefaults, WritesDefaults, AnyZone, list[datetime]):
            assert not reading.tells_members(open_)
        for lost, body in (
            (MakesDefaults, b'{"x":1,"x":1}'),
            (WritesDefaults, b'{"x":1,"x":1}'),
            (AnyZone, b'{"at":"2026-11-20T12:00:00+0200","at":"2026-11-20T12:00:00+0200"}'),
        ):
            with pytest.raises(errors.MalformedBody):
                reading.decode_json(body, msgspec.json.Decoder(lost))


class MakesDefaults(Request, frozen=True, kw_only=True):
    """A request with a default that is always written."""

    x: int
    roles: list[str] = msgspec.field(default_factory=lambda: ["customer"])


class WritesDefaults(msgspec.Struct, forbid_unknown_fields=True):
    """A Struct that leaves nothing out."""

    x: int
    y: int = 2


class AnyZone(msgspec.Struct, forbid_unknown_fields=True):
    """A Struct whose instant stays in its zone."""

    at: datetime


def instants() -> Iterator[tuple[type, str]]:
    """Return each field of an operation's body that is an instant, where colons are counted."""
    bodies: list[Any] = [each.decoder.type for each in operations() if each.takes_body and not each.takes_bytes]
    left = [inspect.type_info(each) for each in bodies if reading.tells_members(each)]
    while left:
        kind = left.pop()
        if isinstance(kind, inspect.StructType):
            for field in kind.fields:
                plain = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
                parts = plain.types if isinstance(plain, inspect.UnionType) else (plain,)
                inner = [each.type if isinstance(each, inspect.Metadata) else each for each in parts]
                if any(isinstance(each, inspect.DateTimeType) for each in inner):
                    yield kind.cls, field.name
                left += inner
        elif isinstance(kind, inspect.ListType):
            left.append(kind.item_type)
        elif isinstance(kind, inspect.DictType):
            left.append(kind.value_type)
        elif isinstance(kind, inspect.Metadata):
            left.append(kind.type)
