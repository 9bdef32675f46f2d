"""Ray carries the same job to the same bits: on this machine, on two nodes, and when an actor is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of resources it leaves open
]


@pytest.fixture(scope="module", autouse=True)
def a_node_starts():
    """Ray gives a node half a minute to start, however busy the machine is; without one, nothing can be told."""
    import ray

    try:
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        pytest.skip(f"Ray starts no node on this machine: {error}")
    finally:
        ray.shutdown()


def test_a_node_that_is_started_here_sends_no_statistics_of_use(monkeypatch):
    import ray

    from emofuse.batch_jobs.carriers.cluster import connect

    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ADDRESS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    told = []
    monkeypatch.setattr(ray, "init", lambda **options: told.append(os.environ.get("RAY_USAGE_STATS_ENABLED")))
    connect(None)
    assert told == ["0"]


@pytest.fixture
def cluster():
    """Two nodes of one processor each, on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def open_job(table: Path, model: Path, out: Path):
    from emofuse.batch_jobs.job import JobOptions
    from emofuse.batch_jobs.run import open_job

    return open_job(out, [str(table)], JobOptions(model=str(model), device="cpu", embeddings=True))


def test_the_command_runs_ray_on_this_machine(batch, whole, table, tmp_path, assert_same):
    code, told, err = batch(table, "--out", tmp_path / "out", "--embeddings", "--workers", 1, "--memory", 0.5, "--ray")
    assert code == 3 and "complete" in told, err
    assert_same(tmp_path / "out", whole)


def test_two_nodes_and_a_killed_actor_give_the_same_rows(cluster, whole, table, model_folder, tmp_path, assert_same):
    from emofuse.batch_jobs.run import Carrier, carry

    out = tmp_path / "out"
    job = open_job(table, model_folder, out)
    killed: list[int] = []

    def kill_one():
        """The first actor that has a shard open."""
        limit = time.monotonic() + 300
        while not killed and time.monotonic() < limit:
            for path in (out / "work").glob("*.jsonl"):
                lines = path.read_bytes().splitlines() if path.is_file() else []
                begun = [json.loads(line)["begin"] for line in lines if line.startswith(b'{"begin"')]
                if begun and not killed:
                    os.kill(begun[0], signal.SIGKILL)
                    killed.append(begun[0])
            time.sleep(0.002)

    threading.Thread(target=kill_one, daemon=True).start()
    now = carry(job, Carrier(workers=2, ray=True, address=cluster.address, memory=0.5))
    assert killed and now.complete and now.failed == 2
    assert_same(out, whole)


def test_a_cluster_that_is_not_there_is_said_to_be_so(table, model_folder, tmp_path):
    from emofuse.batch_jobs.run import Carrier, carry
    from emofuse.errors import DataError

    job = open_job(table, model_folder, tmp_path / "out")
    with pytest.raises(DataError, match=r"cannot reach Ray at 127\.0\.0\.1:1"):
        carry(job, Carrier(ray=True, address="127.0.0.1:1"))
