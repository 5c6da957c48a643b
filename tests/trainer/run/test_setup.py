"""What a stage starts from."""

from pathlib import Path

import pytest

from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.dataset.source import read_table
from infer.images.preprocess import PixelSpec
from infer.model.card import IMAGENET
from trainer.config import ResolvedConfig, TrainConfig
from trainer.data.cache import load_canvases
from trainer.run.setup import make_card, stage_spec


def settings_of(**options: object) -> ResolvedConfig:
    return TrainConfig(**{"architecture": "resnet18", "image_size": 32, **options}).resolved("cpu")[0]


def test_the_canvas_of_a_crop_reaches_as_far_as_the_augmentation_looks() -> None:
    still, turned = (stage_spec(settings_of(crop=100, augment=steps)) for steps in ((), ("rotation(45)",)))
    assert still.canvas == still.window == turned.window == (32, 32)
    assert turned.canvas[0] >= 32 * 2**0.5


@pytest.mark.parametrize("view", [{"fit": "longer"}, {"fit": "stretch"}, {"crop": 100}])
def test_a_crop_that_has_no_room_is_refused(view: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="--augment: crop needs a canvas larger than the window"):
        stage_spec(settings_of(augment=("hflip, crop",), **view))
    assert stage_spec(settings_of(augment=("crop(2)",), **view)).window == (32, 32)


def test_a_crop_that_may_leave_nothing_of_the_image_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"crop\(17\) may cut beside the image; give at most half the window, 16"):
        stage_spec(settings_of(augment=("crop(17) @ 0.1",)))
    assert stage_spec(settings_of(augment=("crop(16)",))).window == (32, 32)


def test_the_card_holds_what_prediction_needs(cells: Path, quiet: Screen) -> None:
    settings = settings_of(ordered=True, seed=3, monitor="f1")
    canvases = load_canvases(read_table(cells), PixelSpec.default(32), None, quiet)
    card = make_card(settings, canvases)
    assert card.pixels == PixelSpec.default(32)
    assert (card.architecture, card.normalization, card.ordered) == ("resnet18", IMAGENET, True)
    assert card.classes == canvases.table.classes
    assert card.provenance["data"]["fingerprint"] == canvases.table.fingerprint()
    assert (card.provenance["seed"], card.provenance["monitor"]) == (3, "f1")


def test_the_normalisation_is_of_the_training_images_alone(cells: Path, quiet: Screen) -> None:
    settings = settings_of(normalization="data")
    canvases = load_canvases(read_table(cells), PixelSpec.default(32), None, quiet)
    windows = canvases.pixels_nhwc[canvases.table.rows("train")][:, 2:34, 2:34].reshape(-1, 3) / 255
    assert stage_spec(settings).canvas == (37, 37)
    card = make_card(settings, canvases)
    assert card.normalization.mean == pytest.approx(windows.mean(axis=0).tolist())
    assert [row[i] for i, row in enumerate(card.normalization.matrix)] == pytest.approx(
        (1 / windows.std(axis=0)).tolist()
    )
