"""How long an image takes at the moment, as measured of the last ones: what the wait in a queue is estimated from."""

import threading

WEIGHT = 0.2
"""Of the newest measurement in a moving average: about the last ten count."""


class Pace:
    """Moving averages of the seconds that an image takes, in a queue and alone. Any thread may add to them.

    Attributes:
        seconds: per image while images wait; 0 before the first measurement.
    """

    def __init__(self) -> None:
        self.seconds = self._alone = self._ended = 0.0
        self._lock = threading.Lock()

    @property
    def alone(self) -> float:
        """Seconds from the acceptance of one image to its answer on an idle server; never less than `seconds`.

        Where images have become slower since the server was last idle, one alone takes at least its share of a batch.
        """
        return max(self._alone, self.seconds)

    def warmed_up(self, running: float, delay: float) -> None:
        """Begin anew with what a warm-up shows: the seconds of one image on the device, and those that it waits."""
        with self._lock:
            self.seconds, self._alone = running, running + delay

    def answered_alone(self, seconds: float) -> None:
        """Add that one image, beside which no other was asked for, took so long."""
        with self._lock:
            self._alone = _average(self._alone, seconds)

    def ran(self, images: int, accepted: float, now: float) -> None:
        """Add that a batch has been run, the first of whose images was accepted at a time of the same clock.

        Of images that wait, the time from one batch's end to the next counts: all stages are in it, what they take from
        each other on the same cores, and that of several batches on a device at the same time.
        """
        with self._lock:
            interval, self._ended = now - max(accepted, self._ended), now
            self.seconds = _average(self.seconds, max(0.0, interval) / images)


def _average(before: float, new: float) -> float:
    return before + WEIGHT * (new - before) if before else new
