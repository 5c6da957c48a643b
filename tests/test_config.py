import tomllib
from dataclasses import fields, replace
from typing import Any

import pytest

from infer.errors import ConfigError
from trainer.config import ARCHITECTURE_NAMES, ResolvedConfig, TrainConfig

CONFIG = TrainConfig(architecture="resnet18")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("architecture", "resnet20", "ARCH must be one of resnet18, .*resnet152, got resnet20"),
        ("architecture", "", "ARCH must be one of"),
        ("epochs", 0, "--epochs must be above 0, got 0"),
        ("epochs", -3, "--epochs must be above 0, got -3"),
        ("batch_size", 0, "--batch-size must be at least 2.*, got 0"),
        ("batch_size", 1, "--batch-size must be at least 2.*, got 1"),
        ("image_size", 31, "--image-size must be from 32 to 2048, got 31"),
        ("image_size", 2049, "--image-size must be from 32 to 2048, got 2049"),
        ("learning_rate", 0.0, "--learning-rate must be above 0"),
        ("learning_rate", -0.1, "--learning-rate must be above 0, got -0.1"),
        ("learning_rate", float("nan"), "--learning-rate must be .*, got nan"),
        ("learning_rate", float("inf"), "--learning-rate must be .*, got inf"),
        ("momentum", 1.0, "--momentum must be at least 0 and below 1, got 1.0"),
        ("momentum", -0.1, "--momentum must be"),
        ("momentum", float("nan"), "--momentum must be"),
        ("weight_decay", -1e-9, "--weight-decay must be at least 0, got -1e-09"),
        ("weight_decay", float("nan"), "--weight-decay must be"),
        ("weight_decay", float("inf"), "--weight-decay must be"),
        ("rotation", -1.0, "--rotation must be from 0 to 180 degrees, got -1.0"),
        ("rotation", 181.0, "--rotation must be from 0 to 180 degrees, got 181.0"),
        ("rotation", float("nan"), "--rotation must be"),
        ("seed", -1, "--seed must be at least 0 .*, got -1"),
        ("seed", 2**32, "--seed must be"),
        ("workers", 0, "--workers must be above 0, got 0"),
        ("monitor", "loss", "--monitor must be accuracy, balanced-accuracy, f1 or recall:CLASS, got loss"),
        ("monitor", "recall", "--monitor must be"),
        ("optimizer", "adam", "--optimizer must be .*sgd.*adamw.*, got adam"),
        ("schedule", "step", "--schedule must be .*cosine.*constant.*, got step"),
        ("flips", "all", "--flips must be .*both.*none.*, got all"),
        ("device", "mps", "--device must be .*auto.*cuda.*cpu.*, got mps"),
    ],
)
def test_a_value_that_makes_no_sense_names_its_option_and_what_it_takes(field: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **{field: value})


def test_pretrained_and_weights_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match=r"--weights must be given without --pretrained, got a\.pth"):
        TrainConfig(architecture="resnet18", pretrained=True, weights="a.pth")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 2),
        ("image_size", 32),
        ("momentum", 0.0),
        ("weight_decay", 0.0),
        ("rotation", 0.0),
        ("rotation", 180.0),
        ("seed", 0),
        ("seed", 2**32 - 1),
        ("workers", 1),
        ("monitor", "f1"),
        ("monitor", "balanced-accuracy"),
        ("monitor", "recall:any class: at all"),
        ("weights", "a.pth"),
        ("pretrained", True),
    ],
)
def test_values_at_the_edge_of_what_makes_sense_are_taken(field: str, value: Any) -> None:
    assert getattr(replace(CONFIG, **{field: value}), field) == value


@pytest.mark.parametrize("written", ["ResNet50", "resnet-50", "RESNET_50", "ResNet-50", "resnet50"])
def test_capitals_and_hyphens_of_an_architecture_are_understood(written: str) -> None:
    assert TrainConfig(architecture=written).architecture == "resnet50"


@pytest.mark.parametrize("name", ARCHITECTURE_NAMES)
def test_every_architecture_is_taken(name: str) -> None:
    assert TrainConfig(architecture=name).architecture == name


def test_an_invalid_config_cannot_come_of_a_valid_one() -> None:
    with pytest.raises(ConfigError, match="--momentum"):
        replace(CONFIG.resolved("cpu"), momentum=2.0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_resolved_fills_in_what_was_left_open_and_keeps_the_rest(device: str, optimizer: Any) -> None:
    config = TrainConfig(architecture="resnet34", optimizer=optimizer, seed=7, monitor="f1")
    settings = config.resolved(device)
    assert isinstance(settings, ResolvedConfig)
    for name in ("epochs", "batch_size", "image_size", "learning_rate"):
        assert getattr(settings, name) > 0
    assert settings.device == device
    for field in fields(TrainConfig):
        if getattr(config, field.name) is not None and field.name != "device":
            assert getattr(settings, field.name) == getattr(config, field.name), field.name


def test_resolved_keeps_what_was_said() -> None:
    said = {"epochs": 3, "batch_size": 5, "image_size": 77, "learning_rate": 0.5}
    settings = TrainConfig(architecture="resnet18", **said).resolved("cuda")
    assert {name: getattr(settings, name) for name in said} == said


def test_a_cpu_and_a_gpu_or_one_optimizer_and_another_have_values_of_their_own() -> None:
    cpu, gpu = CONFIG.resolved("cpu"), CONFIG.resolved("cuda")
    assert cpu.image_size < gpu.image_size
    assert replace(CONFIG, optimizer="adamw").resolved("cpu").learning_rate < cpu.learning_rate


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        CONFIG.resolved("cpu"),
        replace(CONFIG, learning_rate=1e-7, weight_decay=1e20, fold=0, pretrained=True),
        replace(CONFIG, data='C:\\new "data"\\töö\n', monitor="recall:ALL, größer\t# 1"),
        replace(CONFIG, data="/data/\N{MICROSCOPE}"),
        replace(CONFIG, data="/data/a\x7fb"),
    ],
    ids=["open", "resolved", "numbers", "quotes", "beyond 16 bits", "delete"],
)
def test_toml_read_back_is_the_same_config(config: TrainConfig) -> None:
    values = tomllib.loads(config.to_toml())
    assert type(config)(**values) == config
    assert None not in values.values()
