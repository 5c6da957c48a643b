"""The network's own outputs, the pixels they are for, and values that half precision cannot hold."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.networks import images, tiny
from torch import nn

from exporter.graph import at_precision
from exporter.precisions import EXPORTS
from exporter.reference import RangeWatch, Reference, compute_reference
from infer.core.errors import DataError
from infer.images.preprocess import PixelSpec, read_window
from trainer.model.network import PixelNet
from trainer.model.resnet import BasicBlock, Bottleneck

SPEC = PixelSpec.default(32)
HALF_MAX = EXPORTS["fp16"].largest


@pytest.fixture
def files(tmp_path: Path, save_image: Callable[..., Path]) -> list[str]:
    """Nine images, of which the fifth cannot be read."""
    found = [str(save_image(tmp_path / f"{k}.png", seed=k)) for k in range(9)]
    Path(found[4]).write_bytes(b"")
    return found


def reference_of(files: list[str], network: PixelNet | None = None) -> Reference:
    return compute_reference(network or tiny(), files, np.arange(len(files)), SPEC)


def test_outputs_are_the_networks_for_the_evaluation_views_of_readable_images(files: list[str]) -> None:
    reference = reference_of(files)
    assert reference.truth.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    views = np.stack([read_window(files[row], SPEC) for row in reference.truth])
    assert np.stack(list(reference.views())).tobytes() == views.tobytes()
    with torch.inference_mode():
        expected = tiny()(torch.from_numpy(views))[0].numpy()
    np.testing.assert_allclose(reference.logits, expected, atol=1e-5)
    digests = sorted(hashlib.sha256(view.tobytes()).digest() for view in views)
    assert reference.images_sha256 == hashlib.sha256(b"".join(digests)).hexdigest()


def test_the_magnitude_is_the_largest_sum_of_the_absolute_terms_of_a_logit(files: list[str]) -> None:
    network = tiny()
    features: list[torch.Tensor] = []
    network.resnet.fc.register_forward_pre_hook(lambda _, given: features.append(given[0].clone()))
    reference = reference_of(files, network)
    weight, bias = (part.detach().numpy() for part in (network.resnet.fc.weight, network.resnet.fc.bias))
    sums = np.abs(torch.cat(features).numpy()[:, None, :] * weight).sum(axis=2) + np.abs(bias)
    assert reference.magnitude == pytest.approx(sums.max(), rel=1e-5)
    assert len(network.resnet.fc._forward_pre_hooks) == 1  # its own is gone


def test_rows_are_taken_with_their_outputs(files: list[str]) -> None:
    whole = reference_of(files)
    part = whole.take([5, 0])
    assert part.files == (files[6], files[0])
    assert part.truth.tolist() == [6, 0]
    assert part.logits.tobytes() == whole.logits[[5, 0]].tobytes()


def test_half_of_the_images_unreadable_is_an_error_and_fewer_are_recorded(files: list[str]) -> None:
    assert [error.path for error in reference_of(files).unreadable] == [files[4]]
    for file in files[:3]:
        Path(file).write_bytes(b"")
    assert len(reference_of(files).unreadable) == 4
    Path(files[8]).write_bytes(b"")
    with pytest.raises(DataError, match="5 of 9 images for the gate cannot be read"):
        reference_of(files)


def test_no_readable_image_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data"):
        reference_of([str(tmp_path / "gone.png")])


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_network_within_half_precision_has_no_problem(block: type) -> None:
    watch = RangeWatch(at_precision(tiny(block), "fp32"))
    with torch.inference_mode():
        watch.run(torch.from_numpy(images(4)))
    assert watch.problem(HALF_MAX) == ""
    assert {"conv1", "fc", "layer1.0.conv2", "the sum in layer4.0", "the weights of layer2.0.conv1"} <= set(
        watch.maxima
    )


def enlarged(layer: str, factor: float) -> PixelNet:
    """A folded network, one convolution of which has its weights enlarged."""
    network = at_precision(tiny(), "fp32")
    conv = network.resnet.get_submodule(layer)
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        conv.weight.mul_(factor)
        if conv.bias is not None:
            conv.bias.mul_(factor)
    return network


@pytest.mark.parametrize("layer", ["conv1", "layer2.0.conv1", "layer3.0.downsample.0"])
def test_the_first_layer_that_half_precision_cannot_hold_is_named(layer: str) -> None:
    watch = RangeWatch(enlarged(layer, 30_000))
    with torch.inference_mode():
        watch.run(torch.from_numpy(images(4)))
    problem = watch.problem(HALF_MAX)
    assert problem.startswith(f"{layer} reaches ")
    assert problem.endswith("the limit is 65,504")


def test_weights_that_half_precision_cannot_hold_are_named() -> None:
    assert (
        RangeWatch(enlarged("layer2.0.conv1", 1e9))
        .problem(HALF_MAX)
        .startswith("the weights of layer2.0.conv1 reaches ")
    )


def test_a_sum_that_half_precision_cannot_hold_is_named_after_its_block() -> None:
    network = at_precision(tiny(), "fp32")
    block = network.resnet.layer2[0]
    with torch.no_grad():
        for conv in (block.conv2, block.downsample[0]):
            conv.weight.zero_()
            conv.bias.fill_(40_000)
    watch = RangeWatch(network)
    with torch.inference_mode():
        watch.run(torch.from_numpy(images(2)))
    assert watch.problem(HALF_MAX).startswith("the sum in layer2.0 reaches 80,000")


def test_nan_is_beyond_half_precision_too() -> None:
    network = at_precision(tiny(), "fp32")
    with torch.no_grad():
        network.resnet.layer1[0].conv1.bias[0] = float("nan")
    watch = RangeWatch(network)
    with torch.inference_mode():
        watch.run(torch.from_numpy(images(2)))
    assert "layer1.0.conv1 reaches nan" in watch.problem(HALF_MAX)


def test_pixels_that_half_precision_cannot_hold_are_named() -> None:
    network = at_precision(tiny(), "fp32")
    network.scale.fill_(1e6)
    watch = RangeWatch(network)
    with torch.inference_mode():
        watch.run(torch.from_numpy(images(2)))
    assert watch.problem(HALF_MAX).startswith("the normalised pixels reaches ")
