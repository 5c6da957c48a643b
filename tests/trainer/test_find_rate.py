"""The learning-rate range test."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from infer.core.csv_files import read_csv
from trainer.find_rate import HIGHEST, LOWEST, _DivergedError, _Sweep


def test_the_command_draws_and_writes_rising_rates_and_suggests_one_of_them(
    lab: Callable, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, laid_out: None
) -> None:
    monkeypatch.setattr("trainer.find_rate.STEPS", 24)
    out = tmp_path / "rate.png"
    ran = lab("find-rate", "resnet18", "--data", cells, "--image-size", "32", "-b", "4", "--augment", "", "--out", out)
    assert ran.code == 0, ran.err
    assert Image.open(out).size[0] > 600
    header, *rows = read_csv(tmp_path / "rate.csv")
    assert header == ["learning_rate", "loss"]
    rates = [float(rate) for rate, _ in rows]
    assert rates == sorted(rates)
    assert len(set(rates)) == len(rates) > 5
    assert LOWEST <= rates[0] < rates[-1] <= HIGHEST
    lowest = min(rows, key=lambda row: float(row[1]))
    suggested = float(ran.out.partition("--learning-rate ")[2].split()[0])
    assert suggested == pytest.approx(float(lowest[0]) / 10, rel=0.5)


def sweep(rate_at_step: Callable[[int], float] = lambda step: 0.1) -> _Sweep:
    return _Sweep(SimpleNamespace(rate_at_step=rate_at_step, settings=SimpleNamespace(batch_size=2)))


def test_the_running_mean_of_an_epoch_is_taken_apart_into_each_steps_loss() -> None:
    """Smoothing a constant changes nothing, so constant stretches come back as they are."""
    found = sweep()
    for images, mean in ((2, 3.0), (4, 3.0), (6, 3.0)):
        found.add(images, mean, 1.0)
    assert found.losses == pytest.approx([3.0, 3.0, 3.0])
    rising = sweep()
    rising.add(2, 1.0, 1.0)
    rising.add(4, 2.0, 1.0)  # the second step's own loss is 3
    assert rising.losses[1] == pytest.approx((0.1 * 0.9 * 1 + 0.1 * 3) / (1 - 0.9**2))


def test_a_new_epoch_begins_a_new_mean_and_goes_on_with_the_rates() -> None:
    found = sweep(lambda step: float(step))
    found.add(2, 2.0, 1.0)
    found.add(8, 2.0, 1.0)
    found.start = 4
    found.add(2, 2.0, 1.0)
    assert found.losses == pytest.approx([2.0] * 3)
    assert found.rates == [0.0, 2.0, 4.0]


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 1e9])
def test_it_ends_where_the_loss_diverges(loss: float) -> None:
    found = sweep()
    found.add(2, 1.0, 1.0)
    with pytest.raises(_DivergedError):
        found.add(4, loss, 1.0)


def test_it_starts_from_the_weights_that_are_given(lab: Callable, cells: Path, tmp_path: Path) -> None:
    given = ("--data", cells, "--weights", tmp_path / "no.pth", "--image-size", "32", "-b", "8")
    ran = lab("find-rate", "resnet18", *given, "--out", tmp_path / "rate.png")
    assert ran.code == 1
    assert "no.pth do not exist" in ran.err


def test_a_plot_is_not_overwritten_by_its_figures(lab: Callable, cells: Path, tmp_path: Path) -> None:
    ran = lab("find-rate", "resnet18", "--data", cells, "--out", tmp_path / "rate.csv")
    assert ran.code == 2
    assert "--out must end with .png" in ran.err


def test_a_table_beside_the_plot_is_not_overwritten_and_earlier_figures_are(
    lab: Callable, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.find_rate.STEPS", 3)
    data = shutil.copytree(cells, tmp_path / "cells")
    before = (data / "train.csv").read_bytes()
    command = ("find-rate", "resnet18", "--data", data, "--image-size", "32", "-b", "8", "--out")
    ran = lab(*command, data / "train.png")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "train.csv beside --out is not of a range test and would be overwritten; give another --out" in ran.err
    assert (data / "train.csv").read_bytes() == before
    assert [lab(*command, tmp_path / "rate.png").code for _ in range(2)] == [0, 0]
