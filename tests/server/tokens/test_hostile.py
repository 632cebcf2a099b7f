"""Hostile bodies: what was sent is found nowhere again."""

from typing import Any

import pytest

from tests.server.tokens.banks import IBAN, Bank
from tests.server.tokens.test_tokens import ACCOUNT

TOKEN = "tok_" + "0" * 26
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("", {"kind": "card", "jwe": "SECRET." * 4 + "SECRET"}),
    ("", {"kind": "card", "jwe": "SECRET" * 100_000}),
    ("", {"kind": "card", "jwe": ["SECRET"]}),
    ("", {"kind": "SECRET", "jwe": "a.b.c.d.e"}),
    ("", {"kind": "bank_account", "bank_account": {"iban": "SECRET" * 2_000}}),
    ("", {"kind": "bank_account", "bank_account": {"iban": "SECRET89370400"}}),
    ("", {"kind": "bank_account", "bank_account": {"iban": IBAN, "holder": "SECRET\x00"}}),
    ("", {"kind": "bank_account", "bank_account": {"SECRET": IBAN}}),
    ("", {"kind": "personal", "personal": {"type": "tax_id", "value": "SECRET"}}),
    ("", {"kind": "personal", "personal": {"type": "SECRET", "value": "1"}}),
    ("", {**ACCOUNT, "metadata": {"SECRET!": "x"}}),
    ("", {**ACCOUNT, "party_id": "SECRET"}),
    ("/bulk", {"vault_tokens": [{"kind": "card", "jwe": "SECRET.SECRET.SECRET.SECRET.SECRET"}]}),
    ("/search", {"kind": "card", "jwe": "SECRET.SECRET.SECRET.SECRET.SECRET"}),
    ("/search", {"kind": "personal", "personal": {"type": "tax_id", "value": "SECRET"}}),
    ("/detokenize", {"vault_token_ids": ["SECRET"], "purpose": "payout", "reason": "x" * 5}),
    ("/detokenize", {"vault_token_ids": [TOKEN], "purpose": "secret", "reason": "SECRET" * 500}),
    (
        "/detokenize",
        {"vault_token_ids": [TOKEN], "purpose": "look", "reason": "test", "response_key": "SECRET"},
    ),
]


class TestAHostileBody:
    @pytest.mark.parametrize(("path", "body"), BODIES, ids=[str(number) for number in range(len(BODIES))])
    def test_is_refused_without_an_echo(
        self, bank: Bank, caplog: pytest.LogCaptureFixture, path: str, body: dict[str, Any]
    ) -> None:
        """Never a 5xx; neither the answer nor a log line nor the audit holds a part of what was sent."""
        caplog.set_level(0)
        answer = bank.post(f"/v1/vault-tokens{path}", body)
        assert answer.status_code < 500
        assert "SECRET" not in answer.text
        assert "SECRET" not in caplog.text
        said = "SELECT string_agg(facts::text || object_id || coalesce(reason, ''), ' ') AS said FROM audit_records"
        assert "SECRET" not in str(bank.sql(said))
