"""What of messages is shown, over every type that the contract has."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from billfold import ids
from billfold.contract.common import Page, Problem, Violation
from billfold.contract.parties import CreateParty
from billfold.contract.requests import CUT, UNKNOWN_MEMBERS, WITHHELD
from billfold.contract.wallets import CreateTransfer, Transfer
from billfold.ids import Prefix
from billfold_server.db.personal import personal_names
from billfold_server.request_log.rules import ANSWERED, KEPT_CHARACTERS, SENT, Left, Redaction, shown_headers
from billfold_server.rooms import INVENTORIES, operations

CANARY = "Zoë Canary 17"
CARD = 4_111_111_111_111_111
PERSONAL = personal_names(INVENTORIES)
REDACTION = Redaction(PERSONAL)
WALLET = "wal_01m7w9tnzcejq9b78b81gh4nmw"


def messages() -> dict[str, object]:
    """Return the type of every JSON message below ``/v1``, by its operation and whether it is sent or answered."""
    found: dict[str, object] = {}
    for operation in operations():
        if operation.path.startswith("/v1/"):
            for what in ("body_type", "response"):
                kind = getattr(operation.signature, what)
                if kind not in {None, bytes, str}:
                    found[f"{operation.operation_id} {what}"] = kind
    return found


MESSAGES = messages()
SHOWS = {name: REDACTION.of(kind) for name, kind in MESSAGES.items()}


def shown(kind: object, value: object) -> object:
    """Return what is shown of a value."""
    return REDACTION.of(kind)(value, Left())


def filled(kind: inspect.Type, *, within: tuple[type, ...] = ()) -> object:
    """Return a value of a type's shape that says what nobody may see wherever there is room for it."""
    value: object = CANARY
    match kind:
        case inspect.Metadata():
            value = filled(kind.type, within=within)
        case inspect.UnionType():
            objects = [each for each in kind.types if isinstance(each, inspect.StructType)]
            others = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
            value = filled((objects or others)[0], within=within)
        case inspect.ListType():
            value = [filled(kind.item_type, within=within)]
        case inspect.DictType():
            value = {CANARY: filled(kind.value_type, within=within)}
        case inspect.IntType() | inspect.FloatType():
            value = CARD
        case inspect.StructType():
            # A problem's own sentences never repeat what was sent, which is held where they are made.
            inside = (*within, kind.cls)
            members = {} if kind.cls in {Problem, *within} else {each.encode_name: each.type for each in kind.fields}
            said = {name: filled(each, within=inside) for name, each in members.items()}
            value = {**said, CANARY: CANARY, "pan": str(CARD)}
    return value


def leaves(value: object) -> set[object]:
    """Return every text and number in a JSON value, names too."""
    if isinstance(value, dict):
        return set(value) | set().union(*(leaves(each) for each in value.values()), set())
    if isinstance(value, list):
        return set().union(*(leaves(each) for each in value), set())
    return {value}


def structs(kind: inspect.Type, within: tuple[type, ...] = ()) -> list[inspect.StructType]:
    """Return the objects in a type, save those that hold others' or the server's own sentences."""
    match kind:
        case inspect.Metadata():
            return structs(kind.type, within)
        case inspect.UnionType():
            return [found for each in kind.types for found in structs(each, within)]
        case inspect.ListType():
            return structs(kind.item_type, within)
        case inspect.DictType():
            return structs(kind.value_type, within)
        case inspect.StructType() if kind.cls not in within:
            inside = [found for each in kind.fields for found in structs(each.type, (*within, kind.cls))]
            return inside if kind.cls in {Page, Problem, Violation} else [kind, *inside]
        case _:
            return []


STRUCTS = {each.cls: each for kind in MESSAGES.values() for each in structs(inspect.type_info(kind))}
MEMBERS = {each.encode_name for struct in STRUCTS.values() for each in struct.fields} | {"data", "facts", "next_cursor"}


MAY_BE_SHOWN = {WITHHELD, UNKNOWN_MEMBERS, WALLET, None, *range(10), *MEMBERS}
TEXTS = st.sampled_from([CANARY, str(CARD), "DE89370400440532013000", "ada@example.com", WALLET])
NUMBERS = st.sampled_from([CARD, -CARD, 4915112345678, 1e16])
NAMES = st.sampled_from([CANARY, *sorted(PERSONAL), "data", "amount", "id", "facts", "vault_tokens", "problem"])
ANYTHING = st.recursive(
    TEXTS | NUMBERS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


class TestEveryMessage:
    @pytest.mark.parametrize("name", MESSAGES)
    def test_of_the_contract_shows_nothing_that_is_no_value_of_its_type(self, name: str):
        """Texts, numbers of cards, and members that nobody knows are withheld wherever they stand, names too."""
        value = filled(inspect.type_info(MESSAGES[name]))
        written = msgspec.json.encode(SHOWS[name](value, Left(10**9))).decode()
        assert "Canary" not in written
        assert str(CARD) not in written
        assert UNKNOWN_MEMBERS in written

    @settings(deadline=None)
    @given(name=st.sampled_from(sorted(SHOWS)), value=ANYTHING)
    def test_shows_nothing_of_what_has_another_form(self, name: str, value: object):
        """Whatever JSON comes, only what the contract has words for is shown of it."""
        assert leaves(SHOWS[name](value, Left())) <= MAY_BE_SHOWN

    def test_shows_ids_at_most_of_what_inventories_call_personal(self):
        """Members under a name of theirs withhold numbers, times, truth values and words of closed lists as well."""
        seen = set()
        for struct in STRUCTS.values():
            show = REDACTION.of(struct.cls)
            for each in (each.encode_name for each in struct.fields if each.encode_name in PERSONAL):
                seen.add(each)
                for value in (5, True, "2026-11-20", "2026-11-20T12:00:00Z", "EUR", "person", {"a": 1}):
                    assert show({each: value}, Left()) == {each: WITHHELD}, (struct.cls, each)
        assert {"metadata", "email", "description", "label", "card", "bank_account", "secret", "references"} <= seen


class TestAMessage:
    def test_shows_ids_amounts_times_and_words_of_closed_lists(self):
        """A transfer is told with all but what people have written."""
        other = ids.new(Prefix.WALLET)
        sent = {
            "from_wallet_id": WALLET,
            "to_wallet_id": other,
            "amount": {"amount_minor": 1250, "currency": "EUR"},
            "description": CANARY,
            "metadata": {"order": CANARY},
            "effective_at": "2026-11-20T12:00:00Z",
        }
        assert shown(CreateTransfer, sent) == {**sent, "description": WITHHELD, "metadata": WITHHELD}
        assert shown(CreateParty, {"kind": "person", "name": CANARY}) == {"kind": "person", "name": WITHHELD}

    def test_tells_that_there_is_nothing(self):
        """What is null or empty is shown as that."""
        said: dict[str, object] = {"description": None, "metadata": {}}
        assert shown(Transfer, said) == said

    @pytest.mark.parametrize("amount", [10**10, -(10**12), 12.5, "1250", True, None, [1]])
    def test_withholds_what_is_no_amount(self, amount: object):
        """A number as long as a card's or an account's is no amount that is shown, and nothing else is one."""
        told = shown(CreateTransfer, {"amount": {"amount_minor": amount, "currency": "EURO"}})
        expected = None if amount is None else WITHHELD
        assert told == {"amount": {"amount_minor": expected if amount != [1] else WITHHELD, "currency": WITHHELD}}

    def test_counts_what_the_contract_does_not_know(self):
        """Of unknown members neither name nor value is shown."""
        assert shown(CreateTransfer, {CANARY: 1, "pan": 2}) == {UNKNOWN_MEMBERS: 2}

    def test_is_cut_where_it_is_long(self):
        """A long list ends with a sign that it does, and what is shown is about as long as what is kept."""
        left = Left()
        many = {"data": [{"id": ids.new(Prefix.TRANSFER), "kind": "x"} for _ in range(2_000)], "next_cursor": None}
        said = SHOWS["listTransfers response"](many, left)
        assert left.cut
        assert said["data"][-1] == CUT
        assert len(msgspec.json.encode(said)) < 2 * KEPT_CHARACTERS

    @pytest.mark.parametrize("item", [0, {}, {"to_wallet_id": "x"}, {"pan": 1}, {CANARY: 1}, [[]]])
    def test_is_cut_where_little_is_shown_of_much(self, item: object):
        """What is withheld takes its place, too: no body is written longer than the log has room for."""
        said = SHOWS["createTransfers body_type"]({"transfers": [item] * 30_000, "mode": "each"}, Left())
        assert len(msgspec.json.encode(said)) < 2 * KEPT_CHARACTERS

    def test_of_a_problem_says_what_is_wrong(self):
        """A refusal is told whole, for it never repeats what was sent; its facts are words, numbers and ids."""
        problem = {
            "type": "urn:billfold:problem:insufficient_funds",
            "title": "The wallet doesn't hold enough",
            "status": 409,
            "code": "insufficient_funds",
            "detail": "it holds less",
            "request_id": ids.new(Prefix.REQUEST),
            "facts": {"wallet_id": WALLET, "available_minor": 5, "note": CANARY, "phone": "4915112345678"},
            "violations": [{"param": "amount", "reason": "is required"}],
        }
        facts = {"wallet_id": WALLET, "available_minor": 5, "note": WITHHELD, "phone": WITHHELD}
        assert shown(Problem, problem) == {**problem, "facts": facts}


class TestAParameter:
    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("limit", "25", "25"),
            ("limit", str(CARD), WITHHELD),
            ("from", "2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"),
            ("from", CANARY, WITHHELD),
            ("wallet_id", WALLET, WALLET),
            ("wallet_id", CANARY, WITHHELD),
            ("q", "ada", WITHHELD),
            ("external_id", "12345", WITHHELD),
            ("kind", "person", "person"),
            ("cursor", "WzFd", WITHHELD),
        ],
    )
    def test_is_shown_as_its_type_says(self, name: str, value: str, expected: str):
        """The same holds for queries and addresses, where everything is text."""
        types = [op.signature.query_types[name] for op in operations() if name in op.signature.query_types]
        assert expected in {REDACTION.of_parameter(name, each)(value, Left()) for each in types}


class TestHeaders:
    def test_are_kept_by_a_list_of_names_and_values(self):
        """No token, cookie or key is kept, and of others only what is as it has to be."""
        sent = {
            "authorization": f"Bearer {CANARY}",
            "cookie": CANARY,
            "x-forwarded-for": "192.0.2.1",
            "idempotency-key": CANARY,
            "content-type": "application/json; charset=utf-8",
            "accept": f"text/{CANARY}",
            "user-agent": CANARY,
            "if-match": '"3"',
        }
        assert shown_headers(sent, SENT) == {
            "accept": WITHHELD,
            "content-type": "application/json",
            "idempotency-key": WITHHELD,
            "if-match": '"3"',
            "user-agent": WITHHELD,
        }
        assert shown_headers({"location": f"https://x/{CANARY}", "retry-after": "1"}, ANSWERED) == {"retry-after": "1"}
