import math
import subprocess
import sys
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from infer.core.errors import ConfigError
from infer.core.knob import knobs, option
from trainer.augment.steps import Crop, HFlip, RandomApply, Rotation, VFlip
from trainer.choices import LEARNING_RATE, Optimizer
from trainer.config import ResolvedConfig, TrainConfig, read_config
from trainer.model.architectures import ARCHITECTURES

CONFIG = TrainConfig(architecture="resnet18")
OPEN = {"epochs", "batch_size", "image_size", "learning_rate", "base_batch_size"}
RANGED = {
    "fold": (-1, "at least 0"),
    "seed": (2**32, "from 0 to 4294967295"),
    "image_size": (31, "from 32 to 2048"),
    "crop": (7, "from 8 to 8192"),
    "epochs": (0, "above 0"),
    "batch_size": (1, "at least 2"),
    "accumulate": (0, "above 0"),
    "learning_rate": (0.0, "above 0"),
    "base_batch_size": (0, "above 0"),
    "momentum": (1.0, "at least 0 and below 1"),
    "weight_decay": (-1e-9, "at least 0"),
    "warmup": (-1.0, "at least 0"),
    "milestones": ((0.5, 1.0), "above 0 and below 1"),
    "drop": (1.0, "above 0 and below 1"),
    "plateau": (0, "above 0"),
    "clip_norm": (0.0, "above 0"),
    "ema": (1.0, "at least 0 and below 1"),
    "freeze": (-1, "at least 0"),
    "patience": (0, "above 0"),
    "label_smoothing": (1.0, "at least 0 and below 1"),
    "workers": (0, "above 0"),
}
"""For each knob that takes numbers: a value just out of range, and the range in words."""


def type_names(name: str) -> str:
    return str(knobs(TrainConfig)[name][1])


def test_every_number_has_a_range() -> None:
    assert set(RANGED) == {
        name for name in knobs(TrainConfig) if "int" in type_names(name) or "float" in type_names(name)
    }


@pytest.mark.parametrize("name", RANGED)
def test_a_number_out_of_range_names_its_option_and_the_range(name: str) -> None:
    value, range_text = RANGED[name]
    got = value[-1] if isinstance(value, tuple) else value
    with pytest.raises(ConfigError) as caught:
        replace(CONFIG, **{name: value})
    assert str(caught.value) == f"{option(name)} must be {range_text}, got {got}"


@pytest.mark.parametrize("name", [name for name in RANGED if "float" in type_names(name)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_may_be_infinite_or_nan(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"^{option(name)} must be"):
        replace(CONFIG, **{name: (value,) if name == "milestones" else value})


@pytest.mark.parametrize("name", [name for name in knobs(TrainConfig) if "Literal" in type_names(name)])
def test_a_value_that_is_not_a_choice_is_refused_with_all_choices(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(CONFIG, **{name: "nothing"})
    choices = get_args(knobs(TrainConfig)[name][1])
    assert str(caught.value) == f"{option(name)} must be one of {', '.join(choices)}, got nothing"
    assert all(getattr(replace(CONFIG, **{name: choice}), name) == choice for choice in choices)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "resnet20"}, "ARCH must be one of resnet18, .*resnet152, got resnet20"),
        ({"architecture": ""}, "ARCH must be one of"),
        ({"architecture": 18}, "ARCH must be one of .*, got 18"),
        ({"pretrained": True, "weights": "a.pth"}, r"--weights must be given without --pretrained, got a\.pth"),
        ({"monitor": "loss"}, "--monitor must be accuracy, balanced-accuracy, f1 or recall:CLASS, got loss"),
        ({"monitor": "recall"}, "--monitor must be"),
        ({"augment": ("rotation(181)",)}, "--augment: rotation: degrees must be from 0 to 180, got 181"),
        ({"augment": ("rotate(20)",)}, "--augment: unknown step rotate; choose one of rotation, "),
        ({"batch_size": 9, "accumulate": 2}, "--accumulate must be a divisor of --batch-size, got 2"),
        ({"batch_size": 4, "accumulate": 4}, "--accumulate must be such that every step has 2 images or more, got 4"),
        ({"milestones": (0.5, 0.5)}, r"--milestones must be different, got \(0.5, 0.5\)"),
        ({"milestones": ()}, "--milestones must be"),
        ({"nesterov": 1}, "--nesterov must be true or false, got 1"),
        ({"data": 3}, "--data must be text, got 3"),
    ],
)
def test_invalid_values_are_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        replace(CONFIG, **values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 2),
        ("image_size", 32),
        ("momentum", 0.0),
        ("weight_decay", 0),
        ("seed", 0),
        ("seed", 2**32 - 1),
        ("workers", 1),
        ("milestones", (0.9, 0.1)),
        ("augment", ("rotation(0)", "hflip, vflip")),
        ("monitor", "balanced-accuracy"),
        ("monitor", "recall:any class: at all"),
        ("weights", "a.pth"),
        ("pretrained", True),
    ],
)
def test_values_at_the_edge_of_their_range_are_accepted(name: str, value: Any) -> None:
    assert getattr(replace(CONFIG, **{name: value}), name) == value


@pytest.mark.parametrize("written", ["ResNet50", "resnet-50", "RESNET_50", "ResNet-50", "resnet50"])
def test_capitals_and_hyphens_of_an_architecture_are_understood(written: str) -> None:
    assert TrainConfig(architecture=written).architecture == "resnet50"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_taken(name: str) -> None:
    assert TrainConfig(architecture=name).architecture == name


def test_every_knob_has_its_help_in_one_sentence() -> None:
    for name, (knob, _, _) in knobs(TrainConfig).items():
        assert knob.help.endswith("."), name
        assert knob.panel, name
    assert {item.name for item in fields(TrainConfig)} - set(knobs(TrainConfig)) == {"architecture", "recipe", "stages"}


def test_no_two_options_have_the_same_letter() -> None:
    letters = [knob.short for knob, _, _ in knobs(TrainConfig).values() if knob.short]
    assert sorted(letters) == sorted(set(letters))


@pytest.mark.parametrize("name", [name for name, (knob, _, _) in knobs(TrainConfig).items() if knob.whole_run])
def test_a_value_of_the_whole_run_is_refused_in_a_stage(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^stage 2: {name} is the same in all stages of a run; give it above them"):
        replace(CONFIG, stages=({}, {name: getattr(CONFIG, name)}))


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"epoch": 3}, "lab does not know epoch; see lab train --help"),
        ({"architecture": "resnet18"}, "lab does not know architecture"),
        ({"stages": ()}, "lab does not know stages"),
        ({"epochs": 0}, "--epochs must be above 0, got 0"),
        ({"epochs": "3"}, "--epochs must be a whole number, got 3"),
        ({"schedule": "linear"}, "--schedule must be one of constant, .*, got linear"),
        ({"stage_start": "first"}, "--stage-start must be one of last, best, got first"),
        ({"augment": ("nothing",)}, "--augment: unknown step nothing"),
        ({"batch_size": 6}, "--accumulate must be a divisor of --batch-size, got 4"),
    ],
)
def test_a_bad_value_in_a_stage_is_refused_with_the_stages_number(stage: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^stage 2: {message}"):
        TrainConfig(architecture="resnet18", accumulate=4, stages=({"epochs": 1}, stage))


def test_replacing_a_value_checks_it_again() -> None:
    with pytest.raises(ConfigError, match="--momentum"):
        replace(CONFIG.resolved("cpu")[0], momentum=2.0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_resolved_fills_in_what_was_left_open_and_keeps_the_rest(device: str, optimizer: Any) -> None:
    config = TrainConfig(architecture="resnet34", optimizer=optimizer, seed=7, monitor="f1", augment=("hflip",))
    (settings,) = config.resolved(device)
    assert isinstance(settings, ResolvedConfig)
    assert all(getattr(settings, name) > 0 for name in OPEN)
    assert (settings.device, settings.learning_rate) == (device, LEARNING_RATE[optimizer])
    for item in fields(TrainConfig):
        if item.name not in OPEN | {"device"}:
            assert getattr(settings, item.name) == getattr(config, item.name), item.name


def test_augmentation_is_parsed_where_the_config_is_built_and_written_as_the_text_that_was_given() -> None:
    config = TrainConfig(
        architecture="resnet18",
        augment=("hflip,  rotation( 20 )",),
        stages=({"augment": ("vflip @ 1", "crop")}, {"epochs": 2}),
    )
    assert config.augment_steps == (RandomApply(HFlip(), 0.5), Rotation(20))
    first, second = config.resolved("cpu")
    assert (first.augment_steps, second.augment_steps) == ((VFlip(), Crop()), config.augment_steps)
    assert replace(config, augment=()).augment_steps == ()
    assert 'augment = ["hflip,  rotation( 20 )"]\n' in config.to_toml()
    assert 'augment = ["vflip @ 1", "crop"]\n' in config.to_toml()
    assert "augment_steps" not in config.to_toml()


def test_resolved_keeps_given_values() -> None:
    values = {"epochs": 3, "batch_size": 5, "image_size": 77, "learning_rate": 0.5, "base_batch_size": 11}
    (settings,) = TrainConfig(architecture="resnet18", **values).resolved("cuda")
    assert {name: getattr(settings, name) for name in values} == values


def test_a_cpu_and_a_gpu_or_one_optimizer_and_another_have_values_of_their_own() -> None:
    (cpu,), (gpu,) = CONFIG.resolved("cpu"), CONFIG.resolved("cuda")
    assert cpu.image_size < gpu.image_size
    assert replace(CONFIG, optimizer="adamw").resolved("cpu")[0].learning_rate < cpu.learning_rate


def test_each_stage_has_its_own_values_and_for_the_rest_those_above() -> None:
    stages = ({"image_size": 48}, {"learning_rate": 0.5, "stage_start": "best"}, {"optimizer": "adam"})
    config = TrainConfig(architecture="resnet18", image_size=64, batch_size=6, epochs=9, stages=stages)
    resolved = config.resolved("cpu")
    assert [stage.image_size for stage in resolved] == [48, 64, 64]
    assert [stage.learning_rate for stage in resolved] == [LEARNING_RATE["sgd"], 0.5, LEARNING_RATE["adam"]]
    assert [stage.stage_start for stage in resolved] == ["last", "best", "last"]
    assert {(stage.batch_size, stage.epochs, stage.stages) for stage in resolved} == {(6, 9, ())}


@pytest.mark.parametrize(("scaling", "factor"), [("none", 1.0), ("linear", 4.0), ("sqrt", 2.0)])
def test_the_peak_rate_grows_with_the_batch_as_asked_for(scaling: Any, factor: float) -> None:
    config = replace(CONFIG, learning_rate=0.1, rate_scaling=scaling, batch_size=64, base_batch_size=16)
    assert config.resolved("cpu")[0].peak_rate == pytest.approx(0.1 * factor)
    smaller = replace(config, batch_size=16, base_batch_size=64)
    assert smaller.resolved("cpu")[0].peak_rate == pytest.approx(0.1 / factor)


@pytest.mark.parametrize(("device", "usual"), [("cpu", 32), ("cuda", 64)])
def test_where_no_base_is_given_the_rate_is_meant_for_the_devices_batch(device: str, usual: int) -> None:
    config = replace(CONFIG, learning_rate=0.1, rate_scaling="linear")
    assert config.resolved(device)[0].peak_rate == pytest.approx(0.1)
    assert replace(config, batch_size=3 * usual).resolved(device)[0].peak_rate == pytest.approx(0.3)


STAGED = replace(
    CONFIG,
    augment=("rotation(20), hflip", "one_of(mixup(0.2), cutmix(1)) @ 0.5"),
    stages=(
        {"image_size": 32, "milestones": (0.25, 0.5), "augment": ()},
        {"stage_start": "best", "learning_rate": 1e-5, "enhance": ("clahe(3, 9)",), "nesterov": True},
    ),
)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        CONFIG.resolved("cpu")[0],
        STAGED,
        replace(CONFIG, milestones=(0.5,), augment=("",), clip_norm=1.0),
        replace(CONFIG, learning_rate=1e-7, weight_decay=1e20, fold=0, pretrained=True),
        replace(CONFIG, data='C:\\new "data"\\töö\n', monitor="recall:ALL, größer\t# 1"),
        replace(CONFIG, data="/data/\N{MICROSCOPE}", out="[[stages]]\r\nepochs = 1"),
        replace(CONFIG, data="/data/a\x7fb\x01\x1f\u2028"),
    ],
    ids=["open", "resolved", "stages", "lists", "numbers", "quotes", "beyond 16 bits", "control"],
)
def test_toml_read_back_is_the_same_config(config: TrainConfig) -> None:
    values = tomllib.loads(config.to_toml())
    assert read_config(values) == TrainConfig(**{item.name: getattr(config, item.name) for item in fields(TrainConfig)})
    assert None not in values.values()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "a recipe's architecture must be one of .*resnet152, got none"),
        (
            {"architecture": "resnet18", "rotation": 20},
            "a recipe contains rotation, which lab does not know; see lab train --help",
        ),
        ({"architecture": "resnet18", "stages": 3}, "stages must be tables"),
        ({"architecture": "resnet18", "stages": ["epochs"]}, "stages must be tables"),
        ({"architecture": "resnet18", "milestones": [[0.5]]}, r"--milestones must be a number, got \[0.5\]"),
        ({"architecture": "resnet18", "weight_decay": 10**400}, "--weight-decay must be at least 0, got inf"),
        ({"architecture": 3}, "ARCH must be one of"),
    ],
)
def test_values_that_to_toml_would_not_have_written_are_refused_in_one_line(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        read_config(values)
    assert "\n" not in str(caught.value)


def test_reading_the_config_loads_no_package_but_this_one() -> None:
    script = (
        "import sys; before = set(sys.modules); import trainer.config; "
        "print(*{n.partition('.')[0] for n in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"trainer", "infer"}
