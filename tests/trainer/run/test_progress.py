import io
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infer.core.console import Bar, Screen
from trainer.config import TrainConfig
from trainer.run.loop import Trainer
from trainer.run.progress import EARLY, Progress
from trainer.run.run_folder import Best, RunFolder

IMAGES = 800
"""Images of an epoch: 100 steps of 8."""


class Steps:
    """A bar that notes its steps."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []

    def step(self, done: int, note: str = "") -> None:
        self.seen.append((done, note))


def make_progress(
    screen: Screen, bar: Steps, finished: int = 0, first: int = 1, score: float | None = None
) -> Progress:
    """The progress of the epoch after `finished` ones, in a stage of 5 epochs from number `first` on."""
    settings = TrainConfig(architecture="resnet18", batch_size=8, epochs=5, monitor="f1").resolved("cpu")[0]
    trainer: Any = SimpleNamespace(
        settings=settings, steps=100, first_epoch=first, valid_rows=range(300), device=SimpleNamespace(type="cpu")
    )
    best = None if score is None else cast(Best, SimpleNamespace(score=(score, -0.1)))
    folder: Any = SimpleNamespace(epochs=finished, best=best)
    return Progress(cast(RunFolder, folder), cast(Trainer, trainer), cast(Bar, bar), screen)


def run_epoch(progress: Progress, seconds: list[float]) -> None:
    """Steps of 8 images that take so many seconds each."""
    for step in range(1, len(seconds) + 1):
        progress(8 * step, 0.5, 8 * step / sum(seconds[:step]))


def test_the_bar_counts_the_images_of_the_whole_stage_and_names_epoch_speed_loss_and_best(quiet: Screen) -> None:
    bar = Steps()
    make_progress(quiet, bar)(8, 0.70049, 123.4)
    make_progress(quiet, bar, finished=8, first=7, score=0.9)(16, 0.25, 50.0)
    assert bar.seen == [
        (8, "epoch 1/5  123 images/s  loss 0.700"),
        (2 * IMAGES + 16, "epoch 9/11  50 images/s  loss 0.250  best f1 90.00%"),
    ]


def test_the_estimated_duration_is_printed_once_early_in_the_first_epoch(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    run_epoch(make_progress(screen, Steps()), [0.1] * 20)
    assert text.getvalue() == ""
    run_epoch(make_progress(screen, Steps()), [0.1] * 100)
    # 5 epochs of 800 training images and of 300 validation images at a third of the cost, 80 a second
    assert text.getvalue() == f"cpu, 80 images/s: about {5 * (800 + 100) / 80:.0f} s for 5 epochs\n"


def test_a_slow_first_step_such_as_one_that_is_compiled_does_not_lengthen_the_estimate(
    heard: tuple[Screen, io.StringIO],
) -> None:
    screen, text = heard
    run_epoch(make_progress(screen, Steps()), [60.0] + [0.1] * 50)
    assert text.getvalue() == "cpu, 80 images/s: about 56 s for 5 epochs\n"


def test_the_estimate_for_a_very_short_epoch_is_printed_at_its_end(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    run_epoch(make_progress(screen, Steps()), [EARLY / 200] * 100)
    assert text.getvalue() == "cpu, 533 images/s: about 8 s for 5 epochs\n"


def test_an_epoch_with_a_single_progress_report_gets_an_estimate(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    make_progress(screen, Steps())(IMAGES, 0.5, 400.0)
    assert text.getvalue() == "cpu, 400 images/s: about 11 s for 5 epochs\n"


@pytest.mark.parametrize(("finished", "first"), [(1, 1), (9, 7)])
def test_later_epochs_say_nothing(finished: int, first: int, heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    run_epoch(make_progress(screen, Steps(), finished, first), [0.1] * 100)
    assert text.getvalue() == ""


def test_a_stopped_run_says_what_will_be_repeated(quiet: Screen) -> None:
    progress = make_progress(quiet, Steps(), finished=2)
    assert progress.stopped_text() == "stopped in epoch 3, whose 0 images of 800 will be repeated"
    run_epoch(progress, [0.1] * 7)
    assert progress.stopped_text() == "stopped in epoch 3, whose 56 images of 800 will be repeated"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (12.0, ""),  # 11.25 s were expected
        (16.0, "an epoch took 16 s with validation: about 64 s remain\n"),
        (2.0, ""),  # much less, but then hardly anything remains
    ],
)
def test_an_estimate_that_was_wrong_is_corrected_by_the_first_epoch(
    heard: tuple[Screen, io.StringIO], seconds: float, said: str
) -> None:
    screen, text = heard
    progress = make_progress(screen, Steps())
    run_epoch(progress, [0.1] * 100)
    text.truncate(text.seek(0))
    progress.correct_estimate(seconds)
    assert text.getvalue() == said


def test_without_an_estimate_nothing_is_corrected(heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    make_progress(screen, Steps(), finished=1).correct_estimate(500.0)
    assert text.getvalue() == ""
