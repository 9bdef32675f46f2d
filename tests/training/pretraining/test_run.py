"""Pretraining runs: the held-out loss falls, the folder is a start, and nothing of dev or test is read."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from emofuse.errors import DataError, OutputError, RecipeError
from emofuse.modalities import mask_of
from emofuse.model.model import EmotionModel
from emofuse.training.pretraining.run import Pretraining, pretrain
from emofuse.training.pretraining.unlabelled import read_unlabelled
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit
from emofuse.training.tuning.init import build

HOW = Pretraining(epochs=2, batch_size=8, lr=3e-3, seed=1, hold_out=0.25)


@pytest.fixture
def manifest(tiny_corpus: Path) -> Path:
    return tiny_corpus / "manifest.csv"


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["text", "speech"])
def test_an_encoder_learns_and_a_recipe_starts_from_it(modality, manifest, recipe_file, recipe_values, tmp_path):
    said: list[str] = []
    out = pretrain("manifest", manifest, modality, str(recipe_file(modality)), tmp_path / "out", HOW, say=said.append)
    report = json.loads((out / "report.json").read_text("utf-8"))
    losses = [h["held_out"] for h in report["history"]]
    assert len(losses) == 3 and losses[report["best_epoch"]] < losses[0]
    assert sum("held out" in line for line in said) == 4
    assert report["data"]["train"] == 18 and report["data"]["held_out"] == 6
    assert report["seed"] == 1 and len(report["data"]["split_hash"]) == 64 and report["versions"]["torch"]
    assert str(tmp_path) not in json.dumps(report)
    recipe_values["model"]["init"] = {modality: str(out)}
    model, (line,) = build(parse_recipe(recipe_values))
    learnt = EmotionModel.from_pretrained(out)
    for name, tensor in learnt.encoder(modality).state_dict().items():
        assert torch.equal(model.encoder(modality).state_dict()[name], tensor)
    assert "starts from out" in line
    trained = EmotionModel.from_pretrained(fit(parse_recipe(recipe_values | {"name": "after"})))
    assert trained.heads["emotion"].supported_subsets.any()


def test_the_checkpoint_answers_nothing_and_its_heads_start_anew(manifest, recipe_file, recipe_values, tmp_path):
    out = pretrain("manifest", manifest, "text", str(recipe_file("text")), tmp_path / "out", replace(HOW, epochs=1))
    saved = EmotionModel.from_pretrained(out)
    assert not saved.supports("emotion", mask_of({"text"}))
    own = recipe_values["model"]["encoders"]
    recipe_values["model"] |= {"encoders": {"text": own["text"]}, "init": {"text": str(out)}}
    heads = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        heads.append(build(parse_recipe(recipe_values))[0].modality_heads["text"].tasks["emotion"].linear.weight)
    assert not torch.equal(*heads)
    assert not any(torch.equal(h, saved.modality_heads["text"].tasks["emotion"].linear.weight) for h in heads)


@pytest.mark.slow
def test_a_face_encoder_learns_and_goes_on_from_where_it_was(faces, recipe_file, tmp_path):
    face = {"architecture": {"patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}, "image_size": 32}
    start = str(recipe_file("face", face))
    first = pretrain("manifest", faces, "face", start, tmp_path / "first", replace(HOW, epochs=4))
    history = json.loads((first / "report.json").read_text("utf-8"))["history"]
    assert history[-1]["held_out"] < 0.9 * history[0]["held_out"]
    second = pretrain("manifest", faces, "face", str(first), tmp_path / "second", replace(HOW, epochs=1))
    report = json.loads((second / "report.json").read_text("utf-8"))
    assert report["start"][0].startswith("face starts from first")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_losses(manifest, recipe_file, tmp_path):
    how, start = replace(HOW, epochs=1), str(recipe_file("text"))
    runs = [pretrain("manifest", manifest, "text", start, tmp_path / name, how) for name in ("a", "b")]
    other = pretrain("manifest", manifest, "text", start, tmp_path / "c", replace(how, seed=2))
    a, b, c = (json.loads((r / "report.json").read_text("utf-8"))["history"] for r in (*runs, other))
    assert a == b and a != c


def test_only_the_train_split_is_read_and_people_are_held_out_whole(tmp_path):
    rows = [
        {"text": f"{split} {i} {j}", "speaker": f"{split}{i}", "split": split}
        for split, people in (("train", 10), ("dev", 3), ("test", 3))
        for i in range(people)
        for j in range(3)
    ]
    path = tmp_path / "m.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = read_unlabelled("manifest", path, "text", hold_out=0.2, seed=3)
    assert {e.utterance.split for e in (*found.train, *found.held_out)} == {"train"}
    assert len(found.train) + len(found.held_out) == 30
    assert not {e.utterance.speaker for e in found.train} & {e.utterance.speaker for e in found.held_out}
    assert found.protocol["held_out"] == len(found.held_out) == 6
    with pytest.raises(DataError, match="0 utterances with face"):
        read_unlabelled("manifest", path, "face")


def test_what_cannot_be_is_refused_before_the_work(manifest, recipe_file, tmp_path):
    start = str(recipe_file("text"))
    with pytest.raises(RecipeError, match="no encoder 'voice'"):
        pretrain("manifest", manifest, "voice", start, tmp_path / "out")
    with pytest.raises(RecipeError, match="has no speech encoder"):
        pretrain("manifest", manifest, "speech", start, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(OutputError, match="holds something"):
        pretrain("manifest", manifest, "text", start, tmp_path / "full")


def test_the_command_prints_the_folder(manifest, recipe_file, tmp_path, capsys):
    from emofuse.cli.app import run

    out, start = tmp_path / "out", str(recipe_file("text"))
    words = ["pretrain", "manifest", "--root", str(manifest), "--encoder", "text", "--start", start, "--out", str(out)]
    assert run([*words, "--epochs", "1", "--device", "cpu", "--limit", "8"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out) and "before training, held out" in said.err
    assert run([*words, "--epochs", "1"]) == 2 and "holds something already" in capsys.readouterr().err
