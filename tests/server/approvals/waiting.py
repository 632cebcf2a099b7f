"""What a request is told that waits for a second person."""

import httpx

__all__ = ["waits"]


def waits(answer: httpx.Response) -> str:
    """Return the approval that a refused request waits for."""
    assert (answer.status_code, answer.json()["code"]) == (409, "approval_required"), answer.text
    return str(answer.json()["facts"]["approval_id"])
