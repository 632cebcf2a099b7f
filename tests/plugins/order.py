"""Keep together what shares a server, and begin with it, so that a run doesn't end with one process at work.

Tests that share a fixture of their module or class go to one process: spread over all, each process would make the
fixture for itself. ``xdist_group`` says so of further tests, of several modules too.
"""

import pytest

SHARED = ("module", "class")


def _shares(item: pytest.Item) -> bool:
    found = getattr(item, "_fixtureinfo", None)
    definitions = {} if found is None else found.name2fixturedefs
    return any(each.scope in SHARED for several in definitions.values() for each in several)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that share a fixture, and move what is kept together to the front; else all stay in their order."""

    def rank(item: pytest.Item) -> int:
        if item.get_closest_marker("xdist_group") is not None:
            return 0
        if not _shares(item):
            return 2
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
        return 1

    items.sort(key=rank)
