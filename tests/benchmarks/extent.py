"""How much is measured: all of it on a quiet machine, or hardly anything, to see that the benchmarks work."""

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Extent"]


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        seconds: How long each measurement takes, and each run of TPC-B beside it, which takes whole seconds or is cut
            short after a few transactions.
        rounds: How often each variant has its turn.
        repeats: How many measurements of a block are done again because TPC-B changed meanwhile.
        scale: TPC-B's size: times 100,000 accounts.
        wallets: How many wallets a tenant has.
        tenants: How many tenants share the server.
        callers: How many callers or connections there are.
        postings: How many postings the full tables hold.
        turns: How many turns each variant has from one checkpoint to the next; as many as there are, where absent.
    """

    seconds: float = 8
    rounds: int = 3
    repeats: int = 4
    scale: int = 50
    wallets: int = 10_000
    tenants: int = 100
    callers: int = 64
    postings: int = 20_000_000
    turns: int | None = None


FULL = Extent()
QUICK = Extent(seconds=0.4, rounds=1, repeats=0, scale=1, wallets=40, tenants=4, callers=16, postings=4_000, turns=2)
