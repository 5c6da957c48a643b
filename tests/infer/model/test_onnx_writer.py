"""Models written without the onnx package are what the onnx package would have written."""

import numpy as np
import onnx
import onnxruntime as ort

from infer.model.onnx_writer import IR, OPSET, Node, Value, small_model

MODEL = small_model(
    [
        Node("Concat", ["a", "b"], "both", {"axis": 1}),
        Node("Transpose", ["both"], "turned", {"perm": [1, 0]}),
        Node("Mul", ["turned", "factors"], "y"),
    ],
    [Value("a", "float32", ["rows", 2]), Value("b", "float32", ["rows", 300])],
    [Value("y", "float32", [302, "rows"])],
    {"factors": np.array([[2.0], *[[-1.0]] * 301], dtype=np.float32)},
)


def test_the_checker_accepts_it_and_reads_what_was_written() -> None:
    model = onnx.load_from_string(MODEL)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (IR, OPSET)
    assert [item.op_type for item in model.graph.node] == ["Concat", "Transpose", "Mul"]
    shape = model.graph.output[0].type.tensor_type.shape
    assert [item.dim_value or item.dim_param for item in shape.dim] == [302, "rows"]
    assert list(model.graph.node[1].attribute[0].ints) == [1, 0]


def test_onnx_runtime_runs_it() -> None:
    session = ort.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    a, b = (np.random.default_rng(0).normal(size=(5, width)).astype(np.float32) for width in (2, 300))
    (y,) = session.run(None, {"a": a, "b": b})
    expected = -np.concatenate([a, b], axis=1).T
    expected[0] *= -2
    np.testing.assert_array_equal(y, expected)
