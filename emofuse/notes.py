"""Note: what was left out of an analysis and why, as a code with values; it reads as its English text.

A note is a string, so that it prints, joins and compares as one; who needs another language, or wants to act on it,
takes `code` and `values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

ENGLISH = {
    "no_transcript": "no transcript was given and no speech recogniser (extra asr): text is absent",
    "no_words_given": "no words were given, and there is no sound to hear any in: text is absent",
    "sidecar": "no transcript was given: the words are those of {name}, which lies beside the clip",
    "no_words_in_clip": "the transcript holds no words within the clip: text is absent",
    "no_words_understood": "the speech recogniser understood no words: text is absent",
    "words_doubtful": (
        "in {stretches} stretch(es) the speech recogniser, which knows English alone, was unsure of the words: they "
        "were left out; if it is English, say so (--language en), else give a model of many languages (--asr small)"
    ),
    "no_audio_track": "the file has no audio track: speech is absent",
    "no_sound": "no sound was given: speech is absent",
    "silent": "the sound is silent: speech is absent",
    "no_speech": "no speech found in the sound (options.voice='always' takes all sound for a voice): speech is absent",
    "no_face": "no face found: face is absent",
    "no_video_track": "the file has no video track: face is absent",
    "no_picture": "no picture was given: face is absent",
    "nothing_found": "nothing was found to go by, neither words nor a voice nor a face: there are no segments",
    "words_spread": "the transcript has no times: its words were spread over the clip by their length",
    "words_read_aloud": "the text has no times: seconds are those of reading it at {rate:g} characters a second",
    "speakers_named": "what stands before a colon was taken for who speaks, not for words: {names}",
    "cues_after_end": "{count} parts of the transcript begin after the clip's end ({end:.1f} s) and were left out",
    "whole_picture": (
        "no face was detected in a small, near-square picture: the whole picture was taken as a face crop"
    ),
    "first_of_many": "the file holds {count} pictures: the first was taken",
    "other_tracks": "the file has {count} {kind} tracks: number {taken}, which players play, was taken",
    "channels_cancel": (
        "the channels of the sound cancel each other, or their mix is nearly empty: the loudest of them was taken"
    ),
    "quiet": "the sound is very quiet ({level:.0f} dB of full scale): it was raised by up to {gain:.0f} dB",
    "cues_left_out": "{count} parts of the transcript have no times that can be read and were left out: {first}",
    "damaged": "{count} damaged {kind} packets or frames were passed over",
    "sound_gaps": "the sound has gaps of {seconds:.0f} s in all, in which nothing was listened to",
    "timestamps_jump": (
        "the timestamps of the {kind} jump by {seconds:.0f} s: they are broken, and the jump was left out"
    ),
    "timestamps_restart": (
        "the timestamps of the {kind} begin again {count} time(s), as in files joined end to end: the parts follow one "
        "another here"
    ),
    "cut_off": (
        "the file could be read only up to {reached:.1f} s of the {announced:.1f} s it announces: it was cut off or is "
        "damaged"
    ),
    "cut_off_somewhere": "the file could be read only up to {reached:.1f} s: it was cut off or is damaged",
    "acts_abstained": "the act {act!r} could not be decided at {turns} turn(s): the model is too unsure there",
    "stretch": "only the stretch from {start:.3f} to {end:.3f} s was analysed, as asked",
    "voices_told_apart": (
        "who speaks was told by the sound of the voices: {count} were told apart, and some may be mixed up"
    ),
    "several_people": (
        "several people are in view in {segments} segment(s): the words and the voice are given to whoever is seen to "
        "speak or, where nobody is, is in view most (largest and longest); the others are predicted from the face only"
    ),
    "only": "only {names} was predicted, as asked: {segments} segment(s) of others were left out",
    "only_absent": (
        "only {names} should be predicted, and says nothing here: nothing was predicted; who speaks: {speakers}"
    ),
    "voice_left_out": (
        "in {segments} segment(s) the voice is longer than the {limit:g} s that this model reads at once: "
        "{seconds:.1f} s were left out"
    ),
    "foreign_script": (
        "the words are in a script that this model's vocabulary hardly has: what is read in them means little; leave "
        "them out, or load a model that knows the language"
    ),
    "unfamiliar": (
        "{modality} is unlike what this model was trained on in {segments} of {total} segment(s) ({why}): its answers "
        "are less sure and its sets wider"
    ),
    "rules": (
        "{segments} segment(s) were changed after the model by rules of yours ({names}): they have no sets, and their "
        "probabilities are no longer calibrated"
    ),
    "by_prototype": (
        "not learnt, by prototype: {labels}; these are likenesses from -1 to 1, no probabilities, and compare among "
        "texts better than among labels"
    ),
    "prototypes_alike": (
        "the label {label!r} is not answered: its prototype cannot be told apart from {other!r}; other words, or "
        "examples of it, may tell it"
    ),
    "no_later_turns": (
        "this model learnt to read up to {turns} later turns of a dialogue as well, and none are known here: its "
        "published figures are of the whole dialogue, and without what follows it may be right less often"
    ),
    "not_read": "{modality} was there, but this model does not read it",
    "nothing_read": "nothing was left that this model reads: there are no predictions",
    "not_trained": "this model has not learnt to tell emotions from {subsets} alone: none are given for it",
    "task_not_trained": "the model has not learnt {task} from {subset}: there is no answer to explain",
    "coalitions_not_trained": (
        "the shares of the modalities also rest on what the network says of {subsets} alone, which it never learnt"
    ),
    "prior_unknown": (
        "the checkpoint does not hold how frequent the classes are: the shares of the modalities are counted from what "
        "the network says of nothing at all, which it never learnt"
    ),
    "sets_uncalibrated": (
        "no sets of emotions: this model was not calibrated for them; emofuse calibrate MODEL OUT --corpus … does it "
        "on data of your own"
    ),
    "sets_composed": (
        "the sets for {subsets} were fitted on samples composed of different people: on one person's words, voice and "
        "face they may hold the truth less often; emofuse calibrate MODEL OUT --corpus … fits them on clips of your own"
    ),
    "sets_missing": "no sets of emotions for {subsets} alone: the model was not calibrated for that",
}
"""Code → text, with {blanks} for the values."""
FORMER = {
    "untaught": "not_trained",
    "untaught_task": "task_not_trained",
    "untaught_coalitions": "coalitions_not_trained",
}
"""Codes of earlier versions, which stored notes may have → those of today."""


class Note(str):
    """A code of `ENGLISH`, or a `FORMER` one, with the values of its blanks.

    Raises KeyError for an unknown code or a value left out.
    """

    code: str
    values: dict[str, Any]

    def __new__(cls, code: str, **values: Any) -> Note:
        code = FORMER.get(code, code)
        note = super().__new__(cls, ENGLISH[code].format(**values))
        note.code, note.values = code, values
        return note

    def __reduce__(self) -> tuple[Any, ...]:
        return _note, (self.code, self.values)


def _note(code: str, values: dict[str, Any]) -> Note:
    return Note(code, **values)


def coded(notes: Iterable[str]) -> list[dict[str, Any]]:
    """The notes in JSON's types: code and values; of one without a code, its text."""
    return [
        {"code": note.code, "values": note.values} if isinstance(note, Note) else {"code": None, "text": note}
        for note in notes
    ]


def decoded(shapes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The inverse of `coded`, of notes that an earlier version stored too; of a code unknown here, its text or itself.

    Raises KeyError or TypeError for what `coded` never made.
    """
    return tuple(_decoded(shape) for shape in shapes)


def _decoded(shape: Mapping[str, Any]) -> str:
    code = shape["code"]
    return Note(code, **shape["values"]) if code in ENGLISH or code in FORMER else str(shape.get("text", code))
