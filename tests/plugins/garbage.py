"""Let the garbage collector leave alone what is loaded with the tests: it stays, and is more than all that tests make.

While thousands of tests are collected nothing becomes garbage, and looking for it takes a fifth of that time; later,
each look at everything would go through all of it again. What tests make and keep, such as servers, is much as well, so
looks at everything are rarer than usual: they took a fifteenth of the time of the tests of the contract.
"""

import gc
from collections.abc import Generator
from typing import Final

import pytest

_THRESHOLDS: Final = (700, 10, 100)
"""Those of Python, but for the last, which is ten times as high."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without collecting garbage, keep what there is then, and look at everything more rarely."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        gc.enable()
