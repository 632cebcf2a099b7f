"""Lists of a state, a status or a kind of which there is little are found among what there is much of.

Most of what is kept is over, done or of one kind, and such is met soon by who reads the newest first. It has no place
in these indexes, so what orders, pays or signs in writes little into them, and transfers write nothing. A step of its
own, built beside whoever writes.

"""

from billfold_server.tenancy.migrations import SqlMigration

ID = "tenant_0072_few_among_many"
VERSION = "1.38.0"
DESCRIPTION = "Lists of what is rare"


async def forwards() -> SqlMigration:
    """Return the step."""
    return SqlMigration(migration_id=ID, app_name="tenant", description=DESCRIPTION, statements=(), indexes=_INDEXES)


_INDEXES = {
    "payments_of_statuses": "payments (status, id DESC) WHERE status <> 'ACSC' AND status <> 'ACCC'",
    "holds_of_statuses": "holds (status, id DESC) WHERE status <> 'captured'",
    "wallets_of_statuses": "wallets (status, id DESC) WHERE status <> 'active'",
    "parties_of_kinds": "parties (kind, id DESC) WHERE kind <> 'person'",
    "arrangements_of_statuses": "arrangements (status, id DESC) WHERE status <> 'active'",
    "approvals_of_states": "approvals (state, id DESC) WHERE state <> 'executed'",
    "consents_of_statuses": "consents (status, id DESC) WHERE status IN ('RJCT', 'CANC', 'EXPD')",
    "consents_of_kinds": "consents (kind, id DESC) WHERE kind <> 'domestic_payment'",
    "users_of_states": "users (state, id DESC) WHERE state <> 'active'",
    "vault_tokens_of_kinds": "vault_tokens (kind, place DESC) WHERE kind <> 'card' AND forgotten_at IS NULL",
}
