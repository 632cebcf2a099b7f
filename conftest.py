"""Load the plugins that every test run needs; those of one folder live in its conftest.py."""

pytest_plugins = [
    "tests.plugins.garbage",
    "tests.plugins.needs",
    "tests.plugins.order",
    "tests.plugins.patience",
    "tests.plugins.tally",
    "tests.plugins.trust",
    "tests.postgres",
    "pytester",
]
