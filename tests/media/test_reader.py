"""The reader: whatever is handed in becomes segments, in order, with notes on what was absent and why."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from emofuse.errors import MediaError
from emofuse.media.clip import open_clip
from emofuse.media.decode import read_audio
from emofuse.media.faces.collect import WHOLE_PICTURE, FaceOptions
from emofuse.media.reader import READ_ALOUD, SPREAD, MediaOptions, SegmentReader, segments
from emofuse.types import SAMPLE_RATE, Segment

SENTENCE = "Kids are talking by the door."


def run(*args: object, **how: object) -> tuple[list[Segment], list[str]]:
    notes: list[str] = []
    found = list(segments(*args, notes=notes, **how))  # type: ignore[arg-type]
    for before, after in itertools.pairwise(found):
        assert before.end <= after.start + 1e-6
    for segment in found:
        assert segment.present
        if segment.waveform is not None:
            assert segment.waveform.dtype == np.float32
            assert segment.waveform.size == pytest.approx((segment.end - segment.start) * SAMPLE_RATE, abs=2)
        for word in segment.words or ():
            assert segment.start - 0.01 <= (word.start + word.end) / 2 <= segment.end + 0.01
        for track in segment.faces:
            assert ((track.times >= segment.start) & (track.times <= segment.end)).all()
            assert len(track.crops) <= 8
    assert len({segment.id for segment in found}) == len(found)
    return found, notes


@pytest.fixture(scope="module")
def voice(real_clip: Path) -> np.ndarray:
    """3.3 s of sound in which a sentence is said from 1.0 to 2.5 s."""
    return read_audio(real_clip)


@pytest.fixture
def film(make: SimpleNamespace, voice: np.ndarray, portrait: np.ndarray):
    """Writes a video of the portrait's face and the sentence, said `repeats` times."""
    picture = portrait[0:240, 60:380]

    def write(name: str, repeats: int = 2, **how: object) -> Path:
        sound = np.tile(voice, repeats)[None]
        seconds = sound.shape[1] / SAMPLE_RATE
        arguments: dict = {
            "sound": sound,
            "rate": SAMPLE_RATE,
            "pictures": lambda t: picture,
            "times": make.times(seconds, 10),
        }
        return make.clip(name, **(arguments | how))

    return write


def test_the_real_clip(real_clip: Path) -> None:
    (segment,), notes = run(real_clip)
    assert segment.present == {"speech", "face"}
    assert segment.start == pytest.approx(1.0, abs=0.1) and segment.end == pytest.approx(2.5, abs=0.15)
    assert notes == ["no transcript was given and no speech recogniser (extra asr): text is absent"]


def test_a_video_in_one_pass(film) -> None:
    found, notes = run(film("two.mp4"))
    assert [s.present for s in found] == [{"speech", "face"}] * 2
    assert found[1].start - found[0].start == pytest.approx(3.3, abs=0.15)
    assert {track.person for s in found for track in s.faces} == {0}
    assert notes == ["no transcript was given and no speech recogniser (extra asr): text is absent"]


@pytest.mark.slow
def test_words_without_times_are_spread_over_the_speech(film) -> None:
    path = film("two.mkv")
    for how in ({"transcript": f"{SENTENCE} {SENTENCE}"}, {"text": f"{SENTENCE} {SENTENCE}"}):
        found, notes = run(path, **how)
        assert [s.present for s in found] == [{"text", "speech", "face"}] * 2
        assert [" ".join(w.text for w in s.words or ()) for s in found] == [SENTENCE] * 2
        assert found[1].context == (SENTENCE,)
        assert notes == [SPREAD]


@pytest.mark.slow
def test_cues_with_times_cut_the_clip(film, tmp_path: Path) -> None:
    srt = tmp_path / "two.srt"
    srt.write_text(
        f"1\n00:00:00,900 --> 00:00:02,600\nANNA: {SENTENCE}\n\n2\n00:00:04,200 --> 00:00:06,000\nBOB: Hm.\n\n"
        "3\n00:01:00,000 --> 00:01:01,000\nBOB: after the end\n"
    )
    for given in (srt, str(srt), srt.read_text()):
        found, notes = run(film("two.webm"), transcript=given)
        assert [(s.start, s.end) for s in found] == [(0.9, 2.6), (4.2, 6.0)]
        assert [s.present for s in found] == [{"text", "speech", "face"}] * 2
        assert found[0].context == () and found[1].context == (f"ANNA: {SENTENCE}",)
        assert [note.code for note in notes] == ["cues_after_end", "quiet"]
        assert notes[0].startswith("1 parts of the transcript begin after the clip's end (6.6 s)")


def test_seven_subsets(film, make: SimpleNamespace, voice: np.ndarray, portrait: np.ndarray) -> None:
    sound, still = (SAMPLE_RATE, voice), portrait[0:240, 60:380]
    for how, present in [
        ({"text": SENTENCE}, {"text"}),
        ({"audio": sound}, {"speech"}),
        ({"image": still}, {"face"}),
        ({"text": SENTENCE, "audio": sound}, {"text", "speech"}),
        ({"text": SENTENCE, "image": still}, {"text", "face"}),
        ({"audio": sound, "image": still}, {"speech", "face"}),
        ({"text": SENTENCE, "audio": sound, "image": still}, {"text", "speech", "face"}),
    ]:
        found, _ = run(**how)
        assert len(found) == 1 and found[0].present == present


def test_text_alone_is_cut_by_sentences() -> None:
    text = "I can't believe it! " * 3 + "Oh. " + "No end " * 60
    found, notes = run(text=text)
    said = [" ".join(w.text for w in s.words or ()) for s in found]
    assert said[:3] == ["I can't believe it!"] * 2 + ["I can't believe it! Oh."]
    assert len(said) > 4 and all(s.end - s.start < 10.5 for s in found)
    assert " ".join(said).split() == text.split()
    assert found[2].context == tuple(said[:2])
    assert notes == [READ_ALOUD, "no sound was given: speech is absent", "no picture was given: face is absent"]


def test_text_files(tmp_path: Path) -> None:
    for name, text, start in (
        ("a.txt", SENTENCE, 0.0),
        ("a.srt", f"1\n00:00:07,000 --> 00:00:09,000\n{SENTENCE}\n", 7.0),
        ("a.vtt", f"WEBVTT\n\n00:07.000 --> 00:09.000\n{SENTENCE}\n", 7.0),
    ):
        path = tmp_path / name
        path.write_text(text)
        (segment,), _ = run(path)
        assert segment.start == start and [w.text for w in segment.words or ()] == SENTENCE.split()


def test_dialogue_keeps_its_speakers_as_context() -> None:
    found, _ = run(transcript="ANNA: I never want to see you again.\nBOB: Please wait a moment.\nANNA: Why should I?")
    assert [s.context for s in found][-1] == ("ANNA: I never want to see you again.", "BOB: Please wait a moment.")
    found, notes = run(text="ANNA: I never want to see you again.\nBOB: Please wait a moment.\nANNA: Why should I?")
    assert "what stands before a colon was taken for who speaks, not for words: ANNA, BOB" in notes
    assert [s.context for s in found][-1] == ("ANNA: I never want to see you again.", "BOB: Please wait a moment.")
    assert [w.text for w in found[1].words or ()] == ["Please", "wait", "a", "moment."]
    found, _ = run(text="One sentence here. " * 6, options=MediaOptions(context=0))
    assert {s.context for s in found} == {()}


def test_a_text_is_never_a_path_nor_a_path_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hello.txt").write_text("inside the file")
    found, _ = run(text="hello.txt")
    assert [w.text for w in found[0].words or ()] == ["hello.txt"]
    with pytest.raises(MediaError, match="I am so glad: there is no such file"):
        run("I am so glad")


def test_stills(tmp_path: Path, portrait: np.ndarray) -> None:
    path = tmp_path / "face.jpg"
    Image.fromarray(portrait).save(path)
    (segment,), notes = run(path)
    assert (segment.start, segment.end, segment.present) == (0.0, 0.0, {"face"})
    assert notes[0].startswith("no words were given") and "no sound was given: speech is absent" in notes
    renamed = tmp_path / "face.mp4"
    renamed.write_bytes(path.read_bytes())
    assert run(renamed)[0][0].present == {"face"}
    (segment,), notes = run(image=np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8))
    assert WHOLE_PICTURE in notes and segment.present == {"face"}


def test_nothing_to_go_by_is_said(make: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (1, SAMPLE_RATE * 5)).astype(np.float32)
    video = make.clip("empty.mp4", sound=noise, rate=SAMPLE_RATE, pictures=make.picture, times=make.times(5.0, 5))
    found, notes = run(video)
    assert found == []
    assert notes[1].startswith("no speech found in the sound (options.voice='always'")
    assert notes[2] == "no face found: face is absent"
    assert notes[3].endswith("there are no segments")
    found, notes = run(audio=(8_000, np.zeros(40_000, np.int16)))
    assert found == [] and "the sound is silent: speech is absent" in notes
    found, notes = run(text="  \n ")
    assert found == [] and notes[0] == "the transcript holds no words within the clip: text is absent"


def test_voice_always_takes_all_sound_but_silence() -> None:
    rng = np.random.default_rng(0)
    sound = np.concatenate([rng.normal(0, 0.1, SAMPLE_RATE * 8), np.zeros(SAMPLE_RATE * 8)]).astype(np.float32)
    found, _ = run(audio=(SAMPLE_RATE, sound), options=MediaOptions(voice="always"))
    assert [(s.start, s.end) for s in found] == [(0.0, 4.0), (4.0, 8.0)]
    assert all(s.present == {"speech"} for s in found)


@pytest.mark.slow
def test_a_video_without_sound_is_cut_into_windows_where_a_face_is(film) -> None:
    found, notes = run(film("silent.mp4", sound=None))
    assert [s.present for s in found] == [{"face"}] * len(found) and found
    assert "the file has no audio track: speech is absent" in notes
    found, _ = run(film("said.mp4", sound=None), text=SENTENCE)
    assert found[0].present == {"text", "face"}


def test_sound_without_pictures(make: SimpleNamespace, voice: np.ndarray) -> None:
    (segment,), notes = run(make.clip("voice.mp3", sound=voice[None], rate=SAMPLE_RATE), transcript=SENTENCE)
    assert segment.present == {"text", "speech"}
    assert "the file has no video track: face is absent" in notes


def test_one_frame_of_a_face(film, portrait: np.ndarray) -> None:
    (segment,), _ = run(film("one.mp4", sound=None, times=[0.0]))
    assert segment.present == {"face"} and segment.end == pytest.approx(0.1, abs=0.08)


def test_silent_faces_between_speech_get_windows(film, voice: np.ndarray) -> None:
    quiet = np.concatenate([voice, np.zeros(SAMPLE_RATE * 7, np.float32), voice])[None]
    found, _ = run(film("pause.mkv", sound=quiet, times=[i / 5 for i in range(round(quiet.size / SAMPLE_RATE * 5))]))
    present = [frozenset(s.present) for s in found]
    assert present[0] == present[-1] == {"speech", "face"}
    assert len(present) >= 3 and set(present[1:-1]) == {frozenset({"face"})}


@pytest.mark.slow
def test_sound_that_ends_early_and_sound_that_comes_late(film, voice: np.ndarray, make: SimpleNamespace) -> None:
    found, _ = run(film("early.mkv", sound=voice[None], times=[i / 5 for i in range(200)]))
    assert found[0].present == {"speech", "face"}
    assert found[-1].end == pytest.approx(40.0, abs=0.3) and found[-1].present == {"face"}
    found, _ = run(film("late.mkv", sound=voice[None], sound_start=5.0, times=[i / 5 for i in range(42)]))
    spoken = [s for s in found if "speech" in s.present]
    assert len(spoken) == 1 and spoken[0].start == pytest.approx(6.0, abs=0.2)


def test_a_single_picture_under_long_sound(film, voice: np.ndarray) -> None:
    """A still with speech: the picture is on the screen until the end, and so is the face in it."""
    path = film("cover.mkv", times=[0.0], sound=np.tile(voice, 8)[None])
    found, notes = run(path)
    assert len(found) == 8 and all(s.present == {"speech", "face"} for s in found)
    assert {track.person for s in found for track in s.faces} == {0}
    assert [note for note in notes if "face" in note or "cut off" in note] == []


def test_progress_reaches_the_end(film) -> None:
    told: list[tuple[float, float | None]] = []
    list(segments(film("two.mp4"), progress=lambda done, total: told.append((done, total))))
    done = [d for d, _ in told]
    assert done == sorted(done) and done[-1] == pytest.approx(6.6, abs=0.1)
    assert told[0][1] == pytest.approx(6.6, abs=0.1) and len(told) > 8


def test_damage_is_noted(film) -> None:
    path = film("broken.ts", times=[i / 10 for i in range(66)])
    data = bytearray(path.read_bytes())
    for share in (0.4, 0.6):
        begin = int(len(data) * share)
        data[begin : begin + 3000] = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes()
    path.write_bytes(bytes(data))
    found, notes = run(path)
    assert found and any("damaged" in note for note in notes)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "nothing was handed in; valid: the path of a video"),
        ({"text": 3}, "text is a string, not int"),
        ({"text": "a", "transcript": "b"}, r"text= and transcript= were both given; give one of them"),
        (
            {"audio": np.zeros(9)},
            r"audio is a pair \(rate in Hz, array\), not ndarray; say the rate it was",
        ),
        ({"audio": (16_000, np.full(99, np.nan))}, "99 samples that are NaN"),
        ({"transcript": 5}, "a transcript is a string or a path, not int"),
        ({"transcript": "none.srt"}, "there is no such file"),
        ({"image": np.zeros(3)}, r"an array of shape \(3,\) is not a picture; give \(height, width, 3\)"),
    ],
)
def test_wrong_input_is_refused_at_the_call(how: dict, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        segments(**how)


def test_wrong_files_are_refused_at_the_call(tmp_path: Path, real_clip: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("hello")
    with pytest.raises(MediaError, match="is a text, and text= or transcript= was given too"):
        segments(text, text="b")
    for name, given in (("audio", (16_000, np.zeros(99, np.int16))), ("image", np.zeros((9, 9, 3), np.uint8))):
        with pytest.raises(MediaError, match=f"source= and {name}= were both given"):
            segments(real_clip, **{name: given})
    with pytest.raises(MediaError, match="there is no such file"):
        segments(tmp_path / "none.mp4")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_clip(film) -> None:
    """What the reader keeps, and what Python holds at its peak, is the same for one minute as for four."""
    peaks = []
    for repeats in (18, 72):
        clip = open_clip(film(f"long{repeats}.mkv", repeats, times=[float(t) for t in range(int(3.3 * repeats))]))
        reader = SegmentReader(clip, MediaOptions(faces=FaceOptions(frame_interval=1.0)), [], None)
        tracemalloc.start()
        count = 0
        for segment in reader.timed():
            count += 1
            assert reader.sound.seconds <= 15.0
            assert sum(len(crops) for crops in reader.faces._crops.values()) <= 15
            assert len(reader.cutter._waiting) <= 4
            assert segment.end - segment.start <= 10.5
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count >= repeats
    assert peaks[1] <= 1.25 * peaks[0]
