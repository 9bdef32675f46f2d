"""Names, masks and subsets of modalities, the standard three and a fourth."""

from __future__ import annotations

from emofuse.modalities import (
    bits,
    mask_of,
    members,
    named_subset,
    ordered,
    subset_name,
    subsets_of,
    table_size,
)


def test_names_and_masks_of_the_standard_three_are_those_of_old_checkpoints():
    names = [subset_name(members(mask)) for mask in range(8)]
    assert names == [
        "none", "text", "speech", "text+speech", "face", "text+face", "speech+face", "text+speech+face",
    ]  # fmt: skip
    assert [mask_of(named_subset(name)) for name in names] == list(range(8))


def test_a_model_of_fewer_modalities_keeps_their_bits():
    assert bits(("face", "text")) == {"text": 1, "face": 4}
    assert members(0b101, ("face",)) == {"face"}
    assert table_size(("face",)) == 8


def test_a_fourth_modality_gets_the_next_bit_and_stands_last():
    four = ("pose", "face", "text", "speech")
    assert ordered(four) == ("text", "speech", "face", "pose")
    assert bits(four)["pose"] == 8 and table_size(four) == 16
    assert bits(("pose", "speech")) == {"speech": 2, "pose": 8}
    assert subset_name({"pose", "text"}) == "text+pose"
    assert members(mask_of({"pose", "face"}, four), four) == {"pose", "face"}


def test_subsets_go_from_the_smallest_to_all():
    assert [subset_name(s) for s in subsets_of()] == [
        "text", "speech", "face", "text+speech", "text+face", "speech+face", "text+speech+face",
    ]  # fmt: skip
    names = [subset_name(s) for s in subsets_of(("speech", "pose"), fewest=0)]
    assert names == [
        "none",
        "speech",
        "pose",
        "speech+pose",
    ]
