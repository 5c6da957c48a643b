"""Command lines and the configs made from them; a stand-in for training receives the config."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import trainer.train
from infer.core.errors import ConfigError, DataError, LabError
from infer.core.knob import knobs, option
from trainer.config import TrainConfig
from trainer.options import (
    PREVIEWED,
    RANGE_TESTED,
    WITH_RESUME,
    TrainOptions,
    build_config,
    resume_config,
    train_options,
)

Typed = Callable[..., TrainConfig]

WRITTEN: dict[str, tuple[str, Any]] = {
    "data": ("folder of images", "folder of images"),
    "labels": ("labels.csv", Path("labels.csv")),
    "images": ("part 1", (Path("part 1"),)),
    "image_column": ("Image Index", "Image Index"),
    "label_column": ("dx", "dx"),
    "group_column": ("lesion_id", "lesion_id"),
    "split_column": ("fold", "fold"),
    "fold": ("0", 0),
    "exclude": ("bad images.csv", "bad images.csv"),
    "seed": ("7", 7),
    "out": ("elsewhere", "elsewhere"),
    "monitor": ("recall:ALL", "recall:ALL"),
    "weights": ("a.pth", "a.pth"),
    "image_size": ("48", 48),
    "fit": ("longer", "longer"),
    "crop": ("270", 270),
    "enhance": ("clahe(3, 9), unsharp(3, 1.5)", ("clahe(3, 9), unsharp(3, 1.5)",)),
    "augment": ("one_of(hflip, vflip) @ 0.25", ("one_of(hflip, vflip) @ 0.25",)),
    "normalization": ("whiten", "whiten"),
    "epochs": ("3", 3),
    "batch_size": ("8", 8),
    "accumulate": ("2", 2),
    "optimizer": ("adagrad", "adagrad"),
    "learning_rate": ("1e-4", 1e-4),
    "rate_scaling": ("sqrt", "sqrt"),
    "base_batch_size": ("16", 16),
    "momentum": ("0", 0.0),
    "weight_decay": ("0.25", 0.25),
    "schedule": ("step", "step"),
    "warmup": ("2", 2.0),
    "milestones": ("0.5, 0.8", (0.5, 0.8)),
    "drop": ("0.25", 0.25),
    "plateau": ("3", 3),
    "clip_norm": ("2", 2.0),
    "ema": ("0.99", 0.99),
    "freeze": ("2", 2),
    "patience": ("4", 4),
    "label_smoothing": ("0.1", 0.1),
    "class_weights": ("effective", "effective"),
    "sampling": ("balanced", "balanced"),
    "device": ("cpu", "cpu"),
    "workers": ("1", 1),
    "compile": ("off", "off"),
    "bits": ("12", "12"),
    "dicom_window": ("40/400", "40/400"),
    "precision": ("bf16", "bf16"),
}
"""For each option that takes a value: its text and its value, which is never the default of the recipe lab."""
BESIDE = {
    "warmup": ("--schedule", "cosine"),
    "milestones": ("--schedule", "step"),
    "drop": ("--schedule", "plateau"),
    "plateau": ("--schedule", "plateau"),
    "freeze": ("--pretrained",),
}
"""The options without which another option has no effect."""
SWITCHES = ("keep_masks", "ordered", "pretrained", "grayscale", "nesterov", "decay_all", "sync_bn", "tensorboard")
STAGED = """
pretrained = true
batch_size = 64
schedule = "step"
[[stages]]
epochs = 5
batch_size = 16
learning_rate = 0.5
[[stages]]
epochs = 7
augment = ["hflip"]
"""


@pytest.fixture
def typed(lab: Callable, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """The config that `lab train` makes from its arguments."""

    def run(*arguments: str | Path) -> TrainConfig:
        seen: list[TrainConfig] = []

        def look(config: TrainConfig, *others: object) -> None:
            seen.append(config)
            raise LabError("seen")

        monkeypatch.setattr(trainer.train, "train", look)
        ran = lab("train", *arguments)
        assert ran.err == "error: seen\n", ran.err
        return seen[0]

    return run


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    path = tmp_path / "staged.toml"
    path.write_text(STAGED)
    return path


def test_the_options_are_those_of_the_knobs(lab: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = set(re.findall(r"--[a-z][a-z-]*", lab("train", "--help").out))
    wanted = {option(name) for name, (knob, _, _) in knobs(TrainConfig).items() if knob.option}
    no = {f"--no-{name.replace('_', '-')}" for name in SWITCHES}
    assert {item for item in shown if item not in ("--help", "--recipe", "--resume")} == wanted | no
    assert len(wanted) == len(WRITTEN) + len(SWITCHES)
    assert "--stage-start" not in shown


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_typed_is_in_the_config_and_all_else_is_as_without_it(typed: Typed, name: str) -> None:
    text, value = WRITTEN[name]
    beside = BESIDE.get(name, ())
    plain, config = typed("resnet18", *beside), typed("resnet18", *beside, option(name), text)
    names = [item.name for item in fields(config)]
    changed = {item for item in names if getattr(config, item) != getattr(plain, item)}
    assert changed == {name}
    assert getattr(config, name) == value


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_can_be_turned_on_and_off(typed: Typed, name: str) -> None:
    on, off = (typed("resnet18", option(name)), typed("resnet18", f"--no-{name.replace('_', '-')}"))
    assert (getattr(on, name), getattr(off, name)) == (True, False)


def test_without_options_the_config_is_the_recipe_labs(typed: Typed) -> None:
    assert typed("ResNet-18") == typed("resnet18", "--recipe", "lab") == build_config("resnet18", "lab", {})


def test_short_forms_mean_their_long_ones(typed: Typed) -> None:
    short = typed("resnet18", "-e", "3", "-b", "8", "-o", "adam", "-r", "0.5")
    assert (short.epochs, short.batch_size, short.optimizer, short.learning_rate) == (3, 8, "adam", 0.5)


def test_what_is_not_typed_keeps_the_recipes_value(typed: Typed) -> None:
    """If an option's own default took precedence, the recipe's momentum and decay would be lost."""
    config = typed("resnet50", "--recipe", "leukemia-baseline", "--epochs", "2")
    assert (config.epochs, config.weight_decay, config.decay_all, config.nesterov) == (2, 5e-3, True, False)
    assert (config.batch_size, config.schedule, config.recipe) == (16, "constant", "leukemia-baseline")


def test_what_is_typed_holds_in_every_stage(typed: Typed, staged: Path) -> None:
    config = typed("resnet18", "--recipe", staged, "--epochs", "2", "--augment", "vflip")
    assert config.stages == ({"batch_size": 16, "learning_rate": 0.5, "base_batch_size": 16}, {})
    assert [(stage.epochs, stage.augment) for stage in config.resolved("cpu")] == [(2, ("vflip",))] * 2


def test_no_pretrained_beats_a_recipes_pretrained(typed: Typed, staged: Path) -> None:
    assert typed("resnet18", "--recipe", staged).pretrained
    assert not typed("resnet18", "--recipe", staged, "--no-pretrained").pretrained


def test_weights_and_pretrained_take_each_others_place_in_a_recipe(typed: Typed, staged: Path, tmp_path: Path) -> None:
    config = typed("resnet18", "--recipe", staged, "--weights", "a.pth")
    assert (config.weights, config.pretrained) == ("a.pth", False)
    (tmp_path / "own.toml").write_text('weights = "a.pth"')
    config = typed("resnet18", "--recipe", tmp_path / "own.toml", "--pretrained")
    assert (config.weights, config.pretrained) == ("", True)


def test_both_weights_and_pretrained_are_refused(lab: Callable) -> None:
    ran = lab("train", "resnet18", "--weights", "a.pth", "--pretrained")
    assert (ran.code, ran.err) == (2, "error: --weights must be given without --pretrained, got a.pth\n")


def test_an_empty_list_of_steps_takes_the_recipes_away(typed: Typed) -> None:
    assert typed("resnet18").augment != ()
    assert typed("resnet18", "--augment", "").augment == ()
    assert typed("resnet18", "--recipe", "leukemia-clahe", "--enhance", " ").enhance == ()


@pytest.mark.parametrize("text", ["", "0.5,", "0.5;0.8", "half"])
def test_a_list_that_is_not_of_numbers_is_refused_in_one_line(lab: Callable, text: str) -> None:
    ran = lab("train", "resnet18", "--milestones", text)
    assert (ran.code, ran.err) == (2, f"error: --milestones must be numbers separated by commas, got {text}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--epochs", "many"), "--epochs"),
        (("--epochs", "2.5"), "--epochs"),
        (("--optimizer", "lion"), "adagrad"),
        (("--schedule", "linear"), "one-cycle"),
        (("--seed", "9" * 400), "--seed must be from 0 to 4294967295"),
        (("--learning-rate", "nan"), "--learning-rate must be above 0, got nan"),
        (("--augment", "rotate(20)"), "unknown step rotate"),
        (("--augment", f"rotation({'-' * 1500}5)"), "--augment must be steps such as rotation(20), hflip; got"),
        (("--enhance", "blur(3)"), "unknown step blur"),
        (("--enhance", "clahe(3, 9) @ 0.5"), "clahe applies to every image"),
        (("--stage-start", "best"), "--stage-start"),
        (("--rotation", "20"), "--rotation"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_that_names_the_option(
    lab: Callable, arguments: tuple[str, ...], words: str
) -> None:
    ran = lab("train", "resnet18", *arguments)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_a_rate_is_scaled_from_the_recipes_batch_to_the_one_that_is_typed(typed: Typed) -> None:
    scaled = ("--recipe", "retinopathy-transfer", "--batch-size", "32", "--rate-scaling", "linear")
    (stage,) = typed("resnet18", *scaled).resolved("cpu")
    assert stage.peak_rate == pytest.approx(1e-3 * 32 / 128)
    (stage,) = typed("resnet18", *scaled, "--learning-rate", "0.5").resolved("cpu")
    assert stage.peak_rate == pytest.approx(0.5 * 32 / 128)
    (stage,) = typed("resnet18", *scaled, "--base-batch-size", "64").resolved("cpu")
    assert stage.peak_rate == pytest.approx(1e-3 * 32 / 64)


def test_in_a_stage_with_a_batch_of_its_own_the_rate_is_scaled_from_that(typed: Typed, staged: Path) -> None:
    scaled = ("--recipe", staged, "--batch-size", "32", "--rate-scaling", "linear", "--learning-rate", "1")
    rates = [stage.peak_rate for stage in typed("resnet18", *scaled).resolved("cpu")]
    assert rates == pytest.approx([32 / 16, 32 / 64])


def test_a_missing_architecture_is_reported_with_an_example() -> None:
    with pytest.raises(ConfigError, match=r"ARCH is missing; for example: lab train resnet18"):
        build_config("", "lab", {})


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run's folder with the file that --resume reads."""
    config = TrainConfig(architecture="resnet34", recipe="leukemia-baseline", data="old", epochs=9, device="cpu")
    (tmp_path / "recipe.toml").write_text(config.to_toml())
    return tmp_path


def test_resuming_takes_all_values_from_the_run(typed: Typed, stopped: Path) -> None:
    config = typed("--resume", stopped)
    assert (config.architecture, config.recipe, config.epochs, config.data) == (
        "resnet34",
        "leukemia-baseline",
        9,
        "old",
    )
    assert config.augment == ()


def test_resuming_takes_what_changes_no_result(typed: Typed, stopped: Path) -> None:
    others = ("--data", "new", "--exclude", "list.csv", "--workers", "2", "--compile", "off", "--tensorboard")
    others = (*others, "--device", "auto", "--labels", "t.csv", "--images", "a", "--images", "b")
    assert {name for name in WITH_RESUME if option(name) in others} == set(WITH_RESUME)
    config = typed("--resume", stopped, *others)
    assert config.exclude == "list.csv"
    assert (config.labels, config.images) == (Path("t.csv"), (Path("a"), Path("b")))
    found = (config.data, config.workers, config.compile, config.tensorboard, config.device, config.epochs)
    assert found == ("new", 2, "off", True, "auto", 9)


@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in WITH_RESUME])
def test_resuming_refuses_what_would_make_it_another_run(lab: Callable, stopped: Path, name: str) -> None:
    ran = lab("train", "--resume", stopped, option(name), WRITTEN[name][0])
    assert ran.code == 2
    assert f"--resume continues a run with its own values, so {option(name)} cannot be given" in ran.err


def test_resuming_names_all_that_it_refuses_and_what_it_takes(lab: Callable, stopped: Path) -> None:
    typed = ("--no-nesterov", "--seed", "0", "resnet18", "--recipe", "leukemia-clahe", "--data", "new")
    ran = lab("train", *typed, "--resume", stopped)
    assert ran.code == 2
    assert "so --seed, --nesterov, ARCH, --recipe cannot be given; only --data, --labels, --images, " in ran.err
    assert ran.err.count("\n") == 1


def test_a_run_that_cannot_be_resumed_is_named_in_one_line(tmp_path: Path, stopped: Path) -> None:
    with pytest.raises(ConfigError, match=r"--resume must be a run's folder, got .*nowhere"):
        resume_config(tmp_path / "nowhere", "", "lab", {})
    (stopped / "recipe.toml").write_text("epochs = \n")
    with pytest.raises(DataError, match=r"recipe\.toml cannot be read"):
        resume_config(stopped, "", "lab", {})
    (stopped / "recipe.toml").write_text('architecture = "resnet18"\nrotation = 20\n')
    with pytest.raises(ConfigError, match="rotation"):
        resume_config(stopped, "", "lab", {})


def test_a_command_may_take_some_of_the_options() -> None:
    def command(config: TrainConfig, options: TrainOptions) -> None: ...

    own = ["arch", "recipe", "resume"]
    some = train_options(TrainOptions, ("seed", "augment"))(command)
    assert list(inspect.signature(some).parameters) == [*own, "seed", "augment"]
    assert set(inspect.signature(train_options(TrainOptions)(command)).parameters) == {*own, *WRITTEN, *SWITCHES}
    assert set(PREVIEWED) | set(RANGE_TESTED) <= {*WRITTEN, *SWITCHES}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"warmup": 2.0}, "--warmup has no effect here: it needs --schedule constant or cosine or step or plateau"),
        ({"plateau": 3, "schedule": "cosine"}, "--plateau has no effect here: it needs --schedule plateau"),
        ({"milestones": (0.5,)}, "--milestones has no effect here: it needs --schedule step"),
        ({"nesterov": True, "optimizer": "adamw"}, "--nesterov has no effect here: it needs --optimizer sgd"),
        ({"fit": "longer", "crop": 100}, "--fit has no effect here: it needs no --crop, which is 100"),
    ],
)
def test_an_option_without_effect_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config("resnet18", "lab", given)


def test_an_option_that_one_stage_uses_is_taken(tmp_path: Path) -> None:
    recipe = tmp_path / "two.toml"
    recipe.write_text('[[stages]]\nschedule = "step"\n[[stages]]\nschedule = "cosine"\n')
    assert build_config("resnet18", str(recipe), {"milestones": (0.5,)}).milestones == (0.5,)


def test_freezing_a_network_without_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="--freeze needs --pretrained or --weights"):
        build_config("resnet18", "lab", {"freeze": 2})


def test_the_network_may_be_named_by_the_recipe_of_a_run(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(build_config("resnet50", "lab", {"epochs": 3}).to_toml())
    assert build_config("", str(recipe), {}).architecture == "resnet50"
    assert build_config("resnet34", str(recipe), {}).architecture == "resnet34"


def test_a_fit_replaces_a_recipes_crop() -> None:
    assert build_config("resnet18", "leukemia-centercrop", {"fit": "longer"}).crop is None
