"""What the user sees while an epoch runs."""

from infer.core.console import Bar, Screen
from infer.core.text import duration
from trainer.run.loop import Trainer
from trainer.run.run_folder import Record

EARLY = 3.0
"""Seconds of training after which its length can be told."""


class Progress:
    """Moves the bar; in a run's first epoch it also says how long the run will take."""

    def __init__(self, record: Record, trainer: Trainer, bar: Bar, screen: Screen) -> None:
        self._trainer, self._bar, self._screen = trainer, bar, screen
        self._number = record.epochs + 1
        self._told = self._number > trainer.first_epoch
        self._best = "" if record.best is None else f"  best {trainer.settings.monitor} {record.best.score[0]:.2%}"
        self._done = 0
        self._first: tuple[int, float] | None = None
        """Images and seconds when it was first called."""

    def __call__(self, images: int, loss: float, rate: float) -> None:
        """Some images of the epoch are done."""
        self._done = images
        trainer = self._trainer
        before = (self._number - trainer.first_epoch) * self._images
        last = trainer.first_epoch + trainer.settings.epochs - 1
        note = f"epoch {self._number}/{last}  {rate:.0f} images/s  loss {loss:.3f}{self._best}"
        self._bar.step(before + images, note)
        if not self._told:
            self._tell_length(images, images / rate)

    def _tell_length(self, images: int, seconds: float) -> None:
        """Say once how long it takes in all; the first steps, in which a GPU tunes and torch compiles, do not count."""
        start, before = self._first or (0, 0.0)
        early = self._first is None or seconds - before < EARLY
        self._first = self._first or (images, seconds)
        if early and images < self._images:
            return
        self._told, trainer = True, self._trainer
        rate = (images - start) / (seconds - before)
        whole = self._images + len(trainer.valid_rows) / 3  # forward is a third of a training step
        epochs = trainer.settings.epochs
        total = duration(epochs * whole / rate)
        self._screen.say(f"{trainer.device.type}, {rate:.0f} images/s: about {total} for {epochs} epochs")

    def place(self) -> str:
        """Where the run is, for one who stops it."""
        return f"stopped in epoch {self._number}, whose {self._done} images of {self._images} will be done again; "

    @property
    def _images(self) -> int:
        return self._trainer.steps * self._trainer.settings.batch_size
