"""Aliases under which a bank could know whom the shared statement files are about.

Each is an IBAN, a name or a reference that stands in a file as its bank wrote it, and none is a part of a word. What
the bank itself takes or gives (fees, clearing entries) has no wallet: it belongs to nobody, so it waits in suspense.
"""

from typing import Final

from billfold.contract.wallets import AliasScheme

__all__ = ["ALIASES"]

_IBAN, _NAME, _REFERENCE = AliasScheme.IBAN, AliasScheme.NAME, AliasScheme.REFERENCE

ALIASES: Final[dict[str, list[tuple[AliasScheme, str]]]] = {
    # camt.053, Dutch.
    "the sample company": [(_IBAN, "NL56AGDH9619008421")],
    # MT940 of ABN AMRO: a card's number, and the numbers under which two payees know the holder.
    "the holder of card 999": [
        (_REFERENCE, "PAS999"),
        (_REFERENCE, "52.89.39.882"),
        (_REFERENCE, "5314606715"),
    ],
    # MT940 of ASN Bank masks account numbers, so their check digits are wrong and names have to do.
    "the Paulissen household": [(_NAME, "paulissen g j l m"), (_NAME, "hr gjlm paulissen")],
    "the card company": [(_NAME, "International Card Services")],
    "the transfer company": [(_NAME, "Transfer Solutions BV")],
    # MT940 of a German bank's SEPA tests: people by IBAN.
    "Renate Richter": [
        (_IBAN, "DE42100100100043921105"),
        (_IBAN, "CH6500279279C31180700"),
        (_IBAN, "DE51508800500190038900"),
    ],
    "Cornelia Prochownik": [(_IBAN, "CH8500779014054431109"), (_IBAN, "DE40100100100000214105")],
    "Daniel Severidt": [(_IBAN, "DE40250100300325207300")],
    "Dirk Leunig": [(_IBAN, "DE39250100300172064300")],
    "Florian Frech": [(_IBAN, "DE76508800500194780101"), (_IBAN, "DE06508800500194780100")],
    "Josef Jaeger": [(_IBAN, "DE95508800500194784900"), (_IBAN, "DE68508800500194784901")],
    "the French recipients": [(_IBAN, "FR1420041010050500013M02606")],
    "Gustav Gans": [(_IBAN, "DE04508800500194781300")],
    "Anton Ackermann": [(_IBAN, "DE96508800500194774600")],
    "Ludwig Loewe": [(_IBAN, "DE12508800500194786200")],
    "Karl Kaufmann": [(_IBAN, "DE14508800500194785000"), (_IBAN, "DE84508800500194785001")],
    "Marta Metzger": [(_IBAN, "DE10508800500194787400")],
    "Quentin Quast": [(_IBAN, "DE03508800500194791600")],
    # Files of orders, by the numbers under which the customer handed them in.
    "the desk that hands in order files": [
        *(
            (_REFERENCE, f"TFNr {number}")
            for number in (
                "01005",
                "01006",
                "01007",
                "01008",
                "01009",
                "01022",
                "01024",
                "01031",
                "01032",
                "03005",
                "05003",
                "05005",
                "05009",
                "05 006",
                "41003",
                "40016",
                "44005",
            )
        ),
        (_REFERENCE, "MCCT07090401"),
        (_REFERENCE, "MCCT07090402"),
        *((_REFERENCE, f"193046711{digit}") for digit in (4, 5, 6, 8)),
    ],
    # What came back of them.
    "the desk that looks after returns": [
        *(
            (_REFERENCE, f"TFNR {number}")
            for number in ("40001", "40005", "40017", "40018", "44001", "44003", "06 004")
        ),
        (_REFERENCE, "MSGIDCTSc03MintT"),
    ],
}
"""Aliases by who owns the wallet."""
