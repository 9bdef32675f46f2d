"""CH-SIMS and CH-SIMS v2 readers: Chinese clips with a label for the whole and one for each modality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from emofuse.corpora.corpus import Corpus, Log, Protocol
from emofuse.corpora.folding import Folding, Number, Sign
from emofuse.corpora.labelled import Part, find_clip, rows, utterances_of
from emofuse.corpora.mmsa import of_features
from emofuse.tasks import SIMS2
from emofuse.types import Utterance

LABELS = {
    "label": "sentiment",
    "label_T": "sentiment_text",
    "label_A": "sentiment_audio",
    "label_V": "sentiment_vision",
}
MMSA = {
    "Mult_acc_2": "acc2", "Mult_acc_3": "acc3", "Mult_acc_5": "acc5", "F1_score": "f1", "MAE": "mae", "Corr": "pearson",
}  # fmt: skip
"""Columns of MMSA's table (results/result-stat.md) → metrics."""


class ChSims(Corpus):
    """Options: `verify`, `features` (MMSA's feature file in place of media, as `Processed/unaligned_39.pkl`).

    The published split is by clip: one video has clips in several splits (a note counts them).
    """

    name = "ch_sims"
    licence = "research"
    citation = "Yu et al. 2020, CH-SIMS: A Chinese Multimodal Sentiment Analysis Dataset…, ACL"
    layout = """
        ROOT/label.csv               video_id, clip_id, text, label, label_T, label_A, label_V, annotation, mode
        ROOT/Raw/video_0001/0001.mp4
        ROOT/Processed/unaligned_39.pkl   with the option features
        """
    foldings: ClassVar[dict[str, Folding]] = {
        "sims_sentiment": Number("sentiment"),
        "sims_text": Number("sentiment_text"),
        "sims_audio": Number("sentiment_audio"),
        "sims_vision": Number("sentiment_vision"),
        "sims_sentiment2": Sign("sentiment", (SIMS2[0], SIMS2[0], SIMS2[1])),
        "polarity": Sign("sentiment"),
        "intensity": Number("sentiment", abs),
    }
    protocol = Protocol({"sims_sentiment": "mae"}, columns={"sims_sentiment": MMSA})
    language = "Chinese"
    table: ClassVar[tuple[str, ...]] = ("label.csv",)

    def scan(self, root: Path, log: Log, *, verify: bool = True, features: str | None = None) -> Iterator[Utterance]:
        """Every row of the table whose clip or text is there, or every utterance of the feature file."""
        path = next((root / name for name in self.table if (root / name).is_file()), None)
        splits: dict[str, set[str]] = defaultdict(set)
        if features is not None:
            raw = partial(self._parts, path, splits) if path else None
            yield from of_features(self, root, features, LABELS, raw, log)
        elif path is None:
            raise self.layout_error(root, f"no {self.table[0]}")
        else:
            yield from utterances_of(self._parts(path, splits, log), self.name, log, verify)
        shared = sum(len(found) > 1 for found in splits.values())
        if shared:
            log.note(f"{shared} of {len(splits)} videos have clips in several splits, as published")

    def _parts(self, path: Path, splits: dict[str, set[str]], log: Log) -> Iterator[Part]:
        """The rows of the table; `splits` receives those of each video."""
        raw = path.parent / "Raw"
        if not raw.is_dir():
            log.note("no folder Raw: utterances are text alone")
        try:
            for row in rows(path, tuple(LABELS), 1.0):
                if row.wrong or row.mode is None:
                    log.problem(row.where, "label", row.wrong, "fix the row")
                    continue
                splits[row.video].add(row.mode)
                labels = {LABELS[name]: value for name, value in row.numbers.items()}
                media = find_clip(raw / row.video, row.clip) if raw.is_dir() else None
                yield Part(row.where, row.video, row.clip, row.mode, row.text.strip(), labels, media)
        except KeyError as error:
            raise self.layout_error(path, f"no column {error.args[0]}") from error


class ChSimsV2(ChSims):
    """Options: `verify`, `features`. The supervised part, CH-SIMS v2(s)."""

    name = "ch_sims_v2"
    citation = "Liu et al. 2022, Make Acoustic and Visual Cues Matter: CH-SIMS v2.0 Dataset…, ICMI"
    layout = """
        ROOT/meta.csv                video_id, clip_id, text, label, label_T, label_A, label_V, annotation, mode
        ROOT/Raw/aqgy3_0001/00000.mp4
        """
    table = ("meta.csv", "label.csv")
