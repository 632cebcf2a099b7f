"""Cursors: opaque, and made by this server alone."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold import errors
from billfold_server.http.pagination import Cursors, decode_cursor, encode_cursor

KEY = b"k" * 32
VALUES = st.lists(st.none() | st.text(max_size=20) | st.integers(-(2**63), 2**63 - 1), max_size=4)


class TestACursor:
    @given(values=VALUES, kind=st.text(max_size=10))
    def test_reads_back_as_it_was_made(self, values: list[str | int | None], kind: str) -> None:
        """Whatever the sort key, the cursor returns it."""
        assert decode_cursor(KEY, kind, encode_cursor(KEY, kind, values)) == values

    def test_is_refused_when_any_bit_was_changed(self) -> None:
        """Flipping each bit of a cursor in turn never gives a valid one."""
        raw = base64.urlsafe_b64decode(encode_cursor(KEY, "wallets", ["a", 1]) + "==")
        for bit in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(errors.InvalidCursor):
                decode_cursor(KEY, "wallets", base64.urlsafe_b64encode(bytes(changed)).decode().rstrip("="))

    @pytest.mark.parametrize("text", ["", "a", "AAAA", "%%%", "é", "A" * 1001, "\x00", "=" * 8])
    def test_is_refused_when_it_is_no_cursor(self, text: str) -> None:
        """Any other text is refused with the parameter's name."""
        with pytest.raises(errors.InvalidCursor) as caught:
            decode_cursor(KEY, "wallets", text)
        assert caught.value.param == "cursor"

    def test_is_refused_by_another_list_key_or_tenant(self) -> None:
        """A cursor is good for the list, the server and the tenant that made it."""
        cursor = Cursors(KEY, "sandbox").encode("wallets", ["a"])
        assert Cursors(KEY, "sandbox").decode("wallets", cursor) == ["a"]
        assert Cursors(KEY, "sandbox").decode("wallets", None) is None
        for cursors, kind in [
            (Cursors(KEY, "sandbox"), "parties"),
            (Cursors(KEY, "demo_bank"), "wallets"),
            (Cursors(b"x" * 32, "sandbox"), "wallets"),
            (Cursors(KEY, "sandbox/wall"), "ets"),
        ]:
            with pytest.raises(errors.InvalidCursor):
                cursors.decode(kind, cursor)
