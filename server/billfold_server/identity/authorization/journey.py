"""How a customer is asked about a consent of open banking, between the request that names it and its authorisation.

What the page shows is made of the consent, its request and the customer's wallets, each time anew. The form brings back
which page it was: its language, when it was shown, and a digest of what it said, under a code of ours. What is to be
authorised has to make the same page again, so nobody agrees to what they weren't shown, and what is kept as evidence is
what they were (PSD2, article 64; RTS on SCA, article 5).
"""

import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.wallets import AliasScheme, Wallet, WalletStatus
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.identity.authorization import choosing, intents, sheets
from billfold_server.identity.authorization.choosing import Finder, Look
from billfold_server.identity.authorization.details import Payment
from billfold_server.identity.authorization.sheets import Sheet
from billfold_server.tenancy.context import Own
from billfold_server.wallets import service as wallets

if TYPE_CHECKING:
    from billfold_server.consents.service import Consent, PreparedEvidence
    from billfold_server.http.routing import Call
    from billfold_server.identity.authorization.consent import Asked
    from billfold_server.people.service import Session
    from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Choice", "Found", "Nothing", "chosen", "evidence", "load", "look_of", "payment_of", "ticket_of"]

_PAYING: Final = frozenset({"domestic_payment", "domestic_vrp"})
_NAMED_BY: Final = {
    "UK.OBIE.IBAN": AliasScheme.IBAN,
    "UK.OBIE.SortCodeAccountNumber": AliasScheme.SORT_CODE_ACCOUNT_NUMBER,
}
"""Kinds of numbers by which an account is asked for; otherwise it is a wallet's id."""
_PURPOSE: Final = "pages of consents"
_FIELD: Final = "shown"
_WALLET: Final = "wallet"
VRP: Final = "vrp_consent"
"""How the page of approval calls a consent to recurring payments; no exemption is ever for that."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer has answered, and to which page.

    Attributes:
        language: In which language it was shown.
        shown_at: When.
        digest: What it said.
        wallet_ids: Which of their wallets they chose, as ``wal_…``.
        look: Which ones it offered; the newest where absent.
    """

    language: str
    shown_at: datetime
    digest: str
    wallet_ids: list[str]
    look: Look = Look()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A consent that waits for this customer's answer, with all that its page needs.

    Attributes:
        consent: As it stands.
        request: What was asked for, in the standard's form.
        wallets: Among which to choose, or about which it is.
        given: The account that was asked for, among those.
        strange: Whether an account was asked for that isn't the customer's, or can't be used.
        payee_is_theirs: Whether the payee's account is the customer's own; None where it isn't kept here.
        client: How the third party is called.
        ends_at: When it ends by itself, once it is allowed.
        scopes: What else is asked of who the customer is.
        look: What the customer wants to see of their wallets.
        finder: How they find others; None where there are none.
    """

    consent: "Consent"
    request: dict[str, Any]
    wallets: list[Wallet]
    given: str | None
    strange: bool
    payee_is_theirs: bool | None
    client: str
    ends_at: datetime
    scopes: list[str]
    look: Look = Look()
    finder: Finder | None = None

    def sheet(self, language: str) -> Sheet:
        """Return what the page says in a language."""
        return sheets.sheet_of(
            self.consent,
            self.request,
            self.wallets,
            language,
            client=self.client,
            ends_at=self.ends_at,
            given=self.given,
            strange=self.strange,
            payee_is_theirs=self.payee_is_theirs,
            also=sheets.also_lines(self.scopes, language),
            kept=None if self.finder is None else frozenset(self.finder.kept),
        )


class Nothing(msgspec.Struct, frozen=True):
    """That an answer can't be taken as it came: the page is shown once more.

    Attributes:
        complaint: How many accounts have to be chosen: ``one`` or ``some``; None where what the page says has changed.
    """

    complaint: str | None = None


async def load(call: "Call", asked: "Asked", session: "Session", look: Look | None = None) -> Found | None:
    """Return the consent that a request names with all that its page needs, or None where it can't be answered.

    Args:
        call: The request.
        asked: What the browser has brought, naming a consent.
        session: Who is to answer.
        look: What they want to see of their accounts; the newest ones where absent.

    Raises:
        errors.KeysUnavailable: What was asked for can't be opened now.
    """
    consent_id, party_id = asked.request.consent_id, session.party_id
    if consent_id is None or party_id is None:
        return None
    async with call.services.database.tx(call.tenant) as tx:
        consent = await consents.find(tx, consent_id)
    if consent is None or not intents.is_answerable(consent, asked.client.id):
        return None
    if consent.party_id not in {None, party_id}:
        return None
    request = msgspec.json.decode(await consents.open_request(call.services, call.tenant, consent))
    account, look = _account_of(request), look or Look()
    async with call.services.database.tx(call.tenant) as tx:
        own, finder = await _choosable(tx, consent, party_id, account, look)
        paid = await _paid(tx, consent, request)
        payee = None if paid is None or consent.kind != "domestic_vrp" else await _owner_of(tx, paid)
    # Nothing is paid from an account to itself, so to choose that one would be to allow nothing.
    able = _usable(consent)
    usable = [each for each in own if each.status in able and ids.decode(Prefix.WALLET, each.id) != paid]
    return Found(
        consent=consent,
        request=request,
        wallets=usable,
        given=usable[0].id if account is not None and usable else None,
        strange=account is not None and not usable,
        payee_is_theirs=None if payee is None else payee == party_id,
        client=asked.client.name,
        ends_at=consents.agreed_end(consent, call.tenant.manifest.open_banking),
        scopes=asked.request.scopes,
        look=look,
        finder=finder,
    )


async def _choosable(
    tx: "TenantTx", consent: "Consent", party_id: UUID, account: dict[str, Any] | None, look: Look
) -> tuple[list[Wallet], Finder | None]:
    """Return the customer's own wallets that a consent can be about, however many they have.

    That is the one that was asked for, those for which it was allowed before, or else what they look for among all.
    """
    allowed = frozenset(consent.wallet_ids) if consent.status == "AUTH" else None
    if account is not None:
        return await _given(tx, Own(party_id=party_id, balances_of=allowed), account), None
    if allowed is not None:
        return await choosing.list_own(tx, Own(party_id=party_id, balances_of=allowed), len(allowed)), None
    return await choosing.offer(tx, party_id, _usable(consent), look)


def _usable(consent: "Consent") -> tuple[WalletStatus, ...]:
    """Return what wallets may be that can be chosen: one that is closed can't, and only an active one pays."""
    if consent.kind in _PAYING:
        return (WalletStatus.ACTIVE,)
    return (WalletStatus.ACTIVE, WalletStatus.FROZEN)


def _account_of(request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the account that was asked for, where one was."""
    data = request.get("Data", {})
    account: dict[str, Any] | None = data.get("DebtorAccount") or data.get("Initiation", {}).get("DebtorAccount")
    return account


async def _given(tx: "TenantTx", own: Own, account: dict[str, Any]) -> list[Wallet]:
    """Return a customer's own wallet that an account names: by its id, or by a name of the account that it has."""
    wallet_id = await _named(tx, account)
    if wallet_id is None or not own.has_wallet(wallet_id, own.party_id):
        return []
    return await choosing.list_own(tx, msgspec.structs.replace(own, balances_of=frozenset({wallet_id})), 1)


async def _named(tx: "TenantTx", account: dict[str, Any]) -> UUID | None:
    """Return the wallet that an account would be, if it is one that is kept here."""
    scheme, identification = account["SchemeName"], str(account["Identification"])
    if scheme not in _NAMED_BY:
        return _wallet_id(identification)
    key = wallets.AliasKey(_NAMED_BY[scheme], wallets.normalise_alias(_NAMED_BY[scheme], identification))
    return await wallets.find_wallet_known_as(tx, key)


async def _paid(tx: "TenantTx", consent: "Consent", request: dict[str, Any]) -> UUID | None:
    """Return the wallet to which a consent's payments go; None where that isn't kept here, or nothing is paid."""
    account = request["Data"]["Initiation"].get("CreditorAccount") if consent.kind in _PAYING else None
    return None if not account else await _named(tx, account)


async def _owner_of(tx: "TenantTx", wallet_id: UUID) -> UUID | None:
    """Return to which party a wallet belongs that recurring payments go to; None where there is no such wallet."""
    try:
        return (await wallets.get_wallet(tx, wallet_id)).party_id
    except errors.NotFound:
        return None


def _wallet_id(identification: str) -> UUID | None:
    try:
        return ids.decode(Prefix.WALLET, identification)
    except ids.InvalidIdError:
        return None


# Which page it was that was answered.


def ticket_of(call: "Call", asked: "Asked", sheet: Sheet, language: str) -> str:
    """Return what the page's form brings back: which page it is."""
    shown_ms = int(call.services.clock.now().timestamp() * 1000)
    said = f"{language}.{shown_ms}.{sheets.digest_of(sheet)}"
    return f"{said}.{_mac(call, asked, said)}"


def _mac(call: "Call", asked: "Asked", said: str) -> str:
    key = call.services.keyring.derive(_PURPOSE)
    return hmac.digest(key, asked.interaction.digest + said.encode(), "sha256").hex()


def chosen(call: "Call", asked: "Asked", found: Found, form: dict[str, str]) -> Choice | Nothing:
    """Return what a customer has answered, or why that can't be taken as it came.

    Args:
        call: The request.
        asked: What the browser has brought.
        found: The consent, as it stands now.
        form: What the page's form holds.
    """
    said, _, mac = form.get(_FIELD, "").rpartition(".")
    if not said.isascii() or not hmac.compare_digest(_mac(call, asked, said), mac if mac.isascii() else ""):
        return Nothing()
    language, shown_ms, digest = said.split(".")
    sheet = found.sheet(language)
    if sheet.obstacle is not None or not hmac.compare_digest(sheets.digest_of(sheet), digest):
        return Nothing()
    there = [each.id for each in sheet.accounts]
    if sheet.fixed:
        taken = there
    elif sheet.several:
        kept = frozenset() if found.finder is None else frozenset(found.finder.kept)
        taken = [each for each in there if each in kept or choosing.TICK + each in form]
    else:
        taken = [each for each in there if form.get(_WALLET) == each]
    if not taken:
        return Nothing("some" if sheet.several else "one")
    shown_at = datetime.fromtimestamp(int(shown_ms) / 1000, UTC)
    # What was typed to find them is kept nowhere.
    look = msgspec.structs.replace(found.look, text="")
    return Choice(language=language, shown_at=shown_at, digest=digest, wallet_ids=taken, look=look)


def look_of(choice: str | None) -> Look | None:
    """Return what the page showed that was answered before; None where nothing was."""
    return None if choice is None else msgspec.json.decode(choice, type=Choice).look


# What is agreed to.


def payment_of(found: Found, choice: Choice) -> Payment | None:
    """Return to what strong authentication is to be linked, where money is to move: everything that was shown.

    Of a single payment that is amount and payee; of recurring ones the most that each can be, the payee, and every
    limit.
    """
    consent = found.consent
    if consent.kind not in _PAYING:
        return None
    sheet, data = found.sheet(choice.language), found.request["Data"]
    initiation = data["Initiation"]
    single = consent.kind == "domestic_payment"
    amount = initiation["InstructedAmount"] if single else data["ControlParameters"]["MaximumIndividualAmount"]
    creditor = initiation.get("CreditorAccount") or {}
    say = sheets.Words(choice.language)
    # A name is a text that anybody can choose; the number beside it is a fact, so it is a row of its own.
    name, number = sheets.name_of(creditor), sheets.account_text(creditor)
    numbers = [each for each in sheets.number_facts(say, creditor) if name or each[1] != number]
    shown_apart = {say("payee"), say("payee_account"), say("payee_secondary")}
    source = sheets.wallet_text(choice.wallet_ids[0], sheet.accounts)
    return Payment(
        kind="payment" if single else VRP,
        amount_minor=sheets.minor(amount),
        currency=str(amount["Currency"]),
        payee=name or number or say("payee_open"),
        payee_account=f"{creditor['SchemeName']}:{creditor['Identification']}" if creditor else None,
        object_id=consent.wire_id,
        terms=(*numbers, (say("from_account"), source), *(fact for fact in sheet.facts if fact[0] not in shown_apart)),
    )


async def evidence(call: "Call", found: Found, session: "Session", choice: Choice) -> "PreparedEvidence | None":
    """Return what a customer was shown, sealed, outside of any transaction; None where it isn't said any more.

    Args:
        call: The request.
        found: The consent, as it stands now.
        session: Who has answered.
        choice: What they have answered, and to which page.
    """
    sheet = found.sheet(choice.language)
    assert session.party_id is not None
    if sheets.digest_of(sheet) != choice.digest:
        return None
    shown = consents.Evidence(
        shown=sheets.evidence_of(sheet, choice.wallet_ids),
        text_version=sheets.text_version(choice.language),
        language=choice.language,
        shown_at=choice.shown_at,
    )
    return await consents.seal_evidence(call.services, call.tenant, found.consent.id, session.party_id, shown)
