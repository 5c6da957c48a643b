"""`lab predict --tune`: measure a provider's options for one model on this device, and remember the fastest."""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from rich import box
from rich.table import Table as RichTable

from infer.errors import DeviceError, ModelError
from infer.pixels import Pixels
from infer.screen import Screen
from infer.session import Session
from infer.tuned import Options, choices, remember

ROUNDS = 7
"""Each option runs so often, in turns with the others; the median counts."""
SECONDS = 0.3
"""A round takes at least so long."""
GAIN = 1.02
"""What is not faster by so much is noise: the default stays."""


def tune(session: Session, batch_size: int, screen: Screen) -> Options:
    """Measure options on batches of `batch_size` images and remember the fastest; those that cannot run are left out.

    Raises:
        OutputError: the choice cannot be kept.
    """
    candidates: list[tuple[Options, Session]] = []
    for options in choices(session.provider, session.card.precision):
        try:
            opened = session.with_options(options)
            opened.run(_noise(session, batch_size))  # a first run prepares
        except (DeviceError, ModelError) as error:
            screen.say(f"cannot run with {_text(options)}: {error}")
            continue
        candidates.append((options, opened))
    if not candidates:
        raise DeviceError("no options can run such a batch; give a smaller --batch-size")
    pixels = _noise(session, batch_size)
    rates = _rates([partial(opened.run, pixels) for _, opened in candidates], len(pixels))
    best = max(range(len(rates)), key=rates.__getitem__)
    if rates[best] < GAIN * rates[0]:
        best = 0
    screen.show(_table([options for options, _ in candidates], rates, best))
    chosen = candidates[best][0]
    place = remember(session.path, session.provider, chosen)
    screen.say(f"from now on this model runs here with {_text(chosen)}, by {place}")
    return chosen


def _noise(session: Session, batch_size: int) -> Pixels:
    height, width = session.card.pixels.window
    count = session.batch or batch_size
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _rates(runs: list[Callable[[], object]], images: int) -> list[float]:
    """Images/s of each, the median of rounds in turns."""
    found: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, rates in zip(runs, found, strict=True):
            start, times = time.perf_counter(), 0
            while not times or time.perf_counter() - start < SECONDS:
                run()
                times += 1
            rates.append(times * images / (time.perf_counter() - start))
    return [statistics.median(rates) for rates in found]


def _table(options: list[Options], rates: list[float], best: int) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("options", overflow="fold")
    table.add_column("images/s", justify="right")
    table.add_column("")
    for place, (item, rate) in enumerate(zip(options, rates, strict=True)):
        table.add_row(_text(item), f"{rate:,.0f}", "chosen" if place == best else "")
    return table


def _text(options: Options) -> str:
    return ", ".join(f"{name.rpartition('.')[2]}={value}" for name, value in options.items())
