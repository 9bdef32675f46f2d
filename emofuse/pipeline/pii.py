"""Personal data in words: addresses and numbers that name a person, masked before a transcript is passed on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from emofuse.errors import MediaError
from emofuse.files import well_formed
from emofuse.types import Word

_PATTERNS = (
    ("email", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("address", re.compile(r"(?:https?://|www\.)\S*[\w/]")),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")),
    ("ip", re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")),
    ("number", re.compile(r"(?<!\w)(?<!\d[.,])\+?\(?\d(?:[ ().\-/]{0,2}\d){6,18}(?!\w)")),
)
"""Kind → what it looks like; the first that fits has it. A number has 7 to 19 digits: telephone, card, account."""
_TAKEN = "\n"
"""A character that no pattern passes over."""


def masked(words: Sequence[Word], names: Sequence[str] | str = ()) -> tuple[Word, ...]:
    """The words with e-mail and web addresses, IBANs, IPs, long numbers, and the names given, each as [kind].

    What spans several words becomes one, from the start of the first to the end of the last; marks around it stay. A
    name is masked whole, capitals aside. Names that are not given are not found: this is no recognition of entities.
    A string is one name. Raises MediaError for names that are no strings.
    """
    names = _listed(names)
    text, starts = "", []
    for word in words:
        starts.append(len(text))
        text += f"{word.text} "
    found: list[Word] = []
    spans = list(_spans(text, names))
    index = at = 0
    while index < len(words):
        begin, last, inside = starts[index], index, []
        while at < len(spans) and spans[at][0] < starts[last] + len(words[last].text):
            while last + 1 < len(words) and starts[last + 1] < spans[at][1]:
                last += 1
            inside.append(spans[at])
            at += 1
        label = text[begin : starts[last] + len(words[last].text)]
        for start, end, kind in reversed(inside):
            label = f"{label[: start - begin]}[{kind}]{label[end - begin :]}"
        found.append(replace(words[index], text=label, end=words[last].end) if inside else words[index])
        index = last + 1
    return tuple(found)


def masked_text(text: str, names: Sequence[str] | str = ()) -> str:
    """A text with what `masked` masks in its words; spaces and lines between words stay. Raises MediaError as that."""
    words = list(re.finditer(r"\S+", text))
    places = [place for word in words for place in range(word.start(), word.end() + 1)]
    for start, end, kind in reversed(list(_spans(" ".join(word[0] for word in words), _listed(names)))):
        text = f"{text[: places[start]]}[{kind}]{text[places[end - 1] + 1 :]}"
    return text


def _listed(names: object) -> tuple[str, ...]:
    listed = [names] if isinstance(names, str) else list(names) if isinstance(names, Iterable) else [names]
    if not all(isinstance(name, str) for name in listed):
        raise MediaError(f"names are a list of what to mask, as in names=['Ann Lee'], not {names!r:.80}")
    return tuple(" ".join(well_formed(str(name)).split()) for name in listed)


def _spans(text: str, names: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(start, end, kind) in order, none over another."""
    patterns = list(_PATTERNS)
    known = sorted((re.escape(name.strip()) for name in names if name.strip()), key=len, reverse=True)
    if known:
        patterns.append(("name", re.compile(rf"(?<!\w)(?:{'|'.join(known)})(?!\w)", re.IGNORECASE)))
    taken: list[tuple[int, int, str]] = []
    for kind, pattern in patterns:
        new = [(*match.span(), kind) for match in pattern.finditer(text)]
        for start, end, _ in new:  # what is left beside it may be of another kind
            text = f"{text[:start]}{_TAKEN * (end - start)}{text[end:]}"
        taken += new
    yield from sorted(taken)
