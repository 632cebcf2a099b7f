"""The API's reference: every operation has a page that holds together, and what it shows of the SDK runs."""

import functools
import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import click
import httpx
import msgspec
import pytest

import billfold
from billfold.cli.calling import RESOURCES, resource
from billfold_server.http import problems
from billfold_server.http.docs import prose
from billfold_server.http.openapi import build_document, build_operation
from billfold_server.http.routing import Call, Routes
from billfold_server.portal.pages import ROOT
from billfold_server.portal.reference import OperationPage, Part, Reference
from billfold_server.portal.trying import Asked, asked, curl, may_use, obstacle
from billfold_server.rooms import ROOMS
from tests.live import LiveServer
from tests.sdk.documented import NOT_FOR_CLIENTS
from tests.sdk.recording import client as recording_client
from tests.sdk.test_operations import FAILING, template
from tests.server.http.test_openapi import Collected
from tests.server.portal import generate_snippets

REFERENCE = Reference(ROOMS)
SNIPPETS: dict[str, dict[str, str]] = json.loads(generate_snippets.TARGET.read_text(encoding="utf-8"))


class Self(msgspec.Struct):
    """What holds itself."""

    inside: "Self | None" = None
    beside: "list[Self]" = []


@functools.cache
def pages() -> dict[str, OperationPage]:
    """Return every page, by its operation. They are made by who tests them, not by all who find the tests."""
    return {name: page for name in REFERENCE.ids if (page := REFERENCE.page(name)) is not None}


def parts(part: Part) -> list[Part]:
    """Return a part and all that it is made of."""
    return [part, *(each for inner in part.parts for each in parts(inner))]


class TestTheReference:
    def test_has_a_page_for_every_operation_of_a_tenant(self) -> None:
        """The pages are those of the document that the tenant serves, no more and no less, and say the same."""
        document = build_document(ROOMS, base_url="https://bank.example", audiences=("tenant", "tenant-public"))
        documented = {each["operationId"]: each for item in document["paths"].values() for each in item.values()}
        assert set(pages()) == set(documented)
        for name, page in pages().items():
            said, _ = build_operation(page.declared)
            whole = {key: value for key, value in documented[name].items() if key != "responses"}
            assert {key: value for key, value in said.items() if key != "responses"} == whole
            assert sorted(each.code for each in (*page.refusals, *page.common)) == sorted(
                code
                for answer in said["responses"].values()
                for code in answer.get("content", {}).get(problems.MEDIA_TYPE, {}).get("examples", {})
                if page.declared.surface == "problem"
            ) or (page.declared.surface != "problem")

    def test_shows_every_member_of_a_body_as_a_tree(self) -> None:
        """What is required, may be null or is one of a list is told at its place, however deep."""
        page = pages()["createArrangement"]
        assert page.body is not None
        by_name = {each.name: each for each in parts(page.body.part)}
        assert by_name["wallet_id"].required
        assert (by_name["beneficiary"].nullable, by_name["beneficiary"].required) == (True, False)
        assert "iban" in by_name["scheme"].values
        assert ("at_most_characters", "140") in by_name["name"].facts

    def test_moves_money_between_two_wallets(self) -> None:
        """An example that is copied isn't refused since it takes from the wallet to which it gives."""
        page = pages()["createTransfer"]
        assert page.body is not None
        example = json.loads(page.body.example or "")
        assert example["from_wallet_id"] != example["to_wallet_id"]

    def test_ends_where_a_schema_holds_itself(self) -> None:
        """A type that holds itself is named where it would begin anew."""
        routes = Routes(tag="x", description="x.")

        @routes.post("/v1/selves", scope="x")
        async def create_self(call: Call, body: Self) -> None:
            """Make one."""

        page = Reference([routes]).page("createSelf")
        assert page is not None
        assert page.body is not None
        assert len(parts(page.body.part)) < 20

    def test_escapes_what_it_is_told(self) -> None:
        """Prose is the document's little Markdown, and everything else in it is text."""
        assert prose("``a`` <script>`b`</script>") == (
            "<p><code>a</code> &lt;script&gt;<code>b</code>&lt;/script&gt;</p>"
        )

    def test_is_whole_over_http(self, live: LiveServer) -> None:
        """Every page is served without a script or style of its own, and no link on it is dead."""
        linked: set[str] = set()
        with httpx.Client(base_url=live.base("alpha") + ROOT, timeout=30) as browser:
            for name in pages():
                page = browser.get(f"/reference/{name}")
                assert page.status_code == 200, name
                found = Collected(page.text)
                assert "script" not in found.tags
                assert not found.inline_styles
                assert {each[1:] for each in found.addresses if each.startswith("#")} <= found.ids
                linked |= found.addresses
            index = Collected(browser.get("/reference", params={"part": "wallets"}).text)
            assert set(pages()) <= index.ids
            told = Collected(browser.get("/errors").text).ids
            own, other = f"/t/alpha{ROOT}/reference", set[str]()
            for address in linked | index.addresses:
                path = urlsplit(address).path
                if path.startswith(f"{own}/"):
                    assert path.removeprefix(f"{own}/") in pages()
                elif address.startswith(f"/t/alpha{ROOT}/errors#"):
                    assert urlsplit(address).fragment in told
                elif path.startswith("/t/alpha"):
                    other.add(path)
            for path in other:
                assert httpx.get(f"{live.url}{path}", follow_redirects=True).status_code == 200, path

    def test_answers_what_there_isnt_by_a_page(self, live: LiveServer) -> None:
        """An operation that there isn't is not found."""
        assert httpx.get(f"{live.base('alpha')}{ROOT}/reference/nothing").status_code == 404


class TestASnippet:
    def test_is_what_contract_and_sdk_make_of_it(self) -> None:
        """The committed file is the generated one: python -m tests.server.portal.generate_snippets."""
        assert generate_snippets.generate() == SNIPPETS

    def test_is_there_for_all_that_clients_ask(self) -> None:
        """Every operation that the SDK has a method for is shown with it, and by the command line."""
        for name, page in pages().items():
            expected = page.declared.needs_token and not NOT_FOR_CLIENTS.match(page.declared.path)
            assert [each.name for each in page.snippets] == (["python", "cli"] if expected else []), name

    def test_asks_for_its_operation_when_it_is_run(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Each program, run as it stands, makes the request that the page is about, with the example's body."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "statement.sta").write_bytes(b":20:X")
        made, transport = recording_client(FAILING)
        monkeypatch.setattr(billfold, "Billfold", lambda: made)
        for name, each in SNIPPETS.items():
            with pytest.raises(billfold.errors.NotFound):
                exec(compile(each["python"], name, "exec"), {"__name__": name})  # noqa: S102 - It is ours.
            method, url, _, body = transport.requests[-1]
            page = pages()[name]
            ids = re.sub(r"/[a-z]{2,4}_[0-9a-z]{26}(?=/|$)", "/{}", template(method, url))
            assert ids == re.sub(r"\{[a-z_]+\}", "{}", f"{page.line.method} {page.line.path}")
            if page.body is not None and not page.declared.takes_bytes and name not in OTHERWISE:
                assert json.loads(body or b"{}") == json.loads(page.body.example or "{}"), name

    def test_is_read_by_the_command_line(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Each command is one that there is, with its arguments and options."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "statement.sta").write_bytes(b":20:X")
        for name, each in SNIPPETS.items():
            # A shell joins lines; Python's splitter doesn't.
            words = shlex.split(each["cli"].replace("\\\n", ""))[1:]
            words = words[1:] if words[0] == "api" else words
            assert words[0] in RESOURCES, name
            command: click.Command | None = resource(words[0])
            rest = words[1:]
            context = click.Context(click.Command("billfold"))
            while isinstance(command, click.Group):
                command, rest = command.get_command(context, rest[0]), rest[1:]
            assert command is not None, name
            with command.make_context(command.name, rest) as made:
                assert made.args == []


OTHERWISE = {"replayWebhookEvents"}
"""What the method wants to be told where the body may leave it out."""


class TestACurlCommand:
    def test_is_one_for_a_shell(self) -> None:
        """Whatever a body holds, the shell hands curl the same text, and the token is a variable of its own."""
        body = json.dumps({"name": "O'Hara $(id) `id` \\"}).encode()
        request = Asked(path="/v1/parties", query="a=1", headers={"if-match": '"1"'}, body=body, complaints={})
        command = curl("POST", "https://bank.example/t/x", request)
        words = shlex.split(command.replace("\\\n", ""))
        assert words[words.index("--data") + 1] == body.decode()
        assert words[:4] == ["curl", "-X", "POST", "https://bank.example/t/x/v1/parties?a=1"]
        assert 'If-Match: "1"' in words


class TestWhatMayBeTried:
    def test_is_nothing_that_leaves_the_operations_address(self) -> None:
        """A value that would lead elsewhere is refused before anything is sent."""
        operation = pages()["getParty"].declared
        for value in ("", ".", "..", "a/b", "a\\b", "a?b", "a#b", "%2f", "a b", "ä", "a\nb"):
            assert asked(operation, {"path.party_id": value}).complaints, value
        assert asked(operation, {"path.party_id": " par_1 "}).path == "/v1/parties/par_1"

    def test_is_lent_by_nobody_who_lacks_it(self) -> None:
        """Staff lends a program's scope only with that scope; a partner's people use their partner's programs alone."""
        given: Any = {"client_scopes": ["a"], "client_partner_id": None, "partner_id": None}
        assert may_use("a", scopes=["a"], **given)
        assert not may_use("a", scopes=[], **given)
        assert not may_use("b", scopes=["a", "b"], **given)
        one, two = UUID(int=1), UUID(int=2)
        assert may_use("a", scopes=[], client_scopes=["a"], partner_id=one, client_partner_id=one)
        for other in (two, None):
            assert not may_use("a", scopes=["a"], client_scopes=["a"], partner_id=one, client_partner_id=other)
            assert not may_use("a", scopes=["a"], client_scopes=["a"], partner_id=other, client_partner_id=one)

    def test_leaves_to_people_what_people_must_do(self) -> None:
        """Who may do what isn't decided by a program that a person lends their hand to."""
        for page in pages().values():
            scope = page.declared.scope or ""
            if scope in {"approvals:decide", "clients:write", "keys:write", "users:write"}:
                assert obstacle(page.declared, sandbox=True, scopes=[scope]) == "person"
                given: Any = {"client_scopes": [scope], "client_partner_id": None, "partner_id": None}
                assert not may_use(scope, scopes=[scope], **given)
