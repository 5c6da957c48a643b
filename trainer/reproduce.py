"""`lab reproduce RUN`: train a run again, and say whether the weights are equal bit for bit, or where they part."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from infer.core.console import Screen
from infer.core.csv_files import read_csv
from infer.core.environment import differences
from infer.core.errors import DataError, ModelError, ReproductionError
from infer.core.temporary import temporary_folder
from infer.core.text import counted, listed
from infer.model.card import ModelCard, read_card
from infer.model.runs import CHECKPOINT, HISTORY, SNAPSHOT, find_checkpoint, read_recipe
from infer.reproduce_config import ReproduceConfig
from trainer.config import TrainConfig, read_config
from trainer.model.checkpoint import load_tensors, weights_sha256
from trainer.run.run_record import Part, RunRecord, read_record
from trainer.run.same_data import Repeat
from trainer.run.snapshot import Snapshot, load_snapshot
from trainer.train import train

MEASURED = ("seconds", "images_per_second")
"""Columns of history.csv that are different each time."""
MOST_LISTED = 3

Weights = Mapping[str, Tensor]


def reproduce_run(config: ReproduceConfig, screen: Screen) -> None:
    """Train the run again, into a temporary folder or `--out`, and compare history, best and last weights.

    Raises:
        ReproductionError: the new run differs; its lines have been said.
        LabError: any other subclass: the run cannot be read, its data is another, or training fails.
    """
    run, record = config.target, read_record(config.target)
    saved = _read_saved(run)
    for line in _not_recorded(run, record):
        screen.say(line)
    with _folder(config.out) as out:
        with _threads(record):
            new = train(_config(config, out), screen, repeat=Repeat(run, saved.card, saved.epochs)).run
        if os.environ.get("RANK", "0") == "0":  # of torchrun's processes one compares
            _report(run, record, saved, new, screen)


@dataclass(frozen=True)
class _Saved:
    """What a run saved for its finished epochs."""

    card: ModelCard
    history: list[dict[str, str]]
    """Rows of history.csv by their columns, without those that are measured."""
    weights: Mapping[str, Weights]
    """`state_dict`s by what they are of."""
    note: str = ""
    """What cannot be compared, and why."""

    @property
    def epochs(self) -> int:
        return len(self.history)


def _read_saved(run: Path) -> _Saved:
    """Read a run's best and last weights; the last epoch that counts is that of last.ckpt, if it is there.

    Raises:
        ModelError, DataError: a file is missing or damaged.
    """
    checkpoint = find_checkpoint(run)
    card, history = read_card(checkpoint), _read_history(run)
    best = {CHECKPOINT: _load(checkpoint)}
    if not (run / SNAPSHOT).exists():
        return _Saved(card, history, best, f"{run} has no {SNAPSHOT}, so its last epoch's weights are not compared")
    snapshot = load_snapshot(run)
    history, last = history[: len(snapshot.rows)], _last_weights(snapshot)
    if card.provenance.get("weights_sha256") != weights_sha256(snapshot.best.weights):
        note = f"{CHECKPOINT} is not that of {SNAPSHOT} and is not compared: the run was killed, or the file replaced"
        return _Saved(snapshot.best.card, history, last, note)
    return _Saved(card, history, {**best, **last})


def _read_history(run: Path) -> list[dict[str, str]]:
    header, *rows = read_csv(run / HISTORY) or [[]]
    if short := next((row for row in rows if len(row) < len(header)), None):
        raise DataError(
            f"{run / HISTORY} is damaged (a row of {len(short)} columns for {len(header)}); name another run"
        )
    kept = [column for column, name in enumerate(header) if name not in MEASURED]
    return [{header[column]: row[column] for column in kept} for row in rows]


def _load(checkpoint: Path) -> Weights:
    try:
        return load_tensors(checkpoint)
    except (OSError, KeyError, safetensors.SafetensorError) as error:
        raise ModelError(f"{checkpoint} cannot be read ({error}); restore it, or name another run") from error


def _last_weights(snapshot: Snapshot) -> dict[str, Weights]:
    state = snapshot.trainer
    ema = {f"EMA of {SNAPSHOT}": state.ema.network} if state.ema else {}
    return {SNAPSHOT: state.network, **ema}


def _not_recorded(run: Path, record: RunRecord | None) -> list[str]:
    """A line where an earlier version of lab began the run, and recorded less."""
    if record is None:
        return [f"note: an earlier version of lab trained {run}: processor, threads and device are not recorded"]
    if not record.parts or record.parts[0].first_epoch > 1:
        until = record.parts[0].first_epoch - 1 if record.parts else "the last"
        return [f"note: an earlier version of lab trained the epochs up to {until}, and recorded no threads or device"]
    return []


def _config(config: ReproduceConfig, out: Path) -> TrainConfig:
    """The run's own config, with what the user changed."""
    changes: dict[str, Any] = {"data": str(config.data) if config.data else "", "labels": config.labels}
    changes |= {"images": config.images, "device": config.device, "out": str(out)}
    recipe = read_recipe(config.target)
    return read_config({**recipe, **{name: value for name, value in changes.items() if value}, "tensorboard": False})


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder in which the new run's folder is made; a temporary one is deleted."""
    if out:
        yield out
        return
    with temporary_folder() as folder:
        yield folder


@contextlib.contextmanager
def _threads(record: RunRecord | None) -> Iterator[None]:
    """Compute with as many threads as the run did: sums are added up in another order with other numbers of them."""
    before = torch.get_num_threads()
    recorded = record.parts[0].environment.get("threads", "") if record and record.parts else ""
    if recorded.isdigit():
        torch.set_num_threads(max(1, int(recorded)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _report(run: Path, record: RunRecord | None, before: _Saved, new: Path, screen: Screen) -> None:
    """Say what is equal and what differs. Raises ReproductionError where anything differs."""
    now, now_record = _read_saved(new), read_record(new)
    if before.note:
        screen.say(f"note: {before.note}")
    lines = [] if record is None or now_record is None else _start_lines(record, now_record)
    lines += _history_lines(before.history, now.history)
    for name, weights in before.weights.items():
        lines += _weights_lines(name, weights, now.weights.get(name, {}))
    causes = [] if now_record is None else _causes(record, now_record.parts[0])
    if not lines:
        tensors = ", ".join(f"{len(weights)} tensors of {name}" for name, weights in before.weights.items())
        equal = f"equal bit for bit: {counted(before.epochs, 'epoch')} of {HISTORY}, {tensors}"
        screen.say("\n".join([equal, *(f"although another: {cause}" for cause in causes)]))
        return
    for line in (*lines, *(f"possible cause: {cause}" for cause in causes or ["none that is recorded"])):
        screen.say(line)
    raise ReproductionError(f"{run} was trained again and is not equal: {lines[0]}; see the possible causes above")


def _start_lines(record: RunRecord, now: RunRecord) -> list[str]:
    """What differs before the first epoch."""
    lines = []
    if record.pixels_sha256 not in ("", now.pixels_sha256):
        lines.append("the images are decoded to other pixels")
    if record.start_sha256 not in ("", now.start_sha256):
        lines.append("the initial weights are others")
    return lines


def _history_lines(before: list[dict[str, str]], now: list[dict[str, str]]) -> list[str]:
    """The first epoch whose metrics differ, and these."""
    for number, (row, new) in enumerate(zip(before, now, strict=False), 1):
        if differing := [name for name in row if name in new and row[name] != new[name]]:
            values = [f"{name} {new[name]} instead of {row[name]}" for name in differing]
            return [f"epoch {number} is the first to differ: {listed(values, MOST_LISTED)}"]
    if len(before) != len(now):
        return [f"training ended after {counted(len(now), 'epoch')} instead of {len(before)}"]
    return []


def _weights_lines(name: str, before: Weights, now: Weights) -> list[str]:
    """How many tensors differ, and which the most."""
    largest: dict[str, float] = {}
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if old is None or new is None or old.shape != new.shape or old.dtype != new.dtype:
            largest[key] = float("inf")
        elif not _equal_bits(old, new):
            largest[key] = float((old.double() - new.double()).abs().max())
    if not largest:
        return []
    most = sorted(largest, key=lambda key: -largest[key])
    tensors = listed([f"{key} by up to {largest[key]:.3g}" for key in most], MOST_LISTED)
    return [f"{name}: {len(largest)} of {len({*before, *now})} tensors differ: {tensors}"]


def _equal_bits(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors of one shape and dtype are the same bit for bit; 0 and -0 are not, and equal NaNs are."""
    one, other = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (first, second))
    return torch.equal(one, other)


def _causes(record: RunRecord | None, now: Part) -> list[str]:
    """What computed otherwise than now, for each part of a run that was resumed."""
    causes = []
    for part in record.parts if record else ():
        where = f"from epoch {part.first_epoch} on: " if part.first_epoch > 1 else ""
        causes += [f"{where}{text}" for text in differences(part.environment, now.environment)]
    if now.environment["device"] != "cpu":
        causes.append("kernels of CUDA may add up in another order each time; only CPUs promise equal bits")
    return causes
