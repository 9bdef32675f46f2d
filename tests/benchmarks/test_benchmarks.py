"""The benchmarks' own arithmetic; CI runs each of them in its smallest form."""

from __future__ import annotations

import shutil
import subprocess
import sys

import av
import numpy as np
import pytest

from emofuse.errors import DataError


@pytest.fixture(autouse=True)
def importable(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository))
    yield
    for name in [n for n in sys.modules if n == "benchmarks" or n.startswith("benchmarks.")]:
        del sys.modules[name]


def test_sides_take_turns_and_medians_are_compared():
    from benchmarks.measure import alternate

    order = []
    took = alternate({"one": lambda: order.append(1), "two": lambda: order.append(2)}, turns=3)
    assert order == [1, 2] * 4 and set(took) == {"one", "two"} and all(seconds >= 0 for seconds in took.values())


def test_a_goal_is_met_or_missed_or_there_is_none():
    from benchmarks.__main__ import table
    from benchmarks.measure import Line

    lines = [Line(3, "many", 1.2, goal=1.5, at_most=False), Line(1, "pipeline", 0.5, goal=0.6), Line(9, "gpu", None)]
    assert [line.met for line in lines] == [False, True, None]
    rows = table(lines).splitlines()[2:]
    assert rows == [
        "| 1 | pipeline | 0.5 × | ≤ 0.6 | met |",
        "| 3 | many | 1.2 × | ≥ 1.5 | missed |",
        "| 9 | gpu | – | – |  |",
    ]


def test_a_looped_clip_is_as_long_as_asked(repository, tmp_path):
    from benchmarks.clips import SAMPLE, loop

    with av.open(str(loop(SAMPLE, tmp_path / "long.mp4", 15.0))) as container:
        assert 15 <= container.duration / av.time_base < 22
        last = max(float(p.pts * p.time_base) for p in container.demux() if p.pts is not None)
        assert last > 14


def test_shares_are_drawn(tmp_path):
    from benchmarks.figures.shares import STAGES, plot

    shares = {stage: 1 / len(STAGES) for stage in STAGES}
    assert plot({"small": shares, "base": shares}, tmp_path / "shares.png").stat().st_size > 5_000


def test_a_process_is_weighed_without_whoever_measures_it():
    from benchmarks.measure import weigh

    ballast = bytearray(b"\x01") * 200 * 2**20
    mib = weigh("-c", "kept = bytearray(b'\\x01') * 60 * 2**20")
    assert 60 < mib < 160 and ballast
    with pytest.raises(subprocess.CalledProcessError):
        weigh("-c", "raise SystemExit(3)")


@pytest.mark.slow
def test_sides_of_the_products_have_the_same_weights(monkeypatch, capsys):
    from benchmarks import products

    monkeypatch.setattr(sys, "argv", ["products", "--tiny", "--rounds", "1", "--seconds", "0.5"])
    products.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    change = {name: float(off) for name, _, _, off in rows}
    assert change["own, float32"] < 1e-4
    assert 0 < change["own, own 8 bits"] < 0.05 and 0 < change["transformers, own 8 bits"] < 0.05


def test_parts_that_err_together_cost_the_product_its_coverage_and_the_mean_not():
    from benchmarks.correlated_parts import lines

    found = {(line.pool, round(line.correlation, 1)): line for line in lines(4000)}
    correlations = sorted({r for _, r in found})
    assert correlations == pytest.approx([0.0, 0.25, 0.5], abs=0.1)
    worst = correlations[-1]
    product, mean = found["product", worst], found["mean", worst]
    assert product.coverage < 0.85 < 0.9 <= mean.coverage
    assert mean.ece < product.ece / 2 and mean.nll < product.nll
    assert mean.accuracy >= product.accuracy - 0.01


def test_sound_like_speech_is_as_long_as_asked_and_the_sample_is_heard_in_it(tmp_path):
    from benchmarks.scale import RATE, speech_like
    from emofuse.media.reader import segments

    clip = speech_like(tmp_path / "a.wav", 25.0)
    with av.open(str(clip)) as container:
        assert container.streams.audio[0].rate == RATE and container.duration / av.time_base == pytest.approx(25.0)
    heard = [segment for segment in segments(clip) if segment.present == {"speech"}]
    assert any(segment.start < 8 for segment in heard)


def test_a_file_has_no_more_names_than_a_file_system_allows(tmp_path, monkeypatch):
    from benchmarks.figures import jobs

    monkeypatch.setattr(jobs, "LINKS", 3)
    (tmp_path / "seed.wav").write_bytes(b"sound")
    files = sorted(jobs.links(tmp_path, tmp_path / "seed.wav", 7).iterdir())
    assert [path.read_bytes() for path in files] == [b"sound"] * 7
    assert max(path.stat().st_nlink for path in files) == 3


@pytest.fixture
def dialogue():
    from emofuse.types import Utterance

    texts = ("Oh, how lovely!", "I never said so.", "You did.", "Well…", "We won!", "I know.", "At last.")
    return [
        Utterance(f"dev_dia0_utt{n}", "meld", "dev", "AB"[n % 2], "dev_dia0", text=text, labels={"emotion": "joy"})
        for n, text in enumerate(texts)
    ]


def test_what_was_heard_takes_the_place_of_the_words_and_of_the_turns_before(dialogue):
    from benchmarks.recognition import reread

    heard = {u.id: f"heard {n}" for n, u in enumerate(dialogue)} | {"dev_dia0_utt2": ""}
    found = reread(dialogue, heard)
    assert found["dev_dia0_utt2"].text is None and found["dev_dia0_utt0"].context == ()
    last = found["dev_dia0_utt6"]
    assert last.text == "heard 6"
    assert last.context == ("A: heard 0", "B: heard 1", "B: heard 3", "A: heard 4", "B: heard 5")


def test_word_errors_by_sound_and_by_voice(dialogue):
    from benchmarks import recognition

    right = {u.id: recognition.Heard((u.text or "").upper(), False) for u in dialogue}
    wrong = {u.id: recognition.Heard("", True) for u in dialogue[:2]}
    clean, same, noisy = recognition.rates(dialogue, recognition.with_same({"clean": right, "noise": wrong}))
    assert same[:4] == ("clean, those below", "2", "7", "0.000")
    assert clean[:4] == ("clean", "7", "16", "0.000") and clean[-1] == "0%"
    assert noisy[:4] == ("noise", "2", "7", "1.000") and noisy[-1] == "100%"
    assert sum(int(row[2]) for row in recognition.by_voice(dialogue, right)) == 7


def test_words_that_were_not_heard_count_as_neutral_and_cost_is_a_paired_difference(dialogue, tiny_model):
    from benchmarks import recognition
    from emofuse.data.examples import Example
    from emofuse.tasks import EMOTIONS

    joy = np.eye(len(EMOTIONS))[EMOTIONS.index("joy")]
    targets = {task.name: np.full(task.width, np.nan) for task in tiny_model.tasks} | {"emotion": joy}
    examples = [Example(u.id, u, targets, frozenset({"text"}), "dev_dia0") for u in dialogue]
    silent = recognition.emotions(tiny_model, examples, recognition.reread(dialogue, {u.id: "" for u in dialogue}))
    assert (silent.argmax(1) == EMOTIONS.index("neutral")).all()
    hearing = {"clean": {u.id: recognition.Heard(u.text or "", True) for u in dialogue}}
    rows = {(row[1], row[3]): row for row in recognition.costs(tiny_model, examples, dialogue, hearing)}
    assert rows["told English", "accuracy"][6] == "+0.000"
    assert rows["by default", "accuracy"][5] == "0.000"


def test_what_was_heard_is_kept(dialogue, tmp_path):
    from benchmarks.recognition import Heard, keep, kept

    hearing = {"clean": {"a": Heard("I can’t", True)}, "noise, 5 dB": {}}
    keep(tmp_path / "heard.json", hearing)
    assert kept(tmp_path / "heard.json") == hearing and kept(tmp_path / "none.json") == {} == kept(None)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_sentence_is_spoken_and_disturbed(dialogue, monkeypatch):
    from benchmarks import recognition
    from emofuse.types import SAMPLE_RATE, Word

    asked = []

    def recognise(waveform, model, language):
        asked.append(waveform)
        return (Word("hello", 0.0, 1.0),), -0.9

    monkeypatch.setattr(recognition, "recognise", recognise)
    hearing = {"clean": {dialogue[1].id: recognition.Heard("kept", False)}}
    for _ in recognition.hear(dialogue[:3], 1, "model", hearing):
        pass
    assert list(hearing) == list(recognition.conditions())
    assert [len(heard) for heard in hearing.values()] == [3, 1, 1, 1, 1, 1]
    assert hearing["clean"][dialogue[1].id].text == "kept"
    assert hearing["telephone, 3400 Hz"][dialogue[0].id] == recognition.Heard("hello", True)
    assert all(sound.dtype == np.float32 and len(sound) > SAMPLE_RATE / 4 for sound in asked)
    clean, noisy = asked[0], asked[5]
    assert len(clean) == len(noisy) and np.std(noisy - clean) > 0.05


def test_a_silent_lexicon_is_as_if_no_word_were_known_and_speaks_again(tiny_model, dialogue):
    import torch

    from benchmarks import lexicon
    from emofuse.data.examples import Example

    model = tiny_model
    torch.nn.init.normal_(model.encoder("text").lexicon.weight, generator=torch.Generator().manual_seed(0))
    targets = {task.name: np.full(task.width, np.nan) for task in model.tasks}
    examples = [Example(u.id, u, targets, frozenset({"text"}), u.id) for u in dialogue]
    before, after = lexicon.both(model, "meld", examples)
    with lexicon.silent(model):
        assert not model.encoder("text").lexicon.weight.any()
    again, _ = lexicon.both(model, "meld", examples)
    moved = np.abs(before.states["text"] - after.states["text"]).max(axis=1)
    assert (moved > 1e-3).sum() >= 2 and np.array_equal(before.states["text"], again.states["text"])
    model.encoder("text").lexicon = None
    with pytest.raises(DataError, match="has no lexicon"), lexicon.silent(model):
        pass


def test_what_the_lexicon_gives_is_with_less_without():
    from benchmarks import lexicon
    from emofuse.calibration.parts import Parts
    from emofuse.tasks import EMOTIONS, TASKS

    truth = np.eye(len(EMOTIONS))[[0, 1, 1, 2]]
    states = np.array([[0.0, 0], [4, 0], [5, 0], [0, 5]], np.float32)
    wrong = truth[[0, 1, 2, 0]]
    parts = Parts("x", {"text": {"emotion": truth}}, {"text": states}, {"emotion": truth}, list("abcd"))
    worse = Parts("x", {"text": {"emotion": wrong}}, {"text": states * [1, 0]}, {"emotion": truth}, list("abcd"))
    part = lexicon.Part("x", "texts", (("emotion", "accuracy"),))
    (row,) = lexicon.shipped(part, parts, worse)
    assert row[:7] == ("texts", "emotion.accuracy", "as trained", "4", "1.000", "0.750", "+0.250")
    heads = [lexicon.fitted([side] * 20) for side in (parts, worse)]
    (row,) = lexicon.refitted(part, (parts, worse), heads)
    assert row[2:4] == ("fitted anew", "4") and float(row[6]) > 0
    assert not lexicon.answers(*heads[0], states)[:, 3:].any() and TASKS["emotion"].width == len(EMOTIONS)


def test_sentences_written_by_hand_are_english_and_labelled(tiny_model):
    from benchmarks.lexicon import hand_written

    examples = hand_written(tiny_model.tasks)
    assert len(examples) == 120 and len({e.cluster for e in examples}) == 120
    assert all(e.targets["emotion"].sum() == 1 and e.load().words for e in examples)
