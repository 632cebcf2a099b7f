"""Cards for tests: numbers that no scheme issues to anybody, of every brand."""

from stdnum import luhn

__all__ = ["CARDS", "numbered"]


def numbered(prefix: str, length: int, filling: str = "0") -> str:
    """Return a number of a length with the right check digit."""
    body = prefix.ljust(length - 1, filling)
    return body + str(luhn.calc_check_digit(body))


CARDS = {
    "visa": "4111111111111111",
    "mastercard": "5555555555554444",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "30569309025904",
    "jcb": "3530111333300000",
    "unionpay": "6200000000000005",
    "maestro": "6759649826438453",
    "mir": numbered("2200", 16),
    "rupay": numbered("508500", 16),
    "troy": numbered("9792", 16),
}
"""One of each brand; the schemes and their processors publish most of them for tests."""
