"""The built-in data set: SYNTHETIC cells in the style of C-NMC, drawn in seconds and always the same, of no patient.

Normal cells (0) tend to have a smaller, rounder nucleus with coarse, clumped chromatin; blasts (1) a larger, lobed one
with fine chromatin and pale nucleoli. Stain, light, blur and noise vary in both, and all ranges overlap, so that
neither colour nor size alone gives the class.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infer.core.console import Screen
from infer.core.csv_files import csv_text
from infer.core.drafts import draft_folder
from infer.core.exclusive import one_at_a_time
from infer.core.files import cache_folder, cannot_write, write_text

NAME = "synthetic-cells-1"
"""The number is the version of the drawing, so that a new version has a new folder."""
SIDE, SCALE = 450, 2
SPLITS = {"train": 400, "valid": 100, "test": 100}
BLAST_SHARE = 0.68
"""As in C-NMC."""
ABOUT = """SYNTHETIC images, drawn by lab: no patient's cells, and of no medical meaning.
Layout: Path,label in train.csv and valid.csv; Path in resnet_18_test.csv, resnet_50_test.csv and resnet_152_test.csv;
sample_submission.csv; the test images' truth in test_labels.csv. Labels: 0 normal, 1 blast.
"""

Floats = NDArray[np.float32]


def builtin_data(screen: Screen) -> Path:
    """The folder of the built-in data set in lab's cache, created if it does not exist. Raises OutputError."""
    folder = cache_folder() / NAME
    if folder.is_dir():
        return folder
    with one_at_a_time(folder, screen.say):
        if not folder.is_dir():  # another process may have created it meanwhile
            _draw_into(folder, screen)
    return folder


def _draw_into(folder: Path, screen: Screen) -> None:
    """Raises OutputError."""
    screen.say(f"drawing the built-in synthetic cells into {folder}")
    try:
        with draft_folder(folder) as draft:
            make_set(draft, SPLITS)
            draft.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise cannot_write(folder, error) from error


def make_set(folder: Path, images: dict[str, int], seed: int = 0) -> None:
    """Draw a data set with the given number of images per split into a new folder, in the reports' CSV layout."""
    rows: dict[str, list[tuple[str, str]]] = {}
    number = 0
    for split, count in images.items():
        (folder / split).mkdir(parents=True)
        labels = np.arange(count) < round(count * BLAST_SHARE)
        np.random.default_rng([seed, number]).shuffle(labels)
        rows[split] = [(f"{split}/synthetic_{number + i:04}.jpg", str(int(blast))) for i, blast in enumerate(labels)]
        number += count
    cells = [row for part in rows.values() for row in part]

    def draw(index: int) -> None:
        path, label = cells[index]
        draw_cell(label == "1", [seed, 1, index]).save(folder / path, quality=92)

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(len(cells))))
    for split in ("train", "valid"):
        write_text(folder / f"{split}.csv", csv_text([("Path", "label"), *rows[split]]))
    for size in (18, 50, 152):
        write_text(folder / f"resnet_{size}_test.csv", csv_text([("Path",), *((path,) for path, _ in rows["test"])]))
    write_text(
        folder / "sample_submission.csv", csv_text([("ID", "label"), *((path, "0") for path, _ in rows["test"])])
    )
    write_text(folder / "test_labels.csv", csv_text([("Path", "label"), *rows["test"]]))
    write_text(folder / "classes.csv", csv_text([("label", "name"), ("0", "normal"), ("1", "blast")]))
    write_text(folder / "README.txt", ABOUT)


@dataclass(frozen=True)
class _Kind:
    """Mean and standard deviation of a kind of cell's features; lengths are in pixels of a 450-pixel image."""

    radius: tuple[float, float]
    lobes: tuple[float, float]
    """Amplitude of the outline's waves, as a share of the radius."""
    grain: tuple[float, float]
    """Size of chromatin clumps."""
    contrast: tuple[float, float]
    nucleoli: float
    """Expected number of nucleoli."""


NORMAL = _Kind((82, 13), (0.035, 0.02), (24, 6), (0.11, 0.03), 0.25)
BLAST = _Kind((96, 15), (0.060, 0.03), (15, 5), (0.08, 0.03), 1.3)


def draw_cell(blast: bool, seed: list[int]) -> Image.Image:
    """Draw a cell on black, 450 x 450 RGB; the same for the same seed."""
    rng = np.random.default_rng(seed)
    kind = BLAST if blast else NORMAL
    side = SIDE // SCALE
    y, x = np.mgrid[:side, :side].astype(np.float32) - side / 2
    x, y = x - rng.normal(0, 4), y - rng.normal(0, 4)
    angle, distance = np.arctan2(y, x), np.hypot(x, y)
    radius = max(45.0, rng.normal(*kind.radius)) / SCALE
    outline = radius * _waves(angle, abs(rng.normal(*kind.lobes)), rng)
    rim = outline + rng.uniform(3, 22) / SCALE * _waves(angle, 0.25, rng)
    nucleus, cell = _inside(outline - distance), _inside(rim - distance)
    chromatin = _clouds(side, max(5.0, rng.normal(*kind.grain)) / SCALE, rng) * max(0.03, rng.normal(*kind.contrast))
    for _ in range(rng.poisson(kind.nucleoli)):
        away, turn, size = radius * rng.uniform(0, 0.6), rng.uniform(0, 2 * np.pi), rng.uniform(10, 18) / SCALE
        spot = np.hypot(x - away * np.cos(turn), y - away * np.sin(turn))
        chromatin = chromatin + rng.uniform(0.05, 0.15) * _inside(size - spot)
    stain = np.array([0.36, 0.16, 0.50]) + rng.normal(0, 0.05, 3)
    plasma = np.array([0.62, 0.52, 0.76]) + rng.normal(0, 0.06, 3)
    light = rng.uniform(0.8, 1.2) * (1 + rng.normal(0, 0.1) * x / side + rng.normal(0, 0.1) * y / side)
    dark, pale = (stain + chromatin[..., None]) * nucleus[..., None], plasma * (cell * (1 - nucleus))[..., None]
    colour = (dark + pale) * light[..., None]
    image = Image.fromarray((colour.clip(0, 1) * 255).astype(np.uint8))
    image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    noise = rng.standard_normal((SIDE, SIDE), dtype=np.float32)[..., None] * rng.uniform(2, 9)
    pixels = np.asarray(image, dtype=np.float32)
    return Image.fromarray((pixels + noise * (pixels.max(-1, keepdims=True) > 8)).clip(0, 255).astype(np.uint8))


def _waves(angle: Floats, depth: float, rng: np.random.Generator) -> Floats:
    """1 plus a few waves around the circle, whose sum has an amplitude of about `depth`."""
    waves = [np.cos(k * angle + rng.uniform(0, 6.3)) * rng.normal(0, depth) / k**0.5 for k in (2, 3, 4, 5)]
    return np.asarray(1 + sum(waves), dtype=np.float32)


def _inside(depth: Floats) -> Floats:
    """A mask, 1 where `depth` is above 0, with a soft edge of about two pixels."""
    return np.asarray((depth / 2 + 0.5).clip(0, 1), dtype=np.float32)


def _clouds(side: int, grain: float, rng: np.random.Generator) -> Floats:
    """Smooth noise of mean 0 and standard deviation 1, with clumps of about `grain` pixels."""
    cells = max(3, round(side / grain))
    field = rng.standard_normal((cells, cells), dtype=np.float32)
    smooth = np.asarray(Image.fromarray(field).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    return np.asarray((smooth - smooth.mean()) / smooth.std(), dtype=np.float32)
