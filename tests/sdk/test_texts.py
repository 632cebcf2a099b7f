"""Texts that people are shown beside facts: what is hidden is refused, and what belongs to writing is taken."""

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billfold.contract.texts import fault_of, without_hidden

DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
WITHOUT_WIDTH = "\u00ad\u200b\u2060\u2061\ufeff\u3164\u180e\ufe00"
HIDDEN = DIRECTIONS + WITHOUT_WIDTH + "\x00\t\n\r\x1b\x7f\x85\u2028\u2029\ue000\U000e0041\U000f0000\ufffe\U0010ffff"

VISIBLE = st.text(st.characters(categories=("L", "M", "N", "P", "S"), exclude_characters=HIDDEN), min_size=1).filter(
    lambda text: (
        all(not any(each in seldom for seldom in ("\u034f\u115f\u1160\u17b4\u17b5\uffa0",)) for each in text)
        and not any(
            "\u180b" <= each <= "\u180f" or "\ufe00" <= each <= "\ufe0f" or each >= "\U0001bca0" for each in text
        )
        and any(each != "\u2800" for each in text)
    )
)
"""What can be seen, in every script, without what selects or joins."""

DRAWN = {
    *"\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd",
    *map(chr, range(0x13430, 0x13460)),
}
"""Formats that are seen: signs that enclose numbers, and those of hieroglyphs."""

NAMES = (
    "St James Lettings <b>",
    "Zoë's café",
    "שלום בע״מ",
    "مؤسسة النور",
    "می‌خواهم",
    "क्‍ष",
    "ന്‍ വീട്",
    "葛󠄀城",
    "👨‍👩‍👧",
    "❤️‍🔥",
    "Größe 12\u00a0€",
)


class TestALineOfText:
    """A line of text."""

    @given(VISIBLE)
    @example("Invoice 4711")
    def test_may_be_of_any_script(self, text: str) -> None:
        """Letters, marks, digits, punctuation and symbols of all of them."""
        assert fault_of(text) is None
        assert without_hidden(text) == text

    @pytest.mark.parametrize("text", NAMES)
    def test_may_be_joined_as_its_script_is(self, text: str) -> None:
        """Persian and Indic words, emoji, and the names of Japanese families."""
        assert fault_of(text) is None
        assert without_hidden(text) == text

    @given(VISIBLE, st.sampled_from(HIDDEN), st.text(st.characters(categories=("L", "N"))))
    def test_holds_nothing_that_is_hidden(self, before: str, hidden: str, after: str) -> None:
        """No control, no control of direction, nothing without width, wherever it stands."""
        if hidden not in "\u180e\ufe00":
            assert fault_of(before + hidden + after) == "hidden"
            assert hidden not in without_hidden(before + hidden + after)
        assert fault_of(hidden + before) == "hidden"

    def test_is_not_made_of_controls_or_formats(self) -> None:
        """By Unicode's own database: each of them is refused alone, but for the few that are drawn."""
        kinds = ("Cc", "Cf", "Zl", "Zp")
        found = {chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in kinds}
        assert {each for each in found if fault_of(each) is None} <= DRAWN
        assert len(found) > 200

    @given(st.text(" \u00a0\u2003\u202f\u2800\u3000", min_size=1))
    def test_is_not_blank(self, text: str) -> None:
        """Spaces of any width are nothing to see."""
        assert fault_of(text) == "blank"

    @given(VISIBLE, st.sampled_from("\u200c\u200d"))
    def test_has_joiners_between_visible_characters_alone(self, word: str, joiner: str) -> None:
        """None at the beginning, none twice, none beside a space."""
        assert fault_of(word + joiner + word) is None
        assert fault_of(joiner + word) == "hidden"
        assert fault_of(f"{word}{joiner}{joiner}{word}") == "hidden"
        assert fault_of(f"{word} {joiner}{word}") == "hidden"
        if unicodedata.combining(word[-1]) == 0:
            assert fault_of(word + joiner) == "hidden"

    @given(VISIBLE, VISIBLE)
    def test_has_no_others_below_it(self, one: str, other: str) -> None:
        """A reason or a note may have several lines; a name may not."""
        assert fault_of(f"{one}\n{other}") == "hidden"
        assert fault_of(f"{one}\r\n\t{other}\n", several_lines=True) is None
        assert fault_of(f"{one}\n\u202e{other}", several_lines=True) == "hidden"
        assert fault_of("\n \n", several_lines=True) == "blank"
