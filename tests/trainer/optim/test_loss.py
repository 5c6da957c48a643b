import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from trainer.optim.loss import EFFECTIVE_BETA, Loss, class_weights

RETINOPATHY = [20655, 1955, 4210, 698, 581]
WEIGHTS = torch.tensor([0.2, 1.0, 3.0])


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, labels, partners' labels and shares of 8 images in 3 classes."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(8) % 3
    partners = labels.roll(-1)
    return torch.randn(8, 3, generator=random) * 3, labels, partners, torch.rand(8, generator=random)


def test_inverse_weights_are_scikit_learns_balanced() -> None:
    labels = np.repeat(np.arange(5), RETINOPATHY)
    expected = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    assert class_weights("inverse", RETINOPATHY).tolist() == pytest.approx(expected.tolist(), rel=1e-6)


def test_share_weights_are_what_is_left_of_all_images_without_the_class() -> None:
    others = [sum(RETINOPATHY) - count for count in RETINOPATHY]
    expected = [count / sum(RETINOPATHY) for count in others]
    assert class_weights("share", RETINOPATHY).tolist() == pytest.approx(expected, rel=1e-6)


def test_effective_weights_are_inverse_to_the_papers_sum_and_add_up_to_the_number_of_classes() -> None:
    counts = [1, 2, 40, 3000]
    numbers = [sum(EFFECTIVE_BETA**power for power in range(count)) for count in counts]  # 1 + beta + beta^2 + ...
    assert numbers[0] == 1
    weights = class_weights("effective", counts).double()
    assert (weights * torch.tensor(numbers)).tolist() == pytest.approx([float(weights[0])] * 4, rel=1e-5)
    assert float(weights.sum()) == pytest.approx(4)


@pytest.mark.parametrize("kind", ["inverse", "effective"])
def test_equally_large_classes_have_weight_1(kind: str) -> None:
    assert class_weights(kind, [9, 9, 9]).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("kind", ["inverse", "share", "effective"])
def test_a_class_without_training_images_leaves_the_other_weights_as_they_are(kind: str) -> None:
    empty_last, without = class_weights(kind, [5, 20, 0]), class_weights(kind, [5, 20])
    assert empty_last.tolist() == [*without.tolist(), 0]
    assert empty_last.dtype == torch.float32


def test_no_weights_are_none() -> None:
    assert class_weights("none", [1, 2]) is None


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient_are_torchs_cross_entropy(
    batch: tuple[Tensor, ...], weights: Tensor | None, smoothing: float
) -> None:
    logits, labels, *_ = batch
    own, reference = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = Loss(weights, smoothing)(own, labels, None, None)
    expected = cross_entropy(reference, labels, weight=weights, label_smoothing=smoothing)
    loss.backward()
    expected.backward()
    assert loss.shape == ()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(own.grad, reference.grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_mixed_images_is_cross_entropy_with_mixed_truth(
    batch: tuple[Tensor, ...], smoothing: float
) -> None:
    logits, labels, partners, share = batch
    truth = share[:, None] * one_hot(labels, 3) + (1 - share[:, None]) * one_hot(partners, 3)
    expected = cross_entropy(logits, truth, label_smoothing=smoothing)
    torch.testing.assert_close(Loss(None, smoothing)(logits, labels, partners, share), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mixed_image_weighs_as_much_of_each_class_as_it_holds(batch: tuple[Tensor, ...], smoothing: float) -> None:
    logits, labels, partners, share = batch
    truth = share[:, None] * one_hot(labels, 3) + (1 - share[:, None]) * one_hot(partners, 3)
    # torch divides the weighted sum of mixed truths by the number of images; a weighted mean divides by their weights
    whole = cross_entropy(logits, truth, weight=WEIGHTS, label_smoothing=smoothing, reduction="sum")
    expected = whole / (truth * WEIGHTS).sum()
    torch.testing.assert_close(Loss(WEIGHTS, smoothing)(logits, labels, partners, share), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_partner_with_no_share_does_not_count(batch: tuple[Tensor, ...], weights: Tensor | None) -> None:
    logits, labels, partners, _ = batch
    loss = Loss(weights, 0.1)
    alone = loss(logits, labels, None, None)
    torch.testing.assert_close(loss(logits, labels, partners, torch.ones(8)), alone)
    torch.testing.assert_close(loss(logits, partners, labels, torch.zeros(8)), alone)
