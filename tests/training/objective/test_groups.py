"""A loss by group: each counts the same, or the one that the model serves worse counts more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from emofuse.batch import collate
from emofuse.data.examples import Example
from emofuse.errors import RecipeError
from emofuse.training.dataset.samples import MediaCache, Samples, group_names
from emofuse.training.objective.groups import GroupShares
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.schema import Groups, Loss


def test_shares_follow_the_losses_as_the_paper_says():
    """q_g ← q_g exp(η L_g), and normalised; a group that is not in the batch stays in proportion."""
    shares = GroupShares(["a", "b"], Groups(step=0.5))
    shares.follow({0: torch.tensor(2.0), 1: torch.tensor(1.0)})
    raw = np.array([np.exp(1.0), np.exp(0.5), 1.0])
    np.testing.assert_allclose(shares.shares.numpy(), raw / raw.sum(), rtol=1e-6)
    np.testing.assert_allclose(shares.of([0, 1]).numpy(), raw[:2] / raw[:2].sum(), rtol=1e-6)
    assert "shares" in shares.state_dict(), "a run that goes on must know them"


def test_groups_that_count_the_same_stay_so():
    shares = GroupShares(["a", "b"], Groups(how="balanced"))
    shares.follow({0: torch.tensor(9.0)})
    assert shares.of([0, 2]).tolist() == [0.5, 0.5]


@pytest.fixture
def grouped(tiny_model, make_segment):
    """Five samples of one group and one of another, all text; the emotion of the one is another."""

    def sample(i: int, group: int, emotion: int):
        targets = {t.name: np.full(t.width, np.nan, np.float32) for t in tiny_model.tasks}
        targets["emotion"] = np.eye(7, dtype=np.float32)[emotion]
        return replace(tiny_model.prepare(make_segment(i).only("text"), targets), group=group)

    return collate([*(sample(i, 0, 1) for i in (0, 4, 8, 12, 16)), sample(2, 1, 2)])


def emotion_loss(model, batch, **options) -> float:
    counts = {t.name: np.ones(t.width) for t in model.tasks}
    return Objective(model, Loss(auxiliary=0, **options), counts, groups=["a", "b"]).eval()(batch)["emotion"].item()


def test_every_group_counts_the_same_however_small(tiny_model, grouped):
    alone = []
    for number in (0, 1):
        masked = grouped.targets["emotion"].masked_fill((grouped.group != number)[:, None], torch.nan)
        alone.append(emotion_loss(tiny_model, replace(grouped, targets=grouped.targets | {"emotion": masked})))
    balanced = emotion_loss(tiny_model, grouped, groups=Groups(how="balanced"))
    assert balanced == pytest.approx(np.mean(alone), rel=1e-5)
    assert balanced != pytest.approx(emotion_loss(tiny_model, grouped), rel=1e-3)


def test_the_loss_of_the_worst_group_falls_below_that_of_the_mean(tiny_model, grouped):
    """After so many steps, the small group fares better than under the plain loss."""
    start = {n: t.clone() for n, t in tiny_model.state_dict().items()}

    def trained(groups: Groups | None) -> float:
        tiny_model.load_state_dict(start)
        torch.manual_seed(0)
        counts = {t.name: np.ones(t.width) for t in tiny_model.tasks}
        objective = Objective(tiny_model, Loss(auxiliary=0, groups=groups), counts, groups=["a", "b"]).train()
        heads = tiny_model.heads["emotion"].parameters()
        optimiser = torch.optim.SGD(heads, lr=0.05)
        for _ in range(30):
            optimiser.zero_grad()
            objective(grouped)["loss"].backward()
            optimiser.step()
        small = grouped.targets["emotion"].masked_fill((grouped.group != 1)[:, None], torch.nan)
        return emotion_loss(tiny_model, replace(grouped, targets=grouped.targets | {"emotion": small}))

    assert trained(Groups(how="worst", step=0.2)) < trained(None) - 0.05


def test_samples_know_their_group_and_unknown_ones_are_one_more(tiny_model, samples):
    texts = [e for e in samples if "text" in e.modalities][:4]
    texts[0] = replace(texts[0], groups={})
    assert group_names(texts, "sex") == ("female", "male")

    class Pointers(Samples):
        """Segments at hand have no length of a file."""

        def __init__(self, examples: list[Example]) -> None:
            self.examples, self.group_names, self._kind = examples, group_names(examples, "sex"), "sex"

    found = Pointers(texts)
    assert [found._group(e) for e in texts] == [2, *({"female": 0, "male": 1}[e.groups["sex"]] for e in texts[1:])]
    with pytest.raises(RecipeError, match=r"loss\.groups\.by 'sexx'.*did you mean 'sex'"):
        group_names(texts, "sexx")
    assert MediaCache(0).limit == 0


def test_a_batch_carries_groups_where_all_samples_have_one(tiny_model, grouped, make_segment):
    assert grouped.group.tolist() == [0, 0, 0, 0, 0, 1]
    assert grouped.to("cpu").group.tolist() == grouped.group.tolist() == grouped.without("face").group.tolist()
    assert collate([tiny_model.prepare(make_segment(0))]).group is None
