"""Scores with missing modalities: dropped at random at given rates, over seeds, and in fixed patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from emofuse.corpora.registry import protocol_of
from emofuse.data.examples import Example
from emofuse.errors import DataError, nearest
from emofuse.evaluation.evaluate import plain
from emofuse.evaluation.predict import GIVEN, Predictions, predict_examples
from emofuse.metrics import Interval, bootstrap
from emofuse.metrics.classification import mean_where_defined
from emofuse.metrics.task import scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.modalities import Modality, bits, members, named_subset, ordered, subset_name
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task

RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
SEEDS = tuple(range(10))


@dataclass(frozen=True)
class Missing:
    """The scores of one condition."""

    condition: str
    """GIVEN, `missing RATE`, or `only PATTERN`."""
    n: int
    missing: float
    """Share of the modalities of these samples that was in fact taken away."""
    score: Interval
    """Mean over the seeds, with an interval over speakers, dialogues or videos."""
    seeds: tuple[float, ...]
    """The score of each seed; one for a condition without chance."""
    unanswered: int = 0
    """Rows, of all seeds together, whose modalities no head has learnt to answer from; they are left out."""

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds (n - 1); NaN for a condition without chance."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else float("nan")


@dataclass(frozen=True, eq=False)
class MissingScores:
    """Every condition of a model on one set of samples."""

    protocol: dict[str, Any]
    task: str
    metric: str
    rows: list[Missing]
    notes: tuple[str, ...] = ()
    """What the samples do not allow."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        rows = [{**plain(row), "deviation": plain(row.deviation)} for row in self.rows]
        return {
            **plain({"protocol": self.protocol, "task": self.task, "metric": self.metric}),
            "rows": rows,
            "notes": list(self.notes),
        }


def read_conditions(given: Sequence[str], modalities: Sequence[Modality]) -> tuple[list[float], list[str]]:
    """Rates and patterns: `0.3`, `text`, `speech+face`, or `rates` for 0.1 to 0.7. Raises DataError otherwise."""
    rates: list[float] = []
    patterns: list[str] = []
    for text in given:
        if text == "rates":
            rates += RATES
        elif set(text.split("+")) <= set(modalities):
            patterns.append(subset_name(named_subset(text)))
        else:
            rates.append(_rate(text, modalities))
    return list(dict.fromkeys(rates)), list(dict.fromkeys(patterns))


def _rate(text: str, modalities: Sequence[Modality]) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < 1:
        raise DataError(
            f"--missing {text!r} is neither a rate from 0 to below 1, nor 'rates' (0.1 to 0.7), nor what is left of "
            f"{', '.join(modalities)}, for example {modalities[0]}"
        )
    return rate


def drop(
    present: Int[np.ndarray, " n"], modalities: Sequence[Modality], rate: float, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Masks with `rate` of all (sample, modality) pairs taken away, drawn evenly; every sample keeps one at least.

    With three modalities everywhere no more than two thirds can go (as in Wang et al. 2023, IMDer, where 0.7 is that).
    """
    known = np.array(list(bits(modalities).values()))
    there = (present[:, None] & known) > 0
    order = np.where(there, rng.random(there.shape), np.inf)
    kept = np.zeros_like(there)
    kept[np.arange(len(there)), order.argmin(axis=1)] = True
    free = np.flatnonzero(there & ~kept)
    gone = rng.permutation(free)[: round(rate * int(there.sum()))]
    left = there.copy()
    left.flat[gone] = False
    return np.asarray((left * known).sum(axis=1))


def missing(
    model: EmotionModel,
    samples: Sequence[Example],
    conditions: Sequence[str] = ("rates",),
    *,
    task: str = "emotion",
    corpus: str = "",
    protocol: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = SEEDS,
    resamples: int = 300,
    batch_size: int = 32,
) -> MissingScores:
    """The leading metric as given, at each rate over `seeds`, and of each pattern on the samples that have all of it.

    Each sample passes the encoders once. Raises DataError when no sample is labelled for the task.
    """
    asked = _named(model, task)
    rates, patterns = read_conditions(conditions, ordered(model.modalities))
    found = predict_examples(model, samples, batch_size=batch_size)
    found = found.take(np.flatnonzero(found.rows(GIVEN, asked.name)))
    if not len(found):
        raise DataError(f"no sample is labelled for {asked.name}; choose --task or a corpus that says it")
    rule = protocol_of(corpus)
    metric, threshold = rule.leading_metric(asked), rule.threshold
    drawn = {GIVEN: [found.present]}
    for rate in rates:
        drawn[f"missing {rate:g}"] = [
            drop(found.present, found.modalities, rate, np.random.default_rng([seed, round(rate * 1e6)]))
            for seed in seeds
        ]
    rows = [_scored(name, found, masks, asked, metric, threshold, resamples) for name, masks in drawn.items()]
    for pattern in patterns:
        part = found.take(np.flatnonzero(found.rows(pattern, asked.name)))
        if not len(part):
            raise DataError(
                f"--missing {pattern}: no sample has {pattern.replace('+', ' and ')}, or no head has learnt to answer "
                f"from it; choose modalities that the samples have and the model was trained on"
            )
        mask = sum(bits(found.modalities)[m] for m in named_subset(pattern))
        masks = [np.full(len(part), mask)]
        rows.append(_scored(f"only {pattern}", part, masks, asked, metric, threshold, resamples))
    about = {"corpus": corpus, "n": len(found), "clusters": len(set(found.clusters)), "seeds": list(seeds)}
    return MissingScores(about | dict(protocol or {}), asked.name, metric, rows, _notes(found, rows))


def _notes(found: Predictions, rows: Sequence[Missing]) -> tuple[str, ...]:
    """Says where samples have one modality, which always stays, and what no head has learnt to answer."""
    single = int((np.bitwise_count(found.present) == 1).sum())
    whose = "every sample has" if single == len(found) else f"{single} of {len(found)} samples have"
    alone = f"{whose} one modality only, so nothing can be missing there; their scores are the same at every rate"
    lacking = [
        f"{row.condition}: {row.unanswered} of {row.n * len(row.seeds)} answers are left out, since no head has learnt "
        "to answer from what is left there"
        for row in rows
        if row.unanswered
    ]
    return (*([alone] if single else ()), *lacking)


def _named(model: EmotionModel, task: str) -> Task:
    found = {t.name: t for t in model.tasks}
    if task not in found:
        raise DataError(f"the model has no task {task!r}; {nearest(task, found)}")
    return found[task]


def _scored(
    name: str,
    found: Predictions,
    masks: Sequence[np.ndarray],
    task: Task,
    metric: str,
    threshold: float,
    resamples: int,
) -> Missing:
    score = scores_of(task, threshold)[metric]
    values = np.stack([_under(found, mask, task.name) for mask in masks], axis=1)

    def of_seeds(targets: np.ndarray, values: np.ndarray) -> list[float]:
        answered = np.logical_not(np.isnan(values).any(axis=2))
        return [
            score(task.flat(targets[rows]), task.flat(values[rows, i])) if rows.any() else float("nan")
            for i, rows in enumerate(answered.T)
        ]

    targets = found.targets[task.name]
    with counted_elsewhere():
        each = of_seeds(targets, values)
        band = bootstrap(
            lambda t, v: mean_where_defined(np.array(of_seeds(t, v))),
            targets,
            values,
            clusters=found.clusters,
            resamples=resamples,
        )
    had = np.bitwise_count(found.present).sum()
    left = np.mean([np.bitwise_count(mask).sum() for mask in masks])
    unanswered = int(np.isnan(values).any(axis=2).sum())
    return Missing(name, len(found), float(1 - left / had), band, tuple(each), unanswered)


def _under(found: Predictions, mask: Int[np.ndarray, " n"], task: str) -> np.ndarray:
    """The outputs of each sample under its own subset."""
    values = np.empty_like(found.values[GIVEN][task])
    for code in np.unique(mask):
        rows = mask == code
        values[rows] = found.values[subset_name(members(int(code), found.modalities))][task][rows]
    return values
