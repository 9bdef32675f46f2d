"""The one call: a clip, a recording, a picture or a text in, an analysis out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from emofuse.encoders.backbones.layers import lean_backbones
from emofuse.encoders.text import TextEncoder
from emofuse.errors import EmofuseError, require_package
from emofuse.media.prefetch import ahead, cores, one_pool
from emofuse.media.reader import MediaOptions, Progress
from emofuse.model.model import EmotionModel
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.predict_batches import judge
from emofuse.pipeline.progress import bar
from emofuse.pipeline.run import Draft
from emofuse.pipeline.watch import Watch
from emofuse.runtime.int8 import all_bits
from emofuse.runtime.precision import Precision, apply, carefully, choose
from emofuse.types import Prediction, Segment

if TYPE_CHECKING:
    from emofuse.explain.explanation import Explanation

File = str | PathLike[str]
Backend = Literal["torch", "onnx", "openvino"]


def load(
    model: File = "emofuse-small",
    device: str | torch.device = "auto",
    *,
    precision: Precision = "auto",
    backend: Backend = "torch",
    asr: str | None = None,
    options: MediaOptions | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> Pipeline:
    """A pipeline around a model that came with emofuse (by name), a model folder, or a hub id "owner/name".

    `device` "auto" takes a GPU where there is one. `precision` "auto" takes bfloat16 on a GPU and, for large models on
    a CPU, whatever is quickest there of float32, bfloat16 and (in encoders whose answers on examples it changes by 0.02
    at most) int8, see `emofuse.runtime.precision`. `backend`
    "onnx" or "openvino" judges with what `emofuse export` wrote; they need the extra `export`. `asr` names a
    faster-whisper model (size, hub id or folder) that hears the words of clips without a transcript; it needs the
    extra `asr`. `options` say how media are cut into segments and how faces are found. Raises `CheckpointError` for a
    model that is missing, damaged, or of another schema.
    """
    if asr is not None:
        require_package("faster_whisper", extra="asr")
        options = replace(options or MediaOptions(), asr=asr)
    path = Path(model).expanduser()
    where = model if isinstance(model, str) else path
    name = path.resolve().name if path.is_dir() else str(model)
    if backend != "torch":
        from emofuse.runtime.export.run import load_exported

        return Pipeline(load_exported(where, backend, device=str(device)), name=name, options=options)
    with lean_backbones():
        loaded = EmotionModel.from_pretrained(where, device=choose_device(device), revision=revision, token=token)
    chosen = choose(loaded, precision)
    carefully(loaded) if precision == "auto" and chosen == "int8" else apply(loaded, chosen)
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

    The inputs of a call are those of `emofuse.media.reader.segments`: `source` is always a path (of a video, a
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
        """Analyse files, several read at a time, with batches across them; the answers are in the order of the paths.

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
                with all_bits():
                    found = explain(self.model, segment, task, target)
                yield found, segment, person

    def _draft(self, **inputs: Any) -> Draft:
        words = self.model.encoders["text"] if "text" in self.model.modalities else None
        foreign = words.processor.foreign if isinstance(words, TextEncoder) else None
        return Draft(inputs, self.options, self.model.modalities, self.model.conformal, foreign)

    def _analyse(self, drafts: Sequence[Draft], batch_size: int, progress: bool) -> list[Analysis | EmofuseError]:
        """The drafts' results, read beside judging; a batch may hold the end of one clip and the start of the next."""
        workers = min(len(drafts), cores())
        with bar(len(drafts), progress) as report, one_pool(workers):
            done = [0.0] * len(drafts)

            def segments(index: int) -> Iterator[tuple[Draft, int | None, Segment]]:
                draft = drafts[index]

                def tick(seconds: float, total: float | None) -> None:
                    done[index] = min(seconds / total, 1.0) if total else 0.0
                    report(sum(done), draft.name)

                tick(0.0, None)
                try:
                    for person, segment in draft.people(tick):
                        yield draft, person, segment
                except EmofuseError as error:
                    draft.error = error
                done[index] = 1.0

            found = ahead([partial(segments, index) for index in range(len(drafts))], workers)
            with closing(found):
                for draft, prediction in judge(self.model, found, batch_size):
                    if prediction is not None:
                        draft.predictions.append(prediction)
        return [draft.result(self.name) for draft in drafts]
