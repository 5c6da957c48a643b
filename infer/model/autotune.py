"""`lab predict --tune`: measure a provider's options for one model on this device, and remember the fastest."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from rich import box
from rich.table import Table as RichTable

from infer.core.arrays import Floats, Pixels
from infer.core.console import Screen
from infer.core.errors import DeviceError, ModelError
from infer.model.cuda_graphs import MOST_IMAGES
from infer.model.provider_options import AT_ONCE, RECORDING, Options, choices, remember
from infer.model.session import Session

ROUNDS = 7
"""Each option runs so often, in turns with the others; the median counts."""
SECONDS = 0.3
"""A round takes at least so long."""
GAIN = 1.02
"""What is not faster by so much is noise: the default stays."""
ALIKE = 0.02
"""Logits may differ by so much of the largest: other algorithms add up in another order."""


def tune(session: Session, batch_size: int, screen: Screen) -> Options:
    """Measure options on batches of `batch_size` images and remember the fastest; those that cannot run are left out.

    Raises:
        OutputError: the choice cannot be kept.
    """
    count = session.batch or batch_size
    pixels, others = _noise(session, count, 0), _noise(session, count, 1)
    candidates: list[tuple[Options, Session]] = []
    expected: Floats | None = None
    for options in choices(session.provider, session.card.precision):
        if options.get(RECORDING) == "1" and count > MOST_IMAGES:
            continue
        try:
            opened = session.with_options(options)
            opened.prepare(count)
            opened.run(pixels)  # a first run prepares
            logits = opened.run(others)[0]
        except (DeviceError, ModelError) as error:
            screen.say(f"cannot run with {_text(options)}: {error}")
            continue
        if expected is None:
            expected = logits
        if not np.abs(logits - expected).max() <= ALIKE * np.abs(expected).max():  # nor if one of them is no number
            screen.say(f"left out, as its answers are others: {_text(options)}")
            continue
        candidates.append((options, opened))
    if not candidates:
        raise DeviceError("no options can run such a batch; give a smaller --batch-size")
    at_once = AT_ONCE.get(session.provider, 1)
    with ThreadPoolExecutor(at_once) as pool:
        runs = [partial(_run_at_once, pool, opened, [pixels] * at_once) for _, opened in candidates]
        rates = _rates(runs, at_once * count)
    best = max(range(len(rates)), key=rates.__getitem__)
    if rates[best] < GAIN * rates[0]:
        best = 0
    screen.show(_table([options for options, _ in candidates], rates, best))
    chosen = candidates[best][0]
    place = remember(session.path, session.provider, chosen)
    screen.say(f"from now on this model runs here with {_text(chosen)}, by {place}")
    return chosen


def _run_at_once(pool: ThreadPoolExecutor, session: Session, batches: Sequence[Pixels]) -> None:
    """As many batches as a prediction gives the device at once."""
    for _ in pool.map(session.run, batches):
        pass


def _noise(session: Session, count: int, seed: int) -> Pixels:
    height, width = session.card.pixels.window
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _rates(runs: Sequence[Callable[[], object]], images: int) -> list[float]:
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
