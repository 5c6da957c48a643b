"""The worst and the least certain images are found, shown as the network sees them, and bounded in number."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.results import random_result
from PIL import Image

from infer.config import ReportConfig
from infer.core.console import Screen
from infer.core.errors import ImageError
from infer.images.preprocess import PixelSpec, read_window
from infer.model.session import Session
from infer.reports.thumbnails import (
    ACTIVATION,
    MOST,
    MOST_CLASSES,
    OCCLUSION,
    SIDE,
    choose_images,
    jpeg_uri,
    make_gallery,
    overlay,
)


def test_mistakes_are_the_most_confident_and_uncertain_images_those_with_the_smallest_margin() -> None:
    result = random_result(3, 200)
    top = np.sort(result.probabilities, axis=1)
    for choice in choose_images(result, 5):
        rows = np.flatnonzero(result.truth == choice.label)
        wrong = [row for row in rows if result.predicted[row] != choice.label]
        assert list(choice.mistakes) == sorted(wrong, key=lambda row: -top[row, -1])[:5]
        assert list(choice.uncertain) == sorted(rows, key=lambda row: top[row, -1] - top[row, -2])[:5]
        assert len(choice.mistakes) == 5


def test_a_class_without_images_is_left_out_and_one_without_mistakes_has_none() -> None:
    result = random_result(3, 30)
    result = replace(result, truth=np.where(result.truth == 1, 0, result.truth))
    right = replace(result, probabilities=np.eye(3, dtype=np.float32)[result.truth])
    assert [choice.label for choice in choose_images(right, 4)] == [0, 2]
    assert all(not choice.mistakes and choice.uncertain for choice in choose_images(right, 4))
    assert choose_images(result, 0) == ()


@pytest.mark.parametrize("classes", [3, 60, 300])
def test_the_number_of_images_is_bounded_whatever_the_number_of_classes(classes: int) -> None:
    result = random_result(classes, 4000)
    chosen = choose_images(result, 100)
    assert sum(len(choice.mistakes) + len(choice.uncertain) for choice in chosen) <= MOST
    assert len(chosen) == min(classes, MOST_CLASSES)
    wrong = np.bincount(result.truth[result.predicted != result.truth], minlength=classes)
    left_out = set(range(classes)) - {choice.label for choice in chosen}
    assert all(wrong[k] <= min(wrong[choice.label] for choice in chosen) for k in left_out)


def decoded(uri: str) -> Image.Image:
    kind, _, content = uri.partition(";base64,")
    assert kind == "data:image/jpeg"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize(("height", "width"), [(300, 200), (32, 32), (1, 500)])
def test_a_thumbnail_is_the_image_scaled_down_if_it_is_large(height: int, width: int) -> None:
    pixels = np.full((height, width, 3), (200, 30, 60), dtype=np.uint8)
    image = decoded(jpeg_uri(pixels))
    assert max(image.size) <= SIDE
    assert max(image.size) == min(SIDE, max(height, width))
    assert np.abs(np.asarray(image.convert("RGB"), dtype=int).mean(axis=(0, 1)) - (200, 30, 60)).max() < 6


def test_heat_is_bright_where_it_is_and_the_rest_of_the_image_stays_grey() -> None:
    pixels = np.full((64, 64, 3), 60, dtype=np.uint8)
    heat = np.zeros((4, 4))
    heat[0, 0], heat[3, 3] = 2.0, -5.0
    shown = overlay(pixels, heat).astype(int)
    assert shown[4, 4].sum() > 300
    assert np.ptp(shown[4, 4]) > 40
    np.testing.assert_array_equal(shown[60, 60], 60)
    np.testing.assert_array_equal(overlay(pixels, -np.ones((4, 4))), pixels)


@pytest.fixture
def pictured(tmp_path: Path, save_image: Callable[..., Path]) -> object:
    result = random_result(2, 12)
    files = tuple(str(save_image(tmp_path / f"{k}.png", seed=k)) for k in range(12))
    return replace(result, files=files)


def test_a_gallery_holds_what_the_network_sees_and_names_images_that_can_no_longer_be_read(
    pictured: object, quiet: Screen
) -> None:
    spec = PixelSpec.default(24)
    Path(pictured.files[3]).unlink()
    gallery = make_gallery(pictured, spec, ReportConfig(thumbnails=6), quiet)
    assert set(gallery.views) == {row for choice in gallery.choices for row in choice.rows} == set(range(12))
    assert isinstance(gallery.views[3], ImageError)
    np.testing.assert_array_equal(gallery.views[5], read_window(pictured.files[5], spec))
    assert (gallery.heat, gallery.heat_legend) == ({}, "")


@pytest.mark.parametrize("config", [{"thumbnails": 0}, {"pictures": False}])
def test_no_image_is_read_if_none_will_be_shown(config: dict, pictured: object, quiet: Screen) -> None:
    lost = replace(pictured, files=("nowhere",) * 12)
    assert make_gallery(lost, PixelSpec.default(24), ReportConfig(**config), quiet).views == {}


def test_heat_maps_are_of_the_predicted_class_and_explain_how_they_were_found(
    pictured: object, model: Path, quiet: Screen
) -> None:
    session = Session(model, "cpu")
    gallery = make_gallery(pictured, session.card.pixels, ReportConfig(thumbnails=1, heatmaps=True), quiet, session, 16)
    assert gallery.heat_legend == OCCLUSION != ACTIVATION
    assert set(gallery.heat) == set(gallery.views)
    assert {heat.shape for heat in gallery.heat.values()} == {(8, 8)}
