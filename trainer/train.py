"""`lab train`: a data set to a run's folder with the best checkpoint."""

import platform
import time
from importlib.metadata import version
from pathlib import Path

import torch

from infer import __version__
from infer.card import IMAGENET, ModelCard
from infer.errors import DeviceError, TrainingError
from infer.files import make_folder
from infer.pixels import PixelSpec
from infer.screen import Bar, Screen
from infer.session import is_out_of_memory
from infer.table import TRAIN, Table
from trainer.config import ResolvedConfig, TrainConfig
from trainer.data import load_data, read_data
from trainer.loop import EARLY_STEPS, OnStep, Trainer
from trainer.network import PixelNet, build_network
from trainer.record import Record, TrainResult, duration, monitor_of
from trainer.weights import load_pretrained, load_weights


def train(config: TrainConfig, screen: Screen) -> TrainResult:
    """Train a network and keep the epoch that does best on the monitored validation metric.

    Raises:
        LabError: see the tree. A run's folder that was made keeps what its finished epochs wrote.
        KeyboardInterrupt: Ctrl-C; the same, with curves and report.
    """
    device = pick_device(config.device)
    settings = config.resolved(device.type)
    spec = PixelSpec.default(settings.image_size)
    table = read_data(settings, screen)
    monitor_of(settings.monitor, table)  # these two fail before any work is done, not after
    make_folder(Path(settings.out).expanduser())
    canvases = load_data(table, settings, spec, screen)
    torch.manual_seed(settings.seed)
    card = _card(settings, spec, canvases.table)
    network = _start_network(card, settings, screen)
    record = Record(settings, canvases.table, card)
    screen.say(f"run: {record.run}")
    try:
        trainer = Trainer(settings, spec, canvases, network, device)
        if device.type == "cuda" and not trainer.mixed:
            screen.say("this GPU has no bfloat16: training in float32")
        _run_epochs(trainer, record, screen)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        smaller = f"--batch-size {settings.batch_size // 2}, " if settings.batch_size >= 4 else ""
        raise DeviceError(
            f"the memory of {device} is exhausted by batches of {settings.batch_size} images of "
            f"{settings.image_size} px; try {smaller}a smaller --image-size, or a smaller network"
        ) from error
    except (KeyboardInterrupt, TrainingError):
        if record.best is not None:
            screen.say(f"the best epoch so far is kept: lab export {record.finish().run}")
        raise
    return record.finish()


def pick_device(wanted: str) -> torch.device:
    """The device to train on; `auto` is CUDA where torch can use it. Raises DeviceError."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise DeviceError(f"--device cuda: torch {torch.__version__} finds no usable NVIDIA GPU; choose --device cpu")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def _card(settings: ResolvedConfig, spec: PixelSpec, table: Table) -> ModelCard:
    data = {"name": table.name, "fingerprint": table.fingerprint(), "train": table.counts(TRAIN)}
    packages = {name: version(name) for name in ("torchvision", "numpy", "pillow")}
    versions = {"lab": __version__, "python": platform.python_version(), "torch": torch.__version__, **packages}
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


def _run_epochs(trainer: Trainer, record: Record, screen: Screen) -> None:
    """All epochs behind one progress bar; a line stays for each."""
    settings = trainer.settings
    with screen.bar("training", trainer.steps * settings.epochs) as bar:
        for number in range(1, settings.epochs + 1):
            on_step = _reporter(number, trainer, record, bar, screen)
            screen.say(record.add(trainer.run_epoch(number, on_step), trainer.network))


def _reporter(number: int, trainer: Trainer, record: Record, bar: Bar, screen: Screen) -> OnStep:
    """What moves the bar after a step; in the first epoch it also says how long the run will take."""
    settings, times = trainer.settings, {0: time.perf_counter()}
    best = "" if record.best is None else f"  best {settings.monitor} {record.best:.2%}"

    def on_step(step: int, loss: float, rate: float) -> None:
        note = f"epoch {number}/{settings.epochs}  {rate:.0f} images/s  loss {loss:.3f}{best}"
        bar.step((number - 1) * trainer.steps + step, note)
        times[step] = time.perf_counter()
        if number == 1 and step == min(EARLY_STEPS, trainer.steps):
            first = 2 if step > 2 else 0  # the first steps also warm up
            speed = (step - first) * settings.batch_size / (times[step] - times[first])
            images = len(trainer.train_rows) + len(trainer.valid_rows) / 3  # forward is a third of a training step
            total = duration(settings.epochs * images / speed)
            screen.say(f"{trainer.device.type}, {speed:.0f} images/s: about {total} in all")

    return on_step
