"""Compiled training: the losses of plain training, under the same names, and an error where nothing can compile."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from emofuse.training.errors import TrainingError
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit
from emofuse.training.tuning.compiled import check_compiler, compile_parts, uncompiled
from emofuse.training.tuning.init import build

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")


def still(values: dict[str, Any], folder: Path, compiles: bool, epochs: int = 1) -> dict[str, Any]:
    """A recipe of the words alone, without dropout: compiled code draws its chances in another order."""
    changed = copy.deepcopy(values)
    changed["model"]["encoders"].pop("speech")
    changed["model"] |= {"head_dropout": 0.0}
    changed["model"]["fusion"] |= {"dropout": 0.0}
    changed["model"]["encoders"]["text"]["architecture"] |= {
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "num_hidden_layers": 1,
    }
    changed["train"] |= {"compile": compiles, "epochs": epochs}
    changed["output"]["folder"] = str(folder)
    return changed


RUNS = """
import json, sys
import emofuse
from emofuse.training.recipe.read import load_recipe
from emofuse.training.run import fit

def losses(folder):
    return json.loads((folder / "report.json").read_text("utf-8"))["curves"]["loss"]

plain, once, twice = (load_recipe(path) for path in sys.argv[1:4])
found = {"plain": losses(fit(plain)), "once": losses(fit(once))}
found["twice"] = losses(fit(twice, resume=True))
found["answers"] = bool(emofuse.load(once.folder / "model", "cpu", backend="torch")(text="so so happy"))
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which(os.environ.get("CXX") or "g++") is None, reason="no C++ compiler is at hand")
def test_compiled_training_learns_what_plain_training_does_and_goes_on_plain(recipe_values, tmp_path):
    """In a process of its own: the checks of shapes that hold in tests are not made to be compiled. What was learnt
    compiled goes on plain: its states have the names of any."""
    paths = []
    for name, folder, compiles, epochs in (
        ("plain", "plain", False, 1),
        ("once", "made", True, 1),
        ("twice", "made", False, 2),
    ):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(still(recipe_values, tmp_path / folder, compiles, epochs)))
        paths.append(str(path))
    done = subprocess.run([sys.executable, "-c", RUNS, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "compiled at their first step: text, fusion" in done.stderr
    assert found["once"] == pytest.approx(found["plain"], rel=1e-3)
    assert len(found["twice"]) == 2 and found["answers"]
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("plain", "made"))
    assert one.keys() == two.keys()


def test_compiling_changes_neither_names_nor_plain_passes(recipe_values, tmp_path):
    model, _ = build(parse_recipe(still(recipe_values, tmp_path / "run", True)))
    names = list(model.state_dict())
    assert compile_parts(model) == ["text", "fusion"]
    assert list(model.state_dict()) == names
    batch = {"ids": torch.ones(2, 3, dtype=torch.long), "mask": torch.ones(2, 3, dtype=torch.bool)}
    with uncompiled(True):  # nothing is compiled here, or this test would take long
        assert model.encoder("text").backbone(input_ids=batch["ids"]).last_hidden_state.shape == (2, 3, 16)


def test_without_a_compiler_nothing_begins(recipe_values, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    recipe_values["train"] |= {"compile": True}
    recipe = parse_recipe(recipe_values)
    with pytest.raises(TrainingError, match=r"no 'no-such-compiler'.*CXX.*train\.compile=false"):
        fit(recipe)
    assert not recipe.folder.exists()
    monkeypatch.delenv("CXX")


def test_a_gpu_needs_triton(monkeypatch):
    monkeypatch.setattr("emofuse.training.tuning.compiled.installed", lambda name: False)
    with pytest.raises(TrainingError, match="triton"):
        check_compiler(torch.device("cuda"))
