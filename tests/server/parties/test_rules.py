"""What holds for parties, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold_server.parties.rules import LONGEST, index_terms, query_terms, search_words

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
        assert search_words(text) == sorted(terms)

    @given(st.text(max_size=100), st.text(max_size=100))
    def test_is_found_by_itself(self, name: str, email: str):
        """Whatever a party is called, its own name's words are among its terms."""
        assert set(query_terms(name) or []) <= set(index_terms(search_words(name, email, None)))

    @given(st.text(alphabet="abcdefgh", min_size=3, max_size=40), st.integers(3, 40))
    def test_is_found_by_its_beginnings(self, word: str, end: int):
        """Each beginning of three characters and more finds it, and of a long word the first characters count."""
        assert set(query_terms(word[:end]) or []) <= set(index_terms([word]))
        assert max(map(len, index_terms([word]))) <= LONGEST

    @pytest.mark.parametrize(
        ("word", "terms"),
        [
            ("o", ["o"]),
            ("li", ["li"]),
            ("ada", ["ada"]),
            ("brien", ["bri", "brie", "brien"]),
            ("\u5c71\u7530", ["\u5c71", "\u5c71\u7530"]),
        ],
    )
    def test_has_no_short_beginnings(self, word: str, terms: list[str]):
        """A beginning has three characters, or is the whole word; where a character is a syllable, one is enough."""
        assert index_terms([word]) == terms
