"""What a server measures of itself, as /metrics gives it to Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from infer.serve.admission import Admission

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """Counters, gauges and histograms of one server.

    Attributes:
        requests: seconds from the head of a request to its answer, by route and status.
        decoding: seconds that an image took to decode, waiting for a decoder included.
        running: seconds that a batch took on the device.
        batches: the number of images in each batch.
        images: answered images, by outcome: predicted, or unreadable.
        refused: refused requests, by status.
        reloads: of the models' files, by outcome: loaded, unchanged, or failed.
    """

    def __init__(self, admission: Admission, replica: str = "") -> None:
        """Begin to count.

        Args:
            admission: what is accepted and not answered at the moment.
            replica: a label of each value, where several servers answer at one address; "": none.
        """
        self._replica = replica
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Histogram(
            "lab_request_seconds",
            "Seconds to answer a request",
            ("route", "status"),
            buckets=SECONDS,
            registry=registry,
        )
        self.decoding = Histogram(
            "lab_decode_seconds", "Seconds to decode an image", buckets=SECONDS, registry=registry
        )
        self.running = Histogram("lab_batch_seconds", "Seconds to run a batch", buckets=SECONDS, registry=registry)
        self.batches = Histogram("lab_batch_images", "Images in a batch", buckets=BATCHES, registry=registry)
        self.images = Counter("lab_images", "Answered images", ("outcome",), registry=registry)
        self.refused = Counter("lab_refused", "Refused requests", ("status",), registry=registry)
        self.reloads = Counter("lab_reloads", "Reloads of the models' files", ("outcome",), registry=registry)
        queue = Gauge("lab_queue_images", "Images that wait or run", registry=registry)
        queue.set_function(lambda: admission.images)
        wait = Gauge("lab_queue_seconds", "Seconds that the images that wait or run will take", registry=registry)
        wait.set_function(lambda: admission.wait)
        longest = Gauge("lab_max_wait_seconds", "Seconds that an answer may be expected to take", registry=registry)
        longest.set_function(admission.max_wait)
        memory = Gauge("lab_request_bytes", "Bytes of requests that are received or answered", registry=registry)
        memory.set_function(lambda: admission.nbytes)

    def text(self) -> bytes:
        """All values in Prometheus' text format."""
        return generate_latest(self if self._replica else self._registry)

    def collect(self) -> Iterator[Metric]:
        """All values, with the label `replica`."""
        for family in self._registry.collect():
            family.samples = [
                sample._replace(labels={**sample.labels, "replica": self._replica}) for sample in family.samples
            ]
            yield family
