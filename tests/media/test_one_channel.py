"""One channel of several: as though its file had no other."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.errors import MediaError
from emofuse.media.decode import read_audio
from emofuse.media.reader import segments
from emofuse.types import SAMPLE_RATE


@pytest.fixture(scope="module")
def call(repository):
    """Two speakers, one a channel, who speak in turn: [2, samples]."""
    voice = read_audio(repository / "demo" / "samples" / "sample.mp4")
    first, second = voice.copy(), voice.copy()
    first[31_000:] = 0
    second[:31_000] = 0
    return np.stack([first, second])


def read(*args, **how):
    return list(segments(*args, **how))


def assert_same(found, other):
    assert [(s.start, s.end, s.speaker) for s in found] == [(s.start, s.end, s.speaker) for s in other] != []
    for one, same in zip(found, other, strict=True):
        np.testing.assert_allclose(one.waveform, same.waveform, atol=2e-4)


@pytest.mark.parametrize("index", [0, 1])
def test_a_channel_by_number_is_a_file_of_that_channel(make, call, index):
    stereo = make.clip("call.wav", sound=call, rate=SAMPLE_RATE)
    mono = make.clip("mono.wav", sound=call[index : index + 1], rate=SAMPLE_RATE)
    assert_same(read(stereo, channel=index), read(mono))
    assert_same(read(stereo, channel=f" {index} "), read(mono))
    assert_same(read(audio=(SAMPLE_RATE, call), channel=index), read(audio=(SAMPLE_RATE, call[index])))
    assert_same(read(stereo, channel=index, speaker="ann"), read(mono, speaker="ann"))
    assert_same(read(stereo, channel=index, start=1.5, end=5.0), read(mono, start=1.5, end=5.0))


def test_the_channels_that_are_the_same_may_be_taken_one_by_one(make, call):
    both = make.clip("both.wav", sound=call[[0, 0]], rate=SAMPLE_RATE)
    assert_same(read(both, channel=1), read(make.clip("mono.wav", sound=call[:1], rate=SAMPLE_RATE)))


@pytest.mark.parametrize(
    ("channel", "how", "told"),
    [
        (2, {}, "channel is 2; valid: a number from 0 to 1$"),
        (-1, {}, "channel is -1"),
        ("agent", {}, "channel is 'agent'; valid: a number from 0 to 1$"),
        (True, {}, "channel is True"),
        (1.5, {}, "channel is 1.5"),
        ("9" * 5000, {}, "channel is '999"),
        ("bob", {"channels": ["agent", "customer"]}, "a number from 0 to 1, or a name: agent, customer"),
        (0, {"channels": ["a", "b"], "only": "a"}, "only= and channel= both say"),
    ],
)
def test_a_channel_that_is_not_there_is_refused(call, channel, how, told):
    with pytest.raises(MediaError, match=told):
        read(audio=(SAMPLE_RATE, call), channel=channel, **how)


def test_words_have_no_channels():
    with pytest.raises(MediaError, match="channel is 0; valid: nothing, as there is no sound with channels"):
        read(text="so sad", channel=0)
