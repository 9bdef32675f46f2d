"""What a request may ask for beside an answer: files in JSON, a stretch, a channel, acts, masks, a labelled video."""

from __future__ import annotations

import base64
import io
import json
import time
import wave

import av
import numpy as np
import pytest

from emofuse.client import Client
from emofuse.errors import DataError, MediaError
from emofuse.media.decode import probe, read_audio
from emofuse.pipeline.conversation.acts import parse_acts
from emofuse.pipeline.pipeline import Pipeline
from emofuse.pipeline.prototypes import Prototypes
from emofuse.pipeline.rules import parse_rules

ACTS = "acts:\n  - name: says sad\n    do: soothe\n    when: {words: [sad]}\n    say: '{speaker}: {words}'\n"
RULES = """
rules: [{name: upset, when: {words: sad, speaker: ANN}, then: {emotion: anger, by: 2}}]
lexicon: [{word: sad, emotion: fear, strength: 1.5, valence: -0.5}]
"""
TALK = "ANN: I am so sad.\nBEN: call 0123 456 789 or mail ann@example.org"


def sent(analysis) -> dict:
    """An analysis as JSON has it."""
    return json.loads(json.dumps(analysis.to_dict()))


def inline(content: bytes, **more) -> dict:
    return {"base64": base64.b64encode(content).decode(), **more}


@pytest.fixture(scope="module")
def acting(pipeline) -> Pipeline:
    """The pipeline with acts."""
    found = Pipeline(pipeline.model, pipeline.name, pipeline.options)
    found.acts = parse_acts(ACTS)
    return found


@pytest.fixture(scope="module")
def short(clip, tmp_path_factory):
    """Two seconds of the clip, small: a face, a voice."""
    path = tmp_path_factory.mktemp("short") / "short.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        video, audio = target.add_stream("libx264", rate=10), target.add_stream("aac", rate=16_000, layout="mono")
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if frame.time >= 2.0:
                break
            if number % 3 == 0:
                small = frame.reformat(320, 240, "yuv420p")
                small.pts = None
                target.mux(video.encode(small))
        target.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(read_audio(clip)[None, :32_000], format="fltp", layout="mono")
        sound.sample_rate = 16_000
        target.mux(audio.encode(sound))
        target.mux(audio.encode(None))
    return path


def test_files_may_come_in_json(running, pipeline, clip, wav):
    words = clip.with_suffix(".srt")
    reply = running.analyze(media=inline(clip.read_bytes(), name="my clip.mp4"), transcript=words.read_text())
    assert reply.status_code == 200, reply.text
    assert reply.json() == sent(pipeline(clip, transcript=words)) | {"source": "my clip.mp4"}
    as_file = running.analyze(file=inline(clip.read_bytes()), transcript=inline(words.read_bytes(), name="a.srt"))
    assert as_file.json()["segments"] == reply.json()["segments"]
    encoded = base64.encodebytes(wav).decode()  # with line breaks, as the command base64 has them
    assert running.analyze(media={"base64": encoded}).json()["duration"] == 3.0
    array = io.BytesIO()
    np.save(array, np.zeros(16_000, np.float32))
    assert running.analyze(audio=inline(array.getvalue()), rate=16_000, text="so sad").status_code == 200
    assert running.left_over == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"media": {}}, 'a file is {"base64": "…", "name": "clip.mp4"}'),
        ({"media": {"base64": 3}}, "a file is"),
        ({"media": {"base64": "QQ==", "path": "/etc/passwd"}}, "a file is"),
        ({"media": {"base64": "QQ==", "name": ["a"]}}, "a file is"),
        ({"media": {"base64": "no base64 at all!"}}, "'media' holds no base64; send the standard alphabet"),
        ({"media": {"base64": "data:video/mp4;base64,QQ=="}}, "without 'data:…,' before it"),
        ({"media": {"base64": "QQ"}}, "holds no base64"),
        ({"media": {"base64": "QQ=="}, "file": {"base64": "QQ=="}}, "'file' and 'file' are the same"),
        ({"media": "QQ=="}, "valid fields"),
        ({"text": {"base64": "QQ=="}}, "'text' is an object; a field is a string, a number or a list; files are media"),
        ({"media": {"base64": ""}}, "empty"),
        ({"media": {"base64": "QQ==", "name": "../../etc/passwd.mp4"}}, "passwd.mp4"),
        ({"text": ["sad"]}, "'text' is a JSON list; it should be a string"),
        ({"text": 5}, "'text' is a JSON int; it should be a string"),
        ({"text": "sad", "speaker": ["Ann"]}, "'speaker' is a JSON list; it should be a string"),
        ({"text": "sad", "start": "soon"}, "field 'start'"),
        ({"text": "sad", "start": -1}, "field 'start'"),
        ({"text": "sad", "end": "inf"}, "field 'end'"),
        ({"text": "sad", "start": 1}, "take a stretch out of sound or moving pictures"),
        ({"text": "sad", "channel": 1}, "there is no sound with channels"),
        ({"text": "sad", "mask": "perhaps"}, "field 'mask'"),
        ({"text": "sad", "mask_names": "Ann"}, "field 'mask_names'"),
        ({"text": "sad", "mask_names": ["a" * 201]}, "field 'mask_names.0'"),
        ({"text": "sad", "mask_names": ["a"] * 201}, "field 'mask_names'"),
        ({"text": "sad", "render": True}, "render writes a video again, and no file was sent"),
        ({"text": "sad", "blur": True}, "send render too"),
        ({"text": "sad", "acts": "acts: []"}, "an acts file is a list under the one key 'acts'"),
        ({"text": "sad", "acts": [{"name": "a"}]}, "acts, act 1 (a): do is None"),
        ({"text": "sad", "acts": "&a [*a]"}, "aliases"),
        ({"text": "sad", "acts": "[" * 20_000}, "more than 50 deep"),
        ({"text": "sad", "acts": "- " * 20_000}, "YAML"),
        ({"text": "sad", "acts": ACTS.replace("{words}'", "{words:>999999999}'")}, "blank"),
        ({"text": "sad", "acts": "x" * 60_000}, "50,000 characters"),
        ({"text": "sad", "acts": "acts: [2020-13-45]"}, "this is not YAML"),
        ({"text": "sad", "rules": "rules: []"}, "a rules file has a list under 'rules'"),
        ({"text": "sad", "rules": "lexicon: /etc/passwd"}, "no other file is read here"),
        ({"text": "sad", "rules": {"base64": "eA==", "name": "/etc/words.csv"}}, "words.csv: its columns are x"),
        ({"text": "sad", "rules": [{"name": "a", "when": {"words": ["x"]}, "then": {"emotion": "joyy"}}]}, "'joy'"),
        ({"text": "sad", "rules": {"lexicon": [{"word": "a"}]}}, 'a file is {"base64"'),
        ({"text": "sad", "rules": '{"lexicon": [{"word": "a"}]}'}, "lexicon, row 1: give a word, and an emotion"),
        ({"text": "sad", "labels": [1]}, "a label is a word or a few"),
        ({"text": "sad", "labels": {"glee": "good"}}, "the examples of 'glee' are a list"),
        ({"text": "sad", "labels": ["a"] * 3}, "asked for twice"),
        ({"text": "sad", "labels": [f"a{i}" for i in range(51)]}, "51 labels are asked for; 1 to 50"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_what_can(running, fields, told):
    reply = running.analyze(**fields)
    assert reply.status_code in (413, 422), reply.text
    assert told in reply.json()["error"]["message"], reply.text
    assert str(running.service.workspace.folder) not in reply.text and running.left_over == []


def test_json_is_bounded_and_says_what_is_not(running, monkeypatch):
    monkeypatch.setattr("emofuse.serve.receive.INLINE_BYTES", 100_000)
    reply = running.analyze(media=inline(b"x" * 100_000))
    assert reply.status_code == 413 and "a form (multipart/form-data) may be larger" in reply.json()["error"]["message"]


def test_a_stretch_and_a_channel_are_those_of_the_pipeline(running, pipeline, clip, serve):
    reply = running.analyze(media=inline(clip.read_bytes(), name="sample.mp4"), start=1.95, end=3.9)
    assert reply.json() == sent(pipeline(clip, start=1.95, end=3.9)) | {"source": "sample.mp4"}
    form = {"start": "1.95", "end": "3.9"}
    with clip.open("rb") as media:
        assert running.client.post("/v1/analyze", files={"file": media}, data=form).json() == reply.json()
    voice = read_audio(clip)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.stack([np.zeros_like(voice), voice], 1) * 32767).astype("<i2").tobytes())
    silent, spoken = (running.analyze(media=inline(out.getvalue()), channel=c).json() for c in (0, "1"))
    assert silent["segments"] == [] and spoken["segments"]
    limited = serve(minutes=0.05, quota=10.0)
    late = limited.analyze(media=inline(clip.read_bytes()), start=4, end=6)
    assert late.status_code == 413, "what lies beyond the limit is not read"
    for _ in range(5):
        assert limited.analyze(media=inline(clip.read_bytes()), start=0, end=2).status_code == 200
    used = limited.analyze(media=inline(clip.read_bytes()), start=0, end=2)
    assert used.status_code == 429 and used.json()["error"]["code"] == "quota", "a stretch counts its own seconds"


def test_acts_of_the_request_or_of_the_service_are_applied(running, serve, acting):
    expected = sent(acting(text=TALK))
    assert [firing["say"] for firing in expected["acts"]] == ["ANN: sad"]
    assert running.analyze(text=TALK, acts=ACTS).json() == expected
    rows = [{"name": "says sad", "do": "soothe", "when": {"words": ["sad"]}, "say": "{speaker}: {words}"}]
    assert running.analyze(text=TALK, acts=rows).json() == expected
    part = {"acts": ("acts.yaml", ACTS.encode())}
    assert running.client.post("/v1/analyze", data={"text": TALK}, files=part).json() == expected
    assert "acts" not in running.analyze(text=TALK).json()
    own = serve(acting)
    assert own.analyze(text=TALK).json() == expected
    assert own.analyze(text=TALK, acts=ACTS.replace("sad]", "happy]")).json()["acts"] == []


def test_rules_of_the_request_or_of_the_service_are_laid_over_the_answers(running, serve, pipeline, tmp_path):
    ruled = Pipeline(pipeline.model, pipeline.name, pipeline.options)
    ruled.rules = parse_rules(RULES)
    expected = sent(ruled(text=TALK))
    assert expected["segments"][0]["rules"] == ["upset", "“sad”"] and expected["overall"]["rules"] == ["upset", "“sad”"]
    assert running.analyze(text=TALK, rules=RULES).json() == expected
    assert running.analyze(text=TALK, rules=ruled.rules.to_text()).json() == expected
    part = {"rules": ("rules.yaml", RULES.encode())}
    assert running.client.post("/v1/analyze", data={"text": TALK}, files=part).json() == expected
    table = {"rules": ("words.csv", b"word,emotion\nsad,anger\n")}
    reply = running.client.post("/v1/analyze", data={"text": TALK}, files=table).json()
    assert reply["segments"][0]["rules"] == ["“sad”"]
    assert "rules" not in running.analyze(text=TALK).json()["overall"]
    own = serve(ruled)
    assert own.analyze(text=TALK).json() == expected
    whole = "so sad. so sad"  # predicted as a whole too
    assert own.analyze(text=whole).json() == sent(ruled(text=whole))
    assert "sets" not in own.analyze(text=TALK, coverage=0.9).json()["overall"]
    (tmp_path / "rules.yaml").write_text(RULES)
    with Client(running.url, rules=tmp_path / "rules.yaml") as model:
        assert model(text=TALK).to_dict() == ruled(text=TALK).to_dict()
    (tmp_path / "rules.yaml").write_text("rules: 3")
    with pytest.raises(DataError, match="has a list under 'rules'"):
        Client(running.url, rules=tmp_path / "rules.yaml")


def test_labels_of_the_request_or_of_the_service_are_answered_by_prototype(
    running, serve, pipeline, short, tmp_path, monkeypatch
):
    monkeypatch.setattr("emofuse.pipeline.prototypes.ALIKE", 2.0)  # of random weights, all are much alike
    given = {"glee": ["this is great"], "gloom": ["so so sad. terrible"]}
    labelled = Pipeline(pipeline.model, pipeline.name, pipeline.options)
    labelled.prototypes = Prototypes(pipeline.model, given)
    expected = sent(labelled(text=TALK))
    assert list(expected["segments"][0]["by_prototype"]) == ["glee", "gloom"]
    assert running.analyze(text=TALK, labels=given).json() == expected
    assert running.analyze(text=TALK, labels=json.dumps(given)).json() == expected
    part = {"labels": ("mine.csv", b"label,text\nglee,this is great\ngloom,so so sad. terrible\n")}
    assert running.client.post("/v1/analyze", data={"text": TALK}, files=part).json() == expected
    words = running.analyze(text=TALK, labels="glee,gloom").json()
    assert list(words["overall"]["by_prototype"]) == ["glee", "gloom"] and words != expected
    assert "by_prototype" not in running.analyze(text=TALK).json()["overall"]
    own = serve(labelled)
    assert own.analyze(text=TALK).json() == expected
    (tmp_path / "mine.csv").write_bytes(part["labels"][1])
    for labels in (given, tmp_path / "mine.csv"):
        with Client(running.url, labels=labels) as model:
            assert model(text=TALK).to_dict() == labelled(text=TALK).to_dict()
            of_clip = {"source": short, "text": "so sad"}
            assert model(**of_clip).to_dict() == labelled(**of_clip).to_dict()
    with pytest.raises(DataError, match="its columns are a; valid: label, text"):
        (tmp_path / "mine.csv").write_text("a\n1\n")
        Client(running.url, labels=tmp_path / "mine.csv")


def test_words_are_masked_before_they_are_sent(running, pipeline):
    for fields, names in (({"mask": True}, []), ({"mask_names": ["mail"]}, ["mail"])):
        reply = running.analyze(text=TALK, **fields)
        assert reply.json() == sent(pipeline(text=TALK).masked(names)) and "0123" not in reply.text
    assert "example.org" not in running.analyze(text=TALK, mask=True, format="full").text
    assert "[email]" in running.analyze(text=TALK, mask=True, format="csv").text


def test_a_job_may_have_acts_and_masks_and_no_video(serve, tmp_path, short):
    running = serve(state=tmp_path / "state")
    job = running.client.post("/v1/jobs", json={"text": TALK, "acts": ACTS, "mask": True}).json()["id"]
    limit = time.monotonic() + 60
    while (reply := running.client.get(f"/v1/jobs/{job}/answer")).status_code == 409:
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert [firing["say"] for firing in reply.json()["acts"]] == ["ANN: sad"] and "0123" not in reply.text
    refused = running.client.post("/v1/jobs", json={"media": inline(short.read_bytes()), "render": True})
    assert refused.status_code == 422 and "POST /v1/analyze" in refused.json()["error"]["message"]


def test_a_video_comes_back_labelled_and_nothing_of_it_stays(running, short, tmp_path, wav):
    plain, blurred = (
        running.client.post("/v1/analyze", files={"file": short.read_bytes()}, data={"render": "true", "blur": blur})
        for blur in ("false", "true")
    )
    assert plain.status_code == blurred.status_code == 200 and plain.headers["content-type"] == "video/mp4"
    (tmp_path / "a.mp4").write_bytes(plain.content)
    info = probe(tmp_path / "a.mp4")
    assert info.has_video and info.has_audio and info.duration == pytest.approx(2.0, abs=0.2)
    assert plain.content != blurred.content and running.left_over == []
    sound = running.client.post("/v1/analyze", files={"file": ("a.wav", wav)}, data={"render": "true"})
    assert sound.status_code == 422 and "the file is none" in sound.json()["error"]["message"]


def test_the_client_has_the_same_by_the_same_names(running, pipeline, acting, short, clip, tmp_path):
    (tmp_path / "acts.yaml").write_text(ACTS)
    with Client(running.url, acts=tmp_path / "acts.yaml", mask=True) as model:
        found, local = model(text=TALK), acting(text=TALK).masked()
        assert found.to_dict() == local.to_dict() and found.acts == local.acts
    with Client(running.url, mask_names=["Ann", "BEN"]) as model:
        assert model(text=TALK).to_dict() == pipeline(text=TALK).masked(["Ann", "BEN"]).to_dict()
    with Client(running.url) as model:
        found, local = (each(clip, start=1.95, end=3.9) for each in (model, pipeline))
        assert found.to_dict() == local.to_dict() and (found.start, found.duration) == (local.start, local.duration)
        assert probe(model.render(short, tmp_path / "out.mp4", blur=True, start=0.5, end=1.5)).duration < 1.3
        with pytest.raises(MediaError, match="channel is '7'; valid: a number from 0 to"):
            model(clip, channel=7)
        with pytest.raises(MediaError, match=r"name it \.mp4"):
            model.render(short, tmp_path / "out.mkv")
        with pytest.raises(MediaError, match="end is 1 s, which is not after start"):
            model.render(short, tmp_path / "none.mp4", start=1, end=1)
    assert not (tmp_path / "none.mp4").exists() and running.left_over == []
    with pytest.raises(DataError, match="do is 'sing'"):
        (tmp_path / "acts.yaml").write_text(ACTS.replace("soothe", "sing"))
        Client(running.url, acts=tmp_path / "acts.yaml")


def test_openapi_describes_all_of_it(running):
    schema = running.client.get("/v1/openapi.json").json()
    post = schema["paths"]["/v1/analyze"]["post"]
    body = post["requestBody"]["content"]
    form, inside = (body[k]["schema"]["properties"] for k in ("multipart/form-data", "application/json"))
    for name in ("start", "end", "channel", "acts", "rules", "labels", "mask", "mask_names", "render", "blur"):
        assert name in form and name in inside and "description" in str(inside[name])
    assert inside["media"]["properties"].keys() == {"base64", "name"} and inside["media"]["required"] == ["base64"]
    assert {len(option) > 0 for option in inside["transcript"]["anyOf"]} == {True}
    assert {"type": "object"} in inside["labels"]["anyOf"] and "anyOf" not in form["labels"]
    assert "video/mp4" in post["responses"]["200"]["content"]
