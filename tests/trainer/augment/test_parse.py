import math
import subprocess
import sys

import pytest

from infer.core.errors import ConfigError
from trainer.augment.parse import STEPS, crop_paddings, parse_steps, reach
from trainer.augment.steps import (
    Affine,
    Brightness,
    Contrast,
    Crop,
    Cutmix,
    Erasing,
    Grayscale,
    HFlip,
    Jitter,
    Mixup,
    OneOf,
    RandomApply,
    RandomOrder,
    ResizedCrop,
    Rotation,
    Step,
    Temperature,
    VFlip,
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", ()),
        ("rotation(20)", (Rotation(20),)),
        ("hflip, vflip", (RandomApply(HFlip(), 0.5), RandomApply(VFlip(), 0.5))),
        ("hflip @ 0.3, vflip @ 1", (RandomApply(HFlip(), 0.3), VFlip())),
        ("resized_crop(0.6, 1.0), crop(padding=4)", (ResizedCrop(0.6, 1.0), Crop(4))),
        ("affine(zoom=0.2, shear=5)", (Affine(zoom=0.2, shear=5),)),
        ("jitter(0.2, 1.2, 1.2, 0.1)", (Jitter(0.2, 1.2, 1.2, 0.1),)),
        ("erasing(fill=128) @ 0.25", (RandomApply(Erasing(fill=128), 0.25),)),
        (
            "random_order(brightness(0.1), contrast(0.1))",
            (RandomOrder((Brightness(0.1), Contrast(0.1))),),
        ),
        (
            "one_of(grayscale, temperature(0.1)) @ 0.5",
            (RandomApply(OneOf((Grayscale(), Temperature(0.1))), 0.5),),
        ),
        ("one_of(mixup(0.2), cutmix(1))", (OneOf((Mixup(0.2), Cutmix(1))),)),
    ],
)
def test_a_text_means_these_steps(text: str, steps: tuple[Step, ...]) -> None:
    assert parse_steps([text]) == steps


def test_several_texts_are_one_list() -> None:
    assert parse_steps(["rotation(20), grayscale", "", "crop"]) == (Rotation(20), Grayscale(), Crop())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotate(20)", "unknown step rotate; choose one of rotation, hflip"),
        ("one_of(rotate(20))", "unknown step rotate; choose one of rotation, hflip"),
        ("rotation", r"rotation takes \(degrees\), got other"),
        ("rotation('wide')", r"rotation takes \(degrees\), got other"),
        ("rotation(hflip)", r"rotation takes \(degrees\), got other"),
        ("hflip(0.3)", r"hflip takes \(\), got other"),
        ("rotation(200)", "rotation: degrees must be from 0 to 180, got 200"),
        ("hue(0.6)", "hue: amount must be from 0 to 0.5, got 0.6"),
        ("crop(1.5)", "crop: padding must be a whole number from 0 to 10000, got 1.5"),
        ("resized_crop(0.8, 0.5)", "min_scale must be at most max_scale, got 0.8 and 0.5"),
        ("resized_crop(0)", "min_scale must be from 0.001 to 1, got 0"),
        ("erasing(0.5, 0.1)", "min_area must be at most max_area, got 0.5 and 0.1"),
        ("jitter", "jitter: needs a value above 0"),
        ("affine(0)", "affine: needs a value above 0"),
        ("mixup(0)", "mixup: alpha must be from 0.001 to 1000, got 0"),
        ("brightness(1e999)", "brightness: amount must be from 0 to 100, got inf"),
        ("one_of()", "one_of takes steps"),
        ("random_order", "random_order takes steps"),
        ("random_order(1)", "random_order takes steps"),
        ("random_order(hflip, p=1)", "random_order takes steps"),
        ("hflip @ 2", "a probability must be from 0 to 1, got 2"),
    ],
)
def test_what_is_no_step_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^--augment: .*{message}"):
        parse_steps([text])


@pytest.mark.parametrize("name", STEPS)
def test_every_step_can_be_written_with_its_first_value_at_most(name: str) -> None:
    values = {"rotation": "20", "resized_crop": "0.5", "random_order": "hflip", "one_of": "hflip", "affine": "20"}
    amounts = ("brightness", "contrast", "saturation", "hue", "jitter", "temperature", "mixup", "cutmix")
    value = {**values, **dict.fromkeys(amounts, "0.1")}.get(name)
    (step,) = parse_steps([f"{name}({value}) @ 1" if value else f"{name} @ 1"])
    assert type(step) is STEPS[name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("hflip, crop(4), resized_crop(0.5), jitter(0.1), mixup(1)", 1),
        ("rotation(0)", 1),
        ("rotation(20)", math.cos(math.pi / 9) + math.sin(math.pi / 9)),
        ("rotation(45)", math.sqrt(2)),
        ("rotation(180)", math.sqrt(2)),
        ("rotation(20) @ 0", 1),
        ("random_order(rotation(20), hflip)", 1.2817),
        ("one_of(rotation(20), affine(translate=0.1))", 1.2817 * 1.2),
        ("affine(translate=0.1)", 1.2),
        ("affine(zoom=0.25)", 1.25),
        ("affine(shear=45)", 2),
        ("rotation(90), affine(90)", 2),
        ("rotation(90), affine(90), affine(zoom=3)", 2),
    ],
)
def test_the_reach_is_that_of_a_square_windows_corners_within_two(text: str, expected: float) -> None:
    assert reach(parse_steps([text])) == pytest.approx(expected, abs=1e-4)


def test_reading_a_text_loads_no_heavy_package() -> None:
    code = "import sys, trainer.augment.parse; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("crop", [0]),
        ("crop @ 0.5, crop(4)", [0, 4]),
        ("one_of(hflip, random_order(vflip, crop(3)))", [3]),
        ("rotation(20), resized_crop(0.5)", []),
        ("", []),
    ],
)
def test_every_crop_is_found_wherever_it_stands(text: str, found: list[int]) -> None:
    assert crop_paddings(parse_steps([text])) == found
