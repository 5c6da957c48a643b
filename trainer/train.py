"""`lab train`: a data set to a run's folder with the best checkpoint."""

import gc
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from infer.core.console import Screen
from infer.core.errors import DataError, DeviceError, LabError, TrainingError
from infer.dataset.table import Table
from infer.model.card import ModelCard
from infer.model.onnx_session import is_out_of_memory
from trainer.config import ResolvedConfig, TrainConfig
from trainer.data.cache import Canvases
from trainer.data.cache_limit import require_bound
from trainer.data.load import load_data, read_data
from trainer.model.network import PixelNet, build_network
from trainer.run.compile import Compiling
from trainer.run.distributed import World, check_world, joined
from trainer.run.loop import Trainer
from trainer.run.progress import Progress
from trainer.run.run_folder import Record, TrainResult, monitor_of, new_run
from trainer.run.setup import make_card, pick_device, spec_of, start_from
from trainer.run.snapshot import Snapshot, load_snapshot
from trainer.run.tensorboard import Board, open_board, require_tensorboard


def train(config: TrainConfig, screen: Screen, resume: Path | None = None) -> TrainResult:
    """Train a network and keep the epoch that does best on the monitored validation metric.

    Args:
        config: what to train; with `resume`, the run's own.
        screen: what the user sees.
        resume: the folder of a run to go on with, from its last finished epoch.

    Raises:
        LabError: see the tree. A run's folder that was made keeps what its finished epochs wrote.
        KeyboardInterrupt: Ctrl-C; the same, with curves and report.
    """
    device = pick_device(config.device)
    with joined(device.type) as world:
        if device.type == "cuda" and world.size > 1:
            device = torch.device("cuda", world.local_rank)
        return _train(config, screen, resume, device, world)


def _train(config: TrainConfig, screen: Screen, resume: Path | None, device: torch.device, world: World) -> TrainResult:
    if config.tensorboard:
        require_tensorboard()
    last = load_snapshot(resume) if resume else None
    stages = config.resolved(device.type)
    for settings in stages:  # what can fail does so before any work is done
        spec_of(settings)
        check_world(settings, device.type, world)
    with world.one_first():
        table = read_data(stages[0], screen)
    monitor_of(config.monitor, table)
    for settings in stages:
        require_bound(len(table) * 3 * math.prod(spec_of(settings).canvas))
    canvases = _decoded(table, stages[last.stage if last else 0], screen, world)
    record = _record(config, stages, canvases.table, last, resume, world)
    screen.say(f"run: {record.run}" + (f", resumed after epoch {record.epochs}" if last else ""))
    run = _Run(stages, record, screen, device, world, canvases.table, canvases, stages[0])
    del canvases
    with run.told_when_stopped(), open_board(config.tensorboard and world.writes, record.run, record.epochs) as board:
        run.train(board, last)
    return record.finish()


@dataclass
class _Run:
    """What the stages of a run share."""

    stages: tuple[ResolvedConfig, ...]
    record: Record
    screen: Screen
    device: torch.device
    world: World
    table: Table
    canvases: Canvases | None
    """Of the first stage, until it takes them."""
    now: ResolvedConfig
    """The stage that is at work."""
    progress: Progress | None = None

    def train(self, board: Board, last: Snapshot | None) -> None:
        """All stages, or those that are left."""
        network: PixelNet | None = None
        for number, settings in enumerate(self.stages):
            if last and number < last.stage:
                continue
            resumed = last if last and number == last.stage else None
            self.now = settings
            canvases = self.canvases or _decoded(self.table, settings, self.screen, self.world)
            self.canvases = None
            card = make_card(settings, canvases)
            if self.record.best:
                _require_same_data(self.table.source, card.provenance["data"], self.record.best.card, self.record.run)
            network = self._network(card, settings, network, fresh=resumed is None)
            first = resumed.first_epoch if resumed else self.record.epochs + 1
            trainer = Trainer(settings, card.pixels, canvases, network, self.device, self.world, first)
            if resumed:
                trainer.load_state(resumed.trainer)
            else:
                self.record.waiting = 0
                self._say_stage(number, settings)
                self._say_left(trainer)
            if self.device.type == "cuda":
                bits = "bfloat16" if trainer.mixed else "float32, as this GPU has no bfloat16"
                place = "kept on the GPU" if trainer.feed.resident else "streamed from the cache, as they do not fit"
                self.screen.say(f"training in {bits}; images are {place}")
            self._epochs(number, trainer, card, board)
            network = trainer.validated
            del trainer, canvases  # before the next stage asks how much memory and disk is free
            gc.collect()
            torch.cuda.empty_cache()
        self.record.flush()

    def _epochs(self, number: int, trainer: Trainer, card: ModelCard, board: Board) -> None:
        """The epochs of one stage behind one progress bar; a line stays for each."""
        settings, record = trainer.settings, self.record
        end = trainer.first_epoch + settings.epochs
        compiling = Compiling(settings, self.screen)
        with self.screen.bar("training", trainer.steps * settings.batch_size * settings.epochs) as bar:
            while record.epochs + 1 < end:
                if settings.patience and record.waiting >= settings.patience:
                    self.screen.say(f"no better {settings.monitor} in {record.waiting} epochs: stopping early")
                    break
                self.progress = Progress(record, trainer, bar, self.screen)
                epoch = compiling.run(trainer, record.epochs + 1, end, self.progress)
                self.progress = None
                self.screen.say(record.add(epoch, trainer, card, number))
                board.add(record.last_row)

    def _network(self, card: ModelCard, settings: ResolvedConfig, before: PixelNet | None, fresh: bool) -> PixelNet:
        """A new network, or one with the weights of the stage before; not `fresh`: a snapshot's will replace them."""
        torch.manual_seed(settings.seed)
        network = build_network(card)
        best = self.record.best
        if before is not None and settings.stage_start == "last":
            network.backbone.load_state_dict(before.backbone.state_dict())
        elif before is not None and best is not None:
            network.backbone.load_state_dict(best.weights)
        elif fresh:
            start_from(network.backbone, settings, self.screen)
        return network

    def _say_stage(self, number: int, settings: ResolvedConfig) -> None:
        if len(self.stages) > 1:
            start = f", from the {settings.stage_start} weights" if number else ""
            told = f"{settings.image_size} px, {settings.epochs} epochs, learning rate {settings.peak_rate:g}"
            self.screen.say(f"stage {number + 1} of {len(self.stages)}: {told}{start}")

    def _say_left(self, trainer: Trainer) -> None:
        images, size = len(trainer.train_rows), trainer.settings.batch_size
        if (left := images % size) > images / 20:
            self.screen.say(
                f"{left} of {images} training images, others in each epoch, fill no batch of {size}: left out"
            )

    def _say_how_to_go_on(self, stop: BaseException) -> None:
        run, again = self.record.run, not isinstance(stop, TrainingError)  # which it would come to once more
        if self.record.best is not None:
            self.record.finish()
            where = self.progress.place() if self.progress else ""
            resume = f"{where}go on with: lab train --resume {run}\nor " if again else ""
            self.screen.say(f"{resume}export the best epoch: lab export {run}")
        elif not isinstance(stop, LabError):
            self.screen.say(f"no epoch was finished, so {run} cannot be resumed; train anew")

    @contextmanager
    def told_when_stopped(self) -> Iterator[None]:
        """Keep what is finished, whatever ends the run, and say how to go on."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, LabError) as stop:
            self.record.flush()
            self._say_how_to_go_on(stop)
            raise
        except RuntimeError as error:
            self.record.flush()
            if not is_out_of_memory(error):
                raise
            raise DeviceError(_too_large(self.device, self.now)) from error


def _decoded(table: Table, settings: ResolvedConfig, screen: Screen, world: World) -> Canvases:
    """The images as a stage sees them; one process decodes, the others find them in the cache."""
    with world.one_first():
        return load_data(table, settings, spec_of(settings), screen)


def _record(
    config: TrainConfig,
    stages: tuple[ResolvedConfig, ...],
    table: Table,
    last: Snapshot | None,
    resume: Path | None,
    world: World,
) -> Record:
    """A new run's record, or that of a run to go on with."""
    if resume and last:
        now = {"fingerprint": table.fingerprint()}
        _require_same_data(table.source, now, last.best.card, resume)
        record = Record(resume, config, table, world.writes)
        record.resume(last)
        return record
    out = Path(config.out).expanduser()
    run = world.agreed(new_run(out, config.architecture, datetime.now()) if world.writes else out)
    record = Record(run, config, table, world.writes)
    record.start(_filled(config, stages), table)
    return record


def _require_same_data(root: Path, now: Mapping[str, Any], card: ModelCard, run: Path) -> None:
    """See that the images have the fingerprint of those of the run's epochs before, whose card it is."""
    if now["fingerprint"] != card.provenance["data"]["fingerprint"]:
        raise DataError(f"{root} is not as it was when {run} began; train anew")


def _filled(config: TrainConfig, stages: tuple[ResolvedConfig, ...]) -> TrainConfig:
    """The config with the values that were open as they are, so that a recipe says on any device what the run did."""
    open_names = ("device", "epochs", "batch_size", "base_batch_size", "image_size", "learning_rate")
    values = {name: {getattr(stage, name) for stage in stages} for name in open_names}
    return replace(config, **{name: found.pop() for name, found in values.items() if len(found) == 1})


def _too_large(device: torch.device, settings: ResolvedConfig) -> str:
    smaller = f"--accumulate {settings.accumulate * 2}, " if settings.batch_size >= 4 * settings.accumulate else ""
    return (
        f"the memory of {device} is exhausted by batches of {settings.batch_size // settings.accumulate} images of "
        f"{settings.image_size} px; try {smaller}a smaller --batch-size or --image-size, or a smaller network"
    )
