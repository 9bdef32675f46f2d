"""The corpus contract: what a corpus declares, what a reading returns, and the checks a split must pass."""

from __future__ import annotations

import hashlib
import inspect
import math
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from emofuse.corpora.folding import Folding, Table
from emofuse.corpora.folding import fold as fold_by
from emofuse.corpora.folds import FEWEST, folded, folds_of_set, is_rule_fold, read_fold
from emofuse.errors import DataError, EmofuseError, first_line, nearest
from emofuse.files import home_path
from emofuse.tasks import Task
from emofuse.types import SPLITS, Split, Utterance

Unit = Literal["speaker", "dialogue", "video"]
ATTRIBUTES = ("age", "ethnicity", "race", "show")
"""Labels, beside sex or gender, that say something of the speaker or the source, not of what is expressed."""
OLDEST = 130
"""Years."""
SEXES = {"f": "female", "m": "male"}
Kind = Literal["missing", "unreadable", "truncated", "misaligned", "label", "row", "duplicate", "leak"]


@dataclass(frozen=True)
class Problem:
    """Something in a corpus that its reader could not take: where, what, and how to fix it."""

    where: str
    kind: Kind
    what: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.mend}" if self.mend else "")


@dataclass(frozen=True)
class Reading:
    """A corpus as read: its utterances, what was wrong with the rest, and what the reader wants known."""

    corpus: str
    root: Path
    utterances: tuple[Utterance, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def split(self, name: Split) -> tuple[Utterance, ...]:
        """The utterances of one split."""
        return tuple(u for u in self.utterances if u.split == name)

    def summary(self) -> str:
        """One line: how many utterances a split, how many problems of each kind."""
        sizes = Counter(u.split for u in self.utterances)
        kinds = Counter(p.kind for p in self.problems)
        line = f"{self.corpus}: " + ", ".join(f"{sizes[s]} {s}" for s in SPLITS)
        return line + (f"; problems: {', '.join(f'{n} {k}' for k, n in sorted(kinds.items()))}" if kinds else "")


_KINDS: dict[str, tuple[Any, str]] = {
    "bool": (bool, "true or false"),
    "int": (int, "a whole number from 0 on"),
    "float": ((int, float), "a number from 0 on"),
}
"""Annotation of an option → what its value must be, and how that is said."""


@dataclass(frozen=True)
class Protocol:
    """How the papers on a corpus report: the numbers of two works compare only where these are the same."""

    leading: Mapping[str, str] = field(default_factory=dict)
    """Task → the metric that orders the report and that groups and subsets are compared by."""
    views: Mapping[str, str] = field(default_factory=dict)
    """Task of the protocol → the task whose head can answer it: its probabilities are taken as scores of labels that
    may stand beside each other."""
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Task → column of the papers' table of results → metric, in their order."""
    threshold: float = 0.5
    """The score above which a label that may stand beside others counts as given."""

    def leading_metric(self, task: Task) -> str:
        """The leading metric of a task: the papers', else the usual one of its kind."""
        return self.leading.get(task.name, task.leading_metric)


class Corpus(ABC):
    """All that is known of one corpus: its published layout and reader, its labels, its protocol, its terms of use.

    `scan` yields utterances of every split; the options it takes by keyword are the options of `read`.
    """

    name: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    layout: ClassVar[str]
    """The published layout, one path a line: the text of the error when it is not there."""
    foldings: ClassVar[Mapping[str, Folding]]
    """Task → how the corpus's own labels fold into it; a task that is not here is unlabelled."""
    protocol: ClassVar[Protocol] = Protocol()
    language: ClassVar[str | None] = None
    """What is spoken and written in it, in English; None = unknown, or told by each utterance."""
    face_crops: ClassVar[bool] = False
    """Whether its pictures are faces already cut out: no detector looks for a face in them."""
    disjoint: ClassVar[Unit | None] = None
    """What no two splits may share."""
    checks_labels: ClassVar[bool] = False
    """Whether it refuses labels itself, so that changes to the folding are for its option `overrides`."""
    folds: ClassVar[tuple[str, ...]] = ()
    """Names of the cross-validation folds, for the option `fold`; `folds: all` of a recipe."""
    fold_sets: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Further ways to fold, by the name that `folds` of a recipe takes."""
    folds_by_rule: ClassVar[bool] = False
    """Whether it has no published split, so that the option `fold: 2/5` cuts it into k parts by speaker."""
    roster: ClassVar[Mapping[str, str]] = {}
    """Speaker of the published corpus → sex, "" where it is not told: whom folds by rule deal out (`folds.deal`)."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks its labels fold into."""
        return tuple(self.foldings)

    @abstractmethod
    def scan(self, root: Path, log: Log, **options: Any) -> Iterable[Utterance]:
        """Every utterance below root; what cannot be taken goes to the log."""

    def folding(self, task: Task) -> Folding | None:
        """How labels fold into a task; None when they say nothing about it."""
        return self.foldings.get(task.name)

    def fold(
        self, labels: Mapping[str, Any], task: Task, overrides: Table | None = None
    ) -> Float[np.ndarray, " width"]:
        """The own labels of one utterance as the target vector of a task, float32, NaN = unlabelled.

        `overrides` replaces lines of the folding's table of names (`{"exc": "joy"}`). Raises DataError for an unknown
        class name or override, and for a number outside the task's range.
        """
        return fold_by(self.folding(task), labels, task, overrides, self.name)

    def groups(self, utterance: Utterance) -> dict[str, str]:
        """What a fairness audit splits by: language, speaker, and what is known of the speaker."""
        speaker = None if utterance.speaker == utterance.id else utterance.speaker
        found = {"language": utterance.language or self.language, "speaker": speaker, **self.attributes(utterance)}
        return {name: value for name, value in found.items() if value}

    def attributes(self, utterance: Utterance) -> dict[str, str | None]:
        """Sex, age, show and the like, from labels of these names; override where a corpus tells them otherwise.

        An age in years is told as the ten years that it lies in.
        """
        words = {key: _word(utterance.labels.get(key)) for key in ("sex", "gender", *ATTRIBUTES)}
        sex = words["sex"] or words["gender"]
        told = {key: words[key] or None for key in ATTRIBUTES}
        return {"sex": SEXES.get(sex[:1].lower(), sex), **told, "age": age_group(words["age"]) or told["age"]}

    def read(self, root: str | Path, split: Split | None = None, **options: Any) -> Reading:
        """The corpus at `root`, or one split of it.

        Raises DataError when root is missing, is not in this corpus's layout, or an option is unknown.
        """
        root = home_path(root)
        if split is not None and split not in SPLITS:
            raise DataError(f"split {split!r} of {self.name}; {nearest(str(split), SPLITS)}")
        options = self._checked(options)
        rule = self._rule_fold(options)
        if not root.exists():
            raise DataError(f"no folder {root} for corpus {self.name}; {self._expected()}")
        log = Log()
        utterances = tuple(self._scanned(root, log, options))
        if rule is not None:
            utterances = folded(utterances, rule, self.roster)
        if not utterances and not log.problems:
            raise DataError(f"{root} holds nothing of corpus {self.name}; {self._expected()}")
        self._check_ids(utterances)
        if self.disjoint:
            check_disjoint(utterances, self.disjoint)
        sizes = Counter(u.split for u in utterances)
        for name in SPLITS:
            if not sizes[name] and split in (None, name):
                log.note(f"the {name} split is empty: none of its files are in {root}")
        chosen = utterances if split is None else tuple(u for u in utterances if u.split == split)
        return Reading(self.name, root, chosen, tuple(log.problems), tuple(log.notes))

    def _scanned(self, root: Path, log: Log, options: Mapping[str, Any]) -> Iterator[Utterance]:
        """The utterances as declared; what a damaged file makes a reader stumble over is told as its layout."""
        try:
            yield from (self._declared(u) for u in self.scan(root, log, **options))
        except EmofuseError:
            raise
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {first_line(error)}"[:200]
            raise self.layout_error(root, f"a file in it holds something else ({why})") from error

    def layout_error(self, root: Path, why: str) -> DataError:
        """The error of a folder that is not in the published layout."""
        return DataError(f"{root} is not {self.name}: {why}; {self._expected()}")

    def choose_fold(self, fold: str | int | None) -> str | None:
        """The checked name of a fold. Raises DataError for one that the corpus does not have."""
        named = tuple(dict.fromkeys((*self.folds, *(f for each in self.fold_sets.values() for f in each))))
        if fold is None or str(fold) in named:
            return None if fold is None else str(fold)
        if isinstance(fold, int) and (led := f"{fold:02d}") in named:  # YAML reads the speaker 03 as the number 3
            return led
        if self.folds_by_rule and is_rule_fold(fold):
            _, count = read_fold(fold)
            if not self.roster or count <= len(self.roster):
                return str(fold)
            raise DataError(f"fold {fold} of {self.name}, which has {len(self.roster)} speakers; ask for fewer parts")
        raise DataError(f"fold {fold!r} of {self.name}; {nearest(str(fold), named)}")

    def fold_names(self, asked: str | Sequence[str | int]) -> tuple[str, ...]:
        """Names of the folds that a recipe asks for: `all`, a name of `fold_sets`, by rule `10-fold`, or a list.

        Raises DataError for a name that the corpus does not have.
        """
        if not isinstance(asked, str):
            return tuple(str(self.choose_fold(fold)) for fold in asked)
        sets = {"all": self.folds, **self.fold_sets} if self.folds else {}
        found = sets.get(asked) or (folds_of_set(asked) if self.folds_by_rule else ())
        if found:
            return tuple(str(self.choose_fold(fold)) for fold in found)
        if not sets:
            raise DataError(f"{self.name} has a fixed split and no folds; take folds out")
        rule = f", or {FEWEST}-fold and more" if self.folds_by_rule else ""
        raise DataError(f"folds {asked!r} of {self.name}; {nearest(asked, sets)}{rule}, or a list")

    def choose(self, option: str, value: str, valid: Iterable[str]) -> None:
        """Raise DataError when an option's value is not one of the valid ones."""
        if value not in (valid := tuple(valid)):
            raise DataError(f"{self.name} option {option}={value!r}; {nearest(str(value), valid)}")

    def _declared(self, utterance: Utterance) -> Utterance:
        return replace(utterance, face_crop=True) if self.face_crops else utterance

    def _expected(self) -> str:
        return f"the layout expected:\n{inspect.cleandoc(self.layout)}"

    def _checked(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options; one string where several are taken is a sequence of one."""
        valid = {n: p for n, p in inspect.signature(self.scan).parameters.items() if p.kind is p.KEYWORD_ONLY}
        known = [*valid, *(["fold"] if self.folds_by_rule and "fold" not in valid else [])]
        for name, value in options.items():
            if name not in known:
                raise DataError(f"corpus {self.name} has no option {name!r}; {nearest(name, known) or 'it takes none'}")
            self._check_kind(name, value, valid[name].annotation if name in valid else str)
        several = {name for name, parameter in valid.items() if "Sequence[str]" in str(parameter.annotation)}
        return {n: (v,) if n in several and isinstance(v, str) else v for n, v in options.items()}

    def _check_kind(self, option: str, value: Any, annotation: Any) -> None:
        """Raise DataError for a value that is no switch or no number where the option is one."""
        kinds, what = _KINDS.get(getattr(annotation, "__name__", str(annotation)), (object, ""))
        wrong = isinstance(value, bool) and kinds not in (bool, object)
        if wrong or not isinstance(value, kinds) or (what and value < 0):
            raise DataError(f"{self.name} option {option}={value!r}; valid: {what}")

    def _rule_fold(self, options: dict[str, Any]) -> str | None:
        """Takes a fold by rule out of the options; those that `scan` knows by name stay."""
        fold = options.get("fold")
        if not self.folds_by_rule or fold is None:
            return None
        if not is_rule_fold(fold) and "fold" in inspect.signature(self.scan).parameters:
            return None
        return self.choose_fold(options.pop("fold"))

    def _check_ids(self, utterances: Sequence[Utterance]) -> None:
        twice = [i for i, n in Counter(u.id for u in utterances).items() if n > 1]
        if twice:
            raise DataError(f"{self.name} gives the same id to several utterances: {', '.join(twice[:5])}")


class Log:
    """Collects problems and notes while a corpus is scanned."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.inspected: dict[Path, Any] = {}
        """Clips already looked at: many utterances may point into one file."""

    def problem(self, where: str | Path, kind: Kind, what: str, mend: str = "") -> None:
        """List something that could not be taken."""
        self.problems.append(Problem(str(where), kind, what, mend))

    def note(self, text: str) -> None:
        """Keep a remark once."""
        if text not in self.notes:
            self.notes.append(text)


def check_disjoint(utterances: Iterable[Utterance], by: Unit = "speaker") -> None:
    """Raise DataError when two splits share a speaker, or a dialogue (a video is kept as the dialogue of its parts)."""
    where: dict[str, set[str]] = defaultdict(set)
    for u in utterances:
        unit = u.speaker if by == "speaker" else u.dialogue
        if unit is None:
            raise DataError(f"utterance {u.id} has no {by}, so its split cannot be shown to be disjoint by {by}")
        where[unit].add(u.split)
    shared = sorted(unit for unit, splits in where.items() if len(splits) > 1)
    if shared:
        listed = ", ".join(f"{unit} ({' and '.join(sorted(where[unit]))})" for unit in shared[:5])
        raise DataError(f"{len(shared)} {by}s are in more than one split: {listed}; keep each {by} in one split")


def split_hash(utterances: Iterable[Utterance]) -> str:
    """SHA-256 over the sorted ids with their splits: two reports with one hash were measured on one split."""
    lines = sorted(f"{u.corpus}\t{u.id}\t{u.split}" for u in utterances)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _word(value: Any) -> str:
    """What a label of a speaker says, as text: tables hold ages and codes as numbers; "" for what says nothing."""
    if isinstance(value, str):
        return value
    return f"{float(value):g}" if isinstance(value, int | float) and math.isfinite(value) else ""


def age_group(years: str) -> str:
    """The ten years of life that an age lies in, "20-29" for 24; "" for what is no age."""
    if not years.strip().isdecimal() or int(years) > OLDEST:
        return ""
    first = int(years) // 10 * 10
    return f"{first}-{first + 9}"
