"""Runs schemathesis over a document, with every phase and every check, and counts what was seen."""

import base64
import contextlib
import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.engine import Status, events, from_schema

from billfold.contract.texts import LINE, fault_of
from tests.contract.documents import operations
from tests.contract.preparing import TOKENS
from tests.live import Credentials

__all__ = ["PHASES", "Seen", "run"]

# What no pattern says in a few words: a line that people are shown hides nothing, and says something.
schemathesis.openapi.format(LINE, st.text().filter(lambda text: fault_of(text) is None))

PHASES = ("examples", "coverage", "fuzzing", "stateful")

ACCEPTED = ["2xx", "409", "412", "422", "429"]
"""What valid data may meet: success, or a refusal that depends on state. The second kind is counted."""

Prepare = Callable[[Any], None]
Learn = Callable[[Any, Any], None]


class Seen(msgspec.Struct):
    """What a run has seen.

    Attributes:
        operations: How many operations the document has.
        cases: How many requests were sent, by phase.
        statuses: How often each status came, by operation.
        valid_refused: How often valid data met 409, 412, 422 or 429, by status.
        failures: What was wrong, one text each.
    """

    operations: int
    cases: Counter[str] = msgspec.field(default_factory=Counter)
    statuses: dict[str, Counter[int]] = msgspec.field(default_factory=lambda: defaultdict(Counter))
    valid_refused: Counter[int] = msgspec.field(default_factory=Counter)
    failures: list[str] = msgspec.field(default_factory=list)

    def lines(self, name: str) -> list[str]:
        """Return the summary."""
        every: Counter[int] = Counter()
        for each in self.statuses.values():
            every.update(each)
        by_phase = ", ".join(f"{phase} {count}" for phase, count in self.cases.items())
        total = f"operations {self.operations}, cases {sum(self.cases.values())} ({by_phase})"
        return [
            f"{name}: {total}, failures {len(self.failures)}",
            f"{name}: statuses seen {_counts(every)}",
            f"{name}: valid data refused by state {_counts(self.valid_refused) or 'never'}",
        ]


def _counts(counts: Counter[int]) -> str:
    return ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))


def run(
    document: dict[str, Any],
    base_url: str,
    *,
    token: str,
    client: Credentials,
    prepare: Prepare,
    learn: Learn,
    phases: Sequence[str] = PHASES,
    max_examples: int = 8,
    seed: int = 20261120,
    max_failures: int | None = None,
    app: Any = None,
    judged: Sequence[str] | None = None,
) -> Seen:
    """Run every phase over every operation of a document.

    Args:
        document: The document.
        base_url: Where its paths begin.
        token: Shown by every request but those for tokens.
        client: Shown by requests for tokens.
        prepare: Puts ids that exist into a case before it is sent.
        learn: Is told each answer's case and body.
        phases: Which phases run.
        max_examples: How many random cases each operation gets.
        seed: Makes a run repeatable.
        max_failures: After how many failures the run stops.
        app: The application, where it is called inside the process, and not at its address.
        judged: By which checks answers are judged; by all of them where absent.
    """
    config = _config(
        base_url, token, client, phases=phases, max_examples=max_examples, seed=seed, stop=max_failures, judged=judged
    )
    # It adds links of its own to what it is given.
    schema = schemathesis.openapi.from_dict({**document, "paths": copy.deepcopy(document["paths"])}, config=config)
    schema.app = app
    seen = Seen(operations=sum(1 for _ in operations(document)))

    with _told(prepare, learn):
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                _count(seen, event)
            elif isinstance(event, events.NonFatalError | events.FatalError):
                seen.failures.append(f"schemathesis itself failed: {getattr(event, 'label', '')} {_error_of(event)}")
    return seen


@contextlib.contextmanager
def _told(prepare: Prepare, learn: Learn) -> Iterator[None]:
    """Let schemathesis's hooks, which are global, act for one run."""

    def before_call(context: Any, case: Any, kwargs: Any) -> None:  # noqa: ARG001 - schemathesis calls it so
        prepare(case)

    def after_call(context: Any, case: Any, response: Any) -> None:  # noqa: ARG001 - schemathesis calls it so
        learn(case, response)

    schemathesis.hook(before_call)
    schemathesis.hook(after_call)
    try:
        yield
    finally:
        schemathesis.hooks.unregister(before_call)
        schemathesis.hooks.unregister(after_call)


def _error_of(event: Any) -> str:
    return repr(getattr(event, "value", None) or getattr(event, "exception", event))


def _config(
    base_url: str,
    token: str,
    client: Credentials,
    *,
    phases: Sequence[str],
    max_examples: int,
    seed: int,
    stop: int | None,
    judged: Sequence[str] | None,
) -> Any:
    basic = base64.b64encode(f"{client.client_id}:{client.secret}".encode()).decode()
    settings: dict[str, Any] = {
        "seed": seed,
        "base-url": base_url,
        "headers": {"Authorization": f"Bearer {token}"},
        "operations": [{"include-operation-id": sorted(TOKENS), "headers": {"Authorization": f"Basic {basic}"}}],
        "workers": 1,
        "continue-on-failure": True,
        "request-timeout": 30.0,
        # NUL in any text is 400 by rule, wherever a text may stand; the hostile bodies see to it.
        "generation": {"max-examples": max_examples, "database": "none", "allow-x00": False},
        "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}},
        "phases": {name: {"enabled": name in phases} for name in PHASES},
        **({} if stop is None else {"max-failures": stop}),
    }
    if judged is not None:
        settings["checks"] = {"enabled": False, **{name: {"enabled": True} for name in judged}}
    if "stateful" in phases:
        settings["phases"]["stateful"]["generation"] = {"max-examples": 2 * max_examples}
    return schemathesis.Config.from_dict(settings)


def _count(seen: Seen, event: Any) -> None:
    recorder = event.recorder
    phase = str(event.phase.value)
    for case_id, interaction in recorder.interactions.items():
        case = recorder.cases[case_id].value
        seen.cases[phase] += 1
        if interaction.response is None:
            seen.failures.append(f"{case.operation.label}: no answer")
            continue
        status = interaction.response.status_code
        if case.method.upper() == case.operation.method.upper():
            seen.statuses[case.operation.definition.raw["operationId"]][status] += 1
        positive = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
        if positive and status in {409, 412, 422, 429}:
            seen.valid_refused[status] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status == Status.FAILURE:
                failure = check.failure_info.failure
                label = recorder.cases[case_id].value.operation.label
                answer = recorder.interactions[case_id].response
                said = "" if answer is None else f" [{answer.status_code} {answer.content[:200]!r}]"
                what = f"{phase} {label}: {check.name}: {failure.title}: {failure.message}{said}"
                seen.failures.append(f"{what}\n  {check.failure_info.code_sample}")
