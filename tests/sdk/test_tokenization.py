"""Cards by the SDK: encrypted before they leave, opened where they were asked for, against a running vault."""

import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from billfold import AsyncBillfold, Billfold, HttpxTransport, Request, Response, errors
from billfold.contract.tokens import EncryptionKeys
from billfold.tokenization import Card, KeyCache, ResponseKeyPair, seal_card
from tests.cards import CARDS
from tests.live import LiveServer, serve, settings_for
from tests.sandbox import database, options
from tests.server.tokens.banks import TOKENIZATION
from tests.tenants import manifest

NUMBER = CARDS["visa"]
CHARGE = {"purpose": "charge", "reason": "Order 4711"}


@pytest.fixture(scope="module")
def live(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve two tenants with a vault."""
    with database(postgres_dsn) as dsn, serve(settings_for(Path(tmp_path_factory.mktemp("vault")), dsn)) as server:
        for slug in ("alpha", "beta"):
            server.add_tenant(
                manifest(slug, tokenization=TOKENIZATION, rate_limit_per_s=100_000, rate_limit_burst=1_000_000)
            )
        yield server


class Overheard(HttpxTransport):
    """A transport that keeps what goes over it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def send(self, request: Request) -> Response:
        """Send, and keep what was sent and answered."""
        answer = super().send(request)
        self.sent += [request.url.encode(), request.body or b"", answer.body]
        return answer


@pytest.fixture
def wire() -> Overheard:
    """What is heard on the way."""
    return Overheard()


@pytest.fixture
def billfold(live: LiveServer, wire: Overheard) -> Iterator[Billfold]:
    """A client of ``alpha`` that is listened to."""
    with Billfold(**options(live), transport=wire) as client:
        yield client


def taken(billfold: Billfold, **changes: object) -> str:
    """Take a card in and return its token."""
    facts: dict[str, object] = {"number": NUMBER, "expiry_month": 12, "expiry_year": 2030, "cvc": "737"}
    return billfold.vault_tokens.create_card(**{**facts, **changes}).id  # type: ignore[arg-type]


class TestACard:
    def test_goes_and_comes_in_one_line_each(self, billfold: Billfold, wire: Overheard) -> None:
        """It comes back as it went, its code once, and nobody on the way has seen either."""
        created = billfold.vault_tokens.create_card(
            number="4111 1111 1111 1111", expiry_month=12, expiry_year=2030, holder="Ada Lovelace", cvc="737"
        )
        assert created.has_cvc
        assert created.card is not None
        assert (created.card.brand, created.card.last4) == ("visa", "1111")
        first = billfold.vault_tokens.detokenize_card(created.id, **CHARGE)
        second = billfold.vault_tokens.detokenize_card(created.id, **CHARGE)
        assert first == Card(number=NUMBER, expiry_month=12, expiry_year=2030, cvc="737")
        assert second == msgspec.structs.replace(first, cvc=None)
        assert len(wire.sent) > 9
        assert not [each for each in wire.sent if NUMBER.encode() in each or b"737" in each.partition(b'"cvc"')[2]]

    async def test_goes_and_comes_asynchronously(self, live: LiveServer) -> None:
        """The asynchronous client does the same."""
        async with AsyncBillfold(**options(live)) as client:
            created = await client.vault_tokens.create_card(number=CARDS["amex"], expiry_month=1, expiry_year=2031)
            card = await client.vault_tokens.detokenize_card(created.id, **CHARGE)
        assert (card.number, card.expiry_month, card.expiry_year) == (CARDS["amex"], 1, 2031)

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"number": "4111111111111112"}, errors.CardNumberInvalid),
            ({"number": "9999999999999995"}, errors.CardBrandUnknown),
            ({"expiry_year": 2020}, errors.CardExpired),
            ({"expiry_month": 13}, errors.CardExpiryInvalid),
            ({"holder": "4111111111111111"}, errors.CardHolderInvalid),
            ({"cvc": "12"}, errors.CardCvcInvalid),
        ],
    )
    def test_that_cant_be_one_is_an_error_of_its_kind(
        self, billfold: Billfold, changes: dict[str, object], error: type[errors.ProblemError]
    ) -> None:
        """The error says what is wrong, and neither it nor its traceback says with what."""
        with pytest.raises(error) as refused:
            taken(billfold, **changes)
        told = "".join(traceback.format_exception(refused.value)) + repr(refused.value.__dict__)
        assert "411111111111111" not in told

    def test_is_found_by_its_number(self, billfold: Billfold) -> None:
        """The number is looked for encrypted, too."""
        token = taken(billfold, number=CARDS["jcb"])
        assert token in [each.id for each in billfold.vault_tokens.search_card(number=CARDS["jcb"]).data]
        assert billfold.vault_tokens.search_card(number=CARDS["troy"]).data == []

    def test_is_told_beside_the_errors_of_others(self, billfold: Billfold) -> None:
        """Of several tokens, each has its card or its own error, in order."""
        one, other = taken(billfold), taken(billfold, number=CARDS["mastercard"])
        gone = "tok_" + "0" * 26
        found = billfold.vault_tokens.detokenize_cards([one, gone, other], **CHARGE)
        assert [type(each).__name__ for each in found] == ["Card", "NotFound", "Card"]
        with pytest.raises(errors.NotFound):
            billfold.vault_tokens.detokenize_card(gone, **CHARGE)

    def test_isnt_told_where_the_purpose_shows_masks(self, billfold: Billfold) -> None:
        """Whoever asks for a card and may see a mask alone hears that."""
        token = taken(billfold)
        with pytest.raises(errors.PurposeNotAllowed):
            billfold.vault_tokens.detokenize_card(token, purpose="look", reason="Order 4711")


class TestKeys:
    def test_are_fetched_once(self, billfold: Billfold, wire: Overheard) -> None:
        """Many cards need one look at the keys."""
        for _ in range(3):
            taken(billfold)
        assert sum(each.endswith(b"/v1/encryption-keys") for each in wire.sent) == 1

    def test_are_fetched_anew_where_the_tenant_doesnt_know_them(self, billfold: Billfold, live: LiveServer) -> None:
        """A key of somebody else's is refused, dropped, and the present one is fetched."""
        with Billfold(**options(live, "beta")) as elsewhere:
            foreign = elsewhere.vault_tokens.encryption_keys()
        billfold.vault_tokens._keys.keep(foreign)
        assert taken(billfold).startswith("tok_")
        assert billfold.vault_tokens._keys.current() != foreign

    def test_go_on_being_taken_when_they_are_replaced(self, billfold: Billfold, live: LiveServer) -> None:
        """What was encrypted to the former key is taken, and the next fetch has the new one first."""
        before = billfold.vault_tokens.encryption_keys()
        live.run(live.services.decryptor.rotate(live.run(live.services.registry.get("alpha"))))
        card = Card(number=NUMBER, expiry_month=12, expiry_year=2030)
        assert billfold.vault_tokens.create(kind="card", jwe=seal_card(card, before)).id
        after = billfold.vault_tokens.encryption_keys()
        assert after.keys[0].kid != before.keys[0].kid
        assert before.keys[0].kid in [each.kid for each in after.keys]

    def test_of_another_tenant_take_nothing_to_this_one(self, billfold: Billfold, live: LiveServer) -> None:
        """A card for one tenant isn't taken by another, whichever key it was encrypted to."""
        ours = billfold.vault_tokens.encryption_keys()
        with Billfold(**options(live, "beta")) as elsewhere:
            theirs = elsewhere.vault_tokens.encryption_keys()
        card = Card(number=NUMBER, expiry_month=12, expiry_year=2030)
        with pytest.raises(errors.EncryptionKeyUnknown):
            billfold.vault_tokens.create(kind="card", jwe=seal_card(card, theirs))
        mixed = EncryptionKeys(audience=theirs.audience, keys=ours.keys)
        with pytest.raises(errors.JweInvalid):
            billfold.vault_tokens.create(kind="card", jwe=seal_card(card, mixed))

    def test_are_kept_for_minutes_and_never_beyond_their_end(self, billfold: Billfold) -> None:
        """Ten minutes, less where a key ends before, and not at all where the clock was set back."""
        found = billfold.vault_tokens.encryption_keys()
        time = [datetime.now(UTC)]
        cache = KeyCache(now=lambda: time[0])
        assert cache.current() is None
        assert cache.keep(found) == cache.current()
        time[0] += timedelta(minutes=10)
        assert cache.current() is None
        cache.keep(found)
        time[0] -= timedelta(seconds=1)
        assert cache.current() is None
        ending = msgspec.structs.replace(found.keys[0], not_after=time[0] + timedelta(minutes=2))
        cache.keep(EncryptionKeys(audience=found.audience, keys=[ending]))
        assert cache.current() is not None
        time[0] += timedelta(minutes=1)
        assert cache.current() is None

    def test_that_have_all_ended_encrypt_nothing(self) -> None:
        """Nobody encrypts to a key that isn't good any more."""
        with pytest.raises(errors.EncryptionKeyExpired):
            seal_card(Card(number=NUMBER), EncryptionKeys(audience="x", keys=[]))

    def test_is_of_a_text(self) -> None:
        """A number is refused in a sentence, in which it doesn't stand; so is none at all where one is looked for."""
        number: Any = int(NUMBER)
        with pytest.raises(TypeError, match="a card's number is a text, and not of type int") as refused:
            seal_card(Card(number=number), EncryptionKeys(audience="x", keys=[]))
        assert NUMBER not in str(refused.value)


class TestAnAnswer:
    def test_for_somebody_else_isnt_opened(self, billfold: Billfold) -> None:
        """What was encrypted to another key, or is of another token, is no answer."""
        token, pair = taken(billfold), ResponseKeyPair()
        told = billfold.vault_tokens.detokenize([token], response_key=pair.public, **CHARGE)
        jwe = told.results[0].jwe
        assert jwe is not None
        assert pair.open_card(jwe, vault_token_id=token).number == NUMBER
        assert pair.open(jwe, vault_token_id=token)["number"] == NUMBER
        for open_ in (pair.open_card, pair.open):
            with pytest.raises(errors.MalformedAnswer):
                open_(jwe, vault_token_id="tok_" + "0" * 26)
        for text in (jwe, jwe[:-4], "", "a.b.c.d.e"):
            with pytest.raises(errors.MalformedAnswer):
                ResponseKeyPair().open_card(text, vault_token_id=token)


class TestWhatIsShown:
    def test_holds_no_number(self) -> None:
        """Neither a card nor a pair of keys shows what it holds."""
        card = Card(number=NUMBER, cvc="737")
        assert NUMBER not in f"{card!r} {card} {[card]}"
        assert repr(ResponseKeyPair()).startswith("ResponseKeyPair(")
