"""Flips: what is told to change an answer changes it, and less does not."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.errors import DataError
from emofuse.explain.explanation import explain
from emofuse.explain.flip import flips
from emofuse.explain.html import page_of
from emofuse.explain.shapley import task_of
from emofuse.model.counterfactual import Replies, without_words


def predicted(model, segment) -> np.ndarray:
    return model.predict(collate([model.prepare(segment)])).tasks["emotion"][0]


def test_every_flip_that_is_told_holds_and_none_is_missed_that_one_or_two_words_do(tiny_model, make_segment):
    """Against every set of one and two words, of a model for which all classes are nearly alike."""
    segment, task = make_segment(3).only("text"), task_of(tiny_model, "emotion")
    with torch.no_grad():
        logits = tiny_model(collate([tiny_model.prepare(segment)])).logits["emotion"][0]
        tiny_model.heads["emotion"].linear.bias -= logits - 0.01 * torch.eye(7)[0]
    sets = [frozenset(s) for n in (0, 1, 2) for s in combinations(range(len(segment.words)), n)]
    every = Replies(tiny_model, segment, task)([without_words(segment, s) for s in sets], "text")
    sizes = [min((len(s) for s, said in zip(sets, every.argmax(axis=1), strict=True) if said == c), default=3)
             for c in range(7)]  # fmt: skip
    assert sizes[0] == 0 and {1, 2} & set(sizes[1:])
    for target in range(7):
        (found,) = flips(tiny_model, segment, task, target)
        starts = {change.start for change in found.changes}
        gone = frozenset(i for i, w in enumerate(segment.words) if w.start in starts)
        after = predicted(tiny_model, without_words(segment, gone))
        assert found.before == pytest.approx(every[0][target], abs=1e-5)
        assert found.after == pytest.approx(after[target], abs=1e-5)
        assert found.flipped == (int(after.argmax()) == target)
        assert len(found.changes) == sizes[target] if sizes[target] < 3 else len(found.changes) >= 3
        assert found.least == min(sizes[target], 3)
        assert {change.what for change in found.changes} == {f"“{segment.words[i].text}”" for i in gone}


def test_each_kind_takes_away_its_own(tiny_model, make_segment):
    segment = make_segment(3)
    task = task_of(tiny_model, "emotion")
    target = int(predicted(tiny_model, segment).argmin())
    found = {flip.kind: flip for flip in flips(tiny_model, segment, task, target)}
    assert set(found) == {"words", "sound", "modality"}
    assert all(segment.start <= c.start < c.end <= segment.end + 0.51 for c in found["sound"].changes)
    assert {c.what for c in found["modality"].changes} < {"the words", "the voice", "the face"}
    kept = segment.without(*(m for m, name in (("text", "the words"), ("speech", "the voice"), ("face", "the face"))
                             if name in {c.what for c in found["modality"].changes}))  # fmt: skip
    assert found["modality"].after == pytest.approx(predicted(tiny_model, kept)[target], abs=1e-5)


def test_what_leads_already_needs_no_change_and_a_number_has_no_flip(tiny_model, make_segment):
    segment = make_segment(3)
    top = int(predicted(tiny_model, segment).argmax())
    (found,) = flips(tiny_model, segment, task_of(tiny_model, "emotion"), top)
    assert found.flipped and found.changes == () and "leads already" in found.sentence()
    with pytest.raises(DataError, match="intensity has no leading class"):
        flips(tiny_model, segment, task_of(tiny_model, "intensity"), 0)


def test_an_explanation_tells_flips_where_they_are_asked_for(tiny_model, make_segment):
    segment = make_segment(3)
    found = explain(tiny_model, segment, flip="fear", steps=4)
    assert [flip["kind"] for flip in found.to_dict()["flips"]] == [flip.kind for flip in found.flips]
    assert found.flips[0].sentence() in page_of([(found, segment)]).replace("&#34;", '"')
    with pytest.raises(DataError, match="did you mean 'fear'"):
        explain(tiny_model, segment, flip="fea")


@pytest.mark.checkpoint
def test_the_shipped_models_anger_rests_on_a_word(shipped, make_segment):
    said = ["The", "view", "was", "lovely", "and", "the", "noise", "made", "me", "furious"]
    words = tuple(replace(make_segment(0).words[0], text=w, start=float(i), end=i + 1.0) for i, w in enumerate(said))
    segment = replace(make_segment(0).only("text"), words=words, start=0.0, end=10.0)
    (found,) = flips(shipped, segment, task_of(shipped, "emotion"), shipped.tasks[0].classes.index("joy"))
    assert found.flipped and [change.what for change in found.changes] == ["“furious”"] and found.least == 1
