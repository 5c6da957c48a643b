"""last.ckpt: all that resuming needs, so that a resumed run ends like one that was never stopped."""

import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infer.core.errors import ModelError
from infer.core.files import atomic_write
from infer.model.card import ModelCard
from infer.model.runs import SNAPSHOT
from trainer.model.torch_zip import require_stored
from trainer.optim.schedule import Plateau

VERSION = 1
"""Version of the layout that `_to_dict` writes and `_from_dict` reads."""
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, pickle.UnpicklingError)

HistoryRow = dict[str, float | int]
"""A row of history.csv, by column."""


@dataclass(frozen=True)
class EmaState:
    """What changes in an `Ema`."""

    network: dict[str, Tensor]
    steps: int


@dataclass(frozen=True)
class TrainerState:
    """What changes while a stage trains."""

    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    """As torch's `Optimizer.state_dict`."""
    ema: EmaState | None
    plateau: Plateau


@dataclass(frozen=True)
class Best:
    """The best epoch so far."""

    score: tuple[float, float]
    """The monitored metric, and the negative validation loss, which decides between equal metrics."""
    title: str
    """Title of the epoch's report."""
    card: ModelCard
    weights: dict[str, Tensor]
    """As the network's `state_dict`."""
    probabilities: Tensor
    """float32 [validation images, K]."""


@dataclass(frozen=True)
class Snapshot:
    """A run at the end of an epoch; all tensors are on the CPU."""

    stage: int
    """Index of the epoch's stage."""
    first_epoch: int
    """Number of the stage's first epoch, counted from 1 over all stages."""
    trainer: TrainerState
    rows: list[HistoryRow]
    """The history up to and including the epoch."""
    waiting: int
    """Epochs of the stage since its best one."""
    best: Best


def cpu_copy(state: Any) -> Any:
    """A deep copy of nested dicts, lists and tuples with all tensors on the CPU: a GPU's memory is for the training."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: cpu_copy(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(cpu_copy(value) for value in state)
    return state


def save_snapshot(run: Path, snapshot: Snapshot) -> None:
    """Write a run's last.ckpt, atomically. Raises OutputError."""
    with atomic_write(run / SNAPSHOT) as draft, draft.open("wb") as file:
        try:
            torch.save({"version": VERSION, **_to_dict(snapshot)}, file)
        except RuntimeError as error:  # torch raises its own after that of a write
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_snapshot(run: Path) -> Snapshot:
    """Read a run's last.ckpt.

    Raises:
        ModelError: it is missing or damaged, or another version of lab wrote it.
    """
    path = run / SNAPSHOT
    if not path.is_file():
        raise ModelError(f"{run} cannot be resumed: there is no {SNAPSHOT}, so no epoch was finished; start a new run")
    try:
        require_stored(path)
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not compare checksums
        if damaged:
            raise zipfile.BadZipFile(f"the checksum of {damaged} does not match")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, LookupError, EOFError, *DAMAGE) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{path} cannot be read ({reason}); export the best epoch, or start a new run") from error
    try:
        if state["version"] != VERSION:
            raise ValueError(f"version {state['version']}")
        return _from_dict(state, path)
    except (LookupError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} was written by another version of lab; export the best epoch, or start a new run"
        ) from error


def _to_dict(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as plain containers, which `torch.load` reads without running code."""
    state, best = snapshot.trainer, snapshot.best
    return {
        "stage": snapshot.stage,
        "first_epoch": snapshot.first_epoch,
        "trainer": {
            "network": state.network,
            "optimizer": state.optimizer,
            "average": state.ema and vars(state.ema),
            "plateau": asdict(state.plateau),
        },
        "rows": snapshot.rows,
        "waiting": snapshot.waiting,
        "best": {**vars(best), "card": best.card.to_json()},
    }


def _from_dict(values: Mapping[str, Any], path: Path) -> Snapshot:
    """Inverse of `_to_dict`. Raises LookupError, TypeError, ValueError or ModelError for other values."""
    state, best = values["trainer"], values["best"]
    return Snapshot(
        stage=values["stage"],
        first_epoch=values["first_epoch"],
        trainer=TrainerState(
            network=state["network"],
            optimizer=state["optimizer"],
            ema=EmaState(**state["average"]) if state["average"] else None,
            plateau=Plateau(**state["plateau"]),
        ),
        rows=values["rows"],
        waiting=values["waiting"],
        best=Best(**{**best, "card": ModelCard.from_json(best["card"], path)}),
    )
