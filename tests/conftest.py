"""The fixtures that tests of any room may use."""

from tests.locks import patient_locks
from tests.openbao import openbao
from tests.server.tls_up import tls_up
from tests.tenants import administer, tenancy, tenancy_deployment, tenancy_template

__all__ = ["administer", "openbao", "patient_locks", "tenancy", "tenancy_deployment", "tenancy_template", "tls_up"]
