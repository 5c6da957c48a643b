"""`lab train`: from a data set to the folder of a run with the best checkpoint."""

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from infer.core.console import Screen
from infer.core.errors import DeviceError, LabError, TrainingError
from infer.core.formulas import tell_formulas
from infer.core.text import counted
from infer.dataset.table import Table
from infer.model.card import ModelCard
from infer.model.onnx_session import is_out_of_memory
from trainer.config import ResolvedConfig, TrainConfig
from trainer.data.cache import Canvases
from trainer.data.cache_limit import require_within_limit
from trainer.data.load import load_data, read_data, with_bits
from trainer.model.checkpoint import weights_sha256
from trainer.model.network import PixelNet, build_network
from trainer.run.compile import CompilingRunner
from trainer.run.distributed import ProcessGroup, check_processes, process_group
from trainer.run.epoch_metrics import monitored_metric
from trainer.run.loop import Trainer
from trainer.run.open_run import open_run
from trainer.run.precision import has_bf16, resolve_precision, tell_precision
from trainer.run.progress import Progress
from trainer.run.run_folder import RunFolder, TrainResult
from trainer.run.run_record import record_start
from trainer.run.same_data import Repeat, require_same_data
from trainer.run.setup import load_start_weights, make_card, out_of_memory_text, pick_device, stage_spec
from trainer.run.snapshot import Snapshot, load_snapshot
from trainer.run.tensorboard import TensorBoardLog, open_tensorboard, require_tensorboard


def train(config: TrainConfig, screen: Screen, resume: Path | None = None, repeat: Repeat | None = None) -> TrainResult:
    """Train a network and keep the epoch with the best monitored metric on the validation images.

    Args:
        config: the run; with `resume`, the config of that run.
        screen: what the user sees.
        resume: folder of a run to continue after the last epoch in its last.ckpt.
        repeat: the run that this one repeats: it is refused on other data, and stops after the same epoch.

    Raises:
        LabError: any subclass. A run's folder that was created keeps what its finished epochs wrote.
        KeyboardInterrupt: Ctrl-C; the folder has curves and report as well.
    """
    device = pick_device(config.device)
    with process_group(device.type) as group:
        if device.type == "cuda" and group.world_size > 1:
            device = torch.device("cuda", group.local_rank)
        return _train(config, screen, resume, repeat, device, group)


def _train(
    config: TrainConfig,
    screen: Screen,
    resume: Path | None,
    repeat: Repeat | None,
    device: torch.device,
    group: ProcessGroup,
) -> TrainResult:
    if config.tensorboard:
        require_tensorboard()
    snapshot = load_snapshot(resume) if resume else None
    is_begun = resume is not None or repeat is not None
    wanted = config.precision
    precision = group.broadcast(resolve_precision(wanted, device, is_begun))  # all processes compute in that of one
    config = replace(config, precision=resolve_precision(precision, device, is_begun))
    stages = config.resolved(device.type)
    for settings in stages:  # errors of any stage come before the work
        stage_spec(settings)
        check_processes(settings, device.type, group)
    with group.local_main_first():
        table = read_data(stages[0], screen)
        bits = with_bits(stages[0], table, screen).bits
        stages = tuple(replace(settings, bits=bits) for settings in stages)
    monitored_metric(config.monitor, table)
    for settings in stages:
        require_within_limit(len(table) * 3 * math.prod(stage_spec(settings).canvas))
    canvases = _decode(table, stages[snapshot.stage if snapshot else 0], screen, group)
    if repeat:
        repeat.check(canvases.table)
    with open_run(config, stages, canvases, device, snapshot, resume, group) as folder:
        screen.say(f"run: {folder.path}" + (f", resumed after epoch {folder.epochs}" if snapshot else ""))
        tell_precision(wanted, device, screen, is_begun)
        tell_formulas(screen, canvases.table.names)
        last_epoch = repeat.epochs if repeat else None
        run = _Run(stages, folder, screen, device, group, canvases.table, canvases, stages[0], last_epoch)
        del canvases
        logging = config.tensorboard and group.is_main
        with run.saved_when_stopped(), open_tensorboard(logging, folder.path, folder.epochs) as log:
            run.train(log, snapshot)
        return folder.finish()


@dataclass
class _Run:
    """The state that the stages of a run share."""

    stages: tuple[ResolvedConfig, ...]
    folder: RunFolder
    screen: Screen
    device: torch.device
    group: ProcessGroup
    table: Table
    canvases: Canvases | None
    """Images of the first stage; None once it has started."""
    settings: ResolvedConfig
    """The current stage."""
    last_epoch: int | None = None
    """Epoch after which the run stops, in whichever stage that is; None: at the end of the stages."""
    progress: Progress | None = None
    """Progress of the current epoch; None between epochs."""

    def train(self, log: TensorBoardLog, snapshot: Snapshot | None) -> None:
        """Train all stages, or those that remain after the snapshot."""
        network: PixelNet | None = None
        for index, settings in enumerate(self.stages):
            if snapshot and index < snapshot.stage:
                continue
            self.settings = settings
            trainer, card = self._start_stage(
                index, network, snapshot if snapshot and index == snapshot.stage else None
            )
            self._run_epochs(index, trainer, card, log)
            network = trainer.validated
            if self._is_stopped:
                break
            del trainer
            if index + 1 < len(self.stages):  # the next stage asks how much memory and disk is free
                gc.collect()
                torch.cuda.empty_cache()
        self.folder.flush()

    def _start_stage(self, index: int, before: PixelNet | None, snapshot: Snapshot | None) -> tuple[Trainer, ModelCard]:
        """The trainer and the card of a stage that starts after the network `before`, or within the snapshot."""
        settings, folder = self.settings, self.folder
        canvases = self.canvases or _decode(self.table, settings, self.screen, self.group)
        self.canvases = None
        card = make_card(settings, canvases)
        if folder.best:
            require_same_data(self.table, card.provenance["data"]["fingerprint"], folder.best.card, folder.path)
        network = self._network(card, before, resumed=snapshot is not None)
        first_epoch = snapshot.first_epoch if snapshot else folder.epochs + 1
        trainer = Trainer(settings, card.pixels, canvases, network, self.device, self.group, first_epoch)
        if snapshot:
            trainer.load_state(snapshot.trainer)
        else:
            folder.waiting = 0
            self._say_stage(index)
            self._say_left_out(trainer)
            if before is None and folder.epochs == 0 and self.group.is_main:
                record_start(folder.path, weights_sha256(network.backbone.state_dict()))
        self._say_precision(trainer)
        return trainer, card

    def _run_epochs(self, index: int, trainer: Trainer, card: ModelCard, log: TensorBoardLog) -> None:
        """Run the epochs of one stage with one progress bar, and print a line for each."""
        settings, folder = self.settings, self.folder
        end = trainer.first_epoch + settings.epochs
        runner = CompilingRunner(settings, self.screen)
        with self.screen.bar("training", trainer.steps * settings.batch_size * settings.epochs) as bar:
            while folder.epochs + 1 < end and not self._is_stopped:
                if settings.patience and folder.waiting >= settings.patience:
                    self.screen.say(
                        f"early stopping: {settings.monitor} has not improved for {counted(folder.waiting, 'epoch')}"
                    )
                    break
                self.progress = Progress(folder, trainer, bar, self.screen)
                epoch = runner.run(trainer, folder.epochs + 1, end, self.progress)
                progress, self.progress = self.progress, None
                self.screen.say(folder.add(epoch, trainer, card, index))
                progress.correct_estimate(epoch.seconds)
                log.add(folder.last_row)
        if line := folder.settle_best(trainer, index):
            self.screen.say(line)

    @property
    def _is_stopped(self) -> bool:
        return self.last_epoch is not None and self.folder.epochs >= self.last_epoch

    def _network(self, card: ModelCard, before: PixelNet | None, resumed: bool) -> PixelNet:
        """The network that a stage starts with; where it is resumed, the snapshot's weights will replace these."""
        torch.manual_seed(self.settings.seed)
        network = build_network(card)
        best = self.folder.best
        if before is not None and self.settings.stage_start == "last":
            network.backbone.load_state_dict(before.backbone.state_dict())
        elif before is not None and best is not None:
            network.backbone.load_state_dict(best.weights)
        elif not resumed:
            load_start_weights(network.backbone, self.settings, self.screen)
        return network

    def _say_stage(self, index: int) -> None:
        if len(self.stages) > 1:
            settings = self.settings
            values = (
                f"{settings.image_size} px, {counted(settings.epochs, 'epoch')}, learning rate {settings.peak_rate:g}"
            )
            start = f", from the {settings.stage_start} weights" if index else ""
            self.screen.say(f"stage {index + 1} of {len(self.stages)}: {values}{start}")

    def _say_precision(self, trainer: Trainer) -> None:
        if self.device.type == "cuda":
            why = "" if has_bf16(self.device) else ", since this GPU has no bfloat16"
            where = "kept on the GPU" if trainer.loader.resident else "streamed from the cache, since they do not fit"
            self.screen.say(f"training in {trainer.arithmetic}{why}; images are {where}")

    def _say_left_out(self, trainer: Trainer) -> None:
        images, size = len(trainer.train_rows), self.settings.batch_size
        if (rest := images % size) > images / 20:
            self.screen.say(
                f"{rest} of {images} training images, different ones in each epoch, fill no batch of {size}"
            )

    def _say_next_steps(self, stop: BaseException) -> None:
        path = self.folder.path
        if self.folder.best is not None:
            self.folder.finish()
            if isinstance(stop, TrainingError):  # which resuming would only repeat
                self.screen.say(f"export the best epoch: lab export {path}")
                return
            stopped = f"{self.progress.stopped_text()}; " if self.progress else ""
            self.screen.say(f"{stopped}resume: lab train --resume {path}\nor export the best epoch: lab export {path}")
        elif not isinstance(stop, LabError):
            self.screen.say(f"no epoch was finished, so {path} cannot be resumed; start a new run")

    @contextmanager
    def saved_when_stopped(self) -> Iterator[None]:
        """Save the finished epochs if anything stops the run, and say how to continue."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, LabError) as stop:
            self.folder.flush()
            self._say_next_steps(stop)
            raise
        except RuntimeError as error:
            self.folder.flush()
            if not is_out_of_memory(error):
                raise
            raise DeviceError(out_of_memory_text(self.device, self.settings)) from error


def _decode(table: Table, settings: ResolvedConfig, screen: Screen, group: ProcessGroup) -> Canvases:
    """The canvases of a stage; one process decodes them, the others find them in the cache."""
    with group.local_main_first():
        return load_data(table, settings, stage_spec(settings), screen)
