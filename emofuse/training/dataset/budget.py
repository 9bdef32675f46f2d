"""Batches within a budget of seconds, faces and word pieces: one too large is collated in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emofuse.batch import Batch, collate
from emofuse.model.model import EmotionModel
from emofuse.prepared import PreparedSample
from emofuse.training.recipe.machine import Budget


def seconds_a_step(model: EmotionModel) -> float:
    """Seconds of sound that one step of the prepared speech stands for; 0 where the model hears none."""
    return float(getattr(model.encoder("speech"), "input_hop", 0.0)) if "speech" in model.modalities else 0.0


@dataclass(frozen=True)
class Within:
    """Collates samples into one batch, or into the parts that a budget asks for."""

    budget: Budget | None
    hop: float
    """See `seconds_a_step`."""

    def __call__(self, samples: Sequence[PreparedSample]) -> list[Batch]:
        return [collate(part) for part in self.parts(samples)]

    def parts(self, samples: Sequence[PreparedSample]) -> list[list[PreparedSample]]:
        """All together where that fits, else groups of like length; a sample above the budget is alone."""
        if self.budget is None or self.fits(samples):
            return [list(samples)]
        groups: list[list[PreparedSample]] = []
        for sample in sorted(samples, key=lambda s: (_steps(s, "speech"), s.length)):
            if groups and self.fits([*groups[-1], sample]):
                groups[-1].append(sample)
            else:
                groups.append([sample])
        return groups

    def fits(self, samples: Sequence[PreparedSample]) -> bool:
        """Whether the samples, padded to the longest of them, are within the budget."""
        if self.budget is None:
            return True
        found = {
            "seconds": self.hop * padded(samples, "speech"),
            "faces": sum(_steps(sample, "face") for sample in samples),
            "pieces": padded(samples, "text"),
        }
        most = {name: getattr(self.budget, name) for name in found}
        return all(most[name] is None or value <= most[name] for name, value in found.items())


def padded(samples: Sequence[PreparedSample], modality: str) -> int:
    """Steps of a modality with padding, of the rows that have it: the others are not run."""
    steps = [n for sample in samples if (n := _steps(sample, modality))]
    return len(steps) * max(steps, default=0)


def _steps(sample: PreparedSample, modality: str) -> int:
    arrays = sample.inputs.get(modality)
    return 0 if arrays is None else len(arrays["mask"])
