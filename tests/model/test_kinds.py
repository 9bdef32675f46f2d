"""Kinds of tasks: what outputs answer, how they are tempered, pooled and averaged, and what is explained of them."""

from __future__ import annotations

import pytest
import torch

from emofuse.model.kinds import kind_of, mean_logits
from emofuse.tasks import Task

CLASSES = Task("mood", "categorical", ("up", "flat", "down"))
LABELS = Task("mood", "multilabel", ("up", "flat", "down"))
VALUE = Task("mood", "scalar", low=-1.0, high=1.0)
OUTPUTS = torch.tensor([[2.0, 0.0, -1.0]])


def test_answers() -> None:
    torch.testing.assert_close(kind_of(CLASSES).answer(CLASSES, OUTPUTS), OUTPUTS.softmax(-1))
    torch.testing.assert_close(kind_of(LABELS).answer(LABELS, OUTPUTS), OUTPUTS.sigmoid())
    found = kind_of(VALUE).answer(VALUE, torch.tensor([[1.7], [-3.0], [0.2]]))
    torch.testing.assert_close(found, torch.tensor([[1.0], [-1.0], [0.2]]))


@pytest.mark.parametrize(("task", "divided"), [(CLASSES, True), (LABELS, True), (VALUE, False)])
def test_a_temperature_divides_logits_alone(task: Task, divided: bool) -> None:
    found = kind_of(task).tempered(OUTPUTS, torch.tensor(2.0))
    torch.testing.assert_close(found, OUTPUTS / 2 if divided else OUTPUTS)
    assert task.tempered == divided


def test_opinions_and_their_pool() -> None:
    weights = torch.tensor([[4.0]])
    torch.testing.assert_close(kind_of(CLASSES).opinions(OUTPUTS), OUTPUTS.log_softmax(-1))
    for task in (LABELS, VALUE):
        assert kind_of(task).opinions(OUTPUTS) is OUTPUTS
    for task in (CLASSES, LABELS):
        assert kind_of(task).pooled(OUTPUTS, weights) is OUTPUTS
    torch.testing.assert_close(kind_of(VALUE).pooled(OUTPUTS, weights), OUTPUTS / 4)
    assert kind_of(VALUE).pooled(torch.zeros(1, 1), torch.zeros(1, 1)).item() == 0.0, "of no weight at all"


def test_what_is_explained() -> None:
    probs = OUTPUTS.softmax(-1)[0]
    odds = kind_of(CLASSES).log_odds(OUTPUTS, 1)
    torch.testing.assert_close(odds, torch.log(probs[1] / (1 - probs[1]))[None])
    assert kind_of(LABELS).log_odds(OUTPUTS, 2).tolist() == [-1.0]
    assert kind_of(VALUE).log_odds(torch.tensor([[0.3]]), 0).tolist() == pytest.approx([0.3])


@pytest.mark.parametrize("task", [CLASSES, LABELS, VALUE], ids=lambda t: t.kind)
def test_the_mean_of_outputs_answers_as_the_mean_of_answers(task: Task) -> None:
    torch.manual_seed(0)
    outputs = [torch.randn(5, task.width) * 0.3 for _ in range(3)]
    kind = kind_of(task)
    mean = torch.stack([kind.answer(task, o) for o in outputs]).mean(0)
    torch.testing.assert_close(kind.answer(task, mean_logits(task, outputs)), mean, atol=1e-6, rtol=1e-5)
    assert mean_logits(task, outputs[:1]) is outputs[0]
