"""By which room each kind of thing is found that answers may be told together with (``http.expansion``)."""

from collections.abc import Mapping
from typing import Final

from billfold.contract.bookings import JournalEntry
from billfold.contract.common import Response
from billfold.contract.consents import Consent
from billfold.contract.parties import Party
from billfold.contract.wallets import Wallet
from billfold.ids import Prefix
from billfold_server.consents import staff as consents
from billfold_server.http.expansion import Expander
from billfold_server.ledger import service as ledger
from billfold_server.parties import service as parties
from billfold_server.wallets import service as wallets

__all__ = ["EXPANDERS"]

EXPANDERS: Final[Mapping[type[Response], Expander]] = {
    Consent: Expander(Prefix.CONSENT, "consents:read", consents.tell_consents),
    JournalEntry: Expander(Prefix.JOURNAL_ENTRY, "ledger:read", ledger.tell_entries),
    Party: Expander(Prefix.PARTY, "parties:read", parties.tell_parties),
    Wallet: Expander(Prefix.WALLET, "wallets:read", wallets.tell_wallets),
}
