"""Robustness to corrupted input: scores by severity, unimodal and with the other modalities intact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emofuse.batch import Batch
from emofuse.corpora.registry import protocol_of
from emofuse.data.examples import Example, read_by
from emofuse.errors import DataError, nearest
from emofuse.evaluation.evaluate import plain, read_evaluation
from emofuse.evaluation.perturb.attack import ATTACKS, Attack
from emofuse.evaluation.perturb.catalogue import Perturbation, catalogue
from emofuse.evaluation.predict import GIVEN, Predictions, predict_examples
from emofuse.metrics import Interval, bootstrap
from emofuse.metrics.task import scores_of
from emofuse.metrics.undefined import counted_elsewhere
from emofuse.modalities import Modality, Subset, bits
from emofuse.model.kinds import task_loss
from emofuse.model.model import EmotionModel
from emofuse.tasks import Task, leading
from emofuse.types import Segment, Split

TOGETHER = "with the others"
ADVERSARIAL = (0.01, 0.03, 0.1, 0.3)
"""Lengths of the adversarial step, relative to the length of the embedding."""
VOICES = 40


@dataclass(frozen=True, eq=False)
class Curve:
    """One perturbation: the metric at each severity, for each condition."""

    name: str
    modality: Modality
    unit: str
    labels: tuple[str, ...]
    """The severities as text, mild to severe."""
    clean: dict[str, Interval]
    """`unimodal MODALITY` and, where samples have others too, TOGETHER → the score unperturbed."""
    points: dict[str, list[Interval]]
    changed: list[float]
    """Share of the samples that each severity changes at all."""
    without: Interval | None = None
    """Of samples that have others: the score with the modality taken away, which a spoilt one should not fall below."""
    unanswered: dict[str, int] = field(default_factory=dict)
    """Condition → samples whose modalities no head has learnt to answer from, where there are any: left out."""


@dataclass(frozen=True, eq=False)
class Stress:
    """Every perturbation of a model on one set of samples."""

    protocol: dict[str, Any]
    task: str
    metric: str
    curves: list[Curve] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return plain({"protocol": self.protocol, "task": self.task, "metric": self.metric, "curves": self.curves})


def stress(
    model: EmotionModel,
    samples: Sequence[Example],
    *,
    task: str = "emotion",
    metric: str | None = None,
    only: Sequence[str] | None = None,
    corpus: str = "",
    protocol: dict[str, Any] | None = None,
    resamples: int = 200,
    batch_size: int = 32,
    progress: Callable[[str], None] | None = None,
) -> Stress:
    """Score the samples under every perturbation of the modalities they have (or `only` those named).

    `metric` is the corpus's own where None. Raises DataError for a task or perturbation that is not there, or samples
    without a label.
    """
    chosen = next((t for t in model.tasks if t.name == task), None)
    if chosen is None:
        raise DataError(f"the model has no task {task!r}; {nearest(task, (t.name for t in model.tasks))}")
    labelled = [s for s in samples if not np.isnan(s.targets[task]).any()]
    if not labelled:
        raise DataError(f"no sample carries a label of {task}; choose another task or corpus")
    perturbations = _chosen(only, catalogue(_voices(labelled)), model.modalities)
    metric = metric or protocol_of(corpus).leading_metric(chosen)
    runner = _Runner(model, labelled, chosen, metric, corpus, resamples, batch_size)
    for perturbation in perturbations:
        if runner.has(perturbation.modality):
            if progress:
                progress(perturbation.name)
            runner.perturb(perturbation)
    for modality in model.modalities:
        name = f"adversarial {modality}"
        if runner.has(modality) and (only is None or name in only):
            if progress:
                progress(name)
            runner.attack(name, modality)
    for attack in ATTACKS.values():
        if chosen.exclusive and runner.has(attack.modality) and (only is None or attack.name in only):
            if progress:
                progress(attack.name)
            runner.take_away(attack)
    return Stress({"corpus": corpus, "n": len(labelled)} | (protocol or {}), task, runner.metric, runner.curves)


def stress_checkpoint(
    model: EmotionModel,
    corpus: str,
    root: str | Path,
    split: Split = "dev",
    *,
    limit: int | None = 200,
    options: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Mapping[str, str | None]] | None = None,
    pairs: Mapping[Modality, tuple[str, str | Path]] | None = None,
    name: str = "",
    **how: Any,
) -> Stress:
    """`stress` on a split of a corpus; `how` goes to it, the rest as in `evaluate_checkpoint`."""
    samples, protocol = read_evaluation(
        model, corpus, root, split, pairs=pairs, limit=limit, options=options, overrides=overrides, name=name
    )
    return stress(model, samples, corpus=corpus, protocol=protocol, **how)


def adversarial(model: EmotionModel, batch: Batch, modality: Modality, length: float, task: Task) -> Batch:
    """The batch with one modality's first continuous representation moved against its label.

    One step of `length` times each row's norm along the gradient of the loss (FGM, Miyato et al. 2017): word-piece
    embeddings, mel frames or samples, pixels. Rows without the modality, or without a label, stay as they are.
    """
    if modality not in batch.inputs:
        return batch
    arrays, encoder = batch.inputs[modality], model.encoder(modality)
    key = encoder.continuous[0]
    start = encoder.continuous_inputs(arrays)[key].detach()
    moved = start.clone().requires_grad_()
    with torch.enable_grad():
        outputs = model(replace(batch, inputs=batch.inputs | {modality: arrays | {key: moved}}))
        loss = task_loss(task, outputs.logits[task.name], batch.targets[task.name])
        (gradient,) = torch.autograd.grad(loss, moved)
    rows = (-1, *[1] * (start.ndim - 1))
    size, slope = start.flatten(1).norm(dim=1).view(rows), gradient.flatten(1).norm(dim=1).view(rows)
    step = torch.where(slope > 0, gradient / slope.clamp(min=1e-30), 0.0) * size * length
    return replace(batch, inputs=batch.inputs | {modality: arrays | {key: start + step}})


class _Runner:
    """Scores conditions over fixed samples, and keeps the curves."""

    def __init__(
        self,
        model: EmotionModel,
        samples: list[Example],
        task: Task,
        metric: str,
        corpus: str,
        resamples: int,
        batch_size: int,
    ) -> None:
        self.model, self.samples, self.task, self.metric = model, samples, task, metric
        self.resamples = resamples
        self.corpus = corpus
        self.batch_size = batch_size
        self.curves: list[Curve] = []
        self.left: dict[Modality, Interval] = {}
        singles: list[Subset] = [frozenset({m}) for m in model.modalities]
        self.clean = predict_examples(model, samples, subsets=singles, batch_size=batch_size)

    def has(self, modality: Modality) -> bool:
        """Whether the model reads it and any sample has it."""
        return modality in self.model.modalities and bool(self._having(modality).any())

    def perturb(self, perturbation: Perturbation) -> None:
        """A curve of segments changed before they are prepared."""
        touched: list[int] = []

        def counted(change: Callable[[Segment], Segment], segment: Segment) -> Segment:
            changed = change(segment)
            touched.append(_differs(segment, changed))
            return changed

        results, shares = [], []
        for severity in perturbation.severities:
            touched.clear()
            results.append(self._run(perturbation.modality, change=partial(counted, perturbation.at(severity))))
            shares.append(sum(touched) / max(1, int(self._having(perturbation.modality).sum())))
        p = perturbation
        self._keep(p.name, p.modality, p.unit, p.labels, results, shares)

    def attack(self, name: str, modality: Modality) -> None:
        """A curve of batches moved against their labels."""
        results, shares = [], []
        for length in ADVERSARIAL:
            touched: list[int] = []
            embed = partial(self._attacked, modality=modality, length=length, touched=touched)
            results.append(self._run(modality, embed=embed))
            shares.append(sum(touched) / max(1, int(self._having(modality).sum())))
        labels = tuple(f"{length:g}" for length in ADVERSARIAL)
        self._keep(name, modality, "step, relative to the embedding", labels, results, shares)

    def take_away(self, attack: Attack) -> None:
        """A curve of segments that lack what their label rests on."""
        results, shares = [], []
        for most in attack.severities:
            changed = [self._lacking(sample, attack, most) for sample in self.samples]
            results.append(self._run(attack.modality, samples=[sample for sample, _ in changed]))
            shares.append(sum(yes for _, yes in changed) / max(1, int(self._having(attack.modality).sum())))
        labels = tuple(map(str, attack.severities))
        self._keep(attack.name, attack.modality, attack.unit, labels, results, shares)

    def _lacking(self, sample: Example, attack: Attack, most: int) -> tuple[Example, bool]:
        """The sample under an attack, and whether it is another; samples of features, or whose raters tie, are not."""
        label, segment = int(leading(sample.targets[self.task.name][None])[0]), sample.load(read_by(self.model))
        if label < 0 or segment.features is not None or attack.modality not in segment.present:
            return sample, False
        changed = attack.on(self.model, segment, self.task, label, most)
        return replace(sample, source=changed), _differs(segment, changed)

    def _attacked(self, batch: Batch, modality: Modality, length: float, touched: list[int]) -> Batch:
        """The batch moved; how many of its samples were is appended to `touched`."""
        moved = adversarial(self.model, batch, modality, length, self.task)
        if modality in batch.inputs:
            encoder = self.model.encoder(modality)
            key = encoder.continuous[0]
            before = encoder.continuous_inputs(batch.inputs[modality])[key]
            apart = (moved.inputs[modality][key] != before).flatten(1).any(dim=1)
            touched.append(int((apart & batch.present[modality]).sum()))
        return moved

    def _run(self, modality: Modality, samples: Sequence[Example] | None = None, **how: Any) -> Predictions:
        singles: list[Subset] = [frozenset({modality})]
        chosen = self.samples if samples is None else samples
        return predict_examples(self.model, chosen, subsets=singles, batch_size=self.batch_size, **how)

    def _keep(
        self,
        name: str,
        modality: Modality,
        unit: str,
        labels: tuple[str, ...],
        results: list[Predictions],
        shares: list[float],
    ) -> None:
        having = self._having(modality)
        several = having & (self.clean.present != bits(self.model.modalities)[modality])
        conditions = {f"unimodal {modality}": (modality, having)}
        if several.any():
            conditions[TOGETHER] = (GIVEN, several)
            conditions[f"unimodal {modality}"] = (modality, several)
        clean = {label: self._score(self.clean, *where) for label, where in conditions.items()}
        points = {label: [self._score(r, *where) for r in results] for label, where in conditions.items()}
        without = self._without(modality, several) if several.any() else None
        lacking = {label: int((rows & ~self._answered(self.clean, c)).sum()) for label, (c, rows) in conditions.items()}
        unanswered = {label: n for label, n in lacking.items() if n}
        self.curves.append(Curve(name, modality, unit, labels, clean, points, shares, without, unanswered))

    def _without(self, modality: Modality, rows: np.ndarray) -> Interval:
        """The score of what is left when the modality is taken away."""
        if modality not in self.left:
            samples = [s for s, chosen in zip(self.samples, rows, strict=True) if chosen]
            gone = partial(_take_away, modality=modality)
            found = predict_examples(self.model, samples, subsets=[], batch_size=self.batch_size, change=gone)
            self.left[modality] = self._score(found, GIVEN, np.ones(len(samples), bool))
        return self.left[modality]

    def _answered(self, predictions: Predictions, condition: str) -> np.ndarray:
        return np.logical_not(np.isnan(predictions.values[condition][self.task.name]).any(axis=1))

    def _score(self, predictions: Predictions, condition: str, rows: np.ndarray) -> Interval:
        rows = rows & self._answered(predictions, condition)
        targets = self.task.flat(predictions.targets[self.task.name][rows])
        values = self.task.flat(predictions.values[condition][self.task.name][rows])
        clusters = np.array(predictions.clusters)[rows]
        several = clusters if len(set(clusters)) > 1 else None
        with counted_elsewhere():
            return bootstrap(
                scores_of(self.task, protocol_of(self.corpus).threshold)[self.metric],
                targets,
                values,
                clusters=several,
                resamples=self.resamples,
            )

    def _having(self, modality: Modality) -> np.ndarray:
        return self.clean.present & bits(self.model.modalities)[modality] > 0


def _chosen(
    only: Sequence[str] | None, known: dict[str, Perturbation], modalities: Sequence[Modality]
) -> list[Perturbation]:
    if only is None:
        return list(known.values())
    valid = [*known, *(f"adversarial {m}" for m in modalities), *ATTACKS]
    for name in only:
        if name not in valid:
            raise DataError(f"no perturbation {name!r}; {nearest(name, valid)}")
    return [known[name] for name in only if name in known]


def _voices(samples: Sequence[Example]) -> list[np.ndarray]:
    """The voices of some samples, for a babble of the corpus's own speakers."""
    chosen = np.random.default_rng(0).permutation(len(samples))[:VOICES]
    waveforms = [samples[i].load().waveform for i in chosen]
    return [w for w in waveforms if w is not None and len(w)]


def _take_away(segment: Segment, modality: Modality) -> Segment:
    return segment.without(modality)


def _differs(before: Segment, after: Segment) -> bool:
    if before is after:
        return False
    if before.words != after.words:
        return True
    if before.waveform is not after.waveform and not np.array_equal(before.waveform, after.waveform):  # type: ignore[arg-type]
        return True
    if any(not np.array_equal(after.extras.get(m, ()), value) for m, value in before.extras.items()):
        return True
    return any(not np.array_equal(a.crops, b.crops) for a, b in zip(before.faces, after.faces, strict=True))
