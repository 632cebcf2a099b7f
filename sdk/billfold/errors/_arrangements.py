"""What is refused of arrangements."""

from billfold.errors._families import Unprocessable

__all__ = ["ArrangementInvalid"]


class ArrangementInvalid(Unprocessable):
    """What was sent isn't an arrangement of the kind that it is said to be."""

    code, title = "arrangement_invalid", "The arrangement is not of its kind"
