"""What every room brings to the whole: its operations, what it keeps of people, and what of it is deleted by itself.

A new room stands here, and where ``app`` makes what works for it.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from billfold_server.account_statements import inventory as account_statements_inventory
from billfold_server.account_statements import routes as account_statements_routes
from billfold_server.approvals import inventory as approvals_inventory
from billfold_server.approvals import queries as approvals_queries
from billfold_server.approvals import routes as approvals_routes
from billfold_server.approvals import subjects as approvals_subjects
from billfold_server.arrangements import inventory as arrangements_inventory
from billfold_server.arrangements import routes as arrangements_routes
from billfold_server.arrangements import subjects as arrangements_subjects
from billfold_server.audit import inventory as audit_inventory
from billfold_server.audit import routes as audit_routes
from billfold_server.audit import service as audit
from billfold_server.audit import subjects as audit_subjects
from billfold_server.consents import inventory as consents_inventory
from billfold_server.consents import queries as consents_queries
from billfold_server.consents import routes as consents_routes
from billfold_server.consents import subjects as consents_subjects
from billfold_server.db import inventory as db_inventory
from billfold_server.db import jobs, outbox
from billfold_server.db import subjects as db_subjects
from billfold_server.db.personal import Inventory, SubjectProvider
from billfold_server.db.retention import Sweep
from billfold_server.decryptor import inventory as decryptor_inventory
from billfold_server.http import docs, health
from billfold_server.http import inventory as http_inventory
from billfold_server.http import subjects as http_subjects
from billfold_server.http.routing import Operation, Routes
from billfold_server.identity import inventory as identity_inventory
from billfold_server.identity import routes as identity_routes
from billfold_server.identity import subjects as identity_subjects
from billfold_server.identity.authorization import routes as authorization_routes
from billfold_server.identity.clients import registration_routes
from billfold_server.identity.clients import routes as clients_routes
from billfold_server.identity.discovery import routes as discovery_routes
from billfold_server.identity.grants import refresh_tokens
from billfold_server.identity.grants import service as grants
from billfold_server.identity.tokens import routes as tokens_routes
from billfold_server.keys import routes as keys_routes
from billfold_server.keys.service import FORGOTTEN_JOB
from billfold_server.ledger import inventory as ledger_inventory
from billfold_server.ledger import routes as ledger_routes
from billfold_server.ledger import subjects as ledger_subjects
from billfold_server.open_banking.accounts import routes as open_banking_accounts_routes
from billfold_server.open_banking.consents import routes as account_access_routes
from billfold_server.open_banking.events import inventory as events_inventory
from billfold_server.open_banking.events import queries as events_queries
from billfold_server.open_banking.events import routes as events_routes
from billfold_server.open_banking.events import subjects as events_subjects
from billfold_server.open_banking.funds import routes as funds_routes
from billfold_server.open_banking.payments import routes as domestic_payment_routes
from billfold_server.open_banking.vrp import routes as vrp_routes
from billfold_server.parties import inventory as parties_inventory
from billfold_server.parties import routes as parties_routes
from billfold_server.parties import subjects as parties_subjects
from billfold_server.partners import inventory as partners_inventory
from billfold_server.partners import routes as partners_routes
from billfold_server.payments import inventory as payments_inventory
from billfold_server.payments import routes as payments_routes
from billfold_server.payments import subjects as payments_subjects
from billfold_server.people import inventory as people_inventory
from billfold_server.people import operator_routes, sca_queries
from billfold_server.people import routes as people_routes
from billfold_server.people import subjects as people_subjects
from billfold_server.portal import routes as portal_routes
from billfold_server.privacy import routes as privacy_routes
from billfold_server.privacy.service import SHRED_JOB
from billfold_server.reconciliation import inventory as reconciliation_inventory
from billfold_server.reconciliation import routes as reconciliation_routes
from billfold_server.reconciliation import subjects as reconciliation_subjects
from billfold_server.request_log import inventory as request_log_inventory
from billfold_server.request_log import routes as request_log_routes
from billfold_server.request_log import service as request_log
from billfold_server.sandbox import inventory as sandbox_inventory
from billfold_server.sandbox import resetting
from billfold_server.sandbox import routes as sandbox_routes
from billfold_server.tenancy import inventory as tenancy_inventory
from billfold_server.tenancy import routes as tenancy_routes
from billfold_server.tokens import card_routes, card_sessions
from billfold_server.tokens import inventory as vault_inventory
from billfold_server.tokens import routes as vault_routes
from billfold_server.tokens import subjects as vault_subjects
from billfold_server.wallets import inventory as wallets_inventory
from billfold_server.wallets import routes as wallets_routes
from billfold_server.wallets import subjects as wallets_subjects
from billfold_server.webhooks import delivery_queries as webhooks_queries
from billfold_server.webhooks import inventory as webhooks_inventory
from billfold_server.webhooks import routes as webhooks_routes
from billfold_server.webhooks import subjects as webhooks_subjects

__all__ = ["INVENTORIES", "ROOMS", "SUBJECTS", "SWEEPS", "operations"]

ROOMS: Final[tuple[Routes, ...]] = (
    tenancy_routes.routes,
    sandbox_routes.routes,
    sandbox_routes.sandbox_routes,
    parties_routes.routes,
    wallets_routes.routes,
    arrangements_routes.routes,
    account_statements_routes.routes,
    open_banking_accounts_routes.routes,
    ledger_routes.routes,
    reconciliation_routes.routes,
    payments_routes.routes,
    vrp_routes.routes,
    account_access_routes.routes,
    funds_routes.routes,
    domestic_payment_routes.routes,
    vault_routes.routes,
    card_routes.routes,
    card_routes.page_routes,
    webhooks_routes.routes,
    webhooks_routes.endpoint_routes,
    request_log_routes.routes,
    events_routes.routes,
    privacy_routes.routes,
    approvals_routes.routes,
    consents_routes.routes,
    events_routes.staff_routes,
    keys_routes.routes,
    audit_routes.routes,
    tokens_routes.routes,
    clients_routes.routes,
    registration_routes.routes,
    identity_routes.routes,
    authorization_routes.routes,
    discovery_routes.routes,
    tokens_routes.platform_routes,
    identity_routes.platform_routes,
    discovery_routes.platform_routes,
    people_routes.user_routes,
    partners_routes.routes,
    sandbox_routes.partner_routes,
    people_routes.routes,
    people_routes.platform_routes,
    authorization_routes.platform_routes,
    portal_routes.routes,
    tenancy_routes.platform_routes,
    operator_routes.routes,
    audit_routes.platform_routes,
    docs.routes,
    docs.platform_routes,
    health.routes,
)
"""The routes of every room, in the order in which the document shows them."""

INVENTORIES: Final[tuple[Inventory, ...]] = (
    parties_inventory.INVENTORY,
    people_inventory.INVENTORY,
    partners_inventory.INVENTORY,
    wallets_inventory.INVENTORY,
    arrangements_inventory.INVENTORY,
    account_statements_inventory.INVENTORY,
    ledger_inventory.INVENTORY,
    reconciliation_inventory.INVENTORY,
    payments_inventory.INVENTORY,
    vault_inventory.INVENTORY,
    identity_inventory.INVENTORY,
    approvals_inventory.INVENTORY,
    consents_inventory.INVENTORY,
    events_inventory.INVENTORY,
    webhooks_inventory.INVENTORY,
    request_log_inventory.INVENTORY,
    sandbox_inventory.INVENTORY,
    audit_inventory.INVENTORY,
    http_inventory.INVENTORY,
    db_inventory.INVENTORY,
    decryptor_inventory.INVENTORY,
    tenancy_inventory.INVENTORY,
)
"""What every room keeps of people, column by column; a column that no room classifies fails a test."""

SUBJECTS: Final[tuple[SubjectProvider, ...]] = (
    # Whoever signs in is asked for by grants before they are gone.
    identity_subjects.SUBJECTS,
    people_subjects.SUBJECTS,
    arrangements_subjects.SUBJECTS,
    wallets_subjects.SUBJECTS,
    ledger_subjects.SUBJECTS,
    reconciliation_subjects.SUBJECTS,
    payments_subjects.SUBJECTS,
    approvals_subjects.SUBJECTS,
    events_subjects.SUBJECTS,
    webhooks_subjects.SUBJECTS,
    audit_subjects.SUBJECTS,
    http_subjects.SUBJECTS,
    db_subjects.SUBJECTS,
    vault_subjects.SUBJECTS,
    parties_subjects.SUBJECTS,
    # It writes events, whose numbers everybody takes last.
    consents_subjects.SUBJECTS,
)
"""What every room does for one person; one that keeps something personal and is missing here fails a test."""

_FORGETTING: Final = (SHRED_JOB, resetting.SHRED_JOB, FORGOTTEN_JOB)
"""Jobs that somebody has a right to, however late."""

TRIED_FOR: Final = timedelta(days=4)
"""For how long who doesn't answer is told of something, rounded up: three and a half days (``outbound.rules``)."""

SWEEPS: Final[tuple[Sweep, ...]] = (
    Sweep(name="audit records", kept="audit_days", clock="real", work=audit.sweep),
    # What an endpoint doesn't take is read anew for each attempt.
    Sweep(name="events", kept="events_days", clock="tenant", work=outbox.sweep, least=TRIED_FOR),
    Sweep(name="dead jobs", kept="dead_jobs_days", clock="real", work=partial(jobs.sweep, spared=_FORGETTING)),
    Sweep(name="approvals", kept="approvals_days", clock="tenant", work=approvals_queries.sweep),
    Sweep(name="evidence of SCA", kept="sca_days", clock="real", work=sca_queries.sweep),
    Sweep(name="event notifications", kept="events_days", clock="tenant", work=events_queries.sweep, least=TRIED_FOR),
    Sweep(name="webhook deliveries", kept="events_days", clock="tenant", work=webhooks_queries.sweep, least=TRIED_FOR),
    Sweep(name="consents", kept="consents_days", clock="tenant", work=consents_queries.sweep),
    Sweep(name="grants", kept="grants_days", clock="real", work=grants.sweep),
    Sweep(name="requests", kept="requests_days", clock="real", work=request_log.sweep),
    Sweep(name="card sessions", kept="minutes", clock="real", work=card_sessions.sweep),
    Sweep(name="refresh tokens", kept="minutes", clock="real", work=refresh_tokens.sweep),
)
"""What is deleted by itself. Answers under idempotency keys and sessions have jobs of their own."""


def operations(rooms: Sequence[Routes] = ROOMS) -> list[Operation]:
    """Return every operation of the server."""
    return [operation for room in rooms for operation in room.operations]
