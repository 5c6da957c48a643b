"""A plan of many samples can be cut into those of batches."""

import numpy as np
import pytest
import torch

from infer.images.preprocess import PixelSpec
from trainer.augment.augmentation import Augmentation
from trainer.augment.parse import parse_steps

EVERYTHING = "rotation(20), hflip, jitter(0.2) @ 0.5, erasing @ 0.5, erasing(fill=9), one_of(mixup(0.2), cutmix(1))"
SPEC = PixelSpec.default(32)
CANVASES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (9, *SPEC.canvas, 3), dtype=np.uint8))


def test_a_part_of_a_plan_is_the_plan_of_that_part() -> None:
    augmentation = Augmentation(parse_steps([EVERYTHING]), SPEC)
    canvases, draws = CANVASES, augmentation.draws(9, seed=0, epoch=1)
    whole = augmentation.plan(draws)
    part, alone = whole.rows(3, 6), augmentation.plan(draws[3:6])
    assert torch.equal(augmentation(canvases[3:6], part), augmentation(canvases[3:6], alone))
    windows = augmentation(canvases, whole)
    for seen, expected in zip(augmentation.mix(windows[3:6], part), augmentation.mix(windows[3:6], alone), strict=True):
        assert torch.equal(seen, expected)
    assert part.grids is not None
    assert part.grids.untyped_storage().data_ptr() == whole.grids.untyped_storage().data_ptr()  # type: ignore[union-attr]


def test_parts_are_planned_in_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    augmentation = Augmentation(parse_steps([EVERYTHING]), SPEC)
    draws = augmentation.draws(9, seed=0, epoch=1)
    starts, size = [0, 2, 4, 6], 3  # each part has the first sample of the next one too
    spans = [slice(start, start + size) for start in starts]
    expected = [augmentation(CANVASES[span], augmentation.plan(draws[span])) for span in spans]
    for planned in (1, 4, 5, 65_536):
        monkeypatch.setattr("trainer.augment.augmentation.PLANNED", planned)
        plans = augmentation.plans(draws, starts, size)
        for span, plan, windows in zip(spans, plans, expected, strict=True):
            assert torch.equal(augmentation(CANVASES[span], plan), windows)
