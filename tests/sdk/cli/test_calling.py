"""Each operation of the contract is a command, and each parameter of it an option."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from billfold.cli.arguments import InstantType, JsonType, MoneyType, PairType, VersionType
from billfold.cli.calling import NOT_AT_A_TERMINAL, RESOURCES
from billfold.cli.following import tail
from billfold.cli.root import OPERATORS, partner
from billfold.client._message import Request, Response
from billfold.client._sync.resource import Resource
from billfold.client._sync.transport import HttpxTransport
from tests.sdk.cli.answering import Answering, give
from tests.sdk.documented import documented, load, said_by_client, said_by_document
from tests.sdk.recording import client
from tests.sdk.test_operations import OWN_WORDS, resources

ACCOUNT = {"scheme": "iban", "identification": "DE89370400440532013000", "name": "Ada"}
AT = "2026-11-20T12:00:00Z"
SOME = "01m7w9tnzcejq9b78b81gh4nmw"
EUR = {"amount_minor": 1, "currency": "EUR"}
DOCUMENTS: dict[str, Any] = {
    "beneficiary": {"creditor": ACCOUNT},
    "standing_order": {"creditor": ACCOUNT, "frequency": "MNTH"},
    "direct_debit": {"name": "x", "mandate_id": "x", "frequency": "MNTH"},
    "scheduled_payment": {"scheduled_at": AT, "amount": EUR},
    "creditor": {"scheme": "iban", "identification": "x", "name": "x", "secondary_identification": "x"},
    "offer": {"type": "balance_transfer", "description": "x"},
    "postings": [{"account_id": f"acc_{SOME}", "amount_minor": amount, "currency": "EUR"} for amount in (1, -1)],
    "transfers": [
        {"from_wallet_id": f"wal_{SOME}", "to_wallet_id": f"wal_{SOME}", "amount": EUR, "idempotency_key": "k"}
    ],
    "response_key": {"kty": "EC", "crv": "P-256", "x": "x" * 43, "y": "y" * 43},
}
"""What is given as JSON, beside what the methods' own tests have."""


def leaves(group: click.Group, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below one, with the words that lead to it."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from leaves(command, (*way, name))
        elif command is not tail:
            yield (*way, name), command


API = partner.get_command(click.Context(partner), "api")
assert isinstance(API, click.Group)
ALL = dict(leaves(API, ("api",)))


def word(parameter: click.Parameter, file: Path) -> str:
    """Return a value for a parameter."""
    assert parameter.name is not None
    kind = parameter.type
    if isinstance(kind, JsonType):
        value = DOCUMENTS.get(parameter.name, OWN_WORDS.get(parameter.name))
        return msgspec.json.encode(value).decode()
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    words: dict[type[Any], str] = {
        MoneyType: "12.50 EUR",
        InstantType: AT,
        PairType: "a=b",
        VersionType: "3",
        click.File: str(file),
        type(click.INT): "7",
        click.IntRange: "25",
    }
    return words.get(type(kind), f"~{parameter.name}~")


def line(way: tuple[str, ...], command: click.Command, file: Path) -> list[str]:
    """Return a command line that says everything that can be said at once."""
    said: list[str] = []
    for each in command.params:
        if isinstance(each, click.Argument):
            said.append(word(each, file))
        elif each.name not in {"cleared_", "all_", "output_", "currency_", "profile", "as_json", "by"}:
            assert isinstance(each, click.Option)
            said += [each.opts[0]] if each.secondary_opts else [each.opts[0], word(each, file)]
    return [*way, *said]


def template(method: str, path: str) -> str:
    """Return the operation that a request is, from an address whose ids are the names of their parameters."""
    below = path.removeprefix("/t/sandbox").partition("?")[0]
    return f"{method} " + re.sub(r"~([a-z_]+)~", r"{\1}", below)


def give_all(server: Answering, file: Path) -> None:
    """Give every command once; each is refused by the server."""
    for way, command in ALL.items():
        done = give(server, *line(way, command, file), "--json", typed="4111111111111111\n123\n")
        assert (way, done.exit_code, done.output) == (way, 1, done.output), done.exception
        assert json.loads(done.stderr)["error"]["facts"]["status"] == 404


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to send."""
    file = tmp_path / "statement.xml"
    file.write_bytes(b"<Document/>")
    return file


# With the others that read the contract, which takes a second.
@pytest.mark.xdist_group("the committed contract")
class TestEveryOperation:
    def test_is_a_command_that_takes_every_parameter(self, server: Answering, file: Path):
        """Given everything, the commands ask for all that the contract has, and send what it documents and no more."""
        give_all(server, file)
        # How far is the other way of saying where to, and never said beside it.
        give(server, "clock", "advance", "--by", "90d")
        document = load()
        operations = {name: each for name, each in documented(document).items() if " /v1/" in name}
        asked: dict[str, dict[str, set[str]]] = {}
        for request in server.requests:
            before = asked.get(name := template(*request[:2]), {})
            asked[name] = {each: said | before.get(each, set()) for each, said in said_by_client(request).items()}
        assert asked == {name: said_by_document(document, each) for name, each in operations.items()}


class TestEveryResource:
    def test_is_named_without_importing_it(self):
        """The overview names the client's resources, each with a sentence."""
        billfold, _ = client()
        at_the_top = {name.replace("_", "-") for name in dir(billfold) if isinstance(getattr(billfold, name), Resource)}
        assert set(RESOURCES) == at_the_top
        assert [text for text in RESOURCES.values() if not text.endswith(".")] == []

    def test_is_at_the_top_unless_operators_have_its_name(self):
        """``billfold wallets`` is ``billfold api wallets``; ``billfold clients`` stays what it was."""
        assert isinstance(API, click.Group)
        at_the_top = set(partner.list_commands(click.Context(partner)))
        assert set(API.list_commands(click.Context(API))) - at_the_top == RESOURCES.keys() & OPERATORS

    def test_leaves_out_only_what_prints_card_numbers(self):
        """Each public method of a resource is a command, but for two."""
        billfold, _ = client()
        methods = {
            name
            for each in resources(billfold)
            for name in dir(each)
            if not name.startswith("_") and callable(getattr(each, name))
        }
        assert methods - {way[-1].replace("-", "_") for way in ALL} == NOT_AT_A_TERMINAL


class TestACommand:
    def test_explains_itself(self):
        """Its help begins with a sentence, and says of each option what it is for."""
        assert [way for way, command in ALL.items() if not (command.help or "").splitlines()[0].endswith(".")] == []
        options = {
            (way, each) for way, command in ALL.items() for each in command.params if isinstance(each, click.Option)
        }
        assert [(way, each.name) for way, each in options if not each.help] == []

    def test_says_how_to_clear_at_a_terminal(self):
        """None is Python's, and a text like any other here: no help speaks of it, and --clear stands in its place."""
        helps = {way: " ".join(command.get_help(click.Context(command)).split()) for way, command in ALL.items()}
        assert [way for way, helped in helps.items() if re.search(r"\bNone\b", helped)] == []
        for name in ("accounts", "parties", "products", "wallets", "vault-tokens"):
            assert "What isn't given stays, --clear NAME clears" in helps["api", name, "update"]
        assert "What isn't given stays, null clears" in helps["api", "clients", "update"]
        assert [way for way in ALL if "--clear " in helps[way] and "--clear [" not in helps[way]] == []
        helped = helps["api", "webhook-endpoints", "update"]
        assert "--clear description clears it" in helped
        assert "--clear event-types for all of them" in helped

    def test_takes_money_in_either_form(self, server: Answering):
        """An amount has its currency beside it, or an option of its own says that; without one nothing is asked."""
        start = ["transfers", "create", "--from", "wal_1", "--to", "wal_2", "--amount"]
        for form in (["12.50", "--currency", "EUR"], ["12.50 EUR"]):
            give(server, *start, *form)
            assert json.loads(server.requests[-1][3] or b"")["amount"] == {"amount_minor": 1250, "currency": "EUR"}
        server.requests.clear()
        told_twice = ["12.50 EUR", "--currency", "USD"]
        for form in (["12.50"], ["12.505", "--currency", "EUR"], ["x", "--currency", "EUR"], told_twice):
            assert give(server, *start, *form).exit_code == 2
        assert server.requests == []

    def test_sends_the_key_that_it_is_given(self, server: Answering):
        """An order that is given again under its key is booked once."""
        give(server, "top-ups", "create", "--wallet-id=wal_1", "--amount=1 EUR", "--idempotency-key=order-4711")
        assert server.requests[0][2]["idempotency-key"] == "order-4711"

    def test_that_is_ended_while_an_order_is_under_way_tells_its_key(
        self, server: Answering, monkeypatch: pytest.MonkeyPatch
    ):
        """Who doesn't wait for the answer and gives the order anew would have it carried out twice."""
        send = HttpxTransport.send

        def interrupted(transport: HttpxTransport, request: Request) -> Response:
            response = send(transport, request)
            if not request.url.endswith("/oauth/token"):
                raise KeyboardInterrupt
            return response

        monkeypatch.setattr(HttpxTransport, "send", interrupted)
        amount = ("--amount", "1.50 EUR")
        for command in (
            ("transfers", "create", "--from", "wal_1", "--to", "wal_2", *amount),
            ("post", "/v1/transfers"),
        ):
            server.say({})
            ended = give(server, *command)
            key = server.requests[0][2]["idempotency-key"]
            assert (ended.exit_code, f"--idempotency-key {key}" in ended.stderr) == (75, True)
        asked = give(server, "wallets", "get", "wal_1")
        assert "idempotency" not in asked.stderr

    def test_says_what_its_json_holds(self):
        """The fields are in the help: an option's beside it, an argument's above, each with those below it."""
        helps = {way: " ".join(command.get_help(click.Context(command)).split()) for way, command in ALL.items()}
        helped = helps["api", "arrangements", "create"]
        assert "{scheme (iban | sort_code_account_number | bban | paym | wallet), identification, name" in helped
        assert "frequency (ADHO | YEAR | " in helped
        assert " | NONE), and perhaps point_in_time" in helped
        assert "scheme (iban | sort_code_account_number | wallet), identification" in helps["api", "payments", "create"]
        helped = helps["api", "clients", "create"]
        assert "REGISTRATION:JSON|@FILE|-" in helped
        assert "REGISTRATION is JSON: a document with any of client_name, " in helped
        assert "TRANSFERS is JSON: a list of documents with from_wallet_id, " in helps["api", "transfers", "bulk"]

    def test_tells_what_is_no_json(self, server: Answering):
        """A text that isn't JSON is told apart from a document of another form."""
        refused = give(server, "api", "clients", "create", '{"client_name"')
        assert (refused.exit_code, "that isn't JSON" in refused.stderr) == (2, True)
        refused = give(server, "api", "clients", "create", '{"name": "x"}')
        assert (refused.exit_code, "unknown field `name`" in refused.stderr) == (2, True)
        assert "that isn't JSON" not in refused.stderr
        refused = give(server, "post", "/v1/parties", "--data", "[" * 5_000 + "]" * 5_000)
        assert (refused.exit_code, "nests too deep" in refused.stderr) == (2, True)

    def test_shows_the_values_of_an_argument(self):
        """Where few may stand, help names them in its place."""
        command = ALL["api", "simulations", "outage"]
        assert "{rail|key_store|decryptor}" in command.get_help(click.Context(command))

    def test_pays_an_account_that_is_given_as_json(self, server: Answering):
        """What has members of its own is one document, which the terminal reads by its type."""
        account = '{"scheme": "iban", "identification": "GB33BUKB20201555555555", "name": "Grace Hopper"}'
        give(server, "payments", "create", "--wallet-id=wal_1", "--amount=1.50 EUR", "--creditor", account)
        body = json.loads(server.requests[-1][3] or b"")
        assert (body["creditor"], body["amount"]["amount_minor"]) == (json.loads(account), 150)
        assert give(server, "payments", "create", "--wallet-id=wal_1", "--amount=1 EUR").exit_code == 2

    def test_clears_what_it_is_told_to(self, server: Answering):
        """What isn't named stays as it is, and what is cleared is said so."""
        give(server, "wallets", "update", "wal_1", "--clear", "label", "--clear", "metadata")
        assert json.loads(server.requests[0][3] or b"") == {"label": None, "metadata": {}}

    def test_takes_every_text_as_it_is(self, server: Answering):
        """A label may be a word that some program means nothing by; who wants none has --clear for it."""
        for text in ("None", "null", "-", "@x", " "):
            give(server, "wallets", "update", "wal_1", "--label", text)
            assert json.loads(server.requests[-1][3] or b"") == {"label": text}

    def test_is_not_told_two_things_of_one(self, server: Answering):
        """What is both given and cleared would be one of the two by chance, and nothing is sent."""
        for given in (["--label", "Savings"], ["--metadata", "a=b"]):
            cleared = given[0].removeprefix("--")
            refused = give(server, "wallets", "update", "wal_1", *given, "--clear", cleared)
            assert (refused.exit_code, f"either --{cleared} or --clear {cleared}" in refused.stderr) == (2, True)
        assert server.requests == []

    def test_asks_for_what_no_command_line_should_hold(self, server: Answering):
        """A card's number and code aren't options."""
        options = {option for each in ALL["api", "vault-tokens", "create-card"].params for option in each.opts}
        assert options & {"--number", "--cvc"} == set()
        refused = give(server, "vault-tokens", "search-card", typed="\n")
        assert (refused.exit_code, server.requests) == (2, [])

    def test_fails_where_none_of_many_orders_is_carried_out(self, server: Answering):
        """The verdicts are shown all the same, and where one order was carried out they are all there is to go by."""
        orders = json.dumps(DOCUMENTS["transfers"])
        for carried_out, code in ((0, 1), (1, 0)):
            verdicts = {"carried_out": carried_out, "refused": 2, "replayed": 0, "results": []}
            server.say(verdicts)
            done = give(server, "transfers", "bulk", orders, "--mode=atomic", "--json")
            assert (done.exit_code, json.loads(done.stdout)) == (code, verdicts)

    def test_walks_through_every_page(self, server: Answering):
        """A list is its first page as the server wrote it, with the way to the next one; --all fetches the rest."""
        events = [self.event(number) for number in (1, 2)]
        server.say({"data": events[:1], "next_cursor": "c"}, {"data": events[1:], "next_cursor": None})
        every = give(server, "events", "list", "--all", "--json")
        assert json.loads(every.stdout) == {"data": events, "next_cursor": None}
        server.say({"data": events[:1], "next_cursor": "c"})
        assert json.loads(give(server, "events", "list", "--json").stdout) == {"data": events[:1], "next_cursor": "c"}
        assert "--cursor c" in give(server, "events", "list").stderr

    def event(self, number: int) -> dict[str, Any]:
        """Return an event, with a member that this version doesn't know."""
        known = {"id": f"evt_{number}", "sequence": number, "type": "wallet.created", "version": 1}
        return {**known, "object_id": "wal_1", "data": {}, "occurred_at": "2026-11-20T12:00:00Z", "newer": True}

    def test_writes_a_file(self, server: Answering, tmp_path: Path):
        """What isn't JSON is written as it is, to a file where one is named."""
        server.say(b"a,b\r\n1,2\r\n")
        assert give(server, "account-statements", "csv", "ast_1").stdout_bytes == b"a,b\r\n1,2\r\n"
        give(server, "account-statements", "csv", "ast_1", "--output", str(tmp_path / "a.csv"))
        assert (tmp_path / "a.csv").read_bytes() == b"a,b\r\n1,2\r\n"


class TestTriggering:
    def test_is_what_simulations_are(self, server: Answering):
        """What happens outside of a sandbox can be let happen under the name that people look for."""
        give(server, "trigger", "incoming-transfer", "wal_1", "--amount", "50.00 EUR")
        ((method, path, _, body),) = server.requests
        assert (method, path) == ("POST", "/t/sandbox/v1/sandbox/simulations/incoming-transfers")
        assert json.loads(body or b"")["amount"] == {"amount_minor": 5000, "currency": "EUR"}


class TestAnyPath:
    def test_is_asked_as_it_is(self, server: Answering):
        """What is newer than the command can be asked for, ordered, changed and deleted."""
        server.say({"newer": True})
        assert json.loads(give(server, "get", "/v1/new?a=1", "-q", "b=2", "--json").stdout) == {"newer": True}
        give(server, "post", "/v1/new", "-d", '{"x": 1}', "--idempotency-key", "k")
        give(server, "patch", "/v1/new/1", "-d", "-", "--if-match", '"3"', typed="{}")
        server.answers = [(204, b"")]
        assert give(server, "delete", "/v1/new/1").stdout == "Done.\n"
        asked = [(method, path, body) for method, path, _, body in server.requests]
        assert asked == [
            ("GET", "/t/sandbox/v1/new?a=1&b=2", None),
            ("POST", "/t/sandbox/v1/new", b'{"x":1}'),
            ("PATCH", "/t/sandbox/v1/new/1", b"{}"),
            ("DELETE", "/t/sandbox/v1/new/1", None),
        ]
        assert server.requests[1][2]["idempotency-key"] == "k"
        assert server.requests[2][2]["if-match"] == '"3"'

    def test_begins_with_a_slash(self, server: Answering):
        """A path stays below the tenant's address, so that no token goes elsewhere."""
        assert give(server, "get", "https://elsewhere.example/").exit_code == 2
        assert server.requests == []
