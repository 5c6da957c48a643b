"""What the server has accepted and not answered yet: images, the time that they will take, and bytes; all bounded."""

import contextlib
from collections.abc import Iterator

from infer.serve.errors import busy
from infer.serve.pace import Pace


class Admission:
    """Counts images and bytes; what would exceed a limit is refused at once. For one thread: that of the event loop.

    Attributes:
        images: accepted and not answered.
        nbytes: of requests that are being received or answered.
        pace: seconds that an image takes, which the service measures.
    """

    def __init__(self, max_images: int, max_bytes: int, max_wait: float) -> None:
        """`max_wait`: seconds that an answer may be expected to take."""
        self._max_images, self._max_bytes, self._max_wait = max_images, max_bytes, max_wait
        self.images = self.nbytes = 0
        self.pace = Pace()

    @property
    def wait(self) -> float:
        """Seconds that the accepted images will take, by the pace of the last ones."""
        return self.images * self.pace.seconds

    @contextlib.contextmanager
    def hold_images(self, count: int) -> Iterator[None]:
        """Count these images while the block runs. Raises RequestError where too many are waiting."""
        self.require_room(count)
        self.images += count
        try:
            yield
        finally:
            self.images -= count

    def require_room(self, count: int = 1) -> None:
        """Raises RequestError where so many more images may not wait, or would wait for too long.

        Asked before a body is read, it costs little. An idle server takes any request: its pace may be out of date.
        """
        if self.images + count > self._max_images:
            raise busy(f"{self.images} images are waiting, and {self._max_images} may")
        expected = (self.images + count) * self.pace.seconds
        if self.images and expected > self._max_wait:
            raise busy(f"the answer would take about {expected:.3g} s, and it may take {self._max_wait:g} s")

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
            raise busy(f"other requests fill the {self._max_bytes / 1e6:g} MB that may be received at the same time")
        self.nbytes += count


class HeldBytes:
    """The bytes of one request."""

    def __init__(self, admission: Admission) -> None:
        self._admission, self.count = admission, 0

    def add(self, count: int) -> None:
        """Count more bytes. Raises RequestError where all requests together have too many."""
        self._admission.take_bytes(count)
        self.count += count
