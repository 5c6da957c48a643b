import io
import shutil
from pathlib import Path

import pytest

from infer.core.console import Screen
from infer.core.errors import DataError
from infer.images.preprocess import PixelSpec
from trainer.config import TrainConfig
from trainer.data.cache import Canvases
from trainer.data.load import load_data, read_data

SPEC = PixelSpec.default(32)


def load(folder: Path, screen: Screen, batch_size: int = 8) -> Canvases:
    (settings,) = TrainConfig(architecture="resnet18", data=str(folder), batch_size=batch_size, workers=1).resolved(
        "cpu"
    )
    return load_data(read_data(settings, screen), settings, SPEC, screen)


def test_test_images_are_counted_but_not_decoded(cells: Path, heard: tuple[Screen, io.StringIO]) -> None:
    screen, text = heard
    canvases = load(cells, screen)
    assert canvases.pixels_nhwc.shape == (36, *SPEC.canvas, 3)
    assert set(canvases.table.splits) == {"train", "valid"}
    assert "not labelled" in text.getvalue()


def test_images_that_cannot_be_read_are_named_and_left_out(
    cells: Path, tmp_path: Path, heard: tuple[Screen, io.StringIO]
) -> None:
    data, (screen, text) = shutil.copytree(cells, tmp_path / "cells"), heard
    victim = sorted((data / "train").iterdir())[3]
    victim.write_bytes(b"no image")
    canvases = load(data, screen)
    assert len(canvases.table) == len(canvases.pixels_nhwc) == 35
    assert f"1 image cannot be read and is left out: train/{victim.name}" in text.getvalue()


def test_fewer_images_than_a_batch_names_the_batch_that_would_do(cells: Path, quiet: Screen) -> None:
    with pytest.raises(
        DataError, match="24 training images are fewer than the batch size of 25; give --batch-size 24 or less"
    ):
        load(cells, quiet, batch_size=25)


def test_a_class_whose_every_training_image_is_unreadable_is_an_error(
    cells: Path, tmp_path: Path, quiet: Screen
) -> None:
    data = shutil.copytree(cells, tmp_path / "cells")
    for line in (data / "train.csv").read_text().splitlines()[1:]:
        path, label = line.split(",")
        if label == "0":
            (data / path).write_bytes(b"")
    with pytest.raises(DataError, match="validation has images of the classes 0 normal, training has none"):
        load(data, quiet, batch_size=2)
