"""Sections of how a run goes: how long, in what batches, on what machine, and where it writes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from emofuse.training.recipe.section import Count, Section, Size


class Budget(Section):
    """The most that runs at once; a batch above it is run in parts whose gradients are added up, each by its rows.

    What compares the rows of a batch (contrast, MISA's spaces) then sees those of a part.
    """

    seconds: Annotated[float, Field(gt=0)] | None = None
    """Of sound, padding included."""
    faces: Count | None = None
    pieces: Count | None = None
    """Word pieces, padding included."""


class Train(Section):
    """How long, in what batches, on what machine."""

    epochs: Annotated[int, Field(ge=0, le=1_000_000_000)] = 10
    """0 = no gradient steps: trained encoders with their heads are put together, and their pool is calibrated."""
    batch_size: Size = 32
    eval_batch_size: Size = 64
    accumulation: Size = 1
    budget: Budget | None = None
    """Caps on what runs at once; None = a whole batch."""
    checkpointing: bool = False
    """Activations of transformer layers are computed again in the backward pass in place of being kept."""
    compile: bool = False
    """Encoders and fusion learn as code that torch.compile makes at their first step; dev scores do without."""
    bf16: bool = False
    """Mixed precision in the encoders; fusion, heads and losses stay in float32."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights; the average is evaluated and saved."""
    metric: str = "emotion.uar"
    """`task.metric`, averaged over the dev sets: what chooses the epoch."""
    patience: Count | None = None
    """Epochs without a better dev score before training stops."""
    keep_start: bool | None = None
    """The weights that the run starts from are a candidate too: they stay where no epoch scores more on dev. None = in
    every stage but the first of a staged training."""
    save_steps: Count | None = None
    """Also save a resumable state every so many steps; None = each epoch only."""
    threads: Size | None = None
    """CPU threads of the computation; None = as the environment says."""
    workers: Annotated[int, Field(ge=0, le=1 << 16)] = 0
    """Processes that prepare samples; 0 = in the training process."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


class Output(Section):
    """Where the run writes."""

    folder: str = "runs/{name}"
    """`{name}` is the recipe's name, and the one name in braces; the checkpoint is its sub-folder `model`."""
    dtype: Literal["float32", "float16", "compact"] = "float32"
    """Of the saved weights: float16 halves the folder, compact also keeps large tables of word pieces in 8 bits; dev
    metrics and temperatures are those of the rounded weights."""
    overwrite: bool = False
    """Start anew in a folder that holds an earlier run; without it that is an error."""
    csv: bool = True
    """`metrics.csv`, one row an epoch."""
    tensorboard: bool = True
    """When the package is installed."""
    wandb: bool = False
    """Weights & Biases, as its own environment variables say; an error when the package is not installed."""

    @field_validator("folder")
    @classmethod
    def _names_the_recipe(cls, given: str) -> str:
        try:
            given.format(name="name")
        except (LookupError, ValueError, AttributeError, TypeError):
            raise ValueError(
                f"got {given!r}; in braces stands {{name}} alone, the recipe's name: take other braces out"
            ) from None
        return given
