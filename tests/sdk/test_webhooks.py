"""Whether a request to a webhook endpoint may be believed."""

import base64
import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from billfold import webhooks
from billfold.contract.platform import Event
from billfold_server.webhooks.rows import public_text
from billfold_server.webhooks.signing import KeyPair, SigningKeys, headers_of
from tests.sdk.test_public import loaded_by

NOW = datetime.now(UTC).replace(microsecond=0)
NOW_S = int(NOW.timestamp())
PAIR, FORMER, OTHER = (KeyPair(secret=bytes([n]) * 32, seed=bytes([n]) * 32) for n in (1, 2, 3))
SAID: dict[str, Any] = {
    "id": "evt_01m7w9tnzcejq9b78b81gh4nmw",
    "sequence": 7,
    "type": "transfer.posted",
    "version": 1,
    "object_id": "trf_01m7w9tnzcejq9b78b81gh4nmw",
    "data": {"name": "Zoë"},
    "occurred_at": "2026-11-20T12:00:00Z",
}
BODY = json.dumps(SAID, ensure_ascii=False).encode()


def signed(keys: SigningKeys | None = None, body: bytes = BODY, at: datetime | None = None) -> dict[str, str]:
    """Return the headers with which the server sends a body, just now unless it is said when."""
    at = at or datetime.now(UTC).replace(microsecond=0)
    return headers_of(keys or SigningKeys(present=PAIR), SAID["id"], body, at)


class TestADelivery:
    @pytest.mark.parametrize("secret", [PAIR.secret_text, public_text(PAIR.public)], ids=["v1", "v1a"])
    def test_is_believed_by_secret_and_by_public_key(self, secret: str):
        """What comes back is the event, typed, however the framework writes headers."""
        for headers in (signed(), httpx.Headers(signed()), {name.title(): value for name, value in signed().items()}):
            event = webhooks.verify(BODY, headers, secret)
            assert isinstance(event, Event)
            assert (event.id, event.sequence, event.data) == (SAID["id"], 7, {"name": "Zoë"})
        assert webhooks.verify(BODY.decode(), signed(), [OTHER.secret_text, secret]) == event

    def test_is_believed_by_another_implementation(self):
        """The package of Standard Webhooks verifies what we sign, also while a secret is replaced, and the reverse."""
        keys = SigningKeys(present=PAIR, former=FORMER, former_until=datetime(9999, 1, 1, tzinfo=UTC))
        for pair in (PAIR, FORMER):
            assert standardwebhooks.Webhook(pair.secret_text).verify(BODY, signed(keys)) == SAID
            webhooks.verify(BODY, signed(keys), pair.secret_text)
            webhooks.verify(BODY, signed(keys), public_text(pair.public))
        now = datetime.now(UTC).replace(microsecond=0)
        theirs = standardwebhooks.Webhook(PAIR.secret_text).sign(SAID["id"], now, BODY.decode())
        webhooks.verify(BODY, {**signed(at=now), "webhook-signature": theirs}, PAIR.secret_text)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(OTHER.secret_text).verify(BODY, signed(keys))

    def test_is_signed_by_former_keys_until_they_end(self):
        """Two signatures of either kind, and then one."""
        keys = SigningKeys(present=PAIR, former=FORMER, former_until=NOW)
        assert [each[:3] for each in signed(keys)["webhook-signature"].split()] == ["v1,", "v1a"]
        with pytest.raises(webhooks.WebhookSignatureInvalid):
            webhooks.verify(BODY, signed(keys), FORMER.secret_text)

    def test_is_signed_by_every_key_that_was_promised_to_sign_still(self):
        """Replaced twice, the receiver's own lasts, but none longer than the last rotation says, and five at most."""
        hour, keys = timedelta(hours=1), SigningKeys(present=PAIR)
        for pair, overlap in ((OTHER, hour), (FORMER, 2 * hour)):
            keys = keys.replaced(pair, now=NOW, until=NOW + overlap)
        assert keys.at(NOW) == [FORMER, OTHER, PAIR]
        assert keys.at(NOW + hour) == [FORMER, OTHER]
        assert keys.replaced(PAIR, now=NOW, until=NOW).at(NOW) == [PAIR]
        for _ in range(20):
            keys = keys.replaced(OTHER, now=NOW, until=NOW + hour)
        assert len(signed(keys, at=NOW)["webhook-signature"].split()) == 10

    def test_is_verified_by_a_secret_without_cryptography(self):
        """Whoever has a secret needs no library for keys."""
        said = signed()
        loaded = loaded_by(f"from billfold import webhooks; webhooks.verify({BODY!r}, {said}, {PAIR.secret_text!r})")
        assert not loaded & {"cryptography", "httpx", "billfold_server"}


class TestAnythingElse:
    @pytest.mark.parametrize("body", [SAID, None, 7], ids=["dict", "None", "number"])
    def test_than_what_came_in_is_a_mistake_of_the_callers(self, body: Any):
        """Whoever gives what a framework has parsed is told to give what it was parsed from."""
        with pytest.raises(TypeError, match=f"by the bytes that came in, and not by a {type(body).__name__}"):
            webhooks.verify(body, signed(), PAIR.secret_text)

    @pytest.mark.parametrize("secret", [PAIR.secret_text, public_text(PAIR.public)], ids=["v1", "v1a"])
    @given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
    def test_that_was_changed_is_refused(self, secret: str, place: int, by: int):
        """No byte of the body may be another one."""
        body = bytearray(BODY)
        body[place] ^= by
        with pytest.raises(webhooks.WebhookSignatureInvalid):
            webhooks.verify(bytes(body), signed(), secret)

    @pytest.mark.parametrize("age_s", [-301, 301])
    def test_that_was_sent_at_another_time_is_refused(self, age_s: int):
        """Five minutes are let pass, in either direction; the time is signed with the rest."""
        with pytest.raises(webhooks.WebhookTimestampRefused) as refused:
            webhooks.verify(BODY, signed(at=NOW), PAIR.secret_text, now_s=NOW_S + age_s)
        assert refused.value.age_s == age_s
        webhooks.verify(BODY, signed(at=NOW), PAIR.secret_text, now_s=NOW_S + age_s, tolerance_s=301)
        later = {**signed(at=NOW), "webhook-timestamp": str(NOW_S + age_s)}
        with pytest.raises(webhooks.WebhookSignatureInvalid):
            webhooks.verify(BODY, later, PAIR.secret_text, now_s=NOW_S + age_s)

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("webhook-id", None),
            ("webhook-id", ""),
            ("webhook-id", "evt_1\n"),
            ("webhook-timestamp", "-1"),
            ("webhook-timestamp", "1e9"),
            ("webhook-timestamp", "٣"),
            ("webhook-signature", None),
            ("webhook-signature", "v1"),
            ("webhook-signature", "v1,ä v1,= v1a,!"),
        ],
    )
    def test_that_lacks_a_header_is_refused(self, header: str, value: str | None):
        """The error says which one."""
        headers = {name: each for name, each in (signed() | {header: value}).items() if each is not None}
        with pytest.raises(webhooks.WebhookHeadersInvalid) as refused:
            webhooks.verify(BODY, headers, PAIR.secret_text)
        assert refused.value.header == header

    @pytest.mark.parametrize("secret", [PAIR.secret_text, public_text(PAIR.public)], ids=["v1", "v1a"])
    def test_that_is_signed_by_the_other_way_is_refused(self, secret: str):
        """A signature counts under its own version alone, and one that is too short is none."""
        swapped = signed()["webhook-signature"].replace("v1a,", "v2,").replace("v1,", "v1a,").replace("v2,", "v1,")
        for signature in (swapped, "v1,AAAA v1a,AAAA", f"v2,{base64.b64encode(bytes(64)).decode()}"):
            with pytest.raises(webhooks.WebhookSignatureInvalid):
                webhooks.verify(BODY, signed() | {"webhook-signature": signature}, secret)

    def test_is_told_in_a_sentence_that_holds_nothing_of_it(self):
        """A log gets a sentence and a stable code, no body and no secret, also from another process."""
        secret, other = PAIR.secret_text, {"webhook-id": ""}
        refusals = {
            "webhook_headers_invalid": (BODY, signed() | other, "webhook-id"),
            "webhook_timestamp_refused": (BODY, signed(at=NOW), "500 seconds ago"),
            "webhook_signature_invalid": (b"s-e-c-r-e-t", signed(at=NOW), "signatures"),
            "webhook_body_invalid": (
                b'{"type":"s-e-c-r-e-t"}',
                signed(at=NOW, body=b'{"type":"s-e-c-r-e-t"}'),
                "event",
            ),
        }
        for code, (body, headers, words) in refusals.items():
            now_s = NOW_S + (500 if "timestamp" in code else 0)
            with pytest.raises(webhooks.WebhookRefused) as refused:
                webhooks.verify(body, headers, secret, now_s=now_s)
            told = str(refused.value)
            assert (refused.value.code, words in told, " " in told) == (code, True, True)
            assert "s-e-c-r-e-t" not in told
            assert PAIR.secret_text not in told
            again = pickle.loads(pickle.dumps(refused.value))  # noqa: S301 - Our own.
            assert (type(again), str(again), vars(again)) == (type(refused.value), told, vars(refused.value))

    def test_that_is_no_event_is_refused(self):
        """Though it is signed."""
        with pytest.raises(webhooks.WebhookBodyInvalid):
            webhooks.verify(b"{}", signed(body=b"{}"), PAIR.secret_text)

    @pytest.mark.parametrize("secrets", [[], "", "whsec_", "whsk_AAAA", "whpk_AAAA", "whsec_ä", PAIR.secret_text[6:]])
    def test_that_should_be_a_secret_is_a_mistake_of_the_callers(self, secrets: Any):
        """Nothing is ever believed by it."""
        with pytest.raises(ValueError, match="secret"):
            webhooks.verify(BODY, signed(), secrets)
