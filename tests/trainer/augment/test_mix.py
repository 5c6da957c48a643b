import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from trainer.augment.mix import covered_area, erase, mixed_share, own_weight
from trainer.augment.steps import Cutmix, Erasing, Mixup

WINDOW = (20, 30)


def windows(n: int) -> Tensor:
    return torch.rand(n, 3, *WINDOW, generator=torch.Generator().manual_seed(0)) * 200 + 1


def many(columns: int, n: int = 3000) -> Tensor:
    return torch.rand(n, columns, generator=torch.Generator().manual_seed(1))


def erased(planes: Tensor, step: Erasing, draws: Tensor, mask: Tensor | None = None) -> Tensor:
    return erase(planes, *covered_area(step, draws, mask, WINDOW), step.fill)


def box_of(covered: Tensor) -> tuple[int, int, int, int]:
    """Top, left, height, width of a rectangle in bool [H, W]; it must be one."""
    rows, columns = torch.where(covered.any(1))[0].tolist(), torch.where(covered.any(0))[0].tolist()
    assert covered[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert covered.sum() == len(rows) * len(columns)
    return rows[0], columns[0], len(rows), len(columns)


def test_erasing_covers_the_rectangle_that_its_draws_say_as_torchvisions_erase_does() -> None:
    """A share of 1/6 of 600 pixels at a ratio of 1: 10 x 10, at half of the ways that are left."""
    planes = windows(1)
    seen = erased(planes, Erasing(1 / 6, 1 / 6, 3, 7), torch.tensor([[0.5, 0.5, 0.5, 0.5]]), None)
    assert torch.equal(seen, functional.erase(planes, 5, 10, 10, 10, torch.tensor(7.0)))


def test_erased_rectangles_have_the_share_and_shape_that_were_asked_for_and_reach_every_place() -> None:
    draws = many(4)
    step = Erasing(0.1, 0.3, 2)
    covered = (erased(windows(1).expand(len(draws), -1, -1, -1), step, draws, None) == 0).all(dim=1)
    boxes = np.array([box_of(each) for each in covered])
    height, width = boxes[:, 2], boxes[:, 3]
    side = np.sqrt(height * width / 600)  # rounding moves it by up to half a pixel
    assert 0.1**0.5 - 0.03 < side.min() < 0.1**0.5 + 0.03
    assert 0.3**0.5 - 0.03 < side.max() < 0.3**0.5 + 0.03
    assert abs((height * width).mean() / 600 - 0.2) < 0.01
    assert (width <= 2.2 * (height + 0.5)).all()
    assert (height <= 2.2 * (width + 0.5)).all()
    assert abs(np.log(width / height).mean()) < 0.05
    assert covered.any(dim=0).all()


def test_only_the_samples_for_which_it_is_taken_are_erased() -> None:
    planes, taken = windows(4), torch.tensor([True, False, True, False])
    seen = erased(planes, Erasing(0.2, 0.2), many(4, 4), taken)
    assert [(seen[i] == 0).any().item() for i in range(4)] == taken.tolist()
    assert torch.equal(seen[1::2], planes[1::2])


@pytest.mark.parametrize("draw", [0.0, 0.5, 1 - 2**-24])
def test_a_rectangle_longer_than_the_window_is_cut_to_it(draw: float) -> None:
    seen = erased(windows(1), Erasing(0.5, 0.5, 100), torch.tensor([[0.5, 1.0, draw, draw]]), None)
    top, left, height, width = box_of((seen[0] == 0).all(dim=0))
    assert (left, width) == (0, 30)
    assert height == 2
    assert top == round(draw * 18)


def test_mixups_weight_is_its_draw_everywhere() -> None:
    weight = own_weight(mixed_share(Mixup(0.2), torch.tensor([[0.3], [1.0]]), None, WINDOW))
    assert weight.broadcast_to(2, *WINDOW)[:, 4, 5].tolist() == pytest.approx([0.3, 1.0])


def test_cutmixs_rectangle_is_the_papers() -> None:
    """Sides of sqrt(1 - share) about a random pixel, cut at the edges, as torchvision's CutMix counts them."""
    draws = many(3)
    weights = own_weight(mixed_share(Cutmix(1), draws, None, WINDOW))
    assert set(weights.unique().tolist()) == {0.0, 1.0}
    for weight, (share, across, down) in zip(weights[:200], draws[:200].double().tolist(), strict=True):
        half = 0.5 * (1 - share) ** 0.5
        centre_x, half_x, centre_y, half_y = int(across * 30), int(half * 30), int(down * 20), int(half * 20)
        expected = torch.ones(WINDOW)
        expected[max(centre_y - half_y, 0) : centre_y + half_y, max(centre_x - half_x, 0) : centre_x + half_x] = 0
        assert torch.equal(weight, expected)
    assert (weights == 0).any(dim=0).all()


def test_a_share_of_1_leaves_a_sample_its_own() -> None:
    assert own_weight(mixed_share(Cutmix(1), torch.tensor([[1.0, 0.5, 0.5]]), None, WINDOW)).eq(1).all()
