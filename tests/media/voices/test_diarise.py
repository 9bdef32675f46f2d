"""Voices told apart: how many, whose, and where one begins after another."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering

from emofuse.errors import MediaError, MissingExtraError
from emofuse.media.audio import BLOCK, AudioBlock
from emofuse.media.limits import GAP
from emofuse.media.reader import segments
from emofuse.media.segmentation import SegmentOptions
from emofuse.media.voices.cepstrum import cepstra
from emofuse.media.voices.diarise import Stretch, grouped, told_apart
from emofuse.media.voices.voiceprint import pauses, projection
from emofuse.metrics.diarisation import diarisation_error

RATE = 16_000


def blocks(sound: np.ndarray):
    for i in range(0, len(sound), BLOCK):
        yield AudioBlock(i / RATE, sound[i : i + BLOCK])


def stretches(*voices: int, seed: int = 0) -> list[Stretch]:
    """One second each; None = too short to be heard for who it is."""
    rng = np.random.default_rng(seed)
    inverse = np.linalg.pinv(projection())
    means = rng.normal(0, 6, (8, inverse.shape[0]))
    return [
        Stretch(i, float(i), i + 1.0, None if v < 0 else (means[v] + rng.normal(0, 1, len(means[v]))) @ inverse)
        for i, v in enumerate(voices)
    ]


def same(found: np.ndarray, truth: list[int]) -> bool:
    return len(set(zip(found.tolist(), truth, strict=True))) == len(set(truth)) == len(set(found.tolist()))


@pytest.mark.parametrize("speakers", [3, "auto"])
def test_stretches_of_a_voice_are_together(speakers):
    truth = [0, 1, 0, 2, 1, 2, 0, 1, 2, 0, 1, 2]
    assert same(grouped(stretches(*truth), speakers), truth)


@pytest.mark.parametrize("speakers", [3, "auto"])
def test_of_very_many_stretches_few_are_linked_and_all_are_told_apart(speakers, monkeypatch):
    monkeypatch.setattr("emofuse.media.voices.diarise.MOST_LINKED", 40)
    linked, fit = [], AgglomerativeClustering.fit_predict

    def fit_predict(self, points, y=None):
        linked.append(len(points))
        return fit(self, points, y)

    monkeypatch.setattr(AgglomerativeClustering, "fit_predict", fit_predict)
    truth = [random.Random(i).randrange(3) for i in range(500)]
    assert same(grouped(stretches(*truth), speakers), truth)
    assert max(linked) <= 40


def test_one_voice_is_one():
    assert set(grouped(stretches(*[0] * 12), "auto").tolist()) == {0}
    assert set(grouped(stretches(0, 1, 0, 1), 1).tolist()) == {0}


def test_a_short_stretch_is_of_its_neighbour():
    found = grouped(stretches(0, 0, -1, 1, 1), 2).tolist()
    assert found[2] in (found[1], found[3]) and found[0] == found[1] != found[3] == found[4]


def test_more_speakers_than_stretches_is_no_error():
    assert len(grouped(stretches(0, 1), 8)) == 2 and grouped(stretches(-1), 2).tolist() == [0]


def test_silence_has_nobody():
    assert told_apart(blocks(np.zeros(3 * RATE, np.float32)), SegmentOptions(), GAP, "auto") == []


def test_cepstra_do_not_know_how_loud_it_is():
    sound = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    loud, soft = cepstra(sound), cepstra(sound / 4)
    assert loud.shape == (98, 25) and loud[:, :24] == pytest.approx(soft[:, :24], abs=1e-2)
    assert (loud[:, 24] - soft[:, 24]) == pytest.approx(20 * np.log10(4), abs=0.01)
    assert cepstra(sound[:100]).shape == (0, 25)


@pytest.mark.parametrize("speakers", [0, 9, 2.5, "two", True])
def test_a_number_of_speakers_is_one_that_can_be_told_apart(repository, speakers):
    with pytest.raises(MediaError, match="speakers is 'auto' or a number from 1 to 8"):
        list(segments(repository / "demo" / "samples" / "sample.mp4", speakers=speakers))


def test_without_scikit_learn_the_extra_is_named(repository, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"emofuse\[speakers\]"):
        told_apart(blocks(np.zeros(RATE, np.float32)), SegmentOptions(), GAP, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other", "most"),
    [("nemo/samples/TP0_*", "nemo/samples/WR0_*", 0.15), ("ravdess/Actor_17/*", "ravdess/Actor_18/*", 0.3)],
    ids=["nemo", "ravdess"],
)
def test_two_people_of_a_corpus_are_told_apart_and_cues_go_to_them(corpora_root, one, other, most):
    from emofuse.media.decode import read_audio

    rng, pieces, reference, now = random.Random(0), [], [], 0.0
    for turn in range(16):
        actor = (one, other)[turn % 2]
        sound = read_audio(rng.choice(sorted(corpora_root.glob(actor))))
        loud = np.flatnonzero(~pauses(cepstra(sound)))
        sound = sound[loud[0] * 160 : loud[-1] * 160 + 400]
        reference.append((now, now + len(sound) / RATE, actor))
        pieces += [sound, np.zeros(RATE // 3, np.float32)]
        now += len(sound) / RATE + (RATE // 3) / RATE
    talk = np.concatenate(pieces)
    spans = told_apart(blocks(talk), SegmentOptions(), GAP, 2)
    error = diarisation_error(reference, [(s.start, s.end, s.speaker) for s in spans], collar=0.25)
    assert error["der"] < most
    notes: list[str] = []
    found = list(segments(audio=(RATE, talk), speakers=2, notes=notes))
    assert [s.speaker for s in found][:1] == ["speaker 1"] and {s.speaker for s in found} == {"speaker 1", "speaker 2"}
    assert "voices_told_apart" in [getattr(note, "code", None) for note in notes]
    cues = "WEBVTT\n\n" + "\n\n".join(
        f"00:{int(a // 60):02}:{a % 60:06.3f} --> 00:{int(b // 60):02}:{b % 60:06.3f}\nturn {i}"
        for i, (a, b, _) in enumerate(reference)
    )
    cued = [s.speaker for s in segments(audio=(RATE, talk), speakers=2, transcript=cues)]
    assert set(cued) == {"speaker 1", "speaker 2"}


def test_a_short_stretch_is_of_the_voice_that_ends_before_it_not_of_one_that_begins_nearer():
    one, other = (stretches(0, 1)[i].voice for i in (0, 1))
    turns = [Stretch(0, 0.0, 3.0, one), Stretch(0, 3.0, 3.3, None), Stretch(1, 3.9, 6.0, other)]
    first, short, last = grouped(turns, 2).tolist()
    assert first == short != last


@pytest.mark.parametrize("speakers", [2, "auto"])
def test_a_sound_that_repeats_itself_is_one_voice(speakers):
    (one,) = stretches(0)
    assert grouped([one, Stretch(1, 4.0, 7.0, one.voice)], speakers).tolist() == [0, 0]
