"""Layers left out, and a smaller model that learns from the whole one."""

from __future__ import annotations

import pytest
import torch

from emofuse.batch import collate
from emofuse.errors import EmofuseError, RecipeError
from emofuse.model.config import ModelConfig
from emofuse.model.familiarity import Familiarity
from emofuse.model.heads import Head
from emofuse.model.kinds import distillation_loss, mean_logits
from emofuse.model.model import EmotionModel
from emofuse.runtime.export.prune import prune, spaced
from emofuse.tasks import TASKS, Task
from emofuse.training.objective.distil import Teacher
from emofuse.training.objective.objective import Objective
from emofuse.training.recipe.schema import Distil, Loss


def test_the_first_and_the_last_layer_stay():
    assert spaced(6, 3) == [0, 2, 5] and spaced(12, 6) == [0, 2, 4, 7, 9, 11]
    assert spaced(6, 6) == list(range(6)) and spaced(4, 1) == [0]


def test_a_pruned_model_is_a_model_of_the_layers_that_stayed(tiny_model, make_segment, tmp_path):
    whole = tiny_model.save_pretrained(tmp_path / "whole", card="measured")
    folder = prune(whole, tmp_path / "pruned", {"text": 1, "speech": 1, "face": 1})
    pruned = EmotionModel.from_pretrained(folder)
    for modality in ("text", "speech", "face"):
        names = [n for n in pruned.state_dict() if n.startswith(f"encoders.{modality}.") and ".1." in n]
        assert not [n for n in names if "layers.1." in n or "layer.1." in n or "blocks.1." in n]
    key = "encoders.text.backbone.encoder.layer.0.output.dense.weight"
    assert torch.equal(pruned.state_dict()[key], tiny_model.state_dict()[key])
    answers = pruned.predict(collate([pruned.prepare(make_segment(0))])).tasks["emotion"]
    assert answers.sum() == pytest.approx(1, abs=1e-5)
    assert not (folder / "README.md").exists(), "what was measured was another model"


def test_a_modality_that_lost_no_layer_stays_familiar_and_no_promise_of_the_whole_model_does(tiny_model, tmp_path):
    tensors = {"components": torch.eye(16)[:, :4], "offset": torch.zeros(4), "reference": torch.randn(60, 4)}
    tensors |= {"quantiles": torch.linspace(0, 1, 101), "slope": torch.tensor(0.25)}
    tiny_model.familiarity = torch.nn.ModuleDict({m: Familiarity(tensors) for m in ("text", "face")})
    whole = tiny_model.save_pretrained(tmp_path / "whole")
    (whole / "drift.json").write_text("{}")
    folder = prune(whole, tmp_path / "pruned", {"text": 1, "face": len(tiny_model.encoder("face").layers)})
    pruned = EmotionModel.from_pretrained(folder)
    assert set(pruned.familiarity) == {"face"} and float(pruned.familiarity["face"].slope) == 0.25
    assert not (folder / "drift.json").exists()


@pytest.mark.parametrize("lean", [False, True])
def test_whisper_is_pruned_by_its_own_name_for_layers(tiny_config, tmp_path, lean):
    whisper = {"model_type": "whisper", "d_model": 16, "encoder_layers": 3, "encoder_attention_heads": 2}
    whisper |= {"encoder_ffn_dim": 24, "num_mel_bins": 80, "max_source_positions": 40}
    values = tiny_config.model_dump()
    values["encoders"] = {"speech": {"architecture": whisper}}
    model = EmotionModel(ModelConfig.model_validate(values))
    folder = prune(model.save_pretrained(tmp_path / "whole"), tmp_path / "less", {"speech": 2})
    pruned = EmotionModel.from_pretrained(folder, lean=lean).encoder("speech")
    assert len(pruned.layers) == 2
    for kept, layer in zip((0, 2), pruned.layers, strict=True):
        whole = model.encoder("speech").layers[kept].state_dict()
        assert all(torch.equal(whole[name], tensor) for name, tensor in layer.state_dict().items())


def test_all_layers_kept_is_the_same_model(tiny_model, tmp_path):
    whole = tiny_model.save_pretrained(tmp_path / "whole")
    same = EmotionModel.from_pretrained(prune(whole, tmp_path / "same", {"text": 2})).state_dict()
    assert all(torch.equal(same[name], tensor) for name, tensor in tiny_model.state_dict().items())


def test_what_cannot_be_pruned_says_why(tiny_model, tmp_path):
    whole = tiny_model.save_pretrained(tmp_path / "whole")
    with pytest.raises(EmofuseError, match="the model reads no pose; it has encoders for text, speech, face"):
        prune(whole, tmp_path / "none", {"pose": 1})
    with pytest.raises(EmofuseError, match="the text encoder has 2 layers; keep 1 to 2 of them, not 3"):
        prune(whole, tmp_path / "more", {"text": 3})
    with pytest.raises(EmofuseError, match="is there already"):
        prune(whole, whole, {"text": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize("task", [TASKS["emotion"], TASKS["intensity"], Task("several", "multilabel", ("a", "b"))])
def test_the_distance_is_zero_at_the_teachers_answer_and_nowhere_less(task):
    torch.manual_seed(0)
    theirs = torch.randn(4, task.width)
    assert distillation_loss(task, theirs, theirs, 2.0) == pytest.approx(torch.zeros(4), abs=1e-6)
    assert (distillation_loss(task, theirs + torch.randn(4, task.width), theirs, 2.0) > 1e-4).all()


def test_a_student_comes_to_answer_like_its_teacher(tiny_model, make_segment, tmp_path):
    whole = tiny_model.save_pretrained(tmp_path / "whole")
    pruned = EmotionModel.from_pretrained(prune(whole, tmp_path / "pruned", {"text": 1, "speech": 1, "face": 1}))
    unlabelled = {t.name: torch.full((t.width,), torch.nan).numpy() for t in pruned.tasks}
    batch = collate([pruned.prepare(make_segment(s), unlabelled) for s in range(4)])
    counts = {t.name: torch.ones(t.width).numpy() for t in pruned.tasks}
    objective = Objective(pruned, Loss(distil=Distil(teacher=str(whole))), counts).eval()
    assert not [n for n, _ in objective.named_parameters() if "teacher" in n]
    optimizer = torch.optim.Adam(objective.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        parts = objective(batch)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
        losses.append(float(parts["distil"]))
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("task", [TASKS["emotion"], TASKS["intensity"], Task("several", "multilabel", ("a", "b"))])
def test_several_teachers_teach_the_mean_of_their_answers(task):
    torch.manual_seed(0)
    head, subset = Head(task, 3), torch.ones(4, dtype=torch.long)
    logits = [torch.rand(4, 1) if task.kind == "scalar" else 3 * torch.randn(4, task.width) for _ in range(3)]
    mean = torch.stack([head.decode(one, subset) for one in logits]).mean(0)
    torch.testing.assert_close(head.decode(mean_logits(task, logits), subset), mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(mean_logits(task, logits[:1]), logits[0])


def test_two_teachers_are_nearer_than_either(tiny_model, make_segment, tmp_path):
    first = tiny_model.save_pretrained(tmp_path / "first")
    other = EmotionModel(tiny_model.config).eval()
    second = other.save_pretrained(tmp_path / "second")
    batch = collate([tiny_model.prepare(make_segment(s)) for s in range(4)])
    outputs = tiny_model(batch)
    alone, both, far = (
        float(Teacher(Distil(teacher=t), tiny_model).loss(outputs, batch).detach())
        for t in (str(first), [str(first), str(second)], str(second))
    )
    assert alone == pytest.approx(0, abs=1e-5)
    assert alone < both < far


def test_a_teacher_may_know_more_modalities(tiny_model, tiny_config, make_segment, tmp_path):
    whole = tiny_model.save_pretrained(tmp_path / "whole")
    voice = EmotionModel(tiny_config.model_copy(update={"encoders": {"speech": tiny_config.encoders["speech"]}}))
    batch = collate([voice.prepare(make_segment(s)) for s in range(3)])
    teacher = Teacher(Distil(teacher=str(whole)), voice)
    assert 0 < float(teacher.loss(voice.eval()(batch), batch).detach()) < 100


def test_a_teacher_must_read_what_the_learner_reads(tiny_model, tiny_config, tmp_path):
    whole = tiny_model.save_pretrained(tmp_path / "whole")
    other = tiny_config.model_copy(deep=True)
    other.encoders["text"].max_length = 32
    with pytest.raises(RecipeError, match="reads text in another way"):
        Teacher(Distil(teacher=str(whole)), EmotionModel(other))
    with pytest.raises(RecipeError, match=r"loss\.distil\.teacher: no model"):
        Teacher(Distil(teacher="nowhere"), tiny_model)
