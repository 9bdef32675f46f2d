"""The first ten minutes of three kinds of users, with the model that ships: a command line, a notebook, own data.

What README shows is what runs here.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

import emofuse
from emofuse.cli import main
from emofuse.media.decode import VideoFrame, read_audio, stream

pytestmark = pytest.mark.checkpoint
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `emofuse …`; the exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def sample(repository: Path) -> Path:
    """The clip that comes with the project."""
    return repository / "demo" / "samples" / "sample.mp4"


def blocks(repository: Path, language: str) -> list[str]:
    """README's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (repository / "README.md").read_text("utf-8"), re.M | re.S)


def test_at_the_command_line(run: Run, repository: Path, sample: Path, tmp_path: Path, monkeypatch):
    """Install, the first command as README has it, a wrong guess, a whole folder, and what the model is."""
    monkeypatch.chdir(repository)
    (first,) = [line for line in blocks(repository, "bash")[0].splitlines() if "emofuse predict" in line]
    assert "--no-default-groups" in first
    code, out, err = run(*first.partition(" emofuse ")[2].split(), "--device", "cpu")
    assert (code, err) == (0, "") and "overall: joy" in out and "never been so happy!" in " ".join(out.split())

    code, out, err = run("predict", "I am so happy")
    assert code == 2 and "if these are words, give them with --text" in err and err.count("\n") == 1
    code, out, err = run("predict", "--text", "I am so happy", "--json", "-", "--device", "cpu")
    assert code == 0 and json.loads(out)["overall"]["emotions"]["joy"] > 0.5

    clips = tmp_path / "clips"
    clips.mkdir()
    shutil.copy(sample, clips / "good.mp4")
    (clips / "bad.wav").write_bytes(b"no sound")
    code, _, err = run("predict", clips, "--csv", tmp_path / "all.csv", "--device", "cpu", "--asr", "none")
    assert code == 3 and "bad.wav" in err
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text("utf-8").splitlines()))
    assert {Path(row["source"]).name: bool(row["error"]) for row in rows} == {"good.mp4": False, "bad.wav": True}

    code, out, _ = run("info")
    assert code == 0 and "emotion" in out and "licence" in out


def test_in_a_notebook(repository: Path, sample: Path, tmp_path: Path, monkeypatch):
    """README's Python, line by line, in a folder that holds the clips it names; then what is in hand elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "a.mp4", "long.mp4", "show.mp4"):
        shutil.copy(sample, name)
    for name in ("clip.srt", "show.srt"):
        shutil.copy(sample.with_suffix(".srt"), name)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    spoken = read_audio(sample)
    soundfile.write("call.wav", np.stack([np.roll(spoken, 8_000), spoken[::-1]], axis=1), 16_000)
    act = "acts:\n  - {name: sad, do: soothe, when: {possible_emotion: [sadness]}}\n"
    Path("acts.yaml").write_text(act, "utf-8")
    frames = [item.rgb for item in stream(sample, audio=False, frame_interval=0.5) if isinstance(item, VideoFrame)][:3]
    sound = np.repeat(read_audio(sample)[:32_000], 3)
    rows = [SimpleNamespace(id=f"r{i}", text=text) for i, (text, _) in enumerate(SAID)]
    names: dict[str, Any] = {"array": sound, "picture": frames[0], "frames": frames, "rows": rows}
    with Path("clip.mp4").open("rb") as names["opened"]:
        for block in blocks(repository, "python"):
            shorter = block.replace("start=3600, end=3630", "start=2, end=4")  # the show is of seconds here
            exec(shorter.replace('open("clip.mp4", "rb")', "opened"), names)

    model, result = names["model"], names["result"]
    assert result.top[0] == max(result.overall.emotions, key=result.overall.emotions.get)
    assert np.load("embeddings.npy").shape == (len(result), len(result.overall.embedding))
    import pandas

    assert len(pandas.read_parquet("clip.parquet")["embedding"][0]) == len(result.overall.embedding)
    assert names["outputs"].logits["emotion"].shape[1] == 7
    assert names["again"](text="Hello!").overall.emotions == model(text="Hello!").overall.emotions
    assert (tmp_path / "my-model" / "README.md").is_file()
    good, bad = model.predict_many(["a.mp4", "b.wav"])
    assert isinstance(good, emofuse.Analysis) and isinstance(bad, emofuse.MediaError)

    whole = model("clip.mp4", transcript="clip.srt")
    shown = whole._repr_html_()
    assert all(part in shown for part in ("<video", "<table>", "data:image/png")) and "joy" in repr(whole)
    held = model(io.BytesIO(sample.read_bytes()), transcript="clip.srt")
    assert held.overall.emotions == whole.overall.emotions


def test_on_ones_own_data(run: Run, repository: Path, tmp_path: Path):
    """A table as other tools write it, what is wrong with it, and the recipe that takes it once that is mended."""
    table = tmp_path / "my.csv"
    rows = [f"{word} {i},s{i},{'dev' if i % 2 else 'train'},{label}" for i, (word, label) in enumerate(SAID * 4)]
    table.write_text("\n".join(["sentence,subject,set,label", *rows]) + "\n")
    code, _, err = run("data", "check", table)
    assert code == 2 and "did you mean 'text' by 'sentence'?" in err
    table.write_text(table.read_text().replace("sentence,subject,set,label", "text,speaker,set,label"))
    code, out, err = run("data", "check", table)
    assert code == 2 and "did you mean 'split'?" in out and "did you mean 'emotion'?" in out and "2 problems" in err
    table.write_text(table.read_text().replace("set,label", "split,emotion"))
    code, out, err = run("data", "check", table)
    assert code == 2 and "'happy'" in out and "did you mean 'joy'?" in out
    assert run("data", "check", table, "--label", "emotion.happy=joy")[0] == 0
    code, out, _ = run("data", "stats", table, "--label", "emotion.happy=joy")
    assert code == 0 and "emotion: joy" in out

    recipe = repository / "recipes" / "manifest" / "small.yaml"
    words = "data.sources.0.labels={emotion: {happy: joy}}"
    code, out, err = run("train", recipe, f"root={table}", words, f"output.folder={tmp_path / 'run'}", "--dry-run")
    assert code == 0 and "manifest: 6 train, 6 dev" in out + err, err
    assert not (tmp_path / "run").exists()


SAID = [("I am so glad!", "happy"), ("Go away now!", "anger"), ("It is noon.", "neutral")]
