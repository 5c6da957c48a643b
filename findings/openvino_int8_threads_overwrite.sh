#!/usr/bin/env bash
# 2026-11-29. openvino 2026.4.1, onnx 1.23.2, numpy 2.4.6; CPU, x86_64 (AVX2 without VNNI), two cores, Python 3.11.
#
# Expected: a batch has the same outputs whichever number of threads computes it (integers in 8 bits: nothing is rounded differently).
# Seen: with two threads in one stream (INFERENCE_NUM_THREADS=2, NUM_STREAMS=1), an int8 residual block of 8, 24 or 40 channels
# gives other outputs from run to run: the first pixel of the images with which the second thread begins is wrong. At 16, 32, 48 and
# 64 channels, and with one thread per stream, no run differed. Numbers of channels that are odd multiples of 8 suggest a store of 16
# bytes that ends in the next image; the source was not read.
# Needs two cores. Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
CI=true "$folder/venv/bin/pip" install -q openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
CI=true "$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import openvino
from onnx import TensorProto, helper, numpy_helper

SIDE, IMAGES, ENGINES, RUNS = 32, 6, 30, 10


def block(channels: int) -> bytes:
    """A residual block that halves height and width: 3x3 and 3x3, with a 1x1 shortcut, activations and weights in 8 bits."""
    random = np.random.default_rng(1)
    constants = {
        "scale": np.float32(0.02), "zero": np.uint8(0), "middle": np.uint8(128),
        "w_scale": np.float32(0.01), "w_zero": np.int8(0), "b_scale": np.float32(0.0002), "b_zero": np.int32(0),
    }
    nodes = []

    def quantize(value: str, zero: str) -> str:
        nodes.append(helper.make_node("QuantizeLinear", [value, "scale", zero], [value + "_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [value + "_q", "scale", zero], [value + "_dq"]))
        return value + "_dq"

    def convolve(name: str, value: str, side: int, stride: int) -> str:
        constants[name + "_w"] = random.integers(-20, 20, (channels, channels, side, side), dtype=np.int8)
        constants[name + "_b"] = random.integers(-100, 100, channels, dtype=np.int32)
        nodes.append(helper.make_node("DequantizeLinear", [name + "_w", "w_scale", "w_zero"], [name + "_wdq"]))
        nodes.append(helper.make_node("DequantizeLinear", [name + "_b", "b_scale", "b_zero"], [name + "_bdq"]))
        inputs = [value, name + "_wdq", name + "_bdq"]
        nodes.append(helper.make_node("Conv", inputs, [name], strides=[stride] * 2, pads=[side // 2] * 4))
        return name

    x = quantize("x", "zero")
    nodes.append(helper.make_node("Relu", [convolve("first", x, 3, 2)], ["relu"]))
    second = quantize(convolve("second", quantize("relu", "zero"), 3, 1), "middle")
    shortcut = quantize(convolve("shortcut", x, 1, 2), "middle")
    nodes.append(helper.make_node("Add", [second, shortcut], ["sum"]))
    nodes.append(helper.make_node("Relu", ["sum"], ["out"]))
    nodes.append(helper.make_node("Identity", [quantize("out", "zero")], ["y"]))
    graph = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", channels, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", channels, SIDE // 2, SIDE // 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def differing(channels: int, streams: int) -> int:
    """Of ENGINES * RUNS runs by two threads, those whose outputs are not those of one thread."""
    model, core = block(channels), openvino.Core()
    images = np.random.default_rng(0).uniform(0, 5, (IMAGES, channels, SIDE, SIDE)).astype(np.float32)

    def engine(threads: int, streams: int) -> openvino.InferRequest:
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams}
        return core.compile_model(core.read_model(model, b""), "CPU", options).create_infer_request()

    expected = engine(1, 1).infer([images])[0].copy()
    count = 0
    for _ in range(ENGINES):
        request = engine(2, streams)
        count += sum(not np.array_equal(request.infer([images])[0], expected) for _ in range(RUNS))
    return count


seen = {}
for channels, streams in ((8, 1), (24, 1), (16, 1), (64, 1), (8, 2)):
    seen[channels, streams] = differing(channels, streams)
    print(f"{channels} channels, 2 threads, {streams} stream(s): {seen[channels, streams]} of {ENGINES * RUNS} runs differ")
sys.exit(not (seen[8, 1] > 0 and seen[16, 1] == seen[64, 1] == seen[8, 2] == 0))
PY
