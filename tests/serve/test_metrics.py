"""What the service counts, as Prometheus reads it."""

from __future__ import annotations

import dataclasses
import time

from prometheus_client.parser import text_string_to_metric_families

from emofuse.pipeline.drift import Reference, prediction_row
from emofuse.pipeline.pipeline import Pipeline


def read(running) -> dict[tuple[str, ...], float]:
    """(name, labels…) → value."""
    text = running.client.get("/metrics").text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_answers_and_batches_are_counted(serve, wav):
    running = serve()
    for text in ("i am so happy!", "sad"):
        assert running.analyze(text=text).status_code == 200
    assert running.client.post("/v1/analyze", files={"file": ("a.wav", wav)}).status_code == 200
    assert running.analyze(language="en").status_code == 422
    found = read(running)
    assert found["emofuse_requests_total", "/v1/analyze", "200"] == 3
    assert found["emofuse_requests_total", "/v1/analyze", "422"] == 1
    assert found["emofuse_request_seconds_count", "/v1/analyze"] == 4
    assert found["emofuse_stage_seconds_count", "model"] == 3 and found["emofuse_stage_seconds_sum", "read"] > 0
    assert found["emofuse_language_total", "latin"] == 2
    assert found["emofuse_missing_total", "speech"] >= 2 and found["emofuse_confidence_count",] >= 2
    assert sum(v for k, v in found.items() if k[0] == "emofuse_predictions_total") == found["emofuse_confidence_count",]
    assert found["emofuse_media_seconds_total",] > 3 and found["emofuse_places_taken",] == 0
    assert found["emofuse_batch_rows_count",] == found["emofuse_batch_seconds_count",] >= 2


def test_an_error_that_nobody_expects_is_an_answer_like_any_other_and_counted_as_500(serve, monkeypatch, caplog):
    running = serve()

    async def received(*_: object) -> None:
        raise ZeroDivisionError("so secret")

    monkeypatch.setattr(running.service, "received", received)
    with caplog.at_level("INFO", "emofuse.serve"):
        reply = running.client.post("/v1/analyze", json={"text": "so sad"}, headers={"x-request-id": "mine"})
    assert reply.status_code == 500 and reply.json()["error"]["code"] == "failed" and "secret" not in reply.text
    assert reply.headers["x-request-id"] == "mine" and reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert read(running)["emofuse_requests_total", "/v1/analyze", "500"] == 1
    told = [record.fields for record in caplog.records if record.getMessage() == "request"]
    assert [(each["route"], each["status"]) for each in told] == [("/v1/analyze", 500)]
    assert sum(record.getMessage() == "failure" for record in caplog.records) == 1


def test_languages_that_a_caller_makes_up_are_one_series(serve, tmp_path):
    running = serve(state=tmp_path / "state")
    for language in ("qqq", "zzx", "de"):
        assert running.analyze(text="sad", language=language).status_code == 200
    found = read(running)
    counted = {key[1]: value for key, value in found.items() if key[0] == "emofuse_language_total"}
    assert counted == {"other": 2, "de": 1}


def test_jobs_are_counted_as_other_answers_are(serve, tmp_path):
    running = serve(state=tmp_path / "state")
    job = running.client.post("/v1/jobs", json={"text": "i am so happy!", "language": "en"}).json()["id"]
    end = time.monotonic() + 60
    while running.client.get(f"/v1/jobs/{job}").json()["state"] != "done":
        assert time.monotonic() < end
        time.sleep(0.02)
    found = read(running)
    assert found["emofuse_language_total", "en"] == 1 and found["emofuse_confidence_count",] == 1


def test_drift_is_measured_against_the_checkpoints_reference(serve, pipeline, tmp_path):
    texts = ["i am so happy!", "this is not great", "sad", "terrible, i am so so sad"] * 10
    usual = [prediction_row(p) for text in texts[:4] for p in pipeline(text=text).segments] * 25
    Reference.of(usual).save(tmp_path)
    model = Pipeline(pipeline.model, name="tiny")
    model.folder = tmp_path
    running = serve(model, drift_window=50)
    for text in texts:
        running.analyze(text=text)
    found = read(running)
    assert found["emofuse_drift_psi", "emotion"] < 0.2 and found["emofuse_drift_predictions", "emotion"] == 40
    strange = [dataclasses.replace(pipeline(text="sad").segments[0], present=frozenset({"face"}))] * 50
    for prediction in strange:
        running.service.monitor.drift.add(prediction_row(prediction))
    found = read(running)
    assert found["emofuse_drift_psi", "present"] > 0.2 > found["emofuse_drift_psi_by_chance", "present"]


def test_nothing_that_was_sent_is_in_metrics_or_logs(serve, caplog):
    import logging

    caplog.set_level(logging.INFO)
    running = serve()
    secret = "tulip"
    running.analyze(text=f"{secret} is so happy")
    running.client.post(f"/v1/analyze?{secret}=1", files={"file": (f"{secret}.mp4", b"x" * 100)})
    running.client.get(f"/{secret}")
    text = running.client.get("/metrics").text
    lines = [str(vars(record)) for record in caplog.records if record.name == "emofuse.serve"]
    assert len(lines) == 3 and secret not in text and not any(secret in line for line in lines)
    assert {record.fields["status"] for record in caplog.records if hasattr(record, "fields")} == {200, 422, 404}
