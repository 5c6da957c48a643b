#!/usr/bin/env bash
# 2026-11-29. onnx 1.23.2; Python 3.11.
#
# Expected: onnx.reference.ReferenceEvaluator, the specification in Python, runs a valid graph of QuantizeLinear and DequantizeLinear
# (both standard since opset 10) at every opset that has them, or at none: without one the other is of no use.
# Seen: at opsets 10 to 18, QuantizeLinear runs and DequantizeLinear raises "No implementation for operator 'DequantizeLinear'"; both run
# from opset 19. No QDQ model that quantisers write at opset 13 to 18 can be held against the specification.
# Source: onnx/reference/ops/op_quantize_linear.py begins with QuantizeLinear_10, op_dequantize_linear.py with DequantizeLinear_19.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
from onnx import TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

CODES = {
    "QuantizeLinear": (TensorProto.FLOAT, np.float32, TensorProto.UINT8, [2, 4, 6, 8]),
    "DequantizeLinear": (TensorProto.UINT8, np.uint8, TensorProto.FLOAT, [-1, -0.5, 0, 0.5]),
}


def answer(operator: str, opset: int) -> list[float] | str:
    given, dtype, returned, _ = CODES[operator]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "scale", "zero"], ["y"])],
        operator,
        [helper.make_tensor_value_info("x", given, [4])],
        [helper.make_tensor_value_info("y", returned, [4])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [0.5]), helper.make_tensor("zero", TensorProto.UINT8, [], [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(model, full_check=True)
    try:
        return ReferenceEvaluator(model).run(None, {"x": np.arange(4, dtype=dtype)})[0].tolist()
    except RuntimeError as error:
        return str(error)


as_seen = True
for opset in (10, 13, 17, 18, 19, 21):
    for operator, (*_, right) in CODES.items():
        got = answer(operator, opset)
        print(f"opset {opset}, {operator}: {got}")
        missing = operator == "DequantizeLinear" and opset < 19
        as_seen &= "No implementation" in got if missing else got == right
sys.exit(not as_seen)
PY
