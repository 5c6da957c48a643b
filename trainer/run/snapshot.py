"""last.ckpt: everything that a run needs to go on as if it had never been stopped."""

import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infer.core.errors import ModelError
from infer.core.files import atomic_write
from infer.model.runs import SNAPSHOT

VERSION = 1
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, pickle.UnpicklingError)


def cloned(state: Any) -> Any:
    """A copy of nested dicts, lists and tuples, its tensors on the CPU, where they share no memory with the original's.

    A GPU's memory is left to the training.
    """
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: cloned(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(cloned(value) for value in state)
    return state


def save_snapshot(run: Path, state: dict[str, Any]) -> None:
    """Write a run's last.ckpt, atomically. Raises OutputError."""
    with atomic_write(run / SNAPSHOT) as draft:
        torch.save({"version": VERSION, **state}, draft)


def load_snapshot(run: Path) -> dict[str, Any]:
    """What `save_snapshot` wrote, on the CPU.

    Raises:
        ModelError: there is none, it is damaged, or another version of lab wrote it.
    """
    path = run / SNAPSHOT
    if not path.is_file():
        raise ModelError(f"{run} cannot be resumed: there is no {SNAPSHOT}, so no epoch was finished; train anew")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not compare checksums
        if damaged:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is another")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, LookupError, EOFError, *DAMAGE) as error:
        what = str(error).partition("\n")[0]
        raise ModelError(f"{path} cannot be read ({what}); export the best epoch, or train anew") from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise ModelError(f"{path} was written by another version of lab; export the best epoch, or train anew")
    return state
