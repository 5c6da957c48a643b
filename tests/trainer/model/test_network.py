from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as transforms

from infer.images.preprocess import PixelSpec
from infer.model.card import IMAGENET, ClassName, ModelCard, Normalization
from trainer.model.network import PixelNet, build_network
from trainer.model.resnet import BasicBlock, ResNet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WHITENING = ((1.9, -0.7, 0.2), (0.4, 2.2, -1.1), (-0.3, 0.6, 3.1))


def tiny_resnet(classes: int = 3) -> ResNet:
    torch.manual_seed(0)
    return ResNet(BasicBlock, (1, 1, 1, 1), classes, base_width=4).eval()


def pixels(n: int = 2, side: int = 32) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8))


@torch.inference_mode()
def seen_by_resnet(network: PixelNet, images: Tensor) -> Tensor:
    """What the network's ResNet is given, [n, 3, H, W]."""
    seen: list[Tensor] = []
    hook = network.resnet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    network(images)
    hook.remove()
    return seen[0]


def test_one_scale_per_channel_is_torchvisions_normalize() -> None:
    images = pixels()
    network = PixelNet(tiny_resnet(), Normalization.per_channel(MEAN, STD))
    expected = transforms.normalize(images.permute(0, 3, 1, 2) / 255, list(MEAN), list(STD))
    torch.testing.assert_close(seen_by_resnet(network, images), expected, rtol=0, atol=2e-6)


def test_a_full_matrix_is_applied_to_each_pixels_colours() -> None:
    images = pixels()
    network = PixelNet(tiny_resnet(), Normalization(MEAN, WHITENING))
    expected = np.einsum("ij,nhwj->nihw", np.array(WHITENING), images.numpy() / 255 - np.array(MEAN))
    np.testing.assert_allclose(seen_by_resnet(network, images).numpy(), expected, rtol=0, atol=2e-6)


def test_a_matrix_with_a_single_mixed_entry_is_not_taken_for_a_scale_per_channel() -> None:
    matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 1.0))
    seen = seen_by_resnet(PixelNet(tiny_resnet(), Normalization((0.0, 0.0, 0.0), matrix)), pixels())
    expected = pixels().permute(0, 3, 1, 2)[:, [0, 2]].float().sum(1) / 255
    torch.testing.assert_close(seen[:, 2], expected)


GREY = ((1.2, 2.3, 0.5),) * 3


@pytest.mark.parametrize("matrix", [IMAGENET.matrix, WHITENING, GREY])
def test_each_image_alone_has_its_channels_mean_and_deviation_removed(matrix: tuple[tuple[float, ...], ...]) -> None:
    images = pixels(3) // torch.tensor([1, 2, 5], dtype=torch.uint8)[:, None, None, None]
    normalization = Normalization(MEAN, matrix)
    before = seen_by_resnet(PixelNet(tiny_resnet(), normalization), images).double().numpy()
    mean, variance = (f(before, axis=(2, 3), keepdims=True) for f in (np.mean, np.var))
    seen = seen_by_resnet(PixelNet(tiny_resnet(), replace(normalization, per_image=True)), images).numpy()
    np.testing.assert_allclose(seen, (before - mean) / np.sqrt(variance + 1e-5), rtol=0, atol=2e-5)


@torch.inference_mode()
def test_an_image_of_one_colour_is_all_zero_where_each_image_is_normalised_alone() -> None:
    network = PixelNet(tiny_resnet(), replace(IMAGENET, per_image=True))
    images = torch.tensor([0, 77, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 64, 48, 3)
    assert seen_by_resnet(network, images).abs().max() < 1e-3
    assert all(answer.isfinite().all() for answer in network(images))


@pytest.mark.parametrize("normalization", [Normalization(MEAN, WHITENING), replace(IMAGENET, per_image=True)])
def test_pixels_are_normalised_in_full_precision_while_training_is_mixed(normalization: Normalization) -> None:
    network = PixelNet(tiny_resnet(), normalization)
    expected = seen_by_resnet(network, pixels())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(seen_by_resnet(network, pixels()), expected, rtol=0, atol=0)


@torch.inference_mode()
def test_the_answer_is_the_resnets_logits_and_their_softmax() -> None:
    network = PixelNet(tiny_resnet(), IMAGENET)
    logits, probabilities = network(pixels())
    assert torch.equal(logits, network.resnet(seen_by_resnet(network, pixels())))
    powers = np.exp(logits.double().numpy())
    np.testing.assert_allclose(probabilities.numpy(), powers / powers.sum(1, keepdims=True), rtol=1e-5)


@torch.inference_mode()
def test_the_temperature_divides_the_logits_of_the_probabilities_alone() -> None:
    plain, cool = (PixelNet(tiny_resnet(), IMAGENET, temperature) for temperature in (1.0, 2.5))
    (logits, probabilities), (cool_logits, cool_probabilities) = plain(pixels()), cool(pixels())
    assert torch.equal(logits, cool_logits)
    powers = np.exp(logits.double().numpy() / 2.5)
    np.testing.assert_allclose(cool_probabilities.numpy(), powers / powers.sum(1, keepdims=True), rtol=1e-5)
    assert not torch.allclose(probabilities, cool_probabilities)


@torch.inference_mode()
@pytest.mark.parametrize("matrix", [IMAGENET.matrix, WHITENING])
def test_bytes_and_floats_of_the_same_values_have_the_same_answers(matrix: tuple[tuple[float, ...], ...]) -> None:
    network = PixelNet(tiny_resnet(), Normalization(MEAN, matrix))
    for one, other in zip(network(pixels()), network(pixels().float()), strict=True):
        assert torch.equal(one, other)


@torch.inference_mode()
def test_a_half_precision_resnet_still_answers_in_float32() -> None:
    exact = PixelNet(tiny_resnet(), IMAGENET)(pixels())
    network = PixelNet(tiny_resnet().half(), IMAGENET)
    assert seen_by_resnet(network, pixels()).dtype == torch.float16
    for answer, expected in zip(network(pixels()), exact, strict=True):
        assert answer.dtype == torch.float32
        torch.testing.assert_close(answer, expected, rtol=0.02, atol=0.02)


def test_only_the_resnets_tensors_are_saved_with_a_network() -> None:
    resnet = tiny_resnet()
    saved = PixelNet(resnet, IMAGENET, 2.0).state_dict()
    assert set(saved) == {f"resnet.{name}" for name in resnet.state_dict()}


@pytest.mark.usefixtures("full_networks")
def test_a_network_is_built_from_its_card_alone() -> None:
    card = ModelCard(
        architecture="resnet34",
        classes=tuple(ClassName(name, name) for name in "abcde"),
        pixels=PixelSpec.default(32),
        normalization=Normalization(MEAN, WHITENING),
        ordered=False,
        temperature=1.7,
    )
    network = build_network(card)
    assert network.resnet.fc.out_features == 5
    assert [len(stage) for stage in (network.resnet.layer1, network.resnet.layer3)] == [3, 6]
    torch.testing.assert_close(network.matrix, torch.tensor(WHITENING))
    torch.testing.assert_close(network.mean, torch.tensor(MEAN))
    assert network.temperature.item() == pytest.approx(1.7)
    assert network.backbone is network.resnet
    assert network.backbone.head is network.resnet.fc
    with pytest.raises(KeyError, match="resnet20"):
        build_network(replace(card, architecture="resnet20"))
