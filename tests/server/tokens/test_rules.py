"""What the vault's rules say without a database."""

import pytest

from billfold_server.tokens import rules

NUMBER = "4242424242424242"


class TestACardNumber:
    """A card number in a text that lies open..."""

    @pytest.mark.parametrize(
        "text",
        [
            NUMBER,
            "4242 4242 4242 4242",
            "4242-4242.4242 4242",
            "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
            f"{NUMBER} 123",
            f"{NUMBER}-123",
            f"12 {NUMBER}",
            "card 4242 4242 4242 4242 12/30",
            f"x{NUMBER}",
            f"{NUMBER}x",
            "4242/4242/4242/4242",
            "4242_4242_4242_4242",
            "4242\u00a04242\u00a04242\u00a04242",
            "4242\u200b4242\u200b4242\u200b4242",
            "4242  4242  4242  4242",
            "\uff14\uff12" * 8,
            "\u0664\u0662" * 8,
            "3782 822463 10005",
        ],
    )
    def test_is_seen(self, text: str) -> None:
        """Neither what stands beside it nor how it is written hides it."""
        assert rules.holds_card_number(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "4242424242424241",
            "424242424242",
            f"{NUMBER}1234",
            "4242   4242   4242   4242",
            "4242 4242 and 4242 4242",
            "1234567890123452",
            "2026-11-20 12:30:45",
            "DE89 3704 0044 0532 0130 00",
        ],
    )
    def test_is_nothing_else(self, text: str) -> None:
        """Numbers of no brand, with a wrong check digit, of another length or far apart are let through."""
        assert not rules.holds_card_number(text)
