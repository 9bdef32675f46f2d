"""Prototypes: labels that a model has not learnt, answered by likeness to their word or to examples of them.

A prototype is the direction in which the text encoder's states of a label lie: of its word in short sentences, from
those of the emotions that the model has learnt, or of the caller's examples, from ordinary sentences. A segment's words
are compared with it by the cosine. That is a likeness, no probability, and stands apart from what the model was taught
and calibrated on.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike

import numpy as np
from jaxtyping import Float

from emofuse.errors import DataError
from emofuse.files import home_path, well_formed
from emofuse.media.alignment import CHARACTERS_PER_SECOND
from emofuse.media.transcript import read_text, spread
from emofuse.model.answering import Answering
from emofuse.notes import Note
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction, Segment

TEMPLATES = ("{}", "I feel {}.", "I am so {}!", "That makes me feel {}.")
"""What stands for a label without examples."""
ANCHORS = ("neutral", "joyful", "sad", "angry", "afraid", "disgusted", "surprised")
"""Adjectives for `EMOTIONS`, in the same sentences: what a label's word shares with all of them says nothing of it."""
ORDINARY = (
    *("The meeting is at nine on Tuesday.", "I put the keys on the table."),
    *("This made my whole day, thank you!", "We won, I love this team!"),
    *("I miss her every single day.", "It hurts that nobody came."),
    *("How dare you talk to me like that!", "I am sick of waiting for an answer."),
    *("I heard steps behind me and ran.", "What if the test comes back positive?"),
    *("The fridge smells like something died in it.", "He spat on the floor, that is vile."),
    *("Wait, you are already here?", "I had no idea you could sing!"),
)
"""Sentences of every emotion, whose mean state is the middle of what people say."""
ALIKE = 0.95
"""Cosine from which two prototypes cannot be told apart."""
MOST = 50
"""Labels at a time."""
EXAMPLES = 1000
"""Of all of them together."""
LONGEST = 100
"""Characters of a label."""
_ROWS = 32

Given = Sequence[str] | Mapping[str, Sequence[str]]
"""Labels, or labels with examples of each; a label without any stands for itself."""


class Prototypes:
    """Of the labels that were asked for; `over` lays their likeness over predictions."""

    def __init__(self, model: Answering, labels: Given) -> None:
        """Raises DataError for labels that are none, or a model that reads no words."""
        if "text" not in model.modalities:
            raise DataError("labels by prototype need a model that reads words, and this one has no text encoder")
        self.model, self.given = model, _checked(labels)
        anchors = [self._of_word(word) for word in ANCHORS]
        self._words, self._middle = np.mean(anchors, axis=0), _states(model, ORDINARY).mean(0)
        found = {name: self._direction(name, examples) for name, examples in self.given.items()}
        learnt = {name: _unit(state - self._words) for name, state in zip(EMOTIONS, anchors, strict=True)}
        self.rivals = _rivals(found, learnt)
        """Label → what its prototype cannot be told apart from: the label is not answered."""
        self.directions = {name: direction for name, direction in found.items() if name not in self.rivals}

    def _of_word(self, word: str) -> Float[np.ndarray, " dim"]:
        return _states(self.model, [template.format(word) for template in TEMPLATES]).mean(0)

    def _direction(self, name: str, examples: Sequence[str]) -> Float[np.ndarray, " dim"]:
        if examples:
            return _unit(_states(self.model, examples).mean(0) - self._middle)
        return _unit(self._of_word(name) - self._words)

    def over(self, prediction: Prediction, segment: Segment) -> Prediction:
        """The prediction with the likeness of each label, -1 to 1; the same where nothing is said."""
        if "text" not in prediction.present or not self.directions:
            return prediction
        if prediction.present == {"text"} and prediction.embedding is not None:
            state = np.asarray(prediction.embedding, np.float64)
        else:
            state = _answered(self.model, [segment.only("text")])[0]
        moved = _unit(state - self._middle)
        return replace(prediction, by_prototype={name: float(moved @ d) for name, d in self.directions.items()})

    def notes(self) -> list[Note]:
        """That these are likenesses, and which labels are not answered and why."""
        named = [Note("by_prototype", labels=", ".join(self.directions))] if self.directions else []
        return named + [Note("prototypes_alike", label=one, other=other) for one, other in self.rivals.items()]


def read_labels(given: str | PathLike[str] | Given) -> Given:
    """Labels as they are, or those of a CSV file with the columns label and text, an example a row (empty = none).

    Raises DataError that names the row.
    """
    if not isinstance(given, (str, PathLike)):
        return given
    path = home_path(given)
    return _of_table(read_text(path, "valid: the path of a table (csv) with the columns label and text"), str(path))


def labels_to_text(given: Given) -> str:
    """All of them in one text that `parse_labels` reads back equal. Raises DataError for labels that are none."""
    return json.dumps(_checked(given), ensure_ascii=False)


def parse_labels(text: str, source: str = "labels") -> dict[str, list[str]]:
    """The labels of a text: a table where `source`, what errors call it, ends in .csv; JSON; or words with commas.

    Raises DataError for labels that are none.
    """
    if source.lower().endswith(".csv"):
        return _checked(_of_table(text, source))
    if not text.lstrip().startswith(("[", "{")):
        return _checked([name for name in map(str.strip, text.split(",")) if name])
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(f'{source}: no JSON; valid: ["relieved"], {{"relieved": ["an example"]}}, or a,b,c') from None
    return _checked(given)


def _of_table(text: str, source: str) -> dict[str, list[str]]:
    try:
        return _of_rows(csv.DictReader(io.StringIO(text, newline=""), strict=True), source)
    except csv.Error as error:
        raise DataError(f"{source}: it is no table ({error}); is a quotation mark without its second?") from None


def _of_rows(reader: csv.DictReader[str], source: str) -> dict[str, list[str]]:
    if "label" not in (reader.fieldnames or ()) or set(reader.fieldnames or ()) - {"label", "text"}:
        raise DataError(f"{source}: its columns are {', '.join(reader.fieldnames or ()) or 'none'}; valid: label, text")
    found: dict[str, list[str]] = {}
    for number, row in enumerate(reader, 2):
        label, example = ((row.get(name) or "").strip() for name in ("label", "text"))
        if not label:
            raise DataError(f"{source}, row {number}: it has no label; name the label that the text is an example of")
        found.setdefault(label, []).extend([example] if example else [])
    return found


def _checked(labels: Given) -> dict[str, list[str]]:
    if isinstance(labels, (str, bytes)) or not isinstance(labels, (Sequence, Mapping)):
        raise DataError(f"labels are a list of words, or a table of label: examples, not {type(labels).__name__}")
    pairs = labels.items() if isinstance(labels, Mapping) else ((name, ()) for name in labels)
    found: dict[str, list[str]] = {}
    for name, examples in pairs:
        if not isinstance(name, str) or not name.strip() or len(name) > LONGEST:
            raise DataError(f"a label is a word or a few, of up to {LONGEST} characters, not {str(name)[:200]!r}")
        if not isinstance(examples, (list, tuple)) or not all(
            isinstance(text, str) and text.strip() for text in examples
        ):
            raise DataError(f"the examples of {name!r} are a list of texts, each with at least a word")
        if (name := well_formed(name.strip())) in found:
            raise DataError(f"the label {name!r} is asked for twice; name it once")
        found[name] = [well_formed(text) for text in examples]
    if not 0 < len(found) <= MOST:
        raise DataError(f"{len(found)} labels are asked for; 1 to {MOST} are answered at a time")
    if (given := sum(map(len, found.values()))) > EXAMPLES:
        raise DataError(f"{given:,} examples are given; at most {EXAMPLES:,} are read, and some five of a label do")
    return found


def _rivals(
    found: Mapping[str, Float[np.ndarray, " dim"]], learnt: Mapping[str, Float[np.ndarray, " dim"]]
) -> dict[str, str]:
    """Of each label that another, or an emotion the model answers itself, is as good as the same as: the nearest."""
    rivals = {}
    for name, direction in found.items():
        others = {other: float(direction @ d) for other, d in {**learnt, **found}.items() if other != name}
        nearest = max(others, key=lambda other: others[other])
        if others[nearest] >= ALIKE or name in learnt:
            rivals[name] = name if name in learnt else nearest
    return rivals


def _states(model: Answering, texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
    lengths = [len(text) / CHARACTERS_PER_SECOND for text in texts]
    read = [Segment(text, 0.0, end, spread(text, 0.0, end)) for text, end in zip(texts, lengths, strict=True)]
    return _answered(model, read)


def _answered(model: Answering, segments: Iterable[Segment]) -> Float[np.ndarray, "segments dim"]:
    samples = [model.prepare(segment) for segment in segments]
    parts = [model.answer(samples[i : i + _ROWS])[0].embedding for i in range(0, len(samples), _ROWS)]
    return np.concatenate(parts).astype(np.float64)


def _unit(state: Float[np.ndarray, " dim"]) -> Float[np.ndarray, " dim"]:
    return state / max(float(np.linalg.norm(state)), 1e-12)
