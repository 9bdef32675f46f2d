"""`Answering`: all that prediction asks of a model, whichever engine computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int

from emofuse.encoders.config import FaceConfig
from emofuse.modalities import Modality, Subset, mask_of
from emofuse.model.config import ModelConfig
from emofuse.model.conformal import ConformalTable
from emofuse.model.polarity import EMOTION, POLARITY, derives, sources
from emofuse.prepared import PreparedSample
from emofuse.tasks import Task
from emofuse.types import Segment, Word

if TYPE_CHECKING:
    from emofuse.media.faces.track import FaceOptions


@dataclass(frozen=True, eq=False)
class Decoded:
    """Calibrated outputs of a batch as arrays: probabilities of classes, clipped values of scalars."""

    tasks: dict[str, Float32[np.ndarray, "batch width"]]
    by_modality: dict[Modality, dict[str, Float32[np.ndarray, "batch width"]]]
    embedding: Float32[np.ndarray, "batch dim"]
    unfamiliarity: dict[Modality, Float32[np.ndarray, " batch"]] = field(default_factory=dict)
    """The share of development data that lies nearer to training; NaN where the modality is absent."""


@runtime_checkable
class Reader(Protocol):
    """What is asked of a modality's encoder before its network runs."""

    config: Any

    @property
    def context_turns(self) -> int: ...

    @property
    def future_turns(self) -> int: ...

    def left_out(self, segment: Segment) -> float: ...

    def reads_at_once(self, words: Sequence[Word]) -> bool: ...

    def foreign(self, words: Sequence[Word]) -> bool: ...


class Answering(ABC):
    """A model as the pipeline has it: samples in, decoded answers out; what its configuration says is answered here."""

    config: ModelConfig
    tasks: tuple[Task, ...]
    modalities: tuple[Modality, ...]
    conformal: ConformalTable
    """What prediction sets need; empty where the model was not calibrated for them."""

    @abstractmethod
    def eval(self) -> Any:
        """Itself, ready to predict."""

    @abstractmethod
    def encoder(self, modality: Modality) -> Reader:
        """What reads a modality that the model knows."""

    @abstractmethod
    def prepare(self, segment: Segment, targets: Mapping[str, np.ndarray] | None = None) -> PreparedSample:
        """Arrays of every modality the segment has and the model reads; on the CPU, without weights."""

    @abstractmethod
    def answer(self, samples: Sequence[PreparedSample]) -> tuple[Decoded, Int[np.ndarray, " batch"]]:
        """Calibrated answers to one batch, and what each row has (see `emofuse.modalities.bits`)."""

    @abstractmethod
    def supports(self, task: str, subset: int) -> bool:
        """Whether the task's head was taught this subset of modalities, given by its mask."""

    @property
    @abstractmethod
    def runs_on(self) -> str:
        """cpu, cuda, …"""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many weights there are."""

    def prior(self, task: str) -> tuple[float, ...] | None:
        """The mean target of a task in the training data, None where the checkpoint does not hold it."""
        return next(t.prior for t in self.config.tasks if t.name == task)

    def terciles(self, task: str) -> tuple[float, float] | None:
        """What divides the answers of a scalar into thirds, None where that is not known or there is no such task."""
        return next((t.terciles for t in self.config.tasks if t.name == task), None)

    @property
    def context_turns(self) -> int:
        """Earlier turns of a dialogue that its encoders read, and learnt with."""
        return max(self.encoder(m).context_turns for m in self.modalities)

    @property
    def future_turns(self) -> int:
        """Later turns that they read and learnt with, too: 0 of a model that knows only what was said so far."""
        return max(self.encoder(m).future_turns for m in self.modalities)

    @property
    def face_options(self) -> FaceOptions:
        """How faces, or whole pictures, are taken from a clip for its encoder, as in training."""
        return face_options_of(self.config.encoders.get("face"))

    @property
    def sees_together(self) -> bool:
        """Whether all who are in view are read at once, so that a segment has one answer and not one a person."""
        config = self.config.encoders.get("face")
        return isinstance(config, FaceConfig) and (config.view == "frames" or config.whose == "all")

    def derived(self, present: Subset) -> dict[str, tuple[str, ...]]:
        """Task that is answered by other heads too, for this subset of modalities → the heads."""
        if not derives(self.tasks):
            return {}
        mask = mask_of(present, self.modalities)
        rests = sources(self.supports(POLARITY, mask), self.supports(EMOTION, mask))
        return {POLARITY: rests} if rests else {}


def face_options_of(config: Any) -> FaceOptions:
    """How an encoder of this configuration sees a clip; the usual way for one that is not of faces."""
    from emofuse.media.faces.track import FaceOptions

    usual = FaceOptions()
    if not isinstance(config, FaceConfig):
        return usual
    step = config.crop_interval
    return replace(
        usual,
        view=config.view,
        max_crops=config.crops,
        crop_interval=step,
        frame_interval=min(usual.frame_interval, step),
        detect_interval=min(usual.detect_interval, step),
        calm_interval=min(usual.calm_interval, step),
        crop_size=config.crop_size,
        margin=config.margin,
    )
