"""The verification of whose wallets and accounts are, and of the terms on which they are kept.

What a wallet or account is must be what the chain has of it: as it was opened, and as it was changed last.
"""

from collections.abc import Callable
from sys import intern
from typing import Any, Final
from uuid import UUID

from billfold.chain.findings import Damage, Findings
from billfold.chain.lines import name_of
from billfold.chain.people import Account, People, Wallet
from billfold.chain.records import AccountTermsRecord, EraRecord, WalletTermsRecord
from billfold.chain.terms import ERA

__all__ = ["Owning"]

_OPENED: Final = "opened"
_FOUND: Final = "found"
_CHANGED: Final = "changed"


class Owning:
    """Follows the terms of wallets and accounts, and compares them with what they have become.

    Attributes:
        era: The era that the records have come to.
        unrecorded: How many wallets and accounts have no terms because they were opened before there were any.

    Args:
        findings: Where to say what is wrong.
        people: Whose wallets and accounts there are.
    """

    def __init__(self, findings: Findings, people: People) -> None:
        self.era = 1
        self.unrecorded = 0
        self._findings = findings
        self._people = people
        self.timeline: dict[type, Callable[[Any], None]] = {
            EraRecord: self._take_era,
            WalletTermsRecord: self._take_wallet_terms,
            AccountTermsRecord: self._take_account_terms,
        }

    @property
    def holds_texts(self) -> bool:
        """Whether what has no commitment now has no text."""
        return self.era >= ERA

    def finish(self) -> None:
        """See that every wallet and account has its terms, once all have come."""
        for wallet_id, wallet in self._people.wallets.items():
            self._look_at("wallet", wallet_id, wallet)
        for account_id, account in self._people.accounts.items():
            self._look_at("account", account_id, account)
            if account.told_status is not None and account.told_overdraft != account.overdraft:
                fact = f"its overdraft limit is {account.overdraft}, and its newest terms say {account.told_overdraft}"
                self._findings.add(Damage.EDITED, "account", str(account_id), fact)

    def _look_at(self, name: str, id_: UUID, row: Wallet | Account) -> None:
        if row.told_status is None:
            if self.era < ERA:
                self.unrecorded += 1
            else:
                self._findings.add(Damage.INSERTED, name, str(id_), "no record says that it was opened")
        elif row.told_status != row.status:
            fact = f"it is {row.status[:20]}, and its newest terms say {row.told_status[:20]}"
            self._findings.add(Damage.EDITED, name, str(id_), fact)

    def _take_era(self, record: EraRecord) -> None:
        if record.number != self.era + 1 or record.number > ERA:
            fact = f"it comes after era {self.era}, and the last one known here is {ERA}"
            self._findings.add(Damage.INCONSISTENT, name_of(record), str(record.number), fact)
        self.era = record.number

    def _take_wallet_terms(self, record: WalletTermsRecord) -> None:
        wallet = self._people.wallets.get(record.wallet_id)
        self._check_kind(record, record.wallet_id, wallet)
        if wallet is None:
            return
        if wallet.party_id != record.party_id:
            fact = f"it is of party {wallet.party_id}, and was {record.kind[:20]} as one of {record.party_id}"
            self._findings.add(Damage.EDITED, "wallet", str(record.wallet_id), fact)
        if wallet.created_at != record.opened_at:
            fact = "its terms say that it was opened at another time"
            self._findings.add(Damage.EDITED, "wallet", str(record.wallet_id), fact)
        wallet.told_status = intern(record.status)

    def _take_account_terms(self, record: AccountTermsRecord) -> None:
        account = self._people.accounts.get(record.account_id)
        self._check_kind(record, record.account_id, account)
        if account is None:
            return
        facts = []
        if account.wallet_id != record.wallet_id:
            facts.append(
                f"it is of wallet {account.wallet_id}, and was {record.kind[:20]} as one of {record.wallet_id}"
            )
        if account.created_at != record.opened_at:
            facts.append("its terms say that it was opened at another time")
        facts += [
            f"its {name.replace('_', ' ')} is {str(getattr(account, name))[:80]}, and its terms say {told[:80]}"
            for name in ("code", "type", "normal_side", "currency")
            if getattr(account, name) != getattr(record, name)
            for told in [str(getattr(record, name))]
        ]
        for fact in facts:
            self._findings.add(Damage.EDITED, "account", str(record.account_id), fact)
        account.told_status, account.told_overdraft = intern(record.status), record.overdraft_limit_minor

    def _check_kind(
        self, record: WalletTermsRecord | AccountTermsRecord, id_: UUID, row: Wallet | Account | None
    ) -> None:
        """See that the first record of each says that it was opened, or found, and that no other does."""
        name = name_of(record)
        if row is None:
            self._findings.add(Damage.DANGLING, name, str(id_), f"there is no {name.split('_')[0]} with this id")
            return
        first, begins = row.told_status is None, record.kind in {_OPENED, _FOUND}
        # In the first era something may have been changed before anybody had recorded how it was found.
        right = first if begins else record.kind == _CHANGED and (self.era < ERA or not first)
        if not right:
            fact = f"it says {record.kind[:20]}, and comes after {'none' if first else 'others'}"
            self._findings.add(Damage.INCONSISTENT, name, str(id_), fact)
        if record.kind == _FOUND and self.era >= ERA:
            fact = "it was found, when all that had been opened before there were such records had theirs"
            self._findings.add(Damage.INSERTED, name, str(id_), fact)
