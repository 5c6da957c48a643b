#!/usr/bin/env bash
# 2026-11-28. onnx 1.23.2; Python 3.11.
#
# Expected: onnx.utils.extract_model, asked for all inputs and outputs, keeps the model's metadata_props, as onnx.version_converter,
# shape_inference and compose.merge_models do: class names and preprocessing are kept there by several toolchains.
# Seen: extract_model returns a model without any metadata_props, and without a word.
# Source: onnx/utils.py, Extractor._make_model builds a new model from the graph, opsets and functions alone.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import sys

import onnx
from onnx import TensorProto, compose, helper, shape_inference, utils, version_converter

ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
helper.set_model_props(model, {"classes": "normal, blast"})
onnx.save(model, "model.onnx")
utils.extract_model("model.onnx", "extracted.onnx", ["x"], ["y"])
made = {
    "extract_model": onnx.load("extracted.onnx"),
    "version_converter": version_converter.convert_version(model, 21),
    "infer_shapes": shape_inference.infer_shapes(model),
    "merge_models": compose.merge_models(
        compose.add_prefix(model, "a_"), compose.add_prefix(model, "b_"), [("a_y", "b_x")]
    ),
}
kept = {name: [item.key for item in result.metadata_props] for name, result in made.items()}
for name, keys in kept.items():
    print(f"{name}: metadata {keys}")
sys.exit(not (kept.pop("extract_model") == [] and all(keys == ["classes"] for keys in kept.values())))
PY
