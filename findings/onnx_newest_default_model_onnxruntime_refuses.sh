#!/usr/bin/env bash
# 2026-11-28. onnx 1.23.2, onnxruntime 1.31.1, both the newest on that day; Python 3.11.
#
# Expected: a model that onnx.helper.make_model builds with its defaults, of one Identity node, opens in the newest ONNX Runtime.
# Seen: make_model writes IR version 14 and opset 28; ONNX Runtime reads up to IR 13 and opset 26, and refuses the model. Whoever
# relies on the defaults makes files that no released ONNX Runtime opens; ir_version and opset have to be given.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.31.1
"$folder/venv/bin/python" - <<'PY'
import sys

import onnxruntime
from onnx import TensorProto, checker, helper

ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", ends[:1], ends[1:])


def refusal(**chosen: object) -> str:
    model = helper.make_model(graph, **chosen)
    checker.check_model(model, full_check=True)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        return str(error)
    return ""


default = helper.make_model(graph)
print(f"defaults of onnx: IR version {default.ir_version}, opset {default.opset_import[0].version}")
print(f"ONNX Runtime on the defaults: {refusal()[:160]}")
opset = [helper.make_opsetid("", 26)]
print(f"ONNX Runtime on IR 13 and opset 26: {refusal(ir_version=13, opset_imports=opset) or 'opens it'}")
sys.exit(not (refusal() and not refusal(ir_version=13, opset_imports=opset)))
PY
