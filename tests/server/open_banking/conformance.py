"""Runs schemathesis over the official documents: whatever is asked, the answer is one that they document.

Every request is one of the document's, well-formed or not, shown a real token and, where the document wants a
signature, really signed: the signature is made of the bytes that are sent, so it is made last.
"""

import contextlib
import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.engine import Status, events, from_schema

from tests.server.open_banking.documents import FILES, document, official_operations

__all__ = ["Seen", "Sent", "run"]

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
PHASES: Final = ("examples", "fuzzing")
THOROUGH: Final = (*PHASES, "coverage")
"""The third one goes through every constraint of every member, which makes thousands of requests of an operation."""

_NOT_OFFERED: Final = "application/jose+jwe"

Prepare = Callable[[Any, str, bool], None]
Sign = Callable[[requests.PreparedRequest], None]


class Sent(requests.auth.AuthBase):
    """Signs a request as the last thing that is done to it.

    Args:
        sign: Does so.
    """

    def __init__(self, sign: Sign) -> None:
        self._sign = sign

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign it where it means to be signed."""
        self._sign(request)
        return request


class Seen(msgspec.Struct):
    """What a run has seen.

    Attributes:
        cases: How many requests were sent, by operation.
        statuses: How often each status came, by operation.
        failures: What was wrong.
    """

    cases: Counter[str] = msgspec.field(default_factory=Counter)
    statuses: dict[str, Counter[int]] = msgspec.field(default_factory=lambda: defaultdict(Counter))
    failures: list[str] = msgspec.field(default_factory=list)

    def merge(self, other: "Seen") -> None:
        """Add what another run has seen."""
        self.cases.update(other.cases)
        for operation, counts in other.statuses.items():
            self.statuses[operation].update(counts)
        self.failures += other.failures


def part_of(file: str, operation_ids: set[str]) -> dict[str, Any]:
    """Return an official document with some of its operations only, and without what is left to agreement."""
    part = copy.deepcopy(document(file))
    part.pop("servers")
    paths: dict[str, Any] = {}
    for path, item in part["paths"].items():
        kept = {name: each for name, each in item.items() if each.get("operationId") in operation_ids}
        if kept:
            paths[path] = kept
        for each in kept.values():
            each.get("requestBody", {}).get("content", {}).pop(_NOT_OFFERED, None)
    part["paths"] = paths
    return part


def run(
    file: str,
    operation_ids: set[str],
    base_url: str,
    *,
    prepare: Prepare,
    sign: Sign,
    max_examples: int,
    thorough: bool = False,
    seed: int = 20261120,
) -> Seen:
    """Run a document's operations.

    Args:
        file: The document.
        operation_ids: Which operations.
        base_url: Where its paths begin.
        prepare: Is given each case, its operation's id, and whether it is meant to be well-formed.
        sign: Signs what is sent.
        max_examples: How many random requests each operation gets.
        thorough: Whether to go through all constraints.
        seed: Makes a run repeatable.
    """
    assert file in FILES
    phases = THOROUGH if thorough else PHASES
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            "base-url": base_url,
            "workers": 1,
            "continue-on-failure": True,
            "request-timeout": 30.0,
            "generation": {"max-examples": max_examples, "database": "none", "allow-x00": False},
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
            "phases": {name: {"enabled": name in phases} for name in (*THOROUGH, "stateful")},
        }
    )
    schema = schemathesis.openapi.from_dict(part_of(file, operation_ids), config=config)
    seen = Seen()
    with _prepared(prepare, Sent(sign)):
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                _count(seen, event)
            elif isinstance(event, events.NonFatalError | events.FatalError):
                what = getattr(event, "value", None) or getattr(event, "exception", event)
                seen.failures.append(f"schemathesis itself failed: {getattr(event, 'label', '')} {what!r}")
    return seen


@contextlib.contextmanager
def _prepared(prepare: Prepare, auth: Sent) -> Iterator[None]:
    """Let schemathesis's hook, which is global, act for one run."""

    def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:  # noqa: ARG001 - schemathesis calls it so
        positive = case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE
        prepare(case, case.operation.definition.raw["operationId"], positive)
        kwargs["auth"] = auth

    schemathesis.hook(before_call)
    try:
        yield
    finally:
        schemathesis.hooks.unregister(before_call)


def _count(seen: Seen, event: Any) -> None:
    recorder = event.recorder
    for case_id, interaction in recorder.interactions.items():
        case = recorder.cases[case_id].value
        operation_id = case.operation.definition.raw["operationId"]
        if interaction.response is None:
            seen.failures.append(f"{operation_id}: no answer")
            continue
        if case.method.upper() == case.operation.method.upper():
            seen.cases[operation_id] += 1
            seen.statuses[operation_id][interaction.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status == Status.FAILURE:
                failure = check.failure_info.failure
                label = recorder.cases[case_id].value.operation.label
                what = f"{event.phase.value} {label}: {check.name}: {failure.title}: {failure.message}"
                seen.failures.append(f"{what}\n  {check.failure_info.code_sample}")


def operations_of(file: str) -> set[str]:
    """Return the operations of a document that are to be served."""
    return {each.operation_id for each in official_operations().values() if each.file == file}
