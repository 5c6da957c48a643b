"""The history as TensorBoard events, with --tensorboard."""

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from infer.core.errors import MissingExtraError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardLog:
    """Writes the figures of each epoch to the folder `tensorboard` of the run; without a writer it does nothing."""

    def __init__(self, writer: "SummaryWriter | None") -> None:
        self._writer = writer

    def add(self, row: Mapping[str, float | int]) -> None:
        """Write a row of the history."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name not in ("epoch", "best", "monitored"):
                split, _, metric = name.partition("_")
                tag = f"{metric}/{split}" if split in ("train", "valid") else f"run/{name}"
                self._writer.add_scalar(tag, value, row["epoch"])
        self._writer.flush()  # so that a killed run keeps the epochs it finished


def require_tensorboard() -> None:
    """Raise MissingExtraError unless TensorBoard is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError(
            "--tensorboard needs the package tensorboard; run pip install '.[train,tensorboard]' in lab's folder"
        )


@contextlib.contextmanager
def open_tensorboard(enabled: bool, run: Path, epochs: int = 0) -> Iterator[TensorBoardLog]:
    """A log for the duration of a run. A run that is resumed after `epochs` purges what was logged for later ones."""
    if not enabled:
        yield TensorBoardLog(None)
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "tensorboard"), purge_step=epochs + 1 if epochs else None) as writer:
        yield TensorBoardLog(writer)
