"""The analysis of a clip: its predictions, and the forms it is saved and shown in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from emofuse.errors import MediaError, nearest, require_package
from emofuse.files import as_path, write_file
from emofuse.media.transcript import join
from emofuse.model.conformal import ConformalTable
from emofuse.notes import coded
from emofuse.pipeline import annotations, formats, overview, pii
from emofuse.pipeline.sets import ON_SETS, sets_of, with_sets
from emofuse.types import Prediction, Word

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

    from emofuse.pipeline.conversation.apply import Firing


@dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """The emotions of one clip: as a whole, by segment and person, with what was left out and why.

    It iterates over its predictions, and a notebook shows it with a player, the timeline and a table.

    `overall` is None, and `segments` empty, when nothing in the source could be predicted; `notes` say why.
    """

    source: str | None
    """The path as it was given; None for a text or an array."""
    duration: float | None
    """Seconds; of a stretch of a clip, its own; None where time has no meaning (a text, a picture)."""
    model: str
    overall: Prediction | None
    segments: list[Prediction]
    """In the order of time; in one segment the person who speaks comes first."""
    transcript: tuple[Word, ...] | None
    """In the order of time; None = the words are not known."""
    notes: tuple[str, ...] = ()
    coverage: float | None = None
    """What the sets of the predictions promise; None = no sets were asked for."""
    conformal: ConformalTable = field(default_factory=dict, repr=False)
    """What `at_coverage` needs of the model."""
    id: str | None = None
    """What the caller called the item, among many; None where it has no name."""
    whole: bool = False
    """Whether `overall` is a prediction of the whole, of a text that was read at once, and no mean."""
    acts: tuple[Firing, ...] | None = None
    """What follows from it by the caller's acts, in the order of time; None = there are no acts."""
    speakers: dict[str, Prediction] = field(default_factory=dict)
    """Speaker → the mean of what they say; empty where nobody is known by name, channel or voice."""
    persons: dict[int, Prediction] = field(default_factory=dict)
    """Person in view → the mean of their predictions."""
    start: float = 0.0
    """Second of the file at which what was analysed begins; all times are those of the file."""

    @property
    def top(self) -> tuple[str, float] | None:
        """The leading emotion of the clip and its probability; None where there is none."""
        return self.overall.top if self.overall else None

    def __len__(self) -> int:
        """How many predictions there are: one for each segment and person in it."""
        return len(self.segments)

    def __bool__(self) -> bool:
        """True, without predictions too."""
        return True

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.segments)

    def __repr__(self) -> str:
        parts = [overview.leading(self.overall.emotions if self.overall else None) or "no emotion"]
        counts = {"prediction": len(self), "note": len(self.notes)}
        parts += [f"{n} {name}{'s' * (n != 1)}" for name, n in counts.items() if n or name == "prediction"]
        return f"Analysis({self._title!r}: {', '.join(parts)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: a player, the timeline (extra `plot`), the table, the notes."""
        from emofuse.pipeline.notebook import page

        return page(self._title, self.overall, self.segments, self.words_of, self.notes, self.source)

    @property
    def _title(self) -> str:
        name = Path(self.source).name if self.source else "words" if self.duration is None else "sound"
        return name if self.duration is None else f"{name}, {overview.clock(self.duration)}"

    def at_coverage(self, coverage: float, widest: int | None = None) -> Analysis:
        """The same analysis with a set of classes in each prediction that holds the true one with this probability.

        A set of more than `widest` classes (None = half of them) says too little and is empty: the model abstains. The
        promise is that of `emofuse.model.conformal`: over segments like the samples it was calibrated on. The clip as a
        whole has a set only where it is a single segment or a text read at once: no promise covers a mean of several.
        What the model was not calibrated for has no set, and `notes` say so. Raises ValueError for a coverage outside
        (0, 1).
        """
        segments, lacking = with_sets(self.segments, self.conformal, coverage, widest)
        overall = self.overall
        if overall is not None:
            alone = segments[0].sets if len(segments) == 1 else {}
            sets = sets_of(overall, self.conformal, coverage, widest) if self.whole else alone
            overall = replace(overall, sets=sets)
        notes = (*(note for note in self.notes if getattr(note, "code", None) not in ON_SETS), *lacking)
        return replace(self, segments=segments, overall=overall, notes=notes, coverage=coverage)

    def to_dict(self) -> dict[str, Any]:
        """The JSON shape, times to 1 ms; a value the model was not trained for is None."""
        seconds = formats.milliseconds
        shape = {
            "source": self.source,
            "duration": seconds(self.duration),
            "model": self.model,
            "overall": formats.as_dict(self.overall) if self.overall else None,
            "speakers": {name: formats.as_dict(p) for name, p in self.speakers.items()},
            "persons": {str(number): formats.as_dict(p) for number, p in self.persons.items()},
            "segments": [formats.as_dict(p) for p in self.segments],
            "transcript": [formats.word_as_dict(w) for w in self.transcript or ()],
            "notes": list(map(str, self.notes)),
            "note_codes": coded(self.notes),
        }
        shape = ({"id": self.id} if self.id is not None else {}) | shape
        shape |= {"start": seconds(self.start)} if self.start else {}
        shape |= {"acts": [firing.to_dict() for firing in self.acts]} if self.acts is not None else {}
        return shape | ({"coverage": self.coverage} if self.coverage is not None else {})

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a prediction, as in the CSV."""
        return [formats.as_row(self.source, p, self.words_of(p)) for p in self.segments]

    def masked(self, names: Sequence[str] | str = ()) -> Analysis:
        """The same analysis with personal data in its words masked, and these names: see `emofuse.pipeline.pii`."""
        words = None if self.transcript is None else pii.masked(self.transcript, names)
        return replace(self, transcript=words)

    def by_second(self, step: float = 1.0) -> list[dict[str, Any]]:
        """One flat row each `step` seconds (0.04 = a frame of 25 a second) and whom it is about."""
        return annotations.by_second(self.source, self.segments, annotations.check_step(step))

    def to_text(self, ending: str) -> str:
        """The text of a file of this ending: one of `_WRITERS`. Raises `MediaError` for another."""
        writer = _WRITERS.get(ending.lower())
        if writer is None:
            raise MediaError(f"cannot save as {ending!r}: {nearest(ending, _WRITERS)}")
        return writer(self)

    def to_dataframe(self, *, embeddings: bool = False) -> pandas.DataFrame:
        """One row a prediction, with the columns of the CSV; needs the extra `data`.

        With `embeddings` the fused state stands in a last column, a list of numbers, as Parquet takes it.
        """
        require_package("pandas", extra="data")
        import pandas

        rows = self.rows()
        if embeddings:
            vectors = (None if p.embedding is None else p.embedding.tolist() for p in self.segments)
            rows = [row | {"embedding": vector} for row, vector in zip(rows, vectors, strict=True)]
        return pandas.DataFrame(rows, columns=formats.columns(rows))

    def save(self, path: str | Path) -> Path:
        """Write JSON, CSV, captions or what annotators use, as the ending of the path says; the file appears whole.

        Raises `MediaError` for an ending it does not know.
        """
        target = as_path(path, "out.json")
        if target.suffix.lower() not in _WRITERS:
            raise MediaError(f"cannot save as {str(path)!r}: {nearest(target.suffix, _WRITERS)}")
        return write_file(target, self.to_text(target.suffix))

    @overload
    def plot(self, path: None = None) -> Figure: ...
    @overload
    def plot(self, path: str | Path) -> Path: ...
    def plot(self, path: str | Path | None = None) -> Path | Figure:
        """Draw the timeline, fused and by modality, as PNG, PDF or SVG; needs the extra `plot`.

        Without a path, a figure of matplotlib, which a notebook shows.
        """
        require_package("matplotlib", extra="plot")
        from emofuse import plots
        from emofuse.pipeline.timeline import draw, figure

        reason = "\n".join(self.notes)
        if path is not None:
            return draw(self.segments, path, reason=reason)
        with plots.style():
            return figure(self.segments, reason)

    def words_of(self, prediction: Prediction) -> str:
        """What is said in a prediction's time by the person it is about; "" where nothing is or nothing is known.

        A word belongs where its middle falls; the clip's last segment also takes one that falls on its very end.
        """
        if "text" not in prediction.present:
            return ""
        middles, last = self._index
        upper = bisect_right if prediction.end >= last else bisect_left
        spoken = slice(bisect_left(middles, prediction.start), upper(middles, prediction.end))
        said = (self.transcript or ())[spoken]
        return join([w for w in said if None in (w.speaker, prediction.speaker) or w.speaker == prediction.speaker])

    @cached_property
    def _index(self) -> tuple[list[float], float]:
        """The words' middles, and where the last segment ends."""
        middles = [(word.start + word.end) / 2 for word in self.transcript or ()]
        return middles, max((p.end for p in self.segments), default=0.0)


def _cues(analysis: Analysis) -> list[formats.Cue]:
    return formats.cues([(p, analysis.words_of(p)) for p in analysis.segments])


_WRITERS: dict[str, Callable[[Analysis], str]] = {
    ".json": lambda analysis: formats.dump(analysis.to_dict()),
    ".csv": lambda analysis: formats.csv_text(analysis.rows()),
    ".srt": lambda analysis: formats.srt_text(_cues(analysis)),
    ".vtt": lambda analysis: formats.vtt_text(_cues(analysis)),
    ".rttm": lambda analysis: annotations.rttm(analysis.source, analysis.segments),
    ".textgrid": lambda analysis: annotations.textgrid(analysis.segments, analysis.words_of, analysis.duration),
    ".eaf": lambda analysis: annotations.eaf(analysis.source, analysis.segments, analysis.words_of),
}
