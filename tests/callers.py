"""Who acts in tests of services."""

from uuid import UUID

from billfold_server.tenancy.context import Caller

CALLER = Caller(
    actor="cli_01m7w9tnzcejq9b78b81gh4nmw",
    client_id=UUID("01976f0a-0000-7000-8000-000000000001"),
    request_id="req_01m7w9tnzcejq9b78b81gh4nmw",
)
