"""The monitor: what the service counts, as Prometheus reads it, and how far predictions are from development data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emofuse.encoders.script import script_of
from emofuse.pipeline.analysis import Analysis
from emofuse.pipeline.drift import Drift, DriftWindow, Reference, prediction_row
from emofuse.serve.batcher import Batched

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
ROWS = (1, 2, 4, 8, 16, 32, 64)
SHARES = tuple(i / 10 for i in range(1, 11))
_ISO_639 = """
aa ab af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ceb ch co cr cs cu cv cy da de dv dz ee el en eo es
et eu fa ff fi fil fj fo fr fy ga gd gl gn gu gv ha haw he hi ho hr ht hu hy hz ia id ig ii is it iu ja jv ka kg ki kj
kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr
nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg
th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo yue za zh zu
"""
LANGUAGES = frozenset(_ISO_639.split())
"""What is counted by name: a caller may give any two or three letters, and each would be a series of its own."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Monitor:
    """Counters and histograms of one service, in a registry of its own; no label says who called or what was sent."""

    def __init__(self, modalities: Iterable[str], reference: Reference | None, window: int) -> None:
        self.modalities = tuple(modalities)
        self.replica: str | None = None
        """Its name, where there are several."""
        self.registry = CollectorRegistry()
        self.drift = DriftWindow(reference, window) if reference is not None else None
        self.requests = self._counter("requests", "Requests by route and status.", "route", "status")
        self.latency = self._histogram("request_seconds", "Seconds from request to answer.", SECONDS, "route")
        self.stages = self._histogram("stage_seconds", "Seconds of each stage of an answer.", SECONDS, "stage")
        self.rows = self._histogram("batch_rows", "Segments in a turn of the model.", ROWS)
        self.shared = self._histogram("batch_requests", "Requests in a turn of the model.", ROWS)
        self.batch_seconds = self._histogram("batch_seconds", "Seconds of a turn of the model.", SECONDS)
        self.media = self._counter("media_seconds", "Media-seconds that were answered.")
        self.predictions = self._counter("predictions", "Predictions by leading emotion.", "emotion")
        self.confidence = self._histogram("confidence", "Probability of the leading emotion.", SHARES)
        self.missing = self._counter("missing", "Predictions without a modality.", "modality")
        self.unfamiliar = self._counter("unfamiliar", "Predictions of unfamiliar input.", "modality")
        self.language = self._counter("language", "Clips by language as given, else by script of words.", "language")
        if self.drift is not None:
            self.registry.register(_Drift(self.drift))

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A number that is asked for when the metrics are read."""
        Gauge(f"emofuse_{name}", text, registry=self.registry).set_function(value)

    def requested(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.requests.labels(route, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def answered(self, analysis: Analysis, seconds: float, took: dict[str, float], language: str | None) -> None:
        """Count an answer."""
        self.media.inc(seconds)
        for stage, each in took.items():
            self.stages.labels(stage).observe(each)
        given = None if language is None else language if language in LANGUAGES else "other"
        self.language.labels(given or script(analysis)).inc()
        for p in analysis.segments:
            self.predictions.labels(p.top[0] if p.top else "none").inc()
            if p.top:
                self.confidence.observe(p.top[1])
            for modality in self.modalities:
                if modality not in p.present:
                    self.missing.labels(modality).inc()
            for modality in p.unfamiliar:
                self.unfamiliar.labels(modality).inc()
            if self.drift is not None:
                self.drift.add(prediction_row(p))

    def batched(self, turn: Batched) -> None:
        """Count a turn of the model."""
        self.rows.observe(turn.rows)
        self.shared.observe(turn.requests)
        self.batch_seconds.observe(turn.took)

    def text(self) -> bytes:
        """All of it, in Prometheus's format; of one of several replicas, with its name."""
        if self.replica is None:
            return generate_latest(self.registry)
        return generate_latest(_Named(self.registry, self.replica))  # type: ignore[arg-type]

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"emofuse_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"emofuse_{name}", text, labels, registry=self.registry, buckets=buckets)


def script(analysis: Analysis) -> str:
    """The script that most letters of the words are in; "none" without words."""
    letters = [c for word in (analysis.transcript or ())[:100] for c in word.text if c.isalpha()]
    scripts = [script_of(letter) for letter in letters[:500]]
    return max(sorted(set(scripts)), key=scripts.count).lower() if scripts else "none"


class _Named(Collector):
    """What a registry has, with the label of a replica, so that the counts of several are not taken for one's."""

    def __init__(self, registry: CollectorRegistry, replica: str) -> None:
        self._registry, self._label = registry, {"replica": replica}

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample._replace(labels={**sample.labels, **self._label}) for sample in family.samples]
            yield family


class _Drift(Collector):
    """The index of each feature, computed when asked for."""

    def __init__(self, window: DriftWindow) -> None:
        self._window = window

    def collect(self) -> Iterator[GaugeMetricFamily]:
        values = {
            "emofuse_drift_psi": ("Population stability index against development data.", lambda d: d.psi),
            "emofuse_drift_psi_by_chance": ("What it is on average without drift.", lambda d: d.chance),
            "emofuse_drift_predictions": ("Predictions in the window.", lambda d: float(d.actual)),
        }
        found: list[Drift] = self._window.drift()
        for name, (text, value) in values.items():
            family = GaugeMetricFamily(name, text, labels=["feature"])
            for each in found:
                family.add_metric([each.feature], value(each))
            yield family
