"""Text perturbations: typing errors, recogniser errors, chat spelling; a list of words in, a list of words out."""

from __future__ import annotations

import functools
import re

import numpy as np

NEAR = {
    "q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij", "i": "uok", "o": "ipl",
    "p": "ol", "a": "qsz", "s": "awdx", "d": "sefc", "f": "drgv", "g": "fthb", "h": "gyjn", "j": "hukm", "k": "jil",
    "l": "kop", "z": "asx", "x": "zsc", "c": "xdv", "v": "cfb", "b": "vgn", "n": "bhm", "m": "njk",
}  # fmt: skip
"""Neighbours on a QWERTY keyboard."""
MISHEARD = {
    "i'm": "um", "your": "you're", "you're": "your", "their": "there", "there": "their", "they're": "there",
    "its": "it's", "it's": "its", "to": "two", "too": "to", "two": "to", "for": "four", "know": "no", "no": "know",
    "hear": "here", "here": "hear", "right": "write", "write": "right", "then": "than", "than": "then", "our": "are",
    "are": "our", "by": "buy", "buy": "by", "see": "sea", "week": "weak", "weak": "week", "wear": "where",
    "where": "wear", "would": "wood", "won": "one", "one": "won", "new": "knew", "knew": "new", "be": "bee",
    "so": "sew", "bad": "bed", "sad": "said", "said": "sad", "glad": "clad", "mad": "matt", "hate": "ate",
    "love": "of", "fear": "feel", "happy": "happily", "angry": "hungry", "cry": "try", "great": "grate",
    "good": "could", "afraid": "a fraid", "and": "in", "in": "and", "can": "can't", "can't": "can", "won't": "want",
    "want": "won't", "don't": "don",
}  # fmt: skip
"""Words that sound alike, or nearly; words of emotion among them."""
FILLERS = ("uh", "um", "the", "a", "and")
CONTRACTIONS = {
    "won't": "will not", "can't": "cannot", "shan't": "shall not", "ain't": "is not",
    **{f"{verb}n't": f"{verb} not" for verb in (
        "do", "does", "did", "is", "are", "was", "were", "has", "have", "had", "would", "could", "should", "must",
        "need",
    )},
}  # fmt: skip
NEGATIONS = frozenset({"not", "never", "no", "nothing", "nobody", "none", "neither", "nor", "cannot"})
EMOJI = re.compile("[\U0001f300-\U0001faff☀-➿⬀-⯿️‍\U0001f1e6-\U0001f1ff]+")
SHORT = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)


def typos(words: list[str], share: float, rng: np.random.Generator) -> list[str]:
    """A slip of the finger in this share of the words: letters swapped, missed, doubled, or a neighbour struck."""
    return [_slip(w, rng) if rng.random() < share else w for w in words]


def dropped(words: list[str], share: float, rng: np.random.Generator) -> list[str]:
    """This share of the words missing; at least one stays."""
    kept = [w for w in words if rng.random() >= share]
    return kept or [words[rng.integers(len(words))]]


def asr(words: list[str], rate: float, rng: np.random.Generator) -> list[str]:
    """No capitals, no punctuation, and a word error rate of about this: misheard, missed and made-up words."""
    heard: list[str] = []
    for word in words:
        plain = re.sub(r"[^\w']", "", word.lower())
        if not plain:
            continue
        draw = rng.random()
        if draw < 0.6 * rate:
            heard.append(MISHEARD.get(plain) or _slip(plain, rng))
        elif draw >= 0.8 * rate:
            heard.append(plain)
        if rng.random() < 0.2 * rate:
            heard.append(FILLERS[rng.integers(len(FILLERS))])
    return [w for phrase in heard for w in phrase.split()] or ["uh"]


def negation(words: list[str], level: float, rng: np.random.Generator) -> list[str]:
    """1: written out ("do not"); 2: without the apostrophe ("dont"); 3: the negation lost ("do").

    Levels 1 and 2 keep the meaning; at 3 a model that reads negations must change its mind.
    """
    return [w for word in words for w in _negated(word, round(level))] or words


def emoji(words: list[str], level: float, rng: np.random.Generator) -> list[str]:
    """1: emoji in words, as VADER describes them; 2: removed; 3: removed, and a smiling face put at the end of all."""
    changed: list[str] = []
    for word in words:
        if not EMOJI.search(word):
            changed.append(word)
        elif round(level) == 1:
            changed += EMOJI.sub(lambda m: f" {_described(m.group())} ", word).split()
        else:
            changed += EMOJI.sub(" ", word).split()
    if round(level) == 3:
        changed.append("🙂")
    return changed or words


def _slip(word: str, rng: np.random.Generator) -> str:
    letters = [i for i, c in enumerate(word) if c.isalpha()]
    if not letters:
        return word
    i = letters[rng.integers(len(letters))]
    kind = rng.integers(4)
    if kind == 0 and i + 1 < len(word):
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if kind == 1 and len(letters) > 1:
        return word[:i] + word[i + 1 :]
    if kind == 2:
        return word[:i] + word[i] + word[i:]
    near = NEAR.get(word[i].lower())
    return word[:i] + near[rng.integers(len(near))] + word[i + 1 :] if near else word[:i] + word[i] + word[i:]


def _negated(word: str, level: int) -> list[str]:
    before, core, after = SHORT.match(word.replace("’", "'")).groups()  # type: ignore[union-attr]
    lower = core.lower()
    full = CONTRACTIONS.get(lower)
    if level == 1 and full:
        return (before + full + after).split()
    if level == 2 and full:
        return [before + core.replace("'", "") + after]
    if level == 3 and full:
        kept = {"cannot": "can"}.get(full, full.removesuffix(" not"))
        return [before + kept + after]
    if level == 3 and lower in NEGATIONS:
        return ["can" + after] if lower == "cannot" else []
    return [word]


@functools.cache
def _names() -> dict[str, str]:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer().emojis


def _described(emoji: str) -> str:
    return " ".join(_names()[c] for c in emoji if c in _names())
