"""The recipe files, and a small training run of each on images in the layout of its report."""

import csv
import os
import re
import tomllib
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from PIL import Image
from torchvision.models import ResNet18_Weights

import trainer.train
from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.images.preprocess import read_window
from infer.model.card import read_card
from trainer.config import TrainConfig
from trainer.data.synthetic import draw_cell, make_set
from trainer.model.architectures import ARCHITECTURES
from trainer.recipe import DEFAULT, FOLDER, apply_recipe, load_recipe, recipe_names
from trainer.run.epoch import EpochResult, OnStep
from trainer.run.loop import Trainer
from trainer.train import train

REPORTS = (
    "leukemia-baseline",
    "leukemia-centercrop",
    "leukemia-clahe",
    "retinopathy-transfer",
    "retinopathy-weighted",
)
SMALL = ("--epochs", "1", "--image-size", "32", "--batch-size", "4", "--device", "cpu", "--workers", "1")

SGD = {"optimizer": "sgd", "momentum": 0.9}
BASELINE = {
    **SGD,
    "augment": ("rotation(20)", "hflip", "vflip", "crop"),
    "fit": "shorter",
    "normalization": "imagenet",
    "learning_rate": 1e-4,
    "weight_decay": 5e-3,
    "epochs": 25,
}
CENTERCROP = {
    **SGD,
    "augment": ("random_order(rotation(20), hflip, vflip)",),
    "crop": 350,
    "image_size": 350,
    "normalization": "none",
    "learning_rate": 1e-3,
    "weight_decay": 1e-5,
    "batch_size": 32,
    "monitor": "recall:0",
}
CLAHE = {
    "enhance": ("clahe(3, 9)", "unsharp(3, 1.5)"),
    "augment": ("hflip", "vflip", "rotation(20)", "jitter(0.2, 1.2, 1.2, 0.1)"),
    "crop": 270,
    "normalization": "data",
}
FUNDUS = {**SGD, "image_size": 512, "normalization": "none", "learning_rate": 1e-3, "epochs": 10, "pretrained": True}
TRANSFER = {**FUNDUS, "augment": ("hflip", "vflip"), "weight_decay": 5e-4, "class_weights": "none", "ordered": True}
WEIGHTED = {
    **FUNDUS,
    "augment": ("vflip", "rotation(30)"),
    "weight_decay": 1e-3,
    "class_weights": "share",
    "ordered": True,
}
FIRST = {**CLAHE, "image_size": 128, "epochs": 550, "batch_size": 64}
SECOND = {**CLAHE, "image_size": 224, "learning_rate": 5e-3, "schedule": "step", "drop": 0.1, "stage_start": "best"}
REPORTED: list[tuple[str, str, list[dict[str, Any]]]] = [
    ("leukemia-baseline", "resnet18", [{**BASELINE, "batch_size": 32}]),
    ("leukemia-baseline", "resnet50", [{**BASELINE, "batch_size": 16}]),
    ("leukemia-baseline", "resnet152", [{**BASELINE, "batch_size": 8}]),
    ("leukemia-centercrop", "resnet18", [{**CENTERCROP, "epochs": 120}]),
    ("leukemia-centercrop", "resnet50", [CENTERCROP]),
    ("leukemia-centercrop", "resnet152", [{**CENTERCROP, "epochs": 40}]),
    ("leukemia-clahe", "resnet18", [{**CLAHE, "image_size": 224, "epochs": 550, "batch_size": 64}]),
    ("leukemia-clahe", "resnet50", [FIRST, {**SECOND, "batch_size": 64}]),
    ("leukemia-clahe", "resnet152", [FIRST, {**SECOND, "batch_size": 32}]),
    ("retinopathy-transfer", "resnet18", [{**TRANSFER, "batch_size": 128}]),
    ("retinopathy-transfer", "resnet50", [{**TRANSFER, "batch_size": 64}]),
    ("retinopathy-weighted", "resnet18", [{**WEIGHTED, "batch_size": 128}]),
    ("retinopathy-weighted", "resnet50", [{**WEIGHTED, "batch_size": 64}]),
]
"""The values that each report gives for each network, per stage."""


def test_the_names_are_the_default_and_the_five_reports() -> None:
    assert recipe_names() == [DEFAULT, *REPORTS]


@pytest.mark.parametrize(
    ("name", "architecture", "stages"), REPORTED, ids=[f"{name}-{arch}" for name, arch, _ in REPORTED]
)
def test_a_recipe_has_its_reports_values(name: str, architecture: str, stages: list[dict[str, Any]]) -> None:
    for device in ("cpu", "cuda"):
        resolved = apply_recipe(architecture, load_recipe(name), {}).resolved(device)
        found = [{key: getattr(stage, key) for key in wanted} for stage, wanted in zip(resolved, stages, strict=True)]
        assert found == stages


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_has_no_schedule_but_where_it_says_so_and_scales_no_rate(name: str) -> None:
    for architecture in ARCHITECTURES:
        first, *later = apply_recipe(architecture, load_recipe(name), {}).resolved("cuda")
        assert (first.schedule, first.warmup, first.ema, first.nesterov) == ("constant", 0, 0, False)
        assert [stage.schedule for stage in later] == ["step"] * len(later)
        assert first.peak_rate == first.learning_rate


def test_the_results_of_the_reports_are_stated() -> None:
    def figures(name: str) -> set[str]:
        return set(re.findall(r"\d+\.\d+", load_recipe(name).reached))

    assert figures("leukemia-baseline") == {"89.93", "89.43", "90.06"}
    assert figures("leukemia-centercrop") == {"0.9775", "0.95407", "0.92033"}
    assert figures("retinopathy-transfer") == {"73.54", "80.07", "73.35", "81.14"}


def test_facts_that_are_not_values_are_in_comments() -> None:
    for words in ("0.00267", "64 times"):
        assert words in load_recipe("leukemia-clahe").text
    for words in ("20,655 / 1,955 / 4,210 / 698 / 581", "1 - n_class / n"):
        assert words in load_recipe("retinopathy-weighted").text
    assert re.search("biases in their convolutions.*not reproduced", load_recipe("leukemia-baseline").text, re.DOTALL)


def value_lines(text: str) -> list[str]:
    """The lines of a recipe that give a value: `key = value`, and the items of a list that began earlier."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", "["))]
    return [line for line in lines if line != "]" and not re.match(r"\w+ = \[$|(about|reached) = |\s+#", line)]


@pytest.mark.parametrize("name", [DEFAULT, *REPORTS])
def test_every_value_has_a_comment_that_gives_its_source(name: str) -> None:
    text = load_recipe(name).text
    lines = value_lines(text)
    assert len(lines) >= len(tomllib.loads(text)) - 2 - len(ARCHITECTURES)
    for line in lines:
        comment = line.rpartition("  # ")[2] if "  # " in line else ""
        assert comment, line
        if name != DEFAULT:
            assert re.match("the report's|ours", comment), line


@pytest.mark.parametrize("name", [DEFAULT, *REPORTS])
def test_a_recipe_has_a_line_on_its_purpose(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.about
    assert "\n" not in recipe.about + recipe.reached


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    for name in ("leukemia", "", str(tmp_path), str(tmp_path / "none.toml")):
        with pytest.raises(ConfigError, match=r"--recipe must be one of lab, leukemia-baseline, .*TOML file; got"):
            load_recipe(name)


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_path_to_a_toml_works_as_a_name(tmp_path: Path) -> None:
    name = written(tmp_path / "own.toml", 'about = "ours"\nepochs = 7\nmilestones = [0.5]\n[resnet50]\nepochs = 9\n')
    recipe = load_recipe(name)
    assert (recipe.name, recipe.about, recipe.reached) == (name, "ours", "")
    assert apply_recipe("ResNet-18", recipe, {}) == TrainConfig(
        architecture="resnet18", recipe=name, epochs=7, milestones=(0.5,)
    )
    assert apply_recipe("ResNet-50", recipe, {}).epochs == 9


def test_a_file_of_the_same_name_in_this_folder_is_not_taken_for_a_built_in_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "leukemia-clahe", "epochs = 3")
    monkeypatch.chdir(tmp_path)
    assert load_recipe("leukemia-clahe").values["epochs"] == 550


@pytest.mark.parametrize("scaling", ["none", "linear"])
@pytest.mark.parametrize("architecture", ["resnet18", "resnet152"])
def test_a_runs_own_recipe_gives_the_same_run_again(tmp_path: Path, architecture: str, scaling: str) -> None:
    given = {"rate_scaling": scaling, "batch_size": 16, "data": "cells", "seed": 3}
    config = apply_recipe(architecture, load_recipe("leukemia-clahe"), given)
    again = apply_recipe(architecture, load_recipe(written(tmp_path / "recipe.toml", config.to_toml())), {})
    assert vars(again) == {**vars(config), "recipe": str(tmp_path / "recipe.toml")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "contains epoch, which lab does not know; see lab train --help"),
        ("[resnet50]\nrotation = 20\nflips = 'both'", "contains flips, rotation, which lab does not know"),
        ("resnet-50 = 3", "contains resnet-50, which lab does not know"),
        ("resnet50 = 3", r"resnet50 must be a table of values, headed \[resnet50\], got 3"),
        ("epochs = 0", "--epochs must be above 0, got 0"),
        ("epochs = 2.5", "--epochs must be a whole number, got 2.5"),
        ("epochs = '3'", "--epochs must be a whole number, got 3"),
        ("nesterov = 1", "--nesterov must be true or false, got 1"),
        ("momentum = nan", "--momentum must be at least 0 and below 1, got nan"),
        ("learning_rate = 1979-05-27", "--learning-rate must be a number, got 1979-05-27"),
        (f"learning_rate = 1{'0' * 400}", "--learning-rate must be above 0, got inf"),
        ("augment = ['rotate(20)']", "--augment: unknown step rotate"),
        ("augment = [['hflip']]", "--augment must be text"),
        ("[resnet152]\nschedule = 'linear'", "--schedule must be one of .*, got linear"),
        ("weights = 'a.pth'\npretrained = true", "--weights must be given without --pretrained"),
        ("stages = 3", "stages must be tables"),
        ("[stages]\nepochs = 3", "stages must be tables"),
        ("[[stages]]\n[[stages]]\nseed = 3", "stage 2: seed is the same in all stages"),
        ("[[stages]]\nepochs = 3\n[[stages]]\nepoch = 3", "stage 2: lab does not know epoch"),
        ("[[resnet34.stages]]\nepochs = 0", "stage 1: --epochs must be above 0, got 0"),
        ("epochs = ", "cannot be read: "),
        ("epochs = 3\nepochs = 4", "cannot be read: "),
    ],
)
def test_a_recipe_with_a_mistake_is_refused_in_one_line_that_names_the_file(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^the recipe .*own\\.toml:? {message}") as caught:
        load_recipe(written(tmp_path / "own.toml", text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"own\.toml cannot be read"):
        load_recipe(str(tmp_path / "own.toml"))


def test_the_built_in_recipes_are_packaged() -> None:
    project = tomllib.loads((FOLDER.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    found = {path for pattern in patterns for path in FOLDER.parent.glob(pattern)}
    assert found >= {FOLDER / f"{name}.toml" for name in recipe_names()}


@pytest.fixture(scope="module")
def cnmc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """C-NMC as distributed, in small: 12 cells of 450 pixels to train on, 6 to validate with."""
    folder = tmp_path_factory.mktemp("reports") / "C-NMC"
    for number in range(18):
        blast, fold = number % 3 > 0, 0 if number < 6 else 1 if number < 12 else 2
        kind = "all" if blast else "hem"
        place = folder / "training_data" / f"fold_{fold}" / kind
        place.mkdir(parents=True, exist_ok=True)
        draw_cell(blast, [7, number]).save(place / f"UID_{'' if blast else 'H'}{number}_1_1_{kind}.bmp")
    return folder


@pytest.fixture(scope="module")
def path_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The leukemia reports' own form: train.csv and valid.csv with Path and label."""
    folder = tmp_path_factory.mktemp("reports") / "leukemia"
    make_set(folder, {"train": 12, "valid": 6, "test": 3})
    return folder


@pytest.fixture(scope="module")
def fundus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five grades in train_img.csv and train_label.csv: 12 bright discs with spots to train on, 6 to validate with."""
    folder = tmp_path_factory.mktemp("reports") / "fundus"
    (folder / "images").mkdir(parents=True)
    y, x = np.mgrid[:480, :512]
    disc = (np.hypot(x - 256, y - 240) < 230)[..., None] * np.array([190.0, 90.0, 40.0])
    for split, count in (("train", 12), ("valid", 6)):
        labels = [number % 5 for number in range(count)]
        for number, grade in enumerate(labels):
            rng, eye = np.random.default_rng([number, grade]), disc.copy()
            for left, top in rng.integers(120, 380, (3 * grade, 2)):
                eye[top : top + 20, left : left + 20] = 240
            pixels = (eye + rng.normal(0, 4, (480, 512, 1))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{split}_{number}.jpeg")
        names = "".join(f"{split}_{number}\n" for number in range(count))
        (folder / f"{split}_img.csv").write_text(names)
        (folder / f"{split}_label.csv").write_text("".join(f"{label}\n" for label in labels))
    return folder


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stand-in for the published ResNet-18, in torch hub's folder, on a machine without a network."""

    def offline(*arguments: object, **options: object) -> None:
        raise urllib.error.URLError("no network in this test")

    home = tmp_path_factory.mktemp("hub")
    path = home / "hub" / "checkpoints" / ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[-1]
    path.parent.mkdir(parents=True)
    torch.manual_seed(11)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        patch.setattr(torch.hub, "urlopen", offline)
        yield path


RunRecipe = Callable[..., tuple[Path, str]]


@pytest.fixture
def run_recipe(lab: Callable, tmp_path: Path) -> RunRecipe:
    """Train a small ResNet-18 by a recipe: the run's folder, and the output."""

    def run(recipe: str | Path, data: Path, *more: str | Path) -> tuple[Path, str]:
        ran = lab("train", "resnet18", "--recipe", recipe, "--data", data, *SMALL, "--out", tmp_path / "runs", *more)
        assert ran.code == 0, ran.err
        (folder,) = (tmp_path / "runs").iterdir()
        return folder, ran.out

    return run


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open(newline="") as lines:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


def recipe_of(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))


def test_leukemia_baseline_runs_on_the_reports_csv_files(run_recipe: RunRecipe, path_csv: Path) -> None:
    run, _ = run_recipe("leukemia-baseline", path_csv)
    card = read_card(run / "best.safetensors")
    assert card.provenance["data"]["train"] == [4, 8]
    assert card.provenance["recipe"] == recipe_of(run)["recipe"] == "leukemia-baseline"
    assert history(run)[0]["learning_rate"] == 1e-4
    np.testing.assert_allclose(card.normalization.mean, (0.485, 0.456, 0.406))
    assert card.pixels.canvas > card.pixels.window == (32, 32)


def test_leukemia_centercrop_runs_on_c_nmc_and_is_judged_by_normal_cells(run_recipe: RunRecipe, cnmc: Path) -> None:
    run, out = run_recipe("leukemia-centercrop", cnmc)
    card = read_card(run / "best.safetensors")
    assert [item.name for item in card.classes] == ["normal", "blast"]
    assert "recall:0" in out
    assert history(run)[0]["monitored"] in (0, 0.5, 1)
    assert card.normalization.mean == (0, 0, 0)
    np.testing.assert_array_equal(card.normalization.matrix, np.eye(3))


def test_leukemia_clahe_runs_on_c_nmc_with_the_enhanced_images_own_mean(run_recipe: RunRecipe, cnmc: Path) -> None:
    run, _ = run_recipe("leukemia-clahe", cnmc)
    card = read_card(run / "best.safetensors")
    assert [type(step).__name__.lower() for step in card.pixels.steps][:2] == ["clahe", "unsharp"]
    files = sorted(cnmc.glob("training_data/fold_[01]/*/*.bmp"))
    pixels = np.stack([read_window(str(file), card.pixels) for file in files]).reshape(-1, 3) / 255
    assert len(files) == 12
    np.testing.assert_allclose(card.normalization.mean, pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(card.normalization.matrix, np.diag(1 / pixels.std(0)), rtol=1e-5)


@pytest.mark.parametrize("recipe", ["retinopathy-transfer", "retinopathy-weighted"])
@pytest.mark.usefixtures("full_networks")
def test_retinopathy_runs_on_five_grades_from_imagenets_weights(
    run_recipe: RunRecipe, fundus: Path, imagenet: Path, recipe: str
) -> None:
    """With a rate of almost 0 the weights stay those of the file."""
    run, out = run_recipe(recipe, fundus, "--learning-rate", "1e-30", "--weight-decay", "0")
    card = read_card(run / "best.safetensors")
    assert "ImageNet weights: " in out
    assert ([item.label for item in card.classes], card.ordered) == (list("01234"), True)
    assert recipe_of(run)["class_weights"] == ("share" if recipe == "retinopathy-weighted" else "none")
    assert same_convolutions(run, torch.load(imagenet))


@pytest.mark.usefixtures("full_networks")
def test_the_other_half_of_retinopathy_starts_from_new_weights_or_a_local_file(
    run_recipe: RunRecipe, fundus: Path, imagenet: Path
) -> None:
    still = ("--learning-rate", "1e-30", "--weight-decay", "0")
    run, out = run_recipe("retinopathy-transfer", fundus, *still, "--weights", imagenet)
    assert f"{imagenet}: " in out
    assert "ImageNet weights" not in out
    assert same_convolutions(run, torch.load(imagenet))


def test_without_pretraining_retinopathy_starts_from_new_weights(
    run_recipe: RunRecipe, fundus: Path, imagenet: Path
) -> None:
    run, out = run_recipe("retinopathy-transfer", fundus, "--no-pretrained")
    assert "ImageNet weights" not in out
    assert not same_convolutions(run, torch.load(imagenet))


def same_convolutions(run: Path, wanted: dict[str, torch.Tensor]) -> bool:
    found = safetensors.torch.load_file(run / "best.safetensors")
    names = [name for name in found if found[name].ndim == 4]
    return len(names) == 20 and all(torch.equal(found[name], wanted[name]) for name in names)


def test_a_built_in_recipe_of_two_stages_runs_through_in_small(
    run_recipe: RunRecipe, cnmc: Path, tmp_path: Path
) -> None:
    """ResNet-50's stages of leukemia-clahe, with a ResNet-18; an option, here the epochs, holds in both."""
    text = load_recipe("leukemia-clahe").text.replace("[[resnet50.", "[[resnet18.")
    run, out = run_recipe(written(tmp_path / "staged.toml", text), cnmc)
    assert [row["epoch"] for row in history(run)] == [1, 2]
    assert "stage 1 of 2: 32 px, 1 epoch, learning rate 0.005\n" in out
    assert "stage 2 of 2: 32 px, 1 epoch, learning rate 0.005, from the best weights" in out
    assert [stage["schedule"] for stage in recipe_of(run)["stages"] if "schedule" in stage] == ["step"]
    assert (run / "curves.png").is_file()


STAGED = """
batch_size = 4
learning_rate = 0.01
[[stages]]
image_size = 32
epochs = 2
[[stages]]
image_size = 48
epochs = 2
learning_rate = 0.001
stage_start = "{start}"
"""


@pytest.mark.parametrize(
    ("start", "scores", "side"), [("best", (0.9, 0.1, 0.8, 0.95), 48), ("last", (0.9, 0.1, 0.8, 0.7), 32)]
)
def test_stages_go_on_from_the_weights_they_name_and_the_card_is_the_best_epochs(
    path_csv: Path,
    tmp_path: Path,
    quiet: Screen,
    monkeypatch: pytest.MonkeyPatch,
    start: str,
    scores: tuple[float, ...],
    side: int,
) -> None:
    """The metric is dictated, so that the best epoch of the first stage is not its last."""
    after, at_start = watched(monkeypatch)
    remaining = iter(scores)
    values = trainer.run.run_folder.epoch_values
    dictated = {"accuracy": lambda: next(remaining)}
    monkeypatch.setattr(
        trainer.run.run_folder,
        "epoch_values",
        lambda *result: {**values(*result), **{name: value() for name, value in dictated.items()}},
    )
    recipe = load_recipe(written(tmp_path / "staged.toml", STAGED.format(start=start)))
    given = {"data": str(path_csv), "device": "cpu", "workers": 1, "out": str(tmp_path / "runs")}
    run = train(apply_recipe("resnet18", recipe, given), quiet).run

    rows = history(run)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row["learning_rate"] for row in rows] == [0.01, 0.01, 0.001, 0.001]
    assert not equal(after[0], after[1])
    assert equal(at_start[1], after[0 if start == "best" else 1])
    card = read_card(run / "best.safetensors")
    assert card.pixels.window == (side, side)
    best = int(np.argmax(scores))
    assert card.provenance["validation"]["epoch"] == best + 1
    assert equal(safetensors.torch.load_file(run / "best.safetensors"), after[best])


State = dict[str, torch.Tensor]


def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[list[State], list[State]]:
    """From here on, copies of the weights after each epoch, and of those with which each stage starts."""
    after: list[State] = []
    at_start: list[State] = []
    create, run_epoch = Trainer.__init__, Trainer.run_epoch

    def copy_of(self: Trainer) -> State:
        return {name: value.clone() for name, value in self.network.resnet.state_dict().items()}

    def created(self: Trainer, *arguments: Any, **options: Any) -> None:
        create(self, *arguments, **options)
        at_start.append(copy_of(self))

    def ran(self: Trainer, number: int, on_step: OnStep) -> EpochResult:
        epoch = run_epoch(self, number, on_step)
        after.append(copy_of(self))
        return epoch

    monkeypatch.setattr(Trainer, "__init__", created)
    monkeypatch.setattr(Trainer, "run_epoch", ran)
    return after, at_start


def equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_recipe_of_a_run_may_name_a_folder_whose_name_is_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_bytes(b'architecture = "resnet18"\ndata = "/data/b\xffd"\n')
    assert load_recipe(str(tmp_path / "recipe.toml")).values["data"] == os.fsdecode(b"/data/b\xffd")
