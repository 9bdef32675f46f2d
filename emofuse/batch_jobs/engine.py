"""The engine of a job: a model, as the job was begun with it, that runs whole shards and commits them."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emofuse.batch_jobs.job import Job, JobOptions, model_fingerprint
from emofuse.batch_jobs.ledger import Ledger
from emofuse.batch_jobs.outputs import add_failures, write_each
from emofuse.batch_jobs.plan import EXTRA, Item
from emofuse.batch_jobs.rows import clip_row, clip_table, segment_rows, segment_table
from emofuse.batch_jobs.settle import settle
from emofuse.errors import DataError, EmofuseError, OutputError, installed
from emofuse.files import replacing
from emofuse.media.asr import check_recogniser
from emofuse.media.clip import ClipInputs
from emofuse.media.formats import reading_sidecar
from emofuse.media.prefetch import cores
from emofuse.media.remote import fetched, is_address
from emofuse.media.voices.diarise import check_extra
from emofuse.notes import Note
from emofuse.pipeline.conversation.acts import parse_acts
from emofuse.pipeline.formats import LIKENESS
from emofuse.pipeline.many import finish
from emofuse.pipeline.pipeline import Pipeline, load
from emofuse.pipeline.prototypes import parse_labels
from emofuse.pipeline.rules import parse_rules
from emofuse.pipeline.run import ClipRun
from emofuse.types import Segment

if TYPE_CHECKING:
    from emofuse.pipeline.analysis import Analysis

Report = Callable[[int, int, float], None]
"""Called with clips done, clips of them that failed, and media-seconds done since the last call."""
CAREFUL = 8
"""Deaths within a shard from which each of its clips is read and predicted alone."""


def pipeline_of(options: JobOptions, device: str | None = None) -> Pipeline:
    """The pipeline that a job is done with; `device`: which of several alike. Raises EmofuseError."""
    return load(
        options.model,
        device=device or options.device,
        precision=options.precision,  # type: ignore[arg-type]
        asr=options.asr,
        language=options.language,
        threads=options.threads,
        acts=() if options.acts is None else parse_acts(options.acts),
        rules=None if options.rules is None else parse_rules(options.rules),
        labels=() if options.labels is None else parse_labels(options.labels),
    )


def check_possible(options: JobOptions) -> None:
    """Raise EmofuseError where nobody could do a job with these options: another model of the speech recogniser or of
    the emotions, another language, a missing package. What is loaded to find out is let go again."""
    opened = pipeline_of(options)
    if opened.options.asr is not None:
        check_recogniser(opened.options.asr, options.language)
    if options.speakers is not None:
        check_extra()
    del opened
    if installed("torch"):
        import torch

        torch.cuda.empty_cache()


class Engine:
    """Runs shards of one job in this process."""

    def __init__(self, job: Job, readers: int | None = None, device: str | None = None) -> None:
        """`readers`: clips read at a time (None = a core each); `device`: which of several alike. Raises
        CheckpointError, DataError for another model than the job's."""
        settle(job.options.threads)
        self.job, self.readers = job, readers or cores()
        options = job.options
        found = model_fingerprint(options.model)
        if found != job.told["model"]:
            raise DataError(
                f"the model {options.model} is {found} here, and the job was begun with {job.told['model']}"
            )
        self.pipeline = pipeline_of(options, device)

    def run(self, shard: int, report: Report) -> bool:
        """Whether the shard is committed when this returns; False: another process is at it.

        An error that is not of one clip alone makes the shard be tried again, until it is found whose it is.
        """
        with self.job.lock(shard) as held:
            if not held:
                return self.job.done(shard)
            last: Exception | None = None
            for _ in range(CAREFUL * 4):
                if self.job.done(shard):
                    return True
                try:
                    _Turn(self, shard, report).work()
                except (EmofuseError, KeyboardInterrupt, SystemExit):
                    raise
                except Exception as error:
                    last = error
            raise DataError(
                f"shard {shard} ends in {type(last).__name__}: {last}, whatever is left out of it"
            ) from last


class _Turn:
    """One try at a shard.

    clips given up ──────────────────────────────────┐
    suspects of an earlier death ─▶ each alone ──┐    ▼
    the others ──────────────────────────────────┴─▶ rows ─▶ segments/part ─▶ clips/part
    """

    def __init__(self, engine: Engine, shard: int, report: Report) -> None:
        self.engine, self.job, self.shard, self.report = engine, engine.job, shard, report
        self.scratch = self.job.work / f"{shard:05d}"
        self.ledger = Ledger(self.job.work / f"{shard:05d}.jsonl")
        self.items = self.job.read(shard)
        self.clips: dict[int, dict[str, Any]] = {}
        self.segments: dict[int, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._told = 0, 0, 0.0

    def work(self) -> None:
        """Run and commit the shard."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        try:
            with self.ledger.turn():
                self._set_aside()
                if self.ledger.deaths < CAREFUL:
                    self._try_suspects()
                    self._run(self._remaining())
                else:
                    for place in self._remaining():
                        with self._blamed(place):
                            self._run([place])
                self._commit()
        except BaseException:
            self._take_back()
            raise
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
        self.ledger.path.unlink(missing_ok=True)

    def _set_aside(self) -> None:
        for place in range(len(self.items)):
            lost = self.ledger.lost[place]
            if place not in self.ledger.aside and lost >= self.job.options.attempts:
                told = (
                    f"the process that read it ended {lost} times before it was done with it (killed, crashed or out "
                    "of memory): set aside; look at this clip alone"
                )
                self.ledger.give_up(place, told, self.ledger.tries[place])
            if place in self.ledger.aside:
                self._keep(place, *self.ledger.aside[place])

    def _try_suspects(self) -> None:
        """Read each clip alone that was open at a death; who does no harm is cleared, and takes part as ever."""
        if len(self.items) == 1:
            return
        for place in self._remaining():
            if self.ledger.lost[place]:
                with self._blamed(place):
                    for run in self._finished([place], self.ledger.open):
                        self._check_disk(run)
                self.ledger.clear(place)

    @contextmanager
    def _blamed(self, place: int) -> Iterator[None]:
        """What goes wrong in the block is this clip's fault, since no other is open: it is set aside."""
        try:
            yield
        except (EmofuseError, KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:
            self.ledger.give_up(place, _told(error), self.ledger.tries[place] + 1)
            self._keep(place, *self.ledger.aside[place])

    def _remaining(self) -> list[int]:
        return [place for place in range(len(self.items)) if place not in self.clips]

    def _run(self, places: Sequence[int]) -> None:
        """Read and predict clips, and keep their rows."""
        for place, run in zip(places, self._finished(places, self.ledger.open), strict=True):
            self._check_disk(run)
            self.ledger.close(place)
            found = _told(run.error) if run.error is not None else run.result()
            self._keep(place, found, self.ledger.tries[place] + 1)

    def _finished(self, places: Sequence[int], opened: Callable[[int], None]) -> Iterator[ClipRun]:
        """The runs of clips, finished, in order; `opened` is called before each is touched."""
        engine, options = self.engine, self.job.options

        def runs() -> Iterator[ClipRun]:
            for place in places:
                opened(place)
                yield self._run_of(self.items[place])

        readers = min(engine.readers, len(places)) or 1
        found = finish(engine.pipeline.model, runs(), batch_size=options.batch_size, readers=readers, caught=Exception)
        with closing(found):
            yield from found

    def _run_of(self, item: Item) -> ClipRun:
        pipeline, options = self.engine.pipeline, self.job.options
        inputs = ClipInputs(text=item.text, transcript=item.transcript, speaker=item.speaker, context=item.context)
        inputs |= ClipInputs(only=options.only, start=item.start, end=item.end)
        if item.media is not None:  # a row of words alone has no sound to be told apart
            inputs |= ClipInputs(channels=options.channels, speakers=options.speakers, channel=item.channel)
        how: dict[str, Any] = {"acts": pipeline.acts, "rules": pipeline.rules, "prototypes": pipeline.prototypes}
        run = FetchedRun(pipeline.model, pipeline.name, pipeline.options, item.media, **how, **inputs)
        run.scratch, run.id = self.scratch, item.id
        if item.problem is not None:
            run.error = DataError(item.problem)
        if item.sidecar and item.transcript is not None:
            run.note(Note("sidecar", name=Path(item.transcript).name))
            run.sidecar = True
        run.progress = partial(self._tick, _Clock())
        return run

    def _tick(self, clock: _Clock, seconds: float, _: float | None) -> None:
        self._tell(seconds=seconds - clock.seconds)
        clock.seconds = seconds

    def _keep(self, place: int, found: Analysis | str, attempts: int) -> None:
        item = self.items[place]
        self.clips[place] = clip_row(item, found, attempts)
        if not isinstance(found, str):
            self.segments[place] = segment_rows(item, found, self.job.options.embeddings)
            write_each(self.job, item, found)
        self._tell(1, int(isinstance(found, str)))

    def _tell(self, clips: int = 0, failed: int = 0, seconds: float = 0.0) -> None:
        with self._lock:
            self._told = self._told[0] + clips, self._told[1] + failed, self._told[2] + seconds
            self.report(clips, failed, seconds)

    def _take_back(self) -> None:
        """What was told of a try that came to nothing."""
        clips, failed, seconds = self._told
        self.report(-clips, -failed, -seconds)

    def _commit(self) -> None:
        """Segments, then clips, whose presence says that the shard is done."""
        import pyarrow.parquet as parquet

        model, options = self.engine.pipeline.model, self.job.options
        order = range(len(self.items))
        segments = [row for place in order for row in self.segments.get(place, ())]
        given = {"embedding": options.embeddings, "acts": options.acts is not None, "rules": options.rules is not None}
        more = [name for name, there in given.items() if there]
        prototypes = self.engine.pipeline.prototypes
        more += [LIKENESS + name for name in prototypes.directions] if prototypes else []
        tables = {"segments": segment_table(segments, model, more)}
        tables["clips"] = clip_table([self.clips[place] for place in order], model, self._extra_types(), more)
        for name, table in tables.items():
            path = self.job.part(name, self.shard)
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                parquet.write_table(table, temporary)
        add_failures(self.job, self.items, [self.clips[place] for place in order])

    def _extra_types(self) -> dict[str, Any]:
        import pyarrow.parquet as parquet

        schema = parquet.read_schema(self.job.folder / "plan.parquet")
        return {name[len(EXTRA) :]: schema.field(name).type for name in schema.names if name.startswith(EXTRA)}

    @staticmethod
    def _check_disk(run: ClipRun) -> None:
        """A full disk is no fault of the clip's."""
        if isinstance(run.error, OSError) and run.error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(f"cannot fetch {run.source}: {run.error.strerror}; the job can go on once there is room")


class _Clock:
    """How far a clip has been read, in seconds."""

    seconds = 0.0


class FetchedRun(ClipRun):
    """A run whose source, or transcript, may be an address: fetched while it is read."""

    scratch: Path
    """Where copies go."""
    _given: str | None = None

    @property
    def source(self) -> str | None:
        """The path or the address."""
        return self._given if self._given is not None else super().source

    def segments(self) -> Iterator[tuple[int | None, Segment]]:
        """As `ClipRun.segments`. Raises MediaError."""
        if self.error is not None:
            raise self.error
        with ExitStack() as stack:
            copies: dict[str, str] = {}
            if isinstance(self._source, str) and is_address(self._source):
                self._given = self._source
                self._source = stack.enter_context(fetched(self._given, self.scratch))
                copies[str(self._source)] = self._given
            words = self._inputs.get("transcript")
            if isinstance(words, str) and is_address(words):
                with reading_sidecar(words if self.sidecar else None):
                    self._inputs["transcript"] = stack.enter_context(fetched(words, self.scratch))
                copies[str(self._inputs["transcript"])] = words
            try:
                yield from super().segments()
            except EmofuseError as error:
                told = str(error)
                for copy, address in copies.items():
                    told = told.replace(copy, address)
                raise type(error)(told) from error


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, EmofuseError) else f"{type(error).__name__}: {error}"
