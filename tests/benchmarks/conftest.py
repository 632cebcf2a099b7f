"""What the benchmarks of the ledger share: the ground they stand on, and the table they fill."""

import asyncio
import gc
import os
import platform
import signal
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvloop

from billfold_server.db.embedded import DEFAULT_MAJOR
from billfold_server.http.services import Services
from billfold_server.invariants.service import check
from billfold_server.ledger.export import verify_ledger
from billfold_server.serving.worker import GARBAGE
from tests.benchmarks.bank import FUNDS_MINOR, books_of, open_bank, opened
from tests.benchmarks.extent import FULL, QUICK, Extent
from tests.benchmarks.filling import fill
from tests.benchmarks.gauge import Gauge, Report
from tests.benchmarks.ground import Ground, sweep
from tests.benchmarks.room import OpenRoom, Room

_CHECKED_UP_TO = 100_000
"""Up to how many postings a history that was written by SQL is checked like books that the engine has written."""
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->"
_report = pytest.StashKey[Report]()
_header = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take what may be chosen on the command line."""
    group = parser.getgroup("benchmarks")
    group.addoption("--quick", action="store_true", help="measure next to nothing, to see that the benchmarks work")
    group.addoption("--large", action="store_true", help="also measure beside 20 million postings")
    group.addoption("--write", action="store_true", help="write the table into README.md here, unless it is --quick")
    group.addoption("--rounds", type=int, help="how often each variant has its turn")
    group.addoption("--seconds", type=float, help="how long each measurement takes")
    group.addoption("--postings", type=int, help="how many postings the large tables hold")


def pytest_configure(config: pytest.Config) -> None:
    """Begin a table, and let a polite signal end the run as Ctrl-C does, with everything cleared up."""
    config.stash[_report] = Report()
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of the run, and write it down if that is wanted."""
    report = config.stash[_report]
    if not report.rows:
        return
    text = f"{config.stash[_header]}\n\n{report.table()}\n"
    terminalreporter.section("benchmarks")
    terminalreporter.write(text)
    if config.getoption("--write") and not config.getoption("--quick"):
        before, _, rest = README.read_text().partition(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


@pytest.fixture(scope="session")
def extent(request: pytest.FixtureRequest) -> Extent:
    """How much is measured."""
    chosen = QUICK if request.config.getoption("--quick") else FULL
    changes = {name: request.config.getoption(f"--{name}") for name in ("rounds", "seconds", "postings")}
    return Extent(**{**vars(chosen), **{name: value for name, value in changes.items() if value is not None}})


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """The table of the run."""
    return request.config.stash[_report]


@pytest.fixture(scope="session")
def ground(request: pytest.FixtureRequest, extent: Extent, report: Report) -> Iterator[Ground]:
    """A durable PostgreSQL with Billfold and TPC-B in it."""
    sweep()
    made = Ground(extent, int(os.environ.get("BILLFOLD_TEST_POSTGRES") or DEFAULT_MAJOR))
    try:
        yield made
    finally:
        request.config.stash[_header] = _describe(made, report, extent)
        made.close()


@pytest.fixture(scope="session")
def gauge(ground: Ground, extent: Extent, report: Report) -> Gauge:
    """Takes the measurements."""
    return Gauge(extent, ground.tpcb, report)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """An event loop like a worker's."""
    # What pytest and its plugins have loaded is no business of the collector while it is measured.
    gc.collect()
    gc.freeze()
    threshold = gc.get_threshold()
    gc.set_threshold(*GARBAGE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as made:
        yield made
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.fixture(scope="module")
def services(runner: asyncio.Runner, ground: Ground) -> Iterator[Services]:
    """The server's parts, in this process."""
    entered = opened(ground.settings)
    yield runner.run(entered.__aenter__())
    runner.run(entered.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def open_room(runner: asyncio.Runner, services: Services, ground: Ground, extent: Extent) -> OpenRoom:
    """Open a further tenant."""

    def open_(slug: str, postings: int = 0) -> Room:
        bank = runner.run(open_bank(services, slug, extent.wallets, funded=not postings))
        if postings:
            runner.run(fill(services, ground.dsn(), bank, postings))
            if postings <= _CHECKED_UP_TO:
                assert runner.run(check(services.database, bank.tenant)) == []
                assert runner.run(verify_ledger(services.database, bank.tenant)).findings == []
        books = runner.run(books_of(services, bank.tenant))
        assert books.in_wallets_minor == FUNDS_MINOR * (2 * extent.wallets - 1)
        return Room(runner, services, bank, ground, extent)

    return open_


def _describe(ground: Ground, report: Report, extent: Extent) -> str:
    system = f"{os.cpu_count()} cores, Python {platform.python_version()}, PostgreSQL {ground.version}"
    how = f"{extent.rounds} rounds of {extent.seconds:g} s"
    runs = report.tpcb or [0.0]
    tpcb = f"TPC-B {min(runs):,.0f} to {max(runs):,.0f}/s over {len(report.tpcb)} runs"
    if any(ground.tpcb_us):
        tpcb += f", {statistics.median(ground.tpcb_us):.0f} µs of the processors for a transaction"
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {system}; {how}; {tpcb}."
