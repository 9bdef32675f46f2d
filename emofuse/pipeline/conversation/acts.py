"""Acts: what to do when something is expressed, as a table of conditions that the caller writes."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any, Literal, get_args

from emofuse.encoders.word_table import whole
from emofuse.errors import DataError, nearest
from emofuse.media.transcript import read_text
from emofuse.pipeline.measures import check_measure
from emofuse.pipeline.plain_yaml import check_apart, check_filled, names, read_plain, table
from emofuse.tasks import EMOTIONS, POLARITIES

Kind = Literal["soothe", "ask", "hand_over", "escalate"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CLASSES: Mapping[str, tuple[str, ...]] = {"emotion": EMOTIONS, "polarity": POLARITIES}
BLANKS = ("speaker", "emotion", "words", "act")
"""What a template may hold in braces."""
DIRECTIONS = ("rising", "falling")
VALID = "valid: the path of a file of acts (yaml)"
"""What a message says of a file that is none."""
_TURNS = 1000


@dataclass(frozen=True)
class Trend:
    """A measure that has moved by at least `by` over the last `over` turns of a speaker (see `trajectory.slope`)."""

    of: str
    direction: str
    """"rising" or "falling"."""
    over: int = 3
    by: float = 0.2


@dataclass(frozen=True)
class Bound:
    """A measure of the turn, or its change since the speaker's turn before, outside these limits."""

    of: str
    below: float | None = None
    above: float | None = None


@dataclass(frozen=True)
class Act:
    """One row of an acts file; every condition that it has must hold, for `turns` turns of the speaker in a row.

    `surely` holds where the set of classes at the coverage of the conversation is within those listed, `possibly` where
    it holds one of them: task → classes. A set that is too wide says nothing: the act abstains.
    """

    name: str
    do: Kind
    say: str = ""
    speakers: tuple[str, ...] = ()
    surely: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    possibly: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: tuple[Bound, ...] = ()
    changes: tuple[Bound, ...] = ()
    trends: tuple[Trend, ...] = ()
    words: tuple[str, ...] = ()
    turns: int = 1
    wait: int = 0
    """Turns of the speaker after a firing in which it does not fire again."""

    def spoken(self, text: str) -> tuple[str, ...]:
        """Those of its words and phrases that are in a text, whole, capitals aside."""
        return tuple(word for word, whole in self._patterns if whole.search(text))

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        return [(word, whole(word)) for word in self.words]


def read_acts(source: str | PathLike[str] | Sequence[Act]) -> tuple[Act, ...]:
    """The acts of a YAML file: a list under `acts`.

    Raises `DataError` that names the act and what is wrong with it, for an unknown key, measure, class or kind.
    """
    if isinstance(source, (str, PathLike)):
        return parse_acts(read_text(source, VALID), str(source))
    if not isinstance(source, Sequence) or not all(isinstance(act, Act) for act in source):
        raise DataError(f"acts are the path of a file or what read_acts returns, not {source!r:.80}")
    return tuple(source)


def parse_acts(text: str, source: str = "acts") -> tuple[Act, ...]:
    """The acts of a YAML text; `source` is what errors call it. Raises `DataError`, see `read_acts`."""
    content = read_plain(text, source)
    rows = content.get("acts") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows or set(content) != {"acts"}:
        raise DataError(f"{source}: an acts file is a list under the one key 'acts'; see docs/conversations.md")
    acts = tuple(_act(row, f"{source}, act {number}") for number, row in enumerate(rows, 1))
    check_apart([act.name for act in acts], "acts", source)
    return acts


def _act(row: Any, where: str) -> Act:
    given = table(row, where, ("name", "do", "say", "speaker", "when", "turns", "wait"))
    name = given.get("name")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{where}: it has no name; a firing is told by it")
    where = f"{where} ({name})"
    kind = str(given.get("do", "")).replace(" ", "_")
    if kind not in KINDS:
        raise DataError(f"{where}: do is {given.get('do')!r}; {nearest(kind, KINDS)}")
    when = table(given.get("when"), f"{where}, when", _CONDITIONS)
    if not when:
        raise DataError(f"{where}: it has no condition and would always fire; give some under 'when'")
    check_filled(when, where)
    return Act(
        name=name.strip(),
        do=kind,  # type: ignore[arg-type]
        say=_template(given.get("say", ""), where),
        speakers=names(given.get("speaker"), f"{where}, speaker"),
        surely={task: _classes(when[task], task, where) for task in CLASSES if task in when},
        possibly={
            task: _classes(when[f"possible_{task}"], task, where) for task in CLASSES if f"possible_{task}" in when
        },
        values=tuple(_bound(of, limits, where) for of, limits in table(when.get("values"), where).items()),
        changes=tuple(_bound(of, limits, where) for of, limits in table(when.get("change"), where).items()),
        trends=tuple(_trend(of, value, where) for of, value in table(when.get("trend"), where).items()),
        words=names(when.get("words"), f"{where}, words"),
        turns=_count(given.get("turns", 1), 1, f"{where}, turns"),
        wait=_count(given.get("wait", 0), 0, f"{where}, wait"),
    )


_CONDITIONS = ("emotion", "polarity", "possible_emotion", "possible_polarity", "values", "change", "trend", "words")


def _classes(given: Any, task: str, where: str) -> tuple[str, ...]:
    found = names(given, f"{where}, {task}")
    unknown = next((name for name in found if name not in CLASSES[task]), None)
    if unknown is not None or not found:
        raise DataError(f"{where}: there is no {task} {unknown!r}; {nearest(str(unknown), CLASSES[task])}")
    return found


def _number(given: Any, where: str) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not abs(given) < float("inf"):
        raise DataError(f"{where}: {given!r} is not a number")
    return float(given)


def _count(given: Any, least: int, where: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= _TURNS:
        raise DataError(f"{where}: {given!r} is not a whole number from {least} to {_TURNS}")
    return given


def _bound(of: Any, limits: Any, where: str) -> Bound:
    given = table(limits, f"{where}, {of}", ("below", "above"))
    if not given:
        raise DataError(f"{where}, {of}: give 'below' or 'above'")
    return Bound(check_measure(of), **{key: _number(value, f"{where}, {of}") for key, value in given.items()})


def _trend(of: Any, value: Any, where: str) -> Trend:
    given = {"to": value} if isinstance(value, str) else table(value, f"{where}, {of}", ("to", "over", "by"))
    if given.get("to") not in DIRECTIONS:
        raise DataError(f"{where}, {of}: a trend is rising or falling, not {given.get('to')!r}")
    over = _count(given.get("over", 3), 2, f"{where}, {of}, over")
    return Trend(check_measure(of), given["to"], over, abs(_number(given.get("by", 0.2), f"{where}, {of}, by")))


def _template(given: Any, where: str) -> str:
    """The text, if its blanks are known."""
    try:
        parts = list(string.Formatter().parse(given)) if isinstance(given, str) else None
    except ValueError:
        parts = None
    if parts is None:
        raise DataError(
            f"{where}: say is {given!r}, which is not a text with blanks in braces; double a brace to mean one"
        )
    wrong = [name for _, name, form, turn in parts if name is not None and (name not in BLANKS or form or turn)]
    if wrong:
        raise DataError(f"{where}: say has the blank {{{wrong[0]}}}; {nearest(wrong[0], BLANKS)}")
    return given
