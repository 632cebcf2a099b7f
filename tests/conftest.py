"""The fixtures that tests of any room may use."""

import pytest

from billfold_server.http.logs import leave_logs_to_the_program
from tests.locks import product_locks
from tests.openbao import openbao
from tests.server.tls_up import tls_up
from tests.tenants import administer, tenancy, tenancy_deployment, tenancy_template

__all__ = [
    "administer",
    "logs",
    "openbao",
    "product_locks",
    "tenancy",
    "tenancy_deployment",
    "tenancy_template",
    "tls_up",
]


@pytest.fixture(scope="session", autouse=True)
def logs() -> None:
    """Leave the server's logs to pytest in every test, as they are once a process of tests has served anything.

    By itself structlog would print them between the lines that a test looks at.
    """
    leave_logs_to_the_program()
