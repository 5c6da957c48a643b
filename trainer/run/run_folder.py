"""The folder of a run. Each epoch writes the history, the best weights so far, and all that resuming needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from infer.config import ReportConfig
from infer.core.console import Screen
from infer.core.csv_files import csv_text
from infer.core.drafts import draft_folder
from infer.core.files import cannot_write, expand_home, make_folder, write_bytes, write_text
from infer.dataset.source import resolve_options
from infer.dataset.table import VALID, Table
from infer.metrics.metrics import Metrics, measure
from infer.metrics.result import EvaluationResult
from infer.model.card import ModelCard
from infer.model.runs import CHECKPOINT, DATA, HISTORY, RECIPE
from infer.reports.provenance import Origin
from infer.reports.report import save_report
from infer.reports.thumbnails import make_gallery
from infer.reports.training_history import curves_png, read_run
from trainer.config import TrainConfig
from trainer.model.checkpoint import save_state
from trainer.run.epoch import EpochResult
from trainer.run.epoch_metrics import (
    COMPUTED_IN,
    epoch_line,
    epoch_values,
    history_row,
    monitored_metric,
    with_validation,
)
from trainer.run.loop import Trainer
from trainer.run.snapshot import Best, HistoryRow, Snapshot, cpu_copy, save_snapshot

WRITING_SHARE = 20
"""Weights are written after an epoch if at least this many times the duration of writing has passed since the last."""
LONGEST = 30.0
"""Seconds after which they are written in any case, so that a power cut costs little."""


@dataclass(frozen=True)
class TrainResult:
    """A finished run: its folder, and its best epoch evaluated on the validation images."""

    run: Path
    result: EvaluationResult
    metrics: Metrics


class RunFolder:
    """Keeps the results of a run and writes its folder. Every process of a group has one, and one of them writes.

    Attributes: path (Path), the folder; best (Best | None); waiting (int), epochs since the metric was best in this
    stage; epochs (int), the number of finished epochs.
    """

    def __init__(self, path: Path, config: TrainConfig, table: Table, writes: bool = True) -> None:
        """Raises ConfigError where the class to monitor is not in the table."""
        self.path, self.waiting = path, 0
        self.best: Best | None = None
        self._monitored = monitored_metric(config.monitor, table)
        self._monitor, self._writes = config.monitor, writes
        self._table = table.split(VALID)
        self._rows: list[HistoryRow] = []
        self._unwritten: Snapshot | None = None
        self._writing, self._written = 0.0, -float("inf")

    @property
    def epochs(self) -> int:
        return len(self._rows)

    @property
    def last_row(self) -> HistoryRow:
        """The history of the last finished epoch."""
        return self._rows[-1]

    def start(self, config: TrainConfig, table: Table) -> None:
        """Write the recipe, whose paths are good from any folder, and the data table. Raises OutputError."""
        if self._writes:
            options = resolve_options(expand_home(config.data) if config.data else None, config)
            typed = {"weights": config.weights, "exclude": config.exclude}
            options |= {name: str(expand_home(path).resolve()) for name, path in typed.items() if path}
            write_text(self.path / RECIPE, replace(config, data=str(table.source.resolve()), **options).to_toml())
            table.write(self.path / DATA)

    def add(self, epoch: EpochResult, trainer: Trainer, card: ModelCard, stage: int = 0) -> str:
        """Add a finished epoch, write what is due, and return the line to print. Raises OutputError."""
        title = f"validation split of {self._table.name}, {card.architecture}, best epoch {epoch.number}"
        values = epoch_values(self._result(title, card, epoch.probabilities), self._monitored)
        score = (values[self._monitored], -epoch.valid_loss)
        best = self.best
        waiting = 0 if best is None or score[0] > best.score[0] else self.waiting + 1
        if best is None or score > best.score:
            computed_in = {} if trainer.exact else {COMPUTED_IN: trainer.arithmetic}
            card = with_validation(card, epoch.number, len(self._table), values, computed_in)
            weights = cpu_copy(trainer.validated.backbone.state_dict())
            best = Best(score, title, card, weights, torch.from_numpy(epoch.probabilities))
        improved = best is not self.best
        trainer.plateau.update(score[0], trainer.settings)
        rows = [*self._rows, {**history_row(epoch, values, score[0], improved), "stage": stage + 1}]
        # copied now, since it may be written in the middle of the next epoch
        snapshot = Snapshot(stage, trainer.first_epoch, trainer.state(), rows, waiting, best) if self._writes else None
        # all at once, so that an interruption finds either this epoch or the one before
        self.best, self.waiting, self._rows, self._unwritten = best, waiting, rows, snapshot
        if time.perf_counter() - self._written > min(WRITING_SHARE * self._writing, LONGEST):
            self.flush()
        else:
            self._write_history()
        return epoch_line(epoch, values, trainer.settings, score[0], improved)

    def settle_best(self, trainer: Trainer, stage: int) -> str:
        """Validate the stage's best epoch again as its exported file computes, where training computes otherwise.

        Returns the line to print, or "". Raises OutputError.
        """
        best = self.best
        if best is None or COMPUTED_IN not in (earlier := best.card.provenance["validation"]):
            return ""
        if earlier["epoch"] < trainer.first_epoch:
            return ""
        probabilities, _ = trainer.validate_exactly(best.weights)
        values = epoch_values(self._result(best.title, best.card, probabilities), self._monitored)
        card = with_validation(best.card, earlier["epoch"], len(self._table), values, {})
        self.best = replace(best, card=card, probabilities=torch.from_numpy(probabilities))
        if self._writes:
            state = trainer.state()
            self._unwritten = Snapshot(stage, trainer.first_epoch, state, self._rows, self.waiting, self.best)
            self.flush()
        return (
            f"best epoch {earlier['epoch']}, validated in float32 as its exported file computes: accuracy "
            f"{values['accuracy']:.2%} ({earlier['accuracy']:.2%} in {earlier[COMPUTED_IN]})"
        )

    def flush(self) -> None:
        """Write the snapshot of the last finished epoch and the best weights, unless written. Raises OutputError."""
        if self._unwritten is None:
            return
        start = time.perf_counter()
        save_snapshot(self.path, self._unwritten)  # first: the other files can be made from it
        self._write_history()
        save_state(self._unwritten.best.weights, self._unwritten.best.card, self.path / CHECKPOINT)
        self._unwritten = None
        self._written = time.perf_counter()
        self._writing = self._written - start

    def resume(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot, and bring the folder's other files to the same epoch. Raises OutputError."""
        self.best, self._rows, self.waiting = snapshot.best, snapshot.rows, snapshot.waiting
        if self._writes:
            for draft in (path for path in self.path.glob(".*") if path.suffix in (".ckpt", ".safetensors", ".csv")):
                draft.unlink()  # left by a kill while a file was being written, by earlier versions in any case
            self._write_history()
            save_state(snapshot.best.weights, snapshot.best.card, self.path / CHECKPOINT)

    def finish(self) -> TrainResult:
        """Write what is left, the curves and the best epoch's report.

        Raises:
            OutputError: a file cannot be written.
            ValueError: no epoch is finished.
        """
        if self.best is None:
            raise ValueError("no epoch is finished")
        result = self._result(self.best.title, self.best.card, self.best.probabilities.numpy())
        chosen = f"the best epoch was chosen on these very images, by {self._monitor}"
        notes = [f"{chosen}, so all figures are better than on new ones"]
        if computed_in := self.best.card.provenance["validation"].get(COMPUTED_IN):
            notes.append(f"validated in {computed_in}, as in training; the exported file computes in float32")
        result = replace(result, notes=tuple(notes))
        if not self._writes:
            return TrainResult(self.path, result, measure(result, resamples=0))
        self.flush()
        write_bytes(self.path / "curves.png", curves_png([read_run(self.path)]))
        return TrainResult(self.path, result, self._report(result, self.best.card))

    def _report(self, result: EvaluationResult, card: ModelCard) -> Metrics:
        """Write the best epoch's report. Raises OutputError."""
        source, layout = self._table.name, self._table.layout
        origin = Origin(card=card, run=self.path, source=source, layout=layout, split=VALID, own=True)
        gallery = make_gallery(result, card.pixels, ReportConfig(), Screen(Console(quiet=True)))
        return save_report(result, self.path / "report", ReportConfig(), origin, gallery)

    def _write_history(self) -> None:
        if self._writes:
            write_text(
                self.path / HISTORY, csv_text([list(self._rows[0]), *(list(row.values()) for row in self._rows)])
            )

    def _result(self, title: str, card: ModelCard, probabilities: np.ndarray) -> EvaluationResult:
        return EvaluationResult(
            title=title,
            classes=self._table.classes,
            ordered=card.ordered,
            paths=self._table.paths,
            truth=self._table.labels,
            probabilities=probabilities,
            groups=self._table.groups,
            files=tuple(self._table.files()),
        )


def new_run(runs: Path, architecture: str, now: datetime, fill: Callable[[Path], None]) -> Path:
    """Create `runs`/ARCH-YYYYMMDD-HHMMSS; a second run in the same second gets -2, and so on.

    Args:
        runs: folder of the runs.
        architecture: begins the name.
        now: ends it.
        fill: writes a run's first files into the folder that it is given, which then gets its name.

    Raises:
        OutputError: the folder cannot be written.
    """
    name = f"{architecture}-{now:%Y%m%d-%H%M%S}"
    make_folder(runs)
    try:
        with draft_folder(runs / "new") as draft:
            fill(draft)
            for number in count(1):
                run = runs / (name if number == 1 else f"{name}-{number}")
                if not run.exists() and _renamed(draft, run):
                    return run
    except OSError as error:
        raise cannot_write(runs / name, error) from error
    raise AssertionError("count() does not end")


def _renamed(draft: Path, run: Path) -> bool:
    """Rename a folder; False where another process has just made one of that name. Raises OSError."""
    try:
        draft.rename(run)
    except OSError:
        if not run.exists():
            raise
        return False
    return True
