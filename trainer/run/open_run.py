"""Opens the folder of a run: a new one, or the one to resume."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from infer.core.exclusive import exclusive
from infer.core.files import expand_home
from infer.dataset.table import Table
from trainer.config import ResolvedConfig, TrainConfig
from trainer.run.distributed import ProcessGroup
from trainer.run.run_folder import RunFolder, new_run
from trainer.run.same_data import require_same_data
from trainer.run.snapshot import Snapshot


@contextlib.contextmanager
def open_run(
    config: TrainConfig,
    stages: tuple[ResolvedConfig, ...],
    table: Table,
    snapshot: Snapshot | None,
    resume: Path | None,
    group: ProcessGroup,
) -> Iterator[RunFolder]:
    """Yield the folder of a new run, or of the run to resume, which no other process writes while the block runs.

    Raises:
        DataError: the run to resume was trained on other data.
        OutputError: the folder cannot be written, or another process trains this run.
    """
    out = resume or expand_home(config.out)
    path = out if resume else group.broadcast(_new_run(out, config, stages, table) if group.is_main else out)
    with exclusive(path, remedy="start a new run") if group.is_main else contextlib.nullcontext():
        folder = RunFolder(path, config, table, group.is_main)
        if resume and snapshot:
            require_same_data(table, table.fingerprint(), snapshot.best.card, resume)
            folder.resume(snapshot)
        yield folder


def _new_run(runs: Path, config: TrainConfig, stages: tuple[ResolvedConfig, ...], table: Table) -> Path:
    """Create a run's folder with its recipe and its data table. Raises OutputError."""

    def write_start(folder: Path) -> None:
        RunFolder(folder, config, table).start(_with_resolved_values(config, stages), table)

    return new_run(runs, config.architecture, datetime.now(), write_start)


def _with_resolved_values(config: TrainConfig, stages: tuple[ResolvedConfig, ...]) -> TrainConfig:
    """The config with its open values filled in where all stages agree, so that a recipe repeats the run anywhere."""
    open_names = ("bits", "device", "epochs", "batch_size", "base_batch_size", "image_size", "learning_rate")
    values = {name: {getattr(stage, name) for stage in stages} for name in open_names}
    return replace(config, **{name: choices.pop() for name, choices in values.items() if len(choices) == 1})
