"""When torch.compile pays for itself, and what happens where it cannot."""

from infer.core.console import Screen
from infer.core.errors import TrainingError
from infer.core.text import duration
from trainer.config import ResolvedConfig
from trainer.model.architectures import ARCHITECTURES
from trainer.run.loop import Epoch, OnStep, Trainer

GAIN = 0.2
"""Share of the training time that compiling saves: 25% was measured for ResNet-18 at batch size 256 on an H100."""


class Compiling:
    """Runs epochs, and compiles the step before the first one (`on`) or once the work ahead is known (`auto`)."""

    def __init__(self, settings: ResolvedConfig, screen: Screen) -> None:
        self._settings, self._screen = settings, screen
        self._wanted = settings.compile == "on"
        self._compiled = False

    def run(self, trainer: Trainer, number: int, end: int, on_step: OnStep) -> Epoch:
        """Epoch `number` of those before `end`.

        Raises:
            TrainingError: `on`, and it cannot be compiled here.
        """
        if self._wanted and not self._compiled:
            trainer.compile()
            self._compiled = True
        epoch = self._tried(trainer, number, on_step)
        if epoch is None:
            trainer.compile(False)
            epoch = trainer.run_epoch(number, on_step)
        trained = trainer.steps * self._settings.batch_size / epoch.images_per_second
        self._decide(trainer, trained * (end - number - 1))
        return epoch

    def _tried(self, trainer: Trainer, number: int, on_step: OnStep) -> Epoch | None:
        """The epoch; None where the compiler failed, which it does in an epoch's first step, before weights change."""
        try:
            return trainer.run_epoch(number, on_step)
        except Exception as error:
            if not (self._compiled and _is_compilers(error)):
                raise
            cause = getattr(error, "inner_exception", error)  # what the compiler's own error wraps
            what = f"{type(cause).__name__}: {cause}".partition("\n")[0]
            if self._settings.compile == "on":
                raise TrainingError(f"torch.compile fails here ({what}); give --compile off") from error
            self._screen.say(f"torch.compile fails here ({what}); going on without")
            return None

    def _decide(self, trainer: Trainer, ahead: float) -> None:
        """After an epoch: whether the seconds of training that lie ahead are worth it."""
        if self._compiled or self._settings.compile != "auto" or trainer.device.type != "cuda":
            return
        ahead, costs = trainer.world.agreed(ahead), ARCHITECTURES[self._settings.architecture].compile_seconds
        self._wanted = ahead * GAIN > 2 * costs
        if self._wanted:
            self._screen.say(
                f"compiling the step: {duration(ahead)} of training lie ahead, it takes about {duration(costs)}"
            )


def _is_compilers(error: Exception) -> bool:
    """Whether it was raised by torch.compile's own machinery."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
