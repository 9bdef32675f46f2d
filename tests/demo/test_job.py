"""The demo's answer is the API's; what is too much is refused; what is cancelled ends."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from emofuse.demo.job import Job, RefusedError, Request, explained
from emofuse.demo.settings import Settings
from emofuse.errors import MediaError


def finish(pipeline, request, settings=None):
    """Every step of an answer, the last one first."""
    return list(Job(pipeline, request, settings or Settings()))[::-1]


@pytest.fixture(scope="module")
def watched(pipeline, clip, words):
    """Every step of the answer to the sample clip with its words, in order."""
    return list(Job(pipeline, Request("clip", source=str(clip), words=words), Settings()))


@pytest.mark.slow
def test_numbers_are_those_of_the_api_to_the_bit(pipeline, clip, watched):
    last = watched[-1]
    called = pipeline(clip, transcript=clip.with_suffix(".srt"))
    expected = replace(called, source="sample.mp4")
    assert last.stage == "finished"
    assert last.view["files"] == {
        "json": expected.to_text(".json"), "csv": expected.to_text(".csv"), "srt": expected.to_text(".srt")
    }  # fmt: skip
    assert json.loads(last.view["files"]["json"])["segments"] == called.to_dict()["segments"]


def test_every_kind_is_answered_as_the_api_does(pipeline, clip, samples):
    picture, voice = samples / "face.jpg", samples / "voice.flac"
    for request, inputs in (
        (Request("speech", source=str(voice)), {"source": voice}),
        (Request("picture", image=str(picture), words="Look at me"), {"image": picture, "text": "Look at me"}),
        (Request("text", words="I am so happy. But this is sad!"), {"text": "I am so happy. But this is sad!"}),
    ):
        last, *_ = finish(pipeline, request)
        assert last.analysis.to_dict()["overall"] == pipeline(**inputs).to_dict()["overall"]


def test_predictions_come_while_the_clip_is_read(watched):
    steps = watched
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages == ["reading", "explaining", "finished"]
    partial = next(step for step in steps if step.view)
    assert 1 <= len(partial.view["segments"]) < 3 and not partial.view["done"] and partial.view["files"] == {}
    ticks = [step.done for step in steps if step.stage == "reading" and step.total]
    assert ticks == sorted(ticks) and ticks[-1] > 5
    assert all(step.total == pytest.approx(6.6, abs=0.2) for step in steps if step.total)


def test_cancel_ends_the_work_and_shows_what_there_is(pipeline):
    sentences = [f"This is sentence {i} and it is neither short nor long." for i in range(80)]
    job = Job(pipeline, Request("text", words=" ".join(sentences)), Settings())
    seen = []
    for step in job:
        seen.append(step)
        if step.view and not job.cancelled:
            job.cancel()
    assert seen[-1].stage == "cancelled"
    assert 1 <= seen[-1].count < 80 and len(seen[-1].view["segments"]) == seen[-1].count
    assert seen[-1].view["files"]["json"]


def test_leaving_ends_the_work(pipeline, clip):
    steps = iter(Job(pipeline, Request("clip", source=str(clip)), Settings()))
    next(steps)
    steps.close()
    import threading

    assert not [thread for thread in threading.enumerate() if thread.name == "emofuse-job"]


@pytest.mark.parametrize(
    ("change", "settings", "key"),
    [
        ({}, Settings(minutes=0.05), "error_long"),
        ({}, Settings(megabytes=0), "error_large"),
        ({"words": "a" * 30}, Settings(characters=20), "error_text_long"),
        ({"source": "/nowhere/gone.mp4"}, Settings(), "error_gone"),
        ({"source": None}, Settings(), "error_nothing"),
        ({"source": None, "words": " \n"}, Settings(), "error_nothing"),
    ],
)
def test_what_is_too_much_is_refused_before_any_work(pipeline, clip, change, settings, key):
    request = replace(Request("clip", source=str(clip)), **change)
    with pytest.raises(RefusedError) as refused:
        next(iter(Job(pipeline, request, settings)))
    assert explained(refused.value, request)[0] == key


def test_a_clip_that_does_not_say_how_long_it_is_is_still_cut_short(pipeline, clip, monkeypatch):
    from emofuse.media.decode import probe

    monkeypatch.setattr("emofuse.demo.job.probe", lambda path: replace(probe(path), duration=0.0))
    with pytest.raises(RefusedError, match="error_longer"):
        list(Job(pipeline, Request("clip", source=str(clip)), Settings(minutes=0.02)))


def test_a_clip_of_too_many_pictures_is_cut_short(pipeline, clip):
    with pytest.raises(RefusedError) as refused:
        list(Job(pipeline, Request("clip", source=str(clip)), Settings(frames=50)))
    assert refused.value.key == "error_frames" and refused.value.values == {"valid": "50"}
    assert pipeline.options.limits.frames is None


def test_an_answer_that_takes_too_long_ends(pipeline, clip):
    with pytest.raises(RefusedError) as refused:
        list(Job(pipeline, Request("clip", source=str(clip)), Settings(answer_seconds=0.05)))
    assert refused.value.key == "error_slow"


def test_a_broken_file_is_explained_without_saying_where_it_lay(pipeline, tmp_path):
    broken = tmp_path / "holiday.mp4"
    broken.write_bytes(b"no moving pictures" * 100)
    request = Request("clip", source=str(broken))
    with pytest.raises(MediaError) as failed:
        list(Job(pipeline, request, Settings()))
    key, detail, _ = explained(failed.value, request)
    assert key == "error_media" and "holiday.mp4" in detail and str(tmp_path) not in detail
    assert "valid:" not in detail


def test_words_are_never_taken_for_the_name_of_a_file(pipeline, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the password is swordfish")
    for kind in ("text", "clip"):
        inputs = Request(kind, source="clip.mp4" if kind == "clip" else None, words=str(secret)).inputs()
        assert inputs["text"] == str(secret) and "transcript" not in inputs
    last, *_ = finish(pipeline, Request("text", words=str(secret)))
    assert "swordfish" not in json.dumps(last.view)


def test_contributions_lead_from_what_is_expected_to_the_answer(watched):
    last = watched[-1]
    assert set(last.view["contributions"]) == {"0", "1", "2"}
    for index, share in last.view["contributions"].items():
        row = last.view["segments"][int(index)]["emotions"]
        assert share["none"] + sum(share["values"].values()) == pytest.approx(share["full"], abs=1e-5)
        assert share["full"] == pytest.approx(max(row), abs=1e-5)
    whole = last.view["overallContribution"]
    assert whole["of"] == 3 and set(whole["values"]) == {"text", "speech", "face"}
    assert whole["none"] + sum(whole["values"].values()) == pytest.approx(whole["full"], abs=1e-5)


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000])
def test_every_format_of_a_microphone_gives_the_prediction_of_the_float_file(pipeline, voice, tmp_path, rate):
    sound = voice.astype(np.float64) if rate == 16_000 else resample_poly(voice.astype(np.float64), rate // 100, 160)
    sound = np.round(sound * 32767) / 32768
    both = np.stack([sound, sound], axis=1)
    formats = {"PCM_16": both, "PCM_24": both, "PCM_32": sound} if rate == 48_000 else {"PCM_16": sound}

    def predicted(samples: np.ndarray, subtype: str) -> list[float]:
        path = tmp_path / f"{subtype}.wav"
        soundfile.write(path, samples, rate, subtype=subtype)
        return list(finish(pipeline, Request("speech", source=str(path)))[0].analysis.overall.emotions.values())

    expected = predicted(sound, "FLOAT")
    for subtype, samples in formats.items():
        assert predicted(samples, subtype) == pytest.approx(expected, abs=1e-3), subtype


@pytest.mark.slow
def test_exported_graphs_answer_without_contributions(pipeline, tmp_path):
    """A folder of `emofuse export` without its weights."""
    from emofuse.pipeline.pipeline import load
    from emofuse.runtime.export.write import export

    exported = load(export(pipeline.model, tmp_path / "graphs", "onnx"))
    assert type(exported.model).__name__ == "ExportedModel"
    last, *_ = finish(exported, Request("text", words="I am so happy. But this is sad!"))
    assert last.stage == "finished" and last.view["overall"]["emotions"]
    assert last.view["contributions"] == {} and last.view["overallContribution"] is None
