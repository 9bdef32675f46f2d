"""Composed samples: one emotion across corpora, every subset of modalities equally often, on one clock."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from emofuse.data.compose import Compose, Composer, confusion
from emofuse.data.examples import Example
from emofuse.data.join import join
from emofuse.errors import DataError
from emofuse.tasks import TASKS, unlabelled
from emofuse.types import Segment, Utterance


def example(name: str, modality: str, label: int | None) -> Example:
    target = unlabelled(TASKS["emotion"])
    if label is not None:
        target[:] = np.eye(7, dtype=np.float32)[label]
    source = Utterance(name, "manifest", "train", name)
    return Example(name, source, {"emotion": target}, frozenset([modality]), name)


@pytest.fixture
def examples() -> list[Example]:
    found = [
        example(f"{m}{i}", m, label)
        for m in ("text", "speech", "face")
        for i, label in enumerate((0, 0, 0, 0, 1, 1, 2 if m == "text" else 1))
    ]
    return [*found, example("none", "text", None)]


def test_parts_carry_one_emotion_and_subsets_take_turns(examples: list[Example]):
    composer = Composer(examples, Compose(balance=1.0))
    subsets, labels = Counter(), Counter()
    for number in range(700):
        parts = composer.draw(np.random.default_rng(number), number).parts
        found = {int(examples[i].targets["emotion"].argmax()) for i in parts.values()}
        assert len(found) == 1
        assert all(m in examples[i].modalities for m, i in parts.items())
        subsets[frozenset(parts)] += 1
        labels[found.pop()] += 1
    assert set(subsets.values()) == {100}
    assert set(labels) == {0, 1}
    assert abs(labels[0] - 350) < 70


def test_halves_of_the_people_are_never_mixed_in_a_composition(examples: list[Example]):
    sides = [i % 2 == 0 for i in range(len(examples))]
    composer = Composer(examples, Compose(balance=1.0), sides=sides)
    drawn = [composer.draw(np.random.default_rng(number), number) for number in range(700)]
    for draw in drawn:
        assert {sides[i] for i in draw.parts.values()} == {draw.side}
        assert len({int(examples[i].targets["emotion"].argmax()) for i in draw.parts.values()}) == 1
    assert 250 < sum(bool(draw.side) for draw in drawn) < 450
    assert {frozenset(draw.parts) for draw in drawn if draw.side} == set(composer.subsets)


def test_halves_that_share_no_class_are_drawn_from_together(examples: list[Example]):
    """One person a modality: a half has no composition of its own, and nobody is told that one was held out."""
    sides = ["text" in e.modalities for e in examples]
    composer = Composer(examples, Compose(balance=1.0), sides=sides)
    plain = Composer(examples, Compose(balance=1.0))
    for number in range(20):
        drawn = composer.draw(np.random.default_rng(number), number)
        assert drawn.side is None
        assert drawn == plain.draw(np.random.default_rng(number), number)


def test_conflicting_parts_share_the_target(examples: list[Example], make_segment):
    composer = Composer(examples, Compose(conflict=1.0))
    mixed = 0
    for number in range(200):
        draw = composer.draw(np.random.default_rng(number), number)
        _, targets = composer.build(draw, examples, lambda u: make_segment(1), np.random.default_rng(0))
        assert targets["emotion"].sum() == pytest.approx(1)
        mixed += targets["emotion"].max() < 1
    assert mixed > 20


def test_one_clock_for_all_parts(make_segment):
    parts = {"text": make_segment(0), "speech": make_segment(1), "face": make_segment(2)}
    joined = join(parts, frames=3, rng=np.random.default_rng(0))
    assert joined.start == 0
    assert joined.end == pytest.approx(parts["speech"].end - parts["speech"].start)
    assert all(0 <= w.start <= w.end <= joined.end + 1e-6 for w in joined.words)
    assert all((t.times >= 0).all() and (t.times <= joined.end).all() for t in joined.faces)
    assert joined.present == {"text", "speech", "face"}


def test_a_picture_is_shown_several_times(make_segment):
    face = make_segment(3)
    track = face.faces[0]
    single = type(track)(0, track.crops[:1], track.times[:1], track.boxes[:1], track.quality[:1])
    seen = Segment("p", 0.0, 0.0, faces=(single,))
    counts = {len(join({"face": seen}, frames=4, rng=np.random.default_rng(s)).faces[0].crops) for s in range(40)}
    assert counts == {1, 2, 3, 4}


def test_one_modality_cannot_be_composed(examples: list[Example]):
    with pytest.raises(DataError, match="two modalities"):
        Composer([e for e in examples if "text" in e.modalities], Compose())


def test_single_modalities_can_be_left_to_the_sources(examples: list[Example]):
    composer = Composer(examples, Compose(fewest=2))
    sizes = Counter(len(composer.draw(np.random.default_rng(n), n).parts) for n in range(400))
    assert sizes == {2: 300, 3: 100}


def voted(name: str, modality: str, votes: dict[int, float], intensity: float) -> Example:
    target = np.zeros(7, np.float32)
    target[list(votes)] = list(votes.values())
    targets = {"emotion": target, "intensity": np.array([intensity], np.float32)}
    return Example(name, Utterance(name, "manifest", "train", name), targets, frozenset([modality]), name)


def test_raters_say_which_classes_are_near_misses(examples: list[Example]):
    votes = [voted("a", "face", {0: 0.6, 3: 0.4}, 0.5), voted("b", "face", {0: 0.8, 1: 0.2}, 0.5)]
    table = confusion(votes)
    assert table[0] == pytest.approx([0, 1 / 3, 0, 2 / 3, 0, 0, 0])
    assert table[1] == pytest.approx([1 / 6, 0, *[1 / 6] * 5])
    np.testing.assert_allclose(confusion(examples).sum(1), 1)


def test_parts_that_are_alike_share_intensity_and_near_miss():
    rng = np.random.default_rng(0)
    found = []
    for modality in ("speech", "face"):
        for i in range(60):
            lean = 3 if i % 2 else 1
            found.append(voted(f"{modality}{i}", modality, {0: 0.7, lean: 0.3}, float(rng.random())))
    apart, together = {}, {}
    for alike in (0.0, 1.0):
        composer = Composer(found, Compose(alike=alike, fewest=2))
        pairs = [list(composer.draw(np.random.default_rng(n), n).parts.values()) for n in range(400)]
        shown = [[found[i].targets for i in pair] for pair in pairs]
        apart[alike] = np.mean([abs(a["intensity"] - b["intensity"]) for a, b in shown])
        together[alike] = np.mean([a["emotion"][3] == b["emotion"][3] for a, b in shown])
        assert all(a["emotion"].argmax() == b["emotion"].argmax() == 0 for a, b in shown)
    assert together[1.0] > 0.8 > 0.6 > together[0.0]
    assert apart[1.0] < 0.7 * apart[0.0]


def test_corpora_without_a_class_in_common_are_refused():
    with pytest.raises(DataError, match="need a class of emotion that all of text, speech have, and there is none"):
        Composer([example("a", "text", 0), example("b", "speech", 1)], Compose())
