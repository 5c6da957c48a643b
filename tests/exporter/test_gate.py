"""The gate catches faults: each test plants one in a good file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.networks import folded, images, make_card, tiny, varied
from helpers.providers import pretend_cuda
from onnx import helper, numpy_helper
from PIL import Image

from exporter.gate import gate_providers, run_gate
from exporter.graph import at_precision, build_graph
from exporter.parity import Parity
from exporter.parity_table import parity_table
from exporter.reference import Reference, compute_reference
from infer.core.console import Screen
from infer.core.errors import DeviceError, ModelError
from infer.dataset.table import spread
from infer.images.preprocess import PixelSpec
from infer.model import openvino_runtime
from infer.model.providers import CPU, OPENVINO
from trainer.model.network import PixelNet

COUNT = 40
AS_THEY_ARE = PixelSpec(steps=(), canvas=(32, 32), window=(32, 32), reduced_decode=False)


def reference_of(folder: Path, network: PixelNet) -> Reference:
    """A network's outputs for random images, which are written as files."""
    files = [str(folder / f"{k:02}.png") for k in range(COUNT)]
    for file, pixels in zip(files, images(COUNT), strict=True):
        Image.fromarray(pixels).save(file)
    return compute_reference(network, files, np.random.default_rng(1).integers(0, 3, COUNT), AS_THEY_ARE)


def gate(model: onnx.ModelProto, tmp_path: Path, network: PixelNet | None = None, batch: int = 16) -> Parity:
    """Run the gate on a model file with random images and truth."""
    (tmp_path / "draft.onnx").write_bytes(model.SerializeToString())
    return run_gate(tmp_path / "draft.onnx", reference_of(tmp_path, network or tiny()), batch, [CPU])


@pytest.fixture(scope="module")
def good() -> bytes:
    return build_graph(folded(), make_card(opset=17)).SerializeToString()


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
    assert [check.images for check in parity.checks] == [8, 16, COUNT, COUNT]


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


def test_a_file_for_one_batch_size_is_tried_at_that_size_only(tmp_path: Path) -> None:
    parity = gate(build_graph(folded(), make_card(opset=17), batch=6), tmp_path)
    assert [(check.batch, check.images) for check in parity.checks] == [(6, COUNT)]
    assert not parity.failures


def test_a_graph_that_takes_only_some_batch_sizes_is_caught(good: bytes, tmp_path: Path) -> None:
    model = loaded(good)
    graph = model.graph
    shape = numpy_helper.from_array(np.array([2, 32, 32, 3]), "only_two")
    graph.initializer.append(shape)
    graph.node[0].input[0] = "reshaped"
    graph.node.insert(0, helper.make_node("Reshape", ["images", "only_two"], ["reshaped"]))
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
    position = next(index for index, node in enumerate(graph.node) if node.op_type == "Softmax")
    inputs = [graph.node[position].input[0]]
    if other is not None:
        graph.initializer.append(numpy_helper.from_array(np.array(other, dtype=np.float32), "other"))
        inputs.append("other")
    graph.node.insert(position, helper.make_node(kind, inputs, ["turned"]))
    graph.node[position + 1].input[0] = "turned"
    assert any("probabilities" in line for line in gate(model, tmp_path).failures)


def test_a_network_whose_outputs_are_nan_fails(good: bytes, tmp_path: Path) -> None:
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


def test_more_flips_than_half_precision_explains_are_reported(half: bytes, tmp_path: Path) -> None:
    model = loaded(half)
    edit_initializer(model, first_kernel, lambda array: array[:, ::-1].copy())
    assert any("labels differ" in line for line in gate(model, tmp_path, varied()).failures)


def test_the_table_shows_which_row_fails(good: bytes, tmp_path: Path, heard: tuple) -> None:
    screen, text = heard
    model = loaded(good)
    edit_initializer(model, lambda array: array.ndim == 2, lambda array: array * 2)
    screen.show(parity_table(gate(model, tmp_path)))
    assert text.getvalue().count("FAILS") == 4


@pytest.mark.parametrize("batch", [3, 16, 64])
def test_a_fault_on_only_the_last_image_is_caught_at_any_full_batch_size(
    good: bytes, tmp_path: Path, batch: int
) -> None:
    reference = reference_of(tmp_path, tiny())
    reference.logits[-1] += 1
    (tmp_path / "draft.onnx").write_bytes(good)
    checks = run_gate(tmp_path / "draft.onnx", reference, batch, [CPU]).checks
    assert checks[-1].batch == min(batch, COUNT)
    assert checks[-1].failures


def gate_devices(device: str, precision: str, opset: int, screen: Screen) -> list[str]:
    return [provider.device for provider in gate_providers(device, "auto", precision, opset, screen)]


def test_a_gate_on_a_gpu_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch, quiet: Screen) -> None:
    pretend_cuda(monkeypatch, "no NVIDIA driver is installed")
    assert gate_devices("cpu", "fp32", 17, quiet) == gate_devices("auto", "fp16", 17, quiet) == ["cpu"]
    with pytest.raises(DeviceError, match="no NVIDIA driver is installed"):
        gate_devices("cuda", "fp16", 17, quiet)


def test_the_gate_runs_on_the_gpu_too_where_there_is_one_and_int8_on_the_cpu_only(
    monkeypatch: pytest.MonkeyPatch, heard: tuple
) -> None:
    pretend_cuda(monkeypatch, None)
    screen, text = heard
    assert gate_devices("auto", "fp32", 17, screen) == ["cpu", "cuda"]
    assert text.getvalue() == ""
    assert gate_devices("auto", "int8", 17, screen) == ["cpu"]
    assert "int8 is for CPUs" in text.getvalue()
    with pytest.raises(DeviceError, match="int8 is for CPUs"):
        gate_devices("cuda", "int8", 17, screen)


def test_a_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    reference = reference_of(tmp_path, tiny())
    (tmp_path / "draft.onnx").write_bytes(b"hello")
    with pytest.raises(ModelError, match="is not an ONNX file"):
        run_gate(tmp_path / "draft.onnx", reference, 16, [CPU])


@pytest.mark.gpu
def test_cuda_runs_every_node_and_its_graphs_capture_the_file(good: bytes, tmp_path: Path) -> None:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    providers = [("CUDAExecutionProvider", {"enable_cuda_graph": "1", "use_tf32": "0"})]
    session = ort.InferenceSession(good, options, providers=providers)
    images_on_gpu = ort.OrtValue.ortvalue_from_numpy(images(4), "cuda", 0)
    logits = ort.OrtValue.ortvalue_from_shape_and_type([4, 3], np.float32, "cuda", 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("images", images_on_gpu)
    binding.bind_ortvalue_output("logits", logits)
    session.run_with_iobinding(binding)  # captures
    images_on_gpu.update_inplace(images(8)[4:])
    session.run_with_iobinding(binding)  # replays
    with torch.inference_mode():
        expected = tiny()(torch.from_numpy(images(8)[4:]))[0].numpy()
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-3)


def test_a_label_that_differs_is_listed_with_its_index_among_all_images(
    good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.gate.SMALL_REPEATS", 2)
    reference = reference_of(tmp_path, tiny())
    (tmp_path / "draft.onnx").write_bytes(good)
    few = spread(COUNT, 14)
    row = few[1]
    assert row != 1
    reference.logits[row] = reference.logits[row][[1, 2, 0]]
    checks = run_gate(tmp_path / "draft.onnx", reference, 16, [CPU]).checks
    assert [[flip.image for flip in check.flips] for check in checks] == [[row]] * 4


def test_an_output_that_depends_on_the_batch_size_is_caught(good: bytes, tmp_path: Path) -> None:
    """A graph that adds a multiple of the batch size to a logit of each image."""
    model = loaded(good)
    graph = model.graph
    position = next(index for index, node in enumerate(graph.node) if "logits" in node.output)
    graph.node[position].output[:] = ["plain"]
    graph.initializer.append(numpy_helper.from_array(np.float32([0.01, 0, 0]), "lean"))
    graph.initializer.append(numpy_helper.from_array(np.int64([0]), "first"))
    added = [
        helper.make_node("Shape", ["images"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["size"]),
        helper.make_node("Cast", ["size"], ["count"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["count", "lean"], ["more"]),
        helper.make_node("Add", ["plain", "more"], ["logits"]),
    ]
    for node in reversed(added):
        graph.node.insert(position + 1, node)
    card = make_card(opset=17, precision="int8", temperature=1.5)
    for prop in model.metadata_props:
        prop.value = card.to_json()
    failures = gate(model, tmp_path).failures
    assert any("batch 1: logits differ by" in line and "from those in batches of 16" in line for line in failures)


def test_few_images_of_a_small_batch_are_not_judged_by_their_labels(good: bytes, tmp_path: Path) -> None:
    """Two labels of 8 may differ where no more than the allowed number of all labels do."""
    model = loaded(good)
    for prop in model.metadata_props:
        prop.value = make_card(opset=17, precision="int8", temperature=1.5).to_json()
    (tmp_path / "draft.onnx").write_bytes(model.SerializeToString())
    reference = reference_of(tmp_path, tiny())
    for row in spread(COUNT, 56)[:2]:
        reference.logits[row] = reference.logits[row][[1, 2, 0]]
    checks = run_gate(tmp_path / "draft.onnx", reference, 16, [CPU]).checks
    assert [bool(check.failures) for check in checks] == [False, False, False, True]


@pytest.mark.usefixtures("openvino")
def test_the_gate_runs_on_openvino_where_it_is_installed_and_on_a_runtime_that_is_named(
    quiet: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda(monkeypatch, "no NVIDIA driver is installed")
    monkeypatch.setattr(openvino_runtime, "find_bf16_problem", lambda: None)
    names = [str(row) for row in gate_providers("auto", "auto", "fp32", 17, quiet)]
    assert names == ["CPUExecutionProvider", "OpenVINO bf16", "OpenVINO"]
    assert gate_providers("cpu", "onnxruntime", "fp32", 17, quiet) == [CPU]
    assert gate_providers("auto", "openvino", "int8", 17, quiet) == [CPU, OPENVINO]
    assert gate_providers("auto", "auto", "int8", 17, quiet) == [CPU, OPENVINO]
    with pytest.raises(DeviceError, match=r"--runtime openvino-bf16: .* --runtime onnxruntime"):
        gate_providers("auto", "openvino-bf16", "int8", 17, quiet)


def test_nothing_is_said_of_a_runtime_that_is_not_installed_unless_it_is_named(heard: tuple) -> None:
    screen, text = heard
    assert gate_providers("cpu", "auto", "fp32", 17, screen) == [CPU]
    assert text.getvalue() == ""
    with pytest.raises(DeviceError, match="--runtime openvino: openvino is hidden"):
        gate_providers("cpu", "openvino", "fp32", 17, screen)


@pytest.mark.usefixtures("openvino")
def test_a_file_that_an_optional_runtime_cannot_open_fails_there_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_graph(folded(), make_card())
    onnx.save(model, tmp_path / "draft.onnx")
    reference = reference_of(tmp_path, tiny())
    found = run_gate(tmp_path / "draft.onnx", reference, 16, [CPU, OPENVINO])
    assert found.failures == []
    assert {(check.runtime, check.runtime_precision) for check in found.checks} == {
        ("onnxruntime", "f32"),
        ("openvino", "f32"),
    }

    def refuse(*_: object) -> None:
        raise DeviceError("OpenVINO cannot run it")

    monkeypatch.setattr("infer.model.cpu_engine.OpenVinoEngine", refuse)
    found = run_gate(tmp_path / "draft.onnx", reference, 16, [CPU, OPENVINO])
    assert found.failures == ["OpenVINO, batch 0: OpenVINO cannot run it"]
    assert found.without({"OpenVINO"}).failures == []
