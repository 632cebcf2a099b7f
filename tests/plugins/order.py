"""Begin with what takes longest, so that a run doesn't end with one process at work and the others idle.

That is what its module keeps together in one process (``xdist_group``), which is long because it starts servers.
"""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move such tests to the front; among themselves, all stay in their order."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
