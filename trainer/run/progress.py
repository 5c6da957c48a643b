"""Progress of an epoch: the bar, and an estimate of the duration."""

from infer.core.console import Bar, Screen
from infer.core.text import counted, duration
from trainer.run.loop import Trainer
from trainer.run.run_folder import RunFolder

EARLY = 3.0
"""Seconds of training before the duration is estimated."""
WRONG = 0.2
"""An estimate that was off by this share is corrected,"""
WORTH_SAYING = 60.0
"""where at least these seconds remain."""


class Progress:
    """Moves the bar; in the first epoch of a stage it also says once how long the stage will take."""

    def __init__(self, folder: RunFolder, trainer: Trainer, bar: Bar, screen: Screen) -> None:
        self._trainer, self._bar, self._screen = trainer, bar, screen
        self._number = folder.epochs + 1
        self._estimated = self._number > trainer.first_epoch
        best, monitor = folder.best, trainer.settings.monitor
        self._best = "" if best is None else f"  best {monitor} {best.score[0]:.2%}"
        self._images_so_far = 0
        self._first: tuple[int, float] | None = None
        """Images and seconds at the first call."""
        self._expected: float | None = None
        """Seconds that an epoch was said to take."""

    def __call__(self, images: int, loss: float, rate: float) -> None:
        """Show that `images` of the epoch are trained, their mean loss, and the images per second."""
        self._images_so_far = images
        trainer = self._trainer
        before = (self._number - trainer.first_epoch) * self._images
        last = trainer.first_epoch + trainer.settings.epochs - 1
        note = f"epoch {self._number}/{last}  {rate:.0f} images/s  loss {loss:.3f}{self._best}"
        self._bar.step(before + images, note)
        if not self._estimated:
            self._estimate(images, images / rate)

    def _estimate(self, images: int, seconds: float) -> None:
        """Say the duration once; the first steps, in which a GPU tunes and torch compiles, do not count."""
        start, before = self._first or (0, 0.0)
        early = self._first is None or seconds - before < EARLY
        self._first = self._first or (images, seconds)
        if early and images < self._images:
            return
        self._estimated, trainer = True, self._trainer
        rate = (images - start) / (seconds - before)
        images_per_epoch = self._images + len(trainer.valid_rows) / 3  # the forward pass is a third of a training step
        epochs = trainer.settings.epochs
        self._expected = images_per_epoch / rate
        total = duration(epochs * self._expected)
        self._screen.say(f"{trainer.device.type}, {rate:.0f} images/s: about {total} for {counted(epochs, 'epoch')}")

    def correct_estimate(self, seconds: float) -> None:
        """Say how long the rest of the stage will take, where its first epoch took longer or shorter than expected.

        Args:
            seconds: that the epoch took with its validation, as measured.
        """
        remaining = seconds * (self._trainer.settings.epochs - 1)
        if self._expected and abs(seconds / self._expected - 1) > WRONG and remaining >= WORTH_SAYING:
            self._screen.say(f"an epoch took {duration(seconds)} with validation: about {duration(remaining)} remain")

    def stopped_text(self) -> str:
        """Where the run stopped, and what resuming repeats."""
        return f"stopped in epoch {self._number}, whose {self._images_so_far} images of {self._images} will be repeated"

    @property
    def _images(self) -> int:
        """Images in an epoch."""
        return self._trainer.steps * self._trainer.settings.batch_size
