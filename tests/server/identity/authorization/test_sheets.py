"""What the page of a consent says of accounts, without a server."""

import pytest

from billfold_server.identity.authorization.sheets import Words, account_text, number_facts


class TestAnAccountsNumber:
    """An account's number."""

    @pytest.mark.parametrize(
        ("scheme", "number", "read"),
        [
            ("IBAN", "GB33BUKB20201555555555", "GB33 BUKB 2020 1555 5555 55"),
            ("IBAN", "gb33 bukb-20201555555555", "GB33 BUKB 2020 1555 5555 55"),
            ("SortCodeAccountNumber", "20201555555555", "20-20-15 55555555"),
            ("SortCodeAccountNumber", "20-20-15 55555555", "20-20-15 55555555"),
            ("Wallet", "wal_01dxf6dt00e008sdn2nbckskw4", "Wallet wal_01dxf6dt00e008sdn2nbckskw4"),
        ],
    )
    def test_is_read_alike_however_it_is_written_down(self, scheme: str, number: str, read: str) -> None:
        """Third parties may group it as they like, and the customer sees it as it is printed."""
        assert account_text({"SchemeName": f"UK.OBIE.{scheme}", "Identification": number}) == read

    def test_stands_beside_what_tells_apart_accounts_that_share_it(self) -> None:
        """A building society's roll number has a row of its own, in which nothing is hidden."""
        account = {"SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "20201555555555"}
        shared = {**account, "SecondaryIdentification": "R-7\u202e9"}
        assert number_facts(Words("en"), account) == [("Account", "20-20-15 55555555")]
        assert number_facts(Words("en"), shared)[1:] == [("Roll number", "R-7\ufffd9")]
