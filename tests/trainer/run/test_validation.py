"""Validation computes as training does, or exactly as an exported file does."""

import copy

import numpy as np
import pytest
import torch

from infer.images.preprocess import PixelSpec
from infer.model.card import IMAGENET
from trainer.model.network import PixelNet
from trainer.model.resnet import BasicBlock, ResNet
from trainer.run.validation import centre_window_of, computes_exactly, validation_logits

CPU = torch.device("cpu")
SPEC = PixelSpec.default(32)


@pytest.fixture
def network() -> PixelNet:
    torch.manual_seed(0)
    return PixelNet(ResNet(BasicBlock, (1, 1, 1, 1), 3, base_width=8), IMAGENET)


@pytest.fixture
def batches() -> list[torch.Tensor]:
    generator = np.random.default_rng(0)
    return [
        torch.from_numpy(generator.integers(0, 256, (count, *SPEC.canvas, 3), dtype=np.uint8)) for count in (4, 4, 1)
    ]


def test_logits_are_those_of_the_evaluation_views_in_order(network: PixelNet, batches: list[torch.Tensor]) -> None:
    logits = validation_logits(network, batches, SPEC, CPU, mixed=False, exact=True)
    with torch.inference_mode():
        expected = torch.cat([network(centre_window_of(batch, SPEC))[0] for batch in batches])
    assert torch.equal(logits, expected)
    assert not network.training


def test_in_training_precision_logits_are_rounded_and_exact_ones_are_not(
    network: PixelNet, batches: list[torch.Tensor]
) -> None:
    plain = validation_logits(network, batches, SPEC, CPU, mixed=False, exact=False)
    rounded = validation_logits(network, batches, SPEC, CPU, mixed=True, exact=False)
    exact = validation_logits(network, batches, SPEC, CPU, mixed=True, exact=True)
    assert rounded.dtype == exact.dtype == torch.float32
    assert torch.equal(exact, plain)
    assert not torch.equal(rounded, plain)
    torch.testing.assert_close(rounded, plain, rtol=0.05, atol=0.05)


def test_no_image_gives_no_logits(network: PixelNet) -> None:
    assert validation_logits(network, [], SPEC, CPU, mixed=False, exact=False).shape == (0, 3)


def test_tf32_is_switched_off_for_exact_answers_alone_and_restored(
    network: PixelNet, batches: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen: list[bool] = []
    network.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    for exact in (False, True):
        validation_logits(copy.copy(network), batches[:1], SPEC, CPU, mixed=False, exact=exact)
    assert seen == [True, False]
    assert torch.backends.cudnn.allow_tf32


def test_a_cpu_in_float32_alone_computes_as_the_file_does() -> None:
    assert computes_exactly(CPU, mixed=False)
    assert not computes_exactly(CPU, mixed=True)
    assert not computes_exactly(torch.device("cuda"), mixed=False)
