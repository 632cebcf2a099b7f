"""What of bank statements waits for a second person: assigning much, and taking much back."""

from typing import Any
from uuid import uuid4

import pytest

from tests.server.approvals.test_approvals import Bank, bank
from tests.server.approvals.waiting import waits
from tests.server.reconciliation.statement_files import Entry, Plan, camt053

__all__ = ["bank"]


def show(bank: Bank, *amounts: int) -> dict[str, Any]:
    """Import a statement of a bank account of its own, and return what its import did."""
    plan = Plan([Entry(each) for each in amounts], account=uuid4().hex.upper())
    headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": uuid4().hex}
    made: dict[str, Any] = bank.client.post("/v1/statement-imports", content=camt053(plan), headers=headers).json()
    return made


class TestARequest:
    @pytest.mark.parametrize("sign", [1, -1])
    def test_that_assigns_much_from_suspense_needs_it_as_an_entry_by_hand_does(self, bank: Bank, sign: int) -> None:
        """Nobody alone gives a wallet much of what a bank's statement left in suspense, nor takes it from one."""
        made = show(bank, sign * 799, sign * 800)
        listed = bank.client.get("/v1/statement-entries", params={"statement_import_id": made["id"]}).json()["data"]
        less, much = sorted(listed, key=lambda each: abs(each["amount_minor"]))
        before, body = bank.balance(), {"wallet_id": bank.wallets[0]}
        assert bank.post(f"/v1/statement-entries/{less['id']}/assign", body, uuid4().hex).status_code == 200
        approval = waits(bank.post(f"/v1/statement-entries/{much['id']}/assign", body, uuid4().hex))
        assert bank.balance() == before + sign * 799
        assert bank.decide(approval).outcome["outcome"] == "assigned"
        assert bank.balance() == before + sign * 1_599

    def test_that_assigns_to_an_account_needs_it_from_where_an_entry_by_hand_does(self, bank: Bank) -> None:
        """What goes to no wallet is posted beside them, so the smaller of both amounts counts, as by hand."""
        made = show(bank, -499, -500)
        listed = bank.client.get("/v1/statement-entries", params={"statement_import_id": made["id"]}).json()["data"]
        less, much = sorted(listed, key=lambda each: abs(each["amount_minor"]))
        account = bank.post("/v1/accounts", {"code": "bank_fees", "type": "expense", "currency": "EUR"}, uuid4().hex)
        body = {"account_id": account.json()["id"]}
        assert bank.post(f"/v1/statement-entries/{less['id']}/assign", body, uuid4().hex).status_code == 200
        approval = waits(bank.post(f"/v1/statement-entries/{much['id']}/assign", body, uuid4().hex))
        assert bank.client.get(f"/v1/statement-entries/{much['id']}").json() == much
        assert bank.decide(approval).outcome["account_id"] == body["account_id"]

    def test_that_takes_much_of_a_statement_back_needs_it(self, bank: Bank) -> None:
        """Many small entries are as much as a large one, which nobody takes back alone by its journal entry."""
        less, much = show(bank, 250, -249), show(bank, 250, -250)
        path = f"/v1/statement-imports/{much['id']}"
        assert bank.post(f"/v1/statement-imports/{less['id']}/reversal", {}, uuid4().hex).status_code == 200
        approval = waits(bank.post(f"{path}/reversal", {"reason": "wrong file"}, uuid4().hex))
        assert bank.client.get(path).json() == much
        assert bank.decide(approval).outcome["reversed_at"] is not None
