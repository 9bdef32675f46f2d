from __future__ import annotations

import errno
import importlib.util
import io
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from emofuse.errors import DataError, MissingExtraError, OutputError, RecipeError
from emofuse.model.model import EmotionModel
from emofuse.training.disk import disk_full
from emofuse.training.errors import DiskFullError, StateError, TrainingError
from emofuse.training.objective.objective import Objective
from emofuse.training.outcome.report import portable
from emofuse.training.recipe.read import load_recipe, parse_recipe
from emofuse.training.run import fit
from emofuse.training.trainer import last_complete

pytestmark = pytest.mark.slow


def manifest(folder: Path, rows: list[str]) -> dict[str, Any]:
    """Fields of a recipe over a text-only manifest of these rows."""
    folder.mkdir()
    (folder / "own.csv").write_text("\n".join(["text,speaker,split,emotion", *rows]) + "\n")
    return {"root": str(folder), "data": {"sources": [{"corpus": "manifest", "root": "own.csv"}]}}


def states(values: dict[str, Any]) -> Path:
    return Path(values["output"]["folder"]) / "states"


def test_one_batch_overfits_and_the_folder_describes_itself(recipe_values):
    recipe_values["data"]["sources"][0]["weight"] = 8.0
    text = recipe_values["model"]["encoders"]["text"]
    text["architecture"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    recipe_values["model"] |= {"encoders": {"text": text}, "head_dropout": 0.0}
    recipe_values["model"]["fusion"]["dropout"] = 0.0
    recipe_values["strategy"] = {"text": {"kind": "lora", "merge": False, "dropout": 0.0}}
    recipe_values["train"] |= {"epochs": 24}
    recipe_values["optim"] |= {"lr": 0.01, "schedule": "cosine"}
    recipe_values["output"] |= {"tensorboard": True}
    model = fit(parse_recipe(recipe_values), limit=8, command="emofuse train tiny.yaml")
    report = json.loads((model / "report.json").read_text())
    assert report["curves"]["loss"][-1] < 0.1 < 1 < report["curves"]["loss"][0]
    assert report["score"] == 1.0
    assert report["parameters"]["text"]["trainable"] < report["parameters"]["text"]["all"] / 2
    assert load_recipe(model / "recipe.yaml").name == "tiny"
    assert len((model.parent / "metrics.csv").read_text().splitlines()) == 25
    assert list((model.parent / "tensorboard").iterdir())
    assert {p.name for p in (model / "adapters").iterdir()} >= {"text", "rest.safetensors", "config.json"}
    assert "text" in EmotionModel.from_pretrained(model).modalities


def test_a_report_names_no_folder_of_the_machine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    inside, outside = tmp_path / "recipes" / "own.yaml", tmp_path.parent / "someone" / "ravdess"
    command = f"emofuse train {inside} root={outside} optim.lr=1e-4 output.folder=runs/a --resume 'data.x=[a, b]'"
    shared = "emofuse train recipes/own.yaml root=ravdess optim.lr=1e-4 output.folder=runs/a --resume 'data.x=[a, b]'"
    assert portable(command) == shared


def test_seeds_are_summed_up_as_mean_and_deviation(recipe_values):
    recipe_values["seeds"] = [0, 1]
    recipe_values["train"]["epochs"] = 1
    recipe_values["loss"] = {"adversarial": "fgm", "rdrop": 0.5, "contrastive": 0.1}
    recipe_values["strategy"] = {"text": {"kind": "adalora", "rank": 2}, "speech": "ia3"}
    best = fit(parse_recipe(recipe_values))
    run = Path(recipe_values["output"]["folder"])
    summary = json.loads((run / "summary.json").read_text())
    reports = [json.loads((run / f"seed-{s}" / "model" / "report.json").read_text()) for s in (0, 1)]
    values = [r["metrics"]["manifest"]["emotion"]["nll"] for r in reports]
    found = summary["metrics"]["manifest/emotion.nll"]
    assert values[0] != values[1]
    assert found["mean"] == pytest.approx(statistics.mean(values))
    assert found["std"] == pytest.approx(statistics.stdev(values))
    assert json.loads((best / "report.json").read_text())["score"] == max(r["score"] for r in reports)


def test_a_loss_that_is_no_number_stops_and_the_last_good_state_goes_on(recipe_values, monkeypatch):
    plain, calls = Objective.forward, []

    def faulty(self: Objective, batch: Any) -> dict[str, torch.Tensor]:
        calls.append(len(batch))
        parts = plain(self, batch)
        return parts | {"loss": parts["loss"] * float("nan")} if len(calls) == 5 else parts

    monkeypatch.setattr(Objective, "forward", faulty)
    recipe = parse_recipe(recipe_values)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 4.*lower optim\.lr.*the last saved state stays"):
        fit(recipe)
    state = last_complete(states(recipe_values))
    assert state is not None
    assert state.name == "checkpoint-3"
    assert all(t.isfinite().all() for t in load_file(state / "model.safetensors").values())
    with pytest.raises(RecipeError, match=r"holds a run already; go on with --resume"):
        fit(recipe)
    assert (fit(recipe, resume=True) / "model.safetensors").is_file()


def test_a_full_disk_is_said_and_the_last_good_state_stays(recipe_values, monkeypatch):
    plain = torch.save

    def full(content: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        if "checkpoint-6" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(content, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match=r"no space left on the disk.*the last complete state there stays"):
        fit(parse_recipe(recipe_values))
    state = last_complete(states(recipe_values))
    assert state is not None
    assert state.name == "checkpoint-3"
    assert not (Path(recipe_values["output"]["folder"]) / "model").exists()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no device here that is always full")
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_disk_that_is_really_full_is_said_in_one_line(recipe_values, monkeypatch, size):
    """torch says so in the words of the C++ library, which name no disk: `basic_ios::clear: iostream error`."""
    plain = torch.save

    def full(content: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        filled = "checkpoint-6" in str(path)
        plain({"a": torch.zeros(size)} if filled else content, "/dev/full" if filled else path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        DiskFullError, match=r"no space left on the disk.*the last complete state there stays"
    ) as failed:
        fit(parse_recipe(recipe_values))
    assert "\n" not in str(failed.value)
    state = last_complete(states(recipe_values))
    assert state is not None and state.name == "checkpoint-3"


class Hostile:
    """What runs a command wherever it is unpickled without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_a_state_that_is_damaged_or_hostile_is_refused_in_one_line(recipe_values, tmp_path):
    recipe = parse_recipe(recipe_values)
    model, mark = fit(recipe), tmp_path / "ran"
    shutil.rmtree(model)
    shutil.rmtree(states(recipe_values) / "checkpoint-6")
    state = last_complete(states(recipe_values))
    assert state is not None and state.name == "checkpoint-3"
    hostile = io.BytesIO()
    torch.save({"state": Hostile(mark)}, hostile)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"):
        file = state / name
        whole = file.read_bytes()
        for damaged in (hostile.getvalue(), whole[: len(whole) // 2], b"\x80\x02K\x01."):
            file.write_bytes(damaged)
            with pytest.raises(StateError, match=r"the state .*checkpoint-3 cannot be read .*--resume") as failed:
                fit(recipe, resume=True)
            assert "\n" not in str(failed.value) and not mark.exists()
        file.write_bytes(whole)
    assert (fit(recipe, resume=True) / "model.safetensors").is_file()


def test_a_full_disk_is_known_by_its_words():
    assert disk_full(SafetensorError('IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })'))
    assert disk_full(RuntimeError("PytorchStreamWriter failed writing file data/7: file write failed"))
    assert disk_full(RuntimeError("basic_ios::clear: iostream error"))
    assert disk_full(RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"))
    assert not disk_full(OSError(errno.EACCES, "Permission denied"))
    assert not disk_full(RuntimeError("shapes do not match"))


def test_a_label_outside_the_space_names_its_row(recipe_values, tmp_path):
    values = recipe_values | manifest(tmp_path / "own", ["sad,a,train,sadness", "so,b,train,bliss", "i am,c,dev,joy"])
    with pytest.raises(DataError, match=r"row 3: .*bliss"):
        fit(parse_recipe(values))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["sad,a,train,sadness", "happy,b,train,joy"], "no source has a dev split"),
        (["sad,a,dev,sadness", "happy,b,dev,joy"], "no source has anything to train on"),
        (["sad,a,train,", "happy,b,dev,"], "no utterance to learn from|without a label"),
    ],
)
def test_a_split_that_is_empty_is_an_error(recipe_values, tmp_path, rows, message):
    values = recipe_values | manifest(tmp_path / "own", rows)
    with pytest.raises((RecipeError, DataError), match=message):
        fit(parse_recipe(values))


def test_a_folder_that_can_be_none_is_refused_before_anything_else(recipe_values, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    values = recipe_values | {"output": {"folder": str(tmp_path / "notes.txt")}}
    for dry_run in (True, False):
        with pytest.raises(OutputError, match="is a file; name a folder"):
            fit(parse_recipe(values), dry_run=dry_run)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
def test_wandb_is_asked_for_before_anything_else(recipe_values):
    recipe_values["output"]["wandb"] = True
    with pytest.raises(MissingExtraError, match="wandb"):
        fit(parse_recipe(recipe_values))
    assert not Path(recipe_values["output"]["folder"]).exists()


def test_pitch_shifts_ask_for_their_extra_before_anything_else(recipe_values, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "librosa" else there(name))
    values = recipe_values | {"augment": {"speech": {"pitch": 0.1}}}
    with pytest.raises(MissingExtraError, match=r"librosa.*emofuse\[train\]"):
        fit(parse_recipe(values))
    assert not Path(recipe_values["output"]["folder"]).exists()


@pytest.mark.parametrize("name", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM"])
def test_weights_in_shards_are_refused_before_anything_else(recipe_values, monkeypatch, name):
    recipe = parse_recipe(recipe_values)
    monkeypatch.setenv(name, "true")
    with pytest.raises(TrainingError, match=rf"{name}.*valid: torchrun.*\(DDP\)"):
        fit(recipe)
    assert not recipe.folder.exists()
