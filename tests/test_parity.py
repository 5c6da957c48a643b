"""The gate catches what it is there for: each test plants one fault in a good file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from test_graph import images, make_card, tiny, varied

from exporter.export import at_precision
from exporter.graph import build_graph
from exporter.parity import Parity, parity_table, read_views, run_gate
from infer.errors import DataError
from infer.pixels import PixelSpec, read_window
from trainer.network import PixelNet

COUNT = 40


def gate(model: onnx.ModelProto, tmp_path: Path, network: PixelNet | None = None) -> Parity:
    """Run the gate on a model file with random images and truth."""
    (tmp_path / "draft.onnx").write_bytes(model.SerializeToString())
    truth = np.random.default_rng(1).integers(0, 3, COUNT)
    return run_gate(tmp_path / "draft.onnx", network or tiny(), images(COUNT), truth, 16, ["cpu"])


@pytest.fixture(scope="module")
def good() -> bytes:
    return build_graph(tiny(), make_card(opset=17)).SerializeToString()


@pytest.fixture(scope="module")
def half() -> bytes:
    card = make_card(opset=17, precision="fp16")
    return build_graph(at_precision(varied(), "fp16"), card).SerializeToString()


def loaded(good: bytes) -> onnx.ModelProto:
    return onnx.load_from_string(good)


def edit_initializer(model: onnx.ModelProto, wanted: Callable[[np.ndarray], bool], change: Callable) -> None:
    """Change the first initializer that is wanted."""
    tensor = next(item for item in model.graph.initializer if wanted(numpy_helper.to_array(item)))
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), tensor.name))


def test_a_good_file_passes_at_every_batch_size_and_both_sides_have_the_same_accuracy(
    good: bytes, tmp_path: Path
) -> None:
    parity = gate(loaded(good), tmp_path)
    assert not parity.failures
    assert [check.batch for check in parity.checks] == [1, 2, 7, 16]
    assert all(check.accuracy == check.network_accuracy for check in parity.checks)
    assert all(0 <= check.logit_difference < 1e-5 for check in parity.checks)
    assert parity.checks[-1].images == COUNT


def test_one_corrupted_weight_is_caught(good: bytes, tmp_path: Path) -> None:
    def corrupt(weights: np.ndarray) -> np.ndarray:
        weights.flat[5] += 0.5
        return weights

    model = loaded(good)
    edit_initializer(model, lambda array: array.ndim == 4 and array.shape[1] == 3, corrupt)
    assert "logits differ" in gate(model, tmp_path).failures[0]


def test_a_swapped_channel_order_is_caught(good: bytes, tmp_path: Path) -> None:
    model = loaded(good)
    edit_initializer(model, lambda array: array.ndim == 4 and array.shape[1] == 3, lambda array: array[:, ::-1].copy())
    assert gate(model, tmp_path).failures


def test_a_wrong_mean_is_caught(good: bytes, tmp_path: Path) -> None:
    model = loaded(good)
    mean = np.array([0.4, 0.5, 0.6], dtype=np.float32)
    edit_initializer(
        model, lambda array: array.size == 3 and np.allclose(array.ravel(), mean), lambda array: array + 0.01
    )
    assert gate(model, tmp_path).failures


def test_a_frozen_batch_axis_is_caught(good: bytes, tmp_path: Path) -> None:
    model = loaded(good)
    for item in (*model.graph.input, *model.graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = 2
    failures = gate(model, tmp_path).failures
    assert any("batch 1" in line and "cannot run a batch" in line for line in failures)
    assert not any("batch 2:" in line for line in failures)


def test_nan_is_caught(good: bytes, tmp_path: Path) -> None:
    def poison(weights: np.ndarray) -> np.ndarray:
        weights.flat[0] = np.nan
        return weights

    model = loaded(good)
    edit_initializer(model, lambda array: array.ndim == 2, poison)
    assert "NaN" in gate(model, tmp_path).failures[0]


@pytest.mark.parametrize(("kind", "other"), [("Neg", None), ("Mul", np.nan)])
def test_wrong_probabilities_beside_right_logits_are_caught(
    good: bytes, tmp_path: Path, kind: str, other: float | None
) -> None:
    model = loaded(good)
    graph = model.graph
    place = next(place for place, node in enumerate(graph.node) if node.op_type == "Softmax")
    inputs = [graph.node[place].input[0]]
    if other is not None:
        graph.initializer.append(numpy_helper.from_array(np.array(other, dtype=np.float32), "other"))
        inputs.append("other")
    graph.node.insert(place, helper.make_node(kind, inputs, ["turned"]))
    graph.node[place + 1].input[0] = "turned"
    assert any("probabilities" in line for line in gate(model, tmp_path).failures)


def test_a_network_that_answers_nan_is_not_equal_to_anything(good: bytes, tmp_path: Path) -> None:
    network = tiny()
    network.resnet.fc.bias.data[0] = float("nan")
    assert "NaN" in gate(loaded(good), tmp_path, network).failures[0]


def first_kernel(array: np.ndarray) -> bool:
    return array.ndim == 4 and array.shape[1] == 3


def bumped(weights: np.ndarray) -> np.ndarray:
    weights.flat[5] += 0.5
    return weights


def is_mean(array: np.ndarray) -> bool:
    return array.size == 3 and np.allclose(array.ravel(), [0.4, 0.5, 0.6])


@pytest.mark.parametrize(
    ("wanted", "change"),
    [
        (first_kernel, bumped),
        (first_kernel, lambda array: array[:, ::-1].copy()),
        (is_mean, lambda array: array + np.float32(0.05)),
        (lambda array: array.ndim == 2, lambda array: array * np.float16(1.5)),
    ],
    ids=["one weight", "channel order", "mean", "scale of the head"],
)
def test_half_precision_passes_and_a_fault_in_it_does_not(
    half: bytes, tmp_path: Path, wanted: Callable, change: Callable
) -> None:
    model = loaded(half)
    assert not gate(model, tmp_path, varied()).failures
    edit_initializer(model, wanted, change)
    assert gate(model, tmp_path, varied()).failures


def test_more_flips_than_half_precision_explains_are_told(half: bytes, tmp_path: Path) -> None:
    model = loaded(half)
    edit_initializer(model, first_kernel, lambda array: array[:, ::-1].copy())
    assert any("labels differ" in line for line in gate(model, tmp_path, varied()).failures)


def test_the_table_tells_which_row_fails(good: bytes, tmp_path: Path, heard: tuple) -> None:
    screen, text = heard
    model = loaded(good)
    edit_initializer(model, lambda array: array.ndim == 2, lambda array: array * 2)
    screen.show(parity_table(gate(model, tmp_path)))
    assert text.getvalue().count("FAILS") == 4


def test_views_are_spread_over_the_files_and_made_by_the_production_path(
    tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    files = [str(save_image(tmp_path / f"{k}.png", seed=k)) for k in range(9)]
    Path(files[4]).write_bytes(b"")
    spec = PixelSpec.default(32)
    views, rows = read_views(files, spec, limit=5)
    assert rows == [0, 2, 6, 8]
    assert all((view == read_window(files[row], spec)).all() for view, row in zip(views, rows, strict=True))


def test_no_readable_validation_image_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data"):
        read_views([str(tmp_path / "gone.png")], PixelSpec.default(32), 5)
