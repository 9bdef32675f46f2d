"""Rules and a lexicon of one's own: a last, visible layer over what the model answers.

A rule adds to the log-odds of an emotion where its conditions hold; a word of the lexicon does so wherever it is said,
and moves the polarity by its valence. What was changed is named in the prediction, in a note and in explanations, and
has no prediction set: no promise covers an answer that was changed by hand.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from emofuse.encoders.word_table import COLUMNS, STRONGEST, Entry, bounded, read_csv, read_rows, whole
from emofuse.errors import DataError, nearest
from emofuse.files import home_path
from emofuse.media.talk import among
from emofuse.media.transcript import join, read_text
from emofuse.pipeline.plain_yaml import check_apart, check_filled, names, read_plain, table
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction, Segment

_CONDITIONS = ("words", "emotion", "speaker")
_VALID = "valid: the path of a file of rules (yaml), or of a lexicon (csv)"
MOST = 1000
"""Rules of a file."""


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
            (not self.words or any(word.search(said) for word in self._spoken))
            and (not self.leading or top in self.leading)
            and (not self.speakers or among(prediction.speaker, self.speakers))
        )

    @cached_property
    def _spoken(self) -> list[re.Pattern[str]]:
        return [whole(word) for word in self.words]

    def to_dict(self) -> dict[str, Any]:
        """As a file has it, in JSON's types."""
        when = {"words": self.words, "emotion": self.leading, "speaker": self.speakers}
        given = {key: list(value) for key, value in when.items() if value}
        return {"name": self.name, "when": given, "then": {"emotion": self.emotion, "by": self.by}}


@dataclass(frozen=True)
class Rules:
    """What is laid over predictions, in the order of the file."""

    rules: tuple[Rule, ...] = ()
    lexicon: tuple[Entry, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.rules or self.lexicon)

    def to_text(self) -> str:
        """All of it in one text, the lexicon's rows too, that `parse_rules` reads back equal."""
        lexicon = {"lexicon": [entry.to_dict() for entry in self.lexicon]} if self.lexicon else {}
        rules = {"rules": [rule.to_dict() for rule in self.rules]} if self.rules else {}
        return json.dumps(rules | lexicon, ensure_ascii=False)

    def over(self, prediction: Prediction, segment: Segment) -> Prediction:
        """The prediction with what follows from the rules, which it names; the same where none holds."""
        if prediction.emotions is None:
            return prediction
        said = join(segment.words or ())
        odds: dict[str, float] = dict.fromkeys(EMOTIONS, 0.0)
        poles, fired = 0.0, []
        for rule in self.rules:
            if rule.holds(prediction, said):
                odds[rule.emotion] += rule.by
                fired.append(rule.name)
        for entry in self.lexicon:
            if entry.spoken(said):
                poles += entry.valence or 0.0
                fired.append(f"“{entry.word}”")
                if entry.emotion is not None:
                    odds[entry.emotion] += entry.strength
        if not fired:
            return prediction
        polarity = prediction.polarity and _moved(prediction.polarity, {"positive": poles, "negative": -poles})
        named = tuple(dict.fromkeys((*prediction.rules, *fired)))
        return replace(prediction, emotions=_moved(prediction.emotions, odds), polarity=polarity, rules=named, sets={})


def _moved(given: Mapping[str, float], odds: Mapping[str, float]) -> dict[str, float]:
    """Probabilities with log-odds added, none of it beyond STRONGEST, summing to 1."""
    raw = {k: p * math.exp(min(max(odds.get(k, 0.0), -STRONGEST), STRONGEST)) for k, p in given.items()}
    total = sum(raw.values())
    return {k: value / total for k, value in raw.items()}


def read_rules(source: str | PathLike[str] | Rules | None) -> Rules:
    """The rules of a YAML file: a list under `rules`, and a lexicon: rows, or the path of a table from its folder.

    A CSV file is a lexicon alone. Raises DataError that names the rule or row and what is wrong with it.
    """
    if source is None or isinstance(source, Rules):
        return source or Rules()
    if not isinstance(source, (str, PathLike)):
        raise DataError(f"rules are the path of a file or what read_rules returns, not {source!r:.80}")
    path = home_path(source)
    return parse_rules(read_text(path, _VALID), str(path), path.parent)


def files_of(source: str | PathLike[str]) -> list[Path]:
    """The file of rules, and the table that it names as its lexicon. Raises DataError for what is no such file."""
    path = home_path(source)
    content = {} if path.suffix.lower() == ".csv" else _content(read_text(path, _VALID), str(path))
    lexicon = content.get("lexicon") if isinstance(content, dict) else None
    return [path, path.parent / lexicon] if isinstance(lexicon, str) else [path]


def parse_rules(text: str, source: str = "rules", folder: Path | None = None) -> Rules:
    """The rules of a text, which is CSV where `source`, what errors call it, ends so.

    Without a `folder` no other file is read: a lexicon is then rows. Raises DataError, see `read_rules`.
    """
    if source.lower().endswith(".csv"):
        return Rules(lexicon=read_csv(text, source))
    given = table(_content(text, source), source, ("rules", "lexicon"))
    listed = given.get("rules") or []
    if not isinstance(listed, list) or not (listed or given.get("lexicon")):
        raise DataError(f"{source}: a rules file has a list under 'rules', or a table's path or rows under 'lexicon'")
    if len(listed) > MOST:
        raise DataError(f"{source}: it has {len(listed):,} rules, and at most {MOST:,} are read; words go in a lexicon")
    rules = tuple(_rule(row, f"{source}, rule {number}") for number, row in enumerate(listed, 1))
    check_apart([rule.name for rule in rules], "rules", source)
    return Rules(rules, _lexicon(given.get("lexicon"), source, folder))


def _content(text: str, source: str) -> Any:
    """JSON, as `Rules.to_text` writes it, is read as such: of many rows, YAML takes a hundred times as long."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return read_plain(text, source)


def _lexicon(given: Any, source: str, folder: Path | None) -> tuple[Entry, ...]:
    if not given:
        return ()
    if isinstance(given, list):
        where = f"{source}, lexicon"
        return read_rows([table(row, f"{where}, row {i}", COLUMNS) for i, row in enumerate(given, 1)], where)
    if folder is None:
        raise DataError(f"{source}: its lexicon is {given!r}, and no other file is read here; write its rows in it")
    path = folder / str(given)
    return read_csv(read_text(path, "valid: the path of a lexicon (csv)"), str(path))


def _rule(row: Any, where: str) -> Rule:
    given = table(row, where, ("name", "when", "then"))
    name = given.get("name")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{where}: it has no name; a prediction that it changes is told by it")
    where = f"{where} ({name})"
    when, then = (
        table(given.get("when"), f"{where}, when", _CONDITIONS),
        table(given.get("then"), where, ("emotion", "by")),
    )
    if not when:
        raise DataError(f"{where}: it has no condition and would always hold; give some under 'when'")
    check_filled(when, where)
    emotion = then.get("emotion")
    leading = names(when.get("emotion"), f"{where}, when, emotion")
    for one in (emotion, *leading):
        if one not in EMOTIONS:
            raise DataError(f"{where}: there is no emotion {one!r}; {nearest(str(one), EMOTIONS)}")
    words, speakers = (names(when.get(key), f"{where}, when, {key}") for key in ("words", "speaker"))
    return Rule(
        name.strip(), str(emotion), bounded(then.get("by", 1.0), STRONGEST, f"{where}, by"), words, leading, speakers
    )
