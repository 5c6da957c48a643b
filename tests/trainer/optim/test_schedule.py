import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from trainer.config import ResolvedConfig, TrainConfig
from trainer.optim.schedule import Plateau, rate_factor

SCHEDULES = ("constant", "cosine", "one-cycle", "step", "plateau")


def settings_of(**options: Any) -> ResolvedConfig:
    return TrainConfig(architecture="resnet18", **options).resolved("cpu")[0]


def factors(settings: ResolvedConfig, steps: int) -> list[float]:
    return [rate_factor(settings, step, steps) for step in range(settings.epochs * steps)]


def sgd(rate: float = 1.0) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def rates(optimizer: SGD, scheduler: LRScheduler, steps: int) -> list[float]:
    """The learning rate of each step as torch's scheduler sets it."""
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_cosine_is_torchs() -> None:
    optimizer = sgd()
    expected = rates(optimizer, CosineAnnealingLR(optimizer, T_max=35), 35)
    assert factors(settings_of(schedule="cosine", epochs=5), 7) == pytest.approx(expected, abs=1e-9)


def test_warm_up_is_torchs_linear_rise_and_the_schedule_follows_it() -> None:
    optimizer, rise = sgd(), 14
    warm, rest = LinearLR(optimizer, 1 / (rise + 1), 1.0, rise), CosineAnnealingLR(optimizer, T_max=35 - rise)
    expected = rates(optimizer, SequentialLR(optimizer, [warm, rest], [rise]), 35)
    assert factors(settings_of(schedule="cosine", epochs=5, warmup=2.0), 7) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("milestones", [(0.5,), (0.6, 0.85), (0.85, 0.6), (0.07, 0.55)])
def test_step_drops_in_the_same_steps_as_torchs_even_where_a_share_is_no_binary_number(
    milestones: tuple[float, ...],
) -> None:
    optimizer = sgd()
    places = [round(share * 100) for share in milestones]
    expected = rates(optimizer, MultiStepLR(optimizer, places, gamma=0.2), 100)
    found = factors(settings_of(schedule="step", epochs=20, milestones=milestones, drop=0.2), 5)
    assert found == pytest.approx(expected)


def test_one_cycle_is_torchs_to_within_one_step() -> None:
    optimizer = sgd()
    expected = rates(optimizer, OneCycleLR(optimizer, 1.0, total_steps=1000, cycle_momentum=False), 1000)
    found = factors(settings_of(schedule="one-cycle", epochs=10), 100)
    assert found == pytest.approx(expected, abs=np.abs(np.diff(expected)).max())
    assert (found[0], found[-1]) == pytest.approx((expected[0], expected[-1]), rel=1e-6)
    assert max(found) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("epochs", "steps", "warmup"), [(1, 1, 0.0), (1, 1, 5.0), (2, 3, 0.0), (3, 4, 99.0)])
def test_every_factor_is_above_0_and_at_most_1_however_short_the_stage(
    schedule: str, epochs: int, steps: int, warmup: float
) -> None:
    found = factors(settings_of(schedule=schedule, epochs=epochs, warmup=warmup), steps)
    assert all(0 < factor <= 1 for factor in found)


def test_a_warm_up_that_is_too_long_ends_in_the_middle_of_the_stage() -> None:
    found = factors(settings_of(epochs=4, warmup=99.0), 5)
    assert found[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert found[10:] == [1.0] * 10


def test_a_warm_up_may_end_within_an_epoch() -> None:
    found = factors(settings_of(schedule="cosine", epochs=4, warmup=0.5), 5)
    assert found[:3] == pytest.approx([1 / 3.5, 2 / 3.5, 3 / 3.5])
    assert found[3] == pytest.approx(0.5 + 0.5 * math.cos(math.pi * 0.5 / 17.5))


@pytest.mark.parametrize("patience", [1, 2, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_plateau_is_torchs(patience: int, seed: int) -> None:
    optimizer = sgd()
    # torch drops after more than `patience` epochs without a better metric, ours after as many
    reference = ReduceLROnPlateau(optimizer, "max", factor=0.5, patience=patience - 1, threshold=0.0, eps=0.0)
    settings = settings_of(schedule="plateau", plateau=patience, drop=0.5)
    plateau, found, expected = Plateau(), [], []
    for metric in np.random.default_rng(seed).integers(0, 30, 40) / 30:
        plateau.update(float(metric), settings)
        reference.step(float(metric))
        found.append(plateau.factor)
        expected.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx(expected)
    assert found[-1] < 1


def test_a_metric_that_is_no_number_is_no_better_one() -> None:
    plateau, settings = Plateau(), settings_of(schedule="plateau", plateau=2, drop=0.1)
    for metric in (0.5, math.nan, math.nan):
        plateau.update(metric, settings)
    assert (plateau.factor, plateau.best) == (pytest.approx(0.1), 0.5)


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "plateau"])
def test_only_plateau_lets_the_metric_lower_the_rate(schedule: str) -> None:
    plateau = Plateau()
    for _ in range(20):
        plateau.update(0.5, settings_of(schedule=schedule, plateau=1))
    assert plateau.factor == 1
