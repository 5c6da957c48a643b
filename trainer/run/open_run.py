"""Opens the folder of a run: a new one, or the one to resume."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import torch

from infer.core.exclusive import exclusive
from infer.core.files import expand_home
from trainer.config import ResolvedConfig, TrainConfig
from trainer.data.cache import Canvases
from trainer.run.distributed import ProcessGroup
from trainer.run.run_folder import RunFolder, new_run
from trainer.run.run_record import Part, RunRecord, pixels_sha256, read_record, training_environment
from trainer.run.same_data import require_same_data
from trainer.run.snapshot import Snapshot


@contextlib.contextmanager
def open_run(
    config: TrainConfig,
    stages: tuple[ResolvedConfig, ...],
    canvases: Canvases,
    device: torch.device,
    snapshot: Snapshot | None,
    resume: Path | None,
    group: ProcessGroup,
) -> Iterator[RunFolder]:
    """Yield the folder of a new run, or of the run to resume, which no other process writes while the block runs.

    Raises:
        DataError: the run to resume was trained on other data.
        OutputError: the folder cannot be written, or another process trains this run.
    """
    table, part = canvases.table, Part(len(snapshot.rows) + 1 if snapshot else 1, training_environment(device, group))
    out = resume or expand_home(config.out)

    def start(run: Path) -> None:
        RunFolder(run, config, table).start(_with_resolved_values(config, stages), table)
        RunRecord((part,), pixels_sha256(canvases)).write(run)

    new = new_run(out, config.architecture, datetime.now(), start) if group.is_main and not resume else out
    path = resume or group.broadcast(new)
    with exclusive(path, remedy="start a new run") if group.is_main else contextlib.nullcontext():
        folder = RunFolder(path, config, table, group.is_main)
        if resume and snapshot:
            require_same_data(table, table.fingerprint(), snapshot.best.card, resume)
            folder.resume(snapshot)
            if group.is_main:
                (read_record(resume) or RunRecord(())).resumed(part).write(resume)
        yield folder


def _with_resolved_values(config: TrainConfig, stages: tuple[ResolvedConfig, ...]) -> TrainConfig:
    """The config with its open values filled in where all stages agree, so that a recipe repeats the run anywhere."""
    open_names = ("bits", "device", "epochs", "batch_size", "base_batch_size", "image_size", "learning_rate")
    values = {name: {getattr(stage, name) for stage in stages} for name in open_names}
    return replace(config, **{name: choices.pop() for name, choices in values.items() if len(choices) == 1})
