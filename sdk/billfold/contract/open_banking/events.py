"""Events: subscriptions, polling, and the security event tokens themselves."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType, field

from billfold.contract.open_banking.base import (
    Closed,
    Open,
)
from billfold.contract.open_banking.common import (
    Links,
    Meta,
    Text40,
    Text128,
    Text256,
    Uri,
)

__all__ = [
    "OBEvent1",
    "OBEventLink1",
    "OBEventNotification1",
    "OBEventPolling1",
    "OBEventPolling1Value",
    "OBEventPollingResponse1",
    "OBEventResourceUpdate1",
    "OBEventSubject1",
    "OBEventSubscription1",
    "OBEventSubscription1Data",
    "OBEventSubscriptionResponse1",
    "OBEventSubscriptionResponse1Data",
    "OBEventSubscriptionsResponse1",
    "OBEventSubscriptionsResponse1Data",
    "Seconds32",
    "Text10",
]

Text10 = Annotated[str, msgspec.Meta(min_length=1, max_length=10)]


class OBEventSubscription1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBEventSubscription1``."""

    callback_url: Uri | UnsetType = field(name="CallbackUrl", default=UNSET)
    version: Text10
    event_types: list[str] | UnsetType = UNSET


class OBEventSubscription1(Closed, frozen=True, kw_only=True):
    """What is sent by ``POST /event-subscriptions``."""

    data: OBEventSubscription1Data


class OBEventSubscriptionResponse1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBEventSubscriptionResponse1`` and others."""

    event_subscription_id: Text40
    callback_url: Uri | UnsetType = field(name="CallbackUrl", default=UNSET)
    version: Text10
    event_types: list[str] | UnsetType = UNSET


class OBEventSubscriptionResponse1(Closed, frozen=True, kw_only=True):
    """What is answered to ``POST /event-subscriptions`` and others."""

    data: OBEventSubscriptionResponse1Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


class OBEventSubscriptionsResponse1Data(Open, frozen=True, kw_only=True):
    """``Data`` of ``OBEventSubscriptionsResponse1``."""

    event_subscription: list[OBEventSubscriptionResponse1Data] | UnsetType = UNSET


class OBEventSubscriptionsResponse1(Closed, frozen=True, kw_only=True):
    """What is answered to ``GET /event-subscriptions``."""

    data: OBEventSubscriptionsResponse1Data
    links: Links | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


class OBEventPolling1Value(Open, frozen=True, kw_only=True, rename="camel"):
    """``setErrs`` of ``OBEventPolling1``."""

    err: Text40
    description: Text256


class OBEventPolling1(Closed, frozen=True, kw_only=True, rename="camel"):
    """What is sent by ``POST /events``."""

    max_events: int | UnsetType = UNSET
    return_immediately: bool | UnsetType = UNSET
    ack: list[Text128] | UnsetType = UNSET
    set_errs: dict[str, OBEventPolling1Value] | UnsetType = UNSET


class OBEventPollingResponse1(Closed, frozen=True, kw_only=True, rename="camel"):
    """What is answered to ``POST /events``."""

    more_available: bool
    sets: dict[str, str]


Seconds32 = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class OBEventLink1(Closed, frozen=True, kw_only=True, rename="camel"):
    """``http://openbanking.org.uk/rlk`` of ``OBEventSubject1``."""

    version: Text10
    link: str


class OBEventSubject1(Closed, frozen=True, kw_only=True):
    """``subject`` of ``OBEventResourceUpdate1``."""

    subject_type: Text128 = field(name="subject_type")
    rid: Text128 = field(name="http://openbanking.org.uk/rid")
    rty: Text128 = field(name="http://openbanking.org.uk/rty")
    rlk: Annotated[list[OBEventLink1], msgspec.Meta(min_length=1)] = field(name="http://openbanking.org.uk/rlk")


class OBEventResourceUpdate1(Closed, frozen=True, kw_only=True, rename="camel"):
    """``urn:uk:org:openbanking:events:resource-update`` of ``OBEvent1``."""

    subject: OBEventSubject1


class OBEvent1(Closed, frozen=True, kw_only=True):
    """``events`` of ``OBEventNotification1``."""

    resource_update: OBEventResourceUpdate1 = field(name="urn:uk:org:openbanking:events:resource-update")


class OBEventNotification1(Closed, frozen=True, kw_only=True, rename="camel"):
    """A security event token, as its claims."""

    iss: str
    iat: Seconds32
    jti: Text128
    aud: Text128
    sub: Uri
    txn: Text128
    toe: Seconds32
    events: OBEvent1
