"""Whatever is handed in comes out as an analysis, or as an error that says what to do."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import av
import numpy as np
import pytest

import emofuse
from emofuse.errors import CheckpointError, EmofuseError, MediaError, MissingExtraError
from emofuse.media.transcript import read_transcript
from emofuse.modalities import MODALITIES
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.pipeline import Pipeline
from emofuse.runtime.backend import choose_device
from emofuse.tasks import EMOTIONS

SUBSETS = [s for n in (1, 2, 3) for s in combinations(MODALITIES, n)]


def assert_valid(p):
    assert set(p.emotions) == set(EMOTIONS) and sum(p.emotions.values()) == pytest.approx(1, abs=1e-5)
    assert sum(p.polarity.values()) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(p.embedding) == pytest.approx(1, abs=1e-5)
    assert 0 <= p.intensity <= 1 and p.valence is None and p.arousal is None
    assert set(p.by_modality) == set(p.present) and p.start <= p.end


def assert_alike(one, other):
    assert (one.start, one.end, one.person, one.present) == (other.start, other.end, other.person, other.present)
    assert one.emotions == pytest.approx(other.emotions, abs=1e-5)


@pytest.mark.slow
def test_a_clip_with_its_words(whole, sample, words):
    assert whole.source == str(sample) and whole.model == "tiny"
    assert whole.duration == pytest.approx(6.56, abs=0.1)
    assert [p.present for p in whole.segments] == [{"text", "speech", "face"}] * 3
    assert [whole.words_of(p) for p in whole.segments] == [cue.text for cue in read_transcript(words).cues]
    assert len({p.person for p in whole.segments}) == 1
    for p in [whole.overall, *whole.segments]:
        assert_valid(p)


def test_a_clip_without_words_says_so(pipeline, sample):
    result = pipeline(sample)
    assert {"speech", "face"} <= result.overall.present and "text" not in result.overall.present
    assert result.transcript is None and any("text is absent" in note for note in result.notes)


def test_a_real_clip(pipeline, real_clip):
    result = pipeline(real_clip)
    assert any({"speech", "face"} <= p.present for p in result.segments)
    assert any("text is absent" in note for note in result.notes)
    assert_valid(result.overall)


@pytest.mark.parametrize("kept", SUBSETS, ids="+".join)
def test_each_subset_of_modalities_gives_a_valid_prediction(pipeline, voice, face, kept):
    given = {"text": "I am so happy!", "audio": voice, "image": face}
    names = {"text": "text", "speech": "audio", "face": "image"}
    result = pipeline(**{names[m]: given[names[m]] for m in kept})
    assert result.overall.present == set(kept) and result.source is None
    for p in [result.overall, *result.segments]:
        assert_valid(p)
    for m in set(MODALITIES) - set(kept):
        assert any(f"{m} is absent" in note for note in result.notes)


def test_stereo_int16_from_a_microphone_equals_the_waveform(pipeline, voice):
    rate, samples = voice
    integers = np.round(np.stack([samples, samples], axis=1) * 32767).astype(np.int16)
    one, other = pipeline(audio=voice), pipeline(audio=(rate, integers))
    assert one.overall.emotions == pytest.approx(other.overall.emotions, abs=1e-3)


def test_a_stream_gives_what_the_call_gives(pipeline, whole, sample, words):
    streamed = list(pipeline.stream(sample, transcript=words))
    assert len(streamed) == len(whole.segments)
    for one, other in zip(streamed, whole.segments, strict=True):
        assert_alike(one, other)


def test_a_stream_speaks_before_the_clip_is_read(pipeline, sample, words, monkeypatch):
    read = []
    whole_stream = emofuse.media.clip.stream  # type: ignore[attr-defined]

    def watched(*args, **options):
        for item in whole_stream(*args, **options):
            read.append(item)
            yield item

    monkeypatch.setattr("emofuse.media.clip.stream", watched)
    predictions = pipeline.stream(sample, transcript=words)
    assert not read, "nothing is decoded before it is asked for"
    first = next(predictions)
    after_first = len(read)
    assert first.end < 2.5 and len(list(predictions)) == 2 and after_first < 0.7 * len(read)


@pytest.mark.slow
def test_many_files_in_order_with_errors_in_their_place(pipeline, sample, whole, bad, capsys):
    paths = [bad["zero bytes"][0], sample, bad["missing"][0], str(sample), bad["not media"][0]]
    results = pipeline.predict_many(paths, batch_size=4, sidecars=False)
    assert [type(r) for r in results] == [MediaError, Analysis, MediaError, Analysis, MediaError]
    alone = pipeline(sample)
    for result in (results[1], results[3]):
        assert len(result.segments) == len(alone.segments) and result.notes == alone.notes
        for one, other in zip(result.segments, alone.segments, strict=True):
            assert_alike(one, other)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "", "the bar is for terminals"
    assert pipeline.predict_many([]) == []


def test_several_people(pipeline, face, voice):
    small = face[::2, ::2]
    pair = np.full((480, 1100, 3), 255, np.uint8)
    pair[:, :640] = face
    pair[120 : 120 + small.shape[0], 700 : 700 + small.shape[1]] = small
    result = pipeline(image=pair, audio=voice, text="I am so happy!")
    at_once = [p for p in result.segments if p.start == result.segments[0].start]
    assert [p.present for p in at_once] == [{"text", "speech", "face"}, {"face"}]
    assert len({p.person for p in at_once}) == 2
    assert result.words_of(at_once[0]) and not result.words_of(at_once[1])
    assert any("several people are in view" in note for note in result.notes)


def test_a_string_is_never_guessed_to_be_something_else(pipeline, sample):
    assert pipeline(text=str(sample)).overall.present == {"text"}
    with pytest.raises(MediaError, match="cannot read I can't believe it!: there is no such file"):
        pipeline("I can't believe it!")


def test_nothing_to_predict_is_an_analysis_that_says_why(pipeline, tmp_path):
    path = tmp_path / "one.mp4"
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=25)
        track.width, track.height, track.pix_fmt = 320, 240, "yuv420p"
        container.mux(track.encode(av.VideoFrame.from_ndarray(np.zeros((240, 320, 3), np.uint8), format="rgb24")))
        container.mux(track.encode(None))
    silence = (16_000, np.zeros(32_000, np.float32))
    for result in (pipeline(path), pipeline(audio=silence), pipeline(text=" ")):
        assert result.segments == [] and result.overall is None
        assert any("nothing was found to go by" in note for note in result.notes)
        assert {m for m in MODALITIES for note in result.notes if f"{m} is absent" in note} == set(MODALITIES)


def test_one_frame_with_a_face_is_enough(pipeline, face, tmp_path):
    path = tmp_path / "one.mp4"
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=25)
        track.height, track.width, track.pix_fmt = (*face.shape[:2], "yuv420p")
        container.mux(track.encode(av.VideoFrame.from_ndarray(face, format="rgb24")))
        container.mux(track.encode(None))
    result = pipeline(path)
    assert [p.present for p in result.segments] == [{"face"}]
    assert_valid(result.overall)


@pytest.mark.parametrize("kind", ["not media", "truncated", "zero bytes", "long text", "folder", "missing"])
def test_a_bad_file_is_a_clear_error(pipeline, bad, kind):
    path, message = bad[kind]
    with pytest.raises(MediaError, match=message):
        pipeline(path)


def test_a_clip_cut_off_in_the_middle_is_predicted_as_far_as_it_goes(pipeline, sample, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(sample.read_bytes()[:120_000])
    result = pipeline(path)
    assert 0 < result.duration < 6 and result.segments
    assert any("it was cut off or is damaged" in note for note in result.notes)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"audio": (16_000, np.full(16_000, np.nan, np.float32))}, "samples that are NaN or infinite"),
        ({"audio": (44_100.5, np.zeros(100))}, "sampling rate of 44100.5 Hz is not usable"),
        ({"audio": (16_000, np.zeros(0, np.int16))}, "the array of sound is empty"),
        ({"image": np.zeros((4, 4, 7), np.uint8)}, r"an array of shape \(4, 4, 7\) is not a picture; give"),
        ({"text": "a", "transcript": "b"}, "give one of them"),
        ({}, "nothing was handed in; valid: "),
    ],
)
def test_bad_input_in_memory_is_a_clear_error(pipeline, inputs, message):
    with pytest.raises(MediaError, match=message):
        pipeline(**inputs)


def test_nothing_is_written(pipeline, sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    beside = sorted(sample.parent.iterdir())
    pipeline(sample)
    assert not list(tmp_path.rglob("*")) and sorted(sample.parent.iterdir()) == beside


def test_a_batch_of_nobody_is_refused(pipeline):
    with pytest.raises(ValueError, match="batch_size is a whole number from 1 on, not 0"):
        pipeline(text="so happy", batch_size=0)


def test_a_model_of_another_schema_is_a_clear_error(pipeline, tmp_path):
    folder = pipeline.model.save_pretrained(tmp_path / "later")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(CheckpointError, match="schema_version 2, this emofuse reads 1; upgrade emofuse"):
        emofuse.load(folder)


def test_a_saved_model_comes_back_as_it_was(pipeline, whole, sample, words, tmp_path):
    loaded = emofuse.load(pipeline.model.save_pretrained(tmp_path / "again"), device="cpu")
    assert isinstance(loaded, Pipeline) and loaded.name == "again"
    result = loaded(sample, transcript=words)
    for one, other in zip(result.segments, whole.segments, strict=True):
        assert_alike(one, other)


def test_a_model_without_a_modality_says_what_it_did_not_read(tiny_config, face):
    from emofuse.model.model import EmotionModel

    config = tiny_config.model_copy(update={"encoders": {m: tiny_config.encoders[m] for m in ("speech", "face")}})
    model = Pipeline(EmotionModel(config), name="deaf to words")
    result = model(image=face, text="I am so happy!")
    assert result.overall.present == {"face"}
    assert "text was there, but this model does not read it" in result.notes
    alone = model(text="I am so happy!")
    assert alone.overall is None and "nothing was left that this model reads" in alone.notes[-1]


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'emofuse\[asr\]'"):
        emofuse.load(tmp_path, asr="small")


def test_devices(monkeypatch):
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps", "xpu")
    with pytest.raises(EmofuseError, match="cannot compute on 'toaster'; valid here: auto, cpu"):
        choose_device("toaster")


@pytest.mark.slow
def test_options_reach_the_media(pipeline, sample):
    options = replace(pipeline.options, segment=replace(pipeline.options.segment, longest=2.0))
    shorter = Pipeline(pipeline.model, options=options)(sample)
    assert max(p.end - p.start for p in shorter.segments) <= 2.0 + 1e-6 < pipeline(sample).duration
