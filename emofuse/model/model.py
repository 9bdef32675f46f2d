"""The model: encoders, fusion and heads as one module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emofuse.batch import Batch, collate
from emofuse.encoders.encoder import Encoder
from emofuse.encoders.registry import build_encoder
from emofuse.modalities import Modality, bits, ordered, table_size
from emofuse.model.answering import Answering, Decoded
from emofuse.model.checkpoint import CheckpointMixin
from emofuse.model.config import ModelConfig
from emofuse.model.conformal import ConformalTable
from emofuse.model.familiarity import Familiarity
from emofuse.model.heads import Head, ModalityHead
from emofuse.model.kinds import kind_of
from emofuse.model.method import Method
from emofuse.model.methods.registry import method_of
from emofuse.model.polarity import derives, with_polarity
from emofuse.model.pool import OpinionPool
from emofuse.prepared import PreparedSample
from emofuse.tasks import Task
from emofuse.torch_state import plain_torch
from emofuse.types import Segment, Tokens


@dataclass(frozen=True, eq=False)
class Outputs:
    """Raw outputs of a batch; `by_modality` holds rows for absent samples too, which mean nothing."""

    logits: dict[str, Float[Tensor, "batch width"]]
    by_modality: dict[Modality, dict[str, Float[Tensor, "batch width"]]]
    state: Float[Tensor, "batch dim"]
    """The fused state of the first task's query, unit length."""
    pooled: dict[Modality, Float[Tensor, "batch pooled"]] = field(default_factory=dict)
    """What each modality's own heads read; of absent samples it means nothing."""
    distance: dict[Modality, Float[Tensor, " batch"]] = field(default_factory=dict)
    """From what the model was trained on, of the modalities of which that is known."""
    losses: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    """Weighted losses of the fusion method's own, for training."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What the outputs of a batch decode to, as `Decoded`, in tensors."""

    tasks: dict[str, Float[Tensor, "batch width"]]
    by_modality: dict[Modality, dict[str, Float[Tensor, "batch width"]]]
    unfamiliarity: dict[Modality, Float[Tensor, " batch"]]


class EmotionModel(CheckpointMixin, nn.Module, Answering):
    """Text, speech and face encoders → fusion transformer → heads; any subset of the modalities may be there.

    The fused logits of a task are a pool of what each present modality says alone and a correction that the fusion
    transformer reads from all tokens. With `fusion.pool: mean` the pool is an `OpinionPool`; with `product` it is the
    weighted sum of the logits, exact for modalities that are independent given the label. The correction starts at
    zero, so fusion starts from the pool. With `fusion.unimodal: passthrough` it is of what several modalities say
    together, and a single one answers as its own head. Where the model knows what it was trained on (`familiarity`),
    the logits of an unlike input are divided by more before they are pooled. Other methods of fusion
    (`fusion.method`) stand in the transformer's place; see `Method.role`.
    """

    def __init__(self, config: ModelConfig, checkpoint: Path | None = None, lean: bool = False) -> None:
        """`checkpoint`: the folder whose tokenizer is used and whose weights are about to be loaded, if any.

        `lean`: its encoders are built without transformers and timm where they can be, for prediction alone.
        """
        super().__init__()
        self.encoders = nn.ModuleDict({m: build_encoder(m, c, checkpoint, lean) for m, c in config.encoders.items()})
        self.config = config.model_copy(update={"encoders": {m: e.config for m, e in self.encoders.items()}})
        self.tasks: tuple[Task, ...] = tuple(t.task() for t in config.tasks)
        self.modalities: tuple[Modality, ...] = ordered(config.encoders)
        dims: dict[Modality, int] = {m: cast(int, self.encoders[m].dim) for m in self.modalities}
        self.fusion: Method = method_of(config.fusion)(config.fusion, dims, tuple(t.name for t in self.tasks))
        zero, width = self.fusion.role != "answers", config.fusion.dim
        self.heads = nn.ModuleDict(
            {t.name: Head(t, width, config.head_dropout, zero, modalities=self.modalities) for t in self.tasks}
        )
        self.modality_heads = nn.ModuleDict(
            {
                m: ModalityHead(self.tasks, d, self.encoder(m).config.pool, config.head_dropout, m, self.modalities)
                for m, d in dims.items()
            }
        )
        self.conformal: ConformalTable = {}
        self.familiarity = nn.ModuleDict()
        """By modality; empty where nobody measured what the model is familiar with."""
        if self.fusion.role == "answers":
            return
        if config.fusion.pool == "product":
            self.pool_weights = nn.ParameterDict({t.name: nn.Parameter(torch.ones(len(dims))) for t in self.tasks})
        else:
            size, corrected = table_size(self.modalities), config.fusion.correction != "never"
            self.pools = nn.ModuleDict({t.name: OpinionPool(t, len(dims), size, corrected) for t in self.tasks})

    @property
    def device(self) -> torch.device:
        return next(self.modality_heads.parameters()).device

    @property
    def runs_on(self) -> str:
        """The kind of its device."""
        return self.device.type

    @property
    def size(self) -> int:
        """How many weights there are."""
        return sum(p.numel() for p in self.parameters())

    @property
    def reads(self) -> str:
        """What of a dialogue its answers rest on: figures of one protocol are not those of another task."""
        past, later = self.context_turns, self.future_turns
        if later:
            return f"the whole dialogue: at most {past} earlier and {later} later turns"
        return f"the utterance and at most {past} earlier turns, none later" if past else "the utterance alone"

    def encoder(self, modality: Modality) -> Encoder:
        """The encoder of a modality that the model reads."""
        return cast(Encoder, self.encoders[modality])

    def prepare(self, segment: Segment, targets: Mapping[str, np.ndarray] | None = None) -> PreparedSample:
        """Arrays of every modality the segment has and the model reads; on the CPU, without weights."""
        return PreparedSample({m: self.encoders[m].prepare(segment) for m in self.modalities}, dict(targets or {}))

    def encode(self, batch: Batch) -> dict[Modality, Tokens]:
        """Tokens of each modality some row has; only the rows that have it, cut to their longest, are run."""
        tokens: dict[Modality, Tokens] = {}
        for modality in self.modalities:
            if modality in batch.inputs and bool(batch.present[modality].any()):
                tokens[modality] = self._encode(modality, batch.inputs[modality], batch.present[modality])
        return tokens

    def _encode(self, modality: Modality, inputs: dict[str, Tensor], present: Tensor) -> Tokens:
        rows = present.nonzero().squeeze(1)
        length = int(inputs["mask"][rows].any(0).nonzero().max()) + 1
        cut = {k: v[rows][:, :length] if v.ndim > 1 else v[rows] for k, v in inputs.items()}
        tokens: Tokens = self.encoders[modality](cut)
        if len(rows) == len(present):
            return tokens

        def scatter(part: Tensor) -> Tensor:
            return part.new_zeros(len(present), *part.shape[1:]).index_copy(0, rows, part)

        return Tokens(scatter(tokens.states), scatter(tokens.mask), scatter(tokens.times))

    def fuse(self, tokens: Mapping[Modality, Tokens], present: Mapping[Modality, Tensor]) -> Outputs:
        """Outputs from tokens; `present` may take away modalities that `tokens` still holds."""
        states, losses = self.fusion.learn(tokens, present) if self.training else (self.fusion(tokens, present), {})
        pooled: dict[Modality, Tensor] = {m: self.modality_heads[m].pool(t.states, t.mask) for m, t in tokens.items()}
        corrections = {}
        corrected = self._corrected(present)
        for i, task in enumerate(self.tasks):
            corrections[task.name] = self._correction(task, states[:, i], corrected)
        found = self.read(pooled, present, corrections, self._state(states, pooled, present))
        return replace(found, losses=losses)

    def read(
        self,
        pooled: Mapping[Modality, Float[Tensor, "batch pooled"]],
        present: Mapping[Modality, Tensor],
        corrections: Mapping[str, Float[Tensor, "batch width"]],
        state: Float[Tensor, "batch dim"],
    ) -> Outputs:
        """Outputs from what the modalities' own heads read, what fusion adds to their pool, and the fused state."""
        known = self.familiarity
        distance: dict[Modality, Tensor] = {m: known[m](s) for m, s in pooled.items() if m in known}
        unimodal = {m: self._unimodal(m, s, distance.get(m)) for m, s in pooled.items()}
        logits = {}
        for task in self.tasks:
            own = {m: out[task.name] for m, out in unimodal.items()}
            logits[task.name] = self._fused(task, own, present, corrections[task.name])
        return Outputs(logits, unimodal, state, dict(pooled), distance)

    def _correction(self, task: Task, state: Tensor, corrected: Tensor | None) -> Float[Tensor, "batch width"]:
        """What the method says of a task, in addition to the pool or in its place."""
        if self.fusion.role == "pools":
            return state.new_zeros(len(state), task.width)
        correction = self.heads[task.name](state)
        return correction if corrected is None else correction * corrected

    def _state(
        self,
        states: Float[Tensor, "batch queries dim"],
        pooled: Mapping[Modality, Tensor],
        present: Mapping[Modality, Tensor],
    ) -> Float[Tensor, "batch state"]:
        """At unit length; of a transformer that never learnt, the modalities' own states side by side."""
        if self.config.fusion.correction != "never" and self.fusion.role != "pools":
            return F.normalize(states[:, 0], dim=-1)
        parts = []
        for modality in self.modalities:
            width = cast(ModalityHead, self.modality_heads[modality]).pool.dim
            own = pooled[modality] if modality in pooled else states.new_zeros(states.shape[0], width)
            parts.append(F.normalize(own, dim=-1) * present[modality].float()[:, None])
        return F.normalize(torch.cat(parts, -1), dim=-1)

    def _unimodal(self, modality: Modality, pooled: Tensor, distance: Tensor | None) -> dict[str, Tensor]:
        """What a modality says alone, of classes the less sharply the further its states are from training."""
        said = self.modality_heads[modality].read(pooled)
        if distance is None:
            return said
        heat = cast(Familiarity, self.familiarity[modality]).heat(distance)[:, None]
        return {t.name: kind_of(t).tempered(said[t.name], heat) for t in self.tasks}

    def _corrected(self, present: Mapping[Modality, Tensor]) -> Float[Tensor, "batch 1"] | None:
        """1 for the rows that fusion corrects, 0 for those whose one modality speaks for itself; None = all of them."""
        if self.config.fusion.unimodal == "corrected":
            return None
        number = torch.stack([present[m].float() for m in self.modalities]).sum(0)
        return (number != 1).float()[:, None]

    def _fused(
        self, task: Task, unimodal: Mapping[Modality, Tensor], present: Mapping[Modality, Tensor], correction: Tensor
    ) -> Tensor:
        if not unimodal or self.fusion.role == "answers":
            return correction
        if self.config.fusion.pool == "product":
            return correction + self._product(task, unimodal, present)
        parts, has = self._parts(task, unimodal, present)
        pool = cast(OpinionPool, self.pools[task.name])
        return pool(parts, has, self._subset(present), correction)

    def _parts(
        self, task: Task, unimodal: Mapping[Modality, Tensor], present: Mapping[Modality, Tensor]
    ) -> tuple[Float[Tensor, "batch m width"], Bool[Tensor, "batch m"]]:
        """What each modality says at its own temperature, and whether it is there and has learnt the task."""
        nothing = torch.zeros_like(next(iter(unimodal.values())))
        heads = {m: cast(Head, cast(nn.ModuleDict, self.modality_heads[m].tasks)[task.name]) for m in unimodal}
        said = {m: kind_of(task).tempered(unimodal[m], head.own("temperature")) for m, head in heads.items()}
        parts = torch.stack([said.get(m, nothing) for m in self.modalities], 1)
        there = torch.stack([present[m] if m in unimodal else torch.zeros_like(present[m]) for m in self.modalities], 1)
        unknown = torch.zeros((), dtype=torch.bool, device=there.device)
        learnt = there & torch.stack(
            [heads[m].own("supported_subsets") if m in heads else unknown for m in self.modalities]
        )
        return parts, learnt | (there & ~learnt.any(1, keepdim=True))

    def _subset(self, present: Mapping[Modality, Tensor]) -> Int[Tensor, " batch"]:
        """The bit mask of what is there."""
        index = torch.zeros_like(present[self.modalities[0]], dtype=torch.long)
        for modality, bit in bits(self.modalities).items():
            index = index + present[modality].long() * bit
        return index

    def _product(self, task: Task, unimodal: Mapping[Modality, Tensor], present: Mapping[Modality, Tensor]) -> Tensor:
        """Weighted sum of the modalities' logits, or, for a scalar, their weighted mean."""
        weights = {
            m: self.pool_weights[task.name][self.modalities.index(m)] * present[m].float()[:, None] for m in unimodal
        }
        total = sum((weights[m] * out for m, out in unimodal.items()), torch.zeros(()))
        return kind_of(task).pooled(total, sum(weights.values(), torch.zeros(())))

    def forward(self, batch: Batch) -> Outputs:
        return self.fuse(self.encode(batch), batch.present)

    def answers(
        self, logits: Mapping[str, Tensor], subset: Tensor, unsupported: bool = False
    ) -> dict[str, Float[Tensor, "batch width"]]:
        """Task → what its head decodes to (see `Head.decode`); polarity pooled with that of the emotions."""
        values = {t.name: self.heads[t.name].decode(logits[t.name], subset, unsupported) for t in self.tasks}
        return with_polarity(values) if derives(self.tasks) else values

    def supports(self, task: str, subset: int) -> bool:
        """Whether the task's head was taught this subset of modalities, given by its mask."""
        return bool(self.heads[task].supported_subsets[subset])

    def calibrated(self, outputs: Outputs, present: Mapping[Modality, Bool[Tensor, " batch"]]) -> Answers:
        """Calibrated answers; rows of a modality that is absent are NaN."""
        subset = self._subset(present)
        by_modality: dict[Modality, dict[str, Tensor]] = {}
        for modality, logits in outputs.by_modality.items():
            absent = ~present[modality][:, None]
            single = torch.full_like(subset, bits(self.modalities)[modality])
            heads = self.modality_heads[modality].tasks.items()
            by_modality[modality] = {
                name: head.decode(logits[name], single).masked_fill(absent, torch.nan) for name, head in heads
            }
        unfamiliarity: dict[Modality, Tensor] = {
            m: cast(Familiarity, self.familiarity[m]).percentile(d).masked_fill(~present[m], torch.nan)
            for m, d in outputs.distance.items()
        }
        return Answers(self.answers(outputs.logits, subset), by_modality, unfamiliarity)

    @plain_torch()
    @torch.no_grad()
    def decode(self, outputs: Outputs, batch: Batch) -> Decoded:
        """Calibrated arrays; rows of `by_modality` are NaN where the modality is absent."""
        found = self.calibrated(outputs, batch.present)
        return Decoded(
            {name: _numpy(values) for name, values in found.tasks.items()},
            {m: {name: _numpy(values) for name, values in each.items()} for m, each in found.by_modality.items()},
            _numpy(outputs.state),
            {m: _numpy(values) for m, values in found.unfamiliarity.items()},
        )

    @plain_torch()
    @torch.no_grad()
    def predict(self, batch: Batch) -> Decoded:
        """Encode, fuse and decode on the model's device; the module must be in evaluation mode."""
        batch = batch.to(self.device)
        return self.decode(self(batch), batch)

    @plain_torch()
    def answer(self, samples: Sequence[PreparedSample]) -> tuple[Decoded, Int[np.ndarray, " batch"]]:
        """Calibrated answers to one batch, and what each row has; the module's own mode comes back at the end."""
        batch, training = collate(samples), self.training
        if training:
            self.eval()
        try:
            return self.predict(batch), batch.subset_index().numpy()
        finally:
            if training:
                self.train()


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
