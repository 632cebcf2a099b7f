"""What people are shown: lines and tables that fit, with amounts as people write them."""

import errno
import json

import pytest

from billfold import errors
from billfold.cli import showing
from billfold.cli.failures import Exit, explain
from billfold.contract.common import Violation
from billfold_server.serving.failures import Exit as ServersExit
from tests.sdk.cli.answering import Answering, give

SOME = "01m7w9tnzcejq9b78b81gh4nmw"
WALLET = {
    "id": f"wal_{SOME}",
    "party_id": f"par_{SOME}",
    "status": "active",
    "status_reason": None,
    "label": "Everyday\x1b[2J",
    "balances": [
        {"account_id": f"acc_{SOME}", "currency": "EUR", "posted_minor": 1250, "available_minor": 1250},
        {"account_id": f"acc_{SOME}", "currency": "JPY", "posted_minor": 7, "available_minor": 7},
    ],
    "metadata": {"a": "b"},
    "created_at": "2026-11-20T12:00:00.123456Z",
}


class TestATable:
    @pytest.mark.parametrize("width", [40, 80, 200])
    def test_fits(self, width: int):
        """No line is wider than the terminal, ids are whole, and the most telling columns come first."""
        lines = showing.table([WALLET, {**WALLET, "label": "x" * 500}], width).splitlines()
        assert max(map(len, lines)) <= width
        assert [line.split()[0] for line in lines] == ["id", WALLET["id"], WALLET["id"]]

    def test_shows_ids_alone_where_not_even_these_fit(self):
        """A terminal that is narrower than an id breaks its line, and nothing else is shown beside it."""
        assert showing.table([WALLET], 10).splitlines() == ["id", WALLET["id"]]

    def test_writes_amounts_as_people_do(self):
        """Minor units of each currency's own."""
        assert "12.50 EUR, 7 JPY" in showing.table([WALLET], 200)

    def test_writes_every_amount_of_a_transfer_so(self):
        """What was undone of it and the balances after it are in the currency of its amount."""
        item = {"id": "x", "amount": {"amount_minor": 5, "currency": "JPY"}, "reversed_minor": 0, "after_minor": 440619}
        assert showing.table([item], 80).splitlines()[1].split() == ["x", "5", "JPY", "0", "JPY", "440619", "JPY"]

    def test_stands_in_columns_whatever_names_are_written_in(self):
        """A character of Chinese takes two places of a terminal, and a combined accent none."""
        names = ["Ada", "李小龙", "e\u0301e\u0301", "李" * 30]
        lines = showing.table([{"id": "x", "name": name, "version": 7} for name in names], 80).splitlines()
        widths = [
            len(line) + line.count("李") + line.count("小") + line.count("龙") - line.count("\u0301") for line in lines
        ]
        assert len(set(widths)) == 1
        assert lines[4].split()[1] == "李" * 16 + "…"

    def test_obeys_nothing_that_customers_have_typed(self):
        """What moves a terminal's cursor is replaced."""
        assert "\x1b[2J" not in showing.table([WALLET], 200)

    def test_tells_of_an_audit_record_what_was_done(self):
        """Beside its id stand what was done and who did it, before facts of either."""
        record = {
            "id": f"aud_{'0' * 26}",
            "actor": f"cli_{'0' * 26}",
            "action": "wallet.frozen",
            "facts": {"kind": "x"},
        }
        assert showing.table([record], 80).splitlines()[0].split() == ["id", "action", "actor"]

    def test_shows_what_only_newer_servers_say(self):
        """An unknown currency, an unknown member and a value of any kind are shown as they are."""
        item = {"id": "x", "amount": {"amount_minor": 5, "currency": "ZZZ"}, "newer": [1, {"a": None}], "on": True}
        (_, line) = showing.table([item], 80).splitlines()
        assert line.split() == ["x", "5", "minor", "ZZZ", "1,", '{"a":null}', "yes"]

    def test_tells_sentences_whole(self):
        """They come last and take as many lines as they need; where there is hardly room, there are none."""
        told = " ".join(["The rail settles."] * 6)
        item = {"word": "RAIL-LATE", "amount_minor": 66603, "behaviour": told}
        lines = showing.table([item], 80).splitlines()
        assert lines[0].split() == ["word", "amount_minor", "behaviour"]
        assert max(map(len, lines)) <= 80
        assert " ".join(line[lines[0].index("behaviour") :].strip() for line in lines[1:]) == told
        assert "settles" not in showing.table([item], 40)


class TestAPage:
    def test_tells_where_to_go_on_though_nothing_is_on_it(self, capsys: pytest.CaptureFixture[str]):
        """Where little is looked for among much, its first page may be empty."""
        showing.show({"data": [], "next_cursor": "there"}, as_json=False)
        assert capsys.readouterr().err == "There is nothing on this page. Look further: --all, or --cursor there\n"

    def test_tells_that_there_is_nothing(self, capsys: pytest.CaptureFixture[str]):
        """A list that has ended before it began."""
        showing.show({"data": [], "next_cursor": None}, as_json=False)
        assert capsys.readouterr().err == "There is nothing.\n"


class TestOneObject:
    def test_is_shown_line_by_line(self, capsys: pytest.CaptureFixture[str]):
        """Each member has a line, those of an object in it too, and what is a list of objects is a table."""
        showing.show(WALLET, as_json=False)
        lines = capsys.readouterr().out.splitlines()
        assert f"id             wal_{SOME}" in lines
        assert "metadata.a     b" in lines
        assert "created_at     2026-11-20 12:00:00Z" in lines
        assert lines[-2].split() == ["EUR", "12.50", "EUR", "12.50", "EUR", f"acc_{SOME}"]


class TestWhatSaysMuch:
    def test_is_told_in_full_below_a_heading(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
        """A column of the inventory of personal data has its place, and then all that is said of it."""
        monkeypatch.setenv("COLUMNS", "80")
        why = " ".join(["the books must be readable"] * 5)
        column = {"room": "parties", "table": "users", "column": "label", "category": "free_text", "owner": "party"}
        kept = {"key_domain": None, "plain_because": why, "kept": "audit_days", "kept_days": 3650, "records": 7}
        showing.show({"columns": [{**column, **kept}, {**column, "kept": "party"}], "plain_columns": 3}, as_json=False)
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if line.startswith("users.")] == ["users.label"] * 2
        assert max(map(len, lines)) <= 80
        told = " ".join(line.strip() for line in lines)
        assert f"owner: party; plain_because: {why}; kept: audit_days; kept_days: 3650; records: 7" in told
        assert "key_domain" not in told

    def test_is_told_line_by_line_where_it_differs(self, capsys: pytest.CaptureFixture[str]):
        """What is known of a person is of many kinds, and each of them says something else."""
        party = {"room": "parties", "kind": "party", "data": {"id": f"par_{SOME}", "name": "Ada\x1b[2J", "gone": None}}
        wallet = {"room": "wallets", "kind": "wallet", "data": {"id": f"wal_{SOME}", "metadata": {"a": "b"}}}
        showing.show({"data": [party, wallet], "next_cursor": None}, as_json=False)
        assert capsys.readouterr().out.splitlines() == [
            "party (parties)",
            f"  id    par_{SOME}",
            "  name  Ada�[2J",
            "wallet (wallets)",
            f"  id          wal_{SOME}",
            "  metadata.a  b",
        ]


class TestARefusal:
    def test_is_a_sentence_with_what_support_asks_for(self, server: Answering):
        """The detail, each value that is wrong, the code and the request; with --json one document."""
        problem = {
            "type": "https://x/insufficient_funds",
            "title": "x",
            "status": 409,
            "code": "insufficient_funds",
            "detail": "Too little.",
            "request_id": "req_1",
            "facts": {"available_minor": 5},
            "violations": [{"param": "amount", "reason": "too much"}],
        }
        server.say(problem, status=409)
        refused = give(server, "wallets", "get", "wal_1")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr.splitlines() == [
            "billfold: Too little.",
            "billfold:   amount: too much",
            "billfold: insufficient_funds, request req_1",
        ]
        error = json.loads(give(server, "wallets", "get", "wal_1", "--json").stderr)["error"]
        assert error == {
            "code": "insufficient_funds",
            "detail": "Too little.\n  amount: too much",
            "exit_code": 1,
            "facts": {"available_minor": 5, "request_id": "req_1", "status": 409},
        }

    @pytest.mark.parametrize(
        ("error", "exit_code"),
        [
            (errors.AuthenticationFailed(), Exit.NOT_ALLOWED),
            (errors.PermissionDenied(), Exit.NOT_ALLOWED),
            (errors.RateLimited(), Exit.TRY_AGAIN),
            (errors.OutcomeUnknown(), Exit.TRY_AGAIN),
            (errors.InternalError(), Exit.TRY_AGAIN),
            (errors.Unavailable(), Exit.UNAVAILABLE),
            (errors.ConnectionFailed("gone", sent=False), Exit.UNAVAILABLE),
            (errors.NotFound(), Exit.REFUSED),
            (ValueError("an id is never empty"), Exit.USAGE),
            (OSError(errno.ENOSPC, "No space left on device"), Exit.IO),
            (FileNotFoundError(errno.ENOENT, "No such file or directory", "/none.pem"), Exit.IO),
            (RuntimeError("unforeseen"), Exit.INTERNAL),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_tells_what_waiting_may_mend_from_what_a_person_must_change(self, error: Exception, exit_code: Exit):
        """A script reads that from the exit code."""
        assert explain(error).exit_code is exit_code

    def test_says_each_thing_once(self):
        """Where one value is wrong, the sentence is about that already; where several are, each has its line."""
        one, two = Violation(param="a", reason="is required"), Violation(param="b", reason="is required")
        error = errors.ValidationFailed("a: is required", param="a")
        error.__dict__["violations"] = [one]
        assert explain(error).sentence == "a: is required"
        error.__dict__["violations"] = [one, two]
        assert explain(error).sentence == "a: is required\n  b: is required"

    @pytest.mark.parametrize(
        "error",
        [
            errors.TimedOut("no answer in time"),
            errors.OutcomeUnknown(),
            errors.RequestInFlight(),
            errors.InternalError(),
        ],
        ids=repr,
    )
    def test_tells_the_key_of_an_order_that_may_have_been_carried_out(self, error: errors.BillfoldError):
        """Given again as it was, it would be another order, since each command makes a key of its own."""
        error.idempotency_key = "0192f0c1"
        failure = explain(error)
        assert "--idempotency-key 0192f0c1" in failure.sentence
        assert failure.facts["idempotency_key"] == "0192f0c1"
        error.idempotency_key = None
        assert "--idempotency-key" not in explain(error).sentence
        assert "idempotency_key" not in explain(error).facts

    def test_ends_with_the_houses_exit_codes(self):
        """A partner's commands and the server's mean the same by the same number."""
        assert [each for each in Exit if ServersExit[each.name].value != each.value] == []
