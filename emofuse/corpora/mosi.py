"""CMU-MOSI and CMU-MOSEI readers: monologue videos in segments with sentiment (and, in MOSEI, six emotions)."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import SENTIMENT_BY_SIGN, Folding, Names, Number, Sign
from emofuse.corpora.labelled import Part, find_clip, rows, utterances_of
from emofuse.corpora.mmsa import of_features
from emofuse.corpora.mosi_folds import MOSI_FOLDS
from emofuse.corpora.text import repair, table
from emofuse.errors import DataError
from emofuse.files import home_path
from emofuse.types import SPLITS, Split, Utterance

EMOTIONS = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
OWN: dict[str, str | None] = {
    "happiness": "joy", "sadness": "sadness", "anger": "anger", "surprise": "surprise", "disgust": "disgust",
    "fear": "fear",
}  # fmt: skip
COLUMNS = {"label": "sentiment"}
"""Of label.csv → own label."""
MMSA = {
    "Has0_acc_2": "acc2_has0", "Has0_F1_score": "f1_has0", "Non0_acc_2": "acc2_non0", "Non0_F1_score": "f1_non0",
    "Mult_acc_5": "acc5", "Mult_acc_7": "acc7", "MAE": "mae", "Corr": "pearson",
}  # fmt: skip
"""Columns of MMSA's table (results/result-stat.md) → metrics."""
SENTIMENT: dict[str, Folding] = {
    "sentiment": Number("sentiment"),
    "sentiment2": SENTIMENT_BY_SIGN,
    "polarity": Sign("sentiment"),
    "intensity": Number("sentiment", lambda s: abs(s) / 3),
}


class Mosi(Corpus):
    """Options: `verify`, `features`. Two layouts are read: MMSA's label.csv with Raw/<video>/<clip>.mp4, and CMU's own
    raw folder with the standard folds of its SDK. `features: Processed/unaligned_50.pkl` gives the sequences of
    MMSA's feature file in place of media, held against label.csv where that is there.
    """

    name = "mosi"
    licence = "academic research"
    citation = "Zadeh et al. 2016, MOSI: Multimodal Corpus of Sentiment Intensity…, arXiv:1606.06259"
    layout = """
        either  ROOT/label.csv                    video_id, clip_id, text, label, annotation, mode
                ROOT/Raw/03bSnISJMiM/1.mp4
                ROOT/Processed/unaligned_50.pkl   with the option features
        or      ROOT/Raw/Labels/OpinionLevelSentiment.csv                start, end, video, segment, sentiment
                ROOT/Raw/Transcript/Segmented/03bSnISJMiM.annotprocessed   1_DELIM_ANYHOW IT WAS REALLY GOOD
                ROOT/Raw/Video/Segmented/03bSnISJMiM_1.mp4
                ROOT/Raw/Audio/WAV_16000/Segmented/03bSnISJMiM_1.wav     where there is no video
        """
    foldings: ClassVar[dict[str, Folding]] = SENTIMENT
    protocol = Protocol({"sentiment": "mae"}, columns={"sentiment": MMSA})
    language = "English"
    disjoint = "video"

    def scan(self, root: Path, log: Log, *, verify: bool = True, features: str | None = None) -> Iterator[Utterance]:
        """Every labelled segment whose clip or text is there, or every one of the feature file."""
        labelled = root / "label.csv"
        if features is not None:
            raw = partial(self._labelled, labelled) if labelled.is_file() else None
            yield from of_features(self, root, features, COLUMNS, raw, log)
            return
        parts = self._labelled(labelled, log) if labelled.is_file() else self._raw(root, log)
        yield from utterances_of(parts, self.name, log, verify)

    def _labels(self, video: str, clip: str, sentiment: float) -> dict[str, float | dict[str, float]]:
        return {"sentiment": sentiment}

    def _labelled(self, path: Path, log: Log) -> Iterator[Part]:
        raw = path.parent / "Raw"
        if not raw.is_dir():
            log.note("no folder Raw: utterances are text alone")
        try:
            for row in rows(path, ("label",), 3.0):
                if row.wrong or row.mode is None or "label" not in row.numbers:
                    log.problem(row.where, "label", row.wrong or "no label", "fix the row")
                    continue
                media = find_clip(raw / row.video, row.clip) if raw.is_dir() else None
                labels = self._labels(row.video, row.clip, row.numbers["label"])
                yield Part(row.where, row.video, row.clip, row.mode, repair(row.text), labels, media)
        except KeyError as error:
            raise self.layout_error(path, f"no column {error.args[0]}") from error

    def _raw(self, root: Path, log: Log) -> Iterator[Part]:
        raw = root / "Raw" if (root / "Raw").is_dir() else root
        path = next((p for p in (raw / "Labels/OpinionLevelSentiment.csv", root / "Labels/OpinionLevelSentiment.csv",
                                 root / "OpinionLevelSentiment.csv") if p.is_file()), None)  # fmt: skip
        if path is None:
            raise self.layout_error(root, "neither label.csv nor Labels/OpinionLevelSentiment.csv")
        folds = MOSI_FOLDS
        said = _transcripts(raw / "Transcript" / "Segmented")
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, cells in enumerate(csv.reader(file), start=1):
                where = f"{path.name} row {number}"
                try:
                    video, clip, sentiment = cells[2].strip(), cells[3].strip(), float(cells[4])
                except (IndexError, ValueError):
                    log.problem(where, "row", f"{cells}", "start, end, video, segment and sentiment belong there")
                    continue
                if video not in folds or abs(sentiment) > 3:
                    log.problem(where, "label", f"video {video!r}, sentiment {sentiment:g}", "it is left out")
                    continue
                media = _media(raw, f"{video}_{clip}", "Video/Segmented", "Audio/WAV_16000/Segmented")
                labels = self._labels(video, clip, sentiment)
                yield Part(where, video, clip, folds[video], said.get((video, clip), ""), labels, media)


class Mosei(Mosi):
    """Options: `verify`, `folds_file`, `features`. As CMU-MOSI; the six intensities (0 to 3, mean of raters) come from
    Raw/Labels.

    CMU's own layout has no split: `folds_file` is a JSON of the SDK's standard folds, {"train": [videos], "dev": …,
    "test": …}; MMSA's label.csv has them.
    """

    name = "mosei"
    citation = "Zadeh et al. 2018, Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset…, ACL"
    layout = """
        either  ROOT/label.csv                    video_id, clip_id, text, label, annotation, mode
                ROOT/Raw/-3g5yACwYnA/10.mp4
                ROOT/Processed/unaligned_50.pkl   with the option features
        or      ROOT/folds.json                   {"train": [videos], "dev": [videos], "test": [videos]}
                ROOT/Raw/Transcript/Segmented/Combined/-3g5yACwYnA.txt   video___clip___start___end___text
                ROOT/Raw/Videos/Segmented/Combined/-3g5yACwYnA_10.mp4
        in both ROOT/Raw/Labels/*.csv             Input.VIDEO_ID, Input.CLIP, Answer.sentiment, Answer.anger, …
                                                  (a row a rater; needed for the emotions)
        """
    foldings: ClassVar[dict[str, Folding]] = {
        **SENTIMENT,
        "emotion": Names("emotion", OWN, empty="neutral"),
        "mosei6": Names("emotion", OWN),
    }

    def scan(
        self, root: Path, log: Log, *, verify: bool = True, folds_file: str | None = None, features: str | None = None
    ) -> Iterator[Utterance]:
        """Every labelled segment whose clip or text is there, or every one of the feature file."""
        self._rated = _ratings(root, log)
        self._folds_file = home_path(folds_file) if folds_file else root / "folds.json"
        if not self._rated:
            log.note("no Raw/Labels/*.csv: the six emotions are not read")
        yield from super().scan(root, log, verify=verify, features=features)

    def _labels(self, video: str, clip: str, sentiment: float) -> dict[str, float | dict[str, float]]:
        rated = self._rated.get((video, clip))
        emotions = {} if rated is None else {"emotion": {name: rated[name] for name in EMOTIONS}}
        return {"sentiment": sentiment, **emotions}

    def _raw(self, root: Path, log: Log) -> Iterator[Part]:
        raw = root / "Raw" if (root / "Raw").is_dir() else root
        if not self._rated or not self._folds_file.is_file():
            why = f"no {self._folds_file.name}" if self._rated else "neither label.csv nor Labels/*.csv"
            raise self.layout_error(root, why)
        folds = _read_folds(self._folds_file)
        said = _combined(raw / "Transcript" / "Segmented" / "Combined")
        for (video, clip), rated in sorted(self._rated.items()):
            where = f"Labels {video} {clip}"
            if video not in folds:
                log.problem(where, "row", f"video {video} is in no fold", "it is left out, as in the standard folds")
                continue
            media = _media(raw, f"{video}_{clip}", "Videos/Segmented/Combined", "Audio/Segmented_Audio")
            labels = self._labels(video, clip, rated["sentiment"])
            yield Part(where, video, clip, folds[video], said.get((video, clip), ""), labels, media)


def _media(raw: Path, name: str, video: str, audio: str) -> Path | None:
    if (raw / video).is_dir():
        return raw / video / f"{name}.mp4"
    return raw / audio / f"{name}.wav" if (raw / audio).is_dir() else None


def _transcripts(folder: Path) -> dict[tuple[str, str], str]:
    said: dict[tuple[str, str], str] = {}
    for path in sorted(folder.glob("*.annotprocessed")):
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            clip, mark, text = line.partition("_DELIM_")
            if mark:
                said[path.stem, clip.strip()] = repair(text)
    return said


def _combined(folder: Path) -> dict[tuple[str, str], str]:
    said: dict[tuple[str, str], str] = {}
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            parts = line.split("___", 4)
            if len(parts) == 5:
                said[parts[0].strip(), parts[1].strip()] = repair(parts[4])
    return said


def _ratings(root: Path, log: Log) -> dict[tuple[str, str], dict[str, float]]:
    """Mean over the raters of each segment; a rater's row with an empty or impossible cell is counted as a problem."""
    folder = next((f for f in (root / "Raw" / "Labels", root / "Labels") if f.is_dir()), None)
    columns = {name: f"Answer.{name}" for name in ("sentiment", *EMOTIONS)}
    given: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for path in sorted(folder.glob("*.csv")) if folder else ():
        for number, cells in table(path):
            lacking = {"Input.VIDEO_ID", "Input.CLIP", *columns.values()} - set(cells)
            if lacking:
                log.problem(path, "row", f"no column {', '.join(sorted(lacking))}", "the file is left out")
                break
            try:
                values = {name: float(cells[column]) for name, column in columns.items()}
            except ValueError:
                values = {}
            if not values or abs(values["sentiment"]) > 3 or any(not 0 <= values[e] <= 3 for e in EMOTIONS):
                log.problem(f"{path.name} row {number}", "label", "a rating is empty or out of range", "it is left out")
                continue
            given[cells["Input.VIDEO_ID"].strip(), cells["Input.CLIP"].strip()].append(values)
    return {key: _mean(values) for key, values in given.items()}


def _mean(values: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(v[name] for v in values) / len(values) for name in values[0]}


def _read_folds(path: Path) -> dict[str, Split]:
    try:
        folds = json.loads(path.read_text(encoding="utf-8"))
        lists: Iterable[tuple[Split, list[str]]] = [(split, folds[split]) for split in SPLITS]
        return {str(video): split for split, videos in lists for video in videos}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not folds: {error!r}; an object with lists of videos train, dev, test") from error
