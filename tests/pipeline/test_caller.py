"""Whatever state of PyTorch and whatever slips a caller comes with."""

from __future__ import annotations

import contextlib
import locale
import multiprocessing
import os
import re
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
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


def deterministic():
    """Algorithms that are deterministic, as reproducible research asks for."""
    stack = contextlib.ExitStack()
    torch.use_deterministic_algorithms(True)
    stack.callback(torch.use_deterministic_algorithms, False)
    return stack


@contextlib.contextmanager
def warnings_as_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@contextlib.contextmanager
def gone(folder):
    """A working folder that has been deleted."""
    before = Path.cwd()
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    try:
        yield
    finally:
        os.chdir(before)


STATES = {
    "a default device": lambda tmp: torch.device("meta"),
    "no gradients": lambda tmp: torch.no_grad(),
    "inference mode": lambda tmp: torch.inference_mode(),
    "autocast": lambda tmp: torch.autocast("cpu", torch.bfloat16),
    "deterministic algorithms": lambda tmp: deterministic(),
    "warnings as errors": lambda tmp: warnings_as_errors(),
    "arithmetic that raises": lambda tmp: np.errstate(all="raise"),
    "no working folder": lambda tmp: gone(tmp / "gone"),
}


def state() -> tuple:
    """What a caller has set, and what a library may not move; of `random` the checker of types draws in tests."""
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state().sum().item() if torch.get_default_device().type == "cpu" else None,
        np.geterr(),
        np.random.get_state()[1].tolist(),
        warnings.filters[:],
        cv2.getNumThreads(),
        signal.getsignal(signal.SIGINT),
        locale.setlocale(locale.LC_ALL),
    )


@pytest.mark.parametrize("name", STATES)
def test_no_state_of_the_caller_changes_an_answer_or_is_moved(folder, sample, words, whole, tmp_path, name):
    vad._network.cache_clear()
    clip, folder = sample.resolve(), folder.resolve()
    with STATES[name](tmp_path):
        before = state()
        model = emofuse.load(folder, device="cpu")
        found = model(clip, transcript=words)
        (why,) = model.explain(text="i am so happy")
        assert state() == before
    vad._network.cache_clear()
    assert found.overall.emotions == pytest.approx(whole.overall.emotions, abs=1e-5)
    assert [(p.start, p.end, p.person, p.present) for p in found.segments] == [
        (p.start, p.end, p.person, p.present) for p in whole.segments
    ]
    (plain,) = emofuse.load(folder, device="cpu").explain(text="i am so happy")
    assert why[0].to_dict() == plain[0].to_dict()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_any_start_method_of_processes(folder, whole, method):
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        top = pool.apply_async(_predicted, (str(folder),)).get(timeout=200)
    expected = emofuse.load(folder, device="cpu")(text="i am so happy").overall.top
    assert top == (expected[0], pytest.approx(expected[1], abs=1e-6))


def _predicted(folder):
    torch.set_num_threads(1)  # threads of a parent's pool are not there after a fork
    return emofuse.load(folder, device="cpu")(text="i am so happy").overall.top


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


def test_an_input_that_is_misspelt_names_the_nearest(pipeline, sample):
    for call in (pipeline, pipeline.stream):
        with pytest.raises(MediaError, match="no input 'transcipt'; did you mean 'transcript'"):
            list(call(sample, transcipt="so sad"))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda load, folder: load(5), "a model is a name, a folder or a hub id, not 5"),
        (lambda load, folder: load(folder, rules=5), "rules are the path of a file or what read_rules returns, not 5"),
        (lambda load, folder: load(folder, acts=5), "acts are the path of a file or what read_acts returns, not 5"),
        (
            lambda load, folder: load(folder, asr=5),
            "asr is auto, none, or the name or folder of a faster-whisper model",
        ),
        (lambda load, folder: load(folder, language=5), "language is a code, as in language='en', not 5"),
        (lambda load, folder: load(folder, threads="x"), "threads is a whole number from 1 on, not 'x'"),
        (lambda load, folder: load("owner/name", revision=5), "revision is a branch, a tag or a commit, not 5"),
    ],
)
def test_arguments_of_another_kind_say_what_is_valid(folder, asked, told):
    with pytest.raises(EmofuseError, match=re.escape(told)):
        asked(emofuse.load, folder)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda model: model(text="sad").save(5), "a path is a string or a Path, as in 'out.json', not 5"),
        (
            lambda model: model(text="sad").save(b"a.json"),
            "a path is a string or a Path, as in 'out.json', not b'a.json'",
        ),
        (lambda model: model(text="sad").plot(5), "a path is a string or a Path, as in 'timeline.png', not 5"),
        (lambda model: model(text="sad").at_coverage("x"), "coverage 'x' is not between 0 and 1"),
        (lambda model: model(text="sad").at_coverage(0.9, "x"), "widest is a whole number from 1 on, not 'x'"),
        (lambda model: model(text="sad").by_second("x"), "a step of 'x' s is not usable"),
        (lambda model: model.save_pretrained(5), "a path is a string or a Path, as in 'my-model', not 5"),
        (lambda model: model.push_to_hub(5), "a hub id is owner/name, not 5"),
        (lambda model: model.conversation(coverage="x"), "coverage 'x' is not between 0 and 1"),
        (lambda model: model(text="sad", batch_size=0), "batch_size is a whole number from 1 on, not 0"),
        (
            lambda model: list(model.stream(text="sad", batch_size="x")),
            "batch_size is a whole number from 1 on, not 'x'",
        ),
        (lambda model: list(model.predict_iter(["a"], window=0)), "window is a whole number from 1 on, not 0"),
        (lambda model: list(model.explain(text="sad", steps="x")), "steps is a whole number from 1 on, not 'x'"),
        (lambda model: list(model.explain(text="sad", task=5)), "5"),
        (lambda model: list(model.explain(text="sad", flip=5)), "5"),
    ],
)
def test_arguments_of_answers_say_what_is_valid(folder, asked, told):
    with pytest.raises(EmofuseError, match=re.escape(told)):
        asked(emofuse.load(folder, device="cpu", backend="torch"))


def test_words_that_nobody_sees_are_none(pipeline):
    for text in ("\u200b\u200b", "\u202e \x00", "\u200d", "\ufeff"):
        found = pipeline(text=text)
        assert found.overall is None and not found.segments and found.notes[-1].code == "nothing_found"
    assert [word.text for word in pipeline(text="\ufeffso\u200b sad\x00").transcript] == ["so", "sad"]
    assert pipeline(text="\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645").transcript[0].text.count("\u200c") == 1
