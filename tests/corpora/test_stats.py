"""Counts and their picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emofuse.corpora.registry import read
from emofuse.corpora.stats import plot_statistics, statistics
from emofuse.types import Utterance


@pytest.fixture
def utterances(make, tmp_path) -> list[Utterance]:
    clip = make.sound(tmp_path / "one.wav", 0.9)
    return [
        Utterance(
            "1", "manifest", "train", "Ann", "d", clip, 0.0, 0.6, "Hi", labels={"emotion": "joy", "valence": 1.0}
        ),
        Utterance("2", "manifest", "train", "Ann", "d", clip, 0.6, labels={"emotion": {"joy": 1.0, "fear": 3.0}}),
        Utterance("3", "manifest", "dev", "Bob", None, tmp_path / "gone.wav", labels={"valence": -1.0}),
        Utterance("4", "manifest", "dev", "Cy", None, None, None, None, "Ho"),
    ]


def test_counts(utterances):
    found = statistics(utterances)
    assert found.utterances == {"train": 2, "dev": 2}
    assert found.speakers == {"train": 1, "dev": 2}
    assert found.dialogues == {"train": 1}
    assert found.hours == {"train": pytest.approx(0.9 / 3600)}
    assert (found.unmeasured, found.with_media, found.with_text, found.unlabelled) == (1, 3, 2, 1)
    assert found.by_speaker == {"Ann": 2, "Bob": 1, "Cy": 1}
    assert found.names == {"emotion": {"train": {"fear": 0.75, "joy": 1.25}}}
    assert found.numbers["valence"]["dev"] == {"count": 1, "mean": -1.0, "std": 0.0, "min": -1.0, "max": -1.0}
    assert json.loads(json.dumps(found.to_dict()))["utterances"] == {"train": 2, "dev": 2}


def test_files_are_opened_for_their_length_only_when_asked(utterances):
    assert statistics(utterances, measure=False).unmeasured == 2


@pytest.mark.parametrize("name", ["stats.png", "stats.svg"])
def test_the_picture_is_written_whole(utterances, tmp_path, name):
    path = plot_statistics(statistics(utterances), tmp_path / name)
    assert path.stat().st_size > 1_000
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


def test_nothing_has_statistics_too(tmp_path):
    found = statistics([])
    assert found.utterances == {}
    assert plot_statistics(found, tmp_path / "empty.png").is_file()


def test_hours_of_a_real_corpus(corpora_root):
    root = corpora_root / "ravdess"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    found = statistics(read("ravdess", root, "dev", verify=False).utterances)
    assert found.hours["dev"] == pytest.approx(0.25, abs=0.05)
    assert found.speakers == {"dev": 4}


def test_labels_that_are_neither_names_nor_numbers_are_passed_over(tmp_path: Path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"text": "hello", "speaker": "a", "split": "train", "emotion": "joy", "about": {"camera": "x"}}\n')
    found = statistics(read("manifest", path).utterances)
    assert found is not None
