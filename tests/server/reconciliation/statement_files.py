"""Statement files made for tests: a small neutral statement, and how camt.053 and MT940 would show it."""

import datetime as dt
from dataclasses import dataclass, field, replace
from xml.sax.saxutils import escape

import pytest

from billfold import money
from billfold_server.reconciliation.statements import DEFAULT_MAX_BYTES, StatementUnreadable, read_statements

ACCOUNT = "NL26VAYB8060476890"
DAY = dt.date(2026, 3, 2)


@dataclass(frozen=True)
class Entry:
    """What a test says of one entry; positive came in."""

    amount_minor: int
    booking_date: dt.date = DAY
    value_date: dt.date = DAY
    reversal: bool = False
    entry_reference: str | None = None
    end_to_end_id: str | None = None
    name: str | None = None
    iban: str | None = None
    remittance: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a test says of one statement."""

    entries: list[Entry] = field(default_factory=list)
    opening_minor: int = 0
    currency: str = "EUR"
    account: str = ACCOUNT
    id: str = "S1"
    sequence: int = 1
    first_day: dt.date = DAY
    last_day: dt.date = DAY

    @property
    def closing_minor(self) -> int:
        """The balance to which the entries lead."""
        return self.opening_minor + sum(entry.amount_minor for entry in self.entries)


def daily(plan: Plan) -> list[Plan]:
    """Cut a statement into one for each of its days."""
    plans, balance = [], plan.opening_minor
    for number in range((plan.last_day - plan.first_day).days + 1):
        day = plan.first_day + dt.timedelta(days=number)
        entries = [entry for entry in plan.entries if entry.booking_date == day]
        one = replace(plan, entries=entries, opening_minor=balance, first_day=day, last_day=day, sequence=number + 1)
        plans.append(one)
        balance = one.closing_minor
    return plans


def _comma(minor: int, currency: str) -> str:
    text = str(abs(money.to_decimal(minor, currency))).replace(".", ",")
    return text if "," in text else f"{text},"


def _mt940_balance(tag: str, minor: int, currency: str, day: dt.date) -> str:
    return f":{tag}:{'D' if minor < 0 else 'C'}{day:%y%m%d}{currency}{_comma(minor, currency)}"


def _pieces(text: str, width: int) -> list[str]:
    return [text[at : at + width] for at in range(0, len(text), width)]


def _information(entry: Entry) -> list[str]:
    """Render the German structure: sub-fields of 27 characters, cut into lines of 65."""
    purpose = _pieces(f"EREF+{entry.end_to_end_id}", 27) if entry.end_to_end_id else []
    purpose += _pieces(f"SVWZ+{entry.remittance}", 27) if entry.remittance else []
    text = "166?00TRANSFER" + "".join(f"?{20 + number}{piece}" for number, piece in enumerate(purpose))
    text += f"?31{entry.iban}" if entry.iban else ""
    text += "".join(f"?{32 + number}{piece}" for number, piece in enumerate(_pieces(entry.name or "", 27)))
    return _pieces(f"{text}?34000", 65)


def mt940(*plans: Plan, newline: str = "\r\n") -> bytes:
    """Render statements as MT940."""
    lines = []
    for plan in plans:
        lines += [f":20:{plan.id}", f":25:{plan.account}", f":28C:{plan.sequence}/1"]
        lines.append(_mt940_balance("60F", plan.opening_minor, plan.currency, plan.first_day))
        for entry in plan.entries:
            credit = entry.amount_minor >= 0
            mark = ("RD" if credit else "RC") if entry.reversal else ("C" if credit else "D")
            reference = f"//{entry.entry_reference}" if entry.entry_reference else ""
            dates = f"{entry.value_date:%y%m%d}{entry.booking_date:%m%d}"
            lines.append(f":61:{dates}{mark}{_comma(entry.amount_minor, plan.currency)}NTRFNONREF{reference}")
            first, *rest = _information(entry)
            lines += [f":86:{first}", *rest]
        lines += [_mt940_balance("62F", plan.closing_minor, plan.currency, plan.last_day), "-"]
    return newline.join([*lines, ""]).encode()


def _element(name: str, text: str | None) -> str:
    return f"<{name}>{escape(text)}</{name}>" if text else ""


def amount(minor: int, currency: str) -> str:
    """Render an amount and its direction."""
    sign = "DBIT" if minor < 0 else "CRDT"
    return f'<Amt Ccy="{currency}">{abs(money.to_decimal(minor, currency))}</Amt><CdtDbtInd>{sign}</CdtDbtInd>'


def _camt_balance(kind: str, minor: int, currency: str, day: dt.date) -> str:
    return f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>{amount(minor, currency)}<Dt><Dt>{day}</Dt></Dt></Bal>"


def _camt_entry(entry: Entry, currency: str, version: int) -> str:
    # In a reversal the parties keep the roles of the original payment.
    role = "Dbtr" if (entry.amount_minor >= 0) != entry.reversal else "Cdtr"
    party = _element("Nm", entry.name)
    party = f"<Pty>{party}</Pty>" if version >= 8 and party else party
    account = f"<{role}Acct><Id>{_element('IBAN', entry.iban)}</Id></{role}Acct>" if entry.iban else ""
    refs = f"<Refs>{_element('EndToEndId', entry.end_to_end_id or 'NOTPROVIDED')}</Refs>"
    parties = f"<RltdPties><{role}>{party}</{role}>{account}</RltdPties>"
    text = f"<RmtInf>{_element('Ustrd', entry.remittance)}</RmtInf>"
    return (
        f"<Ntry>{amount(entry.amount_minor, currency)}<RvslInd>{str(entry.reversal).lower()}</RvslInd>"
        f"<Sts>{'<Cd>BOOK</Cd>' if version >= 8 else 'BOOK'}</Sts>"
        f"<BookgDt><Dt>{entry.booking_date}</Dt></BookgDt><ValDt><DtTm>{entry.value_date}T23:30:00-05:00</DtTm></ValDt>"
        f"{_element('AcctSvcrRef', entry.entry_reference)}"
        f"<NtryDtls><TxDtls>{refs}{parties}{text}</TxDtls></NtryDtls></Ntry>\n"
    )


def camt_document(content: str, version: int = 8, message: str = "camt.053") -> bytes:
    """Wrap statements into a document of a version."""
    namespace = f"urn:iso:std:iso:20022:tech:xsd:{message}.001.{version:02}"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="{namespace}">\n<BkToCstmrStmt>\n{content}</BkToCstmrStmt>\n</Document>\n'
    ).encode()


def camt_statement(plan: Plan, entries: str) -> str:
    """Render a statement around entries that are rendered already."""
    return (
        f"<Stmt><Id>{plan.id}</Id><ElctrncSeqNb>{plan.sequence}</ElctrncSeqNb>"
        f"<Acct><Id><IBAN>{plan.account}</IBAN></Id><Ccy>{plan.currency}</Ccy></Acct>\n"
        f"{_camt_balance('OPBD', plan.opening_minor, plan.currency, plan.first_day)}\n"
        f"{_camt_balance('CLBD', plan.closing_minor, plan.currency, plan.last_day)}\n{entries}</Stmt>\n"
    )


def camt053(*plans: Plan, version: int = 8) -> bytes:
    """Render statements as camt.053."""
    return camt_document(
        "".join(
            camt_statement(plan, "".join(_camt_entry(entry, plan.currency, version) for entry in plan.entries))
            for plan in plans
        ),
        version,
    )


def message(*fields: str) -> bytes:
    """Put an MT940 message together from its fields."""
    return "\n".join([":20:REF", f":25:{ACCOUNT}", ":28C:1/1", *fields, ""]).encode()


def refusal(data: bytes, max_bytes: int = DEFAULT_MAX_BYTES) -> StatementUnreadable:
    """Read a file that can't be read."""
    with pytest.raises(StatementUnreadable) as caught:
        read_statements(data, max_bytes=max_bytes)
    return caught.value
