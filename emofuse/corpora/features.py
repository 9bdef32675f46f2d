"""Feature reader: utterance-level features in an npz without objects, for feature-based tables."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from emofuse.corpora.corpus import Corpus, Log
from emofuse.corpora.mosi import Mosi
from emofuse.errors import DataError
from emofuse.modalities import Modality
from emofuse.types import Utterance

FILE = "mosi_utterance_features.npz"
ARRAYS: dict[str, Modality] = {"text": "text", "audio": "speech", "video": "face"}
"""Array of such a file → the modality whose vectors it holds."""


@dataclass(frozen=True, eq=False)
class Features:
    """Utterance-level features of one file: a row an utterance."""

    names: tuple[str, ...]
    """video_index"""
    videos: tuple[str, ...]
    arrays: dict[Modality, Float[np.ndarray, "utterances features"]]
    valence: Float[np.ndarray, " utterances"]
    """-3 to 3."""
    texts: tuple[str, ...]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def row(self, name: str) -> dict[Modality, Float[np.ndarray, " features"]]:
        """The feature vectors of the utterance `name`, by modality. Raises DataError when there is none."""
        index = self._rows.get(name)
        if index is None:
            raise DataError(f"no features of an utterance {name!r}; names look like {self.names[0]!r}")
        return {modality: values[index] for modality, values in self.arrays.items()}


def read_features(path: str | Path) -> Features:
    """The features of a file with arrays text, audio, video (float), valence, name and text_raw.

    Raises DataError when the file is no npz, holds objects, lacks an array, or its arrays differ in length.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            lacking = {*ARRAYS, "valence", "name"} - set(file.files)
            if lacking:
                raise DataError(f"{path} has no array {', '.join(sorted(lacking))}; it has {', '.join(file.files)}")
            arrays: dict[Modality, np.ndarray] = {m: np.asarray(file[a], dtype=np.float32) for a, m in ARRAYS.items()}
            valence, names = np.asarray(file["valence"], dtype=np.float32), file["name"].astype(str)
            texts = file["text_raw"].astype(str) if "text_raw" in file.files else np.full(len(names), "")
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as npz without objects: {error}") from error
    lengths = {len(valence), len(names), len(texts), *(len(a) for a in arrays.values())}
    if len(lengths) != 1 or any(a.ndim != 2 for a in arrays.values()):
        shapes = ", ".join(f"{m} {a.shape}" for m, a in arrays.items())
        raise DataError(f"{path}: one row an utterance belongs in every array; {shapes}, {len(names)} names")
    videos = tuple(n.rpartition("_")[0] for n in names.tolist())
    return Features(tuple(names.tolist()), videos, arrays, valence, tuple(texts.tolist()))


class MosiFeatures(Corpus):
    """Options: `fold` (0 to 4: the fifth of the videos, by the hash of the name, that is dev; 0), `features` (true).

    `media` is the npz itself and the id the row's name: `read_features(media).row(id)`. With `features: false` there is
    no media and the spoken words stand alone, for encoders that read text. There is no test part.
    """

    name = "mosi_features"
    licence = "academic research"
    citation = "Zadeh et al. 2016, MOSI: Multimodal Corpus of Sentiment Intensity…, arXiv:1606.06259"
    layout = f"""
        ROOT/{FILE}   arrays text, audio, video, valence, name (video_index), text_raw
        """
    foldings = Mosi.foldings
    protocol = Mosi.protocol
    language = Mosi.language
    disjoint = "video"
    folds = ("0", "1", "2", "3", "4")

    def scan(self, root: Path, log: Log, *, fold: str | int = 0, features: bool = True) -> Iterator[Utterance]:
        """Every row of the file."""
        path = root if root.is_file() else root / FILE
        if not path.is_file():
            raise self.layout_error(root, f"no {FILE}")
        table = read_features(path)
        dev = dev_videos(table.videos, int(self.choose_fold(fold) or 0))
        for i, name in enumerate(table.names):
            lacking = [m for m, a in table.arrays.items() if features and not np.isfinite(a[i]).all()]
            if lacking or not np.isfinite(table.valence[i]):
                log.problem(
                    f"{path.name} row {name}", "row", f"not finite: {', '.join(lacking) or 'valence'}", "fix it"
                )
                continue
            video = table.videos[i]
            yield Utterance(
                id=name,
                corpus=self.name,
                split="dev" if video in dev else "train",
                speaker=video,
                dialogue=video,
                media=path if features else None,
                text=table.texts[i] or None,
                labels={"sentiment": float(table.valence[i])},
            )


def dev_videos(videos: tuple[str, ...], fold: int) -> frozenset[str]:
    """Every fifth video in the order of the hashes of their names, beginning at `fold`."""
    ordered = sorted(set(videos), key=lambda v: hashlib.sha256(v.encode()).hexdigest())
    return frozenset(ordered[fold::5])
