"""Voice activity: that the network is silero's, and that listening leaves the caller's threads alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from emofuse.media.vad import CHUNK, SileroNet, VoiceActivity
from emofuse.types import SAMPLE_RATE


def test_the_network_is_silero_s(speech: np.ndarray) -> None:
    """With the weights of silero's own TorchScript file it computes what that file does, one chunk at a time."""
    import importlib.util

    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None and spec.submodule_search_locations
    path = Path(next(iter(spec.submodule_search_locations))) / "data" / "silero_vad.jit"
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        reference = torch.jit.load(path)
    theirs = {name: w for name, w in reference.state_dict().items() if name.startswith("_model.")}
    ours = SileroNet()
    ours.load_state_dict(dict(zip(_ordered(ours), (theirs[name] for name in _their_names()), strict=True)))
    voice = VoiceActivity()
    voice._network = ours.eval()
    sound = speech[: 200 * CHUNK]
    probabilities = voice.push(sound)
    with torch.inference_mode():
        expected = [reference(torch.from_numpy(chunk.copy()), SAMPLE_RATE).item() for chunk in sound.reshape(-1, CHUNK)]
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    bundled = VoiceActivity().push(sound)
    assert np.mean((bundled > 0.5) == (np.array(expected) > 0.5)) > 0.97


def _ordered(network: SileroNet) -> list[str]:
    layers = ["stft_conv.weight", "final_conv.weight", "final_conv.bias"]
    layers += [f"conv{i}.{kind}" for i in range(1, 5) for kind in ("weight", "bias")]
    layers += [f"lstm.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    assert set(layers) == set(network.state_dict())
    return layers


def _their_names() -> list[str]:
    layers = ["stft.forward_basis_buffer", "decoder.decoder.2.weight", "decoder.decoder.2.bias"]
    layers += [f"encoder.{i}.reparam_conv.{kind}" for i in range(4) for kind in ("weight", "bias")]
    layers += [f"decoder.rnn.{kind}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    return [f"_model.{name}" for name in layers]


@pytest.mark.slow
def test_listening_leaves_the_threads_alone() -> None:
    code = (
        "import torch; torch.set_num_threads(3); import numpy as np;"
        "from emofuse.media.vad import VoiceActivity;"
        "VoiceActivity().push(np.zeros(16000, np.float32)); assert torch.get_num_threads() == 3"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=300)
