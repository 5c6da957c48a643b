"""When torch.compile pays for itself, and training without it where it fails."""

from infer.core.console import Screen
from infer.core.errors import TrainingError
from infer.core.text import duration
from trainer.config import ResolvedConfig
from trainer.model.architectures import ARCHITECTURES
from trainer.run.epoch import EpochResult, OnStep
from trainer.run.loop import Trainer

GAIN = 0.2
"""Share of the training time that compiling saves: a rough guess, not measured; bench/train.py --compile measures."""


class CompilingRunner:
    """Runs epochs, and compiles the step before the first one (`on`), or once the remaining time is known (`auto`)."""

    def __init__(self, settings: ResolvedConfig, screen: Screen) -> None:
        self._settings, self._screen = settings, screen
        self._wanted = settings.compile == "on"
        self._compiled = False

    def run(self, trainer: Trainer, number: int, end: int, on_step: OnStep) -> EpochResult:
        """Run epoch `number` of those before `end`.

        Raises:
            TrainingError: `on`, and torch.compile fails.
        """
        if self._wanted and not self._compiled:
            trainer.compile()
            self._compiled = True
        epoch = self._try(trainer, number, on_step)
        if epoch is None:
            trainer.compile(False)
            epoch = trainer.run_epoch(number, on_step)
        seconds = trainer.steps * self._settings.batch_size / epoch.images_per_second
        self._decide(trainer, seconds * (end - number - 1))
        return epoch

    def _try(self, trainer: Trainer, number: int, on_step: OnStep) -> EpochResult | None:
        """Run an epoch; None where the compiler fails, which it does in the first step, before weights change."""
        try:
            return trainer.run_epoch(number, on_step)
        except Exception as error:
            if not (self._compiled and _is_from_compiler(error)):
                raise
            cause = getattr(error, "inner_exception", error)  # which the compiler's own error wraps
            reason = f"{type(cause).__name__}: {cause}".partition("\n")[0]
            if self._settings.compile == "on":
                raise TrainingError(f"torch.compile failed ({reason}); give --compile off") from error
            self._screen.say(f"torch.compile failed ({reason}); continuing without it")
            return None

    def _decide(self, trainer: Trainer, remaining: float) -> None:
        """After an epoch: compile if it pays for the seconds of training that remain."""
        if self._compiled or self._settings.compile != "auto" or trainer.device.type != "cuda":
            return
        remaining = trainer.group.broadcast(remaining)
        compile_seconds = ARCHITECTURES[self._settings.architecture].compile_seconds
        self._wanted = remaining * GAIN > 2 * compile_seconds
        if self._wanted:
            self._screen.say(
                f"compiling the training step, which takes about {duration(compile_seconds)}: "
                f"{duration(remaining)} of training remain"
            )


def _is_from_compiler(error: Exception) -> bool:
    """Whether torch.compile's own machinery raised the error."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
