"""What holds for parties, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold_server.parties.rules import search_query, search_terms

pytestmark = pytest.mark.any_postgres


class TestAWord:
    @pytest.mark.parametrize(
        ("text", "terms"),
        [
            ("Ada Lovelace", ["ada", "lovelace"]),
            ("Žofie ČERNÁ", ["cerna", "zofie"]),
            ("Weiß & Söhne", ["sohne", "weiss"]),
            ("O'Brien-Smith", ["brien", "o", "smith"]),
            ("cust_42", ["42", "cust"]),
            ("\ufb01ne \uff21\uff22", ["ab", "fine"]),
            ("Αθήνα", ["αθηνα"]),
            ("山田 太郎", ["太郎", "山田"]),
            ("!?", []),
        ],
    )
    def test_is_compared_without_case_accents_and_variants(self, text: str, terms: list[str]):
        """What people type finds what others wrote."""
        assert search_terms(text) == sorted(terms)

    @given(st.text(max_size=100))
    def test_can_always_be_put_into_a_query(self, text: str):
        """No text makes a query of more than quoted words, so none is read as an operator."""
        query = search_query(text)
        if query is not None:
            parts = query.split(" & ")
            assert all(part.startswith("'") and part.endswith("':*") and part[1:-3].isalnum() for part in parts)

    @given(st.text(max_size=100), st.text(max_size=100))
    def test_is_found_by_itself(self, name: str, email: str):
        """Whatever a party is called, its own name's words are among its terms."""
        query = search_query(name)
        asked = [] if query is None else [part[1:-3] for part in query.split(" & ")]
        assert set(asked) <= set(search_terms(name, email, None))
