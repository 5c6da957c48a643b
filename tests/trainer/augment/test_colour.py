import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from trainer.augment.colour import LUMA, colour_basis, colour_matrix, recolour
from trainer.augment.steps import Brightness, Colour, Contrast, Grayscale, Hue, Saturation, Temperature

EXACT = 0.01
"""Grey levels of rounding in float32."""
PAIRS = pytest.mark.parametrize("pairs", [True, False])


def mid_range(n: int = 2, spread: float = 40) -> Tensor:
    """Windows [n, 3, 8, 9] with colours between which no step of these tests needs clamping."""
    return 128 + spread * (torch.rand(n, 3, 8, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def factor_draw(factor: float, amount: float) -> Tensor:
    least = max(0.0, 1 - amount)
    return torch.tensor([[(factor - least) / (1 + amount - least)]])


def recoloured(planes: Tensor, *chain: tuple[Colour, Tensor], pairs: bool = True) -> Tensor:
    basis = colour_basis(pairs)
    product = torch.eye(len(basis[0])).expand(len(planes), -1, -1)
    for step, draws in chain:
        product = product @ colour_matrix(step, draws.expand(len(planes), -1), basis)
    return recolour(planes, product)


@PAIRS
@pytest.mark.parametrize("factor", [0.4, 0.8, 1.0, 1.4])
def test_brightness_and_saturation_are_torchvisions(factor: float, pairs: bool) -> None:
    planes = mid_range()
    for amount in (0.6, 1.2):  # the second draws from 0 on
        seen = recoloured(planes, (Brightness(amount), factor_draw(factor, amount)), pairs=pairs)
        expected = functional.adjust_brightness(planes / 255, factor) * 255
        torch.testing.assert_close(seen, expected, rtol=0, atol=EXACT)
        seen = recoloured(planes, (Saturation(amount), factor_draw(factor, amount)), pairs=pairs)
        expected = functional.adjust_saturation(planes / 255, factor) * 255
        torch.testing.assert_close(seen, expected, rtol=0, atol=0.1)  # torchvision's luma: 0.2989, 0.587, 0.114


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 2.0])
def test_contrast_is_torchvisions_about_the_windows_own_mean_luma(factor: float) -> None:
    planes = mid_range(3) + torch.tensor([-20.0, 0, 20])[:, None, None, None]
    seen = recoloured(planes, (Contrast(1.5), factor_draw(factor, 1.5)))
    expected = functional.adjust_contrast(planes / 255, factor) * 255
    torch.testing.assert_close(seen, expected, rtol=0, atol=0.1)


@PAIRS
def test_grayscale_is_torchvisions(pairs: bool) -> None:
    planes = mid_range()
    seen = recoloured(planes, (Grayscale(), torch.zeros(1, 0)), pairs=pairs)
    torch.testing.assert_close(seen, functional.rgb_to_grayscale(planes, 3), rtol=0, atol=0.1)
    assert torch.equal(seen[:, 0], seen[:, 1])
    assert torch.equal(seen[:, 0], seen[:, 2])


def test_a_chain_is_torchvisions_steps_in_that_order() -> None:
    """Contrast after another step takes the mean of what that step made."""
    planes = mid_range(3)
    chain = [(Contrast(0.5), 0.6), (Brightness(0.5), 0.7), (Contrast(0.5), 1.4), (Saturation(0.5), 1.5)]
    expected = planes / 255
    for step, factor in chain:
        expected = getattr(functional, f"adjust_{type(step).__name__.lower()}")(expected, factor)
    seen = recoloured(planes, *((step, factor_draw(factor, 0.5)) for step, factor in chain))
    torch.testing.assert_close(seen, expected * 255, rtol=0, atol=0.2)
    other_way = recoloured(planes, *((step, factor_draw(factor, 0.5)) for step, factor in chain[1::-1]))
    in_order = recoloured(planes, *((step, factor_draw(factor, 0.5)) for step, factor in chain[:2]))
    torch.testing.assert_close(other_way, in_order, rtol=0, atol=EXACT)  # brightness and contrast commute exactly


def test_a_step_after_a_hue_shift_that_does_not_commute_with_it_sees_what_it_made() -> None:
    planes = mid_range()
    hue, warm = (Hue(0.5), torch.tensor([[0.6]])), (Temperature(0.4), torch.tensor([[1.0]]))
    step_by_step = recoloured(recoloured(planes, hue), warm)
    torch.testing.assert_close(recoloured(planes, hue, warm), step_by_step, rtol=0, atol=EXACT)
    assert (recoloured(planes, warm, hue) - step_by_step).abs().max() > 1


@PAIRS
def test_a_hue_shift_keeps_luma_and_greys_and_turns_as_torchvisions_does(pairs: bool) -> None:
    planes = mid_range(1, spread=20)
    luma = torch.tensor(LUMA)[:, None, None]
    for shift in (-0.3, -0.1, 0.05, 0.2, 0.4):
        draws = torch.tensor([[shift + 0.5]])
        seen = recoloured(planes, (Hue(0.5), draws), pairs=pairs)
        torch.testing.assert_close((seen * luma).sum(1), (planes * luma).sum(1), rtol=0, atol=EXACT)
        # HSV keeps the largest channel, YIQ the luma: what is left to compare is the colour without its luma
        expected = functional.adjust_hue(planes / 255, shift) * 255
        ours, theirs = ((each - (each * luma).sum(1, keepdim=True)).flatten() for each in (seen, expected))
        assert torch.dot(ours, theirs) / (ours.norm() * theirs.norm()) > 0.85
    grey = torch.full((1, 3, 4, 4), 77.0)
    torch.testing.assert_close(recoloured(grey, (Hue(0.5), torch.tensor([[0.9]]))), grey, rtol=0, atol=EXACT)


def test_a_whole_turn_of_hue_changes_nothing_and_half_a_turn_gives_the_complement() -> None:
    planes = mid_range()
    step, luma = Hue(0.5), (mid_range() * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    half = (step, torch.tensor([[1.0]]))
    torch.testing.assert_close(recoloured(planes, half), 2 * luma - planes, rtol=0, atol=EXACT)
    torch.testing.assert_close(recoloured(planes, half, half), planes, rtol=0, atol=EXACT)


@PAIRS
def test_warmer_light_scales_red_up_and_blue_down_and_a_grey_keeps_its_luma(pairs: bool) -> None:
    planes = mid_range()
    warm = recoloured(planes, (Temperature(0.2), torch.tensor([[1.0]])), pairs=pairs)
    cool = recoloured(planes, (Temperature(0.2), torch.tensor([[0.0]])), pairs=pairs)
    torch.testing.assert_close(warm[:, 0], planes[:, 0] * 1.2, rtol=0, atol=EXACT)
    torch.testing.assert_close(warm[:, 2], planes[:, 2] * 0.8, rtol=0, atol=EXACT)
    torch.testing.assert_close(warm + cool, 2 * planes, rtol=0, atol=EXACT)
    grey = recoloured(torch.full((1, 3, 2, 2), 100.0), (Temperature(0.2), torch.tensor([[1.0]])), pairs=pairs)
    np.testing.assert_allclose(np.dot(LUMA, grey[0, :, 0, 0].numpy()), 100, atol=EXACT)


def test_values_end_within_0_and_255_after_all_steps_and_not_between_them() -> None:
    planes = mid_range(1, spread=100)
    brighter, darker = (Brightness(1), torch.tensor([[1.0]])), (Brightness(1), torch.tensor([[0.25]]))
    seen = recoloured(planes, brighter)
    torch.testing.assert_close(seen, (planes * 2).clamp(0, 255), rtol=0, atol=EXACT)
    assert seen.max() == 255
    torch.testing.assert_close(recoloured(planes, brighter, darker), planes, rtol=0, atol=EXACT)


@PAIRS
@pytest.mark.parametrize("step", [Brightness(0.3), Saturation(0.3), Hue(0.3), Temperature(0.3)])
def test_a_draw_in_the_middle_changes_nothing(step: Colour, pairs: bool) -> None:
    planes = mid_range()
    seen = recoloured(planes, (step, torch.tensor([[0.5]])), pairs=pairs)
    torch.testing.assert_close(seen, planes, rtol=0, atol=1e-3)
