"""History rows for TensorBoard, where the user asked for them."""

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from infer.core.errors import MissingExtraError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Board:
    """Writes each epoch's figures into the run's folder `tensorboard`, or nowhere."""

    def __init__(self, writer: "SummaryWriter | None") -> None:
        self._writer = writer

    def add(self, row: Mapping[str, float | int]) -> None:
        """A row of the history."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name not in ("epoch", "best", "monitored"):
                kind, _, what = name.partition("_")
                grouped = f"{what}/{kind}" if kind in ("train", "valid") else f"run/{name}"
                self._writer.add_scalar(grouped, value, row["epoch"])
        self._writer.flush()  # a run that is killed has written what it finished


def require_tensorboard() -> None:
    """Raises MissingExtraError where TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError(
            "--tensorboard needs the package tensorboard; run pip install '.[train,tensorboard]' in lab's folder"
        )


@contextlib.contextmanager
def open_board(wanted: bool, run: Path, epochs: int = 0) -> Iterator[Board]:
    """A board for the length of a run, which may go on after `epochs`: what was told of later ones then goes."""
    if not wanted:
        yield Board(None)
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "tensorboard"), purge_step=epochs + 1 if epochs else None) as writer:
        yield Board(writer)
