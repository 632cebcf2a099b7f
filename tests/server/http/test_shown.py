"""Texts of our own interface that people are shown: names, labels and references."""

import json
from typing import Any

import msgspec
import pytest

from billfold import errors
from billfold.contract.wallets import CreateTransfers, CreateWallet
from billfold_server.http.reading import decode_json

PARTY = "par_01m7w9tnzcejq9b78b81gh4nmw"


def refused(type_: Any, said: Any, *, escaped: bool) -> tuple[str | None, str] | None:
    """Return the value and the reason by which a body is refused, or None where it is read."""
    try:
        decode_json(json.dumps(said, ensure_ascii=escaped).encode(), msgspec.json.Decoder(type_))
    except errors.ValidationFailed as error:
        (violation,) = error.__dict__["violations"]
        return violation.param, violation.reason
    return None


@pytest.mark.parametrize("escaped", [True, False])
class TestALabel:
    """A label."""

    @pytest.mark.parametrize("label", ["Rent \u202e00.1", "\u200b", "a\nb", "\ufeffSavings"])
    def test_hides_nothing(self, label: str, escaped: bool) -> None:  # noqa: FBT001 - a parameter
        """What isn't seen is refused by the field's name."""
        found = refused(CreateWallet, {"party_id": PARTY, "label": label}, escaped=escaped)
        assert found == ("label", "holds characters that can't be seen")

    def test_says_something(self, escaped: bool) -> None:  # noqa: FBT001 - a parameter
        """Spaces are no label."""
        found = refused(CreateWallet, {"party_id": PARTY, "label": "  "}, escaped=escaped)
        assert found == ("label", "holds nothing that can be seen")

    @pytest.mark.parametrize("label", ["Everyday", "חיסכון", "می‌خواهم", "👨‍👩‍👧 trip"])
    def test_may_be_in_any_script(self, label: str, escaped: bool) -> None:  # noqa: FBT001 - a parameter
        """Joiners between letters belong to writing; metadata is the caller's own, and is nobody's to look at."""
        said = {"party_id": PARTY, "label": label, "metadata": {"note": "a\n\u200eb"}}
        assert refused(CreateWallet, said, escaped=escaped) is None


class TestAReference:
    """A reference."""

    def test_is_found_among_many(self) -> None:
        """The place names the item of a list."""
        item = {
            "idempotency_key": "k",
            "from_wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw",
            "to_wallet_id": "wal_01m7w9tp2kfz3t0y6sgd7e8xqr",
            "amount": {"amount_minor": 1, "currency": "EUR"},
        }
        items = [item, {**item, "idempotency_key": "l", "description": "Rent \u202e00.1"}]
        found = refused(CreateTransfers, {"mode": "each", "transfers": items}, escaped=True)
        assert found is not None
        assert found[0] == "transfers[1].description"
