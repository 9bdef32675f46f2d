"""An analysis that can be looked at while it is made."""

from __future__ import annotations

from collections.abc import Iterator

from emofuse.media.reader import Progress
from emofuse.model.model import EmotionModel
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.predict_batches import judge
from emofuse.pipeline.run import Draft
from emofuse.types import Prediction, Segment


class Watch:
    """Iterate it, once, for each prediction with the segment it is about; `result` is all that is found so far.

    After the last one, `result` is what a call of the pipeline returns for the same inputs, to the bit.
    """

    def __init__(
        self, model: EmotionModel, name: str, draft: Draft, batch_size: int, progress: Progress | None = None
    ) -> None:
        self._model, self._name, self._draft = model, name, draft
        self._batch_size, self._progress = batch_size, progress

    def __iter__(self) -> Iterator[tuple[Prediction, Segment]]:
        """Raises `MediaError`; what `progress` raises comes through too, and so ends the work."""
        found = ((segment, person, segment) for person, segment in self._draft.people(self._progress))
        for segment, prediction in judge(self._model, found, self._batch_size):
            if prediction is not None:
                self._draft.predictions.append(prediction)
                yield prediction, segment

    def result(self) -> Analysis:
        """The notes, and why something is absent, are complete only at the end."""
        analysis = self._draft.result(self._name)
        assert isinstance(analysis, Analysis)
        return analysis
