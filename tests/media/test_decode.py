"""One pass over real files of every container: what comes out, when, and what an unreadable file says."""

from __future__ import annotations

import contextlib
import gc
import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from emofuse.errors import MediaError
from emofuse.media.clip import open_clip
from emofuse.media.decode import AudioBlock, VideoFrame, probe, read_audio, stream
from emofuse.media.formats import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from emofuse.media.limits import UNLIMITED
from emofuse.media.tracks import AudioTrack, opened_track
from emofuse.notes import Note
from emofuse.types import SAMPLE_RATE

WITH_VIDEO = [
    *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".ts", ".wmv"),
    *(".3gp", ".vob", ".m2ts", ".ogv", ".mxf"),
]
PICTURES_ONLY = [".gif", ".h264", ".hevc", ".mjpeg", ".y4m"]
SOUND_ONLY = [
    *(".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".wma"),
    *(".mp2", ".mka", ".ac3", ".caf", ".au", ".wv", ".tta", ".w64", ".voc"),
]


def split(items) -> tuple[list[AudioBlock], list[VideoFrame]]:
    items = list(items)
    return [i for i in items if isinstance(i, AudioBlock)], [i for i in items if isinstance(i, VideoFrame)]


def frequency(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(spectrum) * SAMPLE_RATE / samples.size)


@pytest.mark.parametrize("suffix", WITH_VIDEO)
def test_every_video_container(make: SimpleNamespace, suffix: str) -> None:
    path = make.clip(f"clip{suffix}", sound=make.tone(2.0, channels=2), pictures=make.picture, times=make.times(2.0))
    info = probe(path)
    assert info.name == path.name
    assert info.has_audio and info.has_video
    assert (info.width, info.height, info.channels, info.sample_rate) == (160, 120, 2, 48_000)
    assert info.duration == pytest.approx(2.0, abs=0.15)
    notes: list[str] = []
    sound, pictures = split(stream(path, notes=notes))
    assert notes == []
    assert len(pictures) in (49, 50)
    assert np.all(np.diff([f.time for f in pictures]) > 0)
    assert pictures[-1].time == pytest.approx(1.96, abs=0.1)
    assert pictures[0].rgb.shape == (120, 160, 3)
    assert pictures[0].rgb[60, 40, 0] > 200 and pictures[0].rgb[60, 120, 2] > 200
    samples = np.concatenate([b.samples for b in sound])
    assert samples.size / SAMPLE_RATE == pytest.approx(2.0, abs=0.1)
    assert frequency(samples[8000:24000]) == pytest.approx(440, abs=2)
    assert np.abs(samples[8000:24000]).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("suffix", SOUND_ONLY)
def test_every_sound_container(make: SimpleNamespace, suffix: str) -> None:
    path = make.clip(f"clip{suffix}", sound=make.tone(2.0))
    info = probe(path)
    assert info.has_audio and not info.has_video
    assert info.duration == pytest.approx(2.0, abs=0.15)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert samples.size / SAMPLE_RATE == pytest.approx(2.0, abs=0.06)
    assert frequency(samples[8000:24000]) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("suffix", PICTURES_ONLY)
def test_every_kind_of_pictures_without_sound(make: SimpleNamespace, suffix: str) -> None:
    """Rows of pictures without a container have no seconds: every one is counted, and none is taken for a still."""
    path = make.clip(f"clip{suffix}", pictures=make.picture, times=make.times(2.0))
    info, notes = probe(path), []
    assert info.has_video and not info.has_audio and info.duration == pytest.approx(2.0, abs=0.1)
    _, pictures = split(stream(path, notes=notes, frame_interval=0.2))
    assert [picture.time for picture in pictures] == pytest.approx(np.arange(0, 2, 0.2), abs=0.02) and notes == []
    assert pictures[0].rgb[60, 40, 0] > 200 and pictures[0].rgb[60, 120, 2] > 200


def test_telephone_sound(make: SimpleNamespace) -> None:
    path = make.clip("clip.amr", sound=make.tone(2.0, rate=8_000), rate=8_000)
    assert probe(path).duration == pytest.approx(2.0, abs=0.05)
    assert frequency(read_audio(path)[8000:24000]) == pytest.approx(440, abs=2)


def test_sphere_sound(make: SimpleNamespace, tmp_path: Path) -> None:
    fields = ["NIST_1A", "   1024", "sample_rate -i 16000", "channel_count -i 1", "sample_n_bytes -i 2"]
    fields += ["sample_byte_format -s2 01", "sample_count -i 32000", "sample_coding -s3 pcm", "end_head", ""]
    samples = (make.tone(2.0, rate=16_000)[0] * 2**15).astype("<i2")
    path = tmp_path / "clip.sph"
    path.write_bytes("\n".join(fields).encode().ljust(1024) + samples.tobytes())
    assert read_audio(path) == pytest.approx(samples / 2**15, abs=1e-4)


def test_every_suffix_the_package_claims_was_tried() -> None:
    aliases = {".m4v": ".mp4", ".mpeg": ".mpg", ".aif": ".aiff", ".mts": ".m2ts", ".oga": ".ogg"}
    assert {aliases.get(s, s) for s in VIDEO_SUFFIXES} == {*WITH_VIDEO, *PICTURES_ONLY}
    assert {aliases.get(s, s) for s in AUDIO_SUFFIXES} == {*SOUND_ONLY, ".amr", ".sph", ".gsm"}


def test_a_telephone_recording_has_no_header_and_is_read_by_its_name(tmp_path: Path) -> None:
    """A second of silence in GSM 06.10: 33 bytes for 20 ms."""
    frame = bytes.fromhex("d820a2e15a" + "50004924924924" * 4)
    (tmp_path / "call.gsm").write_bytes(frame * 50)
    sound = read_audio(tmp_path / "call.gsm")
    assert sound.size == SAMPLE_RATE and np.abs(sound).max() < 0.01


def test_blocks_are_short_and_join_without_gap(make: SimpleNamespace) -> None:
    path = make.clip("long.flac", sound=make.tone(7.3, rate=44_100), rate=44_100)
    sound, _ = split(stream(path))
    assert all(0 < b.samples.size <= SAMPLE_RATE for b in sound)
    assert sound[0].start == 0.0
    for before, after in itertools.pairwise(sound):
        assert after.start == pytest.approx(before.end, abs=1e-9)
    assert sound[-1].end == pytest.approx(7.3, abs=1e-3)


def test_wav_is_read_to_the_sample(make: SimpleNamespace) -> None:
    wave = make.tone(1.0, rate=SAMPLE_RATE)
    path = make.clip("exact.wav", sound=wave, rate=SAMPLE_RATE)
    np.testing.assert_allclose(read_audio(path), wave[0], atol=2 / 2**15)


def test_part_of_a_file_is_that_part_of_the_whole(make: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    noise = np.cumsum(rng.normal(0, 0.02, (1, 48_000 * 6)), axis=1).astype(np.float32)
    noise -= np.convolve(noise[0], np.ones(200) / 200, mode="same").astype(np.float32)
    noise = np.clip(noise, -0.9, 0.9)
    for name in ("a.flac", "a.wav", "a.mkv"):
        how = {"pictures": make.picture, "times": make.times(6.0)} if name.endswith("mkv") else {}
        path = make.clip(name, sound=noise, **how)
        whole = read_audio(path)
        part = read_audio(path, 2.5, 4.25)
        assert part.size == round(1.75 * SAMPLE_RATE)
        np.testing.assert_allclose(part, whole[40_000:68_000], atol=2e-3)
        assert read_audio(path, 5.5).size == pytest.approx(0.5 * SAMPLE_RATE, abs=50)
        assert read_audio(path, 100.0).size == 0


def test_parts_of_a_video_keep_the_clip_s_seconds(make: SimpleNamespace) -> None:
    path = make.clip("c.mp4", sound=make.tone(6.0), pictures=make.picture, times=make.times(6.0))
    sound, pictures = split(stream(path, start=3.0, end=4.0))
    assert sound[0].start == 3.0 and sound[-1].end == pytest.approx(4.0)
    assert [f.time for f in pictures] == pytest.approx([3.0 + i / 25 for i in range(25)], abs=1e-3)


def test_frames_not_asked_for_are_not_there(make: SimpleNamespace) -> None:
    path = make.clip("c.mkv", pictures=make.picture, times=make.times(4.0))
    _, pictures = split(stream(path, frame_interval=0.5))
    times = np.array([f.time for f in pictures])
    assert len(times) in (7, 8)
    assert np.abs(times - np.arange(len(times)) * 0.5).max() <= 0.16
    assert not any("rgb" in vars(f) for f in pictures)


def test_variable_frame_rate_goes_by_timestamps(make: SimpleNamespace) -> None:
    times = [0.0, 0.04, 0.08, 1.0, 1.04, 2.5, 3.9]
    path = make.clip("vfr.mkv", pictures=make.picture, times=times)
    assert [f.time for f in split(stream(path))[1]] == pytest.approx(times, abs=2e-3)
    thinned = [f.time for f in split(stream(path, frame_interval=0.1))[1]]
    assert thinned == pytest.approx([0.0, 1.0, 2.5, 3.9], abs=2e-3)


def test_a_picture_is_gone_once_nobody_holds_it(make: SimpleNamespace) -> None:
    """Without waiting for the collector of cycles: it comes by seldom, and each picture is a megabyte and more."""
    path = make.clip("clip.mp4", pictures=make.picture, times=make.times(2.0), rotation=90)

    def alive() -> int:
        return sum(type(held) is av.VideoFrame for held in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = alive()
        assert [picture.width for picture in stream(path) if isinstance(picture, VideoFrame)].count(120) >= 49
        assert alive() - before <= 1
    finally:
        gc.enable()


@pytest.mark.parametrize(("rotation", "hflip"), [*itertools.product([0, 90, 180, 270], [False, True])])
def test_rotation_metadata_is_applied(make: SimpleNamespace, rotation: int, hflip: bool) -> None:
    """The stored picture is laid so that every turn of it is told apart; FFmpeg's own autorotation is the reference."""
    path = make.clip("turned.mp4", pictures=make.picture, times=[0.0, 0.1], rotation=rotation, hflip=hflip)
    frame = split(stream(path))[1][0]
    sideways = rotation in (90, 270)
    assert (frame.width, frame.height) == ((120, 160) if sideways else (160, 120))
    assert frame.rgb.shape[:2] == (frame.height, frame.width)
    assert (probe(path).width, probe(path).height) == (frame.width, frame.height)
    stored = make.picture(0.0)
    turns = {(r, h): np.rot90(stored[:, ::-1] if h else stored, r) for r in range(4) for h in (False, True)}
    errors = {
        turn: np.abs(picture.astype(int) - frame.rgb).mean() if picture.shape == frame.rgb.shape else 255.0
        for turn, picture in turns.items()
    }
    best = min(errors, key=lambda turn: errors[turn])
    assert errors[best] < 12
    assert best == _expected_turn(path)


def _expected_turn(path: Path) -> tuple[int, bool]:
    """Counter-clockwise quarter turns after an optional mirroring, from FFmpeg's reading of the display matrix."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        matrices = [np.frombuffer(bytes(d), np.int32) for d in frame.side_data if d.type.name == "DISPLAYMATRIX"]
    if not matrices:
        return 0, False
    matrix = matrices[0]
    a, b, _, c, d = (matrix[:5] / 65536.0).round().astype(int).tolist()
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    angle = {(1, 0): 0, (0, 1): 3, (-1, 0): 2, (0, -1): 1}[(a, b)]
    return angle, mirrored


def test_late_audio_starts_at_its_second(make: SimpleNamespace) -> None:
    for name in ("late.mkv", "late.mp4"):
        path = make.clip(name, sound=make.tone(2.0), sound_start=1.5, pictures=make.picture, times=make.times(3.5))
        samples = read_audio(path)
        loud = np.flatnonzero(np.abs(samples) > 0.05)
        assert loud[0] / SAMPLE_RATE == pytest.approx(1.5, abs=0.04)
        assert samples.size / SAMPLE_RATE == pytest.approx(3.5, abs=0.1)
        both, _ = split(stream(path))
        np.testing.assert_array_equal(np.concatenate([b.samples for b in both]), samples)


@pytest.mark.parametrize("name", ["late.mkv", "late.webm", "late.ts", "late.mp4"])
def test_a_part_that_was_copied_with_its_timestamps_is_as_long_as_it_is(make: SimpleNamespace, name: str) -> None:
    times = [60.0 + t for t in make.times(4.0)]
    path = make.clip(name, sound=make.tone(4.0), sound_start=60.0, pictures=make.picture, times=times)
    assert probe(path).duration == pytest.approx(4.0, abs=0.1)
    notes: list[str] = []
    sound, pictures = split(stream(path, notes=notes))
    assert sum(b.samples.size for b in sound) / SAMPLE_RATE == pytest.approx(4.0, abs=0.1)
    assert pictures[0].time == pytest.approx(0.0, abs=0.1) and not notes


@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".ogg", ".opus"])
def test_files_joined_end_to_end_are_heard_and_seen_to_their_end(make: SimpleNamespace, suffix: str) -> None:
    seen = suffix in (".ts", ".mpg")
    parts = []
    for number, (seconds, frequency) in enumerate([(4.0, 440.0), (3.0, 880.0), (2.0, 220.0)]):
        how = {"pictures": make.picture, "times": make.times(seconds)} if seen else {}
        parts.append(make.clip(f"{number}{suffix}", sound=make.tone(seconds, frequency=frequency), **how).read_bytes())
    path = make.clip(f"first{suffix}", sound=make.tone(1.0)).with_name(f"joined{suffix}")
    path.write_bytes(b"".join(parts))
    notes: list[Note] = []
    sound, pictures = split(stream(path, notes=notes))
    samples = np.concatenate([b.samples for b in sound])
    assert samples.size / SAMPLE_RATE == pytest.approx(9.0, abs=0.2)
    for second, frequency in ((1.0, 440), (5.5, 880), (8.0, 220)):
        part = samples[round(second * SAMPLE_RATE) :][:8000]
        assert np.abs(np.fft.rfft(part)).argmax() * 2 == pytest.approx(frequency, abs=5)
    assert [(note.code, note.values["count"]) for note in notes] == [("timestamps_restart", 2)] * (1 + seen)
    if seen:
        times = [picture.time for picture in pictures]
        assert times == sorted(times) and len(times) == 225 and times[-1] == pytest.approx(9.0, abs=0.2)
        few = [item for item in stream(path, frame_interval=1.0) if isinstance(item, VideoFrame)]
        assert [round(picture.time) for picture in few] == list(range(9))


def test_a_frame_that_strays_does_not_take_the_others_along(make: SimpleNamespace) -> None:
    """One timestamp of many lies four seconds back: it alone is out of place."""
    path = make.clip("stray.mkv", sound=make.tone(8.0))
    track = AudioTrack(opened_track(contextlib.ExitStack(), path, "audio"), 0.0, None, UNLIMITED)
    base = track.stream.time_base
    times = []
    for number in range(80):
        time = number / 10 - (4.0 if number == 50 else 0.0)
        times.append(track.when(SimpleNamespace(pts=round(time / base))))
        track.reached = max(track.reached, times[-1] + 0.1)
    assert times[:50] + times[51:] == pytest.approx([n / 10 for n in range(80) if n != 50], abs=0.02)
    assert track.joints == 0 and track.joined == 0.0


def test_late_video_keeps_its_distance_to_the_sound(make: SimpleNamespace) -> None:
    path = make.clip("late.mkv", sound=make.tone(3.0), pictures=make.picture, times=[2.0 + t for t in make.times(1.0)])
    sound, pictures = split(stream(path))
    assert sound[0].start == 0.0
    assert pictures[0].time == pytest.approx(2.0, abs=0.01)


def test_video_without_sound_and_sound_without_video(make: SimpleNamespace) -> None:
    silent = make.clip("silent.mp4", pictures=make.picture, times=make.times(1.0))
    sound, pictures = split(stream(silent))
    assert not sound and len(pictures) == 25
    with pytest.raises(MediaError, match=r"no audio track, only video.*give a file that holds audio"):
        read_audio(silent)
    blind = make.clip("blind.wav", sound=make.tone(1.0))
    with pytest.raises(MediaError, match="no video track, only audio"):
        list(stream(blind, audio=False))


def test_one_frame(make: SimpleNamespace) -> None:
    for interval in (0.0, 0.2):
        path = make.clip("one.mp4", pictures=make.picture, times=[0.0])
        _, pictures = split(stream(path, frame_interval=interval))
        assert len(pictures) == 1
        assert pictures[0].rgb.shape == (120, 160, 3)


def test_cover_picture_is_no_video(make: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("libmp3lame", rate=48_000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 160, 120, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(make.picture(0.0), format="rgb24").reformat(format="yuvj420p")
        for packet in [*cover.encode(frame), *cover.encode(None)]:
            container.mux(packet)
        sound = av.AudioFrame.from_ndarray(make.tone(1.0), format="fltp", layout="mono")
        sound.sample_rate = 48_000
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    assert not probe(path).has_video
    assert read_audio(path).size > 15_000


@pytest.mark.slow
def test_duration_is_counted_where_the_header_does_not_say(make: SimpleNamespace) -> None:
    path = make.clip(
        "live.webm", sound=make.tone(2.0), pictures=make.picture, times=make.times(2.0), options={"live": "1"}
    )
    with av.open(str(path)) as container:
        assert container.duration is None
    assert probe(path).duration == pytest.approx(2.0, abs=0.1)


def test_pixels_that_are_not_square(tmp_path: Path, make: SimpleNamespace) -> None:
    path = tmp_path / "dv.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        video.codec_context.sample_aspect_ratio = 2
        for packet in video.encode(av.VideoFrame.from_ndarray(make.picture(0.0), format="rgb24")):
            container.mux(packet)
        container.mux(video.encode(None))
    frame = split(stream(path))[1][0]
    assert (frame.width, frame.height) == (320, 120)
    assert frame.rgb.shape == (120, 320, 3)
    assert frame.shrunk(100).shape == (38, 100)
    assert frame.shrunk(100, colour=True).shape == (38, 100, 3)


def test_the_real_clip(real_clip: Path) -> None:
    info = probe(real_clip)
    assert (info.width, info.height, info.sample_rate) == (1280, 720, 48_000)
    notes: list[str] = []
    sound, pictures = split(stream(real_clip, frame_interval=0.2, notes=notes))
    assert notes == []
    assert len(pictures) in range(15, 18)
    assert sound[-1].end == pytest.approx(info.duration, abs=0.05)


def test_a_clip_is_opened_without_decoding_a_picture(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = repository / "demo" / "samples" / "sample.mp4"
    known = probe(clip)
    monkeypatch.setattr("emofuse.media.decode._first_picture", lambda *_: pytest.fail("a picture was decoded"))
    found = open_clip(clip).info
    assert found == replace(known, width=None, height=None) and known.width and found.has_video
