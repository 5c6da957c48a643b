"""Views of an image, against their definitions; and the mean of what networks say of them."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from helpers.onnx_files import save_unsealed
from torchvision.transforms import v2

from infer import load
from infer.config import Tta
from infer.core.errors import ConfigError
from infer.images.preprocess import PixelSpec, Resize, read_canvas, read_window
from infer.images.tta import COUNTS, averaging_text, check_tta, read_views
from infer.model.session import Session

SPEC = PixelSpec.default(32)


@pytest.fixture
def file(tmp_path: Path, save_image: Callable[..., Path]) -> str:
    return str(save_image(tmp_path / "a.png", 50, 40))


def as_set(views: np.ndarray) -> set[bytes]:
    return {view.tobytes() for view in views}


@pytest.mark.parametrize("tta", get_args(Tta))
def test_the_first_view_is_the_evaluation_view_and_all_have_its_shape(file: str, tta: Tta) -> None:
    views = read_views(file, SPEC, tta)
    assert views.shape == (COUNTS[tta], 32, 32, 3)
    assert views.dtype == np.uint8
    assert views[0].tobytes() == read_window(file, SPEC).tobytes()
    assert len(as_set(views)) == COUNTS[tta]


def test_d4_is_every_rotation_of_the_image_and_of_its_mirror_image(file: str) -> None:
    window = read_window(file, SPEC)
    expected = [np.rot90(image, turns) for image in (window, window[:, ::-1]) for turns in range(4)]
    assert as_set(read_views(file, SPEC, "d4")) == {view.tobytes() for view in expected}


@pytest.mark.parametrize(("tta", "transform"), [("five-crop", v2.FiveCrop(32)), ("ten-crop", v2.TenCrop(32))])
def test_crops_are_torchvisions(file: str, tta: Tta, transform: Callable) -> None:
    canvas = torch.from_numpy(read_canvas(file, SPEC).copy()).permute(2, 0, 1)
    corners = [crop.permute(1, 2, 0).numpy().tobytes() for crop in transform(canvas)]
    centre = {4} if tta == "five-crop" else {4, 9}  # torchvision rounds where the centre is between two pixels
    got = as_set(read_views(file, SPEC, tta))
    assert {crop for place, crop in enumerate(corners) if place not in centre} <= got


def test_views_that_a_models_pixels_do_not_allow_are_refused() -> None:
    oblong = replace(SPEC, steps=(Resize(40, 60),), canvas=(40, 60), window=(32, 48))
    with pytest.raises(ConfigError, match="choose flips"):
        check_tta("d4", oblong)
    whole = replace(SPEC, canvas=(32, 32))
    for tta in ("five-crop", "ten-crop"):
        with pytest.raises(ConfigError, match="has no room"):
            check_tta(tta, whole)
        check_tta(tta, oblong)
    check_tta("flips", oblong)


def shares(path: Path) -> np.ndarray:
    return np.array([row[1:] for row in csv.reader(path.open())][1:], dtype=np.float32)


@pytest.mark.parametrize("tta", [tta for tta in get_args(Tta) if tta != "none"])
@pytest.mark.parametrize("batch_size", ["3", "64"])
def test_predictions_are_the_mean_over_the_views_at_any_batch_size(
    lab: Callable, model: Path, cells: Path, tmp_path: Path, tta: Tta, batch_size: str
) -> None:
    arguments = ("--model", model, "--no-sample", "--out", tmp_path / "o.csv", "--probabilities", tmp_path / "p.csv")
    ran = lab("predict", cells / "test", *arguments, "--tta", tta, "-b", batch_size)
    assert ran.code == 0, ran.err
    session = Session(model, "cpu")
    files = sorted((cells / "test").iterdir())
    expected = [session.run(read_views(str(file), session.card.pixels, tta))[1].mean(axis=0) for file in files]
    np.testing.assert_allclose(shares(tmp_path / "p.csv"), expected, atol=1e-6)
    assert load(model, tta=tta).predict(files).probabilities.tobytes() == shares(tmp_path / "p.csv").tobytes()


@pytest.fixture
def other(model: Path, tmp_path: Path) -> Path:
    """A model with another head and another view of an image."""
    changed = onnx.load(model)
    head = next(item for item in changed.graph.initializer if item.name == "resnet.fc.bias")
    head.CopyFrom(onnx.numpy_helper.from_array(np.float32([0.7, -0.4]), head.name))
    (prop,) = [item for item in changed.metadata_props if item.key == "lab.card"]
    prop.value = prop.value.replace('"resize_shorter"', '"resize_longer"')
    return save_unsealed(changed, tmp_path / "other.onnx")


def test_several_models_are_averaged_each_with_its_own_pixels(
    lab: Callable, model: Path, other: Path, cells: Path, tmp_path: Path
) -> None:
    found = []
    for name, models in (("a", [model]), ("b", [other]), ("both", [model, other]), ("turned", [other, model])):
        arguments = [word for path in models for word in ("--model", path)]
        out = ("--no-sample", "--out", tmp_path / "o.csv", "--probabilities", tmp_path / f"{name}.csv")
        assert lab("predict", cells / "test", *arguments, *out).code == 0
        found.append(shares(tmp_path / f"{name}.csv"))
    one, two, both, turned = found
    assert np.abs(one - two).max() > 0.01
    np.testing.assert_allclose(both, (one + two) / 2, atol=1e-6)
    assert both.tobytes() == turned.tobytes() == load(model, other).predict(cells / "test").probabilities.tobytes()


def test_models_of_other_classes_and_one_model_twice_are_refused(
    lab: Callable, model: Path, cells: Path, tmp_path: Path
) -> None:
    changed = onnx.load(model)
    (prop,) = [item for item in changed.metadata_props if item.key == "lab.card"]
    prop.value = prop.value.replace('"blast"', '"lymphoma"')
    save_unsealed(changed, tmp_path / "strange.onnx")
    out = ("--no-sample", "--out", tmp_path / "o.csv")
    ran = lab("predict", cells / "test", "--model", model, "--model", tmp_path / "strange.onnx", *out)
    assert ran.code == 2
    assert "models can be averaged only where their classes agree" in ran.err
    ran = lab("predict", cells / "test", "--model", model, "--model", model, *out)
    assert (ran.code, "names one file twice" in ran.err) == (2, True)


def test_a_bad_image_has_no_answer_from_any_model(model: Path, other: Path, file: str, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    found = load(model, other, tta="flips").predict([file, tmp_path / "bad.png", file])
    assert list(found.errors) == [1]
    assert found.probabilities[0].tobytes() == found.probabilities[2].tobytes()


def test_what_is_averaged_is_told_in_words() -> None:
    assert averaging_text(1, "none") == ""
    assert averaging_text(3, "d4") == "3 models, of which this is the first and 8 views of each image (d4)"
