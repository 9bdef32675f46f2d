"""A model taught by corrections: it learns them, keeps the rest, and is refused where it would not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from emofuse.demo.feedback import Correction, save
from emofuse.errors import CheckpointError, DataError, OutputError
from emofuse.evaluation.predict import GIVEN, predict_examples
from emofuse.model.model import EmotionModel
from emofuse.training.adaptation import heads
from emofuse.training.adaptation.gate import OLD, check
from emofuse.training.adaptation.heads import HeadLessons, answers, keep_temperatures, own_logits
from emofuse.training.adaptation.run import adapt, folds, read_feedback, read_kept, replayed
from emofuse.training.adaptation.states import Kept, fingerprint, load_states, read_states, save_states


def values(model: EmotionModel, manifest: Path) -> tuple[np.ndarray, np.ndarray]:
    """The emotion's probabilities on all rows of a manifest, and its targets."""
    _, train, dev = replayed(model, str(manifest), 1000)
    found = predict_examples(model, [*train, *dev], subsets=())
    return found.values[GIVEN]["emotion"], found.targets["emotion"]


def right(model: EmotionModel, manifest: Path) -> float:
    said, truth = values(model, manifest)
    return float((said.argmax(1) == truth.argmax(1)).mean())


def test_corrections_are_learnt_and_all_else_stays(pooling, rows, tmp_path):
    """The head of the words moves; encoders, other heads, temperatures and what was never learnt are the same."""
    feedback = rows(said=("anger", "fear"))
    found = adapt(pooling, feedback, tmp_path / "new")
    before, after = EmotionModel.from_pretrained(pooling), EmotionModel.from_pretrained(tmp_path / "new")
    assert found.accepted and found.folder == tmp_path / "new"
    assert right(after, feedback) > right(before, feedback) + 0.3
    changed = {n for n, t in after.state_dict().items() if not torch.equal(t, before.state_dict()[n])}
    assert changed == {f"modality_heads.text.tasks.emotion.linear.{p}" for p in ("weight", "bias")}
    report = json.loads((tmp_path / "new" / "report.json").read_text())["adaptations"][0]
    assert report["accepted"] and report["rows"] == 24 and [c["side"] for c in report["checks"]] == ["new"]
    assert any("was not measured again" in note for note in report["notes"])
    assert "## Adapted" in (tmp_path / "new" / "README.md").read_text()


def test_rows_that_teach_nothing_are_refused(pooling, rows, tmp_path):
    """The same words are labelled one way by half of the people and the other way by the others."""
    feedback = rows(n=24, speakers=12, said=("joy", "sadness"))
    lines = feedback.read_text().splitlines()
    for i in range(1, len(lines), 4):
        lines[i], lines[i + 1] = (
            lines[i].replace(",joy", ",sadness"),
            lines[i + 1].replace(",sadness", ",joy"),
        )
    feedback.write_text("\n".join(lines) + "\n")
    found = adapt(pooling, feedback, tmp_path / "new", least_rise=0.3)
    assert not found.accepted and found.folder is None
    assert list(tmp_path.iterdir()) == []


def test_what_it_knew_must_not_fall(pooling, rows, tmp_path):
    """Taught to call happy words angry, it forgets what the replayed rows say, and the gate sees it."""
    known = adapt(pooling, rows(), tmp_path / "known").folder
    old, new = rows(split="dev"), rows(said=("anger", "fear"))
    found = adapt(known, new, tmp_path / "new", replay=[str(old)], most_fall=0.0)
    assert [c.side for c in found.checks] == ["new", "old"] and not found.checks[1].passed
    assert found.checks[1].comparison.b < found.checks[1].comparison.a
    assert not (tmp_path / "new").exists()
    assert adapt(known, new, tmp_path / "new").accepted, "without replay nothing says what is lost"


def test_replay_and_the_teacher_keep_what_was_known(pooling, rows, tmp_path):
    """What the rows do not speak of moves less with rows replayed than without."""
    known = adapt(pooling, rows(n=48), tmp_path / "known").folder
    model = EmotionModel.from_pretrained(known)
    examples, _ = read_feedback(model, rows(said=("joy", "joy")))
    states = read_states(model, "new", examples)
    (kept,) = read_kept(model, str(rows(n=36, split="train")))
    before = answers(model, kept.train)["emotion"]

    def moved(replay: list) -> float:
        lessons = HeadLessons(EmotionModel.from_pretrained(known), model.tasks[:1], states, replay)
        lessons.teach()
        return float(np.abs(answers(lessons.model, kept.train)["emotion"] - before).mean())

    assert moved([kept.train]) < 0.7 * moved([])


def test_each_row_is_predicted_by_a_model_that_was_not_taught_it(pooling, rows):
    """The cross-fitted answers are those of heads taught the other folds, and the heads are put back."""
    model = EmotionModel.from_pretrained(pooling)
    states = read_states(model, "new", read_feedback(model, rows())[0])
    lessons = HeadLessons(model, model.tasks[:1], states, [])
    start = answers(model, states)["emotion"]
    held = folds(states.clusters, 3)[0]
    rest = np.setdiff1d(np.arange(len(states)), held)
    crossed = lessons.crossed(rest, held)["emotion"]
    np.testing.assert_array_equal(answers(model, states)["emotion"], start)
    alone = HeadLessons(model, model.tasks[:1], states.take(rest), [])
    alone.teach()
    np.testing.assert_allclose(answers(model, states.take(held))["emotion"], crossed, atol=1e-5)


def test_folds_share_no_speaker():
    clusters = ["a"] * 5 + ["b"] * 2 + ["c"] + ["d"] * 3
    parts = folds(clusters, 3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(11))
    whose = [{clusters[i] for i in part} for part in parts]
    assert all(not a & b for i, a in enumerate(whose) for b in whose[:i])
    assert sorted(map(len, parts)) == [3, 3, 5]
    assert len(folds(["a", "b"], 5)) == 2


def test_states_answer_as_the_clips_do_and_survive_the_file(pooling, rows, tmp_path):
    model = EmotionModel.from_pretrained(pooling)
    _, train, dev = replayed(model, str(rows(speakers=8)), 300)
    kept = Kept("rows", read_states(model, "rows", train), read_states(model, "rows", dev))
    whole = predict_examples(model, train, subsets=()).values[GIVEN]["emotion"]
    mine = answers(model, kept.train)["emotion"]
    assert len(mine) == len(whole) and np.allclose(np.sort(mine[:, 0]), np.sort(whole[:, 0]), atol=1e-5)
    path = save_states([kept], model, tmp_path / "old.safetensors")
    (again,) = load_states(path, model)
    assert list(again.dev.clusters) == list(kept.dev.clusters)
    np.testing.assert_allclose(again.train.pooled["text"], kept.train.pooled["text"], atol=2e-3)
    np.testing.assert_array_equal(again.train.targets["emotion"], kept.train.targets["emotion"])


def test_states_fit_the_adapted_model_and_no_other(pooling, rows, tmp_path):
    model = EmotionModel.from_pretrained(pooling)
    path = save_states(read_kept(model, str(rows())), model, tmp_path / "old.safetensors")
    found = adapt(
        pooling, rows(said=("anger", "fear")), tmp_path / "new", replay=[str(path)], most_fall=1.0, least_rise=-1
    )
    assert found.accepted and [c.rows for c in found.checks][1:] == ["rows.csv dev"]
    assert fingerprint(EmotionModel.from_pretrained(tmp_path / "new")) == fingerprint(model)
    with torch.no_grad():
        next(model.encoder("text").parameters()).add_(0.1)
    with pytest.raises(DataError, match="states of other encoders"):
        load_states(path, model)
    (tmp_path / "no.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match="holds no states"):
        load_states(tmp_path / "no.safetensors", model)


def test_temperatures_follow_the_heads(pooling, rows, monkeypatch):
    """Heads that say all twice as loudly are as confident as before once their temperatures have followed."""
    monkeypatch.setattr(heads, "FEWEST", 4)
    model = EmotionModel.from_pretrained(pooling)
    states = read_states(model, "dev", read_feedback(model, rows(n=40))[0])
    before, logits = answers(model, states)["emotion"], own_logits(model, [states])
    head = model.modality_heads["text"].tasks["emotion"]
    head.linear.weight.data.mul_(2)
    head.linear.bias.data.mul_(2)
    assert np.abs(answers(model, states)["emotion"] - before).max() > 0.01
    assert keep_temperatures(model, model.tasks[:1], logits, [states]) == 1
    np.testing.assert_allclose(answers(model, states)["emotion"], before, atol=1e-4)
    monkeypatch.setattr(heads, "FEWEST", 50)
    assert keep_temperatures(model, model.tasks[:1], logits, [states]) == 0


def test_corrections_of_the_demo_are_read_as_they_are(pooling, tmp_path):
    said = {"anger": "i am so happy!", "fear": "this is terrible"}
    for i in range(12):
        emotion = list(said)[i % 2]
        save(tmp_path / "feedback", Correction(emotion, None, f"{said[emotion]} {i}", f"visit{i // 3}"), "I agree")
    found = adapt(pooling, tmp_path / "feedback" / "manifest.csv", tmp_path / "new", least_rise=-1)
    assert found.accepted and found.about["rows"] == 12
    assert found.checks[0].rows == "feedback, 4 folds by speaker"


def test_one_speaker_is_said_and_mistakes_too(pooling, rows, tmp_path):
    model = EmotionModel.from_pretrained(pooling)
    said, _ = values(model, rows())
    never = model.tasks[0].classes[int(said.mean(0).argmin())]
    found = adapt(pooling, rows(speakers=1, said=(never, never)), tmp_path / "new", least_rise=-1)
    assert "all rows are of one speaker: nothing is known of how it is with others" in found.notes
    assert any("any change looks like a rise" in note for note in found.notes)


def test_one_speaker_in_one_recording_is_checked_row_by_row(pooling, rows, tmp_path):
    """All rows were one fold, which left nothing to learn from."""
    feedback = rows(speakers=1)
    sound = tmp_path / "visit.wav"
    soundfile.write(sound, np.zeros(1600, np.float32), 16_000)
    head, *lines = feedback.read_text().splitlines()
    lines = [f"{head},media,start,end", *(f"{line},{sound},0,0.1" for line in lines)]
    feedback.write_text("\n".join(lines) + "\n")
    found, notes = read_feedback(EmotionModel.from_pretrained(pooling), feedback)
    assert len({e.cluster for e in found}) == len(found) == 24
    assert notes == [
        "all rows are of one speaker: nothing is known of how it is with others, nor in another recording than theirs"
    ]
    assert adapt(pooling, feedback, tmp_path / "new", least_rise=-1).checks


def test_a_check_is_undefined_without_rows():
    from emofuse.tasks import TASKS

    nothing = np.full((3, 7), np.nan)
    about = {"rows": "none", "side": OLD, "least": 0.0}
    assert check(TASKS["emotion"], nothing, nothing, nothing, ["a", "b", "c"], **about) is None


def test_what_cannot_be_taught_is_named(pooling, rows, tiny_config, tmp_path):
    with pytest.raises(DataError, match="at least 10 are needed"):
        adapt(pooling, rows(n=8), tmp_path / "new")
    with pytest.raises(OutputError, match="also an input"):
        adapt(pooling, rows(), pooling)
    with pytest.raises(DataError, match="neither CORPUS:FOLDER"):
        adapt(pooling, rows(), tmp_path / "new", replay=["ravdess"])
    corrected = EmotionModel(tiny_config).save_pretrained(tmp_path / "corrected")
    with pytest.raises(CheckpointError, match="take --how lora"):
        adapt(corrected, rows(), tmp_path / "new")
    with pytest.raises(DataError, match="the clips themselves are needed"):
        adapt(corrected, rows(), tmp_path / "new", how="lora", replay=["old.safetensors"])
    assert {p.name for p in tmp_path.iterdir()} == {"corrected"}


@pytest.mark.slow
def test_adapters_learn_what_heads_cannot(tiny_config, rows, tmp_path):
    """Of a model whose fused answers are corrected from all tokens, too; they are merged into plain weights."""
    torch.manual_seed(0)
    folder = EmotionModel(tiny_config).save_pretrained(tmp_path / "old")
    feedback, old = rows(), rows(n=12)
    found = adapt(folder, feedback, tmp_path / "new", how="lora", replay=[str(old)], least_rise=-1, most_fall=1)
    before, after = EmotionModel.from_pretrained(folder), EmotionModel.from_pretrained(tmp_path / "new")
    assert found.accepted and set(after.state_dict()) == set(before.state_dict())
    moved = {n.split(".")[1] for n, t in after.state_dict().items() if not torch.equal(t, before.state_dict()[n])}
    assert moved == {"text"}
    assert right(after, feedback) >= right(before, feedback)
