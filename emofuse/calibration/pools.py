"""Opinion pools fitted: a weight a modality and a class bias a subset, with their temperature and prediction sets.

On recordings that have all modalities of a subset where there are enough of them, else on composed opinions (see
`composition`). What is fitted on composed ones makes no answer surer than its parts, and its sets are marked: nobody
knows how alike the errors of one person's words, voice and face are before such people were recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import optimize, special
from torch import Tensor, nn

from emofuse.calibration.composition import compose, opinions_of
from emofuse.calibration.evidence import Evidence, held_out
from emofuse.calibration.parts import Parts
from emofuse.calibration.refit import FEWEST, Calibration, fit_head, fit_scores, held_in, side, splits, unimodal_key
from emofuse.modalities import Modality, Subset, mask_of, ordered, subset_name, subsets_of
from emofuse.model.conformal import COMPOSED, ConformalScores, Method
from emofuse.model.heads import Head
from emofuse.model.model import EmotionModel
from emofuse.model.polarity import EMOTION, POLARITY, derives
from emofuse.model.pool import OpinionPool
from emofuse.tasks import Task, majority

SIZE = 2000
"""Composed samples of a subset."""
CAUTION = 10.0
"""How many samples the plain mean, without bias, counts as."""
Found = dict[str, dict[str, Calibration]]


def calibrate_pools(model: EmotionModel, dev: Sequence[Parts], *, composed: bool = True, **how: Any) -> Found:
    """Lay temperatures, pools and conformal scores into a model with `fusion.pool: mean`: what each temperature did.

    Where there are fewer than FEWEST labelled samples, what the model had stays; so does, without `composed`, what no
    recording speaks of, but for prediction sets of answers that a new temperature has changed: those are gone, since
    nobody knows any more what they hold. `how` as in `composition.compose`.
    """
    heated, found, before = [p.heated(model) for p in dev], Found(), _state(model)
    for task in sorted(model.tasks, key=lambda t: t.name == POLARITY):  # which is answered by the emotions too
        for modality in model.modalities:
            _calibrate_unimodal(model, task, modality, heated, found)
        for subset in subsets_of(model.modalities, fewest=2):
            if task.exclusive:
                _calibrate_subset(model, task, subset, heated, how if composed else None, found)
    _drop_stale(model, before)
    return found


Scores = dict[tuple[str, str], ConformalScores]
Temperatures = dict[tuple[str, Modality], Tensor]


def _state(model: EmotionModel) -> tuple[Scores, Temperatures]:
    """(subset, task) → its scores; (task, modality) → the temperatures of its head."""
    scores = {(name, task): kept for name, by_task in model.conformal.items() for task, kept in by_task.items()}
    heads = {(t.name, m): _head(model, t, m).temperature.clone() for t in model.tasks for m in model.modalities}
    return scores, heads


def _drop_stale(model: EmotionModel, before: tuple[Scores, Temperatures]) -> None:
    """Drop the sets of subsets of which a part answers otherwise than before, where they were not fitted since."""
    scores, heads = before
    now = _state(model)[1]
    moved = {key for key, temperature in heads.items() if not torch.equal(temperature, now[key])}
    for subset in subsets_of(model.modalities):
        for task in model.tasks:
            name, read = subset_name(subset), {task.name}
            read |= {EMOTION} if _reads_emotions(model, task) else set()
            kept = model.conformal.get(name, {}).get(task.name)
            stale = kept is not None and kept is scores.get((name, task.name))
            if stale and moved & {(each, modality) for each in read for modality in subset}:
                del model.conformal[name][task.name]


def _calibrate_unimodal(
    model: EmotionModel, task: Task, modality: Modality, dev: Sequence[Parts], found: Found
) -> None:
    """The temperature of a modality's own head, which is then that of the subset of it alone."""
    head, subset = _head(model, task, modality), frozenset((modality,))
    mask = mask_of(subset, model.modalities)
    rows = [(p, r) for p in dev if (r := p.rows(task.name, modality)).any()]
    few = sum(int(r.sum()) for _, r in rows) < FEWEST
    if few or not task.tempered or not bool(head.own("supported_subsets")):
        return
    said = [
        Evidence(
            p.source, task.name, mask, p.logits[modality][task.name][r], p.targets[task.name][r], unimodal=True,
            held=held_out(p.clusters)[r],
        )
        for p, r in rows
    ]  # fmt: skip
    fitted = fit_head(task, [side(e, held=False) for e in said], sum(map(held_in, said)))
    head.temperature[mask], _fused(model, task).temperature[mask] = fitted.temperature, 1.0
    found.setdefault(unimodal_key(modality), {})[task.name] = fitted
    if task.exclusive:
        _lay_scores(model, task, subset, [_recorded(model, task, subset, p, r) for p, r in rows])


def _calibrate_subset(
    model: EmotionModel,
    task: Task,
    subset: Subset,
    dev: Sequence[Parts],
    how: Mapping[str, Any] | None,
    found: Found,
) -> None:
    """The pool of a subset, over the modalities in it that have learnt the task; on recordings alone without `how`."""
    learnt = _learnt(model, task, subset)
    rows = [(p, r) for p in dev if (r := p.rows(task.name, *subset)).any()]
    recorded = sum(int(r.sum()) for _, r in rows) >= FEWEST
    if len(learnt) == 1 and not recorded:
        _lend_scores(model, task, subset, learnt[0])
    elif len(learnt) > 1 and recorded:
        _fit_recorded(model, task, subset, rows, found)
    elif len(learnt) > 1 and how is not None:
        _fit_composed(model, task, subset, dev, how, found)
    elif learnt and recorded:
        _lay_scores(model, task, subset, [_recorded(model, task, subset, p, r) for p, r in rows])


Rows = Sequence[tuple[Parts, Bool[np.ndarray, " n"]]]
"""Sources with the rows of theirs that count."""


def _fit_recorded(model: EmotionModel, task: Task, subset: Subset, rows: Rows, found: Found) -> None:
    """On recordings of whole people, half of which are held out for the sets where they are enough."""
    learnt, drawn = _learnt(model, task, subset), []
    for p, r in rows:
        held = held_out(p.clusters)[r]
        kept = r.copy()
        kept[np.flatnonzero(r)] = ~held | (not splits(held))
        drawn.append(Drawn(p.source, _stacked(model, task, learnt, p, kept), p.targets[task.name][kept]))
    _lay_pool(model, task, subset, drawn, recorded=True)
    said = [_recorded(model, task, subset, p, r) for p, r in rows]
    fitted = fit_head(task, [side(e, held=False) for e in said], sum(map(held_in, said)))
    mask, name = mask_of(subset, model.modalities), subset_name(subset)
    _fused(model, task).temperature[mask] = fitted.temperature
    found.setdefault(name, {})[task.name] = fitted
    _lay_scores(model, task, subset, said)


def _fit_composed(
    model: EmotionModel, task: Task, subset: Subset, dev: Sequence[Parts], how: Mapping[str, Any], found: Found
) -> None:
    """On composed opinions: of the rows that chose nothing for the sets, of the others for the rest."""
    learnt, mask, name = _learnt(model, task, subset), mask_of(subset, model.modalities), subset_name(subset)
    drawn, held = (_composed(model, task, name, learnt, dev, apart, how) for apart in (False, True))
    if not drawn:
        return
    _lay_pool(model, task, subset, [drawn], recorded=False)
    pool, places = cast(OpinionPool, model.pools[task.name]), _places(model, learnt)
    fitted = fit_head(task, [pooled_evidence(pool, task, mask, places, drawn)], coldest=1.0)
    _fused(model, task).temperature[mask] = fitted.temperature
    found.setdefault(name, {})[task.name] = fitted
    if _reads_emotions(model, task):  # of composed samples nobody knows both
        model.conformal.get(name, {}).pop(task.name, None)
    else:
        _lay_scores(model, task, subset, [pooled_evidence(pool, task, mask, places, held or drawn)])


@dataclass(frozen=True, eq=False)
class Drawn:
    """What several modalities say of the samples of one source."""

    source: str
    parts: Float[np.ndarray, "n m classes"]
    """Log-probabilities."""
    targets: Float[np.ndarray, "n classes"]


def _lay_pool(model: EmotionModel, task: Task, subset: Subset, drawn: Sequence[Drawn], recorded: bool) -> None:
    pool, mask = cast(OpinionPool, model.pools[task.name]), mask_of(subset, model.modalities)
    pool.lay(mask, _places(model, _learnt(model, task, subset)), *fit_pool(drawn))
    pool.recorded[mask], pool.corrected[mask] = recorded, False


def _lay_scores(model: EmotionModel, task: Task, subset: Subset, said: Sequence[Evidence]) -> None:
    mask = mask_of(subset, model.modalities)
    method: Method = "aps" if model.familiarity else "lac"  # sets that widen where unlike inputs flatten the answer
    scores = fit_scores(model, task, mask, [side(e, held=True) for e in said], method)
    model.conformal.setdefault(subset_name(subset), {})[task.name] = scores


def _lend_scores(model: EmotionModel, task: Task, subset: Subset, modality: Modality) -> None:
    """The answer is that of the one modality, and so are its sets; but of what the emotions of all of them answer."""
    scores, name = model.conformal.get(modality, {}).get(task.name), subset_name(subset)
    if scores is not None and not _reads_emotions(model, task):
        model.conformal.setdefault(name, {})[task.name] = scores


def _recorded(model: EmotionModel, task: Task, subset: Subset, p: Parts, rows: Bool[np.ndarray, " n"]) -> Evidence:
    """The fused answers on recordings that have the subset."""
    mask = mask_of(subset, model.modalities)
    emotion = next((t for t in model.tasks if t.name == EMOTION), None)
    emotions = None
    if emotion is not None and _reads_emotions(model, task) and _learnt(model, emotion, subset):
        emotions = _answer(model, emotion, subset, p, rows)
    logits, held = _answer(model, task, subset, p, rows), held_out(p.clusters)[rows]
    return Evidence(p.source, task.name, mask, logits, p.targets[task.name][rows], emotions=emotions, held=held)


def _answer(
    model: EmotionModel, task: Task, subset: Subset, p: Parts, rows: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "n classes"]:
    """The pool's logits."""
    learnt, pool = _learnt(model, task, subset), cast(OpinionPool, model.pools[task.name])
    drawn = Drawn(p.source, _stacked(model, task, learnt, p, rows), p.targets[task.name][rows])
    return pooled_evidence(pool, task, mask_of(subset, model.modalities), _places(model, learnt), drawn).logits


def _composed(
    model: EmotionModel,
    task: Task,
    name: str,
    learnt: Sequence[Modality],
    dev: Sequence[Parts],
    held: bool,
    how: Mapping[str, Any],
) -> Drawn | None:
    """From the rows that are held out, or from the others: from all of a source where either would be too few."""
    columns = {}
    for m in learnt:
        kept = [(p, _side(p, r, held)) for p in dev if (r := p.rows(task.name, m)).any()]
        if sum(int(r.sum()) for _, r in kept) < FEWEST:
            return None
        said = [_stacked(model, task, [m], p, r)[:, 0] for p, r in kept]
        columns[m] = opinions_of(said, [p.targets[task.name][r] for p, r in kept])
    parts, labels = compose(columns, SIZE, **how)
    return Drawn(f"{COMPOSED} {name}", parts, np.eye(task.width)[labels]) if len(labels) else None


def _side(p: Parts, rows: Bool[np.ndarray, " n"], held: bool) -> Bool[np.ndarray, " n"]:
    out = held_out(p.clusters)
    return rows & (out == held) if splits(out[rows]) else rows


def _stacked(
    model: EmotionModel, task: Task, modalities: Sequence[Modality], p: Parts, rows: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "n m classes"]:
    """Log-probabilities of classes at each modality's own temperature."""
    heads = [_head(model, task, m) for m in modalities]
    said = [p.logits[m][task.name][rows] / float(h.own("temperature")) for m, h in zip(modalities, heads, strict=True)]
    return special.log_softmax(np.stack(said, 1), axis=2)


def _learnt(model: EmotionModel, task: Task, subset: Subset) -> list[Modality]:
    return [m for m in ordered(subset) if bool(_head(model, task, m).own("supported_subsets"))]


def _places(model: EmotionModel, modalities: Sequence[Modality]) -> list[int]:
    return [model.modalities.index(m) for m in modalities]


def _reads_emotions(model: EmotionModel, task: Task) -> bool:
    return task.name == POLARITY and derives(model.tasks)


def fit_pool(
    drawn: Sequence[Drawn], caution: float | None = None
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " classes"]]:
    """Weights in units of the plain mean's, and the class bias: most likely, with `caution` samples' worth of the mean.

    Every source counts the same. The likelihood is concave in both, so there is one answer.
    """
    parts = np.concatenate([d.parts for d in drawn])
    truth = majority(np.concatenate([d.targets for d in drawn]))
    shares = np.concatenate([np.full(len(d.parts), 1 / (len(d.parts) * len(drawn))) for d in drawn])
    number, pull = parts.shape[1], (CAUTION if caution is None else caution) / len(parts)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = values[:number], values[number:]
        logits = np.einsum("m,nmk->nk", weights / number, parts) + bias
        log_p = special.log_softmax(logits, axis=1)
        miss = (np.exp(log_p) - truth) * shares[:, None]
        value = -float((shares * (truth * log_p).sum(1)).sum())
        value += pull * float(np.square(weights - 1).sum() + np.square(bias).sum()) / 2
        toward = np.einsum("nk,nmk->m", miss, parts) / number + pull * (weights - 1)
        return value, np.concatenate([toward, miss.sum(0) + pull * bias])

    start = np.concatenate([np.ones(number), np.zeros(parts.shape[2])])
    bounds = [(1e-3, 4.0 * number)] * number + [(-5.0, 5.0)] * parts.shape[2]
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x[:number], found.x[number:]


@torch.no_grad()
def pooled_evidence(pool: OpinionPool, task: Task, mask: int, places: Sequence[int], drawn: Drawn) -> Evidence:
    """The pool's own answers on what was drawn, as evidence for a temperature."""
    parts = torch.zeros(len(drawn.parts), pool.weights.shape[1], task.width)
    parts[:, list(places)] = torch.from_numpy(drawn.parts).float()
    has = torch.zeros(parts.shape[:2], dtype=torch.bool)
    has[:, list(places)] = True
    device = pool.weights.device
    subset = torch.full((len(parts),), mask, device=device)
    logits = pool(parts.to(device), has.to(device), subset, torch.zeros(len(parts), task.width, device=device))
    composed = drawn.source.startswith(COMPOSED)
    return Evidence(drawn.source, task.name, mask, logits.cpu().double().numpy(), drawn.targets, composed)


def _head(model: EmotionModel, task: Task, modality: Modality) -> Head:
    return cast(Head, cast(nn.ModuleDict, model.modality_heads[modality].tasks)[task.name])


def _fused(model: EmotionModel, task: Task) -> Head:
    return cast(Head, model.heads[task.name])
