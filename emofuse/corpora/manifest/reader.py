"""Manifest reader: anyone's own clips, texts and labels in a table (CSV, JSONL or Parquet), and its check."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from emofuse.corpora.clips import inspect_clip
from emofuse.corpora.corpus import Corpus, Log, Problem
from emofuse.corpora.folding import Folding, Names, Number, same
from emofuse.corpora.manifest.drawing import draw, in_several
from emofuse.corpora.manifest.rows import Record, check_header, ignored, read_records, to_record
from emofuse.errors import DataError, nearest
from emofuse.files import home_path
from emofuse.tasks import TASKS, Task
from emofuse.types import Utterance

TOLERANCE = 0.25
"""Seconds by which `end` may pass the end of the media: containers round their durations."""


def by_column(task: Task) -> Folding:
    """The folding of a column that is named as the task and speaks of its classes."""
    return Names(task.name, same(*task.classes), open=True) if task.classes else Number(task.name)


class Manifest(Corpus):
    """Options: `strict` (True: a bad row is an error; False: it is left out and listed), `dev_share` (without a column
    `split`, this share of the speakers, dialogues or files is dev, see `drawing.draw`; 0.2), `context` (how many
    earlier turns of the same dialogue; 5), `tasks` (columns of tasks of your own: name → classes, or [] for a number),
    `overrides` (column → the file's word → class, None = says nothing), `verify`. Labels come out in the words of the
    tasks.
    """

    name = "manifest"
    licence = "your own"
    citation = ""
    layout = """
        FILE.csv, FILE.jsonl or FILE.parquet, one row an utterance, with the columns
        media (path from the file's folder), start, end (seconds), text, speaker, dialogue, language,
        split (train, dev, test), id: media or text is needed, the others are optional;
        every other column is a label, named as the task: emotion, polarity, valence, sentiment, sarcasm, …
        """
    checks_labels = True
    foldings: ClassVar[dict[str, Folding]] = {name: by_column(task) for name, task in TASKS.items()}

    def folding(self, task: Task) -> Folding:
        """By the column named as the task, whichever it is."""
        return by_column(task)

    def scan(
        self,
        root: Path,
        log: Log,
        *,
        strict: bool = True,
        dev_share: float = 0.2,
        context: int = 5,
        tasks: dict[str, Sequence[str]] | None = None,
        overrides: dict[str, dict[str, str | None]] | None = None,
        verify: bool = True,
    ) -> Iterator[Utterance]:
        """Every good row; with `strict` any bad one is an error that names the first of them."""
        records, problems = checked(root, own_tasks(tasks), overrides or {}, log, verify)
        bad = [p for p in problems if p.kind != "leak"]
        if bad and strict:
            shown = "\n".join(f"  {p}" for p in bad[:5])
            more = f"\n  … and {len(bad) - 5} more" if len(bad) > 5 else ""
            raise DataError(f"{root} has {len(bad)} bad rows:\n{shown}{more}\nall of them: emofuse data check {root}")
        log.problems.extend(bad)
        for problem in problems:
            if problem.kind == "leak":
                log.note(str(problem))
        yield from utterances(records, dev_share, context, log)


def check_manifest(
    path: str | Path,
    tasks: dict[str, Sequence[str]] | None = None,
    overrides: dict[str, dict[str, str | None]] | None = None,
    ignore: Collection[str] = (),
) -> list[Problem]:
    """Everything wrong with a manifest, each with its row and how to fix it; an empty list when it is fine.

    A column that nothing would be learnt from is a problem, unless `ignore` names it. Raises DataError only where there
    is no table to check (no file, no columns, a format that is not known), and for an override or an ignored column
    that does not exist.
    """
    path, known = home_path(path), own_tasks(tasks)
    columns, _ = read_records(path)
    for name in overrides or {}:
        if name not in known:
            raise DataError(f"labels of {name!r} are translated, which is no task; {nearest(name, known)}")
        for word, target in (overrides or {})[name].items():
            if target is not None and target not in known[name].classes:
                valid = nearest(target, known[name].classes)
                raise DataError(f"{name}.{word}={target}: {target!r} is no class of {name}; {valid}")
    for name in ignore:
        if name not in columns:
            raise DataError(f"{path} has no column {name!r} to ignore; {nearest(name, columns)}")
    unused = Log()
    for name in ignored(columns, known):
        if name not in ignore:
            mend = f"declare it (--task {name}=…), say --ignore {name}, or name it as a task: {nearest(name, known)}"
            unused.problem("header", "row", f"column {name!r} is no task and would be ignored", mend)
    return [*unused.problems, *checked(path, known, overrides or {}, Log(), verify=True)[1]]


def own_tasks(tasks: dict[str, Sequence[str]] | None) -> dict[str, Task]:
    """The tasks a manifest may be labelled with: the standard ones, and the caller's (no classes: any number)."""
    own = {
        name: Task(name, "categorical", tuple(classes))
        if classes
        else Task(name, "scalar", low=float("-inf"), high=float("inf"))
        for name, classes in (tasks or {}).items()
    }
    return TASKS | own


def checked(
    path: Path, tasks: dict[str, Task], overrides: dict[str, dict[str, str | None]], log: Log, verify: bool
) -> tuple[list[Record], list[Problem]]:
    """The good rows of a manifest and the problems of all of them."""
    columns, rows = read_records(path)
    problems = Log()
    labels, misnamed = check_header(path, columns, tasks, problems, log)
    good: list[Record] = []
    seen: dict[tuple[Any, ...], int] = {}
    absent = dict.fromkeys(columns)  # a row may lack keys that others have, or end before its last cells
    for number, cells in rows:
        before = len(problems.problems)
        record = to_record(path, number, absent | cells, labels, problems)
        if record is None:
            continue
        _check_labels(record, tasks, overrides, problems)
        if record.media is not None:
            _check_media(record, problems, verify)
        _check_duplicate(record, seen, problems, tuple(str(cells.get(name)) for name in misnamed))
        if len(problems.problems) == before:
            good.append(replace(record, labels=_translate(record.labels, overrides)))
    if not rows:
        problems.problem(path, "row", "the table has a header and no rows", "add a row for each utterance")
    _check_leaks(good, problems)
    return good, problems.problems


def _check_labels(
    record: Record, tasks: dict[str, Task], overrides: dict[str, dict[str, str | None]], problems: Log
) -> None:
    for name in record.labels:
        if name in tasks:
            try:
                Manifest().fold(record.labels, tasks[name], overrides.get(name))
            except DataError as error:
                problems.problem(record.where, "label", str(error), f"correct the column {name} or leave it empty")


def _translate(labels: dict[str, Any], overrides: dict[str, dict[str, str | None]]) -> dict[str, Any]:
    """The labels in the words of the tasks; a word that an override maps to nothing is gone."""
    translated: dict[str, Any] = {}
    for name, value in labels.items():
        words = overrides.get(name)
        if words and isinstance(value, str):
            parts = [words.get(part.strip(), part.strip()) for part in value.split("|")]
            value = "|".join(part for part in parts if part)
        elif words and isinstance(value, dict):
            votes: Counter[str] = Counter()
            for own, weight in value.items():
                if (word := words.get(own, own)) is not None:
                    votes[word] += weight
            value = dict(votes)
        if value not in ("", {}):
            translated[name] = value
    return translated


def _check_media(record: Record, problems: Log, verify: bool) -> None:
    assert record.media is not None
    clip = problems.inspected.get(record.media)
    if clip is None:
        clip = problems.inspected[record.media] = inspect_clip(record.media, verify)
    if clip.kind is not None:
        mend = "correct the path (from the manifest's folder)" if clip.kind == "missing" else "replace the file"
        problems.problem(record.where, clip.kind, f"media {record.media}: {clip.what}", mend)
    elif clip.seconds is not None:
        for column, value in (("start", record.start), ("end", record.end)):
            if value is not None and value > clip.seconds + (TOLERANCE if column == "end" else 0.0):
                what = f"{column} {value:g} s is beyond the media, which lasts {clip.seconds:.2f} s"
                problems.problem(record.where, "misaligned", what, f"correct {column}, or leave it empty")


def _check_duplicate(
    record: Record, seen: dict[tuple[Any, ...], int], problems: Log, misnamed: tuple[str, ...]
) -> None:
    """`misnamed`: what stands in columns of another name, where the media may be that tell two rows apart.

    A turn of words alone with an id of its own may be said again in its dialogue ("Yeah.").
    """
    again = record.id is not None and record.dialogue is not None and record.media is None and record.start is None
    row = ("row", record.media, record.start, record.end, record.text, record.speaker, record.dialogue, *misnamed)
    keys: list[tuple[Any, ...]] = [] if again else [row]
    if record.id is not None:
        keys.append(("id", record.id))
    for key in keys:
        if key in seen:
            what = f"id {record.id!r}" if key[0] == "id" else "the same media, times, text and speaker"
            problems.problem(record.where, "duplicate", f"{what} as in row {seen[key]}", "delete one of the two")
        seen.setdefault(key, record.number)


def _check_leaks(records: list[Record], problems: Log) -> None:
    for unit in ("speaker", "dialogue"):
        for value, splits in in_several(records, unit).items():
            rows = ", ".join(f"{split} (row {number})" for split, number in splits.items())
            what = f"{unit} {value!r} is in several splits: {rows}"
            problems.problem(f"row {max(splits.values())}", "leak", what, f"keep each {unit} in one split")


def utterances(records: list[Record], dev_share: float, context: int, log: Log) -> Iterator[Utterance]:
    """Utterances of checked rows; rows of one dialogue are its turns in the order of the file."""
    if not 0 <= dev_share < 1:
        raise DataError(f"manifest option dev_share={dev_share}; a share from 0 to below 1")
    records, notes = draw(records, dev_share)
    for note in notes:
        log.note(note)
    said: dict[str, list[str]] = defaultdict(list)
    for record in records:
        turns = said[record.dialogue] if record.dialogue else []
        identity = record.id or f"{record.file.stem}:{record.number}"
        yield Utterance(
            id=identity,
            corpus=Manifest.name,
            split=record.split or "train",
            speaker=record.speaker or identity,
            dialogue=record.dialogue,
            media=record.media,
            start=record.start,
            end=record.end,
            text=record.text,
            context=tuple(turns[-context:]) if context else (),
            labels=record.labels,
            language=record.language,
        )
        if record.text:
            turns.append(f"{record.speaker}: {record.text}" if record.speaker else record.text)
