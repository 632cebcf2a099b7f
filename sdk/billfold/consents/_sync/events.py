# Generated from billfold/consents/_async/events.py by tests/sdk/generate_sync.py. Change that one instead.

"""What a bank tells of its own accord: subscriptions, polling, and tokens that were pushed."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET

from billfold.auth import _jwt as jwt
from billfold.auth.sign_in import LEEWAY_S
from billfold.consents._sync.asking import Asking
from billfold.consents.asking import Order, path_of
from billfold.consents.refusals import SecurityEventInvalid
from billfold.consents.security_events import SecurityEvent, SecurityEvents, security_event_of
from billfold.contract.open_banking.events import (
    OBEventPolling1,
    OBEventPolling1Value,
    OBEventPollingResponse1,
    OBEventSubscription1,
    OBEventSubscription1Data,
    OBEventSubscriptionResponse1,
    OBEventSubscriptionResponse1Data,
    OBEventSubscriptionsResponse1,
)

__all__ = ["EventSubscriptions", "Events"]

_INTERFACE = "4.0"
_WAITS_S = 60.0
"""How much longer a bank may take that waits until something happens."""

_REJECTED: Final[Mapping[jwt.Because, str]] = {
    "form": "invalid_request",
    "key": "invalid_key",
    "signature": "authentication_failed",
}
"""By which code a bank is told of a token that isn't verified."""


class EventSubscriptions:
    """What the bank tells, and where: ``third_party.event_subscriptions``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def create(
        self, *, callback_url: str | None = None, event_types: Sequence[str] | None = None, version: str = _INTERFACE
    ) -> OBEventSubscriptionResponse1:
        """Subscribe to events. It isn't repeated when its answer is lost.

        Args:
            callback_url: Where tokens are pushed to; without it they are fetched by polling alone.
            event_types: Which; all where absent.
            version: Of the interface.

        Raises:
            Contradicted: There is a subscription already.
        """
        data = OBEventSubscription1Data(
            callback_url=callback_url or UNSET,
            version=version,
            event_types=UNSET if event_types is None else list(event_types),
        )
        return self._asking.ask(
            Order(
                "POST",
                "events",
                "/event-subscriptions",
                OBEventSubscriptionResponse1,
                body=OBEventSubscription1(data=data),
                signed=True,
                answer_signed=True,
            )
        )

    def list(self) -> Sequence[OBEventSubscriptionResponse1Data]:
        """Return the subscriptions that there are."""
        order = Order("GET", "events", "/event-subscriptions", OBEventSubscriptionsResponse1, answer_signed=True)
        answer = self._asking.ask(order)
        return answer.data.event_subscription or []

    def replace(
        self,
        subscription_id: str,
        *,
        callback_url: str | None = None,
        event_types: Sequence[str] | None = None,
        version: str = _INTERFACE,
    ) -> OBEventSubscriptionResponse1:
        """Replace a subscription; the arguments are those of ``create``.

        Raises:
            RequestRefused: There is none.
        """
        data = OBEventSubscriptionResponse1Data(
            event_subscription_id=subscription_id,
            callback_url=callback_url or UNSET,
            version=version,
            event_types=UNSET if event_types is None else list(event_types),
        )
        return self._asking.ask(
            Order(
                "PUT",
                "events",
                path_of("event-subscriptions", subscription_id),
                OBEventSubscriptionResponse1,
                body=OBEventSubscriptionResponse1(data=data),
                signed=True,
                answer_signed=True,
                repeatable=True,
            )
        )

    def delete(self, subscription_id: str) -> None:
        """End a subscription.

        Raises:
            RequestRefused: There is none.
        """
        path = path_of("event-subscriptions", subscription_id)
        self._asking.fetch(Order("DELETE", "events", path, OBEventSubscriptionResponse1))


class Events:
    """What has happened: ``third_party.events``.

    Args:
        asking: What carries orders out.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def poll(
        self,
        *,
        limit: int | None = None,
        acknowledge: Sequence[str] = (),
        refuse: Mapping[str, SecurityEventInvalid] | None = None,
        wait: bool = False,
    ) -> SecurityEvents:
        """Fetch what has happened, and acknowledge what was fetched before; what isn't comes again.

        Args:
            limit: How much at most; 0 to acknowledge only.
            acknowledge: The ids of what was worked on.
            refuse: What wasn't believed, as a poll has brought it.
            wait: Whether the bank may let the answer wait until something happens.

        Raises:
            RequestRefused: The bank doesn't take it so.
        """
        body = OBEventPolling1(
            max_events=UNSET if limit is None else limit,
            return_immediately=not wait,
            ack=list(acknowledge) or UNSET,
            set_errs={
                token_id: OBEventPolling1Value(err=error.err, description=error.reason[:256])
                for token_id, error in (refuse or {}).items()
            }
            or UNSET,
        )
        # What was acknowledged twice is acknowledged, and what was fetched and got lost comes again.
        answer = self._asking.ask(
            Order(
                "POST",
                "events",
                "/events",
                OBEventPollingResponse1,
                body=body,
                repeatable=True,
                patience_s=_WAITS_S if wait else 0,
            )
        )
        found: list[SecurityEvent] = []
        invalid: dict[str, SecurityEventInvalid] = {}
        for token_id, token in answer.sets.items():
            try:
                found.append(self.verify(token))
            except SecurityEventInvalid as error:
                invalid[token_id] = error
        return SecurityEvents(events=tuple(found), invalid=invalid, more_available=answer.more_available)

    def verify(self, token: str | bytes) -> SecurityEvent:
        """Return what a token says that was pushed or polled, once it is seen that the bank has signed it for us.

        Raises:
            SecurityEventInvalid: It isn't so.
            errors.BillfoldError: The bank's keys can't be had.
        """
        session = self._asking.session
        authority, auth = session.tokens.authority, session.tokens.auth
        text = token.decode("ascii", errors="replace") if isinstance(token, bytes) else token
        problem: SecurityEventInvalid
        try:
            claims = authority.verified(session, text.strip(), typ=["secevent+jwt", "jwt"])
        except jwt.Rejected as rejection:
            problem = SecurityEventInvalid(rejection.reason, err=_REJECTED[rejection.because])
        else:
            latest = authority.now(session.kit) + LEEWAY_S
            return security_event_of(claims, issuer=authority.issuer, audience=auth.client_id, latest=latest)
        raise problem
