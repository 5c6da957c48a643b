#!/usr/bin/env bash
# 2026-11-29. MNN 3.6.1 (its converter and its Python package), onnx 1.23.2, numpy 2.4.6; Python 3.11, x86_64.
#
# Expected: QuantizeLinear and DequantizeLinear with one scale, one after the other, keep a tensor's shape and round its values, or the
# converter refuses them.
# Seen: the converter says "Converted Success!". What comes out has its first two axes exchanged, 2x3x8x8 becomes 3x2x8x8, and each value
# is in its place of the exchanged tensor; codes of uint8 come out 128 steps too low besides. The attribute axis and the opset change
# nothing. A convolution behind them so finds as many channels as there are images: a quantised network gives no output at all, and says
# "Compute Shape Error" on stdout without an exception. DequantizeLinear of constant weights is right.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q MNN==3.6.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import subprocess
import sys

import MNN
import numpy as np
from onnx import TensorProto, checker, helper, save

CONVERT = "import sys, _tools; sys.argv[0] = 'mnnconvert'; _tools.mnnconvert(sys.argv)"
FILES = ["-f", "ONNX", "--modelFile", "round.onnx", "--MNNModel", "round.mnn", "--bizCode", "x"]
SHAPE = [2, 3, 8, 8]
SCALE = np.float32(0.02)
as_seen = []
for codes, zero, opset, options in (
    ("INT8", 0, 13, {}),
    ("INT8", 0, 17, {}),
    ("INT8", 0, 17, {"axis": 0}),
    ("INT8", 3, 21, {}),
    ("UINT8", 3, 17, {}),
    ("UINT8", 128, 17, {}),
):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"], **options),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["y"], **options),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in "xy"]
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [SCALE]),
        helper.make_tensor("zero", getattr(TensorProto, codes), [], [zero]),
    ]
    graph = helper.make_graph(nodes, "round", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset < 21 else 10)
    checker.check_model(model, full_check=True)
    save(model, "round.onnx")
    converted = subprocess.run([sys.executable, "-c", CONVERT, *FILES], capture_output=True, text=True, check=True)
    x = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    right = SCALE * np.round(x / SCALE)  # no value reaches the ends of the codes
    module = MNN.nn.load_module_from_file("round.mnn", ["x"], ["y"])
    y = module.forward([MNN.expr.const(x, SHAPE, MNN.expr.NCHW, MNN.expr.float)])[0]
    got = np.array(MNN.expr.convert(y, MNN.expr.NCHW).read())
    success = "Converted Success!" in converted.stdout
    steps = (got - right.swapaxes(0, 1)) / SCALE if list(got.shape) == [3, 2, 8, 8] else np.array([np.nan])
    print(f"{codes}, zero {zero}, opset {opset} {options}: converted {success}, {SHAPE} -> {list(got.shape)},", end=" ")
    print(f"from the exchanged tensor {steps.min():.2f} to {steps.max():.2f} steps")
    as_seen.append(success and np.allclose(steps, -128 if codes == "UINT8" else 0, atol=0.01))
sys.exit(not all(as_seen))
PY
