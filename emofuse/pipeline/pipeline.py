"""The pipeline: one call from a clip to its analysis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from emofuse.errors import CheckpointError, EmofuseError, MediaError, require_package
from emofuse.files import as_path, home_path
from emofuse.media.asr import find_recogniser
from emofuse.media.clip import ClipInputs, PathOrName, Source
from emofuse.media.prefetch import cores
from emofuse.media.reader import MediaOptions, Progress
from emofuse.model.answering import Answering
from emofuse.model.folder import ACCEPTED, copy_checkpoint, locate, upload
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.arguments import check_kinds, checked_options
from emofuse.pipeline.conversation.acts import Act, read_acts
from emofuse.pipeline.conversation.apply import COVERAGE
from emofuse.pipeline.conversation.conversation import Conversation
from emofuse.pipeline.many import Item, Overview, as_inputs, check_items, finish, with_sidecar
from emofuse.pipeline.predict_batches import predict_batches
from emofuse.pipeline.progress import Report, bar
from emofuse.pipeline.prototypes import Given, Prototypes, read_labels
from emofuse.pipeline.rules import Rules, read_rules
from emofuse.pipeline.run import ClipRun
from emofuse.runtime.backend import Backend, load_model
from emofuse.types import Prediction, Segment

if TYPE_CHECKING:
    import torch

    from emofuse.explain.explanation import Explanation
    from emofuse.runtime.precision import Precision

NO_GRADIENTS = "exported graphs have no gradients: explain with the torch model (backend='torch')"


def load(
    model: PathOrName = "emofuse-small",
    device: str | torch.device | None = "auto",
    *,
    precision: Precision = "auto",
    backend: Backend = "auto",
    asr: str | None = None,
    language: str | None = None,
    options: MediaOptions | None = None,
    acts: PathOrName | Sequence[Act] = (),
    rules: PathOrName | Rules | None = None,
    labels: PathOrName | Given = (),
    revision: str | None = None,
    token: str | None = None,
    threads: int | None = None,
) -> Pipeline:
    """A pipeline around a model that came with emofuse (by name), a model folder, or a hub id "owner/name".

    `device` "auto", or None, takes a GPU where there is one. `precision` "auto" takes bfloat16 on a GPU and, for large
    models on a CPU, whatever is quickest there of float32 and (in encoders whose answers on examples they change by
    0.02 at most) bfloat16 and int8, see `emofuse.runtime.precision`. `backend` "torch" computes in PyTorch (extra
    `torch`), "onnx" and "openvino" with graphs, which the shipped model brings and `emofuse export` writes, on
    `threads` threads (None = as they like); "auto" is PyTorch where it is installed. `asr` names a
    faster-whisper model (size, hub id or folder) that transcribes clips without a transcript and needs the extra `asr`;
    "auto" takes Whisper tiny.en where that extra brought it, for what it hears as English. `language` is that of the
    speech, None = guessed. `options` say how media are cut into segments and how faces are found. `acts` is a file of
    acts, which are applied to each clip (docs/conversations.md), `rules` one of rules, or a lexicon, that change what
    the model answers (docs/adapting.md). `labels` are words that the model has not learnt ("frustrated"), alone or with
    examples of each (a table, or a CSV file with the columns label and text): they are answered by likeness, apart from
    its probabilities (docs/labels.md). Raises `CheckpointError` for a model that is missing, damaged, or of another
    schema, and `DataError` for wrong acts or rules.
    """
    if not isinstance(model, (str, PathLike)):
        raise CheckpointError(f"a model is a name, a folder or a hub id, not {model!r:.80}; give {ACCEPTED}")
    check_kinds(threads, language, revision)
    options, known, changes = checked_options(options), read_acts(acts), read_rules(rules)
    if asr is not None:
        options = replace(options, asr=find_recogniser(asr), language=language or options.language)
    path = home_path(model)
    name = path.resolve().name if path.is_dir() else str(model)
    where = model if isinstance(model, str) else path
    folder = locate(where, revision=revision, token=token)
    pipeline = Pipeline(load_model(folder, backend, device, precision, threads), name=name, options=options)
    pipeline.folder, pipeline.acts, pipeline.rules = folder, known, changes
    asked = read_labels(labels)
    pipeline.prototypes = Prototypes(pipeline.model, asked) if asked else None
    return pipeline


class Pipeline:
    """A model with all that stands between a file and its predictions.

    The inputs of a call: `source` is always a file (of a video, a recording, a picture or a text), as its path, its
    bytes or an open file; the keywords of `ClipInputs` are `text`, always words; `audio`, `image` and `frames`, what is
    in memory; `transcript`, the words of a clip. Given together (say image, audio and text) they are one clip. Raises
    `MediaError` for what cannot be read. Nothing is written to disk.
    """

    def __init__(self, model: Answering, name: str = "", options: MediaOptions | None = None) -> None:
        self.model, self.name = model.eval(), name
        self.options = checked_options(options)
        self.acts: tuple[Act, ...] = ()
        """What is applied to each clip, see `emofuse.pipeline.conversation`."""
        self.rules = Rules()
        """What is laid over its answers, see `emofuse.pipeline.rules`."""
        self.prototypes: Prototypes | None = None
        """Of labels that the model has not learnt, see `emofuse.pipeline.prototypes`."""
        self.folder: Path | None = None
        """The checkpoint it was loaded from."""

    @classmethod
    def from_pretrained(cls, name_or_path: PathOrName = "emofuse-small", **options: Any) -> Pipeline:
        """The same as `emofuse.load`: a pipeline by name, folder or hub id."""
        return load(name_or_path, **options)

    def save_pretrained(self, folder: PathOrName) -> Path:
        """Write the checkpoint it was loaded from to a folder, whole or not at all: weights, calibration, card, report.

        Raises `EmofuseError` for a pipeline that was not loaded; its model has a `save_pretrained` of its own.
        """
        return copy_checkpoint(self._own_folder(), as_path(folder, "my-model"))

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload what `save_pretrained` would write, card and licence included; the repository's address."""
        if not isinstance(repo_id, str):
            raise CheckpointError(f"a hub id is owner/name, not {repo_id!r:.80}")
        return upload(self._own_folder(), repo_id, private=private, token=token)

    def _own_folder(self) -> Path:
        if self.folder is None:
            raise EmofuseError("this pipeline was not loaded from a checkpoint; its model has the same method")
        return self.folder

    def __call__(
        self,
        source: Source | None = None,
        *,
        batch_size: int = 16,
        progress: bool = False,
        **inputs: Unpack[ClipInputs],
    ) -> Analysis:
        """Analyse one clip; `batch_size` segments are predicted at a time, `progress` shows a bar on stderr."""
        run = self.run(source, batch_size=batch_size, **inputs)
        with bar(1, progress) as report:
            return self._result(next(self._finish([run], batch_size, 1, None, report)), strict=True)

    def predict_iter(
        self,
        items: Iterable[Item],
        batch_size: int = 16,
        *,
        window: int | None = None,
        sidecars: bool = True,
        progress: bool = False,
    ) -> Iterator[Analysis | EmofuseError]:
        """Analyse items as they are taken from an iterable, which may be endless; the answers come in the same order.

        An item is a source, or a mapping of `source` (or `media`), the keywords of `ClipInputs` and an `id`, which the
        answer carries. Several are read at a time, batches go across them, and no more than `window` (None = four
        batches) are taken and not yet answered. What cannot be read does not stop the rest: its error stands in its
        place. With `sidecars`, NAME.srt, .vtt or .txt beside a clip is its transcript where it comes without words,
        and a note says so.
        """
        check_items(items)
        return self._answers(items, batch_size, window, sidecars, progress)

    def _answers(
        self, items: Iterable[Item], batch_size: int, window: int | None, sidecars: bool, progress: bool
    ) -> Iterator[Analysis | EmofuseError]:
        total = len(items) if isinstance(items, Sized) else None
        readers = min(total or cores(), cores())
        with bar(total, progress) as report:
            runs = (self._run_of(item, sidecars) for item in items)
            for run in self._finish(runs, batch_size, readers, window, report):
                yield self._result(run)

    def predict_many(
        self, items: Iterable[Item], batch_size: int = 16, *, sidecars: bool = True, progress: bool = True
    ) -> list[Analysis | EmofuseError]:
        """The answers of `predict_iter` as a list, in the order of the items.

        A file that cannot be read does not stop the rest: its error stands in its place.
        """
        return list(self.predict_iter(items, batch_size, sidecars=sidecars, progress=progress))

    def predict_table(
        self,
        table: Any,
        text: str,
        *,
        id: str | None = None,
        speaker: str | None = None,
        dialogue: str | None = None,
        coverage: float | None = None,
        prefix: str = "predicted_",
    ) -> Any:
        """A pandas DataFrame or pyarrow Table of texts, with what is predicted of each row as further columns.

        The others name columns of it: `dialogue` groups the rows, in order, whose earlier texts are a row's context.
        A row that cannot be predicted has its reason in `{prefix}error`. Raises `DataError` for another table or
        column.
        """
        from emofuse.pipeline.frames import opened, widened
        from emofuse.pipeline.tables import Columns, predict_rows

        names, rows = opened(table)
        every, found = predict_rows(self, names, rows, Columns(text, id, speaker, dialogue), prefix, coverage)
        return widened(table, every[len(names) :], list(found), prefix)

    def stream(
        self, source: Source | None = None, *, batch_size: int = 1, early: bool = False, **inputs: Unpack[ClipInputs]
    ) -> Iterator[Prediction]:
        """Predictions as the clip is read, in order of time; a larger `batch_size` is quicker and answers later.

        With `early`, one at a time, and each utterance twice: as soon as it pauses (`provisional`), and once it is
        sure that nothing joins it, which is what comes without `early` too, and takes the place of the one before.
        """
        run = self.run(source, batch_size=batch_size, early=early, **inputs)
        run.whole_ahead = False
        for prediction, _ in run:
            yield prediction

    def run(
        self,
        source: Source | None = None,
        *,
        batch_size: int = 16,
        progress: Progress | None = None,
        early: bool = False,
        **inputs: Unpack[ClipInputs],
    ) -> ClipRun:
        """What a call does, to be followed: (prediction, segment) as they come, then `result()`; `early`: see `stream`.

        `progress` is called with the seconds read and the seconds in all (None = not known); an error that it raises
        stops the work.
        """
        how: dict[str, Any] = {"batch_size": batch_size, "progress": progress, "acts": self.acts, "rules": self.rules}
        how |= {"prototypes": self.prototypes}
        return ClipRun(self.model, self.name, self.options, source, early=early, **how, **inputs)

    def explain(
        self,
        source: Source | None = None,
        *,
        task: str = "emotion",
        target: str | None = None,
        causes: bool = False,
        flip: str | None = None,
        steps: int | None = None,
        **inputs: Unpack[ClipInputs],
    ) -> Iterator[tuple[Explanation, Segment, int | None]]:
        """(why, the segment, the person) for each prediction that `stream` would make.

        `target` is the class to explain, None = the most probable; `causes` adds what each earlier turn did to the
        answer, `flip` the least changes that make that class lead; `steps` fixes at how many points gradients are
        taken. Raises `DataError` for an unknown task or class.
        """
        require_package("torch", extra="torch")
        from emofuse.explain.explanation import explain
        from emofuse.model.model import EmotionModel
        from emofuse.runtime.swap import full_precision

        if not isinstance(self.model, EmotionModel):
            raise EmofuseError(NO_GRADIENTS)
        model = full_precision(self.model)
        for person, segment in self.run(source, **inputs).segments():
            if segment.present & set(model.modalities):
                found = explain(model, segment, task, target, steps=steps, causes=causes, flip=flip)
                yield replace(found, rules=self._ruled(segment, person)) if self.rules else found, segment, person

    def _ruled(self, segment: Segment, person: int | None) -> tuple[str, ...]:
        """The rules that change the prediction of a segment."""
        (_, found), *_ = predict_batches(self.model, [(None, person, segment)], 1)
        return () if found is None else self.rules.over(found, segment).rules

    def conversation(
        self,
        *,
        acts: str | PathLike[str] | Sequence[Act] = (),
        only: Sequence[str] | str | None = None,
        context: Sequence[str] | None = None,
        coverage: float = COVERAGE,
    ) -> Conversation:
        """A conversation: `say` its turns, each predicted with the turns before it as the model learnt to read them.

        `acts` (a file; see docs/conversations.md) are applied at each turn, `only` names who is predicted, `context`
        what was said before, `coverage` how often the sets hold the true class that acts go by.
        """
        turns = self.model.context_turns if self.options.context is None else self.options.context
        acts = acts or self.acts
        return Conversation(self._without_acts(), turns, acts=acts, only=only, context=context, coverage=coverage)

    def _without_acts(self) -> Pipeline:
        """The same pipeline, of which a conversation applies the acts over its turns."""
        plain = Pipeline(self.model, self.name, self.options)
        plain.folder, plain.rules, plain.prototypes = self.folder, self.rules, self.prototypes
        return plain

    def _run_of(self, item: Item, sidecars: bool) -> ClipRun:
        """The run of an item; one that is no item ends with its error as soon as it is read."""
        try:
            name, inputs = as_inputs(item)
        except MediaError as error:
            run = self.run()
            run.error = error
            run.id = str(item["id"]) if isinstance(item, Mapping) and item.get("id") is not None else None
            return run
        inputs, notes = with_sidecar(inputs) if sidecars else (inputs, ())
        run = self.run(**inputs)
        run.id = name
        run.note(*notes)
        run.sidecar = bool(notes)
        return run

    def _finish(
        self, runs: Iterable[ClipRun], batch_size: int, readers: int, window: int | None, report: Report
    ) -> Iterator[ClipRun]:
        """The runs once they are done, in order, on one bar."""
        overview = Overview(report)

        def followed() -> Iterator[ClipRun]:
            for run in runs:
                overview.follow(run)
                yield run

        with closing(finish(self.model, followed(), batch_size=batch_size, readers=readers, window=window)) as finished:
            for run in finished:
                overview.close(run)
                yield run

    @staticmethod
    def _result(run: ClipRun, strict: bool = False) -> Any:
        """What a run found, or the error that ended it, raised where `strict`."""
        if run.error is None:
            return run.result()
        if strict:
            raise run.error
        run.error.id = run.id
        return run.error
