"""The real corpora where they are: exact counts, disjoint splits, nothing lost in silence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emofuse.corpora.corpus import Reading, check_disjoint
from emofuse.corpora.features import read_features
from emofuse.corpora.registry import corpus, read
from emofuse.tasks import TASKS


def reading(root: Path, name: str, folder: str | None = None, **options) -> Reading:
    path = root / (folder or name)
    if not path.is_dir():
        pytest.skip(f"no {path}")
    return read(name, path, **options)


def emotions(reading: Reading, split: str, task: str = "emotion") -> dict[str, float]:
    targets = np.stack([corpus(reading.corpus).fold(u.labels, TASKS[task]) for u in reading.split(split)])  # type: ignore[arg-type]
    known = ~np.isnan(targets).any(axis=1)
    return dict(zip(TASKS[task].classes, targets[known].sum(axis=0).round(1).tolist(), strict=True))


def sizes(reading: Reading) -> tuple[int, int, int]:
    return tuple(len(reading.split(s)) for s in ("train", "dev", "test"))  # type: ignore[return-value]


def test_ravdess(corpora_root):
    found = reading(corpora_root, "ravdess")
    assert sizes(found) == (960, 240, 0)
    assert not found.problems
    assert "the test split is empty" in found.notes[0]
    assert emotions(found, "dev") == {"neutral": 48, **dict.fromkeys(list(TASKS["emotion"].classes)[1:], 32)}
    assert all(u.text is None for u in found.utterances)


def test_emodb_ends_where_its_sound_ends(corpora_root):
    found = reading(corpora_root, "emodb")
    assert sizes(found) == (278, 130, 0)
    assert {u.speaker for u in found.split("dev")} == {"13", "14"}
    assert Counter(u.labels["emotion"] for u in found.utterances)["boredom"] == 58
    ends = [u.end for u in found.utterances]
    assert all(e is not None and 0.5 < e <= 2.0 for e in ends)
    assert len(set(ends)) == 100


def test_emodb_leaves_one_speaker_out(corpora_root):
    found = reading(corpora_root, "emodb", fold="03")
    assert {u.speaker for u in found.split("test")} == {"03"}
    assert {u.speaker for u in found.split("dev")} == {"08"}


@pytest.mark.slow
def test_ferplus(corpora_root):
    found = reading(corpora_root, "ferplus", verify=False)
    assert sizes(found) == (28_558, 3_579, 0)
    assert [p.kind for p in found.problems] == ["duplicate"] * 3
    assert any("158 rows" in note for note in found.notes)
    assert sum(emotions(found, "dev").values()) == pytest.approx(3_489, abs=1), (
        "votes that an outsider ties for are no label"
    )


@pytest.mark.slow
def test_goemotions(corpora_root):
    found = reading(corpora_root, "goemotions")
    assert sizes(found) == (43_410, 5_426, 0)
    assert not found.problems
    assert emotions(found, "dev", "goemotions28")["neutral"] == 1_766
    assert emotions(found, "dev", "goemotions_ekman")["joy"] == 2_219


def test_meld(corpora_root):
    found = reading(corpora_root, "meld")
    assert sizes(found) == (9_989, 1_109, 0)
    assert not found.problems
    assert len({u.dialogue for u in found.split("train")}) == 1_038
    assert emotions(found, "dev") == {
        "neutral": 470, "joy": 163, "sadness": 111, "anger": 153, "fear": 40, "disgust": 22, "surprise": 150,
    }  # fmt: skip
    third = next(u for u in found.utterances if u.id == "train_dia0_utt2")
    assert third.context[-1] == "The Interviewer: You must’ve had your hands full."
    assert all(u.media is None for u in found.utterances)


def test_mustard(corpora_root):
    found = reading(corpora_root, "mustard")
    assert sum(sizes(found)) == 334
    assert sizes(found)[2] == 0
    assert emotions(found, "dev", "sarcasm")["literal"] > 20
    held = reading(corpora_root, "mustard", fold="GOLDENGIRLS")
    assert {u.speaker.split("_")[0] for u in held.split("test")} == {"GOLDENGIRLS"}


def test_mosi_features(corpora_root):
    found = reading(corpora_root, "mosi_features", "mosi")
    assert sum(sizes(found)) == 1_447
    assert len({u.dialogue for u in found.utterances}) == 62
    features = read_features(found.utterances[0].media)  # type: ignore[arg-type]
    assert {m: a.shape[1] for m, a in features.arrays.items()} == {"text": 100, "speech": 73, "face": 100}
    row = features.row(found.utterances[7].id)
    np.testing.assert_array_equal(row["face"], features.arrays["face"][features.names.index(found.utterances[7].id)])


def test_the_folds_of_mosi_features_cover_every_video_once(corpora_root):
    dev = [{u.dialogue for u in reading(corpora_root, "mosi_features", "mosi", fold=k).split("dev")} for k in range(5)]
    assert sum(map(len, dev)) == len(set.union(*dev)) == 62


@pytest.mark.parametrize(
    ("name", "unit"),
    [("ravdess", "speaker"), ("emodb", "speaker"), ("meld", "dialogue"), ("mustard", "dialogue"), ("mosi", "video")],
)
def test_splits_are_disjoint(corpora_root, name, unit):
    found = reading(corpora_root, "mosi_features" if name == "mosi" else name, name)
    check_disjoint(found.utterances, unit)
    assert len({u.id for u in found.utterances}) == len(found.utterances)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ravdess", "emodb", "ferplus", "goemotions", "meld", "mustard"])
def test_every_label_folds_for_every_task_of_the_corpus(corpora_root, name):
    options = {} if name in ("goemotions",) else {"verify": False}
    found = reading(corpora_root, name, **options)
    for task in corpus(name).tasks:
        targets = np.stack([corpus(name).fold(u.labels, TASKS[task]) for u in found.utterances[::7]])
        assert np.isfinite(targets).all(axis=1).mean() > 0.8


def test_brighter(corpora_root):
    found = reading(corpora_root, "brighter", languages=["eng", "chn", "deu"])
    assert sizes(found) == (8_009, 515, 0)
    assert not found.problems
    assert sum("intensity" not in u.labels for u in found.utterances) < 5


def test_xed_lists_the_lines_whose_alignment_broke(corpora_root):
    found = reading(corpora_root, "xed", languages=["en", "de", "cn"])
    assert {p.where.partition("-")[0] for p in found.problems} == {"de"}
    assert Counter(u.language for u in found.utterances)["English"] > 25_000


def test_smp2020(corpora_root):
    found = reading(corpora_root, "smp2020")
    assert sizes(found) == (8_606, 4_000, 0)


def test_facial_expressions(corpora_root):
    found = reading(corpora_root, "facial_expressions")
    assert sizes(found) == (2_784, 740, 0)
    assert not found.problems
    check_disjoint(found.utterances)
    assert emotions(found, "dev")["fear"] == 6


def test_isear(corpora_root):
    found = reading(corpora_root, "isear")
    assert sizes(found) == (6_656, 796, 0)
    assert not found.problems


def test_tweeteval(corpora_root):
    assert sizes(reading(corpora_root, "tweeteval")) == (3_257, 374, 0)


def test_emobank(corpora_root):
    found = reading(corpora_root, "emobank")
    assert sizes(found) == (8_055, 999, 0)
    assert not found.problems
