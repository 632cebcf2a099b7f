"""Which wallet a statement entry is for: the pure rule by which aliases match.

An entry names wallets by the counterparty's IBAN, by references, and by the counterparty's name, in falling order of
how far each can be trusted. All that an entry could match is listed first, so that one query fetches the aliases of a
whole file.
"""

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from billfold.contract.wallets import AliasScheme
from billfold_server.reconciliation.model import StatementEntry, iban_of

__all__ = ["AliasKey", "AliasMatch", "alias_candidates", "match_alias", "normalise_alias"]

AliasKey = tuple[str, str]
"""An alias's scheme and its normalised value."""

W = TypeVar("W", bound=Hashable)

_WORD = re.compile(r"[^\W_]+")
_MAX_WORDS_IN_ALIAS: Final = 5
_MAX_WORDS_IN_TEXT: Final = 160
_MIN_CHARS_IN_TEXT: Final = 4
"""A shorter reference must be a field of its own: a few letters stand in many a text by chance."""


@dataclass(frozen=True, slots=True)
class AliasMatch(Generic[W]):
    """The alias that named the wallet.

    Attributes:
        scheme: By what the wallet was named.
        value: The alias's normalised value.
        wallet_id: Whose alias it is.
    """

    scheme: AliasScheme
    value: str
    wallet_id: W


def normalise_alias(scheme: str, value: str) -> str:
    """Bring an alias's value into the form in which it's stored and compared.

    An IBAN is upper case without blanks. A reference or a name is case-folded, with compatible characters made equal
    (NFKC) and each run of white space made one blank.
    """
    if scheme == AliasScheme.IBAN:
        return "".join(value.split()).upper()
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).split())


def alias_candidates(entry: StatementEntry) -> list[AliasKey]:
    """List every alias that could name the entry's wallet, the strongest first, each once.

    A word counts as whole where no letter or digit touches it, so references are found inside texts such as
    ``inv/2026-17, thanks``. A reference of several words is found up to five words long; of a text, the first 160
    words are looked at.

    Returns:
        Keys for the one look-up of the whole file.
    """
    return list(dict.fromkeys((scheme.value, value) for scheme, values in _levels(entry) for value in values))


def match_alias(entry: StatementEntry, aliases: Mapping[AliasKey, W]) -> AliasMatch[W] | None:
    """Return the alias that names the entry's wallet, or None.

    The levels are the counterparty's IBAN, other IBANs among the references, whole references, references inside of
    references and remittance, and the counterparty's name. The first level that has a match decides. Where it names
    two wallets nothing matches, since money in suspense can be moved and money in a stranger's wallet is gone; a
    match that is only part of a longer one doesn't count, so that ``INV-1`` doesn't compete with ``INV-1-2``.

    Args:
        entry: What the bank says.
        aliases: Wallet ids by alias; it may hold more than the entry's candidates.
    """
    for scheme, values in _levels(entry):
        hits = [value for value in dict.fromkeys(values) if (scheme.value, value) in aliases]
        whole = [hit for hit in hits if not any(hit != other and hit in other for other in hits)]
        wallets = {aliases[scheme.value, hit] for hit in whole}
        if len(wallets) == 1:
            return AliasMatch(scheme, whole[0], wallets.pop())
        if wallets:
            return None
    return None


def _levels(entry: StatementEntry) -> Iterator[tuple[AliasScheme, list[str]]]:
    """Yield the levels of trust, strongest first, each with the values that could match on it."""
    reference = _normaliser(AliasScheme.REFERENCE)
    iban = entry.counterparty_iban
    whole = [reference(one) for one in entry.references]
    texts = [*whole, reference(entry.remittance or "")]
    yield AliasScheme.IBAN, [_normaliser(AliasScheme.IBAN)(iban)] if iban else []
    yield AliasScheme.IBAN, [found for one in entry.references if (found := iban_of(one)) and found != iban]
    yield AliasScheme.REFERENCE, whole
    yield AliasScheme.REFERENCE, [value for text in texts for value in _whole_words(text)]
    name = _normaliser(AliasScheme.NAME)(entry.counterparty_name or "")
    yield AliasScheme.NAME, [name] if name else []


def _normaliser(scheme: AliasScheme) -> Callable[[str], str]:
    return lambda value: normalise_alias(scheme, value)


def _whole_words(text: str) -> Iterator[str]:
    """Yield each run of words of a text with what stands between them, long enough to be a reference."""
    words = [word.span() for word in _WORD.finditer(text)][:_MAX_WORDS_IN_TEXT]
    for first, (start, _) in enumerate(words):
        for _, end in words[first : first + _MAX_WORDS_IN_ALIAS]:
            if end - start >= _MIN_CHARS_IN_TEXT:
                yield text[start:end]
