"""Two processes over gloo: equal weights in both, one that assesses and writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit
from emofuse.training.tuning.init import build

RANK = """
import hashlib, json, sys
from emofuse.training.run import Run, fit
from emofuse.training.recipe.read import load_recipe

seen = {"assessed": 0}
assess, finish = Run._assess, Run._finish

def counted(self, *args):
    seen["assessed"] += 1
    return assess(self, *args)

def weighed(self, trainer, model, *args):
    parts = [p.detach().numpy().tobytes() for p in model.parameters()]
    seen["weights"] = hashlib.sha256(b"".join(parts)).hexdigest()
    seen["processes"] = trainer.args.world_size
    seen["steps"] = trainer.state.global_step
    return finish(self, trainer, model, *args)

Run._assess, Run._finish = counted, weighed
fit(load_recipe(sys.argv[1]))
with open(sys.argv[2], "w") as file:
    json.dump(seen, file)
"""


def two_processes(values: dict[str, Any], tmp_path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """A recipe by two processes: what each has seen, and what each wrote to its errors."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    running = []
    for rank in ("0", "1"):
        command = [sys.executable, "-c", RANK, str(recipe), str(tmp_path / f"{rank}.json")]
        own = shared | {"RANK": rank, "LOCAL_RANK": rank}
        running.append(subprocess.Popen(command, env=own, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate()[1] for process in running]
    assert [p.returncode for p in running] == [0, 0], "\n".join(e[-2000:] for e in errors)
    return [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)], errors


def test_two_processes_end_with_equal_weights_and_one_writes(recipe_values, tmp_path):
    recipe_values["train"] |= {"batch_size": 6, "ema": 0.9}
    (first, second), errors = two_processes(recipe_values, tmp_path)
    assert first["weights"] == second["weights"]
    assert first["processes"] == second["processes"] == 2
    assert first["steps"] == 4
    assert (first["assessed"], second["assessed"]) == (2, 0)
    run = tmp_path / "run"
    assert (run / "model" / "model.safetensors").is_file()
    assert "epoch 2/2" in errors[0]
    assert "epoch" not in errors[1]


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_twice_the_batches(recipe_values, tmp_path):
    """A step's batches are the same whether two processes have one each or one process has both; without dropout."""
    recipe_values["train"] |= {"batch_size": 6, "epochs": 1}
    model = recipe_values["model"] | {"head_dropout": 0.0}
    model["fusion"] |= {"dropout": 0.0}
    model["encoders"]["text"]["architecture"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    names = ("hidden", "attention", "activation", "feat_proj", "conformer_conv")
    model["encoders"]["speech"]["architecture"] |= {f"{name}_dropout": 0.0 for name in names}
    both = two_processes(recipe_values | {"model": model}, tmp_path)[0]
    output = recipe_values["output"] | {"folder": str(tmp_path / "alone")}
    alone = parse_recipe(
        recipe_values | {"model": model, "output": output, "train": recipe_values["train"] | {"accumulation": 2}}
    )
    folder, start = fit(alone), dict(build(alone)[0].named_parameters())
    one, two = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "run" / "model"))
    assert [seen["steps"] for seen in both] == [2, 2]
    moved = sum(float((one[name] - start[name].detach()).square().sum()) for name in start)
    apart = sum(float((one[name] - two[name]).square().sum()) for name in start)
    assert moved > 1e-3
    assert apart < 0.01 * moved  # of gradients near zero rounding decides AdamW's sign
