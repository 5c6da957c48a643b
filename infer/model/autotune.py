"""`lab predict --tune`: measure provider options for one model on this device, and save the fastest."""

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
from infer.model.cuda_graphs import MAX_IMAGES
from infer.model.provider_options import save_options
from infer.model.providers import CUDA_GRAPH, Options
from infer.model.session import Session

ROUNDS = 7
"""Rounds in which the candidates run in turns; the median counts."""
SECONDS = 0.3
"""The shortest time that a candidate runs in a round."""
GAIN = 1.02
"""How much faster than the default a candidate must be; less is noise, and the default stays."""
TOLERANCE = 0.02
"""How far logits may differ, as a share of the largest: other algorithms add up in another order."""


def tune(session: Session, batch_size: int, screen: Screen) -> Options:
    """Measure the options of the session's provider on batches of `batch_size` images, and save the fastest.

    Raises:
        DeviceError: the batch does not run with any options.
        OutputError: the choice cannot be saved.
    """
    count = session.batch or batch_size
    candidates = _candidates(session, count, screen)
    if not candidates:
        raise DeviceError(f"no options can run a batch of {count} images; give a smaller --batch-size")
    in_flight = session.provider.batches_in_flight
    batches = [_noise(session, count, 0)] * in_flight
    with ThreadPoolExecutor(in_flight) as pool:
        rates = _rates([partial(_run_all, pool, candidate, batches) for candidate in candidates], in_flight * count)
    best = max(range(len(rates)), key=rates.__getitem__)
    if rates[best] < GAIN * rates[0]:
        best = 0
    screen.show(_table([candidate.options for candidate in candidates], rates, best))
    chosen = candidates[best].options
    saved = save_options(session.path, session.provider, chosen)
    screen.say(f"from now on this model runs here with {_text(chosen)}; saved in {saved}")
    return chosen


def _candidates(session: Session, count: int, screen: Screen) -> list[Session]:
    """A session for each set of options that can run the batch and gives the same outputs; the default first."""
    warm_up, pixels = _noise(session, count, 0), _noise(session, count, 1)
    candidates: list[Session] = []
    reference: Floats | None = None
    for options in session.provider.tuning_candidates(session.card.precision, session.card.may_overflow):
        if options.get(CUDA_GRAPH) == "1" and count > MAX_IMAGES:
            continue
        try:
            candidate = session.with_options(options)
            candidate.prepare(count)
            candidate.run(warm_up)
            logits = candidate.run(pixels)[0]
        except (DeviceError, ModelError) as error:
            screen.say(f"skipped: cannot run with {_text(options)}: {error}")
            continue
        if reference is None:
            reference = logits
        if not np.abs(logits - reference).max() <= TOLERANCE * np.abs(reference).max():  # NaN is refused too
            screen.say(f"skipped: its outputs differ: {_text(options)}")
            continue
        candidates.append(candidate)
    return candidates


def _run_all(pool: ThreadPoolExecutor, session: Session, batches: Sequence[Pixels]) -> None:
    """Run as many batches at once as a prediction keeps in flight."""
    for _ in pool.map(session.run, batches):
        pass


def _noise(session: Session, count: int, seed: int) -> Pixels:
    height, width = session.card.pixels.window
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _rates(runs: Sequence[Callable[[], object]], images: int) -> list[float]:
    """Images per second of each run of `images` images: the median over rounds in which they take turns."""
    rates: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, own in zip(runs, rates, strict=True):
            start, repeats = time.perf_counter(), 0
            while not repeats or time.perf_counter() - start < SECONDS:
                run()
                repeats += 1
            own.append(repeats * images / (time.perf_counter() - start))
    return [statistics.median(own) for own in rates]


def _table(candidates: list[Options], rates: list[float], best: int) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("options", overflow="fold")
    table.add_column("images/s", justify="right")
    table.add_column("")
    for index, (options, rate) in enumerate(zip(candidates, rates, strict=True)):
        table.add_row(_text(options), f"{rate:,.0f}", "chosen" if index == best else "")
    return table


def _text(options: Options) -> str:
    return ", ".join(f"{name.rpartition('.')[2]}={value}" for name, value in options.items())
