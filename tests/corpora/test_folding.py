"""Every folding: what each corpus's own label becomes, and that nothing else passes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emofuse.corpora.folding import Names, Number, Sign, leaders, same
from emofuse.corpora.folding import fold as apply
from emofuse.corpora.registry import corpus, names
from emofuse.errors import DataError
from emofuse.metrics.regression import sims_scores
from emofuse.tasks import EMOTIONS, FERPLUS, GOEMOTIONS, TASKS, Task

EMOTION = TASKS["emotion"]
MANIFEST = "manifest"


def fold(name: str, *arguments) -> np.ndarray:
    """The target of a corpus's labels."""
    return corpus(name).fold(*arguments)


def shares(name: str, labels: dict, task: str = "emotion", **overrides) -> dict[str, float] | None:
    """The folded target by class, without the zeros; None when unlabelled."""
    target = fold(name, labels, TASKS[task], overrides or None)
    assert target.shape == (TASKS[task].width,)
    assert target.dtype == np.float32
    if np.isnan(target).any():
        assert np.isnan(target).all()
        return None
    return {label: pytest.approx(float(x)) for label, x in zip(TASKS[task].classes, target, strict=True) if x}


def test_every_table_folds_into_classes_of_its_task():
    for name in names():
        for task, rule in corpus(name).foldings.items():
            if isinstance(rule, Names):
                assert {c for c in rule.table.values() if c} <= set(TASKS[task].classes), (name, task)
                assert rule.reject <= set(rule.table)
                assert rule.empty is None or rule.empty in TASKS[task].classes


@pytest.mark.parametrize(
    ("corpus", "own", "folded"),
    [
        ("ravdess", "calm", "neutral"),
        ("ravdess", "happy", "joy"),
        ("ravdess", "fearful", "fear"),
        ("ravdess", "surprised", "surprise"),
        ("crema_d", "sad", "sadness"),
        ("emodb", "happiness", "joy"),
        ("meld", "disgust", "disgust"),
        ("iemocap", "hap", "joy"),
        ("iemocap", "sur", "surprise"),
    ],
)
def test_a_name_folds_to_one_class(corpus, own, folded):
    assert shares(corpus, {"emotion": own}) == {folded: 1.0}


@pytest.mark.parametrize(
    ("corpus", "own"), [("emodb", "boredom"), ("iemocap", "exc"), ("iemocap", "fru"), ("iemocap", "xxx")]
)
def test_a_name_outside_the_seven_is_unlabelled(corpus, own):
    assert shares(corpus, {"emotion": own}) is None


def test_excited_is_joy_only_where_the_override_says_so():
    labels = {"emotion": "exc"}
    assert shares("iemocap", labels, exc="joy") == {"joy": 1.0}
    assert shares("iemocap", labels, "iemocap4") is None
    assert shares("iemocap", labels, "iemocap4", exc="joy") == {"joy": 1.0}
    assert shares("iemocap", labels, "iemocap6") == {"excited": 1.0}


def test_an_override_can_take_a_name_away():
    assert shares("ravdess", {"emotion": "calm"}, calm=None) is None


def test_ferplus_votes_lose_the_three_others_and_are_normalised():
    votes = dict.fromkeys(("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear"), 0.0)
    mixed = votes | {"happiness": 6.0, "neutral": 2.0, "contempt": 1.0, "unknown": 1.0}
    assert shares("ferplus", {"emotion": mixed}) == {"joy": 0.75, "neutral": 0.25}
    assert shares("ferplus", {"emotion": mixed}, "ferplus8") == {
        "joy": pytest.approx(6 / 9),
        "neutral": pytest.approx(2 / 9),
        "contempt": pytest.approx(1 / 9),
    }


@pytest.mark.parametrize("winner", ["contempt", "unknown", "NF"])
def test_ferplus_is_unlabelled_when_an_outsider_leads_or_ties(winner):
    assert shares("ferplus", {"emotion": {"neutral": 4.0, winner: 6.0}}) is None
    assert shares("ferplus", {"emotion": {"neutral": 5.0, winner: 5.0}}) is None
    assert shares("ferplus", {"emotion": {"neutral": 6.0, winner: 4.0}}) == {"neutral": 1.0}
    assert shares("ferplus", {"emotion": {"neutral": 0.0, winner: 0.0}}) is None


def test_ferplus_contempt_leads_in_the_eight():
    assert shares("ferplus", {"emotion": {"neutral": 4.0, "contempt": 6.0}}, "ferplus8") == {
        "neutral": 0.4,
        "contempt": 0.6,
    }
    assert FERPLUS[-1] == "contempt"


def test_goemotions_share_equally_over_distinct_ekman_classes():
    labels = {"emotion": {"gratitude": 1.0, "admiration": 1.0, "sadness": 1.0}}
    assert shares("goemotions", labels) == {"joy": 0.5, "sadness": 0.5}
    assert shares("goemotions", labels, "goemotions_ekman") == {"joy": 1.0, "sadness": 1.0}
    assert shares("goemotions", labels, "goemotions28") == dict.fromkeys(("admiration", "gratitude", "sadness"), 1.0)


def test_goemotions_ambiguous_says_nothing_of_polarity():
    assert shares("goemotions", {"emotion": {"surprise": 1.0}}, "polarity") is None
    assert shares("goemotions", {"emotion": {"surprise": 1.0, "love": 1.0}}, "polarity") == {"positive": 1.0}
    assert shares("goemotions", {"emotion": {"anger": 1.0, "neutral": 1.0}}, "polarity") == {
        "negative": 0.5,
        "neutral": 0.5,
    }


def test_goemotions_tables_cover_all_28():
    for rule in corpus("goemotions").foldings.values():
        assert isinstance(rule, Names)
        assert set(rule.table) == set(GOEMOTIONS)


def test_mosei_intensities_are_a_distribution_and_none_is_neutral():
    six = dict.fromkeys(("happiness", "sadness", "anger", "surprise", "disgust", "fear"), 0.0)
    some = six | {"happiness": 2.0, "fear": 2 / 3}
    assert shares("mosei", {"emotion": some}) == {"joy": 0.75, "fear": 0.25}
    assert shares("mosei", {"emotion": some}, "mosei6") == {"joy": 1.0, "fear": 1.0}
    assert shares("mosei", {"emotion": six}) == {"neutral": 1.0}
    assert shares("mosei", {"emotion": six}, "mosei6") == {}
    assert shares("mosei", {"sentiment": 1.0}) is None


@pytest.mark.parametrize(("sentiment", "polarity"), [(-0.2, "negative"), (0.0, "neutral"), (3.0, "positive")])
@pytest.mark.parametrize("corpus", ["mosi", "mosei", "mosi_features"])
def test_sentiment_gives_polarity_and_intensity(corpus, sentiment, polarity):
    labels = {"sentiment": sentiment}
    assert shares(corpus, labels, "polarity") == {polarity: 1.0}
    assert fold(corpus, labels, TASKS["sentiment"]) == pytest.approx([sentiment])
    assert fold(corpus, labels, TASKS["intensity"]) == pytest.approx([abs(sentiment) / 3])


@pytest.mark.parametrize("sentiment", [-0.2, 0.0, 0.2])
def test_the_two_classes_of_ch_sims_are_those_of_its_accuracy(sentiment):
    """Zero is on one side of both: the accuracy is 1 only where class and bin agree."""
    positive = shares("ch_sims", {"sentiment": sentiment}, "sims_sentiment2") == {"positive": 1.0}
    assert sims_scores(np.array([sentiment]), np.array([0.5 if positive else -0.5]))["acc2"] == 1
    assert np.isnan(fold("ch_sims", {"sentiment": sentiment}, TASKS["sentiment2"])).all()


def test_ch_sims_keeps_its_own_scale_and_its_unimodal_labels():
    labels = {"sentiment": -0.6, "sentiment_text": 0.2, "sentiment_audio": -1.0}
    assert fold("ch_sims", labels, TASKS["sims_sentiment"]) == pytest.approx([-0.6])
    assert fold("ch_sims_v2", labels, TASKS["sims_audio"]) == pytest.approx([-1.0])
    assert np.isnan(fold("ch_sims", labels, TASKS["sims_vision"])).all()
    assert np.isnan(fold("ch_sims", labels, TASKS["sentiment"])).all()
    assert shares("ch_sims", labels, "polarity") == {"negative": 1.0}


def test_iemocap_scales_go_from_1_to_5_to_minus_1_to_1():
    labels = {"valence": 1.0, "activation": 3.0, "dominance": 5.0}
    got = [fold("iemocap", labels, TASKS[t]).item() for t in ("valence", "arousal", "dominance")]
    assert got == [-1.0, 0.0, 1.0]


def test_only_what_a_corpus_carries_is_labelled():
    """RAVDESS's normal/strong is not an intensity of sentiment; valence and arousal are in three."""
    assert np.isnan(fold("ravdess", {"emotion": "sad", "intensity": "strong"}, TASKS["intensity"])).all()
    for task in ("valence", "arousal"):
        assert [n for n in names() if n != MANIFEST and task in corpus(n).tasks] == ["emobank", "emotale", "iemocap"]


def test_sarcasm():
    assert shares("mustard", {"sarcasm": "sarcastic"}, "sarcasm") == {"sarcastic": 1.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mled", {"emotion": "joy"}, EMOTION), "did you mean 'meld'"),
        (("meld", {"emotion": "joi"}, EMOTION), "did you mean 'joy'"),
        (("meld", {"emotion": 3.0}, EMOTION), "a class name or a mapping"),
        (("iemocap", {"emotion": "exc"}, EMOTION, {"excited": "joy"}), "did you mean 'exc'"),
        (("iemocap", {"emotion": "exc"}, EMOTION, {"exc": "happy"}), "'happy' is no class of emotion"),
        (("mosi", {"sentiment": 1.0}, TASKS["sentiment"], {"exc": "joy"}), "folded from a number"),
        (("mosi", {"sentiment": 4.0}, TASKS["sentiment"]), "outside -3..3"),
        (("mosi", {"sentiment": "much"}, TASKS["sentiment"]), "a finite number"),
        (("mosi", {"sentiment": float("inf")}, TASKS["polarity"]), "a finite number"),
        (("ferplus", {"emotion": {"neutral": -1.0}}, EMOTION), "at least 0"),
        ((MANIFEST, {"emotion": "happy"}, EMOTION), "did you mean 'joy'"),
        ((MANIFEST, {"emotion": "Anger"}, EMOTION), "did you mean 'anger'"),
        ((MANIFEST, {"valence": 2.0}, TASKS["valence"]), "outside -1..1"),
    ],
)
def test_what_does_not_fold_is_an_error_that_names_the_nearest(arguments, message):
    with pytest.raises(DataError, match=message):
        fold(*arguments)


def test_a_manifest_folds_by_the_name_of_its_column():
    labels = {
        "emotion": "joy",
        "polarity": {"positive": 3.0, "neutral": 1.0},
        "valence": 0.5,
        "goemotions28": "joy|love",
    }
    assert shares(MANIFEST, labels) == {"joy": 1.0}
    assert shares(MANIFEST, labels, "polarity") == {"positive": 0.75, "neutral": 0.25}
    assert shares(MANIFEST, labels, "goemotions28") == {"joy": 1.0, "love": 1.0}
    assert fold(MANIFEST, labels, TASKS["valence"]).item() == 0.5
    assert shares(MANIFEST, {"emotion": "happy"}, happy="joy") == {"joy": 1.0}
    assert shares(MANIFEST, {"emotion": float("nan")}) is None


votes = st.dictionaries(
    st.sampled_from(list(corpus("ferplus").foldings["emotion"].table)), st.integers(0, 10), min_size=1
)


@given(votes)
def test_folded_votes_are_a_distribution_or_nothing(votes):
    target = fold("ferplus", {"emotion": votes}, EMOTION)
    assert np.isnan(target).all() or (target.sum() == pytest.approx(1) and (target >= 0).all())


@given(votes, st.integers(2, 9))
def test_only_the_proportions_of_votes_count(votes, factor):
    scaled = {name: n * factor for name, n in votes.items()}
    np.testing.assert_allclose(
        fold("ferplus", {"emotion": votes}, EMOTION), fold("ferplus", {"emotion": scaled}, EMOTION), rtol=1e-6
    )


def test_leaders():
    assert leaders({"joy": 3, "fear": 2}) == ("joy",)
    assert leaders({"joy": 3, "fear": 3, "anger": 1}) == ("joy", "fear")
    assert leaders({"joy": 0}) == leaders({}) == ()


@pytest.mark.parametrize(
    ("name", "votes"),
    [
        ("iemocap", {"fru": 2.0, "ang": 1.0}),
        ("iemocap", {"xxx": 1.0, "ang": 1.0}),
        ("ferplus", {"contempt": 5.0, "neutral": 5.0}),
        ("ferplus", {"NF": 3.0, "happiness": 3.0, "fear": 1.0}),
    ],
)
def test_votes_that_an_outsider_leads_or_shares_are_not_one_class(name, votes):
    """The minority's, or half of the raters', would else be the whole of the label."""
    assert shares(name, {"emotion": votes}) is None
    assert shares(name, {"emotion": votes | {next(reversed(votes)): 9.0}}) is not None


def test_an_outsider_that_leads_rejects_only_while_it_folds_to_nothing():
    """An override that gives the leading outsider a class makes its votes count like any other."""
    votes = {"neutral": 4.0, "contempt": 6.0}
    assert shares("ferplus", {"emotion": votes}) is None
    assert shares("ferplus", {"emotion": votes}, contempt="disgust") == {"neutral": 0.4, "disgust": 0.6}
    assert shares("ferplus", {"emotion": votes}, unknown="neutral") is None


@pytest.mark.parametrize("own", ["realization", "surprise", "curiosity", "confusion"])
def test_goemotions_ambiguous_four_are_no_neutral_polarity(own):
    """Of polarity they say nothing; of the seven emotions they are surprise."""
    assert shares("goemotions", {"emotion": {own: 1.0}}, "polarity") is None
    assert shares("goemotions", {"emotion": {own: 1.0, "sadness": 1.0}}, "polarity") == {"negative": 1.0}
    assert shares("goemotions", {"emotion": {own: 1.0}}) == {"surprise": 1.0}


def test_goemotions_tables_are_the_published_ones():
    """Counts of the classes of ekman_mapping.json and sentiment_dict.json."""
    ekman, sentiment = (corpus("goemotions").foldings[task].table for task in ("emotion", "polarity"))
    assert Counter(ekman.values()) == {
        "joy": 12, "anger": 3, "sadness": 5, "surprise": 4, "fear": 2, "disgust": 1, "neutral": 1,
    }  # fmt: skip
    assert Counter(sentiment.values()) == {"positive": 12, "negative": 11, None: 4, "neutral": 1}


EMPTY = Names("own", {"a": "joy", "b": "fear", "c": None}, empty="neutral")


@pytest.mark.parametrize(
    ("rule", "own", "expected"),
    [
        (None, "a", None),
        (EMPTY, None, None),
        (EMPTY, "", None),
        (EMPTY, float("nan"), None),
        (EMPTY, " a ", {"joy": 1.0}),
        (EMPTY, "c", None),
        (EMPTY, {"a": 0, "b": 0.0}, {"neutral": 1.0}),
        (EMPTY, {"c": 1}, None),
        (EMPTY, {"a": 3, "b": 1, "c": 12}, {"joy": 0.75, "fear": 0.25}),
        (Names("own", EMPTY.table), {"a": 0}, None),
        (Names("own", EMPTY.table, flat=True), {"a": 3, "b": 1}, {"joy": 0.5, "fear": 0.5}),
        (Names("own", EMPTY.table, reject=frozenset("c")), {"a": 2, "c": 2}, None),
        (Names("own", EMPTY.table, reject=frozenset("c")), {"a": 2, "c": 3}, None),
        (Names("own", EMPTY.table, reject=frozenset("a")), {"a": 2, "b": 2}, {"joy": 0.5, "fear": 0.5}),
    ],
)
def test_names_fold_by_their_rule(rule, own, expected):
    target = apply(rule, {"own": own, "other": "b"}, EMOTION)
    assert target.dtype == np.float32 and target.shape == (7,)
    got = None if np.isnan(target).all() else {c: float(x) for c, x in zip(EMOTIONS, target, strict=True) if x}
    assert got == expected


@pytest.mark.parametrize("own", ["a|b", "a;b", " a | b ", "a ; b|", {"a": 0.1, "b": 7, "c": 1}])
def test_several_labels_stand_beside_each_other(own):
    task = Task("both", "multilabel", ("fear", "joy", "anger"))
    assert apply(Names("own", EMPTY.table), {"own": own}, task).tolist() == [1.0, 1.0, 0.0]
    assert apply(Names("own", EMPTY.table), {"own": {"a": 0, "b": 1}}, task).tolist() == [1.0, 0.0, 0.0]


def test_numbers_fold_to_the_ends_of_their_range_and_no_further():
    task, rule = Task("scale", "scalar", low=-1.0, high=1.0), Number("own", lambda x: x / 2)
    assert apply(rule, {"own": "2"}, task).tolist() == [1.0]
    assert apply(rule, {"own": -2.000001}, task).tolist() == pytest.approx([-1.0])
    for own in (2.1, -2.1):
        with pytest.raises(DataError, match=rf"^own={own:g} of X gives scale {own / 2:g}, outside -1\.\.1$"):
            apply(rule, {"own": own}, task, corpus="X")
    assert apply(Number("own"), {"own": 0.25}, task).tolist() == [0.25]


@pytest.mark.parametrize(("own", "place"), [(-3, 0), (-1e-9, 0), (0, 1), (1e-9, 2), ("2", 2)])
def test_signs_fold_below_at_and_above_zero(own, place):
    assert apply(Sign("own"), {"own": own}, TASKS["polarity"]).tolist() == np.eye(3)[place].tolist()


def test_overrides_say_what_they_may_name():
    closed, free = Names("own", EMPTY.table), Names("own", EMPTY.table, open=True)
    assert apply(free, {"own": "new"}, EMOTION, {"new": "joy"}).argmax() == EMOTIONS.index("joy")
    assert np.isnan(apply(closed, {"own": "a"}, EMOTION, {"a": None})).all()
    with pytest.raises(DataError, match=r"^override of 'new': X has no such label; valid: a, b, c$"):
        apply(closed, {"own": "a"}, EMOTION, {"new": "joy"}, "X")
    with pytest.raises(DataError, match=r"^override 'a': 'glad' is no class of emotion; valid: anger, "):
        apply(closed, {"own": "a"}, EMOTION, {"a": "glad"}, "X")
    for rule in (Number("own"), Sign("own")):
        with pytest.raises(DataError, match=r"^emotion of X is folded from a number: overrides \['a', 'b'\] name no"):
            apply(rule, {}, EMOTION, {"b": None, "a": "joy"}, "X")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("d", "^own 'd' of X is no label for emotion; valid: a, b, c$"),
        (["a"], r"^own of X is \['a'\]; a class name or a mapping of names to votes belongs there$"),
        ({"a": -0.5}, r"^votes of X own are \{'a': -0.5\}; each must be a number of at least 0$"),
        ({"a": "many"}, "^own of X is 'many'; a finite number belongs there$"),
        ({"a": float("inf")}, "^own of X is inf; a finite number belongs there$"),
        ({"a": None}, "^own of X is None; a finite number belongs there$"),
    ],
)
def test_what_no_rule_folds_is_named(own, message):
    with pytest.raises(DataError, match=message):
        apply(EMPTY, {"own": own}, EMOTION, corpus="X")


def test_a_synonym_or_another_case_is_pointed_to_where_the_table_has_it():
    rule = Names("own", same("joy", "fear"))
    for own, meant in (("Happy", "joy"), ("JOY", "joy"), ("scared", "fear")):
        with pytest.raises(DataError, match=f"own '{own}' of X is no label for emotion; did you mean '{meant}'"):
            apply(rule, {"own": own}, EMOTION, corpus="X")
    with pytest.raises(DataError, match=r"own 'sad' of X is no label for emotion; valid: fear, joy$"):
        apply(rule, {"own": "sad"}, EMOTION, corpus="X")
