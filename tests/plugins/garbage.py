"""Let the garbage collector leave alone what is loaded with the tests: it stays, and is more than all that tests make.

While thousands of tests are collected nothing becomes garbage, and looking for it takes a fifth of that time; later,
each look at everything would go through all of it again.
"""

import gc
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without collecting garbage, and keep what there is then."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
