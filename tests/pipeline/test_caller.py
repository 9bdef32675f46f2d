"""Whatever state of PyTorch and whatever slips a caller comes with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import emofuse
from emofuse.errors import EmofuseError, MediaError
from emofuse.media import vad


@pytest.fixture
def doubles() -> Iterator[None]:
    """A process in which new tensors are of float64."""
    vad._network.cache_clear()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    vad._network.cache_clear()


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory):
    """The pipeline's model as a folder."""
    return pipeline.model.save_pretrained(tmp_path_factory.mktemp("caller") / "tiny")


def test_the_default_dtype_changes_no_answer(pipeline, folder, sample, words, whole, doubles):
    for model in (pipeline, emofuse.load(folder, device="cpu")):
        found = model(sample, transcript=words)
        assert found.overall.emotions == pytest.approx(whole.overall.emotions, abs=1e-5)
    assert {p.dtype for p in emofuse.load(folder, device="cpu").model.parameters()} == {torch.float32}


def test_inference_mode_is_no_hindrance(folder):
    with torch.inference_mode():
        model = emofuse.load(folder, device="cpu")
        (inside,) = model.explain(text="i am so happy")
        assert torch.is_inference_mode_enabled()
    (outside,) = model.explain(text="i am so happy")
    assert inside[0].to_dict() == outside[0].to_dict()


def test_no_device_is_any_device(folder):
    assert emofuse.load(folder, device=None).model.device == emofuse.load(folder, device="auto").model.device


@pytest.mark.parametrize("device", ["mps:99", "nowhere", "cuda:99", 3.5])
def test_a_device_that_is_not_there_names_each_valid_one_once(folder, device):
    with pytest.raises(EmofuseError, match="valid here: auto, cpu") as told:
        emofuse.load(folder, device=device)
    named = str(told.value).partition("valid here: ")[2].split(", ")
    assert len(named) == len(set(named))


def test_options_are_options(folder):
    with pytest.raises(EmofuseError, match=r"options is a MediaOptions, not dict.*voice"):
        emofuse.load(folder, options={"voice": "always"})


@pytest.mark.parametrize("path", ["a.mp4", b"a.mp4"])
def test_one_path_is_not_several(pipeline, path):
    with pytest.raises(EmofuseError, match=r"several paths, not the one .*a\.mp4.*list"):
        pipeline.predict_many(path, progress=False)


def test_masked_arrays_are_refused(pipeline):
    with pytest.raises(MediaError, match="masked"):
        pipeline(image=np.ma.masked_array(np.zeros((99, 99, 3), np.uint8)))
