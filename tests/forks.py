"""Processes of tests, forked from one that has loaded the server: loading it takes each of them most of a second.

That one is made when a process of the run first asks for a fork. It has never had a connection, a thread or an event
loop, so a fork of it is as good as a process that began on its own. How programs begin is for those to test that begin
by themselves, as every ``billfold up`` of a test does.
"""

import functools
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import ParamSpec

from tests.patient.sitecustomize import PATH

_P = ParamSpec("_P")

_LOADED = ["billfold_server.app", "billfold_server.serving.doctor", "billfold_server.serving.service", "tests.tenants"]
"""What nearly all of them need."""


def forked(work: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> ForkServerProcess:
    """Start a process that does some work, for which a function of a module must stand, and return it."""
    process = _context().Process(target=work, args=args, kwargs=kwargs, daemon=True)
    process.start()
    return process


@functools.cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    # Before Python 3.14 it isn't told where this process looks for modules, and passes over what it doesn't find.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([PATH, *filter(None, sys.path)])
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context
