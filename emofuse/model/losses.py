"""Masked losses: soft targets, class weights, priors, focal, R-Drop and supervised contrast; NaN = unlabelled."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor

Weighting = Literal["none", "inverse_sqrt", "inverse", "effective"]


def labelled(targets: Float[Tensor, "batch width"]) -> Bool[Tensor, " batch"]:
    """Rows with a target."""
    return ~targets.isnan().any(dim=-1)


def masked_mean(values: Float[Tensor, " batch"], mask: Bool[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean over the rows of the mask; a zero that keeps the graph where there are none."""
    chosen = torch.where(mask, values, torch.zeros_like(values))
    return chosen.sum() / mask.sum().clamp(min=1)


def categorical_loss(
    logits: Float[Tensor, "batch classes"],
    targets: Float[Tensor, "batch classes"],
    mask: Bool[Tensor, " batch"],
    *,
    weights: Float[Tensor, " classes"] | None = None,
    prior: Float[Tensor, " classes"] | None = None,
    adjustment: float = 0.0,
    focal: float = 0.0,
    smoothing: float = 0.0,
    spread: Float[Tensor, "classes classes"] | None = None,
    soft: bool = True,
) -> Float[Tensor, ""]:
    """Cross-entropy with distributions as targets.

    `adjustment` adds τ·log prior to the logits (Menon et al. 2021, eq. 10); `focal` weighs each class's term by
    (1 - p)^γ (Lin et al. 2017, eq. 4); `smoothing` mixes targets with the uniform distribution, or with the rows of
    `spread` that their classes have; class weights weigh a
    row by its expected weight, and the mean is over those weights.
    """
    targets = torch.where(mask[:, None], targets, torch.full_like(targets, 1 / targets.shape[-1]))
    if not soft:
        targets = (targets == targets.amax(-1, keepdim=True)).to(targets.dtype)  # of a tie, both in equal shares
    targets = targets / targets.sum(-1, keepdim=True).clamp(min=1e-8)
    row = targets @ weights if weights is not None else torch.ones_like(targets[:, 0])
    if smoothing:
        mixed = targets @ spread if spread is not None else 1 / targets.shape[-1]
        targets = targets * (1 - smoothing) + smoothing * mixed
    if adjustment and prior is not None:
        logits = logits + adjustment * prior.clamp(min=1e-8).log()
    log_p = F.log_softmax(logits, dim=-1)
    terms = targets * log_p
    if focal:
        terms = terms * (1 - log_p.exp()).pow(focal)
    row = torch.where(mask, row, torch.zeros_like(row))
    return -(terms.sum(-1) * row).sum() / row.sum().clamp(min=1e-8)


def multilabel_loss(
    logits: Float[Tensor, "batch classes"],
    targets: Float[Tensor, "batch classes"],
    mask: Bool[Tensor, " batch"],
    *,
    weights: Float[Tensor, " classes"] | None = None,
    focal: float = 0.0,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Binary cross-entropy, one a class; class weights weigh the positives."""
    targets = torch.where(mask[:, None], targets, torch.zeros_like(targets))
    smooth = targets * (1 - smoothing) + 0.5 * smoothing
    terms = F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights, reduction="none")
    if focal:
        p = logits.sigmoid()
        terms = terms * (smooth * (1 - p) + (1 - smooth) * p).pow(focal)
    return masked_mean(terms.mean(-1), mask)


def scalar_loss(
    values: Float[Tensor, " batch"], targets: Float[Tensor, " batch"], mask: Bool[Tensor, " batch"], span: float
) -> Float[Tensor, ""]:
    """Smooth L1 of the error as a share of the scalar's range `span`, with its knee at a tenth of it."""
    targets = torch.where(mask, targets, values.detach())
    return masked_mean(F.smooth_l1_loss(values / span, targets / span, reduction="none", beta=0.1) * 10, mask)


def rdrop_loss(
    first: Float[Tensor, "batch classes"], second: Float[Tensor, "batch classes"], mask: Bool[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Symmetric KL of two passes that differ in dropout alone (Liang et al. 2021, eq. 2)."""
    p, q = F.log_softmax(first, -1), F.log_softmax(second, -1)
    both = F.kl_div(p, q, log_target=True, reduction="none") + F.kl_div(q, p, log_target=True, reduction="none")
    return masked_mean(both.sum(-1) / 2, mask)


def contrastive_loss(
    states: Float[Tensor, "batch dim"],
    classes: Num[Tensor, " batch"],
    mask: Bool[Tensor, " batch"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Supervised contrast on unit-length states (Khosla et al. 2020, eq. 2); rows without a partner do not count."""
    similar = states @ states.T / temperature
    pair = mask[:, None] & mask[None] & ~torch.eye(len(states), dtype=torch.bool, device=states.device)
    positive = pair & (classes[:, None] == classes[None])
    log_p = similar - torch.logsumexp(similar.masked_fill(~pair, float("-inf")).nan_to_num(neginf=-1e4), 1, True)
    count = positive.sum(1)
    row = -(log_p * positive).sum(1) / count.clamp(min=1)
    return masked_mean(row, mask & (count > 0))


def class_weights(kind: Weighting, counts: Float[np.ndarray, " classes"], beta: float = 0.999) -> np.ndarray | None:
    """One weight a class, their mean over the data 1; classes that do not occur get 1.

    `inverse` and `inverse_sqrt` of the frequency; `effective` number of samples (Cui et al. 2019, eq. 2).
    """
    if kind == "none":
        return None
    counts = np.asarray(counts, np.float64)
    seen = counts > 0
    safe = np.where(seen, counts, 1.0)
    raw = {
        "inverse": 1 / safe,
        "inverse_sqrt": 1 / np.sqrt(safe),
        "effective": (1 - beta) / (1 - np.power(beta, np.maximum(safe, 1))),
    }[kind]
    if not seen.any():
        return np.ones(len(counts), np.float32)
    scale = counts.sum() / (raw * counts).sum()
    return np.where(seen, raw * scale, 1.0).astype(np.float32)
