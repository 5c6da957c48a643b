from pathlib import Path
from typing import Any

import pytest

from exporter.config import ExportConfig
from infer.core.errors import ConfigError

ELSEWHERE: dict[str, Any] = {
    "run": Path("resnet50.pth"),
    "arch": "ResNet-50",
    "classes": "normal,blast",
    "image_size": 224,
    "data": Path("cells"),
}


def test_a_batch_size_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="--batch-size"):
        ExportConfig(batch_size=0)


def test_an_out_that_is_no_onnx_file_is_refused_so_that_nothing_of_the_run_is_overwritten() -> None:
    with pytest.raises(ConfigError, match=r"must end in \.onnx"):
        ExportConfig(out=Path("runs/x/data.csv"))


def test_a_network_that_was_trained_elsewhere_is_described_by_its_options() -> None:
    config = ExportConfig(**ELSEWHERE, fit="stretch", ordered=True)
    assert (config.arch, config.fit, config.ordered) == ("resnet50", "stretch", True)
    assert config.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize("name", ["run", "arch", "classes", "image_size", "data"])
def test_what_is_missing_for_such_a_network_is_named_with_an_example(name: str) -> None:
    given = {key: value for key, value in ELSEWHERE.items() if key != name}
    missing = {"run": "the file of weights"}.get(name, f"--{name.replace('_', '-')}")
    with pytest.raises(ConfigError, match=f"need {missing} too; for example: lab export resnet50.pth --arch"):
        ExportConfig(**given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"classes": "a,b"}, "--classes is for weights that were trained elsewhere, and needs --arch; leave it out"),
        ({"image_size": 64}, "--image-size is for weights"),
        ({"fit": "longer"}, "--fit is for weights"),
        ({"ordered": True}, "--ordered is for weights"),
        ({"arch": "vgg16"}, "--arch must be one of resnet18, .*resnet152, got vgg16"),
        ({"mean": (0.5,)}, "--mean must be 3 numbers, for red, green and blue, got 1"),
        ({"std": (0.2, 0.2)}, "--std must be 3 numbers"),
        ({"std": (0.0, 0.2, 0.2)}, "--std must be "),
        ({"out": Path()}, "--out must be a file's name"),
        ({"calibrate": True, "gate_images": 5}, "--calibrate fits to all validation images, which --gate-images would"),
        ({"calibration_images": 5}, "--calibration-images has no effect here: it needs --precision int8"),
        ({"precision": "fp8"}, "--precision must be one of fp32, "),
    ],
)
def test_values_that_contradict_each_other_are_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        ExportConfig(**values)
    assert "\n" not in str(caught.value)
