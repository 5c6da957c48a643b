"""The networks against torchvision's, weight for weight and bit for bit."""

import math

import pytest
import torch
import torchvision
from helpers.networks import FULL_SIZE
from torch import Tensor, nn

from trainer.model.resnet import ResNet

RESNETS = [name for name in FULL_SIZE if name.startswith("resnet")]


def build(architecture: str, classes: int) -> ResNet:
    network = FULL_SIZE[architecture].build(classes)
    assert isinstance(network, ResNet)
    return network


def blueprint(architecture: str, classes: int) -> tuple[ResNet, nn.Module]:
    """Ours and torchvision's without values."""
    with torch.device("meta"):
        return build(architecture, classes), torchvision.models.get_model(architecture, num_classes=classes)


def random_state(shapes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values for every tensor, such that activations stay of order 1 and no normalisation is the identity."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for name, like in shapes.items():
        values = torch.rand(like.shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            values = torch.zeros((), dtype=torch.int64)
        elif like.ndim > 1:
            values = (values - 0.5) * math.sqrt(12 / like[0].numel())
        elif name.endswith(("running_var", "weight")):
            values = values + 0.5
        state[name] = values
    return state


def twins(architecture: str, classes: int = 3) -> tuple[ResNet, nn.Module]:
    """Ours and torchvision's with the same values, each its own."""
    ours, theirs = blueprint(architecture, classes)
    state = random_state(theirs.state_dict())
    ours.load_state_dict({name: values.clone() for name, values in state.items()}, assign=True)
    theirs.load_state_dict(state, assign=True)
    return ours, theirs


def images(n: int, height: int, width: int) -> Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("architecture", RESNETS)
def test_names_shapes_and_types_of_all_tensors_are_those_of_torchvision(architecture: str) -> None:
    ours, theirs = blueprint(architecture, 7)
    described = [{name: (t.shape, t.dtype) for name, t in net.state_dict().items()} for net in (ours, theirs)]
    assert described[0] == described[1]


@pytest.mark.parametrize("architecture", RESNETS)
def test_in_evaluation_the_answers_are_those_of_torchvision_bit_for_bit(architecture: str) -> None:
    ours, theirs = (net.eval() for net in twins(architecture))
    with torch.inference_mode():
        for x in (images(2, 32, 32), images(2, 48, 40)):
            expected = theirs(x)
            assert expected.isfinite().all()
            assert expected.std() > 0
            assert torch.equal(ours(x), expected)


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
def test_a_training_step_has_the_gradients_and_running_statistics_of_torchvision(architecture: str) -> None:
    ours, theirs = (net.train() for net in twins(architecture))
    x, labels = images(4, 32, 32), torch.tensor([0, 1, 2, 1])
    for net in (ours, theirs):
        nn.functional.cross_entropy(net(x), labels).backward()
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, rtol=1e-4, atol=1e-6, msg=name)
    state = theirs.state_dict()
    for name, values in ours.state_dict().items():
        torch.testing.assert_close(values, state[name], msg=name)
        assert not name.endswith("num_batches_tracked") or values == 1


def test_new_convolutions_have_the_spread_that_keeps_the_variance_going_backward() -> None:
    """He initialisation by fan-out: a standard deviation of sqrt(2 / (kernel area x output channels))."""
    torch.manual_seed(0)
    for name, module in build("resnet18", 2).named_modules():
        if isinstance(module, nn.Conv2d):
            expected = math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels))
            assert module.weight.std().item() == pytest.approx(expected, rel=0.05), name


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
def test_a_new_block_passes_its_shortcut_on_unchanged(architecture: str) -> None:
    """So that a deep network starts as a shallow one."""
    block = build(architecture, 2).eval().layer1[1]
    x = torch.rand(2, 64 * block.expansion, 5, 5)
    with torch.inference_mode():
        assert torch.equal(block(x), x)
