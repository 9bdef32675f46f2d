"""A corpus's utterances as segments: sound, pictures, video, text, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from emofuse.data.load import load_segment, modalities_of
from emofuse.errors import MediaError
from emofuse.types import Utterance


def utterance(media: Path | None = None, corpus: str = "mine", **fields) -> Utterance:
    return Utterance("u", corpus, "train", "s", media=media, **fields)


def test_sound_between_two_seconds(tmp_path):
    samples = np.linspace(-0.5, 0.5, 32_000, dtype=np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    segment = load_segment(utterance(tmp_path / "a.wav", start=0.5, end=1.5, text="hello there"))
    assert (segment.start, round(segment.end, 3)) == (0.5, 1.5)
    np.testing.assert_allclose(segment.waveform, samples[8_000:24_000], atol=1e-3)
    assert segment.present == {"text", "speech"}
    assert [w.text for w in segment.words] == ["hello", "there"] and segment.words[1].end == pytest.approx(
        1.5, abs=1e-3
    )


def test_a_face_corpus_holds_faces_already_cut_out(tmp_path):
    import cv2

    noise = np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "fer.png"), noise)
    segment = load_segment(utterance(tmp_path / "fer.png", corpus="ferplus", face_crop=True))
    assert segment.present == {"face"}
    assert segment.faces[0].crops.shape == (1, 48, 48, 3)
    np.testing.assert_array_equal(segment.faces[0].crops[0, :, :, 0], noise)


@pytest.mark.slow
def test_in_any_other_picture_a_face_is_looked_for(tmp_path):
    import cv2
    from skimage.data import astronaut, coffee

    cv2.imwrite(str(tmp_path / "face.png"), astronaut()[:, :, ::-1])
    cv2.imwrite(str(tmp_path / "none.png"), coffee()[:, :, ::-1])
    assert load_segment(utterance(tmp_path / "face.png")).present == {"face"}
    assert load_segment(utterance(tmp_path / "none.png")).present == set()


def test_a_video_gives_voice_and_face_in_one_pass(real_clip):
    segment = load_segment(utterance(real_clip))
    assert segment.present == {"speech", "face"}
    assert segment.end == pytest.approx(3.3, abs=0.3)
    assert len(segment.waveform) / 16_000 == pytest.approx(segment.end, abs=0.3)
    part = load_segment(utterance(real_clip, start=1.0, end=2.0))
    assert len(part.waveform) == pytest.approx(16_000, abs=1_600)
    assert all(1.0 <= t < 2.05 for track in part.faces for t in track.times)


def test_features_stand_in_place_of_media(tmp_path):
    rows = {name: np.full((1, width), width, np.float32) for name, width in (("text", 3), ("audio", 2), ("video", 1))}
    np.savez(tmp_path / "f.npz", name=np.array(["u"]), valence=np.zeros(1, np.float32), **rows)
    segment = load_segment(utterance(tmp_path / "f.npz", text="good"))
    assert segment.present == {"text"}
    assert {m: values.tolist() for m, values in segment.features.items()} == {
        "text": [3, 3, 3], "speech": [2, 2], "face": [1],
    }  # fmt: skip
    assert set(segment.without("speech").features) == {"text", "face"}


def test_what_an_utterance_has_is_told_from_its_file():
    def told(name: str | None, text: str | None = None) -> frozenset[str]:
        return modalities_of(utterance(Path(name) if name else None, text=text))

    assert told("a.png") == {"face"}
    assert told("a.FLAC", "hello") == {"speech", "text"}
    assert told("a.aac") == {"speech"}
    assert told("a.tif") == {"face"} and told("a.sph") == {"speech"}
    assert told("a.mp4") == {"speech", "face"}
    assert told(None, "hello") == {"text"}
    assert told("a.npz") == {"text", "speech", "face"}


def test_media_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"not sound")
    with pytest.raises(MediaError):
        load_segment(utterance(tmp_path / "a.wav"))
    with pytest.raises(MediaError):
        load_segment(utterance(tmp_path / "gone.wav"))


def test_words_without_times_share_the_time_as_they_do_in_a_clip(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(48_000, np.float32), 16_000)
    words = load_segment(utterance(tmp_path / "a.wav", text="a bbb")).words
    assert [w.text for w in words] == ["a", "bbb"]
    assert [w.end for w in words] == pytest.approx([1.0, 3.0], abs=0.01)


def test_scripts_without_spaces_are_cut_by_character():
    assert [w.text for w in load_segment(utterance(text="我很高兴!")).words] == ["我", "很", "高", "兴!"]
