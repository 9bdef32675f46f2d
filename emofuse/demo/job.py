"""One answer being made: the work runs in a thread of its own, and what it finds comes out as it is found."""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emofuse.demo.contributions import Kept, contribution, mean_contribution
from emofuse.demo.queueing import FullError
from emofuse.demo.settings import Settings
from emofuse.demo.texts import clock
from emofuse.demo.thumbnails import Sight, still_of_picture, still_of_video
from emofuse.demo.view import Extras, stem_of, view
from emofuse.errors import EmofuseError, MediaError
from emofuse.media.decode import probe
from emofuse.media.formats import existing_file, is_picture
from emofuse.media.limits import LimitError, Limits
from emofuse.model.model import EmotionModel
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.pipeline import Pipeline
from emofuse.types import Prediction, Segment


class RefusedError(MediaError):
    """What was handed in is beyond what this page takes; `key` names the text that says so, `values` its blanks."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(f"{key}: {values}")
        self.key, self.values = key, values


class _StoppedError(Exception):
    """Somebody pressed cancel, or left."""


@dataclass(frozen=True)
class Request:
    """What to predict: the keywords of a pipeline's call, and how to show it."""

    kind: str
    """clip, speech, picture or text."""
    source: str | None = None
    image: str | None = None
    words: str = ""
    """The text itself, or what is said: plain, or as an srt or vtt file has it. Never a path."""
    blur: bool = False

    @property
    def file(self) -> str | None:
        """The video, recording or picture."""
        return self.source or self.image

    def inputs(self) -> dict[str, Any]:
        """The keywords of a call. A single line goes in as text, which is never taken for the name of a file."""
        named: dict[str, Any] = {"source": self.source, "image": self.image}
        if self.words.strip():
            subtitles = self.file is not None and "\n" in self.words.strip()
            named["transcript" if subtitles else "text"] = self.words
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, eq=False)
class Step:
    """How far it is: `view` only where there is something new to draw, `analysis` only at the end."""

    stage: str
    """reading, explaining, finished or cancelled."""
    done: float = 0.0
    total: float | None = None
    count: int = 0
    view: dict[str, Any] | None = None
    analysis: Analysis | None = None


class Job:
    """Iterate it, once; `cancel` may be called from any thread, and ends it within a packet of the clip.

    It takes at most `seconds`, by the wall.
    """

    def __init__(self, pipeline: Pipeline, request: Request, settings: Settings, seconds: float | None = None) -> None:
        self.request, self.settings = request, settings
        self.pipeline = copy.copy(pipeline)
        self.pipeline.options = replace(
            pipeline.options,
            limits=Limits(frames=settings.frames, seconds=settings.minutes * 60 + 1, heed=self._check),
        )
        self.seconds = settings.answer_seconds if seconds is None else min(seconds, settings.answer_seconds)
        self._began = time.monotonic()
        self._steps: queue.Queue[Step | BaseException | None] = queue.Queue()
        self._stop = threading.Event()
        self._extras = Extras()
        self._kept = Kept(settings.weighed)
        self._seconds: dict[int, float] = {}
        self._read: tuple[float, float | None] = (0.0, None)

    def cancel(self) -> None:
        """Ask the work to end."""
        self._stop.set()

    @property
    def spent(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._began

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked."""
        return self._stop.is_set()

    def __iter__(self) -> Iterator[Step]:
        """Raises `RefusedError` for what is beyond the limits, `EmofuseError` for what cannot be read."""
        check(self.request, self.settings)
        self._began = time.monotonic()
        thread = threading.Thread(target=self._run, name="emofuse-job", daemon=True)
        thread.start()
        try:
            while (step := self._steps.get()) is not None:
                if isinstance(step, BaseException):
                    raise step
                yield step
        finally:
            self.cancel()
            thread.join()

    def _run(self) -> None:
        """The thread: every way out of it is told to whoever iterates."""
        run = self.pipeline.run(**self.request.inputs(), progress=self._progress)
        try:
            self._work(run)
        except _StoppedError:
            found = self._named(run.result())
            shown = self._view(found, done=True) if found.segments else None
            self._steps.put(Step("cancelled", count=len(found.segments), view=shown, analysis=found if shown else None))
        except LimitError as error:
            self._steps.put(beyond(error, self.settings))
        except BaseException as error:
            self._steps.put(error)
        finally:
            self._steps.put(None)

    def _work(self, run: Any) -> None:
        last = 0.0
        for index, (prediction, segment) in enumerate(run):
            self._check()
            self._note(index, prediction, segment)
            if time.monotonic() - last > 0.7:
                last = time.monotonic()
                shown = self._view(self._named(run.result()), done=False)
                self._steps.put(Step("reading", *self._read, index + 1, shown))
        analysis = self._named(run.result())
        self._steps.put(Step("explaining", count=len(analysis.segments), view=self._view(analysis, done=False)))
        self._picture()
        self._weigh(analysis)
        self._steps.put(
            Step("finished", count=len(analysis.segments), view=self._view(analysis, done=True), analysis=analysis)
        )

    def _check(self) -> None:
        if self._stop.is_set():
            raise _StoppedError
        if self.spent > self.seconds:
            raise RefusedError("error_slow", valid=clock(self.seconds))

    def _progress(self, done: float, total: float | None) -> None:
        self._check()
        self._read = (done, total)
        self._steps.put(Step("reading", *self._read, len(self._seconds)))

    def _note(self, index: int, prediction: Prediction, segment: Segment) -> None:
        """Keep of a segment what the page shows later, and of its pixels and sound as little as that."""
        self._seconds[index] = prediction.end - prediction.start
        self._kept.push(index, prediction, segment)
        place, seen = (prediction.start, prediction.end), Sight.of([segment])
        if seen is not None:
            before = self._extras.sights.get(place)
            tracks = {**before.tracks, **seen.tracks} if before else seen.tracks
            self._extras.sights[place] = Sight(before.best if before else seen.best, tracks)

    def _picture(self) -> None:
        """The frames, at most `thumbnails` of them, spread over the clip."""
        request, extras = self.request, self._extras
        if request.image is not None:
            seen = next(iter(extras.sights.values()), None)
            picture = still_of_picture(request.image, seen, request.blur)
            extras.thumbnails = dict.fromkeys(extras.sights or [(0.0, 0.0)], picture)
        elif request.source is not None:
            step = -(-len(extras.sights) // self.settings.thumbnails) or 1
            for place in sorted(extras.sights)[::step]:
                self._check()
                shown = still_of_video(request.source, extras.sights[place], request.blur)
                if shown is not None:
                    extras.thumbnails[place] = shown
        first = next(iter(extras.thumbnails.values()), None)
        extras.size = (first["width"], first["height"]) if first else None

    def _weigh(self, analysis: Analysis) -> None:
        """What each modality contributed, to each kept segment's leading emotion and to the whole clip's.

        Nothing of exported graphs, which answer but are not taken apart: the page then has no such card.
        """
        if not isinstance(model := self.pipeline.model, EmotionModel):
            return
        whole = analysis.overall.top if analysis.overall else None
        towards_whole: dict[int, dict[str, Any]] = {}
        for index, (prediction, segment) in self._kept.items.items():
            self._check()
            if prediction.top is None or whole is None:
                continue
            own = contribution(model, segment, prediction.top[0])
            self._extras.contributions[index] = own
            same = prediction.top[0] == whole[0]
            towards_whole[index] = own if same else contribution(model, segment, whole[0])
        if towards_whole:
            self._extras.overall_contribution = mean_contribution(towards_whole, self._seconds)

    def _named(self, analysis: Analysis) -> Analysis:
        """The analysis with its source by name: where the upload lay is nobody's business."""
        return replace(analysis, source=Path(analysis.source).name) if analysis.source else analysis

    def _view(self, analysis: Analysis, done: bool) -> dict[str, Any]:
        request = self.request
        playable = request.kind in ("clip", "speech") and not request.blur
        stem = stem_of(analysis.source, request.kind)
        return view(analysis, self._extras, kind=request.kind, done=done, playable=playable, stem=stem)


def request_for(file: Path, words: str, blur: bool) -> Request:
    """What to predict of a file of any kind: a picture, sound alone, or a clip. Raises `EmofuseError`."""
    if is_picture(existing_file(file)):
        return Request("picture", image=str(file), words=words, blur=blur)
    return Request("clip" if probe(file).has_video else "speech", source=str(file), words=words, blur=blur)


def check(request: Request, settings: Settings) -> float:
    """How much there is to read: seconds of a clip, hundreds of characters, or one picture.

    Raises `RefusedError` for what is too much for this page, `EmofuseError` for a clip that cannot be opened.
    """
    if not request.inputs():
        raise RefusedError("error_nothing")
    if len(request.words) > settings.characters:
        raise RefusedError("error_text_long", came=f"{len(request.words):,}", valid=f"{settings.characters:,}")
    if request.file is None:
        return len(request.words) / 100
    path = Path(request.file)
    if not path.is_file():
        raise RefusedError("error_gone")
    size = path.stat().st_size / 1e6
    if size > settings.megabytes:
        raise RefusedError("error_large", came=f"{size:.1f}", valid=settings.megabytes)
    if request.source is not None:
        seconds = probe(path).duration
        if seconds > settings.minutes * 60 + 1:
            raise too_long(seconds, settings)
        return seconds
    return 1.0


def too_long(seconds: float, settings: Settings) -> RefusedError:
    """The refusal of a clip that says that it is longer than this page takes."""
    return RefusedError("error_long", came=clock(seconds), valid=clock(settings.minutes * 60))


def beyond(error: LimitError, settings: Settings) -> RefusedError:
    """The refusal of a clip that turned out to hold more than this page takes, whatever it said of itself."""
    if error.of == "frames":
        return RefusedError("error_frames", valid=f"{settings.frames:,}")
    return RefusedError("error_longer", valid=clock(settings.minutes * 60))


def explained(error: BaseException, request: Request) -> tuple[str, str, dict[str, Any]]:
    """(key of the headline, detail in English or "" for the text's own, its blanks), without the upload's path."""
    if isinstance(error, RefusedError):
        return error.key, "", error.values
    if isinstance(error, FullError):
        return "error_full", "", {}
    if isinstance(error, EmofuseError):
        said, file = str(error).partition("; valid:")[0], request.file  # what a command takes is of no use here
        return "error_media", said.replace(file, Path(file).name) if file else said, {}
    return "error_internal", "", {}
