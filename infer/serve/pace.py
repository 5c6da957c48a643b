"""How long an image takes at the moment, as measured of the last ones: what the wait in a queue is estimated from."""

import threading

WEIGHT = 0.2
"""Of the newest measurement in a moving average: about the last ten count."""


class Pace:
    """Moving averages of the seconds that an image takes to be decoded and to be run. Any thread may add to them."""

    def __init__(self) -> None:
        self._decoding = self._running = 0.0
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """Seconds per image while images wait; 0 before the first measurement.

        It is the sum of both stages, which share the cores where there is no GPU; elsewhere the wait is shorter.
        """
        return self._decoding + self._running

    def decoded(self, seconds: float, at_once: int) -> None:
        """Add that an image took so long to be decoded, beside others in `at_once` decoders."""
        with self._lock:
            self._decoding = _average(self._decoding, seconds / at_once)

    def ran(self, seconds: float, images: int, at_once: int) -> None:
        """Add that a batch of images took so long to be run, beside others: `at_once` together."""
        with self._lock:
            self._running = _average(self._running, seconds / (images * at_once))


def _average(before: float, new: float) -> float:
    return before + WEIGHT * (new - before) if before else new
