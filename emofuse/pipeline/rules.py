"""Rules and a lexicon of one's own: a last, visible layer over what the model answers.

A rule adds to the log-odds of an emotion where its conditions hold; a word of the lexicon does so wherever it is said,
and moves the polarity by its valence. What was changed is named in the prediction, in a note and in explanations, and
has no prediction set: no promise covers an answer that was changed by hand.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

from emofuse.errors import DataError, nearest
from emofuse.media.transcript import read_text
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction, Segment

STRONGEST = 5.0
"""The largest change of log-odds: e⁵ is 150 to 1."""
COLUMNS = ("word", "emotion", "strength", "valence")
_CONDITIONS = ("words", "emotion", "speaker")


@dataclass(frozen=True)
class Rule:
    """Adds `by` to the log-odds of an emotion where every condition that it has holds."""

    name: str
    emotion: str
    by: float
    words: tuple[str, ...] = ()
    """One of these words or phrases is said, whole, capitals aside."""
    leading: tuple[str, ...] = ()
    """The model's leading emotion is one of these."""
    speakers: tuple[str, ...] = ()

    def holds(self, prediction: Prediction, said: str) -> bool:
        """Whether its conditions hold."""
        top = prediction.top[0] if prediction.top else None
        return (
            (not self.words or any(_spoken(word, said) for word in self.words))
            and (not self.leading or top in self.leading)
            and (not self.speakers or prediction.speaker in self.speakers)
        )


@dataclass(frozen=True)
class Entry:
    """A word or phrase of the lexicon."""

    word: str
    emotion: str | None
    strength: float
    """Of the emotion's log-odds."""
    valence: float
    """-1 to 1: of the polarity's log-odds."""


@dataclass(frozen=True)
class Rules:
    """What is laid over predictions, in the order of the file."""

    rules: tuple[Rule, ...] = ()
    lexicon: tuple[Entry, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.rules or self.lexicon)

    def over(self, prediction: Prediction, segment: Segment) -> Prediction:
        """The prediction with what follows from the rules, which it names; the same where none holds."""
        if prediction.emotions is None:
            return prediction
        said = " ".join(word.text for word in segment.words or ())
        odds: dict[str, float] = dict.fromkeys(EMOTIONS, 0.0)
        poles, fired = 0.0, []
        for rule in self.rules:
            if rule.holds(prediction, said):
                odds[rule.emotion] += rule.by
                fired.append(rule.name)
        for entry in self.lexicon:
            if _spoken(entry.word, said):
                poles += entry.valence
                fired.append(f"“{entry.word}”")
                if entry.emotion is not None:
                    odds[entry.emotion] += entry.strength
        if not fired:
            return prediction
        polarity = prediction.polarity and _moved(prediction.polarity, {"positive": poles, "negative": -poles})
        return replace(
            prediction, emotions=_moved(prediction.emotions, odds), polarity=polarity, rules=tuple(fired), sets={}
        )


def _moved(table: Mapping[str, float], odds: Mapping[str, float]) -> dict[str, float]:
    """Probabilities with log-odds added, none of it beyond STRONGEST, summing to 1."""
    raw = {k: p * math.exp(min(max(odds.get(k, 0.0), -STRONGEST), STRONGEST)) for k, p in table.items()}
    total = sum(raw.values())
    return {k: value / total for k, value in raw.items()}


def _spoken(word: str, said: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said, re.IGNORECASE) is not None


def read_rules(source: str | PathLike[str] | Rules | None) -> Rules:
    """The rules of a YAML file: a list under `rules`, and the path of a table under `lexicon`, from the file's folder.

    A CSV file is a lexicon alone. Raises DataError that names the rule or row and what is wrong with it.
    """
    if source is None or isinstance(source, Rules):
        return source or Rules()
    path = Path(source).expanduser()
    if path.suffix.lower() == ".csv":
        return Rules(lexicon=read_lexicon(path))
    import yaml

    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path}: this is not YAML ({getattr(error, 'problem', error)}); mend it") from None
    given = _table(content, str(path), ("rules", "lexicon"))
    listed = given.get("rules") or []
    if not isinstance(listed, list) or not (listed or given.get("lexicon")):
        raise DataError(f"{path}: a rules file has a list under 'rules', or a table's path under 'lexicon'")
    rules = tuple(_rule(row, f"{path}, rule {number}") for number, row in enumerate(listed, 1))
    names = [rule.name for rule in rules]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{path}: two rules are called {twice!r}; a prediction names its rules, so name them apart")
    lexicon = read_lexicon(path.parent / str(given["lexicon"])) if given.get("lexicon") else ()
    return Rules(rules, lexicon)


def read_lexicon(path: Path) -> tuple[Entry, ...]:
    """A table with the columns word, and emotion, strength (1 where empty), valence. Raises DataError."""
    reader = csv.DictReader(read_text(path).lstrip("\ufeff").splitlines())
    columns = [name.strip() for name in reader.fieldnames or ()]
    if "word" not in columns or not {"emotion", "valence"} & set(columns) or set(columns) - set(COLUMNS):
        raise DataError(f"{path}: its columns are {', '.join(columns) or 'none'}; valid: {', '.join(COLUMNS)}")
    reader.fieldnames = columns
    return tuple(_entry(row, f"{path}, row {number}") for number, row in enumerate(reader, 2))


def _entry(row: Mapping[str | None, Any], where: str) -> Entry:
    cells = {str(name): (value or "").strip() for name, value in row.items() if isinstance(value, str | None)}
    if not cells["word"] or not (cells.get("emotion") or cells.get("valence")):
        raise DataError(f"{where}: give a word, and an emotion or a valence")
    emotion = cells.get("emotion") or None
    if emotion is not None and emotion not in EMOTIONS:
        raise DataError(f"{where}: there is no emotion {emotion!r}; {nearest(emotion, EMOTIONS)}")
    strength = _number(cells.get("strength") or "1", STRONGEST, f"{where}, strength")
    return Entry(cells["word"], emotion, strength, _number(cells.get("valence") or "0", 1.0, f"{where}, valence"))


def _rule(row: Any, where: str) -> Rule:
    given = _table(row, where, ("name", "when", "then"))
    name = given.get("name")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{where}: it has no name; a prediction that it changes is told by it")
    where = f"{where} ({name})"
    when, then = (
        _table(given.get("when"), f"{where}, when", _CONDITIONS),
        _table(given.get("then"), where, ("emotion", "by")),
    )
    if not when:
        raise DataError(f"{where}: it has no condition and would always hold; give some under 'when'")
    emotion = then.get("emotion")
    leading = _names(when.get("emotion"), f"{where}, when, emotion")
    for one in (emotion, *leading):
        if one not in EMOTIONS:
            raise DataError(f"{where}: there is no emotion {one!r}; {nearest(str(one), EMOTIONS)}")
    words, speakers = (_names(when.get(key), f"{where}, when, {key}") for key in ("words", "speaker"))
    return Rule(
        name.strip(), str(emotion), _number(then.get("by", 1.0), STRONGEST, f"{where}, by"), words, leading, speakers
    )


def _table(given: Any, where: str, valid: Sequence[str]) -> dict[str, Any]:
    if not isinstance(given, dict | None):
        raise DataError(f"{where}: {given!r} is not a table of 'key: value'")
    for key in given or {}:
        if key not in valid:
            raise DataError(f"{where}: there is no key {key!r}; {nearest(str(key), valid)}")
    return given or {}


def _names(given: Any, where: str) -> tuple[str, ...]:
    listed = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(listed, list) or not all(isinstance(one, str) and one.strip() for one in listed):
        raise DataError(f"{where}: {given!r} is neither a word nor a list of them; put quotes around what YAML reads")
    return tuple(one.strip() for one in listed)


def _number(given: Any, most: float, where: str) -> float:
    try:
        value = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not abs(value) <= most:
        raise DataError(f"{where}: {given!r} is not a number from {-most:g} to {most:g}")
    return value
