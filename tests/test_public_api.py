"""What `import emofuse` offers, and that the model that ships can be used by name."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
from pathlib import Path

import pytest

import emofuse


def test_the_public_names_are_few_and_there():
    public = {"Analysis", "Client", "ClipInputs", "EmofuseError", "MediaError", "Pipeline", "Prediction", "load"}
    public |= {"__version__"}
    assert set(emofuse.__all__) == public
    assert set(emofuse.__all__) == set(dir(emofuse))
    for name in emofuse.__all__:
        assert getattr(emofuse, name) is not None
    assert emofuse.__version__ == importlib.metadata.version("emofuse")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'emofuse' has no attribute 'laod'"):
        emofuse.laod  # noqa: B018  # type: ignore[attr-defined]


def test_every_public_callable_says_what_it_is_for():
    for thing in (emofuse.load, emofuse.Pipeline, emofuse.Analysis, emofuse.Prediction):
        assert inspect.getdoc(thing)
    for method in ("__call__", "predict_many", "stream"):
        assert inspect.getdoc(getattr(emofuse.Pipeline, method))
    for method in ("to_dict", "to_dataframe", "save", "plot"):
        assert inspect.getdoc(getattr(emofuse.Analysis, method))


def test_the_readme_and_the_ci_run_the_same_tests(repository: Path):
    commands = re.findall(r"^```bash\n(.*?)^```", (repository / "README.md").read_text(), re.M | re.S)
    lines = [line for block in commands for line in block.splitlines() if "pytest" in line]
    assert lines and re.fullmatch(r"python3 -m uv run pytest", lines[0])
    assert "sed -n '/^```bash$/,/^```$/{/pytest/p}' README.md" in (repository / ".ci" / "run").read_text()


@pytest.fixture(scope="module")
def shipped():
    """The model that comes with the project."""
    return emofuse.load(device="cpu")


def test_the_shipped_model_predicts_the_sample(shipped, repository: Path):
    sample = repository / "demo" / "samples" / "sample.mp4"
    result = shipped(sample, transcript=sample.with_suffix(".srt"))
    assert result.model == "emofuse-small" and result.overall is not None
    assert result.overall.present == {"text", "speech", "face"}
    assert sum(result.overall.emotions.values()) == pytest.approx(1, abs=1e-5)
    assert result.overall.top[0] == "joy", "a smiling face says it has never been so happy"


def test_the_shipped_model_reads_words(shipped):
    glad = shipped(text="I am so happy, this is wonderful!").overall
    grim = shipped(text="I hate you, this makes me furious!").overall
    assert glad.top[0] == "joy" and grim.top[0] in ("anger", "disgust")
    assert glad.polarity["positive"] > 0.5 > grim.polarity["positive"]
