"""What of an analysis is shown: hints, words, possible answers."""

from __future__ import annotations

from emofuse.demo.view import hints, possible, words
from emofuse.notes import Note
from emofuse.tasks import EMOTIONS
from emofuse.types import Prediction


def test_what_the_kind_of_material_says_is_no_hint():
    missing = (Note("no_transcript"), Note("no_sound"), Note("no_video_track"), Note("words_read_aloud", rate=15.0))
    assert [one["code"] for one in hints(missing, "speech")] == ["no_transcript"]
    assert [one["code"] for one in hints(missing, "clip")] == ["no_transcript", "no_video_track"]
    assert hints((*missing[:2], Note("no_words_given")), "picture") == []


def test_what_is_possible_is_the_set_or_the_fewest_that_make_up_enough():
    row = dict(zip(EMOTIONS, (0.05, 0.5, 0.35, 0.04, 0.03, 0.02, 0.01), strict=True))
    guess = Prediction(0, 1, None, frozenset(("text",)), row)
    assert possible(guess) == {"names": ["joy", "sadness"], "coverage": 0.8, "promised": False}
    promised = Prediction(0, 1, None, frozenset(("text",)), row, sets={"emotion": ("joy", "sadness", "neutral")})
    assert possible(promised) == {"names": ["joy", "sadness", "neutral"], "coverage": 0.9, "promised": True}
    assert possible(Prediction(0, 1, None, frozenset(("text",)), None)) is None


def test_every_word_is_shown_once_and_in_order(pipeline, clip):
    analysis = pipeline(clip, transcript=clip.with_suffix(".srt"))
    runs = words(analysis)
    assert [word["text"] for run in runs for word in run["words"]] == [word.text for word in analysis.transcript]
    assert [run["segment"] for run in runs] == [0, 1, 2]
