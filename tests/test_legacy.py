"""Files that lab wrote before its modules moved open as they did then. tests/data/make_legacy.py made them."""

import csv
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import PIL
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file
from torch import nn

from exporter.head import find_head
from infer.core.cpu import cores, int8_problem, processor
from infer.core.files import sha256_of
from infer.model.session import Session
from trainer.model.architectures import ARCHITECTURES, Architecture
from trainer.model.resnet import BasicBlock, ResNet

LEGACY = Path(__file__).parent / "data" / "legacy"
MADE_BY = json.loads((LEGACY / "made-by.json").read_text(encoding="utf-8"))
HERE = {
    "processor": f"{processor()}, {torch.backends.cpu.get_cpu_capability()}",
    "versions": {module.__name__: module.__version__ for module in (np, onnxruntime, torch)},
}
SAME_ARITHMETIC = HERE == MADE_BY
"""Whether floating-point results must be the same bit for bit; otherwise they must be close."""
PRECISIONS = ("fp32", "fp16", "int8")


def build_narrow(classes: int) -> ResNet:
    """The network of tests/data/make_legacy.py."""
    network = ResNet(BasicBlock, (1, 1, 1, 1), classes, base_width=8)
    network.layer2, network.layer3, network.layer4 = (nn.Sequential(BasicBlock(8, 8, 2)) for _ in range(3))
    network.fc = nn.Linear(8, classes)
    return network


@pytest.fixture(autouse=True)
def legacy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the files in the current folder, with the paths that they hold made those of the copy."""
    shutil.copytree(LEGACY, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ARCHITECTURES, "resnet18", Architecture(build_narrow, compile_seconds=1))
    for recipe in Path().glob("*/recipe.toml"):
        recipe.write_text(recipe.read_text(encoding="utf-8").replace("LEGACY", str(tmp_path)), encoding="utf-8")


@pytest.fixture
def run_lab(lab: Callable) -> Callable[..., str]:
    """Run a command, which must succeed; what it prints."""

    def run(*arguments: str) -> str:
        result = lab(*arguments)
        assert result.code == 0, result.err
        return result.out

    return run


def probabilities(path: Path) -> dict[str, list[float]]:
    return {row.pop("ID"): list(map(float, row.values())) for row in read_rows(path)}


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("path", ["finished", "finished/best.safetensors", *(f"finished/{p}.onnx" for p in PRECISIONS)])
def test_inspect_describes_a_run_a_checkpoint_and_each_model(path: str, run_lab: Callable[..., str]) -> None:
    text = run_lab("inspect", path)
    assert "resnet18" in text
    assert "blast" in text


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_model_is_verified_against_its_run(precision: str, run_lab: Callable[..., str]) -> None:
    run_lab("verify", f"finished/{precision}.onnx", "--device", "cpu")


def before_pooling(model: onnx.ModelProto) -> list[bytes]:
    """The nodes of a graph up to its last pooling, and the constants that they use."""
    kinds = [node.op_type for node in model.graph.node]
    nodes = model.graph.node[: len(kinds) - kinds[::-1].index("GlobalAveragePool")]
    used = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in model.graph.initializer if tensor.name in used]
    return [item.SerializeToString(deterministic=True) for item in (*nodes, *sorted(constants, key=attrgetter("name")))]


def last_layer(model: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray]:
    head = find_head(model)
    return head.weight, head.bias


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_is_exported_to_the_same_graph_and_card(precision: str, run_lab: Callable[..., str]) -> None:
    run_lab("export", "finished", "--precision", precision, "--calibrate", "--cam", "--out", "new.onnx")
    old, new = (onnx.load(path) for path in (f"finished/{precision}.onnx", "new.onnx"))
    if SAME_ARITHMETIC:
        if precision == "fp16":  # its last layer was a Gemm, which not every runtime opens in half precision
            assert before_pooling(new) == before_pooling(old)
            assert all(map(np.array_equal, last_layer(new), last_layer(old)))
        elif precision == "int8":  # its weights took all 8 bits
            assert list(new.graph.node) == list(old.graph.node)
            assert_same_constants_but_for_a_bit_of_the_weights(new, old)
        else:
            assert new.graph.SerializeToString(deterministic=True) == old.graph.SerializeToString(deterministic=True)
        cards = [
            [json.loads(item.value) for item in model.metadata_props if item.key == "lab.card"] for model in (old, new)
        ]
        if precision == "int8":
            records = [card["provenance"]["int8"] for (card,) in cards]
            assert records[1].pop("weight_bits") == 7
            assert all(0 < record.pop("noise") < 0.1 for record in records)
        assert cards[0] == cards[1] != []


def assert_same_constants_but_for_a_bit_of_the_weights(new: onnx.ModelProto, old: onnx.ModelProto) -> None:
    """Weights differ by at most half a step of each, activations' scales and all floats not at all."""
    ours, theirs = (
        {item.name: numpy_helper.to_array(item) for item in model.graph.initializer} for model in (new, old)
    )
    makers = [node for node in new.graph.node if node.op_type == "DequantizeLinear"]
    weights = [node.input for node in makers if ours.get(node.input[0], np.uint8(0)).dtype == np.int8]
    assert len(weights) > 1
    for values, scale, _zero in weights:
        steps = [constants.pop(scale).reshape(-1, 1) for constants in (ours, theirs)]
        flat = [constants.pop(values).reshape(len(steps[0]), -1).astype(float) for constants in (ours, theirs)]
        difference = np.abs(flat[0] * steps[0] - flat[1] * steps[1])
        assert (difference <= 0.51 * (steps[0] + steps[1])).all()
    biases = [node.input for node in makers if ours.get(node.input[0], np.uint8(0)).dtype == np.int32]
    for name in {name for names in biases for name in names[:2]}:
        del ours[name], theirs[name]
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_model_predicts_what_it_did(precision: str, run_lab: Callable[..., str]) -> None:
    outs = ("--out", "new.csv", "--probabilities", "probabilities.csv")
    run_lab("predict", "cells/test", "--model", f"finished/{precision}.onnx", "--no-sample", "--device", "cpu", *outs)
    before, now = (probabilities(Path(path)) for path in (f"predictions/{precision}-probabilities.csv", outs[-1]))
    # int8 sums overflowed where the predictions were made, and no longer do
    same_arithmetic = SAME_ARITHMETIC and (precision != "int8" or int8_problem() is None)
    if same_arithmetic:
        assert now == before
    assert now.keys() == before.keys()
    for name, row in before.items():
        assert now[name] == pytest.approx(row, abs={"fp32": 1e-5, "fp16": 0.01, "int8": 0.1}[precision])
    if same_arithmetic or precision != "int8":
        assert Path("new.csv").read_bytes() == Path(f"predictions/{precision}.csv").read_bytes()


def test_a_model_is_evaluated_on_the_validation_images_of_its_run(run_lab: Callable[..., str]) -> None:
    report = json.loads(run_lab("evaluate", "--model", "finished/fp32.onnx", "--device", "cpu", "--json"))
    before = json.loads(Path("finished/report/report.json").read_text(encoding="utf-8"))
    assert before.keys() == report.keys() - {"report", "run_by"}
    assert report["run_by"] == f"CPU (onnxruntime {onnxruntime.__version__}) in f32"
    for name in ("images", "classes", "accuracy", "balanced_accuracy", "macro_f1", "confusion"):
        assert report[name] == before[name], name


def test_runs_and_reports_are_compared(run_lab: Callable[..., str]) -> None:
    runs = json.loads(run_lab("compare", "finished", "stopped", "--json"))["runs"]
    assert [(run["name"], run["epochs"]) for run in runs] == [("finished", 30), ("stopped", 26)]
    truth = ("--truth", "cells/test_labels.csv", "--no-pictures", "--out", "new.csv")
    run_lab("predict", "cells/test", "--model", "finished/fp32.onnx", "--no-sample", "--device", "cpu", *truth)
    compared = json.loads(run_lab("compare", "predictions/fp32.report", "new.report", "--json"))
    before, now = compared["models"]
    assert (before.pop("name"), now.pop("name")) == ("fp32", "new")
    assert now == before if SAME_ARITHMETIC else now["confusion"] == before["confusion"]
    assert compared["disagreements"] == 0


def test_a_stopped_run_is_resumed_and_ends_as_the_unbroken_one(run_lab: Callable[..., str]) -> None:
    unbroken, stopped = Path("finished"), Path("stopped")
    ending = load_file(unbroken / "best.safetensors")
    begun = load_file(stopped / "best.safetensors")
    assert not all(torch.equal(value, ending[name]) for name, value in begun.items())
    run_lab("train", "--resume", "stopped")
    resumed = load_file(stopped / "best.safetensors")
    assert list(resumed) == list(ending)
    for name, value in ending.items():
        assert torch.equal(resumed[name], value) if SAME_ARITHMETIC else torch.allclose(resumed[name], value, atol=0.01)
    histories = [read_rows(run / "history.csv") for run in (unbroken, stopped)]
    assert [len(history) for history in histories] == [30, 30]
    for before, now in zip(*histories, strict=True):
        assert before.keys() == now.keys()
        for name in before.keys() - {"seconds", "images_per_second"}:
            assert now[name] == before[name] if SAME_ARITHMETIC else float(now[name]) >= 0, name


def test_a_killed_prediction_goes_on_from_its_progress_file(
    run_lab: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    header, _, blocks = Path("killed.progress").read_bytes().partition(b"\n")
    state = json.loads(header)
    # paths, times and versions that are not those of this copy; whatever else it holds must match as it is
    paths = [os.path.join(tmp_path, "cells", "test", name) for name in sorted(os.listdir("cells/test"))]
    state["images"] = f"8, {hashlib.sha256(''.join(f'{path}{chr(0)}' for path in paths).encode()).hexdigest()}"
    state["versions"] = f"onnxruntime {onnxruntime.__version__}, pillow {PIL.__version__}, numpy {np.__version__}"
    Path("killed.progress").write_bytes(json.dumps({**state, "began": time.time() + 1}).encode() + b"\n" + blocks)
    counts: list[int] = []
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda session, pixels: (counts.append(len(pixels)), run(session, pixels))[1])
    options = ("--model", "finished/fp32.onnx", "--no-sample", "--device", "cpu", "--batch-size", "4")
    run_lab("predict", "cells/test", *options, "--out", "killed.csv")
    assert counts == [4]
    assert Path("killed.csv").read_bytes() == Path("predictions/fp32.csv").read_bytes()
    assert not Path("killed.progress").exists()


def test_options_that_were_measured_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Path("finished/fp32.onnx")
    (options,) = json.loads(Path("tuned.json").read_text(encoding="utf-8")).values()
    assert Session(model, "cpu").options != options
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    key = f"{processor()}, {cores()} cores, onnxruntime {onnxruntime.__version__}, {sha256_of(model)}"
    Path("tuned.json").write_text(json.dumps({key: options}), encoding="utf-8")
    assert Session(model, "cpu").options == options


def test_a_recipe_and_a_list_of_images_to_leave_out_start_a_run(run_lab: Callable[..., str]) -> None:
    changes = ("--exclude", "exclude.csv", "--epochs", "1", "--out", "runs")
    run_lab("train", "resnet18", "--recipe", "finished/recipe.toml", *changes)
    (table,) = Path("runs").glob("*/data.csv")
    names, before = ([row["path"] for row in read_rows(path)] for path in (table, Path("finished/data.csv")))
    assert names == [name for name in before if name != "train/twice.png"] != before
