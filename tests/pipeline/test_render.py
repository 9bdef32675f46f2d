"""A labelled video: as long as its source, with its sound, labels, and faces that nobody knows again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from emofuse.errors import MediaError, OutputError
from emofuse.media.decode import read_audio, stream
from emofuse.media.faces.collect import faces_in_image
from emofuse.media.image import VideoFrame
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.render import check_target, render


def pictures(path) -> list[VideoFrame]:
    return [item for item in stream(path, audio=False) if isinstance(item, VideoFrame)]


@pytest.mark.slow
def test_a_video_comes_back_with_labels_and_blurred_faces(make_prediction, sample, tmp_path):
    p = make_prediction(1.0, 3.0, speaker="Ann")
    analysis = Analysis(str(sample), 6.6, "tiny", p, [p], None)
    path = render(analysis, tmp_path / "labelled.mp4", blur=True)
    before, after = pictures(sample), pictures(path)
    assert abs(len(before) - len(after)) <= 1 and abs(after[-1].time - before[-1].time) < 0.1
    there, then = read_audio(sample), read_audio(path)
    assert len(then) == pytest.approx(len(there), abs=3200) and np.square(then).mean() > 0.5 * np.square(there).mean()
    at = next(i for i, frame in enumerate(after) if frame.time >= 2.0)
    assert faces_in_image(before[at].rgb) and not faces_in_image(after[at].rgb)
    low = after[at].rgb[-after[at].height // 12 :]
    assert np.median(low) < 40 and low.max() > 200, "white letters on black"
    assert np.median(after[-1].rgb[-20:]) == pytest.approx(np.median(before[-1].rgb[-20:]), abs=12), "no label, no bar"


def test_what_is_no_video_is_refused(make_prediction, tmp_path):
    p = make_prediction(0, 1)
    with pytest.raises(MediaError, match="only a video file can be rendered"):
        render(Analysis(None, None, "tiny", p, [p], None), tmp_path / "a.mp4")
    with pytest.raises(MediaError, match="a video is named"):
        check_target("a.gif")
    assert not list(tmp_path.iterdir())


def test_a_video_is_not_rendered_over_itself(make_prediction, sample, tmp_path):
    clip, link = shutil.copy(sample, tmp_path / "clip.mp4"), tmp_path / "link.mp4"
    link.symlink_to(clip)
    p = make_prediction(0, 1)
    for target in (clip, str(link)):
        with pytest.raises(OutputError, match="it is also an input; name another file"):
            render(Analysis(str(clip), 6.6, "tiny", p, [p], None), target)
    assert clip.read_bytes() == sample.read_bytes()
