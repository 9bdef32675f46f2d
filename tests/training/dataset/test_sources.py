"""Training samples are functions of seed, epoch and index; the cache changes how fast they come and nothing else."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.corpora.corpus import Reading
from emofuse.data.examples import Example
from emofuse.errors import DataError
from emofuse.metrics.task import task_metrics
from emofuse.tasks import Task
from emofuse.training.assemble import caches, dev_sets
from emofuse.training.dataset.augment.segment import augmented
from emofuse.training.dataset.cache import DiskCache, InputCache
from emofuse.training.dataset.samples import MediaCache, Samples, keep_random
from emofuse.training.dataset.sources import SourceExamples, cells, read_source
from emofuse.training.recipe.augmentation import Augment
from emofuse.training.recipe.read import parse_recipe
from emofuse.training.recipe.schema import Source
from emofuse.types import Segment, Utterance

AUGMENT = Augment.model_validate({"text": {"dropout": 0.3}, "speech": {"noise": 1.0, "mask": 1.0}})


@pytest.fixture
def examples(recipe_values: dict[str, Any], tiny_model) -> list[Example]:
    recipe = parse_recipe(recipe_values)
    return read_source(recipe, recipe.data.sources[0], tiny_model.tasks).train


def same(one, other) -> bool:
    for modality, arrays in one.inputs.items():
        if (arrays is None) != (other.inputs[modality] is None):
            return False
        if arrays is not None and not all(np.array_equal(v, other.inputs[modality][k]) for k, v in arrays.items()):
            return False
    return True


def test_a_sample_depends_on_its_key_alone(examples: list[Example], tiny_model):
    one = Samples(examples, tiny_model, MediaCache(1 << 24), seed=0, augment=AUGMENT, modality_dropout=0.5)
    other = Samples(examples, tiny_model, MediaCache(0), seed=0, augment=AUGMENT, modality_dropout=0.5)
    [one[0, i] for i in range(5)]
    assert all(same(one[3, i], other[3, i]) for i in (4, 1, 7))
    assert not same(one[3, 1], one[4, 1])
    assert not same(one[3, 1], Samples(examples, tiny_model, MediaCache(0), seed=1, augment=AUGMENT)[3, 1])


def test_mixup_blends_inputs_and_targets_in_one_share(examples: list[Example], tiny_model):
    voices = [replace(e, modalities=frozenset({"speech"})) for e in examples]
    plain = Samples(voices, tiny_model, MediaCache(1 << 24), seed=0)
    mixed = Samples(voices, tiny_model, MediaCache(1 << 24), seed=0, augment=Augment(mixup=1.0))
    soft = 0
    for i in range(len(voices)):
        one, both = plain[0, i], mixed[0, i]
        target, weight = one.targets["emotion"], both.targets["emotion"]
        assert weight.sum() == pytest.approx(1) and weight[target.argmax()] >= 0.5
        before, after = one.inputs["speech"]["values"], both.inputs["speech"]["values"]
        assert before.shape == after.shape
        partners = [p.inputs["speech"]["values"] for p in (plain[0, j] for j in range(len(voices)))]
        shares = [_share(after, before, np.resize(p, before.shape)) for p in partners]
        kept = next(s for s in shares if s is not None)
        if weight.max() < 1:
            soft += 1
            assert weight[target.argmax()] == pytest.approx(kept, abs=1e-3)
    assert soft > 0
    assert all(same(mixed[2, i], mixed[2, i]) for i in range(3)) and not same(mixed[2, 0], mixed[3, 0])


def _share(both: np.ndarray, one: np.ndarray, other: np.ndarray) -> float | None:
    """λ of both = λ one + (1 - λ) other; None where there is none."""
    apart = (one - other).ravel()
    if not apart.any():
        return None
    kept = float((both - other).ravel() @ apart / (apart @ apart))
    return kept if np.allclose(both, kept * one + (1 - kept) * other, atol=1e-4) else None


def test_words_are_not_mixed_up(examples: list[Example], tiny_model):
    plain = Samples(examples, tiny_model, MediaCache(1 << 24), seed=0)
    mixed = Samples(examples, tiny_model, MediaCache(1 << 24), seed=0, augment=Augment(mixup=1.0))
    worded = [i for i, e in enumerate(examples) if "text" in e.modalities]
    assert worded and all(same(plain[0, i], mixed[0, i]) for i in worded)


def test_development_samples_never_change(examples: list[Example], tiny_model):
    samples = Samples(examples, tiny_model, MediaCache(1 << 24), seed=0)
    assert same(samples[0, 2], samples[9, 2])


def test_the_disk_cache_changes_no_sample(examples: list[Example], tiny_model, tmp_path: Path):
    augment = Augment.model_validate({"speech": {"noise": 1.0}})
    plain = Samples(examples, tiny_model, MediaCache(1 << 24), seed=0, augment=augment)
    store = InputCache(DiskCache(tmp_path, 1 << 24), tiny_model, ())
    for _ in range(2):
        kept = Samples(examples, tiny_model, MediaCache(1 << 24), seed=0, augment=augment, store=store)
        assert all(same(plain[1, i], kept[1, i]) for i in range(4))
    assert len(list(tmp_path.glob("*/*.npz"))) == len({i.utterance.text + str(i.utterance.media) for i in examples[:4]})


def test_a_frozen_encoder_reads_what_mixup_blends_with_and_without_a_cache(
    examples: list[Example], tiny_model, recipe_values: dict[str, Any], tmp_path: Path
):
    """Its states were kept unblended while the targets were: one voice under the label of two."""
    cache = {"folder": str(tmp_path / "cache"), "gb": 0.1}
    data = recipe_values["data"] | {"cache": cache}
    recipe = parse_recipe(recipe_values | {"data": data, "augment": {"mixup": 1.0}})
    voices = [replace(e, modalities=frozenset({"speech"})) for e in examples]
    media, store = caches(recipe, tiny_model.requires_grad_(False))
    assert store is not None and store.frozen == {"text"}
    plain = Samples(voices, tiny_model, MediaCache(1 << 24), seed=0, augment=recipe.augment)
    for _ in range(2):
        kept = Samples(voices, tiny_model, media, seed=0, augment=recipe.augment, store=store)
        assert all(same(plain[1, i], kept[1, i]) for i in range(4))


def test_sound_is_not_loaded_again_for_inputs_that_are_kept(examples: list[Example], tiny_model, tmp_path: Path):
    store = InputCache(DiskCache(tmp_path, 1 << 24), tiny_model, ())
    Samples(examples, tiny_model, MediaCache(0), seed=0, store=store)[0, 0]

    def fail(utterance: Utterance) -> Segment:
        raise AssertionError(f"{utterance.id} was loaded again")

    assert Samples(examples, tiny_model, fail, seed=0, store=store)[0, 0].inputs["speech"] is not None


def test_a_worker_is_sent_no_weights_but_those_whose_tokens_it_keeps(examples: list[Example], tiny_model, tmp_path):
    for frozen in ((), ("speech",)):
        store = InputCache(DiskCache(tmp_path / str(len(frozen)), 1 << 24), tiny_model, frozen)
        plain = Samples(examples, tiny_model, MediaCache(1 << 24), seed=0, augment=AUGMENT, store=store)
        expected = plain[1, 2]
        sent = pickle.loads(pickle.dumps(plain))
        assert same(sent[1, 2], expected)
        assert not any(sent.model.encoder(m).state_dict() for m in tiny_model.modalities)
        kept = {m for m in tiny_model.modalities if sent.store.model.encoder(m).state_dict()}
        assert kept == set(frozen)


def test_modalities_without_a_chance_of_change_are_not_augmented():
    assert augmented(None) == frozenset()
    assert augmented(Augment()) == frozenset()
    assert augmented(AUGMENT) == {"text", "speech"}


def test_dropout_keeps_each_subset_equally_often():
    there = {"text": {}, "speech": {}, "face": None}
    rng = np.random.default_rng(0)
    kept = Counter(
        frozenset(m for m, a in keep_random(there, rng).items() if a is not None) for _ in range(900)
    )  # fmt: skip
    assert set(kept) == {frozenset({"text"}), frozenset({"speech"}), frozenset({"text", "speech"})}
    assert min(kept.values()) > 240
    assert keep_random({"text": None}, rng) == {"text": None}


def test_memory_is_bounded(make_segment):
    loaded: list[str] = []

    def load(utterance: Utterance) -> Segment:
        loaded.append(utterance.id)
        return make_segment(int(utterance.id))

    def ask(number: int) -> None:
        cache(Utterance(str(number), "manifest", "train", "a"))

    size = max(make_segment(i).waveform.nbytes + 20_000 * len(make_segment(i).faces[0].crops) for i in range(4))
    cache = MediaCache(3 * size, load)
    for number in (0, 1, 0, 2, 0, 3, 0):
        ask(number)
    assert loaded.count("0") == 1
    none = MediaCache(0, load)
    none(Utterance("0", "manifest", "train", "a"))
    none(Utterance("0", "manifest", "train", "a"))
    assert loaded.count("0") == 3


def test_media_in_memory_are_those_of_the_utterance_whatever_its_id(tmp_path: Path):
    """A/train.csv and B/train.csv both hold a row `train:2`."""
    one = Utterance("train:2", "manifest", "train", "a", text="so happy", media=tmp_path / "a.wav")
    loaded: list[Utterance] = []

    def load(utterance: Utterance) -> Segment:
        loaded.append(utterance)
        return Segment(utterance.id, 0.0, 1.0, context=utterance.context)

    others = [
        {"text": "so sad"}, {"media": tmp_path / "b.wav"}, {"start": 1.0}, {"end": 2.0}, {"context": ("A: no",)},
        {"after": ("A: no",)}, {"speaker": "b"}, {"labels": {"emotion": "joy"}}, {"face_crop": True},
        {"extras": {"face": tmp_path / "c.png"}},
    ]  # fmt: skip
    asked = [one, *(replace(one, **other) for other in others)]
    cache = MediaCache(1 << 24, load)
    for utterance in (*asked, *asked):
        cache(utterance)
    assert loaded == asked


def test_a_limit_takes_the_same_few(recipe_values: dict[str, Any], tiny_model):
    recipe = parse_recipe(recipe_values)
    few = read_source(recipe, recipe.data.sources[0], tiny_model.tasks, limit=5)
    again = read_source(recipe, recipe.data.sources[0], tiny_model.tasks, limit=5)
    assert (len(few.train), len(few.dev)) == (5, 5)
    assert [i.utterance.id for i in few.train] == [i.utterance.id for i in again.train]


def test_data_without_a_label_of_the_tasks_is_an_error(recipe_values: dict[str, Any]):
    from emofuse.tasks import TASKS

    recipe = parse_recipe(recipe_values)
    with pytest.raises(DataError, match="without a label of sarcasm"):
        read_source(recipe, recipe.data.sources[0], [TASKS["sarcasm"]])


def test_cells_hold_classes_then_speakers_and_the_unlabelled_apart():
    labels = [("b", [0, 1]), ("a", [1, 0]), ("b", [1, 0]), ("a", [1, 0]), ("c", [np.nan, np.nan])]
    some = [
        Example(
            str(i), Utterance(str(i), "x", "train", who), {"emotion": np.array(target, np.float32)}, frozenset(), who
        )
        for i, (who, target) in enumerate(labels)
    ]
    found = [[places.tolist() for places in speakers] for speakers in cells(some, "emotion")]
    assert found == [[[4]], [[1, 3], [2]], [[0]]]


def test_the_epoch_is_chosen_at_the_threshold_of_the_corpus(recipe_values: dict[str, Any], tiny_model, examples):
    recipe = parse_recipe(recipe_values)
    reading = Reading("goemotions", Path(), (), (), ())
    found = [SourceExamples(Source(corpus=name), [], examples, 0, 0, reading) for name in ("goemotions", "manifest")]
    sets = dev_sets(recipe, found, tiny_model, MediaCache(0), None)
    assert [s.threshold for s in sets] == [0.3, 0.5]
    task, one = Task("labels", "multilabel", ("a", "b")), np.array([[0.4, 0.1]])
    assert task_metrics(task, one, np.array([[1.0, 0.0]]), threshold=0.3)["micro_f1"] == 1
    assert task_metrics(task, one, np.array([[1.0, 0.0]]))["micro_f1"] != 1
