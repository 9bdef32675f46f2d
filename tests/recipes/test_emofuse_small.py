"""The scripts beside the shipped model's recipes: weights that come in packages, and the heads of the voice."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from transformers import BertConfig, BertModel

from emofuse.calibration.parts import Parts
from emofuse.model.model import EmotionModel

FOLDER = Path(__file__).parents[2] / "recipes" / "emofuse-small"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipes_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def e5() -> ModuleType:
    return script("e5_small")


@pytest.fixture(scope="module")
def heads() -> ModuleType:
    return script("speech_heads")


PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁glad", "▁рад", "高兴", "г", "ß", "▁zanzibar"]


def test_pieces_that_stay(e5: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frequent Latin and Chinese ones, single letters of these scripts, and whatever the texts use."""
    monkeypatch.setattr(e5, "FREQUENT", 8)
    packed = SimpleNamespace(pieces=PIECES)
    stay = [PIECES[n] for n in e5.kept(packed, Counter())]
    assert stay == ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁glad", "高兴", "ß"]
    used = [PIECES[n] for n in e5.kept(packed, Counter({6: 1, 10: 3}))]
    assert set(used) - set(stay) == {"▁рад", "▁zanzibar"}


def test_a_cut_table_reads_as_the_whole_one(e5: ModuleType) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertModel(BertConfig(vocab_size=len(PIECES), **shape), add_pooling_layer=False).eval()
    scores, rules = -np.arange(len(PIECES), dtype=np.float32), [("\u200b", ""), ("\t", " ")]
    whole = e5.build_tokenizer(PIECES, scores, rules)
    numbers = [0, 1, 2, 3, 4, 5, 7, 9]
    small = e5.build_tokenizer([PIECES[n] for n in numbers], scores[numbers], rules)
    text = "glad 高兴\u200b ß"
    with torch.no_grad():
        expected = model(torch.tensor([whole.encode(text).ids])).last_hidden_state
        found = e5.cut(model, numbers)(torch.tensor([small.encode(text).ids])).last_hidden_state
    assert whole.encode(text).tokens == small.encode(text).tokens and "<unk>" not in small.encode(text).tokens
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert model.config.vocab_size == len(numbers)


def test_a_fit_of_standardised_features_stands_in_the_head(heads: ModuleType) -> None:
    features = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    mean, deviation = features.mean(0), features.std(0)
    weight, bias = torch.randn(7, 6), torch.randn(7)
    linear = torch.nn.Linear(6, 7)
    task = SimpleNamespace(linear=linear)
    model = SimpleNamespace(modality_heads={"speech": SimpleNamespace(tasks={"emotion": task})})
    heads.lay_in(model, "emotion", weight, bias, mean, deviation)
    torch.testing.assert_close(linear(features), (features - mean) / deviation @ weight.T + bias)


def test_the_ridge_of_the_voice_is_the_library_s(heads: ModuleType) -> None:
    generator = torch.Generator().manual_seed(1)
    features, targets = torch.randn(30, 80, generator=generator), torch.rand(30, 1, generator=generator)
    weight, bias = heads.fit_scalar(features, targets)
    reference = Ridge(alpha=heads.RIDGE, fit_intercept=False).fit(features.numpy(), (targets - targets.mean()).numpy())
    np.testing.assert_allclose(weight.numpy(), reference.coef_.reshape(1, -1), rtol=1e-3, atol=1e-8)
    assert bias.shape == (1,) and bias.item() == pytest.approx(targets.mean().item())


def test_rare_classes_weigh_as_the_weights_say(heads: ModuleType) -> None:
    """Doubling a row's weight is the same as having it twice."""
    generator = torch.Generator().manual_seed(2)
    features, targets = torch.randn(12, 5, generator=generator), torch.eye(7)[torch.arange(12) % 7]
    weights = torch.ones(12)
    weights[3] = 2.0
    once = heads.fit_classes(features, targets, weights)
    rows = [*range(12), 3]
    twice = heads.fit_classes(features[rows], targets[rows], torch.ones(13))
    first, second = ((features @ weight.T + bias).softmax(-1) for weight, bias in (once, twice))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-2)


@pytest.fixture(scope="module")
def card() -> ModuleType:
    return script("card")


def test_every_figure_of_the_card_is_filled_in(card: ModuleType) -> None:
    """What the template names is what the script measures, and no measured figure is typed beside it."""
    template = card.TEMPLATE.read_text("utf-8")
    assert set(re.findall(r"\{([A-Z_]+)\}", template)) == {
        *(
            "QUALITY",
            "CALIBRATION",
            "CHALLENGE",
            "END_TO_END",
            "PARAMETERS",
            "MEGABYTES",
            "SPEED",
            "REPEATS",
            "CHANGES",
        ),
        "AUDIT",
        "VOICES",
    }
    assert re.findall(r"\d+ ms|(?<![\d.])0?\.\d{2,}|\d+ %(?! interval)|[\d,]+ steps|\d+(?:\.\d+)? MB", template) == []
    assert card.filled("{A} of {B}", {"A": "1", "B": "{A}"}) == "1 of {A}"
    with pytest.raises(ValueError, match=r"names \['A', 'B'\], and there are texts of \['A'\]"):
        card.filled("{A} {B}", {"A": "1"})


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    return script("audit")


def test_the_audit_is_laid_into_its_section_alone(audit: ModuleType, card: ModuleType) -> None:
    """Every measured number of every group, the widest gap, and nothing of the sections beside it."""
    group = {"n": 30, "value": 0.5, "low": 0.4, "high": 0.6, "people": 2}
    groups = [
        {
            "what": "A",
            "kind": "sex",
            "metric": "uar",
            "gap": 0.25,
            "groups": {"female": group, "male": group | {"value": 0.75}},
        },
        {"what": "B", "kind": "language", "metric": "uar", "gap": None, "groups": {"Danish": group}},
    ]
    swaps = [{"what": "C", "n": 10, "of": 40, "changed": 0.1, "distance": 0.0123}]
    text = audit.section({"groups": groups, "swaps": swaps})
    assert "| A | sex | male | uar 0.750 | [0.400, 0.600] | 30 | 2 |" in text
    assert "The widest gap is 0.250, by sex in A." in text
    assert "of 10 texts (of 40)" in text and "changed in 10.0%, and 0.012 of" in text
    laid = audit.laid("# x\n\n### By group\nold\n\n### Next\nkept\n", text)
    assert laid == f"# x\n\n### By group\n{text}\n\n### Next\nkept\n"
    with pytest.raises(ValueError, match="has no section"):
        audit.laid("# x\n", text)
    assert audit.HEADING in card.TEMPLATE.read_text("utf-8")


@pytest.fixture(scope="module")
def voices() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    yield script("voices")
    sys.path.remove(str(FOLDER))


@pytest.fixture
def heard(voices: ModuleType) -> tuple[EmotionModel, list]:
    """The shipped model, and states of three corpora: classes lie apart, in the third corpus elsewhere."""
    model, rng = EmotionModel.from_pretrained("emofuse-small", lean=True).eval(), np.random.default_rng(0)
    width = model.modality_heads["speech"].tasks["emotion"].linear.in_features
    centres, moved = rng.normal(0, 1.5, (7, width)), rng.normal(0, 3, (7, width))

    def parts(name: str, classes: np.ndarray) -> Parts:
        labels = np.arange(140) % 7
        targets = {t.name: np.full((140, t.width), np.nan) for t in model.tasks} | {"emotion": np.eye(7)[labels]}
        states = (classes[labels] + rng.normal(0, 1, (140, width))).astype(np.float32)
        return voices.parts_of(model, name, states, targets, [f"{name}{n // 14}" for n in range(140)])

    corpora = (("ravdess", centres), ("emodb", centres), ("nemo", moved))
    return model, [voices.Voices(n, parts(n, c), np.ones(140), parts(n, c), parts(n, -c)) for n, c in corpora]


def test_a_corpus_left_out_is_measured_by_a_fit_that_has_not_met_it(voices: ModuleType, heard: tuple) -> None:
    model, corpora = heard
    before = {name: weight.clone() for name, weight in model.encoders["speech"].state_dict().items()}
    found = {each["corpus"]: each for each in voices.left_out(model, corpora)}
    assert all(each["with"]["uar"] > 0.95 for each in found.values())
    assert found["emodb"]["without"]["uar"] > 0.95 and found["nemo"]["without"]["uar"] < 0.5
    assert found["nemo"]["without"]["ece"] > found["nemo"]["with"]["ece"] + 0.1
    assert all(torch.equal(before[n], w) for n, w in model.encoders["speech"].state_dict().items())


def test_the_telephone_is_a_paired_difference_and_both_go_into_the_card(
    voices: ModuleType, heard: tuple, card: ModuleType, audit: ModuleType
) -> None:
    model, corpora = heard
    voices.fit(model, corpora)
    calls = list(voices.telephone(model, corpora))
    assert all(e["change"] == pytest.approx(e["telephone"]["uar"] - e["recorded"]["uar"]) for e in calls)
    assert all(e["low"] <= e["change"] <= e["high"] and e["change"] < -0.5 for e in calls)
    measured = calls[0]["recorded"]
    strangers = [{"corpus": "emodb", "with": measured, "without": measured | {"uar": 0.25, "size": 6.0}}]
    text = voices.section({"limit": 300, "left_out": strangers, "telephone": calls})
    (row,) = [line for line in text.splitlines() if line.startswith("| EMO-DB speakers 13 and 14 (German) | 140 |")][:1]
    assert "| 0.250 |" in row and row.rstrip(" |").endswith("; 6")
    wide, narrow, change = calls[2]["recorded"]["uar"], calls[2]["telephone"]["uar"], calls[2]["change"]
    assert f"| nEMO, two speakers (Polish) | 140 | {wide:.3f} | {narrow:.3f} | {change:+.3f} [" in text
    assert voices.HEADING in card.TEMPLATE.read_text("utf-8")
    assert audit.laid(f"{voices.HEADING}\nold\n\n## Next\n", text, voices.HEADING).endswith(f"{text}\n\n## Next\n")


def test_changes_are_of_measures_that_both_reports_have(card: ModuleType) -> None:
    def part(what: str, **measures: float) -> dict[str, object]:
        return {"what": what, "measures": {name: {"value": value} for name, value in measures.items()}}

    before = {"parts": [part("A", uar=0.5, ccc=0.1), part("B", uar=0.9)]}
    found = card.changes([part("A", uar=0.55, pearson=0.2), part("C", uar=0.3)], before)
    assert found.splitlines()[2:] == ["| A | uar | 0.500 | 0.550 | +0.050 |"]
    assert card.changes([part("A", uar=0.55)], None) == "No report of an earlier generation was given."


def test_what_the_answer_is_timed_for_is_answered(card: ModuleType, tiny_model, monkeypatch) -> None:
    monkeypatch.setattr(card, "REPEATS", 2)
    threads = torch.get_num_threads()
    spent = card.milliseconds(tiny_model)
    assert list(spent) == ["nine words", "ten seconds of a voice"] and min(spent.values()) > 0
    assert torch.get_num_threads() == threads
    assert card.speed({"a": 1.4, "b": 22.6}).splitlines()[2:] == ["| a | 1 |", "| b | 23 |"]
