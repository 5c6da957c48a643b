"""A folder of DICOM files is trained on, exported and predicted, with the window that the training chose."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.dicom_files import save_dicom

from infer.model.card import read_card

WINDOW = "40/400"


def draw(folder: Path, label: str, count: int, brightness: int) -> None:
    """Scans of one class, as a scanner writes them: 12 bits, rescaled, each with a window of its own."""
    random = np.random.default_rng(brightness)
    (folder / label).mkdir(parents=True)
    for number in range(count):
        pixels = random.integers(0, 40, (40, 44), dtype=np.uint16) + brightness
        save_dicom(
            folder / label / f"{number}.dcm",
            pixels,
            BitsStored=12,
            RescaleSlope=1,
            RescaleIntercept=-1024,
            WindowCenter=20 * number,
            WindowWidth=100,
        )


def probabilities(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as lines:
        _, *rows = csv.reader(lines)
    return {row[0]: row[1:] for row in rows}


def test_the_window_of_the_training_goes_into_the_card_and_prediction_applies_it(lab: Callable, tmp_path: Path) -> None:
    for label, brightness in (("fluid", 1030), ("tissue", 1150)):
        draw(tmp_path / "scans", label, 12, brightness)
    small = ("--epochs", 1, "--batch-size", 4, "--image-size", 32, "--device", "cpu", "--workers", 1)
    ran = lab("train", "resnet18", "--data", tmp_path / "scans", "--dicom-window", WINDOW, "--out", tmp_path, *small)
    assert ran.code == 0, ran.err
    (best,) = tmp_path.glob("*/best.safetensors")
    assert read_card(best).pixels.dicom_window == WINDOW
    ran = lab("export", best.parent, "--device", "cpu")
    assert ran.code == 0, ran.err
    model = best.with_name("model.onnx")
    assert read_card(model).pixels.dicom_window == WINDOW
    new = tmp_path / "new"
    pixels = np.full((40, 44), 1100, dtype=np.uint16)
    (new / "sub").mkdir(parents=True)
    for name, centre in (("a.dcm", 0), ("b.dcm", 500), ("IM0001", 40)):
        save_dicom(
            new / name,
            pixels,
            BitsStored=12,
            RescaleSlope=1,
            RescaleIntercept=-1024,
            WindowCenter=centre,
            WindowWidth=100,
        )
    table = tmp_path / "probabilities.csv"
    files = ("--out", tmp_path / "out.csv", "--probabilities", table)
    ran = lab("predict", new, "--model", model, "--device", "cpu", *files)
    assert ran.code == 0, ran.err
    rows = probabilities(table)
    assert set(rows) == {"a.dcm", "b.dcm", "IM0001"}
    assert len({tuple(row) for row in rows.values()}) == 1  # the files' own windows, which differ, are not used


def test_a_window_that_is_none_is_refused_with_those_that_are(lab: Callable, tmp_path: Path) -> None:
    ran = lab("train", "resnet18", "--data", tmp_path, "--dicom-window", "lung")
    assert ran.code == 2
    assert "--dicom-window: a DICOM window must be file, full or CENTRE/WIDTH" in " ".join(ran.err.split())


@pytest.mark.parametrize("command", ["predict", "train", "check"])
def test_without_the_extra_one_line_names_it(
    command: str, lab: Callable, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label, brightness in (("fluid", 1030), ("tissue", 1150)):
        draw(tmp_path / "scans", label, 12, brightness)
    monkeypatch.setitem(sys.modules, "pydicom.filereader", None)
    scans, small = tmp_path / "scans", ("--batch-size", 4, "--workers", 1)
    ran = {
        "predict": lambda: lab("predict", scans, "--model", model, "--device", "cpu", "--out", tmp_path / "out.csv"),
        "train": lambda: lab("train", "resnet18", "--data", scans, "--out", tmp_path, *small),
        "check": lambda: lab("data", "check", scans, "--out", tmp_path / "check"),
    }[command]()
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith("error: ")
    assert "0.dcm is DICOM, which needs pydicom; install it with pip install '.[dicom]'" in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out.csv").exists()
