import io
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
import torch._dynamo.exc
import torch._inductor.exc

from infer.core.console import Screen
from infer.core.errors import TrainingError
from trainer.config import Compile, TrainConfig
from trainer.model.architectures import ARCHITECTURES
from trainer.run.compile import GAIN, CompilingRunner
from trainer.run.distributed import ProcessGroup
from trainer.run.epoch import EpochResult
from trainer.run.loop import Trainer

BROKEN_COMPILER = torch._inductor.exc.InductorError(RuntimeError("no C++ compiler\nand much more"), None)
BROKEN_BACKEND = torch._dynamo.exc.BackendCompilerFailed(len, RuntimeError("no C++ compiler\nand much more"), None)


@dataclass
class FakeTrainer:
    """Runs epochs of 100 images in `seconds` each, and notes what it is asked to do."""

    device_type: str
    seconds: float = 1.0
    compiled_fails: Exception | None = None
    asked: list[str] = field(default_factory=list)
    steps: int = 10
    compiled: bool = False

    @property
    def group(self) -> ProcessGroup:
        return ProcessGroup()

    @property
    def device(self) -> SimpleNamespace:
        return SimpleNamespace(type=self.device_type)

    def compile(self, wanted: bool = True) -> None:
        self.asked.append("compile" if wanted else "plain")
        self.compiled = wanted

    def run_epoch(self, number: int, on_step: object) -> EpochResult:
        self.asked.append(f"epoch {number}")
        if self.compiled and self.compiled_fails:
            raise self.compiled_fails
        return cast(EpochResult, SimpleNamespace(number=number, images_per_second=100 / self.seconds))


def run_epochs(trainer: FakeTrainer, how: Compile, screen: Screen, epochs: int = 4, first: int = 1) -> list[str]:
    """What a trainer is asked to do in a stage of so many epochs, from number `first` on."""
    settings = TrainConfig(architecture="resnet50", batch_size=10, compile=how).resolved("cuda")[0]
    runner = CompilingRunner(settings, screen)
    for number in range(first, first + epochs):
        epoch = runner.run(cast(Trainer, trainer), number, first + epochs, lambda *_: None)
        assert epoch.number == number
    return trainer.asked


def pays(epochs_ahead: int) -> float:
    """Seconds an epoch above which compiling saves twice what it takes."""
    return 2 * ARCHITECTURES["resnet50"].compile_seconds / GAIN / epochs_ahead


@pytest.mark.parametrize("how", ["auto", "off"])
def test_on_a_cpu_only_on_compiles(how: Compile, quiet: Screen) -> None:
    assert run_epochs(FakeTrainer("cpu", seconds=1e6), how, quiet, 2) == ["epoch 1", "epoch 2"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_on_compiles_once_and_before_the_first_epoch(device: str, quiet: Screen) -> None:
    assert run_epochs(FakeTrainer(device), "on", quiet, 3) == ["compile", "epoch 1", "epoch 2", "epoch 3"]


def test_off_never_compiles_on_a_gpu(quiet: Screen) -> None:
    assert run_epochs(FakeTrainer("cuda", seconds=1e6), "off", quiet, 2) == ["epoch 1", "epoch 2"]


@pytest.mark.parametrize("first", [1, 7])
def test_auto_compiles_once_after_an_epoch_that_leaves_enough_work_ahead(
    first: int, heard: tuple[Screen, io.StringIO]
) -> None:
    screen, text = heard
    asked = run_epochs(FakeTrainer("cuda", seconds=1.01 * pays(3)), "auto", screen, 4, first)
    assert asked == [f"epoch {first}", "compile", *(f"epoch {number}" for number in range(first + 1, first + 4))]
    assert text.getvalue().count("compiling the training step, which takes about 2 min: 15 min of training remain") == 1


def test_auto_goes_on_without_where_the_work_ahead_is_too_little(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    assert run_epochs(FakeTrainer("cuda", seconds=0.99 * pays(3)), "auto", screen, 3) == [
        "epoch 1",
        "epoch 2",
        "epoch 3",
    ]
    assert text.getvalue() == ""


@pytest.mark.parametrize("error", [BROKEN_COMPILER, BROKEN_BACKEND])
def test_a_compiler_that_fails_is_one_line_that_says_why_where_on_was_asked_for(
    error: Exception, quiet: Screen
) -> None:
    with pytest.raises(TrainingError) as caught:
        run_epochs(FakeTrainer("cpu", compiled_fails=error), "on", quiet)
    assert str(caught.value) == "torch.compile failed (RuntimeError: no C++ compiler); give --compile off"


@pytest.mark.parametrize("error", [BROKEN_COMPILER, BROKEN_BACKEND])
def test_a_compiler_that_fails_where_auto_chose_it_is_left_out_and_the_epoch_run_again(
    error: Exception, heard: tuple[Screen, io.StringIO]
) -> None:
    screen, text = heard
    trainer = FakeTrainer("cuda", seconds=1e4, compiled_fails=error)
    asked = run_epochs(trainer, "auto", screen)
    assert asked == ["epoch 1", "compile", "epoch 2", "plain", "epoch 2", "epoch 3", "epoch 4"]
    assert "torch.compile failed (RuntimeError: no C++ compiler); continuing without it" in text.getvalue()


@pytest.mark.parametrize("how", ["auto", "on"])
@pytest.mark.parametrize(
    "error", [TrainingError("the loss became NaN or infinite"), RuntimeError("out of memory"), ValueError()]
)
def test_an_error_that_is_not_the_compilers_stays_what_it_is(how: Compile, error: Exception, quiet: Screen) -> None:
    with pytest.raises(type(error)) as caught:
        run_epochs(FakeTrainer("cuda", seconds=1e4, compiled_fails=error), how, quiet)
    assert caught.value is error


def test_a_compilers_error_in_a_step_that_was_not_compiled_is_not_taken_for_its_failure(quiet: Screen) -> None:
    class Odd(FakeTrainer):
        def run_epoch(self, number: int, on_step: object) -> EpochResult:
            super().run_epoch(number, on_step)
            raise BROKEN_COMPILER

    trainer = Odd("cuda")
    with pytest.raises(torch._inductor.exc.InductorError):
        run_epochs(trainer, "auto", quiet)
    assert trainer.asked == ["epoch 1"]
