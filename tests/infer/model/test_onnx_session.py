"""Sessions of ONNX Runtime: opened on the provider that was chosen, and its errors as lab's."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers.providers import pretend_cuda
from onnx import helper

from infer.core.errors import DeviceError, ModelError
from infer.model.card import CARD_KEY
from infer.model.onnx_session import is_out_of_memory, open_onnx
from infer.model.onnx_writer import Node, Value, small_model
from infer.model.providers import CPU, CUDA
from infer.model.session import Session

ROOT = Path(__file__).parents[3]


def doubling_model() -> bytes:
    return small_model([Node("Add", ["x", "x"], "y")], [Value("x", "float32", [1])], [Value("y", "float32", [1])])


def test_a_model_is_opened_from_its_content_and_runs() -> None:
    session = open_onnx(doubling_model(), CPU, 1, CPU.default_options("fp32"))
    (result,) = session.run(None, {"x": np.array([21], dtype=np.float32)})
    assert result.tolist() == [42]


def test_predicting_leaves_no_identifier_of_the_machine_and_no_events_to_be_reported(
    model: Path, cells: Path, tmp_path: Path
) -> None:
    silencing = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in silencing}
    folders = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    program = "import sys; from lab import load; print(load(sys.argv[1], device='cpu').predict(sys.argv[2]).labels)"
    command = [sys.executable, "-c", program, str(model), str(cells / "test")]
    ran = subprocess.run(command, cwd=ROOT, env=environment | folders, capture_output=True, text=True, check=True)
    assert ran.stdout
    left = [path for path in tmp_path.rglob("*") if path.name == ".ses" or "Microsoft" in path.parts]
    assert left == []


def test_options_that_begin_with_session_are_the_sessions_and_others_the_providers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, object] = {}

    class Session:
        def __init__(self, model: object, settings: object, providers: list, enable_fallback: int) -> None:
            entries = ("session.intra_op.allow_spinning", "session.disable_cpu_ep_fallback")
            given["entries"] = {name: settings.get_session_config_entry(name) for name in entries}
            given["providers"] = providers

        def get_providers(self) -> list[str]:
            return [CUDA.name]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    open_onnx(b"", CUDA, None, {"session.intra_op.allow_spinning": "0", "use_tf32": "0"})
    assert given == {
        "entries": {"session.intra_op.allow_spinning": "0", "session.disable_cpu_ep_fallback": "1"},
        "providers": [(CUDA.name, {"use_tf32": "0"})],
    }


def test_content_that_is_no_model_is_an_error_in_one_line() -> None:
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot read lab's own graph: .*; export it again") as caught:
        open_onnx(b"no model", CPU, None, {})
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(CUDA.name not in onnxruntime.get_available_providers(), reason="this ONNX Runtime is the CPU build")
def test_a_session_that_onnx_runtime_quietly_put_on_the_cpu_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda(monkeypatch, None)
    with pytest.raises(DeviceError):
        Session(model, "cuda")
    session = Session(model, "auto")
    assert session.provider == CPU
    assert "CUDA" in session.reason


def test_a_graph_that_onnx_runtime_cannot_read_is_an_error_in_one_line(model: Path, tmp_path: Path) -> None:
    card = {item.key: item.value for item in onnx.load(model).metadata_props}[CARD_KEY]
    names = ("images", "logits", "probabilities")
    first, *others = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in names)
    graph = helper.make_graph([helper.make_node("NoSuchOperator", names[:1], names[1:])], "broken", [first], others)
    broken = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(broken, {CARD_KEY: card})
    onnx.save(broken, tmp_path / "broken.onnx")
    with pytest.raises(ModelError, match="cannot read") as caught:
        Session(tmp_path / "broken.onnx", "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "is_it"),
    [
        ("BFCArena: Failed to allocate memory for requested buffer of size 8", True),
        ("CUDA error 2: out of memory", True),
        ("std::bad_alloc", True),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", True),
        ("Available memory of 5 is smaller than requested bytes of 9", True),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", True),
        ("INVALID_ARGUMENT: Got invalid dimensions", False),
    ],
)
def test_exhausted_memory_is_distinguished_from_other_failures(message: str, is_it: bool) -> None:
    assert is_out_of_memory(RuntimeError(message)) is is_it


@pytest.mark.parametrize(("largest", "may_overflow"), [(127, True), (64, False), (-64, False)])
def test_sums_of_8_bit_products_do_not_overflow_on_any_processor(largest: int, may_overflow: bool) -> None:
    pixels = np.full((1, 16, 3, 3), 255, np.uint8)
    weights = np.full((1, 16, 3, 3), largest, np.int8)
    constants = {
        "scale": np.float32(1), "zero": np.uint8(0), "weights": weights, "weight_scale": np.float32(1),
        "weight_zero": np.int8(0), "out_scale": np.float32(2 * largest * 144),
    }  # fmt: skip
    inputs = ["x", "scale", "zero", "weights", "weight_scale", "weight_zero", "out_scale", "zero"]
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", inputs, ["y"])],
        "sum",
        [helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, [1, 16, 3, 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, [1, 1, 1, 1])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = open_onnx(model.SerializeToString(), CPU, 1, CPU.default_options("int8", may_overflow))
    (sums,) = session.run(None, {"x": pixels})
    assert sums.item() == 128  # 255 / 2, which rounds to even; a sum that overflows is far smaller
