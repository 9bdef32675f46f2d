"""Two processes over gloo: equal weights in both, one that assesses and writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import yaml

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


def test_two_processes_end_with_equal_weights_and_one_writes(recipe_values, tmp_path):
    recipe_values["train"] |= {"batch_size": 6, "ema": 0.9}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(recipe_values))
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
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["weights"] == second["weights"]
    assert first["processes"] == second["processes"] == 2
    assert first["steps"] == 4
    assert (first["assessed"], second["assessed"]) == (2, 0)
    run = tmp_path / "run"
    assert (run / "model" / "model.safetensors").is_file()
    assert "epoch 2/2" in errors[0]
    assert "epoch" not in errors[1]
