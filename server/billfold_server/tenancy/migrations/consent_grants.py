"""What binds grants to consents of open banking: the same in each tenant's schema and in the platform's.

The platform's people give no consents, but its grants are read by the same queries.
"""

from typing import Final

__all__ = ["GRANTS", "STATEMENTS"]

STATEMENTS: Final = (
    "ALTER TABLE grants ADD COLUMN consent_id uuid",
    "CREATE INDEX grants_consent_id ON grants (consent_id) WHERE consent_id IS NOT NULL",
    # What somebody has answered on the page of a consent, until their strong authentication confirms it.
    "ALTER TABLE interactions ADD COLUMN choice json",
)

GRANTS: Final = {"interactions": "UPDATE (choice)"}
