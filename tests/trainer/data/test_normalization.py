from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import trainer.data.normalization
from infer.images.preprocess import PixelSpec
from infer.model.card import IMAGENET, Normalization
from trainer.data.normalization import compute_normalization
from trainer.model.network import PixelNet
from trainer.model.resnet import BasicBlock, ResNet

Floats = NDArray[np.float64]
LUMA = np.array([0.299, 0.587, 0.114])
SPEC = PixelSpec(steps=(), canvas=(9, 12), window=(4, 6), reduced_decode=False)
ROWS = np.array([5, 1, 2, 7])


@pytest.fixture
def canvases() -> NDArray[np.uint8]:
    """Coloured noise with correlated channels, uint8 [8, 9, 12, 3]."""
    noise = np.random.default_rng(0).normal(0, 40, (8, 9, 12, 3))
    mixed = noise @ [[1, 0.7, 0.2], [0, 0.8, 0.5], [0, 0, 0.6]] + [150, 110, 90]
    return mixed.clip(0, 255).astype(np.uint8)


def training_pixels(canvases: NDArray[np.uint8]) -> Floats:
    """Those of the training rows' windows at a scale of 0 to 1, [n, 3]."""
    return canvases[ROWS, 2:6, 3:9].reshape(-1, 3) / 255


def applied(normalization: Normalization, pixels: Floats) -> Floats:
    return (pixels - normalization.mean) @ np.array(normalization.matrix).T


def test_imagenets_is_imagenets(canvases: NDArray[np.uint8]) -> None:
    assert compute_normalization("imagenet", False, canvases, ROWS, SPEC) == IMAGENET


def test_none_leaves_pixels_between_0_and_1(canvases: NDArray[np.uint8]) -> None:
    pixels = training_pixels(canvases)
    np.testing.assert_array_equal(applied(compute_normalization("none", False, canvases, ROWS, SPEC), pixels), pixels)


def test_the_datas_own_is_the_mean_and_deviation_of_the_training_windows_alone(canvases: NDArray[np.uint8]) -> None:
    normalization = compute_normalization("data", False, canvases, ROWS, SPEC)
    pixels = training_pixels(canvases)
    expected = Normalization.per_channel(tuple(pixels.mean(0)), tuple(pixels.std(0)))
    np.testing.assert_allclose(normalization.mean, expected.mean, rtol=1e-14)
    np.testing.assert_allclose(normalization.matrix, expected.matrix, rtol=1e-12)
    assert not normalization.per_image


def test_whitened_pixels_have_the_identity_as_covariance_by_a_symmetric_matrix(canvases: NDArray[np.uint8]) -> None:
    normalization = compute_normalization("whiten", False, canvases, ROWS, SPEC)
    white = applied(normalization, training_pixels(canvases))
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(3), atol=1e-10)
    np.testing.assert_allclose(normalization.matrix, np.transpose(normalization.matrix), atol=1e-12)
    assert (np.linalg.eigvalsh(normalization.matrix) > 0).all()  # the symmetric root that turns no colour round


def test_sums_are_exact_and_do_not_depend_on_how_the_pixels_are_cut(
    canvases: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = compute_normalization("whiten", False, canvases, ROWS, SPEC)
    for block in (1, 7, 50):
        monkeypatch.setattr(trainer.data.normalization, "BLOCK", block)
        assert compute_normalization("whiten", False, canvases, ROWS[::-1].copy(), SPEC) == one


def test_a_small_spread_far_from_zero_keeps_its_digits() -> None:
    """Two values, 1, 4 and 10 levels apart, a million pixels of each: deviations of half that, but at least a level."""
    canvases = np.full((50, 200, 200, 3), 255, np.uint8)
    canvases[:, ::2] -= np.array([1, 4, 10], np.uint8)
    spec = PixelSpec(steps=(), canvas=(200, 200), window=(200, 200), reduced_decode=False)
    normalization = compute_normalization("data", False, canvases, np.arange(50), spec)
    np.testing.assert_allclose(normalization.mean, [254.5 / 255, 253 / 255, 250 / 255], rtol=1e-15)
    np.testing.assert_allclose(np.diag(normalization.matrix), [255, 255 / 2, 255 / 5], rtol=1e-15)


def test_canvases_on_disk_are_read_as_they_are(canvases: NDArray[np.uint8], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", canvases)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    expected = compute_normalization("data", False, canvases, ROWS, SPEC)
    assert compute_normalization("data", False, mapped, ROWS, SPEC) == expected


@pytest.mark.parametrize("kind", ["imagenet", "data", "whiten", "none", "image"])
def test_a_grey_view_has_one_value_in_three_channels(kind: str, canvases: NDArray[np.uint8]) -> None:
    grey = applied(compute_normalization(kind, True, canvases, ROWS, SPEC), training_pixels(canvases))
    luma = training_pixels(canvases) @ LUMA
    expected = {
        "imagenet": (luma - LUMA @ [0.485, 0.456, 0.406]) / (LUMA @ [0.229, 0.224, 0.225]),
        "data": (luma - luma.mean()) / luma.std(),
        "whiten": (luma - luma.mean()) / luma.std(),
        "none": luma,
        "image": luma,
    }[kind]
    np.testing.assert_allclose(grey, np.stack([expected] * 3, axis=-1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["data", "whiten"])
@pytest.mark.parametrize("grayscale", [False, True])
def test_grey_and_constant_images_have_a_finite_normalisation(kind: str, grayscale: bool) -> None:
    ramp = np.broadcast_to(np.arange(108, dtype=np.uint8).reshape(1, 9, 12, 1), (8, 9, 12, 3))
    for canvases in (ramp, np.full_like(ramp, 200), np.zeros_like(ramp)):
        normalization = compute_normalization(kind, grayscale, canvases, ROWS, SPEC)
        seen = applied(normalization, training_pixels(canvases))
        assert np.abs(normalization.matrix).max() <= 255
        np.testing.assert_allclose(seen.mean(0), 0, atol=1e-9)
        assert np.abs(seen).max() < 3


def test_an_images_own_reaches_the_network(canvases: NDArray[np.uint8]) -> None:
    normalization = compute_normalization("image", True, canvases, ROWS, SPEC)
    assert normalization.per_image
    network = PixelNet(ResNet(BasicBlock, (1, 1, 1, 1), 2, base_width=4).eval(), normalization)
    seen: list[torch.Tensor] = []
    network.resnet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.from_numpy(canvases))
    luma = canvases / 255 @ LUMA
    expected = (luma - luma.mean((1, 2), keepdims=True)) / luma.std((1, 2), keepdims=True)
    np.testing.assert_allclose(seen[0][:, 1].numpy(), expected, atol=2e-3)
