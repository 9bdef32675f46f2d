"""The small parts of the demo, each by itself."""

from __future__ import annotations

import csv
import json
import re
import string
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from emofuse.corpora.manifest.reader import check_manifest
from emofuse.corpora.registry import read
from emofuse.demo import samples as examples
from emofuse.demo.assets import ADDRESS, answer, assets
from emofuse.demo.budget import WINDOW, Budgets
from emofuse.demo.contributions import Kept, mean_contribution
from emofuse.demo.feedback import Correction, save
from emofuse.demo.html import drawn, head
from emofuse.demo.job import request_for
from emofuse.demo.pace import Pace
from emofuse.demo.queueing import FullError, ModelQueue, Ticket
from emofuse.demo.texts import ASKS_FOR_WORDS, STATIC, clock, hint, language_of, note_in, say, texts
from emofuse.demo.thumbnails import Sight, blur_face, share, still, still_of_picture, still_of_video
from emofuse.demo.uploads import Uploads
from emofuse.demo.view import hints, possible, unlike, words
from emofuse.demo.visitors import Visit
from emofuse.errors import DataError
from emofuse.notes import ENGLISH, Note
from emofuse.tasks import EMOTIONS, POLARITIES
from emofuse.types import FaceTrack, Prediction, Segment


def blanks(text: str) -> set[str]:
    """The {names} in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_everything_with_the_same_blanks():
    english, chinese = texts()["en"], texts()["zh"]
    assert set(english) == set(chinese)
    assert all(english[key].strip() and chinese[key].strip() for key in english)
    assert {key: blanks(text) for key, text in english.items()} == {key: blanks(text) for key, text in chinese.items()}
    same = {key for key in english if english[key] == chinese[key]}
    assert same == {"title"}
    for names, kind in ((EMOTIONS, "emotion"), (POLARITIES, "polarity")):
        assert all(f"{kind}_{name}" in english for name in names)


def modules() -> dict[str, str]:
    """The script's modules, by name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((STATIC / "js").glob("*.js"))}


def test_every_text_that_is_asked_for_is_there():
    script = "\n".join(modules().values())
    asked = set(re.findall(r'\bt\("(\w+)"', script))
    asked |= {name for pair in re.findall(r'\bt\([^"()]*\? "(\w+)" : "(\w+)"', script) for name in pair}
    assert len(asked) > 40 and asked <= set(texts()["en"])


def test_the_script_is_modules_of_one_concern_and_nothing_but_its_own_is_imported():
    found = modules()
    for name, text in found.items():
        assert len(text.splitlines()) < 200 and text.startswith("/* "), name
        assert set(re.findall(r'from "\./(\w+\.js)"', text)) <= set(found)
        assert not re.search(r"innerHTML|attachShadow|customElements|https?://(?!www\.w3\.org/2000/svg)", text), name


def test_every_note_has_a_text_in_both_languages_with_the_same_blanks():
    chinese = texts()["zh_notes"]
    assert set(chinese) == set(ENGLISH)
    assert {code: blanks(text) for code, text in chinese.items()} == {code: blanks(t) for code, t in ENGLISH.items()}


@pytest.mark.slow
def test_the_notes_that_analyses_make_are_translated(pipeline, clip, samples):
    notes = [
        note
        for analysis in (
            pipeline(clip),
            pipeline(samples / "face.jpg"),
            pipeline(text="I am happy"),
            pipeline(audio=(16_000, np.zeros(32_000, np.float32))),
            pipeline(clip, text="I am happy. This is great"),
        )
        for note in analysis.notes
    ]
    assert len(set(notes)) >= 7 and all(isinstance(note, Note) for note in notes)
    assert [note for note in notes if note_in("zh", note) == note] == []
    assert all(note_in("en", note) == note for note in notes)
    assert note_in("zh", Note("not_read", modality="face")) == "有面孔，但该模型不读取它"
    assert note_in("zh", "of somebody else") == "of somebody else"


def test_languages_and_clocks():
    assert [language_of(x) for x in ("zh-CN", "ZH", "en-GB", "de", None)] == ["zh", "zh", "en", "en", "en"]
    assert [clock(x) for x in (0, 59.6, 61, 3661)] == ["0:00", "1:00", "1:01", "1:01:01"]
    assert say("en", "error_long_detail", came="9:00", valid="3:00").startswith("It lasts 9:00; up to 3:00 are")


def test_hints_are_of_notes_and_say_the_same_in_both_languages():
    english, chinese = texts()["en_hints"], texts()["zh_hints"]
    assert set(english) == set(chinese) <= set(ENGLISH) and set(ASKS_FOR_WORDS) <= set(english)
    for code, text in english.items():
        assert blanks(text) == blanks(chinese[code]) <= blanks(ENGLISH[code])


def test_hints_are_plain_words():
    cut = hint(Note("cut_off", announced=9.0, reached=3.2))
    assert cut and cut["en"] == "The file was cut off at 0:03." and not cut["asks"]
    assert hint(Note("no_transcript")) == {
        "code": "no_transcript", "asks": True, "en": "Add what was said for a better answer.",
        "zh": "补充所说的话，结果会更好。",
    }  # fmt: skip
    strange = Prediction(0, 1, None, frozenset(("speech",)), None, unfamiliar={"speech": "telephone band"})
    (told,) = unlike(strange)
    assert told["en"] == "The voice is unlike what the model learnt (telephone band): trust this answer less."
    assert "声音" in told["zh"] and "电话频带" in told["zh"]
    assert hint(Note("sets_uncalibrated")) is None and hint("of somebody else") is None


def test_what_the_kind_of_material_says_is_no_hint():
    missing = (Note("no_transcript"), Note("no_sound"), Note("no_video_track"), Note("words_read_aloud", rate=15.0))
    assert [one["code"] for one in hints(missing, "speech")] == ["no_transcript"]
    assert [one["code"] for one in hints(missing, "clip")] == ["no_transcript", "no_video_track"]
    assert hints(missing[:2], "picture") == []


def test_data_of_the_page_is_data_and_its_head_holds_no_code():
    component = drawn("answers", panel="file", value={"text": "</script><img src=x>{{#each}} ${value}"})
    assert component.html_template == '<div class="emo-root"></div>' and component.js_on_load is not None
    made = head()
    inline = re.findall(r"<script(?![^>]* src=)[^>]*>", made)
    assert inline == ['<script type="application/json" id="emofuse-texts">'] and made.count("</script>") == 2
    data = re.search(r'id="emofuse-texts">(.*?)</script>', made, re.DOTALL)
    assert data and json.loads(data[1])["zh"] == texts()["zh"]


def test_only_the_scripts_and_the_examples_are_served_beside_the_page():
    found = assets()
    assert all(ADDRESS.fullmatch(address) and path.is_file() for address, path in found.items())
    assert {path.suffix for path in found.values()} == {".js", ".mp4", ".flac", ".jpg", ".png", ".srt"}
    for address in ("/emofuse/js/main.py", "/emofuse/js/../texts.json", "/emofuse/samples/make_sample.py"):
        assert answer(found, address).status_code == 404


def test_how_long_an_answer_takes_is_learnt_by_kind_and_size():
    pace = Pace()
    assert pace.expect("clip", 10.0) is None
    pace.note("clip", 10.0, 5.0)
    assert pace.expect("clip", 60.0) == pytest.approx(30.0) and pace.expect("picture", 1.0) is None
    pace.note("clip", 10.0, 15.0)
    assert pace.expect("clip", 10.0) == pytest.approx(8.0)
    pace.note("picture", 0.0, 2.0)
    assert pace.expect("picture", 1.0) == pytest.approx(2.0)


def test_the_wait_is_what_the_work_of_those_before_still_takes(monkeypatch):
    queue, now = ModelQueue(waiting=4, each=4), [100.0]
    monkeypatch.setattr("emofuse.demo.queueing.time.monotonic", lambda: now[0])
    first, second, third = (queue.join("a", seconds) for seconds in (20.0, 8.0, 5.0))
    assert list(first.places()) == [0] and second.wait() == 20.0 and third.wait() == 28.0
    now[0] += 15.0
    assert third.wait() == 13.0
    now[0] += 60.0
    assert second.wait() == 1.0 and third.wait() == 9.0
    first.leave()
    assert second.wait() == 0.0 and third.wait() == 8.0
    second.give_up()
    assert queue.join("b", None).wait() is not None and queue.join("b", 1.0).wait() is None


def given(uploads: Uploads, browser: str, name: str = "clip.mp4") -> str:
    """The path of a file that a browser uploaded."""
    path = uploads.place() / name
    path.touch()
    uploads.add(browser, path)
    return str(path)


def test_uploads_go_when_asked_by_who_gave_them(tmp_path):
    uploads = Uploads(tmp_path / "uploads")
    file, elsewhere = given(uploads, "one"), tmp_path / "mine.txt"
    elsewhere.touch()
    first, other = Visit("one", "a"), Visit("two", "a")
    uploads.release(other, file)
    for visit in (first, other):
        uploads.release(visit, str(elsewhere))
    assert uploads.find(Visit("one", "b"), file) == Path(file) and elsewhere.exists()
    uploads.release(first, file)
    assert not Path(file).parent.exists() and elsewhere.exists()


def test_what_is_old_is_swept_and_paths_elsewhere_are_no_uploads(tmp_path):
    uploads = Uploads(tmp_path / "uploads")
    young, coming = given(uploads, "one"), uploads.place()
    stray = uploads.folder / "stray"
    stray.mkdir()
    one = Visit("one", "a")
    uploads.sweep(60)
    assert Path(young).exists() and stray.exists()
    uploads.sweep(0)
    assert coming.exists() and not Path(young).exists() and not stray.exists()
    used = given(uploads, "one")
    with uploads.using(one, used):
        uploads.sweep(0)
        assert Path(used).exists()
    uploads.sweep(0)
    assert not Path(used).exists()
    held = given(uploads, "one")
    assert uploads.find(one, {"path": held}) == Path(held)
    Path(held).unlink()
    Path(held).symlink_to(tmp_path / "elsewhere")
    for elsewhere in (held, None, {}, "", 7, {"path": "/etc/passwd"}, f"{held}/../x", str(uploads.folder)):
        assert uploads.find(one, elsewhere) is None
    uploads.drop(coming)
    assert not coming.exists()


def test_the_model_is_had_in_order_of_arrival_and_a_full_house_is_told():
    queue = ModelQueue(waiting=2, each=2)
    first, second, third = (queue.join(who) for who in ("a", "b", "a"))
    with pytest.raises(FullError):
        queue.join("c")
    assert list(first.places()) == [0]
    told = [ticket.places() for ticket in (second, third)]
    assert [next(places) for places in told] == [1, 2]
    second.give_up()
    assert next(told[1]) == 1 and next(told[0], None) is None
    with pytest.raises(FullError):
        queue.join("a")
    first.give_up()
    assert list(first.places()) == [0]
    first.leave()
    assert list(told[1]) == [0]


def test_forty_are_served_in_order_and_never_two_at_once():
    queue, served, busy = ModelQueue(waiting=39, each=1), [], threading.Lock()

    def visit(number: int, ticket: Ticket) -> None:
        assert list(ticket.places())[-1] == 0 and busy.acquire(blocking=False)
        time.sleep(0.002)
        served.append(number)
        busy.release()
        ticket.leave()

    tickets = [queue.join(str(number)) for number in range(40)]
    visits = [threading.Thread(target=visit, args=(n, ticket)) for n, ticket in enumerate(tickets)]
    for one in reversed(visits):
        one.start()
    for one in visits:
        one.join(20)
    assert served == list(range(40))


def test_work_is_counted_for_each_visitor_and_forgotten_after_an_hour(monkeypatch):
    budgets = Budgets(100.0)
    budgets.spend("a", 70.0)
    budgets.spend("a", 40.0)
    assert budgets.left("a") == pytest.approx(-10.0) and budgets.left("b") == 100.0
    later = time.monotonic() + WINDOW + 1
    monkeypatch.setattr("emofuse.demo.budget.time.monotonic", lambda: later)
    assert budgets.left("a") == 100.0


def test_a_few_segments_are_kept_evenly():
    kept = Kept(4)
    for index in range(100):
        kept.push(index, None, None)  # type: ignore[arg-type]
    assert sorted(kept.items) == [0, 32, 64, 96]


def test_the_mean_of_contributions_weighs_by_seconds():
    parts = {
        0: {"emotion": "joy", "none": 0.1, "full": 0.5, "values": {"text": 0.4}},
        1: {"emotion": "joy", "none": 0.1, "full": 0.3, "values": {"text": 0.1, "face": 0.1}},
    }
    mean = mean_contribution(parts, {0: 3.0, 1: 1.0})
    assert mean["values"] == pytest.approx({"text": 0.325, "face": 0.025})
    assert mean["none"] + sum(mean["values"].values()) == pytest.approx(mean["full"])


def test_blurring_leaves_nothing_of_a_face_and_all_of_the_rest():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)
    before, box = picture.copy(), np.array([100.0, 60.0, 60.0, 60.0])
    blur_face(picture, box)
    detail, original = (np.abs(np.diff(p[60:120, 100:160].astype(float), axis=1)).mean() for p in (picture, before))
    assert detail < 0.1 * original
    assert (picture[:, :80] == before[:, :80]).all() and (picture[150:] == before[150:]).all()


def test_a_still_of_the_clip_shows_who_is_where(pipeline, clip, words):
    (_, segment), *_ = list(pipeline.run(clip, transcript=words))
    sight = Sight.of([segment])
    assert sight is not None
    plain, blurred = still_of_video(str(clip), sight, False), still_of_video(str(clip), sight, True)
    assert plain and blurred and plain["src"] != blurred["src"] and plain["src"].startswith("data:image/jpeg;base64,")
    (box,) = plain["boxes"]
    assert box["person"] == 0 and 0.2 < box["box"][0] < 0.6 and 0.1 < box["box"][2] < 0.5
    assert abs(plain["time"] - sight.best) < 0.05 and (plain["width"], plain["height"]) == (640, 480)


def test_several_people_are_all_boxed(samples):
    def track(person: int, x: float) -> FaceTrack:
        times = np.array([1.0, 2.0])
        boxes = np.array([[x, 10.0, 20, 20], [x + 40, 10.0, 20, 20]])
        return FaceTrack(person, np.zeros((2, 8, 8, 3), np.uint8), times, boxes, np.array([0.2, 0.9]))

    sight = Sight.of([Segment("a", 0, 3, faces=(track(1, 0.0),)), Segment("a", 0, 3, faces=(track(0, 50.0),))])
    assert sight is not None and sight.best == 2.0
    assert [(who, box[0]) for who, box in sight.boxes(1.9)] == [(0, 90.0), (1, 40.0)]
    assert share(np.array([-10.0, 0, 40, 20]), 100, 50) == [0.0, 0.0, 0.3, 0.4]
    assert still_of_picture(str(samples / "face.jpg"), None, True)["boxes"] == []
    assert still(np.zeros((10, 2000, 3), np.uint8), [], 0.0, False)["width"] == 2000


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


def test_the_examples_ship():
    there = examples.served()
    assert len(examples.FILES) == 3 and len(examples.TEXTS) == 3
    for kind, file, spoken, image in examples.FILES:
        assert {file, image} <= set(there) and (not spoken or "-->" in there[spoken].read_text(encoding="utf-8"))
        assert there[image].stat().st_size < 40_000 and request_for(there[file], "", False).kind == kind


def test_corrections_are_a_manifest_that_can_be_trained_on(tmp_path, clip):
    folder = tmp_path / "feedback"
    save(folder, Correction("joy", clip, "I can't believe it!", "visitor-a", 0.6, 1.77), "I agree")
    save(folder, Correction("sadness", None, "so, “quoted”\nand broken", "visitor-b"), "I agree")
    save(folder, Correction("anger", clip, "I can't believe it!", "visitor-a", 0.6, 1.77), "I agree")
    manifest = save(folder, Correction("fear", clip, None, "visitor-a"), "I agree")
    assert check_manifest(manifest) == []
    found = read("manifest", manifest).utterances
    assert {(u.labels["emotion"], u.start) for u in found} == {("anger", 0.6), ("sadness", None), ("fear", None)}
    assert len(list((folder / "media").iterdir())) == 1
    agreed = [json.loads(line) for line in (folder / "consent.jsonl").read_text().splitlines()]
    assert len(agreed) == 4 and all(entry["consent"] == "I agree" for entry in agreed)


def test_corrections_that_say_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="did you mean 'joy'"):
        save(tmp_path, Correction("joyy", None, "x", "a"), "I agree")
    with pytest.raises(DataError, match="needs the media or the words"):
        save(tmp_path, Correction("joy", None, "", "a"), "I agree")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''-x", "＝1", "'tis", "plain"])
def test_a_correction_is_no_formula_and_reads_back_as_it_was(tmp_path, start):
    text = f"{start} and so on"
    manifest = save(tmp_path, Correction("joy", None, text, "a"), "I agree")
    manifest = save(tmp_path, Correction("fear", None, "another", "b"), "I agree")
    cells = [cell for row in csv.reader(manifest.read_text(encoding="utf-8").splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "＝"))]
    assert {utterance.text for utterance in read("manifest", manifest).utterances} == {text, "another"}
