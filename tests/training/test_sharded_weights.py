"""What the refusal of weights in shards rests on: two processes of `fully_shard` over gloo, on a tiny model."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

RANK = """
import json, sys
from datetime import timedelta
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy

def made():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 4))
    return net

def step(net, optimizer, rows, labels):
    cross_entropy(net(rows), labels).backward()
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

dist.init_process_group("gloo", timeout=timedelta(seconds=5))
rank = dist.get_rank()
whole, sharded = made(), made()
mesh = init_device_mesh("cpu", (2,))
for part in (sharded[0], sharded[3], sharded):
    fully_shard(part, mesh=mesh)
plain, spread = (torch.optim.AdamW(net.parameters(), lr=0.01) for net in (whole, sharded))
draw = torch.Generator().manual_seed(1)
norms = []
for _ in range(5):
    rows, labels = torch.randn(6, 8, generator=draw), torch.randint(0, 4, (6,), generator=draw)
    ours = step(sharded, spread, rows[rank::2], labels[rank::2])
    norms.append(abs(ours - step(whole, plain, rows, labels)))
full = get_model_state_dict(sharded, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
seen = {"norms": max(norms)}
if rank == 0:
    state = whole.state_dict()
    again = made()
    again.load_state_dict(full)
    seen["names"] = list(full) == list(state)
    seen["apart"] = max(float((full[name] - value).abs().max()) for name, value in state.items())
    seen["answers"] = float((again(rows) - whole(rows)).abs().max())
    try:
        with torch.no_grad():
            sharded(rows)
    except RuntimeError as error:
        seen["alone"] = str(error)
    with open(sys.argv[1], "w") as file:
        json.dump(seen, file)
else:
    sys.stdin.read()  # as a process that waits for the first one's dev scores
"""


@pytest.mark.slow
def test_shards_learn_as_one_does_and_the_first_process_alone_cannot_run_them(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RANK, str(tmp_path / "seen.json")]
    running = [
        subprocess.Popen(command, env=shared | {"RANK": rank, "LOCAL_RANK": rank}, stdin=subprocess.PIPE)
        for rank in ("0", "1")
    ]
    running[0].communicate()
    running[1].communicate()  # closes its stdin
    assert running[0].returncode == 0
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["names"]
    assert seen["norms"] < 1e-5 and seen["apart"] < 1e-6 and seen["answers"] < 1e-6
    assert "Timed out" in seen["alone"]
