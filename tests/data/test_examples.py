"""Examples: labels folded once, whom they belong to, what is left out, and a limit that keeps every class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emofuse.data.examples import examples_of, read_examples, stratified, units_of, whose
from emofuse.errors import DataError
from emofuse.tasks import TASKS
from emofuse.types import Utterance


def test_examples_know_speaker_sex_and_cluster():
    spoken = Utterance("u1", "ravdess", "dev", "actor_18", labels={"emotion": "happy"})
    other = Utterance("u2", "ravdess", "dev", "actor_17", dialogue="d", labels={"emotion": "sad"})
    none = Utterance("u3", "meld", "dev", "Ross", labels={})
    tasks = (TASKS["emotion"],)
    first, second = examples_of([spoken, other, none], tasks)
    assert first.groups == {"language": "English", "speaker": "actor_18", "sex": "female"}
    assert (first.cluster, second.groups["sex"]) == ("actor_18", "male")
    assert examples_of([other], tasks, cluster="dialogue")[0].cluster == "d"


@pytest.mark.parametrize(
    ("columns", "unit", "clusters"),
    [
        ("id,speaker,dialogue", "speaker", ["Ann", "Bob", "Ann", "Bob"]),
        ("id,dialogue", "dialogue", ["d1", "d1", "d2", "d2"]),
        ("id", "utterance", ["a", "b", "c", "d"]),
        ("dialogue", "dialogue", ["d1", "d1", "d2", "d2"]),
    ],
)
def test_where_splits_have_no_unit_it_is_the_speaker_else_the_dialogue(tmp_path: Path, columns, unit, clusters):
    rows = [("a", "Ann", "d1"), ("b", "Bob", "d1"), ("c", "Ann", "d2"), ("d", "Bob", "d2")]
    known = [dict(zip(("id", "speaker", "dialogue"), row, strict=True)) for row in rows]
    lines = [f"Hi {row['id']},joy,train," + ",".join(row[name] for name in columns.split(",")) for row in known]
    path = tmp_path / "my.csv"
    path.write_text("\n".join([f"text,emotion,split,{columns}", *lines]) + "\n")
    found = read_examples("manifest", path, "train", [TASKS["emotion"]])
    assert (found.protocol()["cluster"], [e.cluster for e in found.examples]) == (unit, clusters)


def test_units_are_named_where_they_differ():
    ann = Utterance("a", "manifest", "dev", "Ann", text="Hi")
    turn = Utterance("b", "manifest", "dev", "b", dialogue="d", text="Ho")
    part = Utterance("c", "ch_sims", "dev", "video_1", dialogue="video_1", text="Hm")
    assert units_of([ann, turn]) == "speaker or dialogue" and units_of([]) == "utterance"
    assert (whose(part), units_of([ann], "speaker")) == (("dialogue", "video_1"), "speaker")


def test_a_limit_keeps_every_class_in_its_share():
    labels = ["happy"] * 60 + ["sad"] * 30 + ["angry"] * 9 + ["fearful"] + ["none"] * 5
    utterances = [
        Utterance(str(i), "ravdess", "dev", "a", labels={} if name == "none" else {"emotion": name})
        for i, name in enumerate(labels)
    ]
    chosen = stratified(utterances, (TASKS["emotion"],), 20)
    counts = Counter(str(u.labels["emotion"]) for u in chosen)
    assert sum(counts.values()) == 20
    assert counts["fearful"] == 1
    assert abs(counts["happy"] - 12) <= 1 and abs(counts["sad"] - 6) <= 1 and abs(counts["angry"] - 2) <= 1
    assert [u.id for u in chosen] == [u.id for u in stratified(utterances, (TASKS["emotion"],), 20)]
    assert len(stratified(utterances, (TASKS["emotion"],), 1000)) == 100


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "all.csv"
    rows = ["id,text,speaker,split,emotion,intensity", "a,so,ann,train,joy,0.5", "b,no,bob,dev,anger,", "c,eh,cy,dev,,"]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_one_reading_gives_training_and_evaluation_the_same(manifest: Path):
    tasks = (TASKS["emotion"], TASKS["intensity"])
    both = read_examples("manifest", manifest, ("train", "dev"), tasks, {"text", "face"})
    alone = read_examples("manifest", manifest, "dev", tasks)
    assert [e.id for e in both.examples] == ["a", "b"] and [e.id for e in both.split("dev")] == ["b"]
    assert (both.unlabelled, alone.unlabelled) == (1, 1)
    np.testing.assert_array_equal(alone.examples[0].targets["emotion"], both.examples[1].targets["emotion"])
    assert both.examples[0].modalities == {"text"}
    assert alone.examples[0].load().present == {"text"}
    assert alone.protocol()["split"] == "dev" and alone.protocol()["n"] == 1


def test_labels_serve_only_the_tasks_that_are_named(manifest: Path):
    tasks = (TASKS["emotion"], TASKS["intensity"])
    (found,) = read_examples("manifest", manifest, "train", tasks, only=["emotion"]).examples
    assert np.isnan(found.targets["intensity"]).all() and found.targets["emotion"].sum() == 1
    assert not read_examples("manifest", manifest, ("dev",), tasks, only=["intensity"]).examples


def test_what_has_no_modality_that_is_read_is_left_out(manifest: Path):
    found = read_examples("manifest", manifest, ("train", "dev"), (TASKS["emotion"],), {"face"})
    assert (found.examples, found.unlabelled) == ([], 1)


def test_an_empty_split_that_is_asked_for_is_an_error(manifest: Path):
    with pytest.raises(DataError, match="the test split of manifest is empty"):
        read_examples("manifest", manifest, "test", (TASKS["emotion"],))
