"""What the server has accepted and not answered yet: images, the time that they will take, and bytes; all bounded."""

import contextlib
import time
from collections.abc import Callable, Iterator

from infer.serve.errors import busy
from infer.serve.pace import Pace

ALONE_TIMES = 2
"""How many times longer than on an idle server an answer may take where no limit is set."""
SPREAD = 1.3
"""How many times longer than expected one answer in a hundred takes (bench/serve.py): that one is to be in time too."""


class Admission:
    """Counts images and bytes; what would exceed a limit is refused at once. For one thread: that of the event loop.

    Attributes:
        images: accepted and not answered.
        nbytes: of requests that are being received or answered.
        pace: seconds that an image takes, which the service measures.
    """

    def __init__(
        self, max_images: int, max_bytes: int, max_wait: float | None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Begin with nothing accepted.

        Args:
            max_images: that may wait or run.
            max_bytes: that requests may hold together.
            max_wait: seconds that an answer may be expected to take; None: `ALONE_TIMES` those on an idle server, for
                nearly all answers.
            clock: gives seconds.
        """
        self._max_images, self._max_bytes, self._max_wait, self._clock = max_images, max_bytes, max_wait, clock
        self.images = self.nbytes = self._asked = 0
        self.pace = Pace()

    @property
    def wait(self) -> float:
        """Seconds that the accepted images will take, by the pace of the last ones."""
        return self.images * self.pace.seconds

    def max_wait(self, count: int = 1) -> float:
        """Seconds that the answer to a request of so many images may take."""
        if self._max_wait is not None:
            return self._max_wait
        return ALONE_TIMES * (self.pace.alone + (count - 1) * self.pace.seconds)

    @contextlib.contextmanager
    def hold_images(self, count: int) -> Iterator["HeldImages"]:
        """Count these images while the block runs. Raises RequestError where too many are waiting."""
        self.require_room(count)
        held = HeldImages(self, alone=not self.images and count == 1)
        self.images += count
        try:
            yield held
        finally:
            self.images -= count

    def require_room(self, count: int = 1) -> None:
        """Raises RequestError where so many more images may not wait, or would wait for too long.

        Asked before a body is read, it costs little. An idle server takes any request: its pace may be out of date.
        """
        self._asked += 1
        if self.images + count > self._max_images:
            raise busy(f"{self.images} images are waiting, and {self._max_images} may", self.wait)
        expected, longest = (self.images + count) * self.pace.seconds, self.max_wait(count)
        accepted = 0
        if self._max_wait is None:
            # behind as many as itself it may wait in any case: with less the device would have nothing to do in between
            expected, accepted = SPREAD * expected, count
        if self.images > accepted and expected > longest:
            raise busy(f"the answer would take about {expected:.3g} s, and it may take {longest:.3g} s", self.wait)

    @contextlib.contextmanager
    def hold_bytes(self) -> Iterator["HeldBytes"]:
        """Give a count of a request's bytes, to which they are added as they arrive; they are given back at the end."""
        held = HeldBytes(self)
        try:
            yield held
        finally:
            self.nbytes -= held.count

    def take_bytes(self, count: int) -> None:
        """Count more bytes. Raises RequestError where the requests have too many of them."""
        if self.nbytes + count > self._max_bytes:
            raise busy(
                f"other requests fill the {self._max_bytes / 1e6:g} MB that may be received at the same time", self.wait
            )
        self.nbytes += count


class HeldImages:
    """The images of one request."""

    def __init__(self, admission: Admission, alone: bool) -> None:
        self._admission, self._alone = admission, alone
        self._asked, self._since = admission._asked, admission._clock()

    def predicted(self) -> None:
        """Say that all have their predictions: the time of one that was alone until then becomes part of the pace."""
        if self._alone and self._asked == self._admission._asked:
            self._admission.pace.answered_alone(self._admission._clock() - self._since)


class HeldBytes:
    """The bytes of one request."""

    def __init__(self, admission: Admission) -> None:
        self._admission, self.count = admission, 0

    def add(self, count: int) -> None:
        """Count more bytes. Raises RequestError where all requests together have too many."""
        self._admission.take_bytes(count)
        self.count += count
