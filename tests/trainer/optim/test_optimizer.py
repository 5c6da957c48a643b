import copy
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from trainer.config import LEARNING_RATE, Optimizer, ResolvedConfig, TrainConfig
from trainer.model.resnet import BasicBlock, ResNet
from trainer.optim.optimizer import build_optimizer

KINDS = get_args(Optimizer)


def settings_of(**options: Any) -> ResolvedConfig:
    return TrainConfig(architecture="resnet18", **options).resolved("cpu")[0]


def small_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def toy_loss(network: nn.Module) -> Tensor:
    random = torch.Generator().manual_seed(1)
    inputs = torch.randn(32, 4, generator=random)
    return nn.functional.cross_entropy(network(inputs), (inputs.sum(1) > 0).long())


def values(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def test_every_optimizer_has_a_learning_rate_that_suits_it() -> None:
    assert set(KINDS) == set(LEARNING_RATE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_optimizer_lowers_a_loss_at_its_own_learning_rate(kind: str) -> None:
    network = small_network()
    optimizer = build_optimizer(settings_of(optimizer=kind), network)
    losses = []
    for _ in range(30):
        losses.append(toy_loss(network))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_optimizer_reads_the_rate_of_its_groups_at_each_step(kind: str) -> None:
    network = small_network()
    optimizer = build_optimizer(settings_of(optimizer=kind, rate_scaling="linear", base_batch_size=8), network)
    assert all(group["lr"] == LEARNING_RATE[kind] * 32 / 8 for group in optimizer.param_groups)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = values(network)
    toy_loss(network).backward()
    optimizer.step()
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize("decay_all", [False, True])
def test_weight_decay_is_on_convolutions_and_head_alone_or_on_all(decay_all: bool) -> None:
    network = ResNet(BasicBlock, (1, 1, 1, 1), 2, base_width=8)
    optimizer = build_optimizer(settings_of(weight_decay=0.3, decay_all=decay_all), network)
    decay = {id(item): group["weight_decay"] for group in optimizer.param_groups for item in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(decay)
    heavy = {f"{name}.weight" for name, part in network.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)}
    expected = {name: 0.3 if decay_all or name in heavy else 0.0 for name, _ in network.named_parameters()}
    assert {name: decay[id(item)] for name, item in network.named_parameters()} == expected


@pytest.mark.parametrize("kind", ["sgd", "adamw", "nadam", "radam"])
def test_decay_without_a_gradient_shrinks_a_weight_by_rate_times_decay(kind: str) -> None:
    network = small_network()
    before = values(network)
    optimizer = build_optimizer(settings_of(optimizer=kind, learning_rate=0.1, weight_decay=0.5), network)
    (toy_loss(network) * 0).backward()
    optimizer.step()
    for old, new in zip(before, network.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), old * 0.95 if old.ndim > 1 else old)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.9, False), (0.0, True), (0.0, False)])
def test_sgd_is_the_textbooks(momentum: float, nesterov: bool) -> None:
    network = small_network()
    settings = settings_of(learning_rate=0.1, momentum=momentum, nesterov=nesterov, weight_decay=0.0)
    optimizer = build_optimizer(settings, network)
    expected, speeds = values(network), [torch.zeros_like(item) for item in network.parameters()]
    for _ in range(3):
        optimizer.zero_grad()
        toy_loss(network).backward()
        for place, parameter in enumerate(network.parameters()):
            speeds[place] = momentum * speeds[place] + parameter.grad
            move = parameter.grad + momentum * speeds[place] if nesterov else speeds[place]
            expected[place] = expected[place] - 0.1 * move
        optimizer.step()
    for found, value in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), value)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_lie_channels_last_move_as_others_do(kind: str) -> None:
    """Fused kernels walk through memory; they must not pair a weight with another one's gradient."""
    plain = nn.Conv2d(3, 5, 3)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    assert last.weight.stride() != plain.weight.stride()
    images = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for network in (plain, last):
        optimizer = build_optimizer(settings_of(optimizer=kind, learning_rate=0.01), network)
        for _ in range(2):
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(last.weight, plain.weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_weights_stay_even_where_they_would_decay(kind: str) -> None:
    network = small_network()
    before = values(network)
    optimizer = build_optimizer(settings_of(optimizer=kind, weight_decay=0.1, decay_all=True), network)
    network[0].requires_grad_(False)
    toy_loss(network).backward()
    optimizer.step()
    same = [torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)]
    assert same == [True, True, False, False, False, False]
