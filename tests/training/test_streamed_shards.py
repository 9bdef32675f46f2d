"""Training from shards at an address: within a bounded cache, resumed to the same weights, a process with its own."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest

from emofuse.corpora.registry import read
from emofuse.data.load import load_segment
from emofuse.data.shards import write_shards
from emofuse.errors import RecipeError
from emofuse.training.dataset.samples import Samples
from emofuse.training.dataset.sources import read_source
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.run import fit
from emofuse.training.trainer import EverySteps
from emofuse.training.tuning.init import build
from emofuse.training.validate import ordered_keys
from tests.training.test_ddp import two_processes

SIZE = 30_000
LIMIT = 200_000
"""Bytes of the cache, for shards of some 40,000 each."""


@pytest.fixture(scope="module")
def shards(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(read("manifest", tiny_corpus / "manifest.csv").utterances, folder, SIZE)
    return folder


@pytest.fixture
def values(recipe_values: dict[str, Any], shards: Path, tmp_path: Path) -> dict[str, Any]:
    options = {"address": f"file://{shards}", "cache": str(tmp_path / "cache"), "disk_gb": LIMIT / 1e9}
    source = {"corpus": "shards", "root": str(shards), "options": options}
    return recipe_values | {"data": {"sources": [source], "cache_mb": 0}}


def held(tmp_path: Path) -> int:
    return sum(path.stat().st_size for path in (tmp_path / "cache").glob("*"))


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_to_equal_weights_within_the_limit(values, shards, tmp_path, monkeypatch):
    assert sum(path.stat().st_size for path in shards.glob("*.tar")) > 2 * LIMIT
    values["train"] |= {"save_steps": 2}
    whole = fit(parse_recipe(values))
    assert 0 < held(tmp_path) <= LIMIT
    own = copy.deepcopy(values)
    own["output"]["folder"] = str(tmp_path / "again")
    recipe, plain = parse_recipe(own), EverySteps.on_step_end

    def stop(self: EverySteps, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if state.global_step == 5:
            raise KeyboardInterrupt
        return plain(self, args, state, control, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(EverySteps, "on_step_end", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe)
    again = fit(recipe, resume=True)
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert held(tmp_path) <= LIMIT


def test_dev_samples_are_read_shard_by_shard_and_by_length_within(values):
    recipe = parse_recipe(values)
    examples = read_source(recipe, recipe.data.sources[0], recipe.model.all_tasks()).train
    samples = Samples(examples, build(recipe)[0], load_segment, seed=0)
    keys = ordered_keys(samples, [(0, i) for i in range(len(examples))])
    places = [examples[i].utterance.stored.shard.place for _, i in keys]
    assert len(set(places)) > 3 and [*dict.fromkeys(places)] == [p for p, _ in itertools.groupby(places)]
    for _, part in itertools.groupby(keys, lambda key: examples[key[1]].utterance.stored.shard.place):
        lengths = [examples[i].length for _, i in part]
        assert lengths == sorted(lengths)


@pytest.mark.slow
def test_two_processes_share_a_cache(values, tmp_path):
    values["train"] |= {"batch_size": 6, "epochs": 1}
    (first, second), _ = two_processes(values, tmp_path)
    assert first["weights"] == second["weights"] and first["steps"] == 2
    assert 0 < held(tmp_path) <= LIMIT


@pytest.mark.parametrize(
    ("change", "key"),
    [({"mixup": 0.5}, "augment.mixup"), ({"speech": {"babble": 0.5}}, "augment.speech.babble")],
)
def test_what_takes_samples_from_anywhere_is_refused(values, change, key):
    with pytest.raises(RecipeError, match=f"{key} takes samples from all over the data.*copy the shards to this disk"):
        fit(parse_recipe(values | {"augment": change}))
