"""Counterfactual swaps: a text of the other gender, with the same labels (Lu et al. 2018, counterfactual augmentation).

English alone; a text with words that only German has stays as it is, where `man` is anybody and `her` is hither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from emofuse.encoders.lexicon import is_german
from emofuse.types import Word

_WORDS = (
    "he she", "himself herself", "man woman", "men women", "boy girl", "boys girls", "father mother",
    "fathers mothers", "dad mom", "daddy mommy", "son daughter", "sons daughters", "brother sister",
    "brothers sisters", "husband wife", "husbands wives", "uncle aunt", "nephew niece", "grandfather grandmother",
    "grandpa grandma", "grandson granddaughter", "king queen", "prince princess", "sir madam", "mr mrs",
    "boyfriend girlfriend", "gentleman lady", "gentlemen ladies", "actor actress", "waiter waitress", "male female",
    "males females", "groom bride", "widower widow", "he's she's", "he'd she'd", "he'll she'll",
)  # fmt: skip
_ALSO = {"mum": "dad", "mummy": "daddy", "ms": "mr", "ma'am": "sir", "bloke": "woman"}
_NAMES = (
    "James Mary", "John Linda", "Robert Patricia", "Michael Jennifer", "David Elizabeth", "William Barbara",
    "Richard Susan", "Joseph Jessica", "Thomas Sarah", "Charles Karen", "Daniel Lisa", "Matthew Nancy",
    "Anthony Sandra", "Paul Emily", "Steven Kimberly", "Andrew Donna", "George Michelle", "Kevin Laura",
    "Brian Amanda", "Peter Anna", "Ross Rachel", "Chandler Monica", "Joey Phoebe",
)  # fmt: skip


def _both(pairs: Sequence[str]) -> dict[str, str]:
    split = [pair.split() for pair in pairs]
    return {a: b for a, b in split} | {b: a for a, b in split}  # noqa: C416


OTHER = _ALSO | _both(_WORDS)
"""A word in small letters → that of the other gender; `his`, `him`, `her` and `hers` depend on what follows."""
NAMES = _both(_NAMES)
"""First names, with their capital: those that are also words (Mark, Grace) are left out."""
_OPEN = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "could", "for", "from", "had", "has", "have",
        "he", "how", "i", "if", "in", "is", "it", "not", "now", "of", "on", "or", "she", "so", "that", "the", "then",
        "they", "this", "to", "too", "was", "we", "were", "what", "when", "who", "will", "with", "would",
        "again", "here", "there", "today", "tomorrow", "yesterday", "you",
    }
)  # fmt: skip
"""Words before which `her` is no possessive."""
_CORE = re.compile(r"(\W*)(.*?)((?:'s|\u2019s)?\W*)$", re.DOTALL)


def swapped(words: Sequence[Word]) -> tuple[Word, ...]:
    """The words with their gendered words and first names swapped; times stay."""
    said = _swapped([word.text for word in words])
    return tuple(replace(word, text=text) for word, text in zip(words, said, strict=True))


def swapped_text(text: str) -> str:
    """The same of a text in one piece."""
    return " ".join(_swapped(text.split(" ")))


def _swapped(texts: list[str]) -> list[str]:
    if is_german(texts):
        return texts
    return [_other(text, texts[i + 1] if i + 1 < len(texts) else "") for i, text in enumerate(texts)]


def _other(text: str, following: str) -> str:
    whole = text.strip('.,!?;:"()').replace("\u2019", "'")
    if whole.lower() in OTHER and "'" in whole:  # he's, she'll
        return text.replace("\u2019", "'").replace(whole, _cased(OTHER[whole.lower()], whole))
    found = _CORE.match(text)
    before, core, after = found.groups() if found else ("", text, "")
    if core[:1].isupper() and core.capitalize() in NAMES:
        return before + _cased(NAMES[core.capitalize()], core) + after
    other = _pronoun(core.lower(), after, following) or OTHER.get(core.lower())
    return text if other is None else before + _cased(other, core) + after


def _pronoun(core: str, after: str, following: str) -> str | None:
    """Of the pronouns that English tells apart for one gender alone."""
    owns = not after and following[:1].isalpha() and following.lower().strip(".,!?;:") not in _OPEN
    if core == "her":
        return "his" if owns else "him"
    return {"him": "her", "hers": "his", "his": "her" if owns else "hers"}.get(core)


def _cased(word: str, like: str) -> str:
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word
