"""Explanations in terms of words, moments and face regions, and as a sentence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from emofuse.batch import Batch, collate
from emofuse.encoders.lexicon import word_valence
from emofuse.errors import check_count
from emofuse.explain.attribution import COMPLETE, Attribution, integrated_gradients
from emofuse.explain.causes import Cause, causes_of
from emofuse.explain.flip import Flip, flips
from emofuse.explain.shapley import Shapley, class_of, shapley, task_of
from emofuse.modalities import PHRASES, Modality, Subset, members, subset_name
from emofuse.model.model import EmotionModel
from emofuse.notes import Note, coded
from emofuse.tasks import Task
from emofuse.torch_state import plain_torch
from emofuse.types import Segment

WINDOW = 0.1
"""Seconds of speech that share one score."""
GRID = 8
"""Cells along each side of a face's heat map."""
REGIONS = ("the brow and eyes", "the nose and cheeks", "the mouth and chin")
"""Thirds of a crop, from the top: crops are upright and cut around the face."""


NOTHING = (np.zeros(0), np.zeros(0))
"""Windows of a modality that is not there."""


@dataclass(frozen=True)
class WordEvidence:
    """A word, when it is said, how it moved the answer, and what the lexicon makes of it (0 = not in it)."""

    text: str
    start: float
    end: float
    score: float
    valence: float


@dataclass(frozen=True, eq=False)
class FaceEvidence:
    """One frame: the picture the encoder saw, and how each cell of it moved the answer."""

    time: float
    picture: UInt8[np.ndarray, "h w 3"]
    cells: Float[np.ndarray, "grid grid"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why one segment was predicted as it was; scores are shares of the change in log-odds from saying nothing."""

    task: str
    target: str | None
    """The class explained; None for a scalar."""
    answer: float | None
    """Its probability, or the scalar's value; None where the model has not learnt the task from what is present."""
    leading: str | None
    """The class the model finds most probable."""
    shapley: Shapley
    words: tuple[WordEvidence, ...]
    context: float
    """Of earlier turns and sentence markers, together."""
    speech_times: Float[np.ndarray, " windows"]
    """Middles, seconds of the clip."""
    speech_scores: Float[np.ndarray, " windows"]
    moments: dict[Modality, tuple[Float[np.ndarray, " windows"], Float[np.ndarray, " windows"]]]
    """Of modalities beyond the standard three: the same two."""
    faces: tuple[FaceEvidence, ...]
    regions: dict[str, float]
    """Of a face; empty without one, and for a model that looks at whole pictures."""
    lexicon: float
    """What the lexicon's features added, within the words' scores."""
    log_odds: tuple[float, float]
    """Of the answer with everything, and of the baseline."""
    error: float
    """Sum of all scores less what they explain; see `complete`."""
    notes: tuple[str, ...] = ()
    """What the explanation does not rest on learning for."""
    rules: tuple[str, ...] = ()
    """The caller's rules that changed the prediction after the model; what is explained is the model's own answer."""
    causes: tuple[Cause, ...] | None = None
    """Earlier turns, oldest first; None = not asked for."""
    flips: tuple[Flip, ...] | None = None
    """The least changes to another answer, by kind; None = not asked for."""

    @property
    def complete(self) -> bool:
        """Whether the scores add up to the change they explain."""
        return abs(self.error) <= COMPLETE * abs(self.log_odds[0] - self.log_odds[1]) + 1e-3

    def sentence(self) -> str:
        """The explanation in plain words."""
        if self.answer is None:
            return " ".join(f"{note[:1].upper()}{note[1:]}." for note in self.notes)
        what = f"{self.target} ({100 * self.answer:.0f} %)" if self.target else f"{self.task} {self.answer:.2f}"
        other = f", though {self.leading} more likely" if self.leading != self.target else ""
        parts = [f"The model finds {what}{other}.", _who(self.shapley, self.target or self.task)]
        if self.words:
            parts += _what_words(self.words, self.target or self.task)
        if self.speech_scores.size and self.speech_scores.max() > 0:
            moment = float(self.speech_times[int(self.speech_scores.argmax())])
            parts.append(f"In the voice, the moment around {moment:.1f} s contributed most.")
        if self.regions and max(self.regions.values()) > 0:
            parts.append(f"In the face, {max(self.regions, key=lambda r: self.regions[r])} contributed most.")
        if self.rules:
            parts.append(f"Rules of yours then changed the prediction ({', '.join(self.rules)}); this is of the model.")
        if self.causes:
            parts.append(_what_before(self.causes, self.target))
        if not self.complete:
            parts.append("The scores do not quite add up to the answer, so take the details with caution.")
        return " ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, without the pictures."""
        return {
            "task": self.task,
            "target": self.target,
            "answer": self.answer,
            "leading": self.leading,
            "sentence": self.sentence(),
            "modalities": dict(self.shapley.values),
            "coalitions": {c: None if c in self.shapley.not_trained else v for c, v in self.shapley.coalitions.items()},
            "prior": self.shapley.none if self.shapley.from_prior and self.answer is not None else None,
            "words": [asdict(w) for w in self.words],
            "context": self.context,
            "lexicon": self.lexicon,
            "speech": _timed(self.speech_times, self.speech_scores),
            "faces": [{"time": f.time, "cells": f.cells.tolist()} for f in self.faces],
            "regions": dict(self.regions),
            "log_odds": list(self.log_odds) if self.answer is not None else None,
            "error": self.error,
            "notes": list(map(str, self.notes)),
            "note_codes": coded(self.notes),
        } | self._further()

    def _further(self) -> dict[str, Any]:
        """What not every explanation has."""
        asked = {"causes": self.causes, "flips": self.flips}
        further = {name: [one.to_dict() for one in found] for name, found in asked.items() if found is not None}
        moments = {m: _timed(*found) for m, found in self.moments.items()}
        further |= {"moments": moments} if moments else {}
        return further | ({"rules": list(self.rules)} if self.rules else {})


@plain_torch()
def explain(
    model: EmotionModel,
    segment: Segment,
    task: str = "emotion",
    target: str | None = None,
    *,
    steps: int | None = None,
    causes: bool = False,
    flip: str | None = None,
) -> Explanation:
    """Why the model says `target` (else the class it finds most probable) of a segment.

    `steps` fixes the points of the quadrature; else they grow until the scores are complete. `causes` adds what each
    earlier turn did to the answer, `flip` the least changes that make this class lead. Raises DataError for an
    unknown task or class, or a segment in which nothing is present, ValueError for a model in training mode. Whatever
    mode of gradients the caller is in, it is left as it was. Where the model has not learnt the task from what is
    present, the answer is None, and a note says so.
    """
    if steps is not None:
        check_count(steps, "steps")
    chosen = task_of(model, task)
    named = class_of(chosen, target) if target and chosen.classes else None
    other = class_of(chosen, flip) if flip is not None else None
    batch = collate([model.prepare(segment)])
    values = model.predict(batch).tasks[task][0]
    if np.isnan(values).any():
        return _not_trained(chosen, members(int(batch.subset_index()[0]), model.modalities))
    place = named if named is not None else int(values.argmax())
    shares = shapley(model, batch, chosen, place)
    attribution = integrated_gradients(model, batch, chosen, place, steps=steps)
    leading = chosen.classes[int(values.argmax())] if chosen.classes else None
    found = assemble(model, segment, batch, chosen, place, leading, shares, attribution)
    turns = causes_of(model, segment, chosen, place) if causes else None
    return replace(found, causes=turns, flips=None if other is None else flips(model, segment, chosen, other))


def _not_trained(task: Task, present: Subset) -> Explanation:
    """Nothing, and why."""
    note = Note("task_not_trained", task=task.name, subset=subset_name(present))
    nothing = Shapley({}, math.nan, math.nan, {}, from_prior=False)
    return Explanation(
        task.name, None, None, None, nothing, (), 0.0, *NOTHING, {}, (), {}, 0.0, (0.0, 0.0), 0.0, (note,)
    )  # fmt: skip


def _notes(shares: Shapley) -> tuple[str, ...]:
    """What of the shares rests on answers that the model never learnt to give."""
    found = [] if shares.from_prior else [Note("prior_unknown")]
    lacking = ", ".join(shares.not_trained)
    return (*found, *([Note("coalitions_not_trained", subsets=lacking)] if lacking else []))


def assemble(
    model: EmotionModel,
    segment: Segment,
    batch: Batch,
    task: Task,
    place: int,
    leading: str | None,
    shares: Shapley,
    found: Attribution,
) -> Explanation:
    """Scores on tensors, carried to what a person knows."""
    words, context, lexicon = _words(segment, batch, found)
    moments = {m: _moments(segment, batch, found, model, m) for m in model.modalities if m not in ("text", "face")}
    times, speech = moments.pop("speech", NOTHING)
    faces = _faces(segment, batch, found)
    return Explanation(
        task=task.name,
        target=task.classes[place] if task.classes else None,
        answer=shares.full,
        leading=leading,
        shapley=shares,
        words=words,
        context=context,
        speech_times=times,
        speech_scores=speech,
        moments={m: each for m, each in moments.items() if each[0].size},
        faces=faces,
        regions=_regions(faces) if faces and model.face_options.view == "faces" else {},
        lexicon=lexicon,
        log_odds=(found.answer, found.baseline),
        error=found.error,
        notes=_notes(shares),
    )


def _regions(faces: tuple[FaceEvidence, ...]) -> dict[str, float]:
    cells = sum((f.cells for f in faces), np.zeros((GRID, GRID)))
    thirds = np.array_split(cells, len(REGIONS), axis=0)
    return {region: float(third.sum()) for region, third in zip(REGIONS, thirds, strict=True)}


def _words(segment: Segment, batch: Batch, found: Attribution) -> tuple[tuple[WordEvidence, ...], float, float]:
    if ("text", "inputs_embeds") not in found.scores:
        return (), 0.0, 0.0
    pieces = found.scores["text", "inputs_embeds"].sum(axis=1)
    lexicon = found.scores.get(("text", "lexicon"), np.zeros((len(pieces), 1))).sum(axis=1)
    owner = batch.inputs["text"]["word"][0].cpu().numpy()
    said = [w for w in segment.words or () if w.text.strip()]
    both = pieces + lexicon
    scores = np.bincount(owner[owner >= 0], weights=both[owner >= 0], minlength=len(said))
    words = tuple(
        WordEvidence(w.text, w.start, w.end, float(s), word_valence(w.text)) for w, s in zip(said, scores, strict=True)
    )
    return words, float(both[owner < 0].sum()), float(lexicon.sum())


def _moments(
    segment: Segment, batch: Batch, found: Attribution, model: EmotionModel, modality: Modality
) -> tuple[Float[np.ndarray, " windows"], Float[np.ndarray, " windows"]]:
    """Middles, in seconds of the clip, and scores of windows of WINDOW seconds over the modality's main input."""
    encoder = model.encoder(modality)
    scores = found.scores.get((modality, encoder.continuous[0] if encoder.continuous else ""))
    if scores is None or not encoder.reads_media:
        return NOTHING
    each = scores.reshape(len(scores), -1).sum(axis=1)
    times = encoder.input_times(batch.inputs[modality])[0].double().cpu().numpy()
    start = times[0] - (times[1] - times[0]) / 2 if len(times) > 1 else times[0]
    window = ((times - start) // WINDOW).astype(int)
    return segment.start + start + (np.arange(window[-1] + 1) + 0.5) * WINDOW, np.bincount(window, weights=each)


def _timed(times: Float[np.ndarray, " windows"], scores: Float[np.ndarray, " windows"]) -> list[dict[str, float]]:
    return [{"time": float(t), "score": float(s)} for t, s in zip(times, scores, strict=True)]


def _faces(segment: Segment, batch: Batch, found: Attribution) -> tuple[FaceEvidence, ...]:
    scores = found.scores.get(("face", "pixels"))
    if scores is None:
        return ()
    arrays = batch.inputs["face"]
    pixels = np.ascontiguousarray(arrays["pixels"][0].permute(0, 2, 3, 1).cpu().numpy(), np.uint8)
    times = arrays["times"][0].cpu().numpy() + segment.start
    maps = scores.sum(axis=1)
    return tuple(FaceEvidence(float(t), p, _cells(m)) for t, p, m in zip(times, pixels, maps, strict=True))


def _cells(scores: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "grid grid"]:
    """Sums over a GRID × GRID partition, so that nothing is lost."""
    rows = np.array_split(scores, GRID, axis=0)
    return np.array([[cell.sum() for cell in np.array_split(row, GRID, axis=1)] for row in rows])


def _who(shares: Shapley, target: str) -> str:
    names = {m: PHRASES.get(m, f"the {m}") for m in shares.values}
    ranked = sorted(shares.values, key=lambda m: -shares.values[m])
    if len(ranked) == 1:
        return f"Nothing but {names[ranked[0]]} could contribute."
    top, last = ranked[0], ranked[-1]
    if shares.values[top] <= 0 and shares.values[last] < -0.02:
        return f"Nothing contributed to {target}; {names[last]} counted most against it."
    if shares.values[top] <= 0:
        return f"No modality contributed to {target}: its probability is what the model expects without input."
    text = f"{names[top].capitalize()} contributed most"
    return text + (f"; {names[last]} counted against it." if shares.values[last] < -0.02 else ".")


def _what_words(words: tuple[WordEvidence, ...], target: str) -> list[str]:
    ranked = sorted(words, key=lambda w: -w.score)
    strongest = [f"“{w.text}”" for w in ranked[:3] if w.score > 0.25 * max(ranked[0].score, 1e-9)]
    parts = [f"Of the words, {_listed(strongest)} contributed most to {target}."] if ranked[0].score > 0 else []
    if ranked[-1].score < 0 and -ranked[-1].score > 0.5 * ranked[0].score:
        parts.append(f"“{ranked[-1].text}” counted against it.")
    known = [w for w in words if w.valence]
    if known:
        listed = _listed([f"“{w.text}” ({'pleasant' if w.valence > 0 else 'unpleasant'})" for w in known[:6]])
        parts.append(f"In the lexicon: {listed}.")
    return parts


def _what_before(turns: tuple[Cause, ...], target: str | None) -> str:
    most = max(turns, key=lambda cause: abs(cause.effect))
    by = f"{100 * most.effect:+.0f} points" if target else f"{most.effect:+.2f}"
    return f"Of the earlier turns, “{most.text}” moved it most ({by})."


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
