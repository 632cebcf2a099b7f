"""Heads of hash chains on the command line."""

import click
import pytest

from billfold.chain import Head
from billfold_server.heads import head_text, read_head

HASH = bytes(range(32))


class TestAHeadThatWasKept:
    @pytest.mark.parametrize("number", [0, 1, 10**15])
    def test_is_read_as_it_was_shown(self, number: int) -> None:
        """A number, a colon and a hash, in whichever case."""
        head = Head(number=number, hash=HASH)
        assert read_head(head_text(head)) == read_head(head_text(head).upper()) == head

    @pytest.mark.parametrize(
        "text", ["", "7", ":", f":{HASH.hex()}", f"-1:{HASH.hex()}", f"x:{HASH.hex()}", f"1:{HASH.hex()[2:]}", "1:zz"]
    )
    def test_is_refused_where_it_is_none(self, text: str) -> None:
        """By the name of the option where it was given."""
        with pytest.raises(click.BadParameter) as caught:
            read_head(text, "--head")
        assert caught.value.param_hint == "--head"
