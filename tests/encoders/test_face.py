"""The face encoder: small ViT with a stem, hub folders, greys, frames as tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError

from emofuse.batch import collate
from emofuse.encoders.config import FaceConfig
from emofuse.encoders.face import FaceEncoder
from emofuse.encoders.processors.face import shares
from emofuse.errors import CheckpointError, EmofuseError
from emofuse.prepared import PreparedSample
from emofuse.types import FaceTrack, Segment

SMALL = {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}


def track(frames: int, size: int = 40, seed: int = 0, person: int = 0) -> FaceTrack:
    crops = np.random.default_rng(seed).integers(0, 255, (frames, size, size, 3), dtype=np.uint8)
    times = np.linspace(2, 3, frames).astype(np.float32)
    return FaceTrack(person, crops, times, np.zeros((frames, 4), np.float32), np.ones(frames, np.float32))


def segment(*tracks: FaceTrack) -> Segment:
    return Segment("x", 2.0, 3.0, faces=tracks)


def encode(encoder: FaceEncoder, *segments: Segment):
    batch = collate([PreparedSample({"face": encoder.prepare(s)}) for s in segments])
    with torch.no_grad():
        return encoder(batch.inputs["face"])


@pytest.mark.parametrize("stem", [{}, {"stem": [4, 8, 8]}, {"stem": [4, 8, 8], "stem_blocks": [0, 1, 2]}])
def test_one_token_a_frame_and_padding_is_never_run(stem):
    architecture = SMALL | stem
    encoder = FaceEncoder(FaceConfig(image_size=32, architecture=architecture)).eval()
    tokens = encode(encoder, segment(track(3)), segment(track(1, seed=1)))
    assert tokens.states.shape == (2, 3, 16)
    assert tokens.mask.tolist() == [[True] * 3, [True, False, False]]
    assert tokens.times[0].tolist() == [0, 0.5, 1]
    assert (tokens.states[1, 1:] == 0).all()
    torch.testing.assert_close(
        tokens.states[1, :1], encode(encoder, segment(track(1, seed=1))).states[0], atol=1e-5, rtol=1e-4
    )


def test_a_stem_must_fit_the_patch():
    with pytest.raises(ValueError, match="a stem of 2 stride-2 layers makes patches of 4, not 8"):
        FaceEncoder(FaceConfig(image_size=32, architecture=SMALL | {"stem": [4, 8]}))
    with pytest.raises(ValueError, match="a stem of 3 stages needs as many stem_blocks, not 2"):
        FaceEncoder(FaceConfig(image_size=32, architecture=SMALL | {"stem": [4, 8, 8], "stem_blocks": [1, 1]}))


def test_a_model_of_greys_does_not_see_colour():
    encoder = FaceEncoder(FaceConfig(image_size=32, grayscale=True, architecture=SMALL)).eval()
    pixels = encoder.prepare(segment(track(1)))["pixels"]
    assert (pixels[:, 0] == pixels[:, 1]).all() and (pixels[:, 0] == pixels[:, 2]).all()


def test_a_picture_and_its_mirror_image_are_one_outside_training():
    torch.manual_seed(0)
    plain = FaceEncoder(FaceConfig(image_size=32, architecture=SMALL)).eval()
    both = FaceEncoder(FaceConfig(image_size=32, architecture=SMALL, mirror=True)).eval()
    both.load_state_dict(plain.state_dict())
    given = [segment(track(3)), segment(track(1, seed=1))]
    turned = [replace(s, faces=tuple(replace(t, crops=t.crops[:, :, ::-1]) for t in s.faces)) for s in given]
    a, b, found = encode(plain, *given), encode(plain, *turned), encode(both, *given)
    assert not torch.allclose(a.states, b.states, atol=1e-2)
    torch.testing.assert_close(found.states, (a.states + b.states) / 2, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encode(both, *turned).states, found.states, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encode(both.train(), *given).states, a.states, atol=1e-5, rtol=1e-4)


def test_the_person_seen_most_is_shown():
    encoder = FaceEncoder(FaceConfig(image_size=32, architecture=SMALL)).eval()
    few, many = track(1), track(4, seed=1, person=1)
    assert len(encoder.prepare(segment(few, many))["mask"]) == 4
    assert encoder.prepare(segment()) is None
    assert encoder.prepare(segment(track(0))) is None


def test_a_local_folder_in_hub_format(tmp_path):
    torch.manual_seed(0)
    original = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=3).eval()
    original.pretrained_cfg["mean"] = (0.4, 0.4, 0.4)
    timm.models.save_for_hf(original, tmp_path / "vit", model_args={"img_size": 32, "depth": 1})
    encoder = FaceEncoder(FaceConfig(source=str(tmp_path / "vit"), architecture={"img_size": 32, "depth": 1})).eval()
    assert encoder.config.name == "vit_tiny_patch16_224" and encoder.config.image_size == 32
    assert encoder.config.mean == (0.4, 0.4, 0.4)
    picture = torch.from_numpy(encoder.prepare(segment(track(1)))["pixels"]).float() / 255
    with torch.no_grad():
        features = original.forward_features((picture - encoder.mean) / encoder.std)
        expected = original.forward_head(features, pre_logits=True)
    torch.testing.assert_close(encode(encoder, segment(track(1))).states[0], expected, atol=1e-5, rtol=1e-4)
    rebuilt = FaceEncoder(encoder.config, checkpoint=tmp_path)
    rebuilt.load_state_dict(encoder.state_dict())


def test_a_folder_says_itself_what_differs_from_the_named_architecture(tmp_path):
    original = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=3)
    timm.models.save_for_hf(original, tmp_path / "vit", model_args={"img_size": 32, "depth": 1, "num_classes": 3})
    encoder = FaceEncoder(FaceConfig(source=str(tmp_path / "vit"))).eval()
    assert encoder.config.architecture.items() >= {"img_size": 32, "depth": 1}.items()
    assert encoder.config.image_size == 32 and "num_classes" not in encoder.config.architecture
    rebuilt = FaceEncoder(encoder.config, checkpoint=tmp_path)
    rebuilt.load_state_dict(encoder.state_dict())


def test_the_width_is_that_of_the_states_also_behind_a_convolutional_head(tmp_path):
    config = FaceConfig(name="mobilenetv3_small_050", image_size=32, architecture={})
    encoder = FaceEncoder(config, checkpoint=tmp_path).eval()
    assert encode(encoder, segment(track(2))).states.shape == (1, 2, encoder.dim)
    with pytest.raises(EmofuseError, match="names no embedding_site"):
        _ = encoder.embedding_site


def test_a_revision_is_of_a_hub_id(tmp_path):
    with pytest.raises(CheckpointError, match="revision 'v2' is of a hub id, and vit_tiny_patch16_224 is none"):
        FaceEncoder(FaceConfig(source="vit_tiny_patch16_224", revision="v2"))
    with pytest.raises(ValidationError, match="is of a hub id"):
        FaceConfig(source=str(tmp_path), revision="v2")


def test_a_configuration_says_where_weights_come_from():
    with pytest.raises(ValidationError, match="give a source"):
        FaceConfig()


def talking(person: int, frames: int, talk: float, seed: int = 0) -> FaceTrack:
    return replace(track(frames, seed=seed, person=person), talk=talk, boxes=np.full((frames, 4), 40.0))


def test_the_face_of_who_is_seen_to_speak():
    encoder = FaceEncoder(FaceConfig(image_size=32, whose="speaker", architecture=SMALL)).eval()
    still, speaking = talking(0, 4, 0.01), talking(1, 2, 0.3, seed=1)
    both, alone = encoder.prepare(segment(still, speaking)), encoder.prepare(segment(speaking))
    np.testing.assert_array_equal(both["pixels"], alone["pixels"])
    main = FaceEncoder(FaceConfig(image_size=32, architecture=SMALL)).prepare(segment(still, speaking))
    assert len(main["mask"]) == 4


def test_all_faces_in_order_of_time_and_each_in_its_share():
    encoder = FaceEncoder(FaceConfig(image_size=40, whose="all", crops=5, architecture=SMALL)).eval()
    many, few = track(4), track(2, seed=1, person=1)
    arrays = encoder.prepare(segment(many, few))
    assert len(arrays["mask"]) == 5 and (np.diff(arrays["times"]) >= 0).all()
    of_few = [i for i, p in enumerate(arrays["pixels"]) if (p.transpose(1, 2, 0) == few.crops).all((1, 2, 3)).any()]
    assert len(of_few) == 2
    together, alone = encode(encoder, segment(many, few), segment(few)), encode(encoder, segment(few))
    torch.testing.assert_close(together.states[1, :2], alone.states[0], atol=1e-5, rtol=1e-4)
    assert shares([9, 1, 9], 16) == [8, 1, 7] and shares([3], 16) == [3] and shares([2, 2, 2], 2) == [1, 1, 0]


def test_whole_pictures_have_no_owner():
    with pytest.raises(ValidationError, match="whose and margin are of view: faces"):
        FaceConfig(architecture=SMALL, view="frames", whose="speaker")
    with pytest.raises(ValidationError, match="less than or equal to 16"):
        FaceConfig(architecture=SMALL, crops=17)


def test_colours_are_the_source_s_unless_they_are_given(published, tmp_path):
    source = str(published("convnext_atto", tmp_path))
    assert FaceEncoder(FaceConfig(source=source)).config.mean == (0.48, 0.46, 0.41)
    given = FaceConfig(source=source, mean=(0.1, 0.1, 0.1), std=(0.2, 0.2, 0.2))
    assert FaceEncoder(given).config.mean == (0.1, 0.1, 0.1)
