"""Model configuration: tasks, encoders, fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, field_validator, model_validator

from emofuse.encoders.config import DEEPEST, EncoderConfig, with_kind
from emofuse.encoders.registry import described, encodes
from emofuse.modalities import Modality, ordered
from emofuse.tasks import TASKS, Task

SCHEMA_VERSION = 1


class FusionConfig(BaseModel):
    """How modalities are fused, and the size of what does it."""

    model_config = ConfigDict(extra="forbid")
    method: Literal["ours", "late", "mult", "misa", "tfn"] = "ours"
    """The fusion transformer over a pool (`ours`), the pool alone (`late`), or a method that papers compare with."""
    dim: int = Field(192, ge=8, le=1 << 16)
    layers: int = Field(2, ge=1, le=DEEPEST)
    heads: int = Field(4, ge=1, le=1 << 12)
    feedforward: int = Field(2, ge=1, le=1 << 8)
    """Width of the feed-forward layers, in multiples of `dim`."""
    dropout: float = Field(0.1, ge=0, lt=1)
    unimodal: Literal["corrected", "passthrough"] = "corrected"
    """What a sample with a single modality answers: its own head's logits with fusion's correction, or as they are."""
    pool: Literal["product", "mean"] = "product"
    """How what the modalities say alone is put together: the weighted sum of their logits, right for parts that err
    independently, or their weighted mean, no surer than the surest of them until recordings of whole people say so."""
    correction: Literal["always", "measured", "never"] = "always"
    """With `pool: mean`, where the transformer corrects the pool: everywhere, where dev recordings say that it helps,
    or nowhere."""

    @model_validator(mode="before")
    @classmethod
    def _former(cls, values: Any) -> Any:
        """`alone: own`, as earlier checkpoints and recipes have it, is `unimodal: passthrough`."""
        if not isinstance(values, dict) or "alone" not in values:
            return values
        rest = {k: v for k, v in values.items() if k != "alone"}
        return {"unimodal": "passthrough" if values["alone"] == "own" else values["alone"]} | rest

    @model_validator(mode="after")
    def _pools(self) -> FusionConfig:
        if self.method in ("mult", "misa", "tfn") and (self.pool, self.unimodal) != ("product", "corrected"):
            raise ValueError(f"method {self.method} answers for itself, without a pool: leave pool and unimodal out")
        return self

    @model_validator(mode="after")
    def _divides(self) -> FusionConfig:
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim {self.dim} must be a multiple of twice the number of heads ({2 * self.heads})")
        return self


class TaskConfig(BaseModel):
    """A task as it stands in a checkpoint, whole, so that a later change of label space is noticed."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=r"^[^.]+$")
    kind: Literal["categorical", "multilabel", "scalar"]
    classes: tuple[str, ...] = ()
    low: float = Field(0.0, allow_inf_nan=False)
    high: float = Field(1.0, allow_inf_nan=False)
    prior: tuple[float, ...] | None = None
    """Mean target of the training data: the classes' shares, or a scalar's mean; None = not known."""
    terciles: tuple[float, float] | None = None
    """Of a scalar: what a third, and two thirds, of its answers on development data lie below; None = not known."""

    def task(self) -> Task:
        return Task(self.name, self.kind, self.classes, self.low, self.high)


class ModelConfig(BaseModel):
    """Everything needed to build the model without its weights."""

    model_config = ConfigDict(extra="forbid")
    schema_version: int = SCHEMA_VERSION
    emofuse_version: str | None = None
    tasks: tuple[TaskConfig, ...] = Field(min_length=1)
    encoders: dict[Modality, Annotated[SerializeAsAny[EncoderConfig], BeforeValidator(described)]] = Field(min_length=1)
    fusion: FusionConfig = FusionConfig()
    head_dropout: float = Field(0.1, ge=0, lt=1)

    def with_priors(self, priors: Mapping[str, Sequence[float]]) -> ModelConfig:
        """The same with the mean targets of training data; a task that has none there keeps its own."""
        known = {name: tuple(map(float, prior)) for name, prior in priors.items()}
        tasks = tuple(t.model_copy(update={"prior": known.get(t.name, t.prior)}) for t in self.tasks)
        return self.model_copy(update={"tasks": tasks})

    def with_terciles(self, found: Mapping[str, tuple[float, float]]) -> ModelConfig:
        """The same with what divides the answers of scalars into thirds; a task that has none there keeps its own."""
        tasks = tuple(t.model_copy(update={"terciles": found.get(t.name, t.terciles)}) for t in self.tasks)
        return self.model_copy(update={"tasks": tasks})

    @field_validator("tasks", mode="before")
    @classmethod
    def _named(cls, tasks: Any) -> Any:
        """Let a task of `tasks.TASKS` be given by its name."""
        if not isinstance(tasks, list | tuple):
            return tasks
        out = []
        for task in tasks:
            if isinstance(task, str):
                if task not in TASKS:
                    raise ValueError(f"unknown task {task!r}; valid: {', '.join(sorted(TASKS))}")
                known = TASKS[task]
                task = {k: getattr(known, k) for k in ("name", "kind", "classes", "low", "high")}
            out.append(task)
        return tuple(out)

    @field_validator("encoders", mode="before")
    @classmethod
    def _kinds(cls, encoders: Any) -> Any:
        return with_kind(encoders)

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        for modality, config in self.encoders.items():
            if not modality or "." in modality:
                raise ValueError(f"a modality is named by a word without dots, not {modality!r}")
            if not encodes(config.kind, modality):
                raise ValueError(
                    f"a {config.kind} encoder cannot encode {modality}; use kind {modality!r} or 'features'"
                )
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError(f"each task may stand once; got {names}")
        self.encoders = {m: self.encoders[m] for m in ordered(self.encoders)}
        return self
