"""`lab data preview`: contact sheets of a data set as the network sees it, one PNG per class."""

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.errors import ImageError
from infer.core.exclusive import exclusive
from infer.core.files import write_bytes
from infer.core.text import shown
from infer.dataset.table import TRAIN, Table
from infer.images.preprocess import PixelSpec, read_canvas, read_window
from trainer.augment.augmentation import Augmentation
from trainer.augment.colour import LUMA
from trainer.config import ResolvedConfig, TrainConfig
from trainer.data.load import read_data, with_bits
from trainer.data.pixel_spec import pixel_spec
from trainer.run.setup import stage_spec
from trainer.run.validation import centre_window_of

GAP, HEAD = 6, 22
"""Pixels between pictures, and for a line of text above them."""


def preview(config: TrainConfig, out: Path, images: int, draws: int, screen: Screen) -> list[Path]:
    """Write a sheet for each class, as the first stage of a run sees the images.

    Each row of a sheet shows an image as it is, enhanced where the recipe does so, and `draws` augmented views.

    Args:
        config: the config of `lab train`.
        out: folder for the sheets.
        images: number of images per class, drawn by the seed; fewer where a class has fewer.
        draws: number of augmented views per image.
        screen: what the user sees.

    Returns:
        The files written.

    Raises:
        LabError: any subclass.
    """
    settings = config.resolved("cpu")[0]
    stage_spec(settings)  # its errors come before the work
    table = read_data(settings, screen)
    settings = with_bits(settings, table, screen)
    spec = stage_spec(settings)
    with exclusive(out):
        return _write_sheets(table, settings, spec, out, images, draws, screen)


def _write_sheets(
    table: Table, settings: ResolvedConfig, spec: PixelSpec, out: Path, images: int, draws: int, screen: Screen
) -> list[Path]:
    written = []
    for label, item in enumerate(table.classes):
        rows = [row for row in table.rows(TRAIN) if table.labels[row] == label]
        chosen = sorted(np.random.default_rng(settings.seed).permutation(rows)[:images])
        path = out / f"{label}-{re.sub(r'[^A-Za-z0-9_.-]', '_', item.label)[:60]}.png"
        sheet = _sheet(table.take(chosen), settings, spec, draws, f"{item}", screen)
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG")
        write_bytes(path, buffer.getvalue())
        written.append(path)
    return written


def _sheet(
    table: Table, settings: ResolvedConfig, spec: PixelSpec, draws: int, name: str, screen: Screen
) -> Image.Image:
    """The sheet of one class."""
    plain = pixel_spec(replace(settings, enhance=()), 1.0)
    originals, canvases = [], []
    for file in table.files():
        try:
            canvas = read_canvas(file, spec)
            originals.append(read_window(file, plain))
            canvases.append(canvas)
        except ImageError as error:
            screen.say(f"skipped: {error}")
    columns = {"as it is": originals}
    if canvases:
        stacked = torch.from_numpy(np.stack(canvases))
        if settings.enhance:
            columns["enhanced"] = list(centre_window_of(stacked, spec).numpy())
        elif settings.grayscale:
            columns["grey"] = list(centre_window_of(stacked, spec).numpy())
        for draw in range(1, draws + 1):
            columns[f"training {draw}"] = _augmented(stacked, settings, spec, draw)
    if settings.grayscale:
        grey = {title: [_grey(tile) for tile in tiles] for title, tiles in columns.items() if title != "as it is"}
        columns = {"as it is": originals, **grey}
    return _grid(columns, f"{shown(name)}: {len(canvases)} of {table.name}, recipe {settings.recipe}", spec.window)


def _augmented(canvases: torch.Tensor, settings: ResolvedConfig, spec: PixelSpec, epoch: int) -> list[Pixels]:
    """The windows that training sees in an epoch, mixed with each other where the recipe mixes."""
    augment = Augmentation(settings.augment_steps, spec)
    if augment.mixes:
        canvases = torch.cat([canvases, canvases[:1]])
    plan = augment.plan(augment.draws(len(canvases), settings.seed, epoch))
    windows = augment(canvases, plan)
    if augment.mixes:
        windows, _ = augment.mix(windows, plan)
    return list(windows.round().clamp(0, 255).to(torch.uint8).contiguous().numpy())


def _grey(tile: Pixels) -> Pixels:
    luma = tile @ np.array(LUMA)
    return np.repeat(luma.round().astype(np.uint8)[..., None], 3, axis=-1)


def _grid(columns: dict[str, list[Pixels]], title: str, size: tuple[int, int]) -> Image.Image:
    """A grid of pictures of one size, [H, W], below the titles of their columns."""
    height, width = size
    rows = max(len(tiles) for tiles in columns.values())
    column_width = max(width, 96)
    font = ImageFont.load_default(13)
    sheet_width = max(GAP + len(columns) * (column_width + GAP), 2 * GAP + math.ceil(font.getlength(title)))
    sheet = Image.new("RGB", (sheet_width, 2 * HEAD + rows * (height + GAP) + GAP), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, 4), title, (0, 0, 0), font)
    for column, (name, tiles) in enumerate(columns.items()):
        left = GAP + column * (column_width + GAP)
        pen.text((left, HEAD + 2), name, (0, 0, 0), font)
        for row, tile in enumerate(tiles):
            sheet.paste(Image.fromarray(tile), (left, 2 * HEAD + row * (height + GAP)))
    return sheet
