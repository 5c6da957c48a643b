"""What other libraries print, log and warn while they work."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def captured_output() -> Iterator[io.StringIO]:
    """Collect what is printed and logged, from level ERROR on, and drop warnings."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield output
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)


def first_and_last(error: Exception, output: io.StringIO) -> str:
    """The first line of an error and the last line of the output, for a message in one line."""
    last = (output.getvalue().strip().splitlines() or [""])[-1]
    return f"{str(error).strip().partition(chr(10))[0]} {last}"
