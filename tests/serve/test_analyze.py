"""One clip or text, answered at once, over a real socket."""

from __future__ import annotations

import csv
import errno
import io
import json
import os

import numpy as np
import pytest

from emofuse.pipeline.wire import from_wire, to_wire

TEXT = "I am so happy today! This is terrible. I am sad, so sad."


def sent(analysis) -> dict:
    """An analysis as JSON has it."""
    return json.loads(json.dumps(analysis.to_dict()))


def test_a_text_is_answered_as_the_pipeline_answers_it(running, pipeline):
    reply = running.analyze(text=TEXT)
    assert reply.status_code == 200 and reply.headers["content-type"] == "application/json"
    assert reply.json() == sent(pipeline(text=TEXT)) == running.analyze(text=TEXT, alone=True).json()


def test_a_clip_with_its_transcript_is_answered_as_the_pipeline_answers_it(running, pipeline, clip):
    words = clip.with_suffix(".srt")
    with clip.open("rb") as media, words.open("rb") as cues:
        reply = running.client.post("/v1/analyze", files={"file": media, "transcript": cues}, data={"format": "full"})
    local = pipeline(clip, transcript=words)
    expected = to_wire(local) | {"source": "sample.mp4"}
    assert reply.status_code == 200 and reply.json() == json.loads(json.dumps(expected))
    back = from_wire(reply.json())
    assert back.segments[0].embedding.tobytes() == local.segments[0].embedding.tobytes()
    assert [getattr(note, "code", None) for note in back.notes] == [getattr(n, "code", None) for n in local.notes]
    assert running.left_over == []


def test_every_format_is_what_the_analysis_writes(running, pipeline):
    local = pipeline(text=TEXT)
    for form, kind in (("csv", "text/csv"), ("srt", "application/x-subrip"), ("vtt", "text/vtt")):
        reply = running.analyze(text=TEXT, format=form)
        assert reply.text == local.to_text(f".{form}") and reply.headers["content-type"].startswith(kind)
    rows = list(csv.DictReader(io.StringIO(running.analyze(text=TEXT, format="csv").text)))
    assert rows[0]["emotion"] == local.segments[0].top[0]


def test_arrays_are_taken_as_the_pipeline_takes_them(running, pipeline, voice_array):
    rate, samples = voice_array
    file = io.BytesIO()
    np.save(file, samples)
    reply = running.client.post("/v1/analyze", files={"audio": file.getvalue()}, data={"rate": str(rate)})
    assert reply.status_code == 200, reply.text
    assert reply.json() == sent(pipeline(audio=(rate, samples)))


@pytest.fixture
def voice_array(clip) -> tuple[int, np.ndarray]:
    """Two seconds of the clip's voice."""
    from emofuse.media.decode import read_audio

    return 16_000, read_audio(clip)[16_000:48_000]


def test_what_is_wrong_is_said_without_paths_or_content(running):
    broken = running.client.post("/v1/analyze", files={"file": ("my holiday.mp4", b"\0\0\0\x18ftypmp42" + b"x" * 500)})
    assert broken.status_code == 422 and broken.json()["error"]["code"] == "unreadable"
    message = broken.json()["error"]["message"]
    assert "my holiday.mp4" in message and str(running.service.workspace.folder) not in message
    unknown = running.analyze(words="a secret")
    assert unknown.status_code == 422 and "valid fields: text" in unknown.json()["error"]["message"]
    assert "secret" not in unknown.text
    for fields in ({"format": "pdf"}, {"coverage": 1.5}, {"widest": 0}, {"language": "english; rm"}, {}):
        refused = running.analyze(text=None, **fields)
        assert refused.status_code == 422 and refused.json()["error"]["message"], fields
    assert running.left_over == []


def test_a_transcript_never_names_a_file_of_the_server(running, tmp_path):
    secret = tmp_path / "secret.srt"
    secret.write_text("1\n00:00:00,000 --> 00:00:01,000\nthe password is tulip\n")
    reply = running.analyze(transcript=str(secret), text=None)
    assert reply.status_code == 422 and "tulip" not in reply.text
    for field in ("file", "image"):
        reply = running.analyze(**{field: str(secret)})
        assert reply.status_code == 422 and "valid fields" in reply.text


def test_sets_are_made_with_the_coverage_that_was_asked_for(running, pipeline):
    reply = running.analyze(text=TEXT, coverage=0.9)
    assert reply.json()["coverage"] == 0.9
    assert reply.json() == sent(pipeline(text=TEXT).at_coverage(0.9))


def test_clips_that_are_too_long_or_too_large_are_refused_before_they_are_read(serve, wav, clip):
    short = serve(minutes=0.02, megabytes=1, megapixels=0.01)
    longer = short.client.post("/v1/analyze", files={"file": ("a.wav", wav)})
    assert longer.status_code == 413 and "POST /v1/jobs" in longer.json()["error"]["message"]
    with clip.open("rb") as media:
        wide = serve(megapixels=0.01).client.post("/v1/analyze", files={"file": media})
    assert wide.status_code == 413 and "pixels" in wide.json()["error"]["message"]
    heavy = short.client.post("/v1/analyze", files={"file": b"x" * 1_100_000})
    assert heavy.status_code == 413 and "1,000,000 bytes" in heavy.json()["error"]["message"]
    wordy = serve(characters=100).analyze(text="word " * 50)
    assert wordy.status_code == 413 and "100 characters" in wordy.json()["error"]["message"]


def test_openapi_describes_the_form_and_the_answer(running):
    schema = running.client.get("/v1/openapi.json").json()
    post = schema["paths"]["/v1/analyze"]["post"]
    form = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert form["file"]["format"] == "binary" and "coverage" in form and "Retry-After" in str(post["responses"]["429"])
    assert post["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("Answer")


def test_no_other_origin_may_read_answers(running):
    reply = running.client.post("/v1/analyze", json={"text": "hello"}, headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in reply.headers
    preflight = running.client.options("/v1/analyze", headers={"Origin": "https://elsewhere.example"})
    assert preflight.status_code == 405 and reply.headers["x-content-type-options"] == "nosniff"


def test_models_and_health(running, pipeline):
    (model,) = running.client.get("/v1/models").json()["models"]
    assert model["name"] == "tiny" and model["modalities"] == list(pipeline.model.modalities)
    assert running.client.get("/healthz").json() == {"status": "ok"}
    assert running.client.get("/readyz").json() == {"status": "ready"}
    assert running.client.get("/v1/models/other/conformal").status_code == 404


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 503), (errno.EDQUOT, 503), (errno.EIO, 500)])
def test_a_full_disk_is_told_apart_from_a_fault(serve, number, status, monkeypatch):
    running = serve()

    async def received(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(running.service, "received", received)
    reply = running.client.post("/v1/analyze", json={"text": "so sad"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, "full" if status == 503 else "failed")
    assert ("retry-after" in reply.headers) == (status == 503) and running.left_over == []
