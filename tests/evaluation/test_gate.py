"""The gate of an evaluation: which group fares worst, by how much, and what cannot be shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emofuse.data.examples import Example
from emofuse.errors import DataError
from emofuse.evaluation.evaluate import evaluate
from emofuse.evaluation.gate import judge, read_rules


@pytest.fixture
def found(tiny_model, make_segment):
    """48 texts whose labels are what the model says for one sex and another class for half of the other."""
    from emofuse.evaluation.predict import GIVEN, predict_examples

    def example(i: int, emotion: int) -> Example:
        targets = {t.name: np.full(t.width, np.nan, np.float32) for t in tiny_model.tasks}
        targets["emotion"] = np.eye(7, dtype=np.float32)[emotion]
        segment = replace(make_segment(i % 4).only("text"), id=str(i))
        sex = "female" if i < 24 else "male"
        return Example(str(i), segment, targets, frozenset({"text"}), f"p{i % 8}", {"sex": sex, "age": f"a{i % 16}"})

    said = predict_examples(tiny_model, [example(i, 0) for i in range(48)], subsets=()).values[GIVEN]["emotion"]
    tops = said.argmax(1)
    wrong = [(int(top) + 1) % 7 if i >= 36 else int(top) for i, top in enumerate(tops)]
    return evaluate(tiny_model, [example(i, emotion) for i, emotion in enumerate(wrong)], resamples=20)


def test_the_worse_group_is_named_and_the_bound_decides(found):
    groups = found.tasks["emotion"].groups["sex"]
    size = groups["female"]["interval"].estimate - groups["male"]["interval"].estimate
    assert size > 0.2
    (failed,) = judge(found, read_rules(["max_gap=0.1"]))
    assert not failed.passed
    assert str(failed).startswith("gate max_gap=0.1: failed: emotion UAR by sex: male 0.")
    assert f"female 1.000, a gap of {size:.3f}" in failed.why
    assert [v.passed for v in judge(found, read_rules([f"max_gap.sex={size + 1e-6}"]))] == [True]


def test_what_no_two_groups_can_show_has_failed(found):
    """Sixteen ages of three samples are too few to say anything of any."""
    (verdict,) = judge(found, read_rules(["max_gap.age=0.5"]))
    assert not verdict.passed and "no two groups of 20 samples" in verdict.why
    with pytest.raises(DataError, match="did you mean 'sex'"):
        judge(found, read_rules(["max_gap.sexx=0.5"]))


@pytest.mark.parametrize("wrong", ["max_gap", "gap=0.1", "max_gap=-1", "max_gap=x", "max_gap.=1", "max_gap=nan"])
def test_rules_that_say_nothing_are_refused(wrong):
    with pytest.raises(DataError, match="--gate"):
        read_rules([wrong])
