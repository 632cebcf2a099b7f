"""What is kept for a browser in a cookie (billfold.auth.Sealer)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.auth import CallbackInvalid, Pending, Sealer

SECRET, OTHER = bytes(range(32)), bytes(range(1, 33))
PENDING = Pending(
    issuer="https://bank.example/t/bank",
    client_id="cli_1",
    redirect_uri="https://shop.example/callback",
    state="s" * 43,
    code_verifier="v" * 64,
    expires_at=1_800_000_000,
    nonce="n" * 43,
)


class TestASealedSignIn:
    def test_opens_again(self):
        """The same, in any process that has the secret; and each seal is another text."""
        texts = {Sealer(SECRET).seal(PENDING) for _ in range(3)}
        assert len(texts) == 3
        assert {Sealer(SECRET).open(text).dump() for text in texts} == {PENDING.dump()}

    def test_fits_into_a_cookie(self):
        """Four thousand bytes are what browsers keep, of characters that need no quoting."""
        text = Sealer(SECRET).seal(PENDING)
        assert len(text) < 2000
        assert text.replace("-", "").replace("_", "").isalnum()

    def test_shows_nothing(self):
        """Neither the text nor the sealer shows what is in it."""
        text = Sealer(SECRET).seal(PENDING)
        assert not any(each in text + repr(Sealer(SECRET)) for each in (PENDING.state, PENDING.code_verifier))

    def test_survives_a_new_secret(self):
        """While the former is still named, what it has sealed opens; what is sealed now needs the new one."""
        both = Sealer(OTHER, former=[SECRET])
        assert both.open(Sealer(SECRET).seal(PENDING)) == PENDING
        with pytest.raises(CallbackInvalid):
            Sealer(SECRET).open(both.seal(PENDING))

    @given(st.integers(0, 4000), st.integers(1, 255))
    def test_is_spoiled_by_any_change(self, place: int, change: int):
        """One character that is another, and it isn't ours."""
        text = Sealer(SECRET).seal(PENDING)
        place %= len(text)
        changed = text[:place] + chr((ord(text[place]) + change) % 256) + text[place + 1 :]
        with pytest.raises(CallbackInvalid):
            Sealer(SECRET).open(changed)

    @given(st.text(max_size=100))
    def test_is_nothing_else(self, text: str):
        """Any other text is a typed error."""
        with pytest.raises(CallbackInvalid):
            Sealer(SECRET).open(text)

    def test_needs_a_secret_that_nobody_guesses(self):
        """Thirty-two bytes at least, the former ones too."""
        for secret, former in ((b"short", []), (SECRET, [b"short"])):
            with pytest.raises(ValueError, match="32"):
                Sealer(secret, former=former)


class TestWhatWasKept:
    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"issuer": 1}', b"\xff"])
    def test_is_nothing_else(self, text: str | bytes):
        """A session that holds something else holds no sign-in."""
        with pytest.raises(CallbackInvalid):
            Pending.load(text)
