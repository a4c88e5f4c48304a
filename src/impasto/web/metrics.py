"""What is counted and measured, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from impasto.web.entities import Counts

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The measures of one studio, apart from those of any other in the same process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "impasto_requests",
            "Answered requests.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "impasto_request_seconds",
            "Seconds until an answer began.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused = Counter(
            "impasto_refused",
            "Requests that were not let in, by reason.",
            ["code"],
            registry=self.registry,
        )
        self.upload_bytes = Counter(
            "impasto_upload_bytes", "Bytes of uploads that were kept.", registry=self.registry
        )
        self.viewers = Gauge(
            "impasto_viewers", "Open streams of jobs' progress.", registry=self.registry
        )

    def text(
        self, counts: Counts, free_bytes: int, painters: dict[str, str], live_encoded: int
    ) -> bytes:
        """Everything, with what the records and the disk hold just now."""
        now, found = CollectorRegistry(), _Found(counts, free_bytes, painters, live_encoded)
        now.register(found)  # pyright: ignore[reportArgumentType]
        return generate_latest(self.registry) + generate_latest(now)


class _Found:
    """Measures that are looked up when somebody asks."""

    def __init__(
        self, counts: Counts, free_bytes: int, painters: dict[str, str], live_encoded: int
    ) -> None:
        self._counts, self._free, self._painters = counts, free_bytes, painters
        self._live_encoded = live_encoded

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        yield CounterMetricFamily(
            "impasto_live_pictures_encoded", "Live pictures encoded.", value=self._live_encoded
        )
        jobs = GaugeMetricFamily("impasto_jobs", "Jobs by state.", labels=["state"])
        for state, number in self._counts.jobs.items():
            jobs.add_metric([state], number)
        yield jobs
        pictures = GaugeMetricFamily("impasto_pictures", "Pictures by kind.", labels=["kind"])
        for kind, number in self._counts.pictures.items():
            pictures.add_metric([kind], number)
        yield pictures
        yield GaugeMetricFamily("impasto_owners", "Visitors known.", value=self._counts.owners)
        yield GaugeMetricFamily(
            "impasto_stored_bytes", "Bytes of uploads and results.", value=self._counts.bytes
        )
        yield GaugeMetricFamily(
            "impasto_free_bytes", "Bytes free on the data folder's disk.", value=self._free
        )
        painters = GaugeMetricFamily(
            "impasto_painter_ready", "Whether a device's painter is ready.", labels=["device"]
        )
        for device, state in self._painters.items():
            painters.add_metric([device], state == "ready")
        yield painters
