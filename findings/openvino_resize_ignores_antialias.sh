#!/usr/bin/env bash
# 2026-11-28. openvino 2026.4.1, onnxruntime 1.31.1, onnx 1.23.2, numpy 2.4.6; CPU, x86_64, Python 3.11.
#
# Expected: ONNX's Resize with antialias=1 (opset 18, mode linear) shrinks with a filter as wide as the scale asks for, in every
# runtime; a runtime without that filter refuses the graph.
# Seen: OpenVINO reads the graph, says nothing, and samples as if antialias were 0. On noise shrunk threefold its pixels are those
# of ONNX Runtime without antialias (within 1 level), and up to 129 of 255 levels from those with it. Preprocessing
# inside a graph therefore changes its pictures in silence.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q openvino==2026.4.1 onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper


def resize(antialias: int) -> bytes:
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", antialias=antialias)
    graph = helper.make_graph(
        [node],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 3, 97, 131])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [1, 3, 32, 43])],
        [helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 3, 32, 43])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def by_onnxruntime(model: bytes) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": image})[0].astype(int)


image = np.random.default_rng(0).integers(0, 256, (1, 3, 97, 131), dtype=np.uint8)
core = openvino.Core()
seen = core.compile_model(core.read_model(resize(1), b""), "CPU")(image)[0].astype(int)
from_filtered = abs(seen - by_onnxruntime(resize(1))).max()
from_sampled = abs(seen - by_onnxruntime(resize(0))).max()
print(f"antialias=1 in OpenVINO: {from_filtered} levels from ONNX Runtime's, {from_sampled} from ONNX Runtime's antialias=0")
sys.exit(not (from_filtered > 50 and from_sampled <= 1))
PY
