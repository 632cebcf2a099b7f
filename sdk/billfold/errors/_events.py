"""What is refused of third parties' event subscriptions."""

from billfold.errors._families import Conflict, InvalidRequest, PermissionDenied

__all__ = ["EventSubscriptionExists", "EventSubscriptionNotFound", "EventSubscriptionOfAnother"]


class EventSubscriptionExists(Conflict):
    """The third party has a subscription already, and has one alone."""

    code, title = "event_subscription_exists", "There is a subscription already"


class EventSubscriptionNotFound(InvalidRequest):
    """There is no such subscription."""

    code, title = "event_subscription_not_found", "There is no such subscription"


class EventSubscriptionOfAnother(PermissionDenied):
    """The subscription is another third party's."""

    code, title = "event_subscription_of_another", "The subscription belongs to somebody else"
