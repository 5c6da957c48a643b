"""A run's folder as it grows: after each epoch the history and, where it is the best so far, the checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path

from infer.card import ModelCard, class_index
from infer.compare import curves_png, read_run
from infer.errors import ConfigError, listed
from infer.files import cannot_write, csv_text, make_folder, write_bytes, write_text
from infer.metrics import EvaluationResult, Metrics, measure
from infer.report import save_report
from infer.runs import CHECKPOINT, DATA, HISTORY, RECIPE
from infer.table import VALID, Table
from trainer.checkpoint import save_checkpoint
from trainer.config import ResolvedConfig
from trainer.loop import Epoch
from trainer.network import PixelNet

Monitor = Callable[[Metrics], float]


@dataclass(frozen=True)
class TrainResult:
    """What `lab train` made: the run's folder, and how its best epoch does on the validation images."""

    run: Path
    result: EvaluationResult
    metrics: Metrics


class Record:
    """Writes one run's folder.

    Attributes: run (Path), the folder; best (float | None), the monitored metric of the best epoch so far.
    """

    def __init__(self, settings: ResolvedConfig, table: Table, card: ModelCard) -> None:
        """Make the folder and write what the run starts from.

        Raises:
            OutputError: the folder cannot be written.
            ConfigError: the class to monitor is not in the table.
        """
        self._monitored = monitor_of(settings.monitor, table)
        self._settings, self._table, self._card = settings, table.split(VALID), card
        self.run = new_run(Path(settings.out).expanduser(), settings.architecture, datetime.now())
        write_text(self.run / RECIPE, replace(settings, data=str(table.root.resolve())).to_toml())
        table.write(self.run / DATA)
        self._rows: list[dict[str, float | int]] = []
        self._score: tuple[float, float] | None = None
        self._result: EvaluationResult | None = None

    @property
    def best(self) -> float | None:
        return self._score[0] if self._score else None

    def add(self, epoch: Epoch, network: PixelNet) -> str:
        """Write the epoch's row, and its network if it is the best; the line that tells of it. Raises OutputError."""
        result = EvaluationResult(
            title=f"validation split of {self._table.name}, {self._settings.architecture}, best epoch {epoch.number}",
            classes=self._table.classes,
            ordered=self._settings.ordered,
            paths=self._table.paths,
            truth=self._table.labels,
            probabilities=epoch.probabilities,
        )
        metrics = measure(result)
        score = (self._monitored(metrics), -epoch.valid_loss)  # of equal metrics, the one with the smaller loss
        improved = self._score is None or score > self._score
        if improved:
            self._score, self._result = score, result
            told = {**self._card.provenance, "validation": _validation(epoch, metrics)}
            save_checkpoint(network, replace(self._card, provenance=told), self.run / CHECKPOINT)
        self._rows.append(_history_row(epoch, metrics, score[0], improved))
        write_text(self.run / HISTORY, csv_text([list(self._rows[0]), *(list(row.values()) for row in self._rows)]))
        return _epoch_line(epoch, metrics, self._settings, score[0], improved)

    def finish(self) -> TrainResult:
        """Draw the curves and write the best epoch's report; there must be a finished epoch. Raises OutputError."""
        if self._result is None:
            raise ValueError("no epoch is finished")
        write_bytes(self.run / "curves.png", curves_png([read_run(self.run)]))
        return TrainResult(self.run, self._result, save_report(self._result, self.run / "report", "none"))


def monitor_of(name: str, table: Table) -> Monitor:
    """How to read the monitored metric off a Metrics. Raises ConfigError for a class that is not there."""
    if not name.startswith("recall:"):
        fields = {"accuracy": "accuracy", "balanced-accuracy": "balanced_accuracy", "f1": "macro_f1"}
        return lambda metrics: float(getattr(metrics, fields[name]))
    known, wanted = class_index(table.classes), name.removeprefix("recall:")
    if wanted not in known:
        raise ConfigError(f"--monitor {name}: the classes are {listed([str(item) for item in table.classes])}")
    return lambda metrics: metrics.per_class[known[wanted]].recall


def new_run(runs: Path, architecture: str, now: datetime) -> Path:
    """Make `runs`/ARCH-YYYYMMDD-HHMMSS; a second run in the same second gets -2, and so on. Raises OutputError."""
    make_folder(runs)
    name = f"{architecture}-{now:%Y%m%d-%H%M%S}"
    for number in count(1):
        run = runs / (name if number == 1 else f"{name}-{number}")
        try:
            run.mkdir()
            return run
        except FileExistsError:
            continue
        except OSError as error:
            raise cannot_write(run, error) from error
    raise AssertionError("count() does not end")


def duration(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _validation(epoch: Epoch, metrics: Metrics) -> dict[str, float | int]:
    return {
        "epoch": epoch.number,
        "images": metrics.images,
        "accuracy": metrics.accuracy,
        "balanced_accuracy": metrics.balanced_accuracy,
        "macro_f1": metrics.macro_f1,
    }


def _history_row(epoch: Epoch, metrics: Metrics, monitored: float, improved: bool) -> dict[str, float | int]:
    return {
        "epoch": epoch.number,
        "learning_rate": epoch.learning_rate,
        "train_loss": epoch.train_loss,
        "train_accuracy": epoch.train_accuracy,
        "valid_loss": epoch.valid_loss,
        "valid_accuracy": metrics.accuracy,
        "valid_balanced_accuracy": metrics.balanced_accuracy,
        "valid_f1": metrics.macro_f1,
        "monitored": monitored,
        "best": int(improved),
        "seconds": round(epoch.seconds, 3),
        "images_per_second": round(epoch.images_per_second, 1),
    }


def _epoch_line(epoch: Epoch, metrics: Metrics, settings: ResolvedConfig, monitored: float, improved: bool) -> str:
    width = len(str(settings.epochs))
    other = "" if settings.monitor == "accuracy" else f"  {settings.monitor} {monitored:.2%}"
    return (
        f"epoch {epoch.number:{width}}/{settings.epochs}  loss {epoch.train_loss:.4f} valid {epoch.valid_loss:.4f}  "
        f"accuracy {epoch.train_accuracy:.2%} valid {metrics.accuracy:.2%}{other}  "
        f"{epoch.images_per_second:.0f} images/s  {duration(epoch.seconds)}{'  best' if improved else ''}"
    )
