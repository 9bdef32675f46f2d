"""The run of one clip: its inputs, and what has been found so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Unpack

from emofuse.media.clip import ClipInputs, Source
from emofuse.media.formats import reading_sidecar
from emofuse.media.memory import MemoryFile, as_file
from emofuse.media.reader import MediaOptions, Progress, segments
from emofuse.media.stretch import WHOLE, read_stretch
from emofuse.media.talk import among, chosen
from emofuse.modalities import Modality, ordered, subset_name
from emofuse.model.answering import Answering
from emofuse.notes import Note
from emofuse.pipeline.aggregate import aggregate, per_person, per_speaker
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.conversation.acts import Act
from emofuse.pipeline.conversation.apply import over_clip
from emofuse.pipeline.early import early_answers
from emofuse.pipeline.later_turns import with_later_turns
from emofuse.pipeline.persons import by_person, speaker_only
from emofuse.pipeline.predict_batches import predict_batches, with_level
from emofuse.pipeline.prototypes import Prototypes
from emofuse.pipeline.rules import Rules
from emofuse.pipeline.unfamiliar import unfamiliar_notes
from emofuse.types import Prediction, Segment, Word

Take = Callable[[Prediction, Segment], Prediction | None]
"""Keeps a prediction, and returns it as it is kept where it is one of the predictions of a run."""


class ClipRun:
    """Iterate it, once, for each prediction with the segment it is about; `result` is all that is found so far.

    After the last one, `result` is what a call of the pipeline returns for the same inputs, to the bit. Of the
    segments it keeps words, predictions and notes alone. With `early`, utterances that have only paused come too,
    `provisional`, and nothing of them is kept; see `emofuse.pipeline.early`. `progress` is called with the seconds read
    and the seconds in all (None = not known); what it raises ends the run.
    """

    def __init__(
        self,
        model: Answering,
        name: str,
        options: MediaOptions,
        source: Source | None = None,
        *,
        batch_size: int = 16,
        progress: Progress | None = None,
        acts: Sequence[Act] = (),
        rules: Rules | None = None,
        prototypes: Prototypes | None = None,
        early: bool = False,
        **inputs: Unpack[ClipInputs],
    ) -> None:
        turns = model.context_turns if options.context is None else options.context
        faces = options.faces or model.face_options
        self.model, self.model_name = model, name
        self.options = replace(options, context=turns, faces=faces)
        self.batch_size, self.progress, self.early = batch_size, progress, early
        self.predictions: list[Prediction] = []
        self.id: str | None = None
        """What the caller calls it, among many."""
        self.sidecar = False
        """Whether its transcript was found beside the clip."""
        self.whole_ahead = True
        """Whether a text as a whole is predicted with its segments; else only once `result` asks for it."""
        self.error: Exception | None = None
        """What ended the run before its end, or before its start."""
        self._source, self._inputs, self._acts = source, inputs, tuple(acts)
        self.rules = rules or Rules()
        """What is laid over each prediction."""
        self._prototypes = prototypes
        self._duration: float | None = None
        self._words: list[Word] | None = None
        self._notes: list[str] = []
        self._unread: set[Modality] = set()
        self._shared, self._strange = 0, False
        self._left_out: list[float] = []
        """Seconds of the voice past what is read at once, of each segment that has some."""
        self._only: tuple[str, ...] | None = None
        self._stretch = WHOLE
        self._speakers: dict[str | None, int] = {}
        """Speaker → segments, of everybody who is there."""
        self._later = 0 if options.context == 0 else model.future_turns
        self._told_later = self._spoken = False
        """Whether anything was said, and whether any of it has turns after it."""
        self._text_only: list[Segment] | None = []
        """The segments of a clip that is nothing but one voice's words so far; None once it is more."""
        self._at_once: Prediction | None = None
        """What is said of such a text as a whole, once all of it is read."""

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
        if self.early:
            yield from early_answers(self)
            return
        for (take, segment), prediction in predict_batches(self.model, self._due(), self.batch_size):
            kept = None if prediction is None else take(prediction, segment)
            if kept is not None:
                yield kept, segment

    def _due(self) -> Iterator[tuple[tuple[Take, Segment], int | None, Segment]]:
        """What is predicted, with who takes it: the segments, then a text as a whole, which is not one of them."""
        for person, segment in self.segments():
            yield (self.take, segment), person, segment
        if self.whole_ahead and (whole := self.whole_text()) is not None:
            yield (self.take_whole, whole), None, whole

    def take(self, prediction: Prediction, segment: Segment) -> Prediction:
        """Keep the next prediction, with what follows from the caller's rules."""
        self.predictions.append(self.ruled(prediction, segment))
        return self.predictions[-1]

    def take_whole(self, prediction: Prediction, segment: Segment) -> None:
        """Keep the prediction of `whole_text`, with what follows from the caller's rules."""
        self._at_once = self.ruled(prediction, segment)

    def ruled(self, prediction: Prediction, segment: Segment) -> Prediction:
        """A prediction with what follows from the caller's rules, and the likeness of the caller's labels."""
        found = self.rules.over(prediction, segment)
        return found if self._prototypes is None else self._prototypes.over(found, segment)

    @property
    def by_prototype(self) -> bool:
        """Whether labels are answered by prototype."""
        return self._prototypes is not None

    def segments(self) -> Iterator[tuple[int | None, Segment]]:
        """(person, segment) as they are read: each segment once for every person in it. Raises `MediaError`.

        Where `only` names speakers, what they say comes out and nothing else, no face of another either.
        """
        if self.error is not None:
            raise self.error
        given = self._inputs
        self._only = chosen(given.get("channels"), given.get("channel"), given.get("only"))
        self._stretch = read_stretch(given.get("start"), given.get("end"))
        self._source = as_file(self._source)
        how: dict[str, Any] = {"options": self.options, "notes": self._notes, "progress": self._tick}
        with reading_sidecar(given.get("transcript") if self.sidecar else None):
            read = segments(self._source, early=self.early, **how, **self._inputs)
        for segment in with_later_turns(read, self._later):
            if not segment.provisional:
                self._count(segment)
            if self._only is not None and not among(segment.speaker, self._only):
                continue
            about = self._about(segment)
            self._shared += len(about) > 1 and not segment.provisional
            yield from about

    def _count(self, segment: Segment) -> None:
        """Keep what the analysis says of its clip."""
        self._spoken |= bool(segment.words)
        self._told_later |= bool(segment.after)
        if segment.words is not None:
            self._words = self._words or []
            self._words += segment.words
            self._strange = self._strange or self._foreign(segment.words)
        self._speakers[segment.speaker] = self._speakers.get(segment.speaker, 0) + 1
        if self._only is None or among(segment.speaker, self._only):
            self._unread |= segment.present - set(self.model.modalities)
            self._gather_text(segment)
            self._measure(segment)

    def _about(self, segment: Segment) -> Sequence[tuple[int | None, Segment]]:
        """(person, the segment as it is about them), one each, or one of nobody where all are read together."""
        if self._only is not None:
            return [speaker_only(segment)]
        return [(None, segment)] if self.model.sees_together else by_person(segment)

    def _measure(self, segment: Segment) -> None:
        seconds = self.model.encoder("speech").left_out(segment) if "speech" in self.model.modalities else 0.0
        if seconds > 0:
            self._left_out.append(seconds)

    def note(self, *notes: Note) -> None:
        """Say something of the inputs that the reader cannot know, before what it says."""
        self._notes += notes

    def result(self) -> Analysis:
        """The analysis so far; the notes, and why something is absent, are complete only at the end.

        A text as a whole is predicted here, unless somebody has done that already (`take_whole`).
        """
        terciles, whole = self.model.terciles("intensity"), self._whole()
        found = Analysis(
            self.source,
            self._duration,
            self.model_name,
            with_level(whole or aggregate(self.predictions), terciles),
            list(self.predictions),
            None if self._words is None else tuple(sorted(self._words, key=lambda word: word.start + word.end)),
            tuple(self._all_notes()),
            conformal=self.model.conformal,
            id=self.id,
            start=self._stretch.start,
            whole=whole is not None,
            speakers={k: with_level(p, terciles) or p for k, p in per_speaker(self.predictions).items()},
            persons={k: with_level(p, terciles) or p for k, p in per_person(self.predictions).items()},
        )
        return over_clip(self._acts, found) if self._acts else found

    def _gather_text(self, segment: Segment) -> None:
        more = len(self._speakers) > 1 or segment.present != {"text"}
        if self._text_only is None or more:
            self._text_only = None
        else:
            self._text_only.append(segment)

    def whole_text(self) -> Segment | None:
        """One voice's text as a whole, once it has been read; None where it is one segment, or more than the encoder
        reads at once, or not text alone."""
        if self._text_only is None or len(self._text_only) < 2 or "text" not in self.model.modalities:
            return None
        words = tuple(word for segment in self._text_only for word in segment.words or ())
        if not self.model.encoder("text").reads_at_once(words):
            return None
        first, last = self._text_only[0], self._text_only[-1]
        before = first.context if self._inputs.get("context") else ()
        return Segment(f"{first.id}+", first.start, last.end, words=words, context=before, speaker=first.speaker)

    def _whole(self) -> Prediction | None:
        """What is said of a text as a whole, as far as it is read, where more than one segment of it is predicted."""
        segment = None if len(self.predictions) < 2 else self.whole_text()
        if segment is None or self._at_once is not None:
            return None if segment is None else self._at_once
        (_, found), *_ = predict_batches(self.model, [(None, None, segment)], 1)
        return found and self.ruled(found, segment)

    def _tick(self, done: float, total: float | None) -> None:
        self._duration = done
        if self.progress is not None:
            self.progress(done, total)

    def _all_notes(self) -> Iterator[str]:
        """What the media said, then what was decided here."""
        yield from self._notes
        yield from self._on_others()
        if self._shared:
            yield Note("several_people", segments=self._shared)
        if self._left_out:
            limit = getattr(self.model.encoder("speech").config, "max_seconds", 0.0)
            yield Note("voice_left_out", segments=len(self._left_out), seconds=sum(self._left_out), limit=limit)
        if self._strange:
            yield Note("foreign_script")
        if self._later and self._spoken and not self._told_later:
            yield Note("no_later_turns", turns=self._later)
        yield from unfamiliar_notes(self.predictions)
        if ruled := [p.rules for p in self.predictions if p.rules]:
            names = ", ".join(dict.fromkeys(name for each in ruled for name in each))
            yield Note("rules", segments=len(ruled), names=names)
        if self._prototypes is not None:
            yield from self._prototypes.notes()
        for modality in ordered(self._unread):
            yield Note("not_read", modality=modality)
        silent = sorted(
            {subset_name(p.present) for p in self.predictions if p.emotions is None and self._tells_emotions}
        )
        if silent:
            yield Note("not_trained", subsets=", ".join(silent))
        if self._unread and not self.predictions:
            yield Note("nothing_read")

    def _on_others(self) -> Iterator[Note]:
        """Who was left out because others were asked for, and who was asked for and is not there."""
        if self._only is None or not self._speakers:
            return
        names, there = ", ".join(self._only), [name for name in self._speakers if name is not None]
        others = sum(count for name, count in self._speakers.items() if not among(name, self._only))
        if any(among(name, self._only) for name in there):
            yield Note("only", names=names, segments=others)
        else:
            yield Note("only_absent", names=names, speakers=", ".join(there) or "nobody who is known")

    @property
    def _tells_emotions(self) -> bool:
        return any(task.name == "emotion" for task in self.model.tasks)

    def _foreign(self, words: Sequence[Word]) -> bool:
        """Whether the words are in a script that the model's vocabulary does not have."""
        return "text" in self.model.modalities and self.model.encoder("text").foreign(words)
