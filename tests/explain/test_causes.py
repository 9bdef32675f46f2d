"""Causes: what each earlier turn and its words did to an answer, by hand and by a model that was told what to heed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emofuse.batch import collate
from emofuse.explain.causes import causes, causes_of
from emofuse.explain.explanation import explain
from emofuse.explain.html import page_of
from emofuse.explain.shapley import task_of


def heeding(weights: dict[str, float]):
    """An answer that is the sum of what words of the history weigh."""
    return lambda histories: [sum(weights.get(w, 0.0) for turn in turns for w in turn.split()) for turns in histories]


def test_the_turn_and_the_word_that_were_heeded_are_found():
    talk = ("ANN: good morning", "BEN: you lost my parcel again", "ANN: oh")
    found = causes(heeding({"lost": 0.5, "good": -0.1}), talk)
    assert [cause.turn for cause in found] == [-3, -2, -1] and [cause.text for cause in found] == list(talk)
    assert [cause.effect for cause in found] == pytest.approx([-0.1, 0.5, 0.0])
    assert [word.text for word in found[1].words] == ["you", "lost", "my", "parcel", "again"], "the name is no word"
    assert [word.effect for word in found[1].words] == pytest.approx([0, 0.5, 0, 0, 0])
    assert found[0].words == () and causes(heeding({}), ()) == ()


def test_characters_of_chinese_are_its_words():
    found = causes(
        lambda histories: [float("丢" in turns[0]) if turns else 0.0 for turns in histories], ("甲: 你丢了包",)
    )
    assert [(word.text, word.effect) for word in found[0].words] == [("你", 0), ("丢", 1), ("了", 0), ("包", 0)]


def test_an_effect_is_the_difference_of_two_calibrated_predictions(tiny_model, make_segment):
    segment = replace(make_segment(3), context=("A: this is great", "B: i am so sad", "A: not happy"))
    task = task_of(tiny_model, "emotion")

    def answer(context):
        batch = collate([tiny_model.prepare(replace(segment, context=context))])
        return float(tiny_model.predict(batch).tasks["emotion"][0, 2])

    found = causes_of(tiny_model, segment, task, 2)
    full, turns = answer(segment.context), segment.context
    for i, cause in enumerate(found):
        assert cause.effect == pytest.approx(full - answer(turns[:i] + turns[i + 1 :]), abs=1e-5)
    strongest = max(range(3), key=lambda i: abs(found[i].effect))
    words = found[strongest].words
    less = f"{turns[strongest][:3]}{' '.join(word.text for word in words[1:])}"
    assert words[0].effect == pytest.approx(
        full - answer((*turns[:strongest], less, *turns[strongest + 1 :])), abs=1e-5
    )


def test_a_voice_alone_has_no_causes_and_only_turns_that_are_read_count(tiny_model, make_segment):
    task = task_of(tiny_model, "emotion")
    segment = replace(make_segment(3), context=tuple(f"A: turn {i}" for i in range(9)))
    assert len(causes_of(tiny_model, segment, task, 0)) == tiny_model.context_turns == 5
    assert causes_of(tiny_model, segment.without("text"), task, 0) == ()


def test_an_explanation_tells_causes_where_they_are_asked_for(tiny_model, make_segment):
    segment = replace(make_segment(3), context=("A: this is <great>",))
    found = explain(tiny_model, segment, causes=True, steps=4)
    assert "Of the earlier turns, “A: this is <great>” moved it most" in found.sentence()
    assert found.to_dict()["causes"][0]["effect"] == found.causes[0].effect
    page = page_of([(found, segment)])
    assert "<h3>Earlier turns</h3>" in page and "&lt;great&gt;" in page and "<great>" not in page
    plain = explain(tiny_model, segment, steps=4)
    assert plain.causes is None and "causes" not in plain.to_dict()
    assert "<h3>Earlier turns</h3>" not in page_of([(plain, segment)])


@pytest.mark.checkpoint
def test_the_shipped_model_heeds_what_was_said_before(shipped, make_segment):
    """Of two earlier turns, one tells of a death, one of the weather; the answer to "Oh no." moves with the first."""
    talk = ("ANN: My father died last night.", "BEN: It may rain on Monday.")
    words = (replace(make_segment(0).words[0], text="Oh no."),)
    segment = replace(make_segment(0).only("text"), words=words, context=talk)
    task = task_of(shipped, "emotion")
    death, weather = causes_of(shipped, segment, task, task.classes.index("sadness"))
    assert abs(death.effect) > abs(weather.effect)
    assert death.effect > 0.1 > weather.effect
