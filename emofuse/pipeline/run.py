"""The run of one clip: its inputs, and what has been found so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Unpack

from emofuse.media.clip import ClipInputs, Source
from emofuse.media.memory import MemoryFile, as_file
from emofuse.media.reader import MediaOptions, Progress, segments
from emofuse.modalities import Modality, ordered, subset_name
from emofuse.model.model import EmotionModel
from emofuse.notes import Note
from emofuse.pipeline.aggregate import aggregate
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.persons import by_person
from emofuse.pipeline.predict_batches import predict_batches, with_level
from emofuse.pipeline.unfamiliar import unfamiliar_notes
from emofuse.types import Prediction, Segment, Word


class ClipRun:
    """Iterate it, once, for each prediction with the segment it is about; `result` is all that is found so far.

    After the last one, `result` is what a call of the pipeline returns for the same inputs, to the bit. Of the
    segments it keeps words, predictions and notes alone. `progress` is called with the seconds read and the seconds in
    all (None = not known); what it raises ends the run.
    """

    def __init__(
        self,
        model: EmotionModel,
        name: str,
        options: MediaOptions,
        source: Source | None = None,
        *,
        batch_size: int = 16,
        progress: Progress | None = None,
        **inputs: Unpack[ClipInputs],
    ) -> None:
        turns = model.context_turns if options.context is None else options.context
        self.model, self.model_name, self.options = model, name, replace(options, context=turns)
        self.batch_size, self.progress = batch_size, progress
        self.predictions: list[Prediction] = []
        self.id: str | None = None
        """What the caller calls it, among many."""
        self.error: Exception | None = None
        """What ended the run before its end, or before its start."""
        self._source, self._inputs = source, inputs
        self._duration: float | None = None
        self._words: list[Word] | None = None
        self._notes: list[str] = []
        self._unread: set[Modality] = set()
        self._shared, self._strange = 0, False
        self._text_alone: list[Segment] | None = []
        """The segments of a clip that is nothing but one voice's words so far; None once it is more."""

    @property
    def source(self) -> str | None:
        """The path as it was given, or the name of an open file; None for a text or an array."""
        files = (self._source, self._inputs.get("image"))
        named = (file.name if isinstance(file, MemoryFile) else file for file in files)
        return next((fspath(file) for file in named if isinstance(file, (str, PathLike)) and file), None)

    @property
    def title(self) -> str:
        """What a progress bar calls it."""
        return Path(self.source).name if self.source else ""

    def __iter__(self) -> Iterator[tuple[Prediction, Segment]]:
        """Raises `MediaError`."""
        found = ((segment, person, segment) for person, segment in self.segments())
        for segment, prediction in predict_batches(self.model, found, self.batch_size):
            if prediction is not None:
                self.predictions.append(prediction)
                yield prediction, segment

    def segments(self) -> Iterator[tuple[int | None, Segment]]:
        """(person, segment) as they are read: each segment once for every person in it. Raises `MediaError`."""
        if self.error is not None:
            raise self.error
        self._source = as_file(self._source)
        read = segments(self._source, options=self.options, notes=self._notes, progress=self._tick, **self._inputs)
        for segment in read:
            if segment.words is not None:
                self._words = self._words or []
                self._words += segment.words
                self._strange = self._strange or self._foreign(segment.words)
            self._unread |= segment.present - set(self.model.modalities)
            self._gather_text(segment)
            about = by_person(segment)
            self._shared += len(about) > 1
            yield from about

    def note(self, *notes: Note) -> None:
        """Say something of the inputs that the reader cannot know, before what it says."""
        self._notes += notes

    def result(self) -> Analysis:
        """The analysis so far; the notes, and why something is absent, are complete only at the end."""
        return Analysis(
            self.source,
            self._duration,
            self.model_name,
            with_level(self._overall(), self.model.terciles("intensity")),
            list(self.predictions),
            None if self._words is None else tuple(self._words),
            tuple(self._all_notes()),
            conformal=self.model.conformal,
            id=self.id,
        )

    def _gather_text(self, segment: Segment) -> None:
        spoken = segment.speaker is not None or segment.present != {"text"}
        if self._text_alone is None or spoken:
            self._text_alone = None
        else:
            self._text_alone.append(segment)

    def _overall(self) -> Prediction | None:
        """What is in a text as a whole, where the encoder reads it at once; else the mean of its predictions."""
        if not self._text_alone or len(self.predictions) < 2 or "text" not in self.model.modalities:
            return aggregate(self.predictions)
        words = tuple(word for segment in self._text_alone for word in segment.words or ())
        if not self.model.encoder("text").reads_at_once(words):
            return aggregate(self.predictions)
        first, last = self._text_alone[0], self._text_alone[-1]
        whole = Segment(f"{first.id}+", first.start, last.end, words=words)
        (_, found), *_ = predict_batches(self.model, [(None, None, whole)], 1)
        return found

    def _tick(self, done: float, total: float | None) -> None:
        self._duration = done
        if self.progress is not None:
            self.progress(done, total)

    def _all_notes(self) -> Iterator[str]:
        """What the media said, then what was decided here."""
        yield from self._notes
        if self._shared:
            yield Note("several_people", segments=self._shared)
        if self._strange:
            yield Note("foreign_script")
        yield from unfamiliar_notes(self.predictions)
        for modality in ordered(self._unread):
            yield Note("not_read", modality=modality)
        silent = sorted(
            {subset_name(p.present) for p in self.predictions if p.emotions is None and self._tells_emotions}
        )
        if silent:
            yield Note("untaught", subsets=", ".join(silent))
        if self._unread and not self.predictions:
            yield Note("nothing_read")

    @property
    def _tells_emotions(self) -> bool:
        return any(task.name == "emotion" for task in self.model.tasks)

    def _foreign(self, words: Sequence[Word]) -> bool:
        """Whether the words are in a script that the model's vocabulary does not have."""
        return "text" in self.model.modalities and self.model.encoder("text").foreign(words)
