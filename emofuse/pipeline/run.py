"""An analysis while it is being made: what was handed in, and what has been found so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from emofuse.errors import EmofuseError
from emofuse.media.reader import MediaOptions, Progress, segments
from emofuse.model.conformal import ConformalTable
from emofuse.pipeline.aggregate import overall
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.persons import by_person
from emofuse.types import MODALITIES, Modality, Prediction, Segment, Word


class Draft:
    """Passes segments on as they are read, and keeps of them only words, predictions and notes."""

    def __init__(
        self,
        inputs: dict[str, Any],
        options: MediaOptions,
        reads: tuple[Modality, ...],
        conformal: ConformalTable | None = None,
        foreign: Callable[[Sequence[Word]], bool] | None = None,
    ) -> None:
        """`inputs` are the keywords of `media.segments.segments`; `reads`, the modalities the model takes; `foreign`
        says whether words are in a script that it does not know."""
        self.inputs, self.options, self.reads = inputs, options, reads
        self.conformal = conformal or {}
        self.foreign = foreign
        self.predictions: list[Prediction] = []
        self.error: EmofuseError | None = None
        self._duration: float | None = None
        self._words: list[Word] | None = None
        self._notes: list[str] = []
        self._unread: set[Modality] = set()
        self._shared = 0
        files = [inputs.get(name) for name in ("source", "image")]
        self.source = next((fspath(file) for file in files if isinstance(file, (str, PathLike))), None)

    @property
    def name(self) -> str:
        """What a progress bar calls it."""
        return Path(self.source).name if self.source else ""

    def people(self, progress: Progress | None = None) -> Iterator[tuple[int | None, Segment]]:
        """Each segment once for every person in it. Raises `MediaError`."""

        def tick(done: float, total: float | None) -> None:
            self._duration = done
            if progress is not None:
                progress(done, total)

        for segment in segments(**self.inputs, options=self.options, notes=self._notes, progress=tick):
            if segment.words is not None:
                self._words = self._words or []
                self._words += segment.words
            self._unread |= segment.present - set(self.reads)
            about = by_person(segment)
            self._shared += len(about) > 1
            yield from about

    def result(self, model: str) -> Analysis | EmofuseError:
        """The analysis, or the error that ended it."""
        if self.error is not None:
            return self.error
        words = None if self._words is None else tuple(self._words)
        whole = overall(self.predictions)
        notes = tuple(self._all_notes())
        return Analysis(
            self.source, self._duration, model, whole, self.predictions, words, notes, conformal=self.conformal
        )

    def _all_notes(self) -> Iterator[str]:
        """What the media said, then what was decided here."""
        yield from self._notes
        if self._shared:
            yield (
                f"several people are in view in {self._shared} segment{'s' * (self._shared > 1)}: the words and the "
                "voice are given to whoever is in view most (largest and longest), the others are judged by the face "
                "alone"
            )
        if self._words and self.foreign is not None and self.foreign(self._words):
            yield (
                "the words are in a script that this model's vocabulary hardly has: what is read in them means little; "
                "leave them out, or load a model that knows the language"
            )
        for modality in (m for m in MODALITIES if m in self._unread):
            yield f"{modality} was there, but this model does not read it"
        if self._unread and not self.predictions:
            yield "nothing was left that this model reads: there are no predictions"
