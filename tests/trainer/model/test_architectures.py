"""One table of networks: whatever is in it can be named, trained, resumed, exported and predicted with."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.networks import FULL_SIZE
from safetensors.torch import load_file
from torch import Tensor, nn

from infer.model.card import read_card
from infer.model.onnx_reader import read_header
from trainer.model.architectures import ARCHITECTURES, Architecture, architecture_name
from trainer.model.network import Backbone


class DenseBlock(nn.Module):
    """A new feature map from all before it: [n, C, H, W] -> [n, C + growth, H, W]; normalisation comes first."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv1(torch.relu(self.norm1(x)))], 1)


class TinyDenseNet(Backbone):
    """Unlike a ResNet in its blocks, its names and its head."""

    head_name = "classifier"

    def __init__(self, classes: int) -> None:
        super().__init__()
        blocks = [DenseBlock(8 * number, 8) for number in (1, 2)]
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.ReLU(), *blocks)
        self.classifier = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table with one entry more, and nothing else."""
    monkeypatch.setitem(ARCHITECTURES, "tiny_densenet", Architecture(TinyDenseNet, compile_seconds=10))


SMALL = ("--batch-size", "8", "--image-size", "32", "--device", "cpu")


@pytest.mark.usefixtures("dense")
def test_an_architecture_that_is_added_to_the_table_is_trained_exported_and_predicted_with(
    lab: Callable, cells: Path, tmp_path: Path
) -> None:
    ran = lab("train", "Tiny-DenseNet", "--data", cells, "--epochs", "1", *SMALL, "--out", tmp_path / "runs")
    assert ran.code == 0, ran.err
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("tiny_densenet-")
    assert read_card(run / "best.safetensors").architecture == "tiny_densenet"
    assert set(load_file(run / "best.safetensors")) == set(TinyDenseNet(2).state_dict())

    ran = lab("export", run)
    assert ran.code == 0, ran.err
    assert read_header(run / "model.onnx").opsets == {"": 17}
    for precision in ("fp16", "int8"):
        ran = lab("export", run, "--precision", precision, "--out", tmp_path / f"{precision}.onnx")
        assert ran.code == 0, ran.err
    assert read_card(tmp_path / "int8.onnx").provenance["int8"]["in_float"] == ["classifier"]
    ran = lab("verify", run / "model.onnx", "--device", "cpu")
    assert ran.code == 0, ran.err
    ran = lab("predict", cells / "test", "--model", run / "model.onnx", "--out", tmp_path / "out", "--device", "cpu")
    assert ran.code == 0, ran.err


@pytest.mark.usefixtures("dense")
def test_its_head_alone_learns_while_the_rest_is_frozen_and_is_new_for_other_classes(
    lab: Callable, cells: Path, tmp_path: Path
) -> None:
    start = TinyDenseNet(5)
    torch.save(start.state_dict(), tmp_path / "start.pth")
    frozen = ("--epochs", "1", "--freeze", "1", "--weights", tmp_path / "start.pth", *SMALL)
    ran = lab("train", "tiny_densenet", "--data", cells, *frozen, "--out", tmp_path / "runs")
    assert ran.code == 0, ran.err
    assert "left at new values: classifier.weight, classifier.bias" in ran.out
    (run,) = (tmp_path / "runs").iterdir()
    trained = load_file(run / "best.safetensors")
    assert trained["classifier.weight"].shape == (2, 24)
    for name, value in start.state_dict().items():
        assert name.startswith("classifier.") or torch.equal(trained[name], value), name


@pytest.mark.usefixtures("dense")
def test_imagenet_weights_that_torchvision_does_not_have_are_an_error_of_one_line(
    lab: Callable, cells: Path, tmp_path: Path
) -> None:
    ran = lab("train", "tiny_densenet", "--pretrained", "--data", cells, *SMALL, "--out", tmp_path / "runs")
    assert ran.code == 1
    assert ran.err == "error: torchvision has no ImageNet weights for tiny_densenet; leave --pretrained out\n"


@pytest.mark.usefixtures("dense")
def test_the_errors_and_recipes_know_the_whole_table(lab: Callable, tmp_path: Path) -> None:
    ran = lab("train", "vgg16")
    assert ran.err == f"error: ARCH must be one of {', '.join(ARCHITECTURES)}, got vgg16\n"
    assert "tiny_densenet" in ran.err
    (tmp_path / "my.toml").write_text("[tiny_densenet]\nlearning_rate = -1\n")
    assert "--learning-rate must be above 0" in lab("train", "resnet18", "--recipe", tmp_path / "my.toml").err


@pytest.mark.parametrize(
    ("text", "name"),
    [("ResNet-50", "resnet50"), ("RESNET_18", "resnet18"), ("resnet152", "resnet152"), ("VGG-16", "VGG-16"), ("", "")],
)
def test_a_name_is_understood_with_capitals_hyphens_and_underscores(text: str, name: str) -> None:
    assert architecture_name(text) == name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_entry_has_a_head_for_the_classes_and_a_time_to_compile(name: str) -> None:
    with torch.device("meta"):
        network = FULL_SIZE[name].build(7)
    assert network.head.out_features == 7
    assert ARCHITECTURES[name].compile_seconds > 0


def test_reading_the_table_imports_no_torch() -> None:
    code = "import sys, trainer.model.architectures; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
