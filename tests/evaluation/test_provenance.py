"""Provenance: seeds, hashes of ids and labels, and what development data chose."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from emofuse.data.examples import labels_hash
from emofuse.errors import CheckpointError
from emofuse.evaluation.provenance import dev_chose, provenance, sentence


def test_a_checkpoint_tells_its_seed_and_what_dev_chose(tmp_path):
    assert provenance(tmp_path) == {"seeds": None, "dev_chose": None}
    (tmp_path / "report.json").write_text(json.dumps({"seed": 3, "dev_chose": []}))
    assert provenance(tmp_path) == {"seeds": [3], "dev_chose": []}
    older = {"seed": 0, "best_epoch": 2, "curves": {"epoch": [1, 2]}, "temperatures": {"text": {"emotion": 1.2}}}
    (tmp_path / "report.json").write_text(json.dumps(older))
    assert provenance(tmp_path)["dev_chose"] == ["epoch", "temperatures", "prediction sets"]
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"report\.json cannot be read"):
        provenance(tmp_path)


def test_one_epoch_is_no_choice():
    assert dev_chose(epochs=1, temperatures=False, sets=False) == []
    assert dev_chose(epochs=2, temperatures=True, sets=False) == ["epoch", "temperatures"]


def test_a_sentence_says_all_of_it():
    about = {"split_hash": "a" * 64, "labels_hash": "b" * 64, "seeds": [3], "dev_chose": ["epoch"]}
    said = f"split hash {'a' * 12}; labels hash {'b' * 12}; seed 3; development data chose: epoch"
    assert sentence(about) == said
    assert sentence(about | {"dev_chose": []}).endswith("chose: nothing")
    assert "does not tell" in sentence({}) and "seed not told" in sentence({})


def test_labels_have_a_hash_of_their_own(samples):
    first = samples[0]
    changed = replace(first, targets={**first.targets, "intensity": np.array([0.123], np.float32)})
    assert labels_hash(samples) == labels_hash(samples[::-1])
    assert labels_hash([changed, *samples[1:]]) != labels_hash(samples) != labels_hash(samples[1:])
