"""The one call: a clip, a recording, a picture or a text in, an analysis out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from emofuse.errors import EmofuseError, require_package
from emofuse.media.segments import MediaOptions, Progress
from emofuse.model.model import EmotionModel
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.draft import Draft
from emofuse.pipeline.judge import judge
from emofuse.pipeline.progress import bar
from emofuse.pipeline.watch import Watch
from emofuse.types import Prediction, Segment

if TYPE_CHECKING:
    from emofuse.explain.explanation import Explanation

File = str | PathLike[str]


def load(
    model: File = "emofuse-small",
    device: str | torch.device = "auto",
    *,
    asr: str | None = None,
    options: MediaOptions | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> Pipeline:
    """A pipeline around a model that came with emofuse (by name), a model folder, or a hub id "owner/name".

    `device` "auto" takes a GPU where there is one. `asr` names a faster-whisper model (size, hub id or folder) that
    hears the words of clips without a transcript; it needs the extra `asr`. `options` say how media are cut into
    segments and how faces are found. Raises `CheckpointError` for a model that is missing, damaged, or of another
    schema.
    """
    if asr is not None:
        require_package("faster_whisper", extra="asr")
        options = replace(options or MediaOptions(), asr=asr)
    path = Path(model).expanduser()
    where = model if isinstance(model, str) else path
    name = path.resolve().name if path.is_dir() else str(model)
    loaded = EmotionModel.from_pretrained(where, device=choose_device(device), revision=revision, token=token)
    return Pipeline(loaded, name=name, options=options)


def choose_device(device: str | torch.device) -> torch.device:
    """The device meant by "auto", or the named one if it is there. Raises `EmofuseError`."""
    found = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    if str(device) == "auto":
        return found
    try:
        named = torch.device(device)
        torch.empty(1, device=named)
    except (RuntimeError, AssertionError) as error:
        raise EmofuseError(f"cannot compute on {str(device)!r}; valid here: auto, cpu, {found.type}") from error
    return named


class Pipeline:
    """A model with the road to it: everything between a file and its predictions.

    The inputs of a call are those of `emofuse.media.segments.segments`: `source` is always a path (of a video, a
    recording, a picture or a text) and `text` is always words; `audio` is (rate in Hz, array), `image` a path or an
    array. Given together (say image, audio and text) they are one clip. `transcript` is the words of a clip, as a
    string or a file. Raises `MediaError` for what cannot be read. Nothing is written to disk.
    """

    def __init__(self, model: EmotionModel, name: str = "", options: MediaOptions | None = None) -> None:
        self.model, self.name = model.eval(), name
        self.options = options or MediaOptions()

    def __call__(
        self,
        source: File | None = None,
        *,
        text: str | None = None,
        audio: tuple[int, np.ndarray] | None = None,
        image: File | np.ndarray | None = None,
        transcript: File | None = None,
        batch_size: int = 16,
        progress: bool = False,
    ) -> Analysis:
        """Analyse one clip; `batch_size` segments are judged at a time, `progress` shows a bar on stderr."""
        draft = self._draft(source=source, text=text, audio=audio, image=image, transcript=transcript)
        (result,) = self._analyse([draft], batch_size, progress)
        if isinstance(result, EmofuseError):
            raise result
        return result

    def predict_many(
        self, paths: Iterable[File], batch_size: int = 16, *, progress: bool = True
    ) -> list[Analysis | EmofuseError]:
        """Analyse files one after another, with batches across them; the answers are in the order of the paths.

        A file that cannot be read does not stop the rest: its error stands in its place.
        """
        return self._analyse([self._draft(source=path) for path in paths], batch_size, progress)

    def stream(
        self,
        source: File | None = None,
        *,
        text: str | None = None,
        audio: tuple[int, np.ndarray] | None = None,
        image: File | np.ndarray | None = None,
        transcript: File | None = None,
        batch_size: int = 1,
    ) -> Iterator[Prediction]:
        """Predictions as the clip is read, in order of time; a larger `batch_size` is quicker and speaks later."""
        draft = self._draft(source=source, text=text, audio=audio, image=image, transcript=transcript)
        found = ((None, person, segment) for person, segment in draft.people())
        for _, prediction in judge(self.model, found, batch_size):
            if prediction is not None:
                yield prediction

    def watch(
        self,
        source: File | None = None,
        *,
        text: str | None = None,
        audio: tuple[int, np.ndarray] | None = None,
        image: File | np.ndarray | None = None,
        transcript: File | None = None,
        batch_size: int = 16,
        progress: Progress | None = None,
    ) -> Watch:
        """What a call does, to be followed: (prediction, segment) as they come, then `result()`.

        `progress` is called with the seconds read and the seconds in all (None = not known); an error that it raises
        stops the work.
        """
        draft = self._draft(source=source, text=text, audio=audio, image=image, transcript=transcript)
        return Watch(self.model, self.name, draft, batch_size, progress)

    def explain(
        self,
        source: File | None = None,
        *,
        text: str | None = None,
        audio: tuple[int, np.ndarray] | None = None,
        image: File | np.ndarray | None = None,
        transcript: File | None = None,
        task: str = "emotion",
        target: str | None = None,
    ) -> Iterator[tuple[Explanation, Segment, int | None]]:
        """(why, the segment, the person) for each prediction that `stream` would make.

        `target` is the class to explain, None = the most probable. Raises `DataError` for an unknown task or class.
        """
        from emofuse.explain.explanation import explain

        draft = self._draft(source=source, text=text, audio=audio, image=image, transcript=transcript)
        for person, segment in draft.people():
            if segment.present & set(self.model.modalities):
                yield explain(self.model, segment, task, target), segment, person

    def _draft(self, **inputs: Any) -> Draft:
        return Draft(inputs, self.options, self.model.modalities)

    def _analyse(self, drafts: Sequence[Draft], batch_size: int, progress: bool) -> list[Analysis | EmofuseError]:
        """The drafts' results; a batch may hold the end of one clip and the beginning of the next."""
        with bar(len(drafts), progress) as report:

            def segments() -> Iterator[tuple[Draft, int | None, Segment]]:
                for index, draft in enumerate(drafts):

                    def tick(seconds: float, total: float | None, index: int = index, name: str = draft.name) -> None:
                        report(index + min(seconds / total, 1.0) if total else index, name)

                    tick(0.0, None)
                    try:
                        for person, segment in draft.people(tick):
                            yield draft, person, segment
                    except EmofuseError as error:
                        draft.error = error

            for draft, prediction in judge(self.model, segments(), batch_size):
                if prediction is not None:
                    draft.predictions.append(prediction)
        return [draft.result(self.name) for draft in drafts]
