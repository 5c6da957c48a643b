from types import SimpleNamespace

import pytest
import torch

from trainer.run.meter import Meter


class Clock:
    """Time that passes when it is figures to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("trainer.run.meter.time", clock)
    return clock


def test_on_a_cpu_a_reading_gives_the_mean_loss_over_images_and_their_speed(clock: Clock) -> None:
    meter = Meter(torch.device("cpu"))
    meter.add(torch.tensor(2.0), torch.tensor(3), 4)
    clock.now += 2
    assert meter.read(4) == pytest.approx((4, 2.0, 2.0))
    meter.add(torch.tensor(0.5), torch.tensor(1), 2)
    clock.now += 1
    assert meter.read(6) == pytest.approx((6, (2.0 * 4 + 0.5 * 2) / 6, 2.0))
    assert meter.totals.tolist() == [9.0, 4.0]


def test_what_is_added_up_holds_no_graph() -> None:
    meter = Meter(torch.device("cpu"))
    weight = torch.ones((), requires_grad=True)
    meter.add(weight * 2, torch.tensor(1), 4)
    assert not meter.totals.requires_grad
    assert meter.totals.grad_fn is None


def test_correct_predictions_of_many_images_are_counted_exactly() -> None:
    meter = Meter(torch.device("cpu"))
    for _ in range(1000):
        meter.add(torch.tensor(0.1), torch.tensor(1023), 1024)
    assert meter.totals[1] == 1_023_000


def test_on_a_gpu_a_reading_gives_what_an_earlier_one_copied_once_the_copy_has_arrived(clock: Clock) -> None:
    arrived, recorded = [False], []
    meter = Meter(torch.device("cpu"))
    meter._event = SimpleNamespace(query=lambda: arrived[0], record=lambda: recorded.append(meter._copy.tolist()))
    figures = []
    for step in range(1, 6):
        arrived[0] = step >= 4
        meter.add(torch.tensor(float(step)), torch.tensor(0), 1)
        clock.now += 1
        figures.append(meter.read(step))
    # the first reading's copy, of loss 1, arrives before the fourth; the fourth's, of losses 1 to 4, before the fifth
    assert figures[:3] == [None] * 3
    assert figures[3] == pytest.approx((1, 1.0, 1 / 4))
    assert figures[4] == pytest.approx((4, 2.5, 4 / 5))
    assert [loss for loss, _ in recorded] == [1.0, 10.0, 15.0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
def test_adding_and_reading_never_make_a_gpu_wait() -> None:
    device = torch.device("cuda")
    meter = Meter(device)
    loss, correct = torch.tensor(2.0, device=device), torch.tensor(3, device=device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        meter.add(loss, correct, 4)
        assert meter.read(4) is None
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.cuda.synchronize()
    figures = meter.read(4)
    assert figures is not None
    assert figures[:2] == (4, 2.0)
