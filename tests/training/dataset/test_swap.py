"""Counterfactual swaps: the other gender, the same labels, and all else as it was."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.media.transcript import spread
from emofuse.training.dataset.augment.segment import augment_segment, streams_of
from emofuse.training.dataset.augment.swap import NAMES, OTHER, swapped, swapped_text
from emofuse.training.recipe.augmentation import Augment, TextAugment
from emofuse.types import Segment


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("He told her that his mother cried.", "She told him that her father cried."),
        ("I saw her yesterday, it is hers!", "I saw him yesterday, it is his!"),
        ("I saw her and her brother", "I saw him and his sister"),
        ("That is his.", "That is hers."),
        ("JOHN and Mary's husband", "LINDA and James's wife"),
        ("HE'S late, she\u2019ll wait", "SHE'S late, he'll wait"),
        ("Mr. King, my dad", "Mrs. Queen, my mom"),
        ("(She) was 'him'", "(He) was 'her'"),
        ("I am so happy for you", "I am so happy for you"),
        ("Komm her, man ist nicht allein", "Komm her, man ist nicht allein"),
    ],
)
def test_gendered_words_and_names_are_swapped(text: str, other: str):
    assert swapped_text(text) == other


def test_a_swap_of_a_swap_is_the_text_where_no_pronoun_is_lost():
    for word in (*OTHER, *NAMES):
        if word not in ("mum", "mummy", "ms", "ma'am", "bloke"):
            assert swapped_text(swapped_text(word)) == word, word


def test_words_keep_their_times_and_their_number():
    words = spread("She told him nothing", 1.0, 3.0)
    found = swapped(words)
    assert [w.text for w in found] == ["He", "told", "her", "nothing"]
    assert [(w.start, w.end) for w in found] == [(w.start, w.end) for w in words]


def test_a_sample_is_swapped_at_its_chance_and_keeps_its_labels():
    """Words and turns together, and a chance of zero draws nothing: the streams of other changes stay as they were."""
    segment = Segment(
        "a", 0.0, 2.0, spread("He left", 0.0, 2.0), context=("ANN: she knows",), labels={"emotion": "sadness"}
    )

    def said(options: TextAugment, seed: int) -> tuple[str, tuple[str, ...]]:
        found = augment_segment(segment, Augment(text=options), streams_of(np.random.default_rng(seed)), lambda _: None)
        assert found.labels == segment.labels
        return " ".join(w.text for w in found.words or ()), found.context

    assert said(TextAugment(swap=1.0), 0) == ("She left", ("ANN: he knows",))
    assert said(TextAugment(), 0) == ("He left", ("ANN: she knows",))
    several = {said(TextAugment(swap=0.5), seed) for seed in range(20)}
    assert several == {("She left", ("ANN: he knows",)), ("He left", ("ANN: she knows",))}
    dropped = [said(TextAugment(dropout=0.5), seed)[0] for seed in range(5)]
    assert dropped == [said(TextAugment(dropout=0.5, swap=0.0), seed)[0] for seed in range(5)]
