"""Whether an explanation explains the model: take away what it names, or take away the model."""

from __future__ import annotations

import copy
from typing import Literal

import numpy as np
import pytest
import torch
from jaxtyping import Float

from emofuse.batch import Batch, collate
from emofuse.explain.attribution import Attribution, answers, baselines, continuous_inputs, integrated_gradients
from emofuse.explain.shapley import shapley, task_of
from emofuse.media.transcript import spread
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task
from emofuse.types import Segment

SAID = (
    "I am so happy that you came, this is wonderful!",
    "I hate you, and this makes me furious.",
    "She died last night and I cannot stop crying.",
)
SHARES = tuple(i / 10 for i in range(11))


@torch.no_grad()
def deletion_curve(
    model: EmotionModel,
    batch: Batch,
    task: Task,
    target: int,
    found: Attribution,
    *,
    order: Literal["top", "random", "bottom"] = "top",
    seed: int = 0,
) -> Float[np.ndarray, " shares"]:
    """The answer as more and more moments (word pieces, frames of sound, pictures' patches) go to their baseline.

    At SHARES of all moments, those with the highest scores first, at random, or the lowest first (Samek et al. 2017).
    Moments of each modality are taken in proportion, so that no modality is compared with another.
    """
    batch = batch.to(model.device)
    given = continuous_inputs(model, batch)
    empty = baselines(model, batch)
    rng = np.random.default_rng(seed)
    ranks = {}
    for key, values in given.items():
        score = _per_moment(found.scores[key])
        key_score = rng.random(score.shape) if order == "random" else score if order == "bottom" else -score
        ranks[key] = np.argsort(np.argsort(key_score, axis=None)).reshape(score.shape)
        assert len(score) == values.shape[1]
    path = {}
    for key in given:
        gone = np.stack([ranks[key] < share * ranks[key].size for share in SHARES])
        mask = torch.as_tensor(_spread(gone, given[key].shape), device=model.device)
        path[key] = torch.where(mask, empty[key], given[key])
    return answers(model, batch, path, task, target).cpu().numpy().astype(np.float64)


def randomised(model: EmotionModel, seed: int = 0) -> EmotionModel:
    """The same architecture with weights drawn anew: explanations of it must differ (Adebayo et al. 2018)."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in other.parameters():
            spread = float(weights.std()) if weights.numel() > 1 else 0.0
            weights.copy_(torch.randn(weights.shape, generator=generator) * spread + weights.mean().cpu())
    return other.eval()


def similarity(one: Attribution, other: Attribution) -> float:
    """Spearman's rank correlation of two attributions' moments, averaged over the inputs both have."""
    found = []
    for key in one.scores.keys() & other.scores.keys():
        a, b = (_per_moment(x.scores[key]).ravel() for x in (one, other))
        if len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0:
            first, second = (np.argsort(np.argsort(v)).astype(float) for v in (a, b))
            found.append(np.corrcoef(first, second)[0, 1])
    return float(np.mean(found)) if found else float("nan")


PATCH = 8


def _per_moment(scores: np.ndarray) -> np.ndarray:
    """[time] for words and sound; [frames, rows, columns] of patches of PATCH pixels for pictures [frames, 3, h, w]."""
    if scores.ndim == 4:
        frames, _, height, width = scores.shape
        summed = scores.sum(axis=1)[:, : height // PATCH * PATCH, : width // PATCH * PATCH]
        return summed.reshape(frames, height // PATCH, PATCH, width // PATCH, PATCH).sum(axis=(2, 4))
    return scores.reshape(len(scores), -1).sum(axis=1)


def _spread(gone: np.ndarray, shape: torch.Size) -> np.ndarray:
    """A mask of moments, as one over the numbers of the input, that broadcasts to [shares, *shape[1:]]."""
    if gone.ndim == 4:
        big = gone.repeat(PATCH, axis=2).repeat(PATCH, axis=3)
        full = np.zeros((*gone.shape[:2], *shape[-2:]), dtype=bool)
        full[..., : big.shape[2], : big.shape[3]] = big
        return full[:, :, None]
    return gone.reshape(*gone.shape, *[1] * (len(shape) - 2))


def said(text: str) -> Segment:
    return Segment("said", 0.0, 3.0, words=spread(text, 0.0, 3.0))


def test_randomised_weights_give_other_attributions(tiny_model, make_segment):
    batch = collate([tiny_model.prepare(make_segment(3))])
    task = task_of(tiny_model, "emotion")
    found = integrated_gradients(tiny_model, batch, task, 1, steps=8)
    again = integrated_gradients(tiny_model, batch, task, 1, steps=8)
    others = [integrated_gradients(randomised(tiny_model, seed), batch, task, 1, steps=8) for seed in range(6)]
    assert similarity(found, again) == pytest.approx(1.0)
    assert abs(np.mean([similarity(found, other) for other in others])) < 0.3


def test_deleting_what_ranks_highest_lowers_the_answer_fastest(tiny_model, make_segment):
    task, top, random = task_of(tiny_model, "emotion"), [], []
    for seed in range(3):
        batch = collate([tiny_model.prepare(make_segment(seed))])
        target = int(tiny_model.predict(batch).tasks["emotion"][0].argmax())
        found = integrated_gradients(tiny_model, batch, task, target, steps=16)
        top.append(deletion_curve(tiny_model, batch, task, target, found))
        random += [deletion_curve(tiny_model, batch, task, target, found, order="random", seed=s) for s in range(3)]
        assert top[-1][0] == pytest.approx(found.answer, abs=1e-4)
        assert top[-1][-1] == pytest.approx(found.baseline, abs=1e-4)
    assert np.mean(top) < np.mean(random)


@pytest.mark.slow
def test_the_words_that_rank_highest_carry_the_answer(shipped):
    task, other, rng = task_of(shipped, "emotion"), randomised(shipped), np.random.default_rng(0)
    top, random, like = [], [], []
    for text in SAID:
        batch = collate([shipped.prepare(said(text))])
        target = int(shipped.predict(batch).tasks["emotion"][0].argmax())
        shares = shapley(shipped, batch, task, target)
        assert sum(shares.values.values()) == pytest.approx(shares.full - shares.none, abs=1e-5)
        found = integrated_gradients(shipped, batch, task, target, steps=24)
        top.append(deletion_curve(shipped, batch, task, target, found))
        seeds = rng.integers(0, 1000, 5).tolist()
        random += [deletion_curve(shipped, batch, task, target, found, order="random", seed=s) for s in seeds]
        like.append(similarity(found, integrated_gradients(other, batch, task, target, steps=8)))
    early = len(SHARES) // 2
    assert np.mean([curve[1:early] for curve in top]) < np.mean([curve[1:early] for curve in random])
    assert abs(np.mean(like)) < 0.6
