"""What holds for arrangements: what they say belongs to their kind."""

from typing import Any

import msgspec

from billfold import errors
from billfold.contract.arrangements import ArrangementKind, CreateArrangement, UpdateArrangement, UpdateProduct
from billfold_server.arrangements.rows import Terms

__all__ = ["changed_terms", "product_changes", "terms_of"]


def _given(body: CreateArrangement | UpdateArrangement) -> dict[ArrangementKind, Terms]:
    return {kind: terms for kind in ArrangementKind if (terms := getattr(body, kind.value)) is not None}


def terms_of(body: CreateArrangement) -> Terms:
    """Return what is arranged.

    Raises:
        errors.ArrangementInvalid: It isn't what the kind names, or not that alone.
    """
    given = _given(body)
    if set(given) != {body.kind}:
        detail = f"an arrangement of this kind says what it is in {body.kind.value}, and nowhere else"
        raise errors.ArrangementInvalid(detail, param=body.kind.value)
    return given[body.kind]


def changed_terms(kind: ArrangementKind, body: UpdateArrangement) -> Terms | None:
    """Return what is arranged instead, or None where that stays.

    Raises:
        errors.ArrangementInvalid: It is something of another kind.
    """
    given = _given(body)
    other = next((each for each in given if each is not kind), None)
    if other is not None:
        raise errors.ArrangementInvalid("an arrangement's kind stays what it is", param=other.value)
    return given.get(kind)


def product_changes(present: dict[str, Any], body: UpdateProduct) -> dict[str, Any]:
    """Return what a change changes, by field; what is as it was isn't in it."""
    given = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not msgspec.UNSET}
    return {name: value for name, value in given.items() if value != present[name]}
