"""How many requests of one tenant a worker has under way while other tenants ask as well.

A worker is one event loop. Whoever has hundreds of requests under way in it makes each of its turns long, and a request
takes several turns: for its head, its transaction, its answer. So while several tenants ask, each has a number of
places. A request without a place waits in its tenant's line, before anything of it is handled; all others pass it.

Lines know nothing of one another but how many of them there are: none can hold up another. And each goes on by itself.
A request has no place while it waits for its body, which anybody can have it do for as long as they like. And a place
is given back soon in any case (``Rules.lease_s``), because a request that is still under way then waits for something
else than this event loop, be it an event or an answer of this very server's. So a tenant can always begin many requests
in a second. Who has waited too long is told so.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

__all__ = ["PLATFORM", "ROOM", "Lines", "Names", "Place", "Rules", "Shares", "size_of", "waited_in"]

Headers = Iterable[tuple[bytes, bytes]]

ROOM: Final = "shares"
"""Under which name ``build_app`` keeps them, in ``Services.rooms``."""

_LOOK_S: Final = 0.025
"""How often lines are looked at in which somebody waits."""

_TOLD_AT_ONCE: Final = 16
"""How many of a line are told at once that they have waited too long; an answer costs, too."""

_REMEMBERED: Final = 4096
"""From how many lines on those that are empty are forgotten."""

_PIECE_BYTES: Final = 8192
"""For how much of its body a request takes one place."""

_UNMEASURED: Final = 4
"""How many a request takes that doesn't say how large its body is, or says what can't be."""

_DIGITS: Final = 12
_KEY: Final = "billfold.waiting"

_PASSING: Final = frozenset({"/health/live", "/health/ready", "/metrics"})
PLATFORM: Final = "/platform/"
"""The line of those who operate the deployment; their addresses begin like this."""

_WELL_KNOWN: Final = "/.well-known/"
_NOBODY: Final = "/"


class Rules(NamedTuple):
    """How places are given.

    Attributes:
        most: How many requests a tenant may have under way while others ask, too.
        beside: How many while one of those others asks now and then.
        calm_s: For how long after a request of one that does.
        pause_s: After which pause a request is one of somebody who asks now and then.
        least: How many in any case.
        together: How many those have together who ask for more, as long as each has the least.
        company_s: For how long after somebody else's request nobody is alone.
        lease_s: For how long a request keeps a place at most; with several places, for so much longer.
        patience_s: How long a request waits at most.
    """

    most: int = 8
    beside: int = 4
    calm_s: float = 1.0
    pause_s: float = 0.1
    least: int = 4
    together: int = 64
    company_s: float = 10.0
    lease_s: float = 0.1
    patience_s: float = 5.0


USUAL: Final = Rules()
"""As a worker gives them."""


class Place:
    """A request's place, or its wish for one.

    Attributes:
        begin: Begins the request, once it has waited; None where there is nothing to begin any more.
        wants: How many places it would take.
        size: How many it takes, which is half of what its tenant may have at most.
        since: When it came.
        until: Until when it may keep its place.
        waited_s: How long it has waited.
        is_late: Whether it has waited for too long, and is only to be told so.
    """

    __slots__ = ("begin", "held", "is_late", "line", "since", "size", "until", "waited_s", "waits", "wants")

    def __init__(self, line: "Line", wants: int, now: float) -> None:
        self.line = line
        self.size = self.wants = wants
        self.since = self.until = now
        self.waited_s = 0.0
        self.begin: Callable[[], None] | None = None
        self.held = self.waits = self.is_late = False


class Line:
    """One tenant's requests: those that hold a place, and those that wait, in the order in which they came."""

    __slots__ = ("asked_at", "held", "holding", "name", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked_at = -math.inf
        self.held = 0
        self.holding: set[Place] = set()
        self.waiting: deque[Place] = deque()


class Lines:
    """Gives places and takes them back; what time it is, it is told.

    Args:
        rules: How.
    """

    def __init__(self, rules: Rules = USUAL) -> None:
        self.rules = rules
        self.waiting = 0
        # So that the small requests of who sends large ones go on, too.
        self._largest = max(rules.most // 2, 1)
        self._lines: dict[str, Line] = {}
        self._long: dict[str, Line] = {}
        self._last = ""
        self._last_at = self._other_at = -math.inf
        self._calm = ""
        self._calm_at = self._other_calm_at = -math.inf

    def ask(self, name: str, headers: Headers, now: float) -> Place | None:
        """Return a place in a tenant's line, which is held, or waited for; None where the tenant is alone.

        What is begun while nobody else asks isn't counted, so that it costs nothing. It is soon over.

        Args:
            name: Whose line.
            headers: The request's, which say how large it is.
            now: Seconds on a clock that is never set.
        """
        self._heard(name, now)
        if self.is_alone(now, name) and not self.waiting:
            return None
        line = self._lines.get(name)
        if line is None:
            line = self._open(name, now)
        self._note_pace(line, now)
        place = Place(line, min(size_of(headers), self._largest), now)
        if line.waiting or not self._fits(line, place, now):
            place.waits = True
            line.waiting.append(place)
            self._long[name] = line
            self.waiting += 1
        else:
            self._hold(line, place, now)
        return place

    def leave(self, place: Place, now: float) -> list[Place]:
        """Take back a place whose request is over, or which nobody waits for any more; return whose turn it is now."""
        line = place.line
        if place.waits:
            place.waits = False
            place.begin = None
            self.waiting -= 1
        elif place.held:
            self._release(place)
        return self._advance(line, now) if line.waiting else []

    def resume(self, place: Place, now: float) -> None:
        """Take a place again that was given back while its request waited.

        It is under way and can't be put in line any more, so it may be one too many; then those in line wait for it.
        """
        if not place.held:
            self._hold(place.line, place, now)

    def is_alone(self, now: float, name: str = "") -> bool:
        """Tell whether nobody asks but one tenant; strangers are alone where none does.

        Args:
            now: Seconds on a clock that is never set.
            name: Whose line it is about, where that may be the strangers'.
        """
        other_at = self._last_at if name == _NOBODY else self._other_at
        return now - other_at > self.rules.company_s

    def look(self, now: float) -> list[Place]:
        """Return whose turn it is because time has passed, those who have waited too long among them."""
        begun: list[Place] = []
        for line in list(self._long.values()):
            begun += self._late(line, now)
            begun += self._advance(line, now)
        return begun

    def _open(self, name: str, now: float) -> Line:
        if len(self._lines) >= _REMEMBERED:
            for line in self._lines.values():
                self._expire(line, now)
            self._lines = {line.name: line for line in self._lines.values() if line.holding or line.waiting}
        line = self._lines[name] = Line(name)
        return line

    def _heard(self, name: str, now: float) -> None:
        """Note who asks. Strangers are nobody's company, for anybody can be one without a token."""
        if name == _NOBODY:
            return
        if name != self._last:
            self._other_at, self._last = self._last_at, name
        self._last_at = now

    def _note_pace(self, line: Line, now: float) -> None:
        """Note who asks now and then; strangers don't count here, either."""
        if now - line.asked_at >= self.rules.pause_s and not line.waiting and line.name != _NOBODY:
            if line.name != self._calm:
                self._other_calm_at, self._calm = self._calm_at, line.name
            self._calm_at = now
        line.asked_at = now

    def _fits(self, line: Line, place: Place, now: float) -> bool:
        """Tell whether a request gets its places. A line that has none gets them in any case."""
        most = self._most(line, now)
        place.size = min(place.wants, max(int(most) // 2, 1)) if math.isfinite(most) else place.wants
        free = most - place.size
        if line.held and line.held > free:
            self._expire(line, now)
        return not line.held or line.held <= free

    def _most(self, line: Line, now: float) -> float:
        rules = self.rules
        if self.is_alone(now, line.name):
            return math.inf
        # Nobody gives way to themselves.
        calm_at = self._other_calm_at if line.name == self._calm else self._calm_at
        most = rules.most if now - calm_at > rules.calm_s else min(rules.beside, rules.most)
        return max(rules.least, min(most, rules.together // (len(self._long) or 1)))

    def _expire(self, line: Line, now: float) -> None:
        """Give back the places that requests have had for too long."""
        for place in [each for each in line.holding if each.until < now]:
            self._release(place)

    @staticmethod
    def _release(place: Place) -> None:
        place.held = False
        place.line.held -= place.size
        place.line.holding.remove(place)

    def _hold(self, line: Line, place: Place, now: float) -> None:
        place.held = True
        place.until = now + self.rules.lease_s * place.size
        line.held += place.size
        line.holding.add(place)

    def _advance(self, line: Line, now: float) -> list[Place]:
        begun: list[Place] = []
        for place in self._first(line):
            if not self._fits(line, place, now):
                return begun
            self._call(line, place, now)
            self._hold(line, place, now)
            self._heard(line.name, now)
            begun.append(place)
        self._long.pop(line.name, None)
        return begun

    def _late(self, line: Line, now: float) -> list[Place]:
        late: list[Place] = []
        for place in self._first(line):
            if now - place.since <= self.rules.patience_s or len(late) == _TOLD_AT_ONCE:
                break
            self._call(line, place, now)
            place.is_late = True
            late.append(place)
        return late

    @staticmethod
    def _first(line: Line) -> Iterator[Place]:
        """Go through those who wait; whoever isn't called stays the first."""
        waiting = line.waiting
        while waiting:
            if waiting[0].waits:
                yield waiting[0]
            else:
                waiting.popleft()

    def _call(self, line: Line, place: Place, now: float) -> None:
        line.waiting.popleft()
        place.waits = False
        place.waited_s = now - place.since
        self.waiting -= 1


class _Known(Protocol):
    """Which tenants a worker knows."""

    def knows(self, slug: str) -> bool:
        """Tell whether there was a tenant with this slug when it was last looked."""

    def known_at(self, host: str) -> str | None:
        """Return the slug of the tenant that had this host name when it was last looked."""


class Names:
    """Tells in whose line a request stands: its tenant's, as its address names it.

    What names no tenant that is known has one line, whatever it names; so nobody gets more by making names up.

    Args:
        tenants: Which tenants there are.
        own_hosts: The deployment's own hosts, which are no tenant's.
    """

    def __init__(self, tenants: _Known, own_hosts: Collection[str] = ()) -> None:
        self._tenants = tenants
        self._own_hosts = own_hosts

    def of(self, scope: Mapping[str, Any]) -> str | None:
        """Return a line's name, or None for what never waits."""
        path: str = scope["path"]
        if path.startswith("/t/"):
            return self._tenant(path[3:])
        if path in _PASSING:
            return None
        if path.startswith(_WELL_KNOWN) and "/t/" in path:
            # Metadata has the tenant behind it (RFC 8414 and RFC 9728, both in section 3.1).
            return self._tenant(path.partition("/t/")[2])
        host = _header(scope, b"host").partition(b":")[0].decode("latin-1").lower()
        if host not in self._own_hosts and (known := self._tenants.known_at(host)) is not None:
            return known
        return PLATFORM if path.startswith(PLATFORM) else _NOBODY

    def _tenant(self, path: str) -> str:
        slug = path.partition("/")[0]
        return slug if self._tenants.knows(slug) else _NOBODY


class Shares:
    """What the connections of a worker ask for places.

    Args:
        names: Tells lines apart.
        rules: How places are given.

    Attributes:
        lines: Who has places, and who waits.
    """

    def __init__(self, names: Names, rules: Rules = USUAL) -> None:
        self._names = names
        self.lines = Lines(rules)
        self._timer: asyncio.TimerHandle | None = None
        self._called: deque[Place] = deque()

    @property
    def waiting(self) -> int:
        """Return how many requests wait."""
        return self.lines.waiting

    def ask(self, scope: Any) -> Place | None:
        """Return a request's place, or None where it needs none. Where it waits, it must be told how to begin."""
        name = self._names.of(scope)
        if name is None:
            return None
        place = self.lines.ask(name, scope["headers"], time.monotonic())
        if place is not None and place.waits:
            scope[_KEY] = place
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)
        return place

    def leave(self, place: Place) -> None:
        """Take a place back."""
        self._call(self.lines.leave(place, time.monotonic()))

    def resume(self, place: Place) -> None:
        """Take a place again that was given back while its request waited."""
        self.lines.resume(place, time.monotonic())

    def _look(self) -> None:
        self._call(self.lines.look(time.monotonic()))
        again = self.lines.waiting > 0
        self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look) if again else None

    def _call(self, places: Sequence[Place]) -> None:
        """Let requests begin, one in each turn of the event loop: what others wait for comes in between."""
        begins_none = not self._called
        self._called.extend(places)
        if places and begins_none:
            asyncio.get_running_loop().call_soon(self._begin_one)

    def _begin_one(self) -> None:
        place = self._called.popleft()
        if self._called:
            asyncio.get_running_loop().call_soon(self._begin_one)
        begin, place.begin = place.begin, None
        if begin is not None:
            begin()


def size_of(headers: Headers) -> int:
    """Return how many places a request takes: a thousand transfers in one body are no single one."""
    for name, value in headers:
        if name == b"content-length":
            return 1 + int(value) // _PIECE_BYTES if value.isdigit() and len(value) <= _DIGITS else _UNMEASURED
        if name == b"transfer-encoding":
            return _UNMEASURED
    return 1


def waited_in(scope: Mapping[str, Any]) -> Place | None:
    """Return the place for which a request has waited, if it has."""
    place = scope.get(_KEY)
    return place if isinstance(place, Place) else None


def _header(scope: Mapping[str, Any], wanted: bytes) -> bytes:
    value: bytes
    for name, value in scope["headers"]:
        if name == wanted:
            return value
    return b""
