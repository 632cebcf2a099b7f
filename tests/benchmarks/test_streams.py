"""Publishing to NATS: events per second through the relay, beside nats-py that publishes the same bytes one by one.

Both wait for each acknowledgement, to streams of one server that keeps them on the same disk, and take turns. What the
relay does besides is reading from PostgreSQL, looking for the last message of each batch, and marking its place.
"""

import statistics
import time

import msgspec
import pytest

from billfold_server.db.outbox import list_events
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import say
from tests.server.streams.conftest import Nats, nats
from tests.server.streams.test_publishing import Stream, emitted
from tests.tenants import Tenancy

__all__ = ["nats"]

pytestmark = pytest.mark.timeout(0)

_EVENTS = 500
_ALONE = 50


class TestPublishing:
    async def test_is_measured_beside_bare_nats(self, tenancy: Tenancy, nats: Nats, extent: Extent) -> None:
        """All that is published is there once and in order; the figures are told and gate nothing."""
        stream = Stream(nats)
        relay = stream.relay(tenancy, batch=100)
        client = await stream.client()
        bare = client.jetstream()
        await bare.add_stream(name=f"{stream.name}B", subjects=[f"{stream.name}B.>"])
        ours: list[float] = []
        theirs: list[float] = []
        number = 0
        until = time.monotonic() + extent.seconds * extent.rounds
        while time.monotonic() < until or not ours:
            for first in range(0, _EVENTS, 100):
                await emitted(tenancy, *range(number + first, number + first + 100))
            async with tenancy.database.tx(tenancy.tenant) as tx:
                events = await list_events(tx, after=number, limit=_EVENTS)
            began = time.perf_counter()
            assert await relay.run(tenancy.tenant) is None
            ours.append(_EVENTS / (time.perf_counter() - began))
            began = time.perf_counter()
            for event in events:
                headers = {"Nats-Msg-Id": event.id, "Content-Type": "application/json"}
                await bare.publish(f"{stream.name}B.{event.type}", msgspec.json.encode(event), headers=headers)
            theirs.append(_EVENTS / (time.perf_counter() - began))
            number += _EVENTS
        lags = []
        for each in range(number, number + _ALONE):
            began = time.perf_counter()
            await emitted(tenancy, each)
            await relay.run(tenancy.tenant)
            lags.append((time.perf_counter() - began) * 1_000)
        info = await bare.stream_info(stream.name)
        await client.close()
        await stream.publisher.aclose()
        assert info.state.messages == number + _ALONE
        rate, peer = statistics.median(ours), statistics.median(theirs)
        say(f"Relay to NATS: {rate:,.0f} events/s, {len(ours)} times {_EVENTS}")
        say(f"Bare nats-py: {peer:,.0f} events/s; the relay has {rate / peer:.2f} of it")
        slow = sorted(lags)[int(len(lags) * 0.95)]
        say(f"From before an event's transaction to NATS: median {statistics.median(lags):.1f} ms, p95 {slow:.1f} ms")
