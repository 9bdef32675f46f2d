"""`data clean` on a manifest: suspects are listed, the cleaned manifest lacks them, the input stays."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from emofuse.cli.app import run
from emofuse.corpora.registry import read
from emofuse.errors import DataError
from emofuse.model.model import EmotionModel
from emofuse.tasks import TASKS
from emofuse.training.cleaning.clean import Labels, copies, states, write_cleaned

JOY, SAD = ("so happy this is great", "i am so happy"), ("this is terrible", "i am so sad")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """60 lines of joy and sadness told by their words; rows 0 and 1 bear each other's labels, the last is a copy."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(60):
        own = (JOY, SAD)[n % 2]
        text = f"{own[n // 2 % 2]} {' '.join(rng.choice(list('abcdefghijk'), 6))}"
        rows.append({"text": text, "speaker": f"s{n}", "split": "train", "emotion": ("joy", "sadness")[n % 2]})
    rows[0]["emotion"], rows[1]["emotion"] = "sadness", "joy"
    rows.append({"text": rows[6]["text"], "speaker": "d", "split": "dev", "emotion": "joy"})
    path = tmp_path / "m.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def model_folder(tiny_model: EmotionModel, tmp_path: Path) -> Path:
    return tiny_model.save_pretrained(tmp_path / "model", report={"data": [{"corpus": "manifest"}]})


def test_suspects_are_listed_and_left_out_and_the_input_stays(manifest, model_folder, tmp_path, capsys):
    before = manifest.read_bytes()
    table, cleaned = tmp_path / "suspects.csv", tmp_path / "cleaned.csv"
    words = ["data", "clean", str(manifest), "--model", str(model_folder)]
    assert run([*words, "--suspects", str(table), "--cleaned", str(cleaned)]) == 0
    said = capsys.readouterr().out
    assert "was trained on manifest" in said and "1 copies stand in two splits" in said
    with table.open() as file:
        rows = list(csv.DictReader(file))
    labels = {r["id"]: r for r in rows if r["kind"] == "label"}
    texts = [u.text for u in read("manifest", manifest).utterances]
    assert {texts[0], texts[1]} <= {r["text"] for r in labels.values()} and len(labels) <= 8
    swapped = next(r for r in labels.values() if r["text"] == texts[0])
    assert (swapped["given"], swapped["suggested"]) == ("sadness", "joy")
    assert float(swapped["p_given"]) < 0.5 < float(swapped["p_suggested"])
    (copy,) = (r for r in rows if r["kind"] == "duplicate")
    assert (copy["split"], copy["other_split"], copy["text"]) == ("train", "dev", texts[6])
    kept = read("manifest", cleaned).utterances
    assert {u.text for u in kept if u.split == "train"} == set(texts[:60]) - {r["text"] for r in rows}
    assert [u.labels["emotion"] for u in kept if u.split == "dev"] == ["joy"]
    assert manifest.read_bytes() == before
    assert run([*words, "--cleaned", str(manifest)]) == 2 and "also an input" in capsys.readouterr().err
    assert run([*words, "--only", "label", "--most", "1"]) == 0
    assert "label: 1 of 60 train rows" in capsys.readouterr().out
    assert run([*words, "--trial", "0.1"]) == 0
    assert "6 of 60 labels changed" in capsys.readouterr().out


def test_a_probe_that_doubts_a_fifth_of_the_labels_is_doubted(manifest, model_folder, capsys):
    rng = np.random.default_rng(0)
    header, *lines = manifest.read_text("utf-8").splitlines()
    turned = [header, *(f"{line.rpartition(',')[0]},{rng.choice(['joy', 'sadness'])}" for line in lines)]
    manifest.write_text("\n".join(turned) + "\n", "utf-8")
    assert run(["data", "clean", str(manifest), "--model", str(model_folder), "--only", "label"]) == 0
    assert "the probe knows too little" in capsys.readouterr().out


def test_copies_alone_need_no_model(manifest, capsys):
    assert run(["data", "clean", str(manifest), "--only", "duplicate", "--model", "nothing"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "duplicate: 1 of 60 train rows"
    assert run(["data", "clean", str(manifest), "--only", "labels"]) == 2
    assert run(["data", "clean", str(manifest), "--task", "valence"]) == 2
    assert "no task of exclusive classes" in capsys.readouterr().err


def test_states_are_those_of_the_encoder_alone_in_a_batch(tiny_model, samples):
    whole = states(tiny_model, samples)
    alone = np.concatenate([states(tiny_model, [s]) for s in samples[:6]])
    assert np.allclose(whole[:6], alone, atol=1e-4)
    assert (whole[0][-16:] == 0).all() and (whole[1][-16:] != 0).any()  # every third lacks a face


def test_too_few_rows_are_refused(manifest, tiny_model):
    rows = read("manifest", manifest).utterances[:20]
    with pytest.raises(DataError, match="20 train rows have a class of emotion"):
        Labels(tiny_model, rows, TASKS["emotion"])


def test_a_turn_of_a_dialogue_stays_without_its_labels(corpora_root, tmp_path):
    reading = read("meld", corpora_root / "meld", clips=False)
    found = copies(reading.utterances, 0.9)
    assert found and all(s.found["similarity"] >= 0.9 for s in found)
    gone = {s.utterance.id for s in found if s.utterance.split == "train"}
    left, emptied = write_cleaned(reading, found, tmp_path / "meld.jsonl", TASKS["emotion"])
    again = read("manifest", tmp_path / "meld.jsonl")
    assert left == 0 and emptied == len(gone) and len(again.utterances) == len(reading.utterances)
    assert {u.id for u in again.utterances if not u.labels} == gone
