import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from trainer.optim.ema import Ema


def small_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def values(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def wander(network: nn.Module, seed: int) -> None:
    """Change weights and statistics as a step of training does."""
    torch.manual_seed(seed)
    network.train()
    network(torch.randn(16, 4) + seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn_like(parameter)


def test_the_ema_of_weights_and_statistics_is_torchs_after_the_warm_up() -> None:
    network, decay = small_network(), 0.15  # below 2/11, the first decay of the warm-up
    reference = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    reference.update_parameters(network)  # torch's first update copies
    ema = Ema(network, copy.deepcopy(network), decay)
    for seed in range(1, 5):
        wander(network, seed)
        ema.update()
        reference.update_parameters(network)
    expected = reference.module.state_dict()
    for name, value in ema.network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name])
        else:
            assert torch.equal(value, network.state_dict()[name])  # a count of batches has no mean
    assert ema.network[1].num_batches_tracked == 4


def test_the_decay_grows_with_the_steps_up_to_the_given_decay() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 2.0)
    ema, expected = Ema(network, nn.Linear(1, 1, bias=False), 0.4), 2.0
    for step, decay in enumerate([2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.4, 0.4, 0.4], 1):
        nn.init.constant_(network.weight, 1.0 / step)
        ema.update()
        expected = decay * expected + (1 - decay) / step
        assert float(ema.network.weight) == pytest.approx(expected, rel=1e-5)


def test_the_ema_has_no_gradients_and_the_network_keeps_its_own() -> None:
    network = small_network()
    ema = Ema(network, copy.deepcopy(network), 0.9)
    assert not any(parameter.requires_grad for parameter in ema.network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    before = values(network)
    ema.update()
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_the_ema_follows_a_network_that_loaded_other_weights() -> None:
    """As where a run is resumed: the weights are loaded after the EMA was made."""
    network, other = small_network(), small_network(1)
    ema = Ema(network, copy.deepcopy(network), 0.15)
    network.load_state_dict(other.state_dict())
    for _ in range(30):
        ema.update()
    for found, value in zip(ema.network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, value.detach())
