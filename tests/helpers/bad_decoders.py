"""What a decoding process must survive; a module of its own, as the process imports it."""

import os
import signal
import time


def crash(*_: object, **__: object) -> None:
    """End the process as a fault of a decoder would."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang(*_: object, **__: object) -> None:
    """Never finish."""
    time.sleep(60)
