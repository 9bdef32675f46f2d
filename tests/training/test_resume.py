"""A run that was killed goes on to the weights of one that was not."""

from __future__ import annotations

import copy
import json
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from torch import nn
from transformers import Trainer, TrainerState

from emofuse.errors import RecipeError
from emofuse.training.begun import UNFINISHED
from emofuse.training.outcome.report import Progress
from emofuse.training.recipe.read import load_recipe, parse_recipe
from emofuse.training.run import fit
from emofuse.training.single import Run
from emofuse.training.trainer import COMPLETE, EmotionTrainer, EverySteps, last_complete

pytestmark = pytest.mark.slow

LAST = 6
"""Steps of the whole run."""


@pytest.fixture(scope="module")
def values(tiny_values: dict[str, Any]) -> dict[str, Any]:
    """With moving average, dropout, adapters with a rank budget, augmentation, and a state every two steps."""
    changed = copy.deepcopy(tiny_values)
    changed["train"] |= {"ema": 0.9, "save_steps": 2}
    changed["data"]["modality_dropout"] = 0.3
    changed["strategy"] = {"text": {"kind": "adalora", "rank": 2, "dropout": 0.1}}
    changed["augment"] = {
        "speech": {"noise": 0.5, "gain": 0.5, "mask": 0.5},
        "text": {"dropout": 0.2, "typos": 0.1},
    }
    return changed


def in_folder(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    return values | {"output": values["output"] | {"folder": str(folder)}}


def result(folder: Path) -> list[bytes]:
    """The checkpoint of the best epoch, and the weights, their average and the ranks after the last step."""
    last = folder / "states" / f"checkpoint-{LAST}"
    names = ("model.safetensors", "average.safetensors", "ranks.safetensors")
    return [(folder / "model" / "model.safetensors").read_bytes(), *((last / n).read_bytes() for n in names)]


@pytest.fixture(scope="module")
def uninterrupted(values, tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    fit(parse_recipe(in_folder(values, folder)))
    return result(folder)


def test_a_run_that_raised_at_a_random_step_goes_on_to_equal_weights(values, uninterrupted, tmp_path, monkeypatch):
    step = random.randint(3, LAST - 1)
    plain = EverySteps.on_step_end

    def stop(self: EverySteps, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if state.global_step == step:
            raise KeyboardInterrupt
        return plain(self, args, state, control, **kwargs)

    recipe = parse_recipe(in_folder(values, tmp_path / "run"))
    with monkeypatch.context() as patched:
        patched.setattr(EverySteps, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe)
    fit(recipe, resume=True)
    assert result(tmp_path / "run") == uninterrupted, f"stopped at step {step}"


def test_a_finished_run_goes_on_only_for_more_epochs(values, tmp_path):
    recipe = in_folder(values | {"strategy": {}}, tmp_path / "run")
    model = fit(parse_recipe(recipe))
    before = (model / "model.safetensors").stat().st_mtime_ns
    fit(parse_recipe(recipe), resume=True)
    assert (model / "model.safetensors").stat().st_mtime_ns == before
    shorter = copy.deepcopy(recipe)
    shorter["model"]["encoders"]["text"]["max_length"] = 16
    with pytest.raises(RecipeError, match=r"a finished run with model\.encoders\.text\.max_length 32, now 16"):
        fit(parse_recipe(shorter), resume=True)
    other = copy.deepcopy(recipe) | {"optim": recipe.get("optim", {}) | {"lr": 0.0123}}
    with pytest.raises(RecipeError, match=r"a finished run with optim.lr .*, now 0.0123, which stays as it is"):
        fit(parse_recipe(other), resume=True)
    longer = copy.deepcopy(recipe)
    longer["train"]["epochs"] += 1
    wider = copy.deepcopy(longer)
    wider["model"]["fusion"] = dict(wider["model"].get("fusion", {})) | {"dim": 24}
    with pytest.raises(RecipeError, match=r"a finished run with model.fusion.dim .*, now 24"):
        fit(parse_recipe(wider), resume=True)
    fit(parse_recipe(longer), resume=True)
    log = (tmp_path / "run" / "log.txt").read_text("utf-8")
    assert f"going on from checkpoint-{LAST}" in log and f"epoch {longer['train']['epochs']}/" in log
    settled = copy.deepcopy(longer) | {"strategy": values["strategy"]}
    settled["train"]["epochs"] += 1
    with pytest.raises(RecipeError, match="AdaLoRA's ranks are settled"):
        fit(parse_recipe(settled), resume=True)


def test_an_unfinished_run_does_not_go_on_under_a_recipe_that_learns_otherwise(values, tmp_path, monkeypatch):
    """With other weights it was called damaged; another learning rate was not taken, and told as if it had been."""

    def stop(self: EverySteps, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if state.global_step == 3:
            raise KeyboardInterrupt
        control.should_save = state.global_step == 2
        return control

    recipe = in_folder(values | {"strategy": {}}, tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(EverySteps, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(parse_recipe(recipe))
    for section, key, value, told in [
        ("model", "fusion", {"dim": 24, "layers": 1, "heads": 2}, "model.fusion.dim 16, now 24"),
        ("strategy", "text", "lora", "strategy.text not given, now {'kind': 'lora'"),
        ("optim", "lr", 0.0123, "optim.lr 0.003, now 0.0123"),
    ]:
        other = copy.deepcopy(recipe)
        other[section][key] = value
        with pytest.raises(RecipeError, match=re.escape(f"an unfinished run with {told}")) as caught:
            fit(parse_recipe(other), resume=True)
        assert "go on with the recipe that it was begun with, choose another output.folder" in str(caught.value)
    recipe["optim"] = recipe["optim"] | {"clip": 0.5}
    assert fit(parse_recipe(recipe), resume=True) == tmp_path / "run" / "model"


KILLED = """
import os, signal, sys
from emofuse.training.trainer import EverySteps
from emofuse.training.run import fit
from emofuse.training.recipe.read import load_recipe

def kill(self, args, state, control, **kwargs):
    if state.global_step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    control.should_save = state.global_step % self.steps == 0
    return control

EverySteps.on_step_end = kill
fit(load_recipe(sys.argv[1]))
"""


def test_a_process_that_was_killed_goes_on_to_equal_weights(values, uninterrupted, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    own = in_folder(values, tmp_path / "run")
    recipe.write_text(yaml.safe_dump(own))
    done = subprocess.run([sys.executable, "-c", KILLED, str(recipe)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert (tmp_path / "run" / "states" / "checkpoint-4" / "complete").is_file()
    fit(parse_recipe(own), resume=True)
    assert result(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize("epochs", [1, 2])
def test_an_epoch_whose_evaluation_was_cut_off_is_evaluated_when_the_run_goes_on(
    values, tmp_path, monkeypatch, epochs: int
):
    """Three steps an epoch and a state every step: that of the last one was whole before the epoch had a score."""
    train = values["train"] | {"epochs": epochs, "save_steps": 1}
    recipe = parse_recipe(in_folder(values | {"strategy": {}, "train": train}, tmp_path / "run"))
    plain, scored = Run._assess, []

    def stop(self: Run, *given: Any) -> dict[str, float]:
        if len(scored) == epochs - 1:
            raise KeyboardInterrupt
        scored.append(plain(self, *given))
        return scored[-1]

    with monkeypatch.context() as patched:
        patched.setattr(Run, "_assess", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe)
    assert last_complete(tmp_path / "run" / "states") == tmp_path / "run" / "states" / f"checkpoint-{3 * epochs - 1}"
    report = json.loads((fit(recipe, resume=True) / "report.json").read_text("utf-8"))
    assert report["curves"]["epoch"] == [*range(1, epochs + 1)]


def test_a_state_that_is_written_again_is_not_whole_until_it_is(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoint-3"
    folder.mkdir()
    (folder / COMPLETE).touch()
    trainer = EmotionTrainer.__new__(EmotionTrainer)
    trainer.folder, trainer.state = tmp_path, TrainerState(global_step=3)
    trainer.args = SimpleNamespace(should_save=True, save_total_limit=2)  # pyright: ignore[reportAttributeAccessIssue]

    def cut_off(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_save_checkpoint", cut_off)
    with pytest.raises(KeyboardInterrupt):
        trainer._save_checkpoint(nn.Linear(1, 1), None)
    assert last_complete(tmp_path) is None


@pytest.mark.parametrize("where", ["training", "finishing"])
def test_patience_is_not_begun_anew_when_a_run_goes_on(values, tmp_path, monkeypatch, where: str):
    """Of five epochs the first is the best; two without a better one end the run at the third, cut off or not."""
    train = values["train"] | {"epochs": 5, "patience": 2, "save_steps": None}
    recipe = parse_recipe(in_folder(values | {"strategy": {}, "train": train}, tmp_path / "run"))
    scores = iter((0.9, 0.5, 0.6, 0.7, 0.8))
    monkeypatch.setattr(Run, "_assess", lambda *_: {"eval_score": next(scores)})

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def stop_after_two(_: Any, args: Any, state: Any, *__: Any, **___: Any) -> None:
        if state.epoch >= 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(
            *((Progress, "on_epoch_begin", stop_after_two) if where == "training" else (Run, "_finish", stop))
        )
        with pytest.raises(KeyboardInterrupt):
            fit(recipe)
    report = json.loads((fit(recipe, resume=True) / "report.json").read_text("utf-8"))
    assert (report["curves"]["epoch"], report["best_epoch"]) == ([1, 2, 3], 1)


def test_a_run_goes_on_with_its_own_seed_and_limit_alone(values, tmp_path, monkeypatch):
    recipe = parse_recipe(in_folder(values | {"strategy": {}}, tmp_path / "run"))
    others = [
        ("seed 0, now 7", recipe.model_copy(update={"seed": 7}), 8),
        ("limit 8, now not given", recipe, None),
        ("limit 8, now 6", recipe, 6),
    ]

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def refused(which: str) -> None:
        for told, other, limit in others:
            with pytest.raises(RecipeError, match=f"holds {which} run with {told}, which stays as it is; go on with"):
                fit(other, limit=limit, resume=True)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, limit=8)
    refused("an unfinished")
    (tmp_path / "run" / UNFINISHED).rename(tmp_path / UNFINISHED)  # as older versions left a run
    model = fit(recipe, limit=8, resume=True)
    refused("a finished")
    report = json.loads((model / "report.json").read_text("utf-8"))
    (model / "report.json").write_text(json.dumps({k: v for k, v in report.items() if k != "limit"}))
    assert fit(recipe, resume=True) == model


def test_an_old_model_is_not_that_of_a_run_begun_anew(values, tmp_path, monkeypatch):
    """It stays until the new run has one; until then the run goes on as what it is, unfinished."""
    own = in_folder(values | {"strategy": {}, "train": values["train"] | {"epochs": 1}}, tmp_path / "run")
    model = fit(parse_recipe(own), limit=8)
    old = (model / "report.json").stat().st_mtime_ns
    anew = parse_recipe(own | {"optim": {"lr": 0.01}, "output": own["output"] | {"overwrite": True}})

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EmotionTrainer, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(anew, limit=8)
    assert (model / "report.json").stat().st_mtime_ns == old
    assert fit(anew, limit=8, resume=True) == model
    new = (model / "report.json").stat().st_mtime_ns
    assert new != old and load_recipe(model / "recipe.yaml").optim.lr == 0.01
    assert not (tmp_path / "run" / UNFINISHED).exists()
    assert fit(anew, limit=8, resume=True) == model and (model / "report.json").stat().st_mtime_ns == new
