"""Contact sheets: what they show is what training and evaluation see."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.dataset.source import read_table
from infer.images.preprocess import PixelSpec, read_canvas, read_window
from trainer.augment.augmentation import Augmentation
from trainer.augment.parse import parse_steps
from trainer.config import TrainConfig
from trainer.preview import GAP, HEAD, preview

SIDE = 100


def draw(cells: Path, out: Path, screen: Screen, images: int = 2, draws: int = 2, **options: object) -> list[Path]:
    values = {"architecture": "resnet18", "data": str(cells), "image_size": SIDE, **options}
    return preview(TrainConfig(**values), out, images, draws, screen)


def tile(sheet: Path, column: int, row: int) -> np.ndarray:
    left, top = GAP + column * (SIDE + GAP), 2 * HEAD + row * (SIDE + GAP)
    return np.asarray(Image.open(sheet))[top : top + SIDE, left : left + SIDE]


def first_files(cells: Path, label: int, sheet: Path) -> list[str]:
    """The training images of a class of which the sheet's first column shows the evaluation windows, in order."""
    table = read_table(cells).split("train")
    spec = PixelSpec.default(SIDE)
    windows = {table.files()[r]: read_window(table.files()[r], spec) for r in np.flatnonzero(table.labels == label)}
    shown = [tile(sheet, 0, row) for row in range(2)]
    found = [[file for file, window in windows.items() if np.array_equal(window, picture)] for picture in shown]
    assert all(len(files) == 1 for files in found)
    return [files[0] for files in found]


def test_each_class_has_a_sheet_of_its_own_images_as_they_are(cells: Path, tmp_path: Path, quiet: Screen) -> None:
    sheets = draw(cells, tmp_path, quiet)
    assert [sheet.name for sheet in sheets] == ["0-0.png", "1-1.png"]
    for label, sheet in enumerate(sheets):
        assert len(set(first_files(cells, label, sheet))) == 2


def test_augmented_pictures_are_what_training_feeds_the_network(cells: Path, tmp_path: Path, quiet: Screen) -> None:
    augment = ("rotation(40), hflip, jitter(0.3, 0.3, 0.3)",)
    sheet = draw(cells, tmp_path, quiet, augment=augment, seed=5)[1]
    spec = PixelSpec.default(SIDE)
    canvases = torch.from_numpy(np.stack([read_canvas(file, spec) for file in first_files(cells, 1, sheet)]))
    pipeline = Augmentation(parse_steps(augment), spec)
    for epoch in (1, 2):
        expected = pipeline(canvases, pipeline.plan(pipeline.draws(2, 5, epoch))).round().numpy()
        for row in range(2):
            np.testing.assert_array_equal(tile(sheet, epoch, row), expected[row])


def test_an_enhancement_has_a_column_beside_the_original(cells: Path, tmp_path: Path, quiet: Screen) -> None:
    sheet = draw(cells, tmp_path, quiet, enhance=("mean_filter(31)",), draws=0)[0]
    original, enhanced = tile(sheet, 0, 0).astype(float), tile(sheet, 1, 0).astype(float)
    assert np.abs(np.diff(enhanced, axis=1)).mean() < 0.7 * np.abs(np.diff(original, axis=1)).mean()


def test_grey_levels_are_shown_grey_where_the_network_sees_them_so(cells: Path, tmp_path: Path, quiet: Screen) -> None:
    sheet = draw(cells, tmp_path, quiet, grayscale=True, draws=1)[0]
    for column in (1, 2):
        picture = tile(sheet, column, 0)
        assert (picture[..., 0] == picture[..., 2]).all()
    assert (tile(sheet, 0, 0)[..., 0] != tile(sheet, 0, 0)[..., 2]).any()


def test_mixed_images_are_shown_mixed(cells: Path, tmp_path: Path, quiet: Screen) -> None:
    alone = draw(cells, tmp_path / "alone", quiet, draws=1)[0]
    mixed = draw(cells, tmp_path / "mixed", quiet, draws=1, augment=("mixup(8)",))[0]
    one, other, both = (tile(*at).astype(float) for at in ((alone, 0, 0), (alone, 0, 1), (mixed, 1, 0)))
    share = ((both - other) * (one - other)).sum() / ((one - other) ** 2).sum()
    assert 0.05 < share < 0.95
    np.testing.assert_allclose(both, share * one + (1 - share) * other, atol=1.5)


def test_an_unreadable_image_is_named_and_skipped(
    cells: Path, tmp_path: Path, heard: tuple, save_image: Callable[..., Path]
) -> None:
    for offset, name in enumerate("ab"):
        for number in range(6):
            save_image(tmp_path / "data" / name / f"{number}.png", seed=6 * offset + number)
        (tmp_path / "data" / name / "6.png").write_bytes(f"no image of {name}".encode())
    screen, text = heard
    sheets = draw(tmp_path / "data", tmp_path / "out", screen, images=7)
    assert len(sheets) == 2
    assert "skipped: " in text.getvalue()


@pytest.mark.parametrize("command", [("data", "preview")])
def test_the_command_says_where_the_sheets_are(lab: Callable, cells: Path, tmp_path: Path, command: tuple) -> None:
    ran = lab(*command, cells, "--image-size", "64", "--per-class", "1", "--draws", "1", "--out", tmp_path / "sheets")
    assert ran.code == 0, ran.err
    for path in (tmp_path / "sheets").iterdir():
        assert f"sheet: {path}" in ran.out


def test_what_training_would_refuse_is_not_drawn_either(cells: Path, tmp_path: Path, quiet: Screen) -> None:
    with pytest.raises(ConfigError, match="may cut beside the image"):
        draw(cells, tmp_path, quiet, augment=("crop(10000)",))
