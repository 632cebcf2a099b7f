"""What events of the stream mean to third parties."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from billfold import ids
from billfold.contract.open_banking.events import OBEventNotification1
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.consents import telling
from billfold_server.consents.service import ConsentKind
from billfold_server.open_banking.edge.interface import INTERFACE
from billfold_server.open_banking.events import rules
from billfold_server.open_banking.events.rules import (
    EVENTS,
    claims_of,
    endpoint_of,
    linked_notice,
    notice_of,
    refusal_in,
)

CLIENT, JTI = UUID(int=7), UUID(int=9)
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
URN = "urn:uk:org:openbanking:events:"
EVERYTHING = rules.read_types(None)


def event(type_: str, **data: Any) -> Event:
    """Return an event of the stream."""
    return Event(
        id=ids.encode(Prefix.EVENT, UUID(int=1)),
        sequence=3,
        type=type_,
        version=1,
        object_id="con_1",
        data={"client_id": ids.encode(Prefix.CLIENT, CLIENT), "kind": "account_access", **data},
        occurred_at=AT,
    )


def said(type_: str, **data: Any) -> dict[str, Any]:
    """Return what a token says of an event."""
    notice = notice_of(event(type_, **data))
    assert notice is not None
    claims = claims_of(notice, EVERYTHING, issuer="https://bank.example/t/b", root="/ob/v4.0", jti=JTI, now=AT)
    assert claims is not None
    return claims


class TestAToken:
    def test_says_that_a_resource_was_updated_as_the_document_has_it(self):
        """The claims are of the official form, closed as it is."""
        claims = msgspec.convert(said("consent.expired"), OBEventNotification1)
        assert claims.jti == str(JTI)
        assert claims.aud == ids.encode(Prefix.CLIENT, CLIENT)
        assert (claims.iat, claims.toe) == (int(AT.timestamp()), int(AT.timestamp()))
        assert claims.sub == "https://bank.example/t/b/ob/v4.0/aisp/account-access-consents/con_1"
        subject = claims.events.resource_update.subject
        assert (subject.rid, subject.rty) == ("con_1", "account-access-consent")
        assert [each.link for each in subject.rlk] == [claims.sub]

    def test_says_two_things_at_once_where_a_consent_was_revoked(self):
        """The consent was revoked, and so its status has changed: one event of ours, one token."""
        assert set(said("consent.revoked")["events"]) == {
            f"{URN}consent-authorization-revoked",
            f"{URN}resource-update",
        }

    def test_says_that_access_rests_by_the_names_of_both_versions(self):
        """Version 4 has a name for a consent that stays and opens nothing; who knows earlier ones is told, too."""
        assert set(said("consent.reauthentication_required")["events"]) == {
            f"{URN}consent-access-revoked",
            f"{URN}consent-authorization-revoked",
        }
        assert rules.read_types(["UK.OBIE.Consent-Access-Revoked"]) == {"consent-access-revoked"}

    def test_says_only_what_its_reader_wants_to_know(self):
        """What isn't subscribed to isn't said, and a token that would say nothing isn't made."""
        notice = notice_of(event("consent.revoked"))
        assert notice is not None
        common: dict[str, Any] = {"issuer": "i", "root": "r", "jti": JTI, "now": AT}
        one = claims_of(notice, {"resource-update"}, **common)
        assert one is not None
        assert list(one["events"]) == [f"{URN}resource-update"]
        assert claims_of(notice, {"account-access-consent-linked-account-update"}, **common) is None

    def test_says_why_an_account_is_gone(self):
        """A closed wallet is told of with its code, about the consent."""
        notice = linked_notice(event("wallet.closed"), CLIENT, "con_2", "account_access")
        assert notice is not None
        claims = claims_of(notice, EVERYTHING, issuer="i", root="r", jti=JTI, now=AT)
        assert claims is not None
        ((name, about),) = claims["events"].items()
        assert name == f"{URN}account-access-consent-linked-account-update"
        assert about["reason"] == "UK.OBIE.AccountClosure"
        assert about["subject"]["http://openbanking.org.uk/rty"] == "account-access-consent"

    @pytest.mark.parametrize(
        ("type_", "reason"), [("wallet.closed", "UK.OBIE.AccountClosure"), ("wallet.frozen", None)]
    )
    def test_says_that_an_account_pays_no_more(self, type_: str, reason: str | None):
        """Of a recurring payment's consent it is said for good and for a while, and only of the end why."""
        notice = linked_notice(event(type_), CLIENT, "con_2", "domestic_vrp")
        assert notice is not None
        claims = claims_of(notice, EVERYTHING, issuer="https://b", root="/ob/v4.0", jti=JTI, now=AT)
        assert claims is not None
        assert claims["sub"] == "https://b/ob/v4.0/pisp/domestic-vrp-consents/con_2"
        ((name, about),) = claims["events"].items()
        assert name == f"{URN}domestic-vrp-consent-linked-account-update"
        assert about.get("reason") == reason
        assert about["subject"]["http://openbanking.org.uk/rty"] == "domestic-vrp-consent"
        assert notice.scope == "payments"

    @pytest.mark.parametrize(
        ("type_", "kind"),
        [
            ("wallet.frozen", "account_access"),
            ("wallet.frozen", "funds_confirmation"),
            ("wallet.closed", "funds_confirmation"),
            ("wallet.closed", "domestic_payment"),
        ],
    )
    def test_isnt_made_of_a_wallet_whose_consent_goes_on(self, type_: str, kind: ConsentKind):
        """A frozen wallet is read as before, and the standard has no name for what other consents lose."""
        assert linked_notice(event(type_), CLIENT, "con_2", kind) is None

    @pytest.mark.parametrize("type_", ["transfer.posted", "consent.created", "wallet.frozen", "party.created"])
    def test_isnt_made_of_what_concerns_nobody_outside(self, type_: str):
        """Other events are nobody's business."""
        assert notice_of(event(type_)) is None

    @pytest.mark.parametrize(
        ("type_", "kind", "scope"),
        [
            ("consent.expired", "account_access", "accounts"),
            ("consent.expired", "funds_confirmation", "fundsconfirmations"),
            ("consent.expired", "domestic_payment", "payments"),
            ("consent.expired", "domestic_vrp", "payments"),
            ("payment.updated", "domestic_payment", "payments"),
            ("payment.updated", "domestic_vrp", "payments"),
        ],
    )
    def test_leads_to_an_operation_that_there_is(self, type_: str, kind: str, scope: str):
        """The link is the address of an official operation, and the scope is that of its area."""
        notice = notice_of(event(type_, kind=kind))
        assert notice is not None
        area, collection, _ = notice.path.split("/")
        found = [
            each
            for key, each in INTERFACE.items()
            if key[:2] == (area, "GET") and key[2].startswith(f"/{collection}/{{")
        ]
        assert any(each.path.count("/") == 2 for each in found)
        assert {each.scopes for each in found} == {(scope,)}
        assert notice.scope == scope


class TestTheEventsThatAreTold:
    def test_are_those_that_consents_have(self):
        """Every step of a consent but the ones that its third party takes itself is told of."""
        steps = {each.name for each in telling.EVENT_TYPES.values()}
        assert {each for each in EVENTS if each.startswith("consent.")} == steps - {"consent.consumed"}


class TestTheTypesOfASubscription:
    def test_are_all_unless_some_are_named(self):
        """Codes of the standard and the names that tokens use mean the same."""
        assert len(EVERYTHING) == 5
        linked = rules.read_types(["UK.OBIE.Domestic-VRP-Consent-Linked-Account-Update"])
        assert linked == rules.read_types([f"{URN}domestic-vrp-consent-linked-account-update"])
        assert rules.read_types(["UK.OBIE.Resource-Update"]) == rules.read_types([f"{URN}resource-update"])

    @pytest.mark.parametrize("named", [[], ["resource-update"], ["UK.OBIE.Resource-Update", "x"]])
    def test_are_known(self, named: list[str]):
        """What there isn't, and nothing, can't be subscribed to."""
        with pytest.raises(ValueError, match="no such event type"):
            rules.read_types(named)


class TestAnEndpoint:
    @pytest.mark.parametrize(
        ("given", "called"),
        [
            ("https://tpp.example", "https://tpp.example/event-notifications"),
            ("https://tpp.example/ob/v4.0/", "https://tpp.example/ob/v4.0/event-notifications"),
            ("https://tpp.example/event-notifications", "https://tpp.example/event-notifications"),
            ("https://tpp.example/x?a=b", "https://tpp.example/x/event-notifications?a=b"),
        ],
    )
    def test_is_the_resource_at_the_address_that_was_given(self, given: str, called: str):
        """The name of the resource is added where it isn't there."""
        assert endpoint_of(given) == called


class TestARefusal:
    def test_says_by_which_code_and_words(self):
        """What a reader can't take it answers with 400 and both of them."""
        assert refusal_in(400, b'{"err": "invalid_key", "description": "revoked"}') == ("invalid_key", "revoked")
        assert refusal_in(400, b'{"err": "access_denied", "more": 1}') == ("access_denied", "")

    def test_is_kept_as_the_database_can_have_it(self):
        """A text of any length and of any characters."""
        said = b'{"err": "a\\u0000", "description": "%s\\u0000"}' % (b"x" * 300)
        assert refusal_in(400, said) == ("a\N{REPLACEMENT CHARACTER}", "x" * 256)

    @pytest.mark.parametrize(
        "body",
        [b"", b"<html>", b"[]", b"7", b"{}", b'{"err": ""}', b'{"err": 7}', b'{"err": "%s"}' % (b"x" * 41), b"\xff",
         b'{"err": "invalid_key", "description": null}', b'{"err": "\\ud800"}', b"[" * 100_000],
        ids=lambda body: body[:40].decode("latin-1"),
    )  # fmt: skip
    def test_is_nothing_else(self, body: bytes):
        """What isn't of this form says nothing, and neither does another status."""
        assert refusal_in(400, body) is None
        assert refusal_in(503, b'{"err": "invalid_key"}') is None
