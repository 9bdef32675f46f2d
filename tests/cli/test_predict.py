"""`emofuse predict`: what stands on stdout, what in files, and one line on stderr when it cannot."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from emofuse.media.asr import find_recogniser
from emofuse.tasks import EMOTIONS


def one_line(err: str) -> str:
    """The only line of stderr, which must say who speaks and hold no traceback."""
    assert err.startswith("emofuse: ") and err.count("\n") == 1 and err.endswith("\n"), err
    assert "Traceback" not in err
    return err


def test_a_table_by_default(predict, sample):
    code, out, err = predict(sample, "--transcript", sample.with_suffix(".srt"))
    assert (code, err) == (0, "")
    assert "sample.mp4" in out and "overall: " in out and "never been so happy!" in " ".join(out.split())
    assert [heading for heading in ("time", "emotion", "text", "speech", "face", "words") if heading not in out] == []


@pytest.fixture
def wordless(sample, tmp_path):
    """The clip without the transcript that lies beside it."""
    return shutil.copy(sample, tmp_path / "wordless.mp4")


def test_json_on_a_clean_stdout(predict, wordless):
    code, out, err = predict(wordless, "--json", "-")
    assert (code, err) == (0, "")
    read = json.loads(out)
    keys = ["source", "duration", "model", "overall", "speakers", "persons", "segments", "transcript", "notes"]
    assert list(read) == [*keys, "note_codes"]
    assert read["source"] == str(wordless) and read["model"] == "tiny" and read["transcript"] == []
    assert set(read["overall"]["emotions"]) == set(EMOTIONS)
    assert sum(read["overall"]["emotions"].values()) == pytest.approx(1, abs=1e-5)
    assert any({"speech", "face"} <= set(p["present"]) for p in read["segments"])
    assert read["overall"]["valence"] is None
    assert any("text is absent" in note for note in read["notes"])


def test_words_beside_a_clip_are_its_words_and_never_written_over(predict, wordless, sample):
    beside = wordless.with_suffix(".srt")
    shutil.copy(sample.with_suffix(".srt"), beside)
    code, out, err = predict(wordless, "--json", "-")
    read = json.loads(out)
    assert (code, err) == (0, "") and read["segments"][0]["present"] == ["text", "speech", "face"]
    assert read["note_codes"][0] == {"code": "sidecar", "values": {"name": "wordless.srt"}}
    code, out, err = predict(wordless, "--no-sidecars", "--json", "-")
    assert json.loads(out)["transcript"] == [] and "text is absent" in out
    code, out, err = predict(wordless, "--srt", beside)
    assert code == 2 and "it is also an input; name another file" in one_line(err)
    assert beside.read_bytes() == sample.with_suffix(".srt").read_bytes()
    beside.unlink()
    assert predict(wordless, "--text", "I am so happy!", "--srt", beside)[0] == 0
    read = json.loads(predict(wordless, "--json", "-")[1])
    assert read["transcript"] == [], "captions that emofuse wrote are predictions, not words"


def test_a_stretch_and_a_channel(predict, sample):
    words = sample.with_suffix(".srt")
    code, out, err = predict(sample, "--transcript", words, "--start", 1.95, "--end", 3.9, "--json", "-")
    assert (code, err) == (0, "")
    read = json.loads(out)
    assert (read["start"], read["duration"]) == (1.95, 1.95)
    assert [word["text"] for word in read["transcript"]][-4:] == ["the", "way", "to", "space,"]
    assert all(1.95 <= p["start"] < p["end"] <= 3.9 for p in read["segments"]) and len(read["segments"]) == 1
    code, out, err = predict(sample, "--channel", 5, "--json", "-")
    assert code == 2 and "channel is '5'; valid: a number from 0 to" in one_line(err) and out == ""
    code, out, err = predict("--text", "so sad", "--end", 3)
    assert code == 2 and "take a stretch out of sound or moving pictures" in one_line(err)


def test_words_alone(predict):
    code, out, err = predict("--text", "I am so happy!", "--json", "-")
    assert (code, err) == (0, "")
    assert [p["present"] for p in json.loads(out)["segments"]] == [["text"]]


def test_every_file_at_once(predict, sample, tmp_path):
    outputs = {ending: tmp_path / f"out.{ending}" for ending in ("json", "csv", "srt", "vtt")}
    options = [word for ending, path in outputs.items() for word in (f"--{ending}", path)]
    code, out, err = predict(sample, "--text", "I am so happy!", *options, "--plot", tmp_path / "out.png")
    assert (code, err) == (0, "") and "overall: " in out
    segments = json.loads(outputs["json"].read_text())["segments"]
    assert segments[0]["present"] == ["text", "speech", "face"]
    assert len(list(csv.DictReader(outputs["csv"].read_text().splitlines()))) == len(segments)
    assert outputs["srt"].read_text().startswith("1\n00:00:00,")
    assert outputs["vtt"].read_text().startswith("WEBVTT\n\n00:00:00.")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_a_row_a_frame(predict):
    code, out, _ = predict("--text", "I am so happy!", "--seconds", "-", "--step", "0.04")
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0 and [float(row["start"]) for row in rows[:3]] == pytest.approx([0, 0.04, 0.08])
    code, _, err = predict("--text", "sad", "--seconds", "-", "--step", "0")
    assert code == 2 and "a step of 0.0 s is not usable" in err


@pytest.fixture
def folder(tmp_path, sample):
    """Two good clips and a bad one, with words beside one of them and something hidden."""
    home = tmp_path / "clips"
    (home / "later").mkdir(parents=True)
    (home / ".trash").mkdir()
    shutil.copy(sample, home / "a.mp4")
    shutil.copy(sample, home / "later" / "b.mp4")
    shutil.copy(sample, home / ".trash" / "c.mp4")
    shutil.copy(sample.with_suffix(".srt"), home / "a.srt")
    (home / "broken.mp4").write_bytes(b"no media")
    return home


@pytest.mark.slow
def test_a_folder_with_a_bad_file_in_it(predict, folder, tmp_path):
    captions = tmp_path / "captions"
    captions.mkdir()
    code, out, err = predict(folder, "--json", "-", "--csv", tmp_path / "all.csv", "--srt", captions)
    assert code == 3 and "broken.mp4" in one_line(err)
    read = json.loads(out)
    assert [entry["source"].rpartition("/")[2] for entry in read] == ["a.mp4", "broken.mp4", "b.mp4"]
    assert "error" in read[1] and "overall" not in read[1]
    assert read[0]["transcript"] and not read[2]["transcript"], "a.srt lies beside a.mp4"
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    failed = {row["source"]: row["error"] for row in rows if row["error"]}
    assert {row["source"] for row in rows} - {*failed} == {str(folder / "a.mp4"), str(folder / "later" / "b.mp4")}
    assert [*failed] == [str(folder / "broken.mp4")] and "not media" in failed[str(folder / "broken.mp4")]
    assert sorted(path.name for path in captions.iterdir()) == ["a.srt", "b.srt"]


@pytest.mark.slow
def test_a_table_for_each_of_several_clips(predict, folder):
    code, out, err = predict(folder / "a.mp4", folder / "nowhere.mp4", folder / "later")
    assert code == 3 and "nowhere.mp4" in one_line(err)
    assert out.count("overall: ") == 2


def test_an_output_never_replaces_what_is_read_or_another_output(predict, sample, tmp_path):
    clip, words = tmp_path / "a.mp4", tmp_path / "a.srt"
    shutil.copy(sample, clip)
    shutil.copy(sample.with_suffix(".srt"), words)
    for arguments in (
        (clip, "--json", clip),
        (clip, "--transcript", words, "--srt", words),
        (clip, "--json", tmp_path / "x", "--csv", tmp_path / "x"),
        (clip, clip, "--srt", tmp_path, "--json", tmp_path / "a.srt"),
    ):
        code, out, err = predict(*arguments)
        assert (code, out) == (2, "") and "it is also an" in one_line(err)
    assert clip.read_bytes() == sample.read_bytes()
    assert words.read_bytes() == sample.with_suffix(".srt").read_bytes()


def test_what_cannot_be_written_is_said_before_the_model_is_loaded(run, sample, tmp_path):
    for arguments, why in [
        (("--json", tmp_path / ("n" * 256)), "name too long"),
        (("--csv", tmp_path / "no" / "a.csv"), "there is no folder"),
        (("--plot", tmp_path / "a.mp4"), "cannot draw to"),
    ]:
        code, out, err = run("predict", sample, *arguments, "--model", tmp_path / "no model")
        assert (code, out) == (2, "") and why in one_line(err)


def test_the_longest_name_that_is_legal_and_any_ending_of_captions(predict, tmp_path):
    names = ["n" * 250 + ".json", "captions.txt"]
    code, _, err = predict("--text", "I am so happy!", "--json", tmp_path / names[0], "--srt", tmp_path / names[1])
    assert (code, err) == (0, "")
    assert json.loads((tmp_path / names[0]).read_text())["segments"]
    assert (tmp_path / names[1]).read_text().startswith("1\n00:00:00,")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: (d / "x.mp4").write_bytes(b"no media" * 99), "x.mp4: it is not media, or was cut off"),
        (lambda d: (d / "x.mp4").write_bytes(b""), "the file is empty (0 bytes)"),
        (lambda d: (d / "x.mp4").mkdir(), "holds no media; it should hold files that end in mp4"),
        (lambda d: None, "there is no such file; check the spelling"),
    ],
    ids=["not media", "zero bytes", "folder without media", "missing"],
)
def test_a_bad_clip_is_one_line_and_a_2(predict, tmp_path, make, message):
    make(tmp_path)
    code, out, err = predict(tmp_path / "x.mp4", "--json", tmp_path / "out.json")
    assert (code, out) == (2, "") and message in one_line(err)
    assert not (tmp_path / "out.json").exists()


def test_a_truncated_clip_and_a_long_text(predict, sample, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(sample.read_bytes()[:2000])
    code, out, err = predict(tmp_path / "cut.mp4")
    assert (code, out) == (2, "") and "cut off" in one_line(err)
    (tmp_path / "long.txt").write_text("I am so happy today. " * 500_000)
    code, out, err = predict(tmp_path / "long.txt")
    assert (code, out) == (2, "") and "10.5 MB of text are too much" in one_line(err)
    code, out, err = predict(sample, "--transcript", tmp_path / "long.txt")
    assert (code, out) == (2, "") and "10.5 MB of text are too much" in one_line(err)


def test_sound_that_is_not_a_number(predict, tmp_path):
    import av
    import numpy as np

    path = tmp_path / "nan.wav"
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_f32le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, 16_000), np.nan, np.float32), format="flt", layout="mono")
        frame.sample_rate = 16_000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    code, out, err = predict(path)
    assert (code, out) == (2, "") and "NaN or infinite" in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to predict: give a clip"),
        (["a.mp4", "--text", "x", "--transcript", "y.srt"], "no such file"),
        (["{sample}", "--text", "x", "--transcript", "y.srt"], "both give the words: leave one out"),
        (["{sample}", "{sample}2", "--text", "x"], "are the words of one clip, and 2 clips were given"),
        (["{sample}", "--json", "-", "--csv", "-"], "both want stdout"),
        (["{sample}", "--json", "{tmp}/nowhere/out.json"], "there is no folder"),
        (["{sample}", "--srt", "{tmp}"], "it is a folder; name a file"),
        (["{sample}", "{tmp}/b.mp4", "--srt", "out.srt"], "several clips need a folder to write to"),
        (["{sample}", "{tmp}/sample.mp4", "--srt", "{tmp}"], "several clips are called 'sample'"),
        (["{sample}", "--device", "toaster"], "cannot compute on 'toaster'"),
        (["{sample}", "--batch-size", "0"], "Invalid value for '--batch-size'"),
        (["{sample}", "--jsn", "-"], "--jsn"),
    ],
)
def test_a_wrong_command_is_one_line_and_a_2(run, model_folder, sample, tmp_path, arguments, message):
    given = [word.format(sample=sample, tmp=tmp_path) for word in arguments]
    code, out, err = run("predict", *given, "--model", model_folder)
    assert (code, out) == (2, "") and message in one_line(err)


def test_a_wrong_model_is_one_line_and_a_2(run, sample, tmp_path):
    (tmp_path / "config.json").write_text('{"schema_version": 99}')
    code, out, err = run("predict", sample, "--model", tmp_path)
    assert (code, out) == (2, "") and "schema_version 99" in one_line(err)
    code, out, err = run("predict", sample, "--model", "emofuse-huge")
    assert (code, out) == (2, "") and "no model 'emofuse-huge': give a name shipped with emofuse" in one_line(err)


def test_debug_shows_where_it_happened(model_folder, tmp_path):
    from emofuse.cli import main
    from emofuse.errors import MediaError

    with pytest.raises(MediaError):
        main(["predict", str(tmp_path / "nowhere.mp4"), "--model", str(model_folder), "--debug"])


def test_a_missing_extra_is_named(run, model_folder, sample, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    code, out, err = run("predict", sample, "--model", model_folder, "--asr", "small")
    assert (code, out) == (2, "") and "pip install 'emofuse[asr]'" in one_line(err)


@pytest.mark.skipif(find_recogniser("auto") is None, reason="the extra asr is not installed")
def test_english_speech_is_transcribed_by_default(run, model_folder, wordless):
    """The sample's caption says the same words as its voice."""
    code, out, _ = run("predict", wordless, "--model", model_folder, "--json", "-")
    words = " ".join(word["text"] for word in json.loads(out)["transcript"]).lower()
    assert code == 0 and "never been so happy" in words


@pytest.mark.parametrize(
    ("clip", "told"),
    [
        ("I am happy", "no such file; check the spelling and the folder of the path; if these are words, give"),
        ("https://example.org/clip.mp4", "https://example.org/clip.mp4: it is an address"),
    ],
)
def test_what_is_no_file_says_what_it_is(predict, clip, told):
    code, out, err = predict(clip)
    assert (code, out) == (2, "") and told in one_line(err)


def test_stdin_and_pipes_are_read_and_nothing_there_is_said(predict, sample, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(sample.read_bytes())))
    code, out, err = predict("-", "--text", "I am so happy!", "--json", "-")
    assert (code, err) == (0, "")
    read = json.loads(out)
    assert read["source"] == "stdin" and {"text", "speech", "face"} == set(read["segments"][0]["present"])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code, out, err = predict("-")
    assert (code, out) == (2, "") and "cannot read stdin: nothing is there (0 bytes)" in one_line(err)
    (tmp_path / "words.txt").write_text("I am so happy!")
    os.mkfifo(pipe := tmp_path / "pipe.txt")
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"I am so happy!"))
    writer.start()
    code, out, err = predict(pipe, "--json", "-")
    writer.join()
    assert (code, err) == (0, "") and json.loads(out)["transcript"][0]["text"] == "I"


@pytest.mark.slow
def test_each_answer_is_written_when_it_is_there_and_a_note_is_told_once(
    predict, sample, tmp_path, monkeypatch, capsys
):
    """The third clip ends the run: what was done until then stands beside the place of the whole."""
    from emofuse.pipeline.pipeline import Pipeline

    clips = [tmp_path / f"{name}.mp4" for name in "abc"]
    for clip in clips:
        shutil.copy(sample, clip)
    whole = Pipeline.predict_iter

    def cut(self, *given, **how):
        for number, answer in enumerate(whole(self, *given, **how)):
            if number == 2:
                raise MemoryError
            yield answer

    monkeypatch.setattr(Pipeline, "predict_iter", cut)
    with pytest.raises(MemoryError):
        predict(*clips, "--csv", tmp_path / "all.csv", "--json", tmp_path / "all.json")
    rows = list(csv.DictReader((tmp_path / "all.csv.part").read_text().splitlines()))
    assert {Path(row["source"]).name for row in rows} == {"a.mp4", "b.mp4"} and not (tmp_path / "all.csv").exists()
    assert len(json.loads((tmp_path / "all.json.part").read_text() + "]")) == 2
    monkeypatch.undo()
    assert "what was done until then is in" in capsys.readouterr().err
    code, out, err = predict(*clips, "--csv", tmp_path / "all.csv")
    assert (code, out) == (2, "") and "holds what an earlier run had done" in one_line(err)
    (tmp_path / "all.csv.part").unlink()
    code, out, _ = predict(*clips, "--csv", tmp_path / "all.csv")
    assert code == 0 and out.count("overall: ") == 3 and " ".join(out.split()).count("text is absent") == 1


PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
def test_bytes_and_encodings_at_the_edges(model_folder, tmp_path):
    """Words and names that are no text where the locale is C, a stdout that is not UTF-8, closed, or full."""
    named = tmp_path / os.fsdecode("happy \N{SNOWMAN}".encode() + b"\xff.txt")
    named.write_bytes("I am so happy – 我很高兴".encode())
    command = [sys.executable, "-m", "emofuse", "predict", "--model", str(model_folder), "--device", "cpu"]

    def call(*more: str, shell: str = "", **state: str) -> tuple[int, bytes, bytes]:
        line = shlex.join([*command, *more]) + shell
        done = subprocess.run(line, shell=True, capture_output=True, env=os.environ | PLAIN | state, timeout=300)
        return done.returncode, done.stdout, done.stderr

    code, out, err = call("--text", "I am “happy” 我", "--json", "-", PYTHONIOENCODING="latin-1")
    assert (code, err) == (0, b"") and [w["text"] for w in json.loads(out)["transcript"]] == [
        "I",
        "am",
        "“happy”",
        "我",
    ]
    code, out, err = call(str(named), PYTHONIOENCODING="ascii")
    assert (code, err) == (0, b"") and b"0:00.0-0:" in out and b"?" in out
    code, _, err = call(str(named), "--json", str(tmp_path / "a.json"))
    assert (code, err) == (0, b"") and "happy ☃�.txt" in (tmp_path / "a.json").read_text("utf-8")
    code, _, err = call("--text", "hi", "--json", "-", shell=" > /dev/full")
    assert code == 2 and "cannot write to stdout" in one_line(err.decode())
    assert call("--text", "hi", shell=" >&- 2>&-")[0] == 0


def test_a_file_that_a_clip_has_nothing_for_ends_neither_the_run_nor_well(predict, sample, tmp_path):
    code, out, err = predict(sample, "--report", tmp_path / "report.html")
    assert code == 2 and "overall: " in out and "report.html was not written: " in one_line(err)
    (tmp_path / "notes").mkdir()
    clips = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for clip in clips:
        clip.write_text("I am so happy!")
    made = ["--render", tmp_path / "notes", "--srt", tmp_path / "notes"]
    code, out, err = predict(*clips, *made, "--json", tmp_path / "all.json")
    assert code == 3 and len(json.loads((tmp_path / "all.json").read_text())) == 2
    assert [f"{name}.mp4 was not written: " in err for name in "ab"] == [True, True] and "Traceback" not in err
    assert sorted(path.name for path in (tmp_path / "notes").iterdir()) == ["a.srt", "b.srt"]


def test_words_are_those_of_the_only_clip_of_a_folder_and_of_one_named_twice(predict, wordless, sample, tmp_path):
    words = shutil.copy(sample.with_suffix(".srt"), tmp_path.parent / "words of one.srt")
    for given in ((tmp_path, "--transcript", words), (wordless, wordless, "--text", "I've never been so happy!")):
        code, out, err = predict(*given, "--json", "-")
        (read,) = json.loads(out)
        assert (code, err) == (0, "") and "happy!" in [word["text"] for word in read["transcript"]]
    shutil.copy(wordless, tmp_path / "another.mp4")
    code, out, err = predict(tmp_path, "--transcript", words)
    assert (code, out) == (2, "") and "are the words of one clip, and 2 clips were given" in one_line(err)
