"""`lab train`: a data set to a run's folder with the best checkpoint."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path

import torch

from infer import __version__
from infer.card import IMAGENET, ModelCard, class_index
from infer.compare import curves_png, read_run
from infer.errors import ConfigError, DeviceError, listed
from infer.files import cannot_write, csv_text, make_folder, write_bytes, write_text
from infer.metrics import EvaluationResult, Metrics, measure
from infer.pixels import PixelSpec
from infer.report import save_report
from infer.runs import CHECKPOINT, DATA, HISTORY, RECIPE
from infer.screen import Screen
from infer.table import TRAIN, VALID, Table
from trainer.checkpoint import save_checkpoint
from trainer.config import ResolvedConfig, TrainConfig
from trainer.data import load_data
from trainer.loop import Epoch, Trainer
from trainer.network import PixelNet, build_network
from trainer.weights import load_pretrained, load_weights


@dataclass(frozen=True)
class TrainResult:
    """What `lab train` made: the run's folder, and how its best epoch does on the validation images."""

    run: Path
    result: EvaluationResult
    metrics: Metrics


def train(config: TrainConfig, screen: Screen) -> TrainResult:
    """Train a network and keep the epoch that does best on the monitored validation metric.

    Raises:
        LabError: see the tree. A run's folder that was made keeps what its finished epochs wrote.
    """
    device = pick_device(config.device)
    settings = config.resolved(device.type)
    spec = PixelSpec.default(settings.image_size)
    canvases = load_data(settings, spec, screen)
    monitored = monitor_of(settings.monitor, canvases.table)
    torch.manual_seed(settings.seed)
    card = _card(settings, spec, canvases.table)
    network = _start_network(card, settings, screen)
    run = new_run(Path(settings.out).expanduser(), settings.architecture, datetime.now())
    write_text(run / RECIPE, replace(settings, data=str(canvases.table.root.resolve())).to_toml())
    canvases.table.write(run / DATA)
    screen.say(f"run: {run}")
    try:
        return _train(Trainer(settings, spec, canvases, network, device), card, monitored, run, screen)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"the GPU's memory is exhausted by batches of {settings.batch_size} images of {settings.image_size} px; "
            f"try --batch-size {max(1, settings.batch_size // 2)}, a smaller --image-size, or a smaller network"
        ) from error


def pick_device(wanted: str) -> torch.device:
    """The device to train on; `auto` is CUDA where torch can use it. Raises DeviceError."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise DeviceError(f"--device cuda: torch {torch.__version__} finds no usable NVIDIA GPU; choose --device cpu")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def monitor_of(name: str, table: Table) -> Callable[[Metrics], float]:
    """How to read the monitored metric off a Metrics. Raises ConfigError for a class that is not there."""
    if not name.startswith("recall:"):
        fields = {"accuracy": "accuracy", "balanced-accuracy": "balanced_accuracy", "f1": "macro_f1"}
        return lambda metrics: float(getattr(metrics, fields[name]))
    known, wanted = class_index(table.classes), name.removeprefix("recall:")
    if wanted not in known:
        raise ConfigError(f"--monitor {name}: the classes are {listed([str(item) for item in table.classes])}")
    return lambda metrics: metrics.per_class[known[wanted]].recall


def _card(settings: ResolvedConfig, spec: PixelSpec, table: Table) -> ModelCard:
    data = {"name": table.name, "fingerprint": table.fingerprint(), "train": table.counts(TRAIN)}
    packages = {name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")}
    versions = {"lab": __version__, "python": platform.python_version(), **packages}
    return ModelCard(
        architecture=settings.architecture,
        classes=table.classes,
        pixels=spec,
        normalization=IMAGENET,
        ordered=settings.ordered,
        provenance={"data": data, "monitor": settings.monitor, "seed": settings.seed, "versions": versions},
    )


def _start_network(card: ModelCard, settings: ResolvedConfig, screen: Screen) -> PixelNet:
    network = build_network(card)
    if settings.pretrained:
        screen.say(f"ImageNet weights: {load_pretrained(network.resnet, settings.architecture)}")
    elif settings.weights:
        path = Path(settings.weights).expanduser()
        screen.say(f"{path}: {load_weights(network.resnet, path)}")
    return network


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


def _train(
    trainer: Trainer, card: ModelCard, monitored: Callable[[Metrics], float], run: Path, screen: Screen
) -> TrainResult:
    """Run the epochs; keep the best, the history and, at the end, curves and report."""
    settings, table = trainer.settings, trainer.canvases.table.split(VALID)
    rows: list[dict[str, float | int]] = []
    best: tuple[tuple[float, float], EvaluationResult, Metrics] | None = None
    for number in range(1, settings.epochs + 1):
        epoch = _run_epoch(trainer, number, screen)
        result = EvaluationResult(
            title=f"validation split of {table.name}, {settings.architecture}, best epoch {number}",
            classes=table.classes,
            ordered=settings.ordered,
            paths=table.paths,
            truth=table.labels,
            probabilities=epoch.probabilities,
        )
        metrics = measure(result)
        score = (monitored(metrics), -epoch.valid_loss)  # of equal metrics, the one with the smaller loss
        improved = best is None or score > best[0]
        if improved:
            best = (score, result, metrics)
            validation = {"epoch": number, "accuracy": metrics.accuracy, "balanced_accuracy": metrics.balanced_accuracy}
            told = {**card.provenance, "validation": {**validation, "macro_f1": metrics.macro_f1}}
            save_checkpoint(trainer.network, replace(card, provenance=told), run / CHECKPOINT)
        rows.append(_history_row(epoch, metrics, score[0], improved))
        write_text(run / HISTORY, csv_text([list(rows[0]), *(list(row.values()) for row in rows)]))
        screen.say(_epoch_line(epoch, metrics, settings, score[0], improved))
    if best is None:
        raise AssertionError("there is at least one epoch")
    write_bytes(run / "curves.png", curves_png([read_run(run)]))
    return TrainResult(run, best[1], save_report(best[1], run / "report", "none"))


def _run_epoch(trainer: Trainer, number: int, screen: Screen) -> Epoch:
    """One epoch behind a progress bar; after the first steps of all, say how long the run will take."""
    settings = trainer.settings
    start = time.perf_counter()
    early = min(8, trainer.steps)

    with screen.bar(f"epoch {number}/{settings.epochs}", trainer.steps) as bar:

        def on_step(step: int, loss: float, rate: float) -> None:
            bar.step(step, f"{rate:.0f} images/s  loss {loss:.3f}")
            if number == 1 and step == early:
                images = len(trainer.train_rows) + len(trainer.valid_rows) / 3
                left = settings.epochs * images / (step * settings.batch_size) * (time.perf_counter() - start)
                screen.say(f"{trainer.device.type}, {rate:.0f} images/s: about {_duration(left)} in all")

        return trainer.run_epoch(number, on_step)


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
        f"{epoch.images_per_second:.0f} images/s  {_duration(epoch.seconds)}{'  best' if improved else ''}"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
