"""Voice activity: that the network is silero's, and that listening leaves the caller's threads alone."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from emofuse.files import bundled
from emofuse.media.vad import CHUNK, GRAPH, VoiceActivity, network
from emofuse.types import SAMPLE_RATE


def test_the_network_is_silero_s(speech: np.ndarray, repository: Path) -> None:
    """With the weights of silero's own TorchScript file it computes what that file does, one chunk at a time."""
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        reference = torch.jit.load(_package() / "silero_vad.jit")
    theirs = {name: weight.numpy() for name, weight in reference.state_dict().items()}
    voice = VoiceActivity()
    graph = _recipe(repository).graph_of({ours: theirs[f"_model.{name}"] for ours, name in _names().items()})
    voice._network = network(graph.SerializeToString())
    sound = speech[: 200 * CHUNK]
    probabilities = voice.push(sound)
    with torch.inference_mode():
        expected = [reference(torch.from_numpy(chunk.copy()), SAMPLE_RATE).item() for chunk in sound.reshape(-1, CHUNK)]
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    shipped = VoiceActivity().push(sound)
    assert np.mean((shipped > 0.5) == (np.array(expected) > 0.5)) > 0.97


def test_the_weights_are_those_of_silero_s_package(repository: Path) -> None:
    file = repository / "checkpoints" / "silero-vad" / "silero_vad_16k.safetensors"
    assert file.read_bytes() == (_package() / file.name).read_bytes()
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    assert found in file.with_name("README.md").read_text()
    assert found in (repository / "recipes" / "fetch_weights.py").read_text()


def test_the_graph_is_what_the_recipe_makes_of_the_weights(repository: Path) -> None:
    weights = repository / "checkpoints" / "silero-vad" / "silero_vad_16k.safetensors"
    assert bundled(GRAPH).read_bytes() == _recipe(repository).graph_of(load_file(weights)).SerializeToString()
    assert hashlib.sha256(bundled(GRAPH).read_bytes()).hexdigest() in weights.with_name("README.md").read_text()


def test_blocks_of_any_size_give_the_same_probabilities(speech: np.ndarray) -> None:
    whole = VoiceActivity().push(speech[: 2_000 * CHUNK])
    for size in (100, 512, 4_096, 50_000):
        voice = VoiceActivity()
        parts = [voice.push(speech[i : i + size]) for i in range(0, min(speech.size, 2_000 * CHUNK), size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_the_last_chunk_is_filled_with_silence(speech: np.ndarray) -> None:
    one, other = VoiceActivity(), VoiceActivity()
    one.push(speech[:5_000])
    padded = np.concatenate([speech[:5_000], np.zeros(-5_000 % CHUNK, np.float32)])
    np.testing.assert_allclose(one.finish(), other.push(padded)[-1:], atol=1e-6)
    assert other.finish().size == 0


def _recipe(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("convert", repository / "recipes" / "silero_vad" / "convert.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _package() -> Path:
    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _names() -> dict[str, str]:
    """Our names of the weights → those of the TorchScript file."""
    names = {"stft_conv.weight": "stft.forward_basis_buffer"}
    names |= {f"final_conv.{kind}": f"decoder.decoder.2.{kind}" for kind in ("weight", "bias")}
    names |= {
        f"conv{i}.{kind}": f"encoder.{i - 1}.reparam_conv.{kind}" for i in range(1, 5) for kind in ("weight", "bias")
    }
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return names | {f"lstm_cell.{kind}": f"decoder.rnn.{kind}" for kind in kinds}


@pytest.mark.slow
def test_listening_leaves_the_threads_alone() -> None:
    code = (
        "import torch; torch.set_num_threads(3); import numpy as np;"
        "from emofuse.media.vad import VoiceActivity;"
        "VoiceActivity().push(np.zeros(16000, np.float32)); assert torch.get_num_threads() == 3"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=300)
