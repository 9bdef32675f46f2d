"""The queue over real sockets: first come, first served, places told, over capacity refused at once."""

from __future__ import annotations

import threading
import time

import pytest

from emofuse.demo.settings import Settings


@pytest.fixture
def held(pipeline, monkeypatch):
    """Lets the first answer begin, and holds it, with the model, until it is set."""
    go, run = threading.Event(), pipeline.run

    def waiting(*given, **named):
        assert go.wait(60)
        return run(*given, **named)

    monkeypatch.setattr(pipeline, "run", waiting)
    return go


def follow(visitor, shown, handler, *data):
    """Queue a request; the places it was told, its last status, and when that came, filled in as they come."""
    visitor.join(handler, *data).raise_for_status()
    seen = {"places": [], "waits": [], "last": None, "at": 0.0}

    def read() -> None:
        state = None
        for said in visitor.messages():
            sent = (said.get("output") or {}).get("data")
            if not sent:
                continue
            state = shown(sent[0], state)
            if state.get("stage") == "queued" and state["place"] not in seen["places"]:
                seen["places"].append(state["place"])
                seen["waits"].append(state["wait"])
            seen["last"], seen["at"] = state, time.monotonic()

    seen["thread"] = threading.Thread(target=read, daemon=True)
    seen["thread"].start()
    return seen


def until(condition, seconds: float = 60.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_forty_visitors_are_served_in_the_order_in_which_they_came(start, call, shown, held):
    with start(Settings(queue=39)) as served:
        visits = []
        for number in range(40):
            visits.append(follow(call(served), shown, "run_text", "I am so happy"))
            until(lambda: visits[-1]["last"] is not None)
            assert visits[-1]["places"] == ([number] if number else [])
        held.set()
        for visit in visits:
            visit["thread"].join(120)
        assert [visit["last"]["stage"] for visit in visits] == ["finished"] * 40
        order = sorted(range(40), key=lambda number: visits[number]["at"])
        assert max(abs(place - number) for place, number in enumerate(order)) <= 3
        for visit in visits[2:]:
            assert visit["places"] == sorted(visit["places"], reverse=True) and len(visit["places"]) > 1


def test_over_capacity_is_refused_at_once_and_the_file_is_kept(start, call, shown, held, samples):
    with start(Settings(queue=2, each=2)) as served:
        first = [follow(call(served), shown, "run_text", "I am so happy") for _ in range(3)]
        until(lambda: all(visit["last"] for visit in first))
        late = call(served)
        voice = late.give("voice.flac", (samples / "voice.flac").read_bytes())
        began = time.monotonic()
        status, *_ = late.queue("run_file", voice["path"], "", False)
        refused = shown(status)
        assert refused["error"] == "error_full" and refused["kept"] and time.monotonic() - began < 5
        assert late.http.get(voice["url"]).status_code == 200
        held.set()
        for visit in first:
            visit["thread"].join(60)
        assert shown(late.queue("run_file", voice["path"], "", False)[0])["stage"] == "finished"


def test_one_visitor_cannot_take_every_place_and_a_place_is_given_back(start, call, shown, held):
    with start(Settings(queue=5, each=2)) as served:
        greedy = call(served)
        pages = [greedy]
        for _ in range(2):
            pages.append(call(served))
            pages[-1].http.cookies = greedy.http.cookies
        visits = [follow(page, shown, "run_text", "I am so happy") for page in pages[:2]]
        until(lambda: all(visit["last"] for visit in visits))
        assert shown(pages[2].queue("run_text", "And so on")[0])["error"] == "error_full"
        other = follow(call(served), shown, "run_text", "I am so happy")
        until(lambda: other["places"] == [2])
        pages[1].run("cancel_text")
        until(lambda: other["places"] == [2, 1])
        until(lambda: visits[1]["last"]["stage"] == "cancelled_empty")
        held.set()
        other["thread"].join(60)
        assert other["last"]["stage"] == "finished"


def test_whoever_waits_is_told_about_how_long(start, call, shown, pipeline, monkeypatch):
    """The first answer of a kind says how long the next will take; before that there is no estimate."""
    go, run = threading.Event(), pipeline.run
    with start(Settings(queue=3)) as served:
        assert shown(call(served).queue("run_text", "I am so happy " * 20)[0])["stage"] == "finished"
        monkeypatch.setattr(pipeline, "run", lambda *given, **named: run(*given, **named) if go.wait(60) else None)
        visits = []
        for _ in range(3):
            visits.append(follow(call(served), shown, "run_text", "I am so happy " * 20))
            until(lambda: visits[-1]["last"] is not None)
        second, third = (visit["waits"][0] for visit in visits[1:])
        assert second >= 1 and third > second
        go.set()
        for visit in visits:
            visit["thread"].join(60)
        assert third == pytest.approx(2 * second, rel=0.5)
