"""Unfamiliar inputs: what is unusual in them is named, and every output speaks of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import signal
from torch import nn

from emofuse.demo.texts import LANGUAGES, note_in
from emofuse.media.reader import MediaOptions
from emofuse.model.familiarity import Familiarity
from emofuse.notes import Note
from emofuse.pipeline.pipeline import Pipeline
from emofuse.pipeline.unfamiliar import (
    UNKNOWN,
    unfamiliar_in,
    unfamiliar_notes,
    unusual,
    unusual_faces,
    unusual_script,
    unusual_sound,
)
from emofuse.types import FaceTrack, Prediction

RATE = 16_000


def voice(seconds: float = 1.0, level: float = 0.1) -> np.ndarray:
    """Noise that falls towards high frequencies, as a voice's power does."""
    noise = np.random.default_rng(0).standard_normal(int(seconds * RATE))
    sound = signal.lfilter([1.0], [1.0, -0.9], noise)
    return (level * sound / np.sqrt(np.mean(sound**2))).astype(np.float32)


def test_what_is_unusual_in_a_sound_is_named():
    telephone = signal.sosfiltfilt(signal.ellip(10, 0.5, 80, [300, 3400], "bandpass", fs=RATE, output="sos"), voice())
    assert unusual_sound(telephone.astype(np.float32)) == "telephone band"
    assert unusual_sound(voice(level=0.001)) == "very quiet"
    assert unusual_sound(np.clip(voice(level=1.0), -1, 1)) == "clipped"
    assert unusual_sound(voice()) == UNKNOWN


@pytest.mark.parametrize(
    ("side", "quality", "said"),
    [(30.0, 0.9, "small face"), (90.0, 0.1, "blurred or averted face"), (90.0, 0.9, UNKNOWN), (0.0, 0.9, UNKNOWN)],
)
def test_what_is_unusual_in_a_face_is_named(side, quality, said):
    boxes = np.tile(np.array([0, 0, side, side + 5], np.float32), (3, 1)) if side else np.zeros((3, 4), np.float32)
    times, crops = np.arange(3, dtype=np.float32), np.zeros((3, 8, 8, 3), np.uint8)
    track = FaceTrack(0, crops, times, boxes, np.full(3, quality, np.float32))
    assert unusual_faces([track]) == said


@pytest.mark.parametrize(
    ("text", "languages", "strange"),
    [
        ("Мне очень грустно сегодня", ["en", "zh", "de"], True),
        ("मैं बहुत दुखी हूँ", ["en", "ru"], True),
        ("ich bin so traurig", ["en", "zh"], False),
        ("我今天很难过 OK", ["en", "zh"], False),
        ("Мне грустно", ["en", "uk"], False),
        ("Мне грустно", [], False),
        ("123 !?", ["zh"], False),
    ],
)
def test_words_in_no_script_of_the_languages_learnt_are_named(text, languages, strange):
    assert unusual_script(text, languages) == ("a language it was not trained on" if strange else UNKNOWN)


def test_words_of_unsaid_languages_have_no_measure(make_segment):
    assert unusual(make_segment(0), "text") == UNKNOWN
    assert unusual(make_segment(0), "text", ["zh"]) == "a language it was not trained on"
    said = unfamiliar_in(make_segment(0), {"text": 0.4, "face": 0.99}, frozenset(("text", "face")), ["zh"])
    assert said == {"text": "a language it was not trained on", "face": UNKNOWN}
    assert unfamiliar_in(make_segment(0), {"text": 0.4}, frozenset(("text",)), ["en"]) == {}


def test_a_note_comes_from_a_quarter_of_the_segments_on():
    plain = Prediction(0, 1, None, frozenset({"speech"}), None, unfamiliarity={"speech": 0.5})
    odd = replace(plain, unfamiliarity={"speech": 1.0}, unfamiliar={"speech": "very quiet"})
    other = replace(odd, unfamiliar={"speech": UNKNOWN})
    assert list(unfamiliar_notes([plain] * 9 + [odd] * 2)) == []
    (note,) = unfamiliar_notes([plain] * 3 + [odd, odd, other])
    assert note.code == "unfamiliar"
    assert note.values == {"modality": "speech", "segments": 3, "total": 6, "why": "very quiet"}


def test_every_output_says_what_is_unfamiliar(tiny_model, tmp_path):
    width = tiny_model.modality_heads["speech"].pool.dim
    known = {"components": torch.eye(width), "offset": torch.zeros(width), "reference": torch.zeros(9, width)}
    known |= {"quantiles": torch.linspace(0, 1e-3, 101), "slope": torch.tensor(0.3)}
    pipeline = Pipeline(tiny_model, options=MediaOptions(voice="always"))
    calm = pipeline(audio=(RATE, voice(2.0)))
    tiny_model.familiarity = nn.ModuleDict({"speech": Familiarity(known)})
    found = pipeline(audio=(RATE, voice(2.0)))
    assert found.segments[0].unfamiliarity == {"speech": 1.0}
    assert found.segments[0].unfamiliar == {"speech": UNKNOWN}
    assert found.overall.unfamiliarity == {"speech": 1.0}
    voices = [max(a.overall.by_modality["speech"].values()) for a in (found, calm)]
    assert voices[0] < voices[1]
    (note,) = [n for n in found.notes if getattr(n, "code", None) == "unfamiliar"]
    for language in LANGUAGES:
        assert note_in(language, note) and "{" not in note_in(language, note)
    assert "原因不明" in note_in("zh", note)
    shape = found.to_dict()
    assert shape["segments"][0]["unfamiliar"] == {"speech": UNKNOWN}
    assert found.rows()[0]["unfamiliarity.speech"] == 1.0
    assert "unfamiliarity" not in calm.to_dict()["segments"][0]
    assert found.plot(tmp_path / "t.png").read_bytes() != calm.plot(tmp_path / "c.png").read_bytes()


def test_the_table_marks_what_is_unfamiliar(capsys):
    from emofuse.cli.table import show
    from emofuse.pipeline.analysis import Analysis

    shares = {"anger": 0.7, "joy": 0.3}
    one = Prediction(0, 1, None, frozenset({"speech"}), shares, by_modality={"speech": shares})
    odd = replace(one, unfamiliarity={"speech": 1.0}, unfamiliar={"speech": UNKNOWN})
    note = Note("unfamiliar", modality="speech", segments=1, total=1, why=UNKNOWN)
    show(Analysis("a.wav", 1.0, "m", odd, [odd], None, (note,)))
    said = capsys.readouterr().out
    assert "anger?" in said
    assert "unlike" in said


def test_an_intensity_has_a_level_where_the_model_knows_its_thirds(tiny_model, capsys):
    from emofuse.cli.table import show

    pipeline = Pipeline(tiny_model, options=MediaOptions(voice="always"))
    plain = pipeline(audio=(RATE, voice(2.0)))
    value = plain.overall.intensity
    assert plain.overall.intensity_level is None and "intensity_level" not in plain.to_dict()["overall"]
    for terciles, level in (((value + 0.1, 1.0), "weak"), ((value - 0.1, 1.0), "medium"), ((-1.0, value), "strong")):
        tiny_model.config = tiny_model.config.with_terciles({"intensity": terciles})
        found = pipeline(audio=(RATE, voice(2.0)))
        assert found.overall.intensity_level == found.segments[0].intensity_level == level
        assert found.to_dict()["segments"][0]["intensity_level"] == level
    show(found)
    assert "strong intensity" in capsys.readouterr().out
