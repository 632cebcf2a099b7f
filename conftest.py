"""Load the plugins that every test run needs; fixtures live in tests/conftest.py."""

pytest_plugins = ["tests.plugins.needs", "tests.plugins.tally", "pytester"]
