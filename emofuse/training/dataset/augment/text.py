"""Text augmentation: typing errors, recogniser errors, synonyms, case and punctuation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emofuse.training.recipe.augmentation import TextAugment
from emofuse.types import Word

_GROUPS = (
    "happy glad pleased joyful cheerful",
    "sad unhappy sorrowful down",
    "angry mad furious cross",
    "scared afraid frightened terrified",
    "disgusting gross revolting nasty",
    "surprised amazed astonished shocked",
    "big large huge",
    "small little tiny",
    "good great fine nice",
    "bad awful terrible horrible",
    "really truly",
    "very extremely so",
    "maybe perhaps",
    "funny hilarious amusing",
    "love adore",
    "hate despise loathe",
    "like enjoy",
    "smart clever bright",
    "stupid dumb foolish",
    "start begin",
    "stop quit",
    "talk speak",
    "look glance",
    "think believe reckon",
    "want wish",
    "guy man fellow",
    "kid child",
    "friend buddy pal",
    "money cash",
    "job work",
    "house home",
    "beautiful gorgeous lovely pretty",
    "ugly hideous",
    "easy simple",
    "hard difficult tough",
    "fast quick rapid",
    "strange weird odd",
    "tired exhausted weary",
    "sure certain",
    "wonderful marvellous fantastic",
    "thanks thank-you cheers",
    "hello hi hey",
    "yes yeah yep",
    "no nope nah",
    "okay ok alright",
)
SYNONYMS: dict[str, tuple[str, ...]] = {
    word: tuple(w for w in group.split() if w != word) for group in _GROUPS for word in group.split()
}
"""A table of common words: small, and of everyday register, so that a swap keeps the tone."""

_NEIGHBOURS = {
    a: row[max(0, i - 1)] + row[min(len(row) - 1, i + 1)]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for i, a in enumerate(row)
}


def augment_words(words: Sequence[Word], options: TextAugment, rng: np.random.Generator) -> tuple[Word, ...]:
    """The words with each change at its chance; at least one word stays."""
    changed = [replace(w, text=_word(w.text, options, rng)) for w in words]
    if options.dropout and len(changed) > 1:
        keep = rng.random(len(changed)) >= options.dropout
        keep[rng.integers(len(changed))] = True
        changed = [w for w, kept in zip(changed, keep, strict=True) if kept]
    if rng.random() < options.case:
        style = (str.lower, str.upper, str.title)[rng.choice(3, p=(0.7, 0.2, 0.1))]
        changed = [replace(w, text=style(w.text)) for w in changed]
    if rng.random() < options.punctuation:
        changed = _punctuate(changed, rng)
    return tuple(changed)


def augment_context(turns: Sequence[str], options: TextAugment, rng: np.random.Generator) -> tuple[str, ...]:
    """The earlier turns, all or none of them, and with or without the names of their speakers."""
    if rng.random() < options.context:
        return ()
    if not options.names or rng.random() >= options.names:
        return tuple(turns)
    said = (turn.partition(":")[2].strip() for turn in turns)
    return tuple(turn for turn in said if turn)


def _word(text: str, options: TextAugment, rng: np.random.Generator) -> str:
    if rng.random() < options.synonyms:
        text = _synonym(text, rng)
    if rng.random() < options.typos and len(text) > 3:
        text = _typo(text, rng)
    return text


def _synonym(text: str, rng: np.random.Generator) -> str:
    core = text.strip(".,!?;:'\"")
    others = SYNONYMS.get(core.lower())
    if not others:
        return text
    other = others[rng.integers(len(others))]
    return text.replace(core, other.capitalize() if core[:1].isupper() else other)


def _typo(text: str, rng: np.random.Generator) -> str:
    """A letter swapped, left out, doubled, or hit one key off."""
    i = int(rng.integers(len(text) - 1))
    kind = rng.integers(4)
    if kind == 0:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    if kind == 1:
        return text[:i] + text[i + 1 :]
    if kind == 2:
        return text[: i + 1] + text[i:]
    near = _NEIGHBOURS.get(text[i].lower())
    return text[:i] + near[rng.integers(len(near))] + text[i + 1 :] if near else text


def _punctuate(words: list[Word], rng: np.random.Generator) -> list[Word]:
    """Without any punctuation (as recognisers write), or with another ending."""
    if rng.random() < 0.6:
        bare = [replace(w, text=w.text.strip('.,!?;:"')) for w in words]
        return [w for w in bare if w.text] or words
    last = words[-1]
    ending = (".", "...", "!")[rng.integers(3)] if last.text[-1] in ".!" else last.text[-1]
    return [*words[:-1], replace(last, text=last.text[:-1] + ending)]
