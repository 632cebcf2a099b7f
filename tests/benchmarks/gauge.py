"""Measures beside TPC-B: each measurement stands between two runs of it, and counts only where they agree."""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tests.benchmarks.extent import Extent

__all__ = ["LOAD", "Gauge", "Measured", "Report", "Row", "Sample", "say", "whole"]

T = TypeVar("T")

LOAD = "µs of the load"
"""What the process that sends the load takes of the processors for each answer."""

_COST = "µs of "

AGREE = 1.15
"""By how much two runs of TPC-B may differ, one before and one after what is measured."""


@dataclass
class Sample:
    """What one measurement has found.

    Attributes:
        rate: How many per second.
        mean_ms, p95_ms: How long each took.
        facts: Further figures, by what they are, such as microseconds of a process for each.
    """

    rate: float
    mean_ms: float = 0.0
    p95_ms: float = 0.0
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def cost_us(self) -> float:
        """The processor time that each took, in microseconds, but for that of who sends the load.

        Other programs on the same processors change rates; what an answer costs they change much less.
        """
        return sum(took for name, took in self.facts.items() if name.startswith(_COST) and name != LOAD)


def whole(samples: Sequence[Sample]) -> Sample:
    """Return what turns of the same length come to: the mean of their rates, and all else by how many each had."""
    total = sum(sample.rate for sample in samples)

    def mean(figure: Callable[[Sample], float]) -> float:
        return sum(figure(sample) * sample.rate for sample in samples) / total

    return Sample(
        rate=total / len(samples),
        mean_ms=mean(lambda each: each.mean_ms),
        p95_ms=mean(lambda each: each.p95_ms),
        facts={name: mean(lambda each, name=name: each.facts[name]) for name in samples[0].facts},  # type: ignore[misc]
    )


@dataclass
class Measured:
    """All measurements of one variant, round by round.

    One that stands between runs of TPC-B that don't agree is discarded, unless there is no other.

    Attributes:
        rounds: In their order: the sample, its rate as a multiple of TPC-B's around it, and whether that agreed.
    """

    rounds: list[tuple[Sample, float, bool]] = field(default_factory=list)

    @property
    def quiet(self) -> set[int]:
        """The rounds that count; none where all of them were disturbed."""
        return {number for number, (_, _, agree) in enumerate(self.rounds) if agree}

    @property
    def samples(self) -> list[Sample]:
        """The samples that count."""
        return self._of(lambda each: each[0])

    @property
    def multiples(self) -> list[float]:
        """Their rates as multiples of TPC-B's."""
        return self._of(lambda each: each[1])

    def _of(self, part: Callable[[tuple[Sample, float, bool]], T]) -> list[T]:
        counted = self.quiet or set(range(len(self.rounds)))
        return [part(each) for number, each in enumerate(self.rounds) if number in counted]

    @property
    def rate(self) -> float:
        """The median rate."""
        return statistics.median(sample.rate for sample in self.samples)

    def median(self, figure: Callable[[Sample], float]) -> float:
        """Return the median of one of the samples' figures."""
        return statistics.median(map(figure, self.samples))

    def ratios(self, other: "Measured", figure: Callable[[Sample], float] = lambda each: each.rate) -> list[float]:
        """Return this variant's figures as multiples of another's, of rounds in which both count if there are any."""
        counted = self.quiet & other.quiet or set(range(len(self.rounds)))
        pairs = enumerate(zip(self.rounds, other.rounds, strict=True))
        return [figure(ours[0]) / figure(theirs[0]) for number, (ours, theirs) in pairs if number in counted]


@dataclass
class Row:
    """A row of the table."""

    what: str
    figure: str
    multiple: str = ""
    latency: str = ""
    asked: str = ""
    note: str = ""


class Report:
    """The table of one run."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.tpcb: list[float] = []

    def variant(self, what: str, measured: Measured, *, unit: str = "/s", asked: str = "", note: str = "") -> None:
        """Add what was measured of one variant."""
        rates = [sample.rate for sample in measured.samples]
        mean, p95 = measured.median(lambda each: each.mean_ms), measured.median(lambda each: each.p95_ms)
        notes = [note] if note else []
        notes += [
            f"{name} {measured.median(lambda each, name=name: each.facts[name]):.0f}"  # type: ignore[misc]
            for name in measured.samples[0].facts
        ]
        if not measured.quiet:
            notes.append("not to be relied on: TPC-B changed by more than 15 % around each")
        elif discarded := len(measured.rounds) - len(measured.quiet):
            notes.append(
                f"{discarded} of {len(measured.rounds)} discarded, around which TPC-B changed by more than 15 %"
            )
        latency = f"{mean:.1f} / {p95:.1f}" if mean else ""
        self._add(
            Row(what, f"{_spread(rates, 0)} {unit}", _spread(measured.multiples, 2), latency, asked, "; ".join(notes))
        )

    def against(self, what: str, ours: Measured, theirs: Measured, *, asked: str = "") -> None:
        """Add how a variant compares with another, by rate and by what each answer costs the processors."""
        self.ratio(what, ours.ratios(theirs), asked=asked)
        self.ratio("… by processor time", theirs.ratios(ours, lambda each: each.cost_us))

    def turns(self, what: str, cycles: Sequence[Sequence[Sample]], *, quiet: bool) -> None:
        """Add what was measured of one variant in turns, cycle by cycle, and how many turns each cycle had.

        Args:
            what: The variant.
            cycles: Its samples.
            quiet: Whether TPC-B was the same before and after all of them.
        """
        together = [whole(cycle) for cycle in cycles]
        notes = [f"{name} {statistics.median(each.facts[name] for each in together):.0f}" for name in together[0].facts]
        notes.append(f"{' and '.join(str(len(cycle)) for cycle in cycles)} turns")
        notes += [] if quiet else ["TPC-B changed by more than 15 % from before to after"]
        mean, p95 = (statistics.median(map(figure, together)) for figure in (lambda s: s.mean_ms, lambda s: s.p95_ms))
        rates = [each.rate for each in together]
        self._add(Row(what, f"{_spread(rates, 0)} /s", latency=f"{mean:.1f} / {p95:.1f}", note="; ".join(notes)))

    def ratio(self, what: str, ratios: Sequence[float], *, asked: str = "", note: str = "") -> None:
        """Add how two variants compare, round by round."""
        self._add(Row(what, f"{_spread(ratios, 2)} times", asked=asked, note=note))

    def count(self, what: str, number: float, *, asked: str = "") -> None:
        """Add how often something happened."""
        self._add(Row(what, f"{number:.2f}", asked=asked))

    def latency(self, what: str, mean_ms: float, p95_ms: float, *, asked: str = "") -> None:
        """Add how long something takes by itself."""
        self._add(Row(what, "", latency=f"{mean_ms:.2f} / {p95_ms:.2f}", asked=asked))

    def table(self) -> str:
        """Return the table as Markdown."""
        lines = [
            "| What | Median (min to max) | Times TPC-B | Mean / p95, ms | To reach (aim) | Remarks |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.what} | {row.figure} | {row.multiple} | {row.latency} | {row.asked} | {row.note} |"
            for row in self.rows
        ]
        return "\n".join(lines)

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        multiple = f"= {row.multiple} times TPC-B" if row.multiple else ""
        say(f"  {row.what}: {row.figure} {multiple} {row.latency} {row.note}")


class Gauge:
    """Takes measurements, between runs of TPC-B.

    Args:
        extent: How many.
        tpcb: Runs TPC-B, and returns its transactions per second.
        report: Is told of each run of TPC-B.
    """

    def __init__(self, extent: Extent, tpcb: Callable[[], float], report: Report) -> None:
        self._extent = extent
        self._tpcb = tpcb
        self._report = report

    def interleave(self, block: str, variants: dict[str, Callable[[], Sample]]) -> dict[str, Measured]:
        """Let variants take turns, round by round.

        A measurement whose runs of TPC-B differ too much is done again, until the block's repeats are used up.
        """
        found = {name: Measured() for name in variants}
        repeats = self._extent.repeats
        before = self._run_tpcb(block)
        for number in range(self._extent.rounds):
            for name, measure in variants.items():
                while True:
                    sample = measure()
                    after = self._run_tpcb(block)
                    agree = max(before, after) <= AGREE * min(before, after)
                    between, before = (before + after) / 2, after
                    say(f"{block}, round {number + 1}, {name}: {sample.rate:,.0f}/s {'' if agree else '(noisy)'}")
                    if agree or not repeats:
                        break
                    repeats -= 1
                found[name].rounds.append((sample, sample.rate / between, agree))
        return found

    def cycles(
        self, block: str, variants: Mapping[str, Callable[[], Sample]], begun: Callable[[], int]
    ) -> tuple[dict[str, list[list[Sample]]], bool]:
        """Let variants take turns from one checkpoint to the next, and so on, with a run of TPC-B before and after all.

        It doesn't run in between, where it would push what is measured out of memory and bring the next checkpoint on.

        Args:
            block: What is measured.
            variants: Each takes one turn.
            begun: Returns how many checkpoints have begun.

        Returns:
            Each variant's samples, cycle by cycle, and whether TPC-B was the same before and after.
        """
        found: dict[str, list[list[Sample]]] = {name: [] for name in variants}
        before = self._run_tpcb(block)
        for number in range(self._extent.rounds):
            for cycle in found.values():
                cycle.append([])
            at, turns = begun(), 0
            while begun() == at and turns != self._extent.turns:
                # Who is first in one turn is last in the next: a checkpoint comes in the midst of one.
                for name, measure in list(variants.items())[:: -1 if turns % 2 else 1]:
                    found[name][-1].append(measure())
                turns += 1
            rates = ", ".join(f"{name} {whole(cycle[-1]).rate:,.0f}/s" for name, cycle in found.items())
            say(f"{block}, round {number + 1}, {turns} turns: {rates}")
        after = self._run_tpcb(block)
        return found, max(before, after) <= AGREE * min(before, after)

    def _run_tpcb(self, block: str) -> float:
        rate = self._tpcb()
        self._report.tpcb.append(rate)
        say(f"{block}: TPC-B {rate:,.0f}/s")
        return rate


def say(line: str) -> None:
    """Tell how far the run is, at once."""
    sys.stdout.write(f"\n{line}")
    sys.stdout.flush()


def _spread(values: Sequence[float], digits: int) -> str:
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
