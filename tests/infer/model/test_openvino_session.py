"""Models opened by OpenVINO: in the precision that was asked for, with the outputs of ONNX Runtime."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from helpers.networks import FULL_SIZE, make_card, tiny

from exporter.graph import at_precision, build_graph, finish
from exporter.inputs import take_input
from infer.core.cpu import cores
from infer.core.errors import DeviceError
from infer.model import openvino_session
from infer.model.onnx_session import OnnxEngine
from infer.model.onnx_writer import Node, Value, small_model
from infer.model.openvino_session import STREAMS, THREADS, OpenVinoEngine, first_reason, property_text
from infer.model.providers import CPU, OPENVINO, OPENVINO_BF16
from infer.model.session import Session

pytestmark = pytest.mark.usefixtures("openvino")
LEGACY = Path(__file__).parents[2] / "data" / "legacy" / "finished"
OUTPUTS = ("logits", "probabilities", "cam")


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def engines(file: Path, precision: str) -> tuple[OpenVinoEngine, OnnxEngine]:
    return (
        OpenVinoEngine(file, OPENVINO, 1, OPENVINO.default_options(precision)),
        OnnxEngine(file, CPU, 1, CPU.default_options(precision, precision == "int8")),
    )


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 1e-5), ("int8", 0.15)])
def test_outputs_are_those_of_onnx_runtime(precision: str, tolerance: float) -> None:
    ours, theirs = engines(LEGACY / f"{precision}.onnx", precision)
    assert ours.batch is theirs.batch is None
    assert set(ours.outputs) >= set(theirs.outputs) == set(OUTPUTS)
    for one, other in zip(*(engine.run(OUTPUTS, {"images": noise(5)}) for engine in (ours, theirs)), strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=tolerance)


def residual_block(channels: int) -> bytes:
    """Two 8-bit convolutions and a residual addition, which OpenVINO computes in place, on 32 pixels each way."""
    random = np.random.default_rng(1)
    scale, weight_scale, bias_scale = np.float32(0.02), np.float32(0.01), np.float32(0.0002)
    constants: dict[str, np.ndarray] = {"scale": np.array(scale), "zero": np.array(0, np.uint8)}
    constants |= {
        "weight_scale": np.array(weight_scale),
        "weight_zero": np.array(0, np.int8),
        "middle": np.array(128, np.uint8),
    }
    constants |= {"bias_scale": np.array(bias_scale), "bias_zero": np.array(0, np.int32)}
    nodes = []

    def quantized(value: str, zero: str = "zero") -> str:
        nodes.append(Node("QuantizeLinear", [value, "scale", zero], f"{value}_q"))
        nodes.append(Node("DequantizeLinear", [f"{value}_q", "scale", zero], f"{value}_dq"))
        return f"{value}_dq"

    def convolved(name: str, value: str, inputs: int, side: int, stride: int) -> str:
        constants[f"{name}_w"] = random.integers(-20, 20, (channels, inputs, side, side), dtype=np.int8)
        constants[f"{name}_b"] = random.integers(-100, 100, channels, dtype=np.int32)
        nodes.append(Node("DequantizeLinear", [f"{name}_w", "weight_scale", "weight_zero"], f"{name}_wdq"))
        nodes.append(Node("DequantizeLinear", [f"{name}_b", "bias_scale", "bias_zero"], f"{name}_bdq"))
        attributes = {"strides": [stride] * 2, "pads": [side // 2] * 4}
        nodes.append(Node("Conv", [value, f"{name}_wdq", f"{name}_bdq"], name, attributes))
        return name

    pixels = quantized("x")
    nodes.append(Node("Relu", [convolved("first", pixels, channels, 3, 2)], "relu"))
    second = quantized(convolved("second", quantized("relu"), channels, 3, 1), "middle")
    shortcut = quantized(convolved("shortcut", pixels, channels, 1, 2), "middle")
    nodes.append(Node("Add", [second, shortcut], "sum"))
    nodes.append(Node("Relu", ["sum"], "activation"))
    nodes.append(Node("Identity", [quantized("activation")], "y"))
    shapes = (["N", channels, 32, 32], ["N", channels, 16, 16])
    x, y = (Value(name, "float32", shape) for name, shape in zip("xy", shapes, strict=True))
    return small_model(nodes, [x], [y], constants)


def check_that_batch_and_threads_make_no_difference(engine: OpenVinoEngine, name: str, batch: np.ndarray) -> None:
    output = engine.outputs[0]
    (together,) = engine.run([output], {name: batch})
    with ThreadPoolExecutor(3) as pool:
        rows = range(len(batch))
        parts = list(pool.map(lambda row: engine.run([output], {name: batch[row : row + 1]})[0], rows))
    np.testing.assert_array_equal(np.concatenate(parts), together)


@pytest.mark.parametrize("streams", ["1", "2"])
def test_outputs_do_not_depend_on_the_batch_nor_on_threads_that_run_at_once(streams: str) -> None:
    options = {**OPENVINO.default_options("fp32"), "NUM_STREAMS": streams}
    check_that_batch_and_threads_make_no_difference(
        OpenVinoEngine(LEGACY / "fp32.onnx", OPENVINO, 2, options), "images", noise(6)
    )


@pytest.mark.parametrize("streams", ["1", "2"])
def test_nor_do_they_in_int8_at_the_numbers_of_channels_that_lab_s_networks_have(streams: str) -> None:
    options = {**OPENVINO.default_options("int8"), "NUM_STREAMS": streams}
    batch = np.random.default_rng(0).uniform(0, 5, (6, 16, 32, 32)).astype(np.float32)
    for _ in range(5):  # at 8 channels about half of the engines are wrong on some batch
        engine = OpenVinoEngine(residual_block(16), OPENVINO, 2, options)
        check_that_batch_and_threads_make_no_difference(engine, "x", batch)


@pytest.mark.parametrize("name", FULL_SIZE)
def test_channels_are_multiples_of_16_as_openvino_s_int8_threads_need(name: str) -> None:
    """At 8, 24 or 40 channels they overwrite each other's pixels: findings/openvino_int8_threads_overwrite.sh."""
    with torch.device("meta"):
        network = FULL_SIZE[name].build(2)
    widths = [module.out_channels for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert [width for width in widths if width % 16] == []


def test_results_are_not_overwritten_by_the_next_batch_and_strided_pixels_are_run_as_they_are() -> None:
    engine, reference = engines(LEGACY / "fp32.onnx", "fp32")
    pixels = noise(8)
    (first,) = engine.run(["logits"], {"images": pixels})
    kept = first.copy()
    (strided,) = engine.run(["logits"], {"images": pixels[::2, ::-1]})
    np.testing.assert_array_equal(first, kept)
    (expected,) = reference.run(["logits"], {"images": pixels[::2, ::-1]})
    np.testing.assert_allclose(strided, expected, atol=1e-5)


def test_the_only_batch_size_of_a_file_that_has_one_is_reported(tmp_path: Path) -> None:
    changed = onnx.load(LEGACY / "fp32.onnx")
    for item in (*changed.graph.input, *changed.graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(changed, tmp_path / "four.onnx")
    engine, _ = engines(tmp_path / "four.onnx", "fp32")
    assert engine.batch == 4
    assert engine.run(["logits"], {"images": noise(4)})[0].shape == (4, 2)


@pytest.mark.parametrize("opset", [18, 22, 26])
@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_it_runs_newer_opsets_and_both_kinds_of_input(opset: int, kind: str, tmp_path: Path) -> None:
    card = make_card(opset=opset, input=kind)
    model = build_graph(at_precision(tiny(), "fp32"), replace(card, input="uint8"))
    take_input(model, kind, card.pixels)
    onnx.save(finish(model, card), file := tmp_path / "m.onnx")
    one, other = (Session(file, provider=provider).run(noise(3))[0] for provider in (OPENVINO, CPU))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_first_run_of_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_session, "_is_ready", threading.Event())
    running, most, infer = list[int](), list[int](), OpenVinoEngine._infer

    def observed(self: OpenVinoEngine, *given: Any) -> Any:
        running.append(1)
        time.sleep(0.05)  # so that others come meanwhile, if they may
        most.append(len(running))
        running.pop()
        return infer(self, *given)

    monkeypatch.setattr(OpenVinoEngine, "_infer", observed)
    engine = OpenVinoEngine(LEGACY / "fp32.onnx", OPENVINO, 2, {**OPENVINO.default_options("fp32"), STREAMS: "2"})
    barrier = threading.Barrier(4)

    def start(_: int) -> None:
        barrier.wait()
        engine.run(OUTPUTS, {"images": noise(1)})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    assert most[0] == 1


def test_every_property_that_was_set_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        "infer.model.openvino_session.property_text", lambda value: read.append(property_text(value)) or read[-1]
    )
    options = OPENVINO.default_options("fp32")
    OpenVinoEngine(LEGACY / "fp32.onnx", OPENVINO, None, options)
    assert read == [*options.values(), str(cores())]
    assert options["INFERENCE_PRECISION_HINT"] == "f32"
    assert THREADS not in options


@pytest.mark.skipif(OPENVINO_BF16.find_problem() is None, reason="this processor computes in bfloat16")
def test_a_precision_that_openvino_replaces_in_silence_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"asked for INFERENCE_PRECISION_HINT=bf16 and took f32.*--runtime onnxr"):
        OpenVinoEngine(LEGACY / "fp32.onnx", OPENVINO_BF16, 1, OPENVINO_BF16.default_options("fp32"))


@pytest.mark.parametrize("options", [{"NO_SUCH_PROPERTY": "1"}, {"INFERENCE_PRECISION_HINT": "f3"}])
def test_a_property_that_openvino_does_not_have_is_one_line(options: dict[str, str]) -> None:
    with pytest.raises(DeviceError, match=r"OpenVINO cannot run .*; choose --runtime onnxruntime") as caught:
        OpenVinoEngine(LEGACY / "fp32.onnx", OPENVINO, 1, {**OPENVINO.options, **options})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_content_that_is_no_model_is_an_error_in_one_line(content: bytes) -> None:
    with pytest.raises(DeviceError, match="OpenVINO cannot run lab's own graph: ") as caught:
        OpenVinoEngine(content, OPENVINO, 1, OPENVINO.options)
    assert "\n" not in str(caught.value)


def test_a_graph_is_opened_from_its_content() -> None:
    graph = small_model([Node("Add", ["x", "x"], "y")], [Value("x", "float32", [1])], [Value("y", "float32", [1])])
    engine = OpenVinoEngine(graph, replace(OPENVINO, name="X"), 1, OPENVINO.options)
    (result,) = engine.run(["y"], {"x": np.array([21], dtype=np.float32)})
    assert result.tolist() == [42]


def test_properties_are_written_as_they_are_set() -> None:
    import openvino

    assert [property_text(value) for value in (True, False, 3, "LATENCY")] == ["YES", "NO", "3", "LATENCY"]
    assert property_text(openvino.Type.bf16) == "bf16"
    assert property_text(openvino.properties.hint.ExecutionMode.ACCURACY) == "ACCURACY"


def test_the_reason_of_an_exception_leaves_out_where_in_its_source_it_was_raised() -> None:
    text = "Exception from src/inference/core.cpp:12:\nCheck 'ok' failed at src/a.cpp:3:\nUnsupported thing\nmore\n"
    assert first_reason(RuntimeError(text)) == "Unsupported thing"
    assert first_reason(RuntimeError("Check 'x' failed")) == "Check 'x' failed"
    assert first_reason(ValueError()) == "ValueError"
