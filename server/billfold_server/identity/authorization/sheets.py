"""What the page of a consent says, as data in one language: what a customer is shown and agrees to, and what is kept.

Pure. A sheet is all that the page's template shows of a consent, so what is kept as evidence is what was shown.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from billfold import money
from billfold.contract.texts import without_hidden
from billfold.contract.wallets import Wallet, WalletStatus
from billfold_server.consents.service import Consent
from billfold_server.people.pages.words import amount_text, apart, date_text, text_of, vocabulary

__all__ = [
    "Account",
    "Group",
    "Sheet",
    "Words",
    "account_text",
    "accounts_of",
    "also_lines",
    "digest_of",
    "evidence_of",
    "minor",
    "name_of",
    "number_facts",
    "permission_groups",
    "sheet_of",
    "text_version",
    "wallet_text",
]

_TOPIC: Final = "open_banking."

_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "accounts": ("ReadAccountsBasic", "ReadAccountsDetail", "ReadBalances", "ReadPAN"),
    "transactions": (
        "ReadTransactionsBasic",
        "ReadTransactionsDetail",
        "ReadTransactionsCredits",
        "ReadTransactionsDebits",
    ),
    "regular": (
        "ReadBeneficiariesBasic",
        "ReadBeneficiariesDetail",
        "ReadStandingOrdersBasic",
        "ReadStandingOrdersDetail",
        "ReadDirectDebits",
        "ReadScheduledPaymentsBasic",
        "ReadScheduledPaymentsDetail",
    ),
    "statements": ("ReadStatementsBasic", "ReadStatementsDetail"),
    "features": ("ReadProducts", "ReadOffers"),
    "you": ("ReadParty", "ReadPartyPSU"),
}
"""Under which heading each permission is explained."""

_SWEEPING: Final = "Sweeping"
_VRP_TYPES: Final = frozenset({_SWEEPING, "Other"})
_ALSO: Final = frozenset({"profile", "offline_access"})
_DIRECTIONS: Final = frozenset({"ReadTransactionsCredits", "ReadTransactionsDebits"})


class Group(msgspec.Struct, frozen=True):
    """Lines under a heading."""

    title: str
    lines: list[str]


class Account(msgspec.Struct, frozen=True):
    """One of the customer's wallets, as the page shows it.

    Attributes:
        id: ``wal_…``.
        label: How its owner calls it.
        about: What else helps to tell it from others; it changes, so it is no evidence.
        chosen: Whether it is chosen already.
    """

    id: str
    label: str
    about: str
    chosen: bool = False


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What the page says of a consent.

    Attributes:
        kind: The consent's.
        title: What is asked, as a question.
        intro: Who asks, and for what.
        amount: The amount, where there is one, with what it is.
        facts: Labels and values.
        groups: What may be read.
        question: What is asked about accounts.
        accounts: Among which to choose, or which it is about.
        several: Whether several can be chosen.
        fixed: Whether there is nothing to choose.
        obstacle: Why it can't be allowed, where it can't.
        notes: What else to know.
        approve: What the button says that allows it.
        refuse: What the other one says.
    """

    kind: str
    title: str
    intro: str
    amount: tuple[str, str] | None = None
    facts: list[tuple[str, str]] = []
    groups: list[Group] = []
    question: str | None = None
    accounts: list[Account] = []
    several: bool = False
    fixed: bool = False
    obstacle: str | None = None
    notes: list[str] = []
    approve: str
    refuse: str


class Words:
    """Says this topic's texts in a language."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **values: object) -> str:
        """Return a text."""
        return text_of(self.language, _TOPIC + key, **values)

    def amount(self, said: Mapping[str, Any]) -> str:
        """Return an amount of the standard's, which is a decimal text."""
        try:
            return amount_text(minor(said), str(said["Currency"]), self.language)
        except money.AmountError:
            # More digits than the currency has: then it is shown as it was asked for.
            return f"{said['Currency']} {said['Amount']}"

    def day(self, moment: datetime) -> str:
        """Return a day."""
        return date_text(moment, self.language)

    def last_day(self, end: datetime) -> str:
        """Return the last day of what is over at an instant: what ends at midnight isn't good on the next."""
        return self.day(end - timedelta(microseconds=1))


def minor(said: Mapping[str, Any]) -> int:
    """Return an amount of the standard's in minor units."""
    return money.from_decimal(str(said["Amount"]), str(said["Currency"]))


def text_version(language: str) -> str:
    """Return which version of the page's texts a language has: a digest of all of them."""
    said = sorted((key, text) for key, text in vocabulary(language).items() if key.startswith(_TOPIC))
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]


def permission_groups(permissions: frozenset[str], language: str) -> list[Group]:
    """Return what permissions allow, in words and under headings; what isn't known is named as it is."""
    say = Words(language)
    groups = []
    for name, members in _GROUPS.items():
        lines = [say(f"perm_{each}") for each in members if each in permissions and not _is_said(each, permissions)]
        if name == "transactions" and lines:
            lines.append(say(f"directions_{_directions(permissions)}"))
        if lines:
            groups.append(Group(say(f"group_{name}"), lines))
    strange = sorted(permissions - {each for members in _GROUPS.values() for each in members})
    return [*groups, Group(say("group_others"), strange)] if strange else groups


def _is_said(permission: str, permissions: frozenset[str]) -> bool:
    """Tell whether another line says as much: details include the rest, and directions have a line of their own."""
    return permission in _DIRECTIONS or f"{permission.removesuffix('Basic')}Detail" in permissions - {permission}


def _directions(permissions: frozenset[str]) -> str:
    asked = permissions & _DIRECTIONS
    return "both" if len(asked) != 1 else next(iter(asked)).removeprefix("ReadTransactions").lower()


def also_lines(scopes: Iterable[str], language: str) -> list[str]:
    """Return what else is asked beside a consent: who somebody is, and to go on without them."""
    return list(dict.fromkeys(text_of(language, f"consent.scope_{scope}") for scope in scopes if scope in _ALSO))


def accounts_of(wallets: Sequence[Wallet], language: str, chosen: frozenset[str] = frozenset()) -> list[Account]:
    """Return wallets as a page shows them, by label, number and what there is."""
    say = Words(language)
    shown = []
    for wallet in wallets:
        sums = [amount_text(each.available_minor, each.currency, language) for each in wallet.balances]
        about = [f"…{wallet.id[-6:]}", *sums]
        if wallet.status is not WalletStatus.ACTIVE:
            about.append(say(f"account_{wallet.status}"))
        label = wallet.label or say("account_unnamed")
        shown.append(Account(wallet.id, label, " · ".join(about), wallet.id in chosen))
    return shown


def account_text(said: Mapping[str, Any] | None) -> str | None:
    """Return the number of an account as people read it, from the standard's scheme and identification."""
    if not said or not said.get("Identification"):
        return None
    scheme, number = str(said.get("SchemeName", "")).rpartition(".")[2], str(said["Identification"])
    # However it was written down, it is read alike.
    bare = _BETWEEN.sub("", number).upper()
    if scheme == "IBAN":
        return " ".join(bare[at : at + 4] for at in range(0, len(bare), 4))
    if scheme == "SortCodeAccountNumber" and len(bare) == len("00000012345678"):
        return f"{bare[:2]}-{bare[2:4]}-{bare[4:6]} {bare[6:]}"
    return f"{scheme} {number}".strip()


_BETWEEN: Final = re.compile(r"[\s-]")
"""What people write between the parts of an account's number."""


def number_facts(say: Words, creditor: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the number of a payee's account, and what tells apart accounts that share it, each in a row of its own.

    At building societies the second decides whose the money is; it is a text that the third party has chosen.
    """
    number, secondary = account_text(creditor), creditor.get("SecondaryIdentification")
    facts = [(say("payee_account"), number)] if number else []
    return [*facts, (say("payee_secondary"), without_hidden(str(secondary)))] if secondary else facts


def name_of(creditor: Mapping[str, Any]) -> str | None:
    """Return how a payee is called in a request, or None where nothing is said."""
    name = creditor.get("Name")
    return without_hidden(str(name)) if name else None


def _payee_facts(say: Words, initiation: Mapping[str, Any]) -> list[tuple[str, str]]:
    creditor = initiation.get("CreditorAccount")
    if not creditor:
        return [(say("payee"), say("payee_open"))]
    name = name_of(creditor)
    return [*([(say("payee"), name)] if name else []), *number_facts(say, creditor)]


def _reference_facts(say: Words, initiation: Mapping[str, Any]) -> list[tuple[str, str]]:
    remittance = initiation.get("RemittanceInformation") or {}
    structured = [
        each.get("CreditorReferenceInformation", {}).get("Reference") for each in remittance.get("Structured") or ()
    ]
    texts = [without_hidden(str(each)) for each in (*structured, *(remittance.get("Unstructured") or ())) if each]
    return [(say("reference"), ", ".join(apart(each) for each in texts))] if texts else []


def _refund_note(say: Words, data: Mapping[str, Any]) -> list[str]:
    """Return that the third party is told the account's number, where it asks for that."""
    return [say("refund_account")] if data.get("ReadRefundAccount") == "Yes" else []


def _account_access(say: Words, consent: Consent, client: str, ends_at: datetime) -> dict[str, Any]:
    facts = []
    if consent.transactions_from is not None or consent.transactions_to is not None:
        earliest, latest = consent.transactions_from, consent.transactions_to
        which = "both" if earliest and latest else "from" if earliest else "to"
        days = {"first": say.day(earliest) if earliest else "", "last": say.day(latest) if latest else ""}
        facts.append((say("transactions_of"), say(f"transactions_{which}", **days)))
    again = consent.status == "AUTH"
    return {
        "title": say("access_again_title" if again else "access_title", client=client),
        "intro": say("access_again_intro" if again else "access_intro", client=client),
        "facts": [*facts, (say("until"), say.last_day(ends_at))],
        "groups": permission_groups(consent.permissions, say.language),
        "question": say("access_again_accounts" if again else "access_accounts"),
        "approve": say("access_again_approve" if again else "allow"),
        "notes": [say("take_back"), *([] if again else [say("ask_again")])],
    }


def _funds(say: Words, consent: Consent, client: str, ends_at: datetime) -> dict[str, Any]:
    again = consent.status == "AUTH"
    return {
        "title": say("funds_again_title" if again else "funds_title", client=client),
        "intro": say("funds_again_intro" if again else "funds_intro", client=client),
        "facts": [(say("until"), say.last_day(ends_at))],
        "question": say("funds_accounts"),
        "approve": say("access_again_approve" if again else "allow"),
        "notes": [say("take_back")],
    }


def _payment(say: Words, data: Mapping[str, Any], client: str) -> dict[str, Any]:
    initiation = data["Initiation"]
    return {
        "title": say("payment_title"),
        "intro": say("payment_intro", client=client),
        "amount": (say("amount"), say.amount(initiation["InstructedAmount"])),
        "facts": [*_payee_facts(say, initiation), *_reference_facts(say, initiation)],
        "question": say("payment_accounts"),
        "approve": say("go_on"),
        "notes": [*_refund_note(say, data), say("payment_once")],
    }


def _vrp_types(data: Mapping[str, Any]) -> list[str]:
    return [str(each).rpartition(".")[2] for each in data["ControlParameters"].get("VRPType") or ()]


def _vrp_type(say: Words, name: str, client: str, *, payee_is_theirs: bool | None) -> str:
    """Return for what recurring payments are: that both accounts are one person's is said only where it is known."""
    if name == _SWEEPING and not payee_is_theirs:
        return say("vrp_Sweeping_said", client=client)
    return say(f"vrp_{name}")


def _vrp(
    say: Words,
    consent: Consent,
    data: Mapping[str, Any],
    client: str,
    ends_at: datetime,
    *,
    payee_is_theirs: bool | None,
) -> dict[str, Any]:
    initiation, limits = data["Initiation"], data["ControlParameters"]
    facts = _payee_facts(say, initiation)
    known = [
        _vrp_type(say, each, client, payee_is_theirs=payee_is_theirs) for each in _vrp_types(data) if each in _VRP_TYPES
    ]
    facts += [(say("vrp_type"), ", ".join(known))] if known else []
    facts += [
        (
            say(f"per_{each['PeriodType']}"),
            say(f"aligned_{each['PeriodAlignment']}", amount=say.amount(each)),
        )
        for each in limits.get("PeriodicLimits") or ()
    ]
    if limits.get("ValidFromDateTime"):
        facts.append((say("vrp_from"), say.day(msgspec.convert(limits["ValidFromDateTime"], datetime))))
    facts.append((say("vrp_to"), say.last_day(ends_at)))
    again = consent.status == "AUTH"
    return {
        "title": say("vrp_again_title" if again else "vrp_title", client=client),
        "intro": say("vrp_again_intro" if again else "vrp_intro", client=client),
        "amount": (say("vrp_amount"), say.amount(limits["MaximumIndividualAmount"])),
        "facts": [*facts, *_reference_facts(say, initiation)],
        "question": say("funds_accounts" if again else "vrp_accounts"),
        "approve": say("go_on"),
        "notes": [*_refund_note(say, data), say("vrp_inside"), say("take_back")],
    }


def _said(
    say: Words,
    consent: Consent,
    request: Mapping[str, Any],
    client: str,
    ends_at: datetime,
    *,
    payee_is_theirs: bool | None,
) -> dict[str, Any]:
    data = request.get("Data", {})
    match consent.kind:
        case "account_access":
            return _account_access(say, consent, client, ends_at)
        case "funds_confirmation":
            return _funds(say, consent, client, ends_at)
        case "domestic_payment":
            return _payment(say, data, client)
        case "domestic_vrp":
            return _vrp(say, consent, data, client, ends_at, payee_is_theirs=payee_is_theirs)


def sheet_of(
    consent: Consent,
    request: Mapping[str, Any],
    wallets: Sequence[Wallet],
    language: str,
    *,
    client: str,
    ends_at: datetime,
    given: str | None = None,
    strange: bool = False,
    payee_is_theirs: bool | None = None,
    also: Sequence[str] = (),
    kept: frozenset[str] | None = None,
) -> Sheet:
    """Return what the page of a consent says.

    Args:
        consent: As it stands.
        request: What was asked for, in the standard's form.
        wallets: Among which the customer chooses, or about which it is.
        language: In which it is said.
        client: How the third party is called.
        ends_at: When it ends by itself, once it is allowed.
        given: The one account that was asked for, among those, as ``wal_…``.
        strange: Whether an account was asked for that isn't the customer's, or can't be used.
        payee_is_theirs: Whether the payee's account is the customer's own; None where that isn't known.
        also: What else is asked beside the consent, in words.
        kept: Which of the wallets the customer has chosen already, where these are some that they have looked for.
    """
    say = Words(language)
    again = consent.status == "AUTH"
    said = _said(say, consent, request, client, ends_at, payee_is_theirs=payee_is_theirs)
    chosen = {given} if given is not None else {each.id for each in wallets} if again else set()
    if kept is not None:
        chosen = set(kept)
    elif not chosen and len(wallets) == 1:
        chosen = {wallets[0].id}
    fixed = again or given is not None
    groups = [*said.get("groups", ()), *([Group(say("group_others"), list(also))] if also else ())]
    obstacle = say("strange_account", client=client) if strange else None
    if not wallets and kept is None and obstacle is None:
        obstacle = say("no_account")
    if payee_is_theirs is False and consent.kind == "domestic_vrp" and _SWEEPING in _vrp_types(request["Data"]):
        # Sweeping is to an account of the same person: what is known to be somebody else's can't be allowed as that.
        strange, obstacle = True, say("strange_sweeping", client=client)
    return Sheet(
        kind=consent.kind,
        accounts=[] if strange else accounts_of(wallets, language, frozenset(filter(None, chosen))),
        several=consent.kind == "account_access",
        fixed=fixed,
        obstacle=obstacle,
        refuse=say("refuse"),
        **{
            **said,
            "groups": groups,
            "question": said["question"] if (wallets or kept is not None) and not strange else None,
            "notes": said["notes"] if obstacle is None else [],
        },
    )


def evidence_of(sheet: Sheet, chosen: Sequence[str] = ()) -> bytes:
    """Return what is kept of what was shown, and which accounts were chosen, as JSON."""
    accounts = [msgspec.structs.replace(each, about="") for each in sheet.accounts]
    said = msgspec.to_builtins(msgspec.structs.replace(sheet, accounts=accounts))
    return msgspec.json.encode({**said, "chosen": list(chosen)})


def digest_of(sheet: Sheet) -> str:
    """Return by what it is seen that a page would say the same again."""
    return hashlib.sha256(evidence_of(sheet)).hexdigest()


def wallet_text(wallet_id: str, accounts: Sequence[Account]) -> str:
    """Return an account as a line."""
    label = next((each.label for each in accounts if each.id == wallet_id), "")
    return f"{apart(label)} …{wallet_id[-6:]}".strip()
