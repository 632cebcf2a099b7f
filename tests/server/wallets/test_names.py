"""By which names an account is known, without a database."""

from uuid import uuid4

import pytest

from billfold.contract.wallets import AliasScheme
from billfold_server.wallets.rules import is_given_out, names_alike, sort_code_of, wallet_meant
from billfold_server.wallets.service import AliasKey

BRITISH, GERMAN = "GB33BUKB20201555555555", "DE89370400440532013000"
NUMBER = "20201555555555"


def iban(value: str) -> AliasKey:
    """Return an IBAN as a name."""
    return AliasKey(AliasScheme.IBAN, value)


def number(value: str) -> AliasKey:
    """Return a sort code and account number as a name."""
    return AliasKey(AliasScheme.SORT_CODE_ACCOUNT_NUMBER, value)


class TestAnIban:
    def test_of_britain_ends_in_a_sort_code_and_account_number(self):
        """Its last fourteen digits; no other country's has them, nor has what is no British IBAN."""
        assert sort_code_of(BRITISH) == NUMBER
        assert [sort_code_of(each) for each in (GERMAN, "GB33BUKB2020155555555", "GB33BUKB2020155555555X")] == [
            None
        ] * 3

    def test_is_as_good_as_its_sort_code_and_account_number(self):
        """Itself comes first; one of another country has no other name."""
        assert names_alike(iban(BRITISH)) == (iban(BRITISH), number(NUMBER))
        assert names_alike(iban(GERMAN), [GERMAN]) == (iban(GERMAN),)


class TestANumberOfAnAccount:
    @pytest.mark.parametrize(
        ("key", "given_out"),
        [
            (number("20201555555555"), True),
            (number("20201655555555"), False),
            (iban(BRITISH), True),
            (iban("GB33BUKB20201655555555"), False),
            (iban(GERMAN), True),
            (iban("FR8937040044053201300000000"), False),
            (iban("DE89370400450532013000"), False),
            (AliasKey(AliasScheme.REFERENCE, NUMBER), False),
            (AliasKey(AliasScheme.NAME, "de00370400440532013000"), False),
        ],
    )
    def test_is_a_wallets_where_the_bank_gives_it_out(self, key: AliasKey, given_out: bool):  # noqa: FBT001
        """By its sort code, also within an IBAN, or by how its IBAN begins, whatever its check digits."""
        assert is_given_out(key, ["202015"], ["DE37040044"]) is given_out
        assert not is_given_out(key, [], [])


class TestASortCodeAndAccountNumber:
    def test_is_as_good_as_an_iban_that_ends_in_it(self):
        """Others that wallets have don't matter."""
        other = "GB37MIDL20201555555555"
        assert names_alike(number(NUMBER), [GERMAN, BRITISH, other]) == (number(NUMBER), iban(BRITISH), iban(other))
        assert names_alike(number(NUMBER), [GERMAN]) == (number(NUMBER),)

    def test_means_none_of_several_wallets(self):
        """Where the names of one account are of two wallets, nobody knows which is meant."""
        first, second = uuid4(), uuid4()
        assert wallet_meant([first, first]) == first
        assert [wallet_meant(each) for each in ([first, second], [])] == [None, None]


class TestAnotherName:
    @pytest.mark.parametrize("scheme", [AliasScheme.REFERENCE, AliasScheme.NAME])
    def test_stands_for_itself(self, scheme: AliasScheme):
        """A reference of fourteen digits is no account."""
        key = AliasKey(scheme, NUMBER)
        assert names_alike(key, [BRITISH]) == (key,)
