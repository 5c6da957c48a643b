"""Weights that were trained elsewhere become an export like any other, or are refused in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from exporter.config import ExportConfig
from exporter.source import open_source, parse_classes
from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.images.preprocess import PixelSpec, Resize
from infer.model.card import IMAGENET, ClassName, read_card
from infer.model.evidence import read_evidence
from infer.model.session import Session


@pytest.fixture(scope="module")
def weights(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained run's weights as a training script of someone else would have saved them."""
    path = tmp_path_factory.mktemp("elsewhere") / "cells.pth"
    torch.save(load_file(run / "best.safetensors"), path)
    return path


@pytest.fixture
def options(weights: Path, cells: Path, tmp_path: Path) -> list[str]:
    own = shutil.copy(weights, tmp_path / "cells.pth")
    return [own, *["--arch", "resnet18", "--classes", "0=normal,1=blast", "--image-size", "32", "--data"], str(cells)]


def test_weights_from_elsewhere_are_exported_with_a_card_from_the_options(
    lab: Callable, options: list[str], model: Path, tmp_path: Path
) -> None:
    ran = lab("export", *options)
    assert ran.code == 0, ran.err
    card = read_card(tmp_path / "cells.onnx")
    assert card.classes == (ClassName("normal", "0"), ClassName("blast", "1"))
    assert card.normalization == IMAGENET
    assert card.pixels == PixelSpec(
        steps=PixelSpec.default(32).steps, canvas=(37, 37), window=(32, 32), reduced_decode=False
    )
    assert card.provenance["weights_sha256"] == read_card(model).provenance["weights_sha256"]
    assert card.provenance["weights"] == "cells.pth"
    assert card.trained_on == "data unknown (cells.pth)"
    evidence = read_evidence(tmp_path / "cells.onnx")
    assert evidence is not None
    assert evidence.content["images"] == 12
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for got, expected in zip(
        Session(tmp_path / "cells.onnx", "cpu").run(images), Session(model, "cpu").run(images), strict=True
    ):
        assert got.tobytes() == expected.tobytes()


def test_size_fit_normalisation_and_order_are_those_that_were_given(weights: Path, cells: Path, quiet: Screen) -> None:
    config = ExportConfig(
        run=weights,
        arch="resnet18",
        classes="0,1",
        image_size=64,
        fit="stretch",
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.25, 1.0),
        ordered=True,
        data=cells,
    )
    source = open_source(config, quiet)
    assert source.card.pixels == PixelSpec(
        steps=(Resize(64, 64),), canvas=(64, 64), window=(64, 64), reduced_decode=False
    )
    assert source.card.normalization.mean == (0.1, 0.2, 0.3)
    assert np.diag(source.card.normalization.matrix).tolist() == [2, 4, 1]
    assert source.card.ordered
    assert (len(source.gate), len(source.training)) == (12, 24)
    assert not source.network.training


def test_a_dataset_card_tells_what_else_the_gate_reads(
    weights: Path, tmp_path: Path, save_image: Callable[..., Path], quiet: Screen
) -> None:
    for name in ("0/a", "0/b", "1/c", "1/d", "1/d_mask"):
        save_image(tmp_path / "cells" / f"{name}.png", seed=len(name))
    (tmp_path / "cells.toml").write_text('data = "cells"\nkeep_masks = true\n')
    options = {"run": weights, "arch": "resnet18", "classes": "0,1", "image_size": 32}
    for data, count in (("cells", 4), ("cells.toml", 5)):
        assert len(open_source(ExportConfig(data=tmp_path / data, **options), quiet).gate) == count


def test_labels_of_the_data_are_matched_with_the_classes_in_the_networks_order(
    weights: Path, cells: Path, quiet: Screen
) -> None:
    given = {"run": weights, "arch": "resnet18", "image_size": 32, "data": cells}
    one = open_source(ExportConfig(classes="0,1", **given), quiet).gate.labels
    other = open_source(ExportConfig(classes="1,0", **given), quiet).gate.labels
    assert (one == 1 - other).all()


def test_a_run_and_its_weights_alone_verify_the_same_file(lab: Callable, options: list[str], tmp_path: Path) -> None:
    assert lab("export", *options).code == 0
    ran = lab("verify", tmp_path / "cells.onnx", "--run", options[0], "--data", options[-1])
    assert ran.code == 0, ran.err
    assert "the same pixels as at the export" in ran.out
    ran = lab("verify", tmp_path / "cells.onnx", "--run", options[0])
    assert (ran.code, "--data" in ran.err) == (2, True)


@pytest.mark.parametrize("left_out", ["--arch", "--classes", "--image-size", "--data"])
def test_what_is_missing_is_named_with_an_example(lab: Callable, options: list[str], left_out: str) -> None:
    place = options.index(left_out)
    ran = lab("export", *options[:place], *options[place + 2 :])
    assert ran.code == 2
    assert f"need {left_out} too; for example: lab export resnet50.pth --arch" in ran.err
    assert ran.err.count("\n") == 1


def changed(options: list[str], option: str, value: str) -> list[str]:
    place = options.index(option)
    return [*options[: place + 1], value, *options[place + 2 :]]


@pytest.mark.parametrize(
    ("option", "value", "message", "code"),
    [
        ("--arch", "resnet50", "does not fit the network", 1),
        ("--arch", "resnet34", "does not fit --arch resnet34", 1),
        ("--arch", "vgg16", "--arch must be one of resnet18", 2),
        ("--classes", "0,1,2", "does not have the 3 outputs that --classes names", 1),
        ("--classes", "a,b", "or give both with --classes LABEL=NAME", 1),
        ("--classes", "0", "--classes must be two or more different names", 2),
        ("--image-size", "8", "--image-size must be from 32 to 2048", 2),
        ("--arch", "resnet18 --mean 123.7,116.3,103.5", "--mean must be from 0 to 1", 2),
        ("--arch", "resnet18 --std 58.4,57.1,57.4", "--std must be above 0 and at most 1", 2),
    ],
)
def test_weights_and_options_that_do_not_fit_are_one_line(
    lab: Callable, options: list[str], tmp_path: Path, option: str, value: str, message: str, code: int
) -> None:
    ran = lab("export", *(word for item in changed(options, option, value) for word in str(item).split(" ")))
    assert ran.code == code
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "cells.onnx").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("--mean", "0.5,0.5"), ("--std", "0.2,0.2,0"), ("--mean", "red"), ("--std", "1")]
)
def test_a_normalisation_that_makes_no_sense_is_refused(
    lab: Callable, options: list[str], name: str, value: str
) -> None:
    ran = lab("export", *options, name, value)
    assert ran.code == 2
    assert f"{name} must be" in ran.err


def test_options_for_weights_from_elsewhere_are_refused_where_they_would_do_nothing(lab: Callable, run: Path) -> None:
    for given in (("--classes", "a,b"), ("--mean", "0,0,0"), ("--ordered",), ("--fit", "stretch")):
        ran = lab("export", run, *given)
        assert ran.code == 2
        assert f"{given[0]} is for weights that were trained elsewhere" in ran.err


def test_weights_without_a_card_are_refused_with_the_options_that_they_need(
    lab: Callable, weights: Path, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    save_file(torch.load(weights), tmp_path / "bare.safetensors")
    ran = lab("export", tmp_path / "bare.safetensors")
    assert ran.code == 1
    assert "--arch" in ran.err
    assert "has no card" in ran.err


def test_classes_are_labels_or_labels_with_names() -> None:
    assert parse_classes("a, b") == (ClassName("a", "a"), ClassName("b", "b"))
    assert parse_classes("007=normal,1=blast = bad") == (ClassName("normal", "007"), ClassName("blast = bad", "1"))
    for text in ("", "a", "a,a", "a,", "0=x,1=x", "0=x,0=y", ",,"):
        with pytest.raises(ConfigError, match="--classes must be"):
            parse_classes(text)


def test_a_checkpoint_of_lab_is_not_loaded_as_weights_without_a_card(
    lab: Callable, options: list[str], run: Path, tmp_path: Path
) -> None:
    own = shutil.copy(run / "best.safetensors", tmp_path / "best.safetensors")
    ran = lab("export", own, *options[1:])
    assert ran.code == 2
    assert "whose card has the architecture; leave --arch out" in ran.err


def test_a_folder_is_not_taken_for_weights(lab: Callable, options: list[str], run: Path) -> None:
    ran = lab("export", run, *options[1:])
    assert ran.code == 1
    assert "is a folder; give a file of weights" in ran.err


@pytest.mark.parametrize(
    "change", [lambda w: w.to_sparse(), lambda w: w.to(torch.complex64), lambda w: (w * 100).to(torch.int32)]
)
def test_tensors_that_are_no_plain_numbers_are_one_line(
    lab: Callable, options: list[str], weights: Path, tmp_path: Path, change: Callable
) -> None:
    state = torch.load(weights)
    torch.save({**state, "fc.weight": change(state["fc.weight"])}, tmp_path / "odd.pth")
    ran = lab("export", tmp_path / "odd.pth", *options[1:])
    assert ran.code == 1
    assert "not plain floats: fc.weight" in ran.err
    assert ran.err.count("\n") == 1


def test_the_architecture_may_be_written_as_in_training(lab: Callable, options: list[str]) -> None:
    assert lab("export", *changed(options, "--arch", "ResNet-18")).code == 0
