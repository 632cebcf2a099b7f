"""Whether a security event token may be believed, once its signature is verified."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from billfold.consents import SecurityEventInvalid
from billfold.consents.security_events import security_event_of

UPDATE = "urn:uk:org:openbanking:events:resource-update"
CLAIMS: dict[str, Any] = {
    "iss": "https://bank.example",
    "aud": "cli_1",
    "iat": 1_795_000_000,
    "toe": 1_794_999_990,
    "jti": "evt_1",
    "txn": "txn_1",
    "sub": "https://bank.example/open-banking/v4.0/pisp/domestic-payments/pay_1",
    "events": {
        UPDATE: {
            "subject": {
                "subject_type": "http://openbanking.org.uk/rid_http://openbanking.org.uk/rty",
                "http://openbanking.org.uk/rid": "pay_1",
                "http://openbanking.org.uk/rty": "domestic-payment",
                "http://openbanking.org.uk/rlk": [{"version": "v4.0", "link": "https://bank.example/x"}],
            }
        }
    },
}


def read(**changes: Any) -> Any:
    """Return what a token says with some claims changed; None leaves one out."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return security_event_of(claims, issuer="https://bank.example", audience="cli_1", latest=1_795_000_010)


class TestASecurityEvent:
    def test_says_what_has_happened_to_what(self):
        """Type, resource and times stand in the token."""
        event = read()
        assert (event.id, event.types, event.transaction_id) == ("evt_1", (UPDATE,), "txn_1")
        assert (event.resource_id, event.resource_type) == ("pay_1", "domestic-payment")
        assert event.happened_at == datetime.fromtimestamp(1_794_999_990, UTC)
        assert event.claims["events"] == CLAIMS["events"]

    def test_may_be_about_no_resource(self):
        """An event of another kind has no subject of this form."""
        event = read(events={"urn:example:other": {}}, toe=None, txn=None, sub=None)
        assert (event.resource_id, event.happened_at, event.transaction_id) == (None, None, None)

    @pytest.mark.parametrize(
        ("changes", "err"),
        [
            ({"iss": "https://other.example"}, "invalid_issuer"),
            ({"iss": None}, "invalid_issuer"),
            ({"aud": "cli_2"}, "invalid_audience"),
            ({"aud": ["cli_1", "cli_2"]}, "invalid_audience"),
            ({"aud": None}, "invalid_audience"),
            ({"iat": 1_795_000_011}, "invalid_request"),
            ({"iat": "now"}, "invalid_request"),
            ({"iat": None}, "invalid_request"),
            ({"jti": None}, "invalid_request"),
            ({"jti": 7}, "invalid_request"),
            ({"events": {}}, "invalid_request"),
            ({"events": None}, "invalid_request"),
            ({"events": [UPDATE]}, "invalid_request"),
        ],
        ids=str,
    )
    def test_of_another_or_for_another_is_not_believed(self, changes: dict[str, Any], err: str):
        """Who has issued it, to whom, when, and that something has happened; each has the code that is registered."""
        with pytest.raises(SecurityEventInvalid) as raised:
            read(**changes)
        assert json.loads(raised.value.body()) == {"err": err, "description": raised.value.reason}
