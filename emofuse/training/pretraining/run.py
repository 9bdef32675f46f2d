"""One pretraining run: an encoder from where it starts to a checkpoint that `model.init` takes it from."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emofuse.batch import Batch, collate
from emofuse.data.examples import read_by
from emofuse.errors import OutputError, RecipeError, nearest
from emofuse.files import check_output_folder, write_file
from emofuse.modalities import Modality
from emofuse.training.dataset.sampler import Buckets, Shares
from emofuse.training.dataset.samples import MediaCache, Samples
from emofuse.training.errors import TrainingError
from emofuse.training.outcome.report import finite, portable, versions
from emofuse.training.pretraining.objective import MaskedObjective
from emofuse.training.pretraining.patches import MaskedPatches
from emofuse.training.pretraining.spectrogram import MaskedSpectrogram
from emofuse.training.pretraining.start import Start, start_from
from emofuse.training.pretraining.unlabelled import Unlabelled, read_unlabelled
from emofuse.training.pretraining.words import MaskedWords
from emofuse.training.tuning.optim import decays

ENCODERS: tuple[Modality, ...] = ("text", "speech", "face")
CACHE = 2 << 30
"""Bytes of decoded media that stay in memory."""
WARMUP = 0.06
"""Share of the steps in which the learning rate rises (Liu et al. 2019, RoBERTa, table 9)."""
CLIP = 1.0
HELD_OUT = 1 << 20
"""Stands for the epoch in the seed of the masks that are measured with: the same in every epoch."""


@dataclass(frozen=True)
class Pretraining:
    """How an encoder is pretrained."""

    epochs: int = 3
    batch_size: int = 32
    lr: float = 5e-5
    weight_decay: float = 0.01
    rate: float | None = None
    """Share that is hidden; None = that of the objective."""
    lexicon_rate: float = 0.5
    """Share of the words that the emotion lexicon knows that is hidden."""
    hold_out: float = 0.1
    seed: int = 0
    limit: int | None = None
    device: str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the corpus reader."""


def pretrain(
    corpus: str,
    root: str | Path,
    modality: Modality,
    start: str,
    out: str | Path,
    how: Pretraining | None = None,
    *,
    command: str = "",
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Pretrain the encoder of a modality on a corpus's train split and write a checkpoint of it alone.

    `start`: a recipe, or a checkpoint (see `start_from`). After each epoch the loss on the held-out part is told to
    `say`, and where it is the lowest so far the folder is written whole: a run that is killed leaves its best epoch,
    from which another can start. Raises RecipeError, DataError, CheckpointError, TrainingError, OutputError.
    """
    out, how = Path(out), how or Pretraining()
    if modality not in ENCODERS:
        raise RecipeError(f"no encoder {modality!r} is pretrained; {nearest(modality, ENCODERS)}")
    check_output_folder(out, [Path(start)])
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{str(out)!r} holds something already; name another folder, or delete it")
    data = read_unlabelled(
        corpus, root, modality, hold_out=how.hold_out, seed=how.seed, limit=how.limit, options=how.options
    )
    torch.manual_seed(how.seed)
    begun = start_from(start, modality)
    for line in begun.lines:
        say(f"  {line}")
    say(f"  {corpus}: {len(data.train)} to learn from, {len(data.held_out)} of the train split held out")
    return _Run(begun, objective(begun, modality, how), data, out, how, command, say).go()


def objective(begun: Start, modality: Modality, how: Pretraining) -> MaskedObjective:
    """What is hidden from an encoder of a modality, and how it is said."""
    encoder = begun.model.encoder(modality)
    if modality == "text":
        return MaskedWords(encoder, how.rate, how.lexicon_rate, begun.source, begun.revision)
    return (MaskedSpectrogram if modality == "speech" else MaskedPatches)(encoder, how.rate)


class _Run:
    """The loop: AdamW, a linear rise and fall of the learning rate, masks drawn anew in every epoch."""

    def __init__(
        self,
        begun: Start,
        objective: MaskedObjective,
        data: Unlabelled,
        out: Path,
        how: Pretraining,
        command: str,
        say: Callable[[str], None],
    ) -> None:
        self.begun, self.objective, self.data, self.out = begun, objective.to(how.device), data, out
        self.how, self.command, self.say = how, command, say
        cache = MediaCache(CACHE, read_by(objective))
        self.train = Samples(data.train, objective, cache, seed=how.seed)
        self.held_out = Samples(data.held_out, objective, cache, seed=how.seed)
        shares = Shares([len(data.train)], [1.0], 0, how.seed)
        self.buckets = Buckets(shares, self.train.lengths, how.batch_size)
        self.steps = how.epochs * len(self.buckets)
        self.optimizer = torch.optim.AdamW(self._groups(), how.lr)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._factor)
        self.history: list[dict[str, Any]] = []
        self.started = time.time()

    def go(self) -> Path:
        """Train; returns the folder, which holds the epoch with the lowest loss on what is held out."""
        self._measured(0, None)
        best = math.inf
        for epoch in range(1, self.how.epochs + 1):
            found = self._measured(epoch, self._epoch(epoch))
            if found < best:
                best = found
                self._save(epoch)
        write_file(self.out / "report.json", self._report(self._best()))
        if best >= self.history[0]["held_out"]:
            self.say("the held-out loss has not fallen: this start knew as much before; try another lr or more epochs")
        return self.out

    def _groups(self) -> list[dict[str, Any]]:
        named = [(n, p) for n, p in self.objective.named_parameters() if p.requires_grad]
        return [
            {"params": [p for n, p in named if decays(n, p) is yes], "weight_decay": self.how.weight_decay * yes}
            for yes in (True, False)
        ]

    def _factor(self, step: int) -> float:
        rise = max(1, round(WARMUP * self.steps))
        return (step + 1) / rise if step < rise else max(0.0, (self.steps - step) / max(1, self.steps - rise))

    def _epoch(self, epoch: int) -> float:
        """Mean loss of an epoch of gradient steps."""
        self.objective.train()
        self.buckets.set_epoch(epoch)
        total = count = 0.0
        for number, batch in enumerate(self._batches(self.train, self.buckets)):
            loss, n = self._loss(batch, epoch, number)
            if n:
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.objective.parameters(), CLIP)
                self.optimizer.step()
                total, count = total + float(loss.detach()) * n, count + n
            self.schedule.step()
        return total / max(count, 1)

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        self.objective.eval()
        order = np.argsort(self.held_out.lengths(np.arange(len(self.held_out)), 0), kind="stable")
        size = self.how.batch_size
        keys = [[(0, int(i)) for i in order[at : at + size]] for at in range(0, len(order), size)]
        found = [self._loss(b, HELD_OUT, i) for i, b in enumerate(self._batches(self.held_out, keys))]
        counted = [(float(loss), n) for loss, n in found if n]
        return sum(loss * n for loss, n in counted) / max(1, sum(n for _, n in counted))

    def _batches(self, samples: Samples, keys: Any) -> Iterator[Batch]:
        for each in keys:
            yield collate([samples[key] for key in each])

    def _loss(self, batch: Batch, epoch: int, number: int) -> tuple[torch.Tensor, int]:
        """Of the rows that have the modality; raises TrainingError where it is no number."""
        modality = self.objective.modality
        if modality not in batch.inputs:
            return torch.zeros(()), 0
        rows = batch.present[modality]
        inputs = {name: values[rows].to(self.how.device) for name, values in batch.inputs[modality].items()}
        loss, count = self.objective(inputs, np.random.default_rng([self.how.seed, epoch, number]))
        if count and not bool(torch.isfinite(loss.detach())):
            raise TrainingError(f"the loss is {float(loss.detach())} in epoch {epoch}; lower the learning rate")
        return loss, count

    def _measured(self, epoch: int, trained: float | None) -> float:
        """The held-out loss after an epoch, told and kept."""
        found = self._held_out_loss()
        self.history.append({"epoch": epoch, "train": trained, "held_out": found})
        before = "before training" if trained is None else f"epoch {epoch}/{self.how.epochs}: train {trained:.4f}"
        self.say(f"{before}, held out {found:.4f} {self.objective.unit}, {time.time() - self.started:.0f} s")
        return found

    def _best(self) -> int:
        return min(self.history[1:], key=lambda h: h["held_out"])["epoch"]

    def _save(self, epoch: int) -> None:
        report = json.loads(self._report(epoch))
        self.begun.model.save_pretrained(self.out, report=report, card=_card(report))

    def _report(self, best: int) -> str:
        """All that is needed to assess and repeat the run."""
        report = {
            "kind": "pretraining",
            "encoder": self.objective.modality,
            "objective": type(self.objective).__name__,
            "hidden": self.objective.share,
            "hidden_of_lexicon": getattr(self.objective, "lexicon_rate", None),
            "start": list(self.begun.lines),
            "command": portable(self.command),
            "seed": self.how.seed,
            "data": dict(self.data.protocol),
            "unit": self.objective.unit,
            "history": self.history,
            "best_epoch": best,
            "how": {k: getattr(self.how, k) for k in ("epochs", "batch_size", "lr", "weight_decay", "limit")},
            "seconds": round(time.time() - self.started, 1),
            "versions": {"python": platform.python_version()} | versions(),
        }
        return json.dumps(finite(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _card(report: Mapping[str, Any]) -> str:
    """README.md of the checkpoint."""
    data, encoder, first, last = report["data"], report["encoder"], report["history"][0], report["history"][-1]
    return f"""\
# A {encoder} encoder pretrained on {data["corpus"]}

It has learnt what is hidden from it, and no label: as a model it answers nothing. A recipe starts from it by
`model.init: {{{encoder}: THIS FOLDER}}`.

Objective {report["objective"]}, on {data["train"]} utterances of the train split of {data["corpus"]}, seed
{report["seed"]}. Held-out loss on {data["held_out"]} further ones, by {data["held_out_by"]}: {first["held_out"]:.4f}
before, {last["held_out"]:.4f} at epoch {last["epoch"]}, in {report["unit"]}. Split {data["split_hash"][:12]}.

Corpus: {data["citation"]}; licence: {data["licence"]}. `report.json` has the rest.
"""
