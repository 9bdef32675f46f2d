"""One clip under analysis: what was handed in, what has been found so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from emofuse.errors import EmofuseError
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.overall import overall
from emofuse.pipeline.people import by_person
from emofuse.types import MODALITIES, Modality, Prediction, Segment, Word


class Clip:
    """Passes segments on as they are read, and keeps of them only words, predictions and notes.

    `inputs` are the keywords of `media.segments.segments` (source, text, audio, image, transcript); `reads` the
    modalities the model takes.
    """

    def __init__(self, inputs: dict[str, Any], reads: tuple[Modality, ...]) -> None:
        self.inputs, self.reads = inputs, reads
        self.predictions: list[Prediction] = []
        self.notes: list[str] = []
        self.error: EmofuseError | None = None
        self._words: list[Word] | None = None
        self._met: Counter[str] = Counter()
        files = [inputs.get(name) for name in ("source", "audio", "image")]
        self.source = next((fspath(file) for file in files if isinstance(file, (str, PathLike))), None)

    @property
    def name(self) -> str:
        """What a progress bar calls it."""
        return Path(self.source).name if self.source else "text" if self.inputs.get("text") else "array"

    def people(self, segments: Iterator[Segment]) -> Iterator[tuple[int | None, Segment]]:
        """Each segment once for every person in it; those with nothing to judge are passed over."""
        for segment in segments:
            if segment.words is not None:
                self._words = (self._words or []) + list(segment.words)
            if not segment.present & set(self.reads):
                self._met["empty"] += 1
                continue
            self._met.update(segment.present)
            about = by_person(segment)
            self._met["shared"] += len(about) > 1
            yield from about
