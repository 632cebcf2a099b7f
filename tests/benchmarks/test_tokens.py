"""Vault tokens over HTTP: cards taken in and told, against a plain insert of the same size through the same stack.

The insert is a product of ``/v1``, the plainest create that there is: the same token, rate limit, idempotency key,
transaction and durable commit, one row as large as the two rows of a card's token, its event and its audit record, and
nothing else. No card passes through it, so neither cryptography nor another process is needed for it. Its row, its
event and its record travel as one statement, as those of a token do, so it isn't slower than it has to be.

Every card is one that the vault hasn't seen, and every token one that nobody has asked for: what is known already costs
less. Requests are made ready before they are sent.
"""

import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from billfold_server.http.services import Services
from tests.benchmarks.extent import Extent
from tests.benchmarks.gauge import Gauge, Report, Sample
from tests.benchmarks.ground import Ground
from tests.benchmarks.vaults import BULK, Vault, opened
from tests.openbao import OpenBao, openbao

__all__ = ["openbao"]

pytestmark = pytest.mark.timeout(0)

_CONNECTIONS: Final = 32
_PER_S: Final = 700
"""How many requests of one value are made ready for each second that is to be measured."""
_BULKS_PER_S: Final = 12
_BULK_CONNECTIONS: Final = 4


@pytest.fixture(scope="module")
def vault(
    runner: asyncio.Runner, services: Services, ground: Ground, openbao: OpenBao, extent: Extent
) -> Iterator[Vault]:
    """A tenant with a vault, which has all its keys and connections by now."""
    with opened(runner, services, ground, openbao) as made:
        for make in (made.inserts, made.cards, made.accounts):
            made.measure(make, extent.callers, status=201, connections=_CONNECTIONS)
        made.measure(_asking(made), extent.callers, status=200, connections=_CONNECTIONS)
        yield made


def _asking(vault: Vault, size: int = 1) -> Callable[[int], list[bytes]]:
    return lambda count: vault.asking(vault.tokens(count * size), size)


class TestVaultTokens:
    """Over HTTP, with every commit on disk."""

    def test_cost_little_more_than_plain_inserts(
        self, gauge: Gauge, report: Report, extent: Extent, vault: Vault
    ) -> None:
        """Single cards and accounts against products, bulks against singles, and what OpenBao was asked meanwhile."""
        count, bulks = max(int(extent.seconds * _PER_S), _CONNECTIONS), max(int(extent.seconds * _BULKS_PER_S), 4)
        single = functools.partial(vault.measure, count=count, connections=_CONNECTIONS)
        bulk = functools.partial(vault.measure, count=bulks, status=200, connections=_BULK_CONNECTIONS, size=BULK)
        variants: dict[str, Callable[[], Sample]] = {
            "insert": lambda: single(vault.inserts, status=201),
            "in": lambda: single(vault.cards, status=201),
            "out": lambda: single(_asking(vault), status=200),
            "account": lambda: single(vault.accounts, status=201),
            "in, bulk": lambda: bulk(vault.bulks_of_cards),
            "out, bulk": lambda: bulk(_asking(vault, BULK)),
        }
        calls, before = vault.calls(), vault.operations
        found = gauge.interleave("vault tokens", variants)
        calls, operations = vault.calls() - calls, vault.operations - before
        large, plain = vault.row_bytes("vault_tokens", "vault_fingerprints"), vault.row_bytes("products")
        report.variant("Plain insert", found["insert"], note=f"bytes of its row {plain:.0f}")
        for name, what in (("in", "Card, tokenized"), ("out", "Card, detokenized"), ("account", "Account, tokenized")):
            report.variant(what, found[name], note=f"bytes of its rows {large:.0f}" if name == "in" else "")
            report.against("… against the insert", found[name], found["insert"], asked="0.7")
        for name, what in (("in", "tokenized"), ("out", "detokenized")):
            report.variant(f"Cards, {what}, {BULK} at a time", found[f"{name}, bulk"], unit="values/s")
            report.ratio("… against one at a time", found[f"{name}, bulk"].ratios(found[name]), asked="5")
        report.count("Calls to OpenBao per 10,000 values", calls / operations * 10_000, asked="less than 1")
        assert 0.9 < large / plain < 1.1
        # A token may have to be renewed, or a key be read anew.
        assert calls <= 1 + operations // 10_000
