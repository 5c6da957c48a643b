import dataclasses
from typing import get_args, get_type_hints

import pytest

from trainer.augment import steps as kinds
from trainer.augment.steps import Brightness, Contrast, Hue, Jitter, RandomOrder, Rotation, Saturation


@pytest.mark.parametrize("kind", get_args(kinds.Single), ids=lambda kind: kind.__name__)
def test_a_value_just_outside_its_bounds_is_refused_and_the_bounds_are_not(kind: type) -> None:
    hints = get_type_hints(kind, include_extras=True)
    bounds = {field.name: hints[field.name].__metadata__ for field in dataclasses.fields(kind)}
    within = {name: high for name, (_, high) in bounds.items()}
    for name, (low, high) in bounds.items():
        if not name.startswith("max_"):  # that must not be below its partner
            assert getattr(kind(**{**within, name: low}), name) == low
        assert getattr(kind(**within), name) == high
        for value in (low - 1e-6, high + 1e-6, float("nan"), float("inf")):
            with pytest.raises(ValueError, match=f"^{name} must be "):
                kind(**{**within, name: value})


def test_jitter_is_its_four_parts_without_those_that_do_nothing() -> None:
    assert Jitter(0.1, 0.2, 0.3, 0.4).as_steps() == RandomOrder(
        (Brightness(0.1), Contrast(0.2), Saturation(0.3), Hue(0.4))
    )
    assert Jitter(contrast=1.2).as_steps() == RandomOrder((Contrast(1.2),))


def test_steps_of_one_kind_and_value_are_equal_and_others_are_not() -> None:
    assert Rotation(20) == Rotation(20.0)
    assert Rotation(20) != Rotation(21)
    assert Brightness(0.1) != Contrast(0.1)
