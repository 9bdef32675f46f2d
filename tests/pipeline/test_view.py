"""A model's own view of a clip: how many answers a segment has, and what is said of a voice that is too long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from emofuse.model.config import ModelConfig
from emofuse.model.model import EmotionModel
from emofuse.pipeline.persons import by_person
from emofuse.pipeline.pipeline import Pipeline
from emofuse.types import NOBODY


@pytest.fixture
def pipeline_of(tiny_config: ModelConfig):
    """A pipeline around a tiny model with changes to its encoders."""

    def make(**changes: dict[str, Any]) -> Pipeline:
        torch.manual_seed(0)
        values = tiny_config.model_dump()
        for modality, fields in changes.items():
            values["encoders"][modality] |= fields
        return Pipeline(EmotionModel(ModelConfig.model_validate(values)), "tiny")

    return make


@pytest.mark.parametrize("fields", [{"view": "frames", "crop_size": 64}, {"whose": "all", "margin": 0.3}])
def test_what_is_seen_together_has_one_answer_of_nobody(pipeline_of, repository, fields):
    pipeline = pipeline_of(face=fields | {"crops": 16, "crop_interval": 0.3})
    options = pipeline.model.face_options
    assert (options.max_crops, options.crop_interval, options.detect_interval) == (16, 0.3, 0.3)
    found = list(pipeline.run(repository / "demo" / "samples" / "sample.mp4"))
    assert found and {prediction.person for prediction, _ in found} == {None}
    assert all("face" in prediction.present for prediction, _ in found)
    if options.view == "frames":
        assert {t.person for _, segment in found for t in segment.faces} == {NOBODY}
        (explanation, _, _), *_ = pipeline.explain(repository / "demo" / "samples" / "sample.mp4", steps=2)
        assert explanation.faces and explanation.regions == {}


def test_usual_models_look_as_they_did(tiny_model):
    from emofuse.media.faces.track import FaceOptions

    assert tiny_model.face_options == FaceOptions() and not tiny_model.sees_together


def test_whole_pictures_are_of_nobody_whatever_the_model(make_segment):
    segment = make_segment(0)
    whole = replace(segment, faces=(replace(segment.faces[0], person=NOBODY),))
    assert [person for person, _ in by_person(whole)] == [None]


def test_a_voice_that_is_too_long_is_told(pipeline_of):
    noise = (0.2 * np.random.default_rng(0).standard_normal(5 * 16_000)).astype(np.float32)
    pipeline = pipeline_of(speech={"max_seconds": 2.0})
    pipeline.options = replace(pipeline.options, voice="always")
    (note,) = [n for n in pipeline(audio=(16_000, noise)).notes if getattr(n, "code", "") == "voice_left_out"]
    assert note.values["segments"] == 1 and note.values["limit"] == 2.0
    assert note.values["seconds"] == pytest.approx(3.0, abs=0.3)
    short = pipeline(audio=(16_000, noise[:24_000]))
    assert not any(getattr(n, "code", "") == "voice_left_out" for n in short.notes)
